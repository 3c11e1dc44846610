"""Gathers what an audit's report says beside the audit: who decides, and who voted, from the chain."""

from functools import cache

from agent_guard.audit import ChainFacts, Unreachable
from agent_guard.chain import history
from agent_guard.errors import GuardError
from agent_guard.report.model import ChainSide, Vote
from agent_guard.types import FLEET, Action
from agent_guard.wiring import Connection

DAY = 86_400
MOST_VOTES = 200


def chain_side(
    connection: Connection | Unreachable, agent: bytes, facts: ChainFacts | Unreachable
) -> ChainSide | None:
    """The chain's side of a report, all of it at the audit's own block; None where the audit had none."""
    if isinstance(facts, Unreachable) or isinstance(connection, Unreachable):
        return None
    council, votes, unread = None, None, None
    try:
        council = connection.contract.council(facts.as_of)
        votes = _votes(connection, agent, facts)
    except GuardError as error:  # the audit stands without it
        unread = error.message
    return ChainSide(facts.as_of, facts.state, facts.history, facts.extensions, council, votes, unread)


def window(facts: ChainFacts | Unreachable) -> tuple[int, int] | None:
    """Between which unix seconds an entry of the agent can have been written, give or take a day."""
    if isinstance(facts, Unreachable) or not facts.history:
        return None
    return facts.history[0].block.timestamp - DAY, facts.as_of.timestamp + DAY


def _votes(connection: Connection, agent: bytes, facts: ChainFacts) -> list[Vote]:
    """The newest votes about the agent and the fleet, oldest first."""
    first, block_at = connection.deployment.deploy_block, cache(connection.endpoint.block)
    found = [
        event
        for whom in (agent, FLEET)
        for event in history.events(connection.contract, "Voted", first, facts.as_of, agent=whom)
    ]
    found.sort(key=lambda event: (event.block_number, event.log_index))
    return [
        Vote(
            block=block_at(event.block_number),
            action=Action(event.arguments["action"]),
            signer=event.arguments["signer"],
            agent=bytes(event.arguments["agent"]),
            epoch=event.arguments["epoch"],
            votes=event.arguments["votes"],
            needed=event.arguments["needed"],
            transaction=event.transaction_hash,
        )
        for event in found[-MOST_VOTES:]
    ]
