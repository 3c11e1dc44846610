"""Gathers what an audit's report says beside the audit: who decides and who voted, and the proof of the death."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

from agent_guard.audit import AuditLimits, AuditResult, ChainFacts, Result, Unreachable
from agent_guard.audit.hearing import Hearing
from agent_guard.chain import history
from agent_guard.chain.dating import dated
from agent_guard.chain.lanes import Lanes
from agent_guard.entry import Entry
from agent_guard.errors import GuardError
from agent_guard.log.reading import prove
from agent_guard.report.model import ChainSide, EntryProof, Leaseless, Vote
from agent_guard.types import FLEET, Action, Block, LogIdentity
from agent_guard.wiring import Connection
from agent_guard.wiring.auditing import open_log

DAY = 86_400
MOST_VOTES = 200


def chain_side(
    connection: Connection | Unreachable, agent: bytes, facts: ChainFacts | Unreachable
) -> ChainSide | None:
    """The chain's side of a report, all of it at the audit's own block; None where the audit had none."""
    if isinstance(facts, Unreachable) or isinstance(connection, Unreachable):
        return None
    council, votes, unread = None, None, None
    leaseless: list[Leaseless] = []
    try:
        leaseless = _leaseless(facts)
        council = connection.contract.council(facts.as_of)
        votes = _votes(connection.patient(), agent, facts)
    except GuardError as error:  # the audit stands without it
        unread = error.message
    return ChainSide(
        facts.as_of, facts.state, facts.history, facts.extensions, council, votes, unread, leaseless
    )


def _leaseless(facts: ChainFacts) -> list[Leaseless]:
    """The audit's lapses with the blocks at which they ended. Raises `GuardError` where one can't be read."""
    return [
        Leaseless(lapse.block, facts.block_at(lapse.end), lapse.fatal, lapse.ended) for lapse in facts.lapses
    ]


def hearing(
    claimed: LogIdentity, facts: ChainFacts | Unreachable, limits: AuditLimits
) -> Callable[[Entry], bool]:
    """Which of the agent's entries in a log speak of it, as an audit takes them: all, if the chain can't be asked."""
    if isinstance(facts, Unreachable):
        return lambda entry: True
    return Hearing(facts, limits).takes if claimed == facts.identity else lambda entry: False


def window(facts: ChainFacts | Unreachable) -> tuple[int, int] | None:
    """Between which unix seconds an entry of the agent can have been written, give or take a day."""
    if isinstance(facts, Unreachable) or not facts.history:
        return None
    return facts.history[0].block.timestamp - DAY, facts.as_of.timestamp + DAY


def death_proof(
    log: str, agent: bytes, result: AuditResult, password_file: Path | None = None
) -> EntryProof | None:
    """The proof of the death receipt under the head on chain; None where there is none, or it can't be made."""
    if result.death is None or result.head is None or result.integrity.result is not Result.VERIFIED:
        return None
    try:
        with open_log(log, password_file) as reader:
            proof = prove(reader, result.death.index, result.head.size, agent)
    except GuardError:  # the receipt is not anchored yet; the report's other words say so
        return None
    if proof.checkpoint.root != result.head.root:
        return None
    body, head = proof.body.decode(), result.head
    return EntryProof(proof.index, body, proof.leaf, proof.hashes, head.size, head.root)


def _votes(connection: Connection, agent: bytes, facts: ChainFacts) -> list[Vote]:
    """The newest votes about the agent and the fleet, oldest first."""
    contract, first, about = connection.contract, connection.deployment.deploy_block, (agent, FLEET)
    with Lanes() as lanes:
        found = history.events(contract, ["Voted"], first, facts.as_of, about, lanes)
        newest = deque(found, MOST_VOTES)
        return [_vote(event, block) for event, block in dated(connection.endpoint, newest, lanes)]


def _vote(event: history.Event, block: Block) -> Vote:
    said = event.arguments
    return Vote(
        block=block,
        action=Action(said["action"]),
        signer=said["signer"],
        agent=bytes(said["agent"]),
        epoch=said["epoch"],
        votes=said["votes"],
        needed=said["needed"],
        transaction=event.transaction_hash,
    )
