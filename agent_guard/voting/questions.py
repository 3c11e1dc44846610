"""The questions that are open: read from the council's events, counted by its views."""

from dataclasses import dataclass

from agent_guard.chain.council import CouncilContract
from agent_guard.chain.history import Event, events
from agent_guard.chain.lanes import Lanes
from agent_guard.types import FLEET, Action, Block, State
from agent_guard.voting.motion import default_param


@dataclass(frozen=True, slots=True)
class Question:
    """An open question: `count` of `needed` votes stand, cast by `voters` (addresses); `ready_at` if scheduled."""

    agent: bytes
    action: Action
    param: bytes
    count: int
    needed: int
    voters: tuple[str, ...]
    ready_at: int


def open_questions(
    contract: CouncilContract, first_block: int, block: Block, agent: bytes | None = None
) -> list[Question]:
    """Questions with votes that still count at `block`, and changes that are scheduled; oldest first.

    Args:
        first_block: where the council was deployed.
        agent: only this agent's.
    """
    about = () if agent is None else (agent,)
    council = contract.council(block)
    asked: dict[tuple[bytes, Action, bytes], None] = {}
    with Lanes() as lanes:
        for event in events(contract, ["Voted"], first_block, block, about, lanes):
            if event.arguments["setVersion"] == council.set_version:
                asked.setdefault(_question(event))
    found = [
        _count(contract, block, council.signers, *key) for key in asked if _stands(contract, block, *key)
    ]
    return [question for question in found if 0 < question.count < question.needed or question.ready_at]


def _stands(contract: CouncilContract, block: Block, agent: bytes, action: Action, param: bytes) -> bool:
    """Whether there is anything to decide: a veto needs a resume or a change that waits, a resume its kind of stop."""
    if action is Action.RESUME:
        return param == default_param(action, contract.snapshot([agent], block)[agent])
    if action is not Action.VETO:
        return True
    if not any(param):
        return contract.snapshot([agent], block)[agent].state is State.RESUMING
    change = Action.ROTATE if agent == FLEET else Action.SET_OPERATOR
    return contract.scheduled_at(agent, change, param, block) > 0


def _question(event: Event) -> tuple[bytes, Action, bytes]:
    arguments = event.arguments
    return bytes(arguments["agent"]), Action(arguments["action"]), bytes(arguments["param"])


def _count(
    contract: CouncilContract,
    block: Block,
    signers: tuple[str, ...],
    agent: bytes,
    action: Action,
    param: bytes,
) -> Question:
    count, needed, voters = contract.votes(agent, action, param, block)
    names = tuple(signer for i, signer in enumerate(signers) if voters >> i & 1)
    scheduled = action in (Action.SET_OPERATOR, Action.ROTATE)
    ready_at = contract.scheduled_at(agent, action, param, block) if scheduled else 0
    return Question(agent, action, param, count, needed, names, ready_at)
