"""What each endpoint says of the same agents, at its own newest block: who differs from what a quorum says.

For `status`, where no guard weighs the endpoints. One that is merely a block ahead or behind, and says the same, does
not differ; one that does not answer does. Trusts no endpoint.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait

from agent_guard.chain.council import CouncilContract
from agent_guard.errors import GuardError
from agent_guard.types import FLEET, AgentState, State

NO_ANSWER = "gave no usable answer"


def dissent(
    members: Sequence[CouncilContract], agreed: Mapping[bytes, AgentState]
) -> dict[bytes, dict[str, str]]:
    """For each agent of `agreed` (the fleet's state is among them) the endpoints that differ, and what they say.

    Args:
        members: the council through each endpoint; all are asked at once.
        agreed: what a quorum says, by id.
    """
    asked = [_ask(member, list(agreed)) for member in members]
    wait(asked, 2 * max(member.endpoint.timeout for member in members))  # the block, and then the agents
    heard = [each.result() if each.done() else None for each in asked]
    named = [(member.endpoint.name, said) for member, said in zip(members, heard, strict=True)]
    return {
        agent: {name: why for name, said in named if (why := _differs(said, agreed, agent))}
        for agent in agreed
    }


def _ask(member: CouncilContract, agents: Sequence[bytes]) -> "Future[Mapping[bytes, AgentState] | None]":
    """Asks on a daemon thread of its own: an answer without end holds up nothing."""
    found: Future[Mapping[bytes, AgentState] | None] = Future()

    def ask() -> None:
        try:
            found.set_result(member.snapshot(agents, member.endpoint.block()))
        except GuardError:
            found.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            found.set_exception(error)

    threading.Thread(target=ask, name=f"ask {member.endpoint.name}", daemon=True).start()
    return found


def _differs(
    said: Mapping[bytes, AgentState] | None, agreed: Mapping[bytes, AgentState], agent: bytes
) -> str:
    if said is None:
        return NO_ANSWER
    if all(_gist(said[one]) == _gist(agreed[one]) for one in (agent, FLEET)):
        return ""
    fleet = "" if said[FLEET].state is State.RUNNING else f", fleet {said[FLEET].state.name}"
    return f"says {said[agent].state.name} in epoch {said[agent].epoch}{fleet}"


def _gist(state: AgentState) -> tuple[State, int]:
    return state.state, state.epoch
