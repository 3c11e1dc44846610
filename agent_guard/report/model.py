"""All that a report says, as plain frozen values: what the audit found, and what the log and the chain say happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent_guard.audit import AuditLimits, AuditResult, Extension, Happening
from agent_guard.audit.witnesses import NOBODY, Cosigned
from agent_guard.report.buckets import Buckets
from agent_guard.types import Action, AgentState, Block, Council, LogIdentity


@dataclass(frozen=True, slots=True)
class Line:
    """One entry for a reader: place, time (unix ms), kind, a sentence (hostile), block height, 32-byte leaf hash.

    `happened` is when what it tells of was: a halt and a death are written down only after the kill, and the receipt
    says when they were. `of_guard`: it concerns all agents of the guard.
    """

    seq: int
    time: int
    happened: int
    kind: str
    words: str
    block: int | None
    leaf: bytes
    of_guard: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """From one time to another, unix ms; no end means that none is on record."""

    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A stretch in which nothing shows whether the agent lived (unix ms), and why; no end: up to now."""

    start: int
    end: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Leaseless:
    """The agent had no lease: from one block (the first in which it had run out) to that of its next, None if none.

    `fatal`: when its grace was over and nobody had renewed it, unix seconds; None if somebody had, or it is not over.
    `ended`: the second at which the lease ended by the contract, 0 if it is not known.
    """

    start: Block
    end: Block | None
    fatal: int | None = None
    ended: int = 0

    @property
    def since(self) -> int:
        """From when on, unix ms."""
        return 1000 * (self.ended or self.start.timestamp)


@dataclass(frozen=True, slots=True)
class Vote:
    """One signer's vote on chain (`Voted`): `votes` of `needed` with it; `agent` may be the fleet's id (zeros)."""

    block: Block
    action: Action
    signer: str
    agent: bytes
    epoch: int
    votes: int
    needed: int
    transaction: bytes


@dataclass(frozen=True, slots=True)
class ChainSide:
    """What the chain says, all at the block `as_of`; the audit's own facts and, beside them, who voted.

    `council` and `votes` are None where the node did not give them, for the reason `unread`.
    """

    as_of: Block
    state: AgentState
    history: Sequence[Happening]
    extensions: Sequence[Extension]
    council: Council | None = None
    votes: Sequence[Vote] | None = None
    unread: str | None = None
    leaseless: Sequence[Leaseless] = ()


@dataclass(frozen=True, slots=True)
class LogSide:
    """What the log says of the agent (see `Chronicle`); `window`: the unix seconds that are drawn, None for any."""

    buckets: Buckets = field(default_factory=Buckets)
    kinds: Mapping[str, int] = field(default_factory=dict)
    tools: Mapping[str, int] = field(default_factory=dict)
    notable: Sequence[Line] = ()
    omitted: int = 0
    last_actions: Sequence[Line] = ()
    lives: Sequence[Span] = ()
    freezes: Sequence[Span] = ()
    unknown: Sequence[Unknown] = ()
    odd_times: int = 0
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class EntryProof:
    """RFC 9162 inclusion of one entry in the head on chain.

    `body` is the entry's canonical JSON, `hashes` the 32-byte siblings, lowest first, `size` and `root` the head.
    """

    seq: int
    body: str
    leaf: bytes
    hashes: Sequence[bytes]
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Args:
        agent: its name. `agent_id`: its 32-byte id.
        made_at: unix seconds, from the clock of whoever made it.
        version: of the program.
        log: where the log was found, as a path.
        identity: whose log it says it is.
        result: what the audit found. `limits`: those it was asked for.
        chain: None if the chain could not be asked, for the reason `unreachable`.
        proof: of the death receipt, None if there is none to prove.
        cosigned: what the witnesses say whom the auditor named.
    """

    agent: str
    agent_id: bytes
    made_at: float
    version: str
    log: str
    identity: LogIdentity
    result: AuditResult
    limits: AuditLimits
    entries: LogSide
    chain: ChainSide | None
    unreachable: str | None = None
    proof: EntryProof | None = None
    cosigned: Cosigned = NOBODY
