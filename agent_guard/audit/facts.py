"""What an audit needs to know of the chain, as plain values: no word of it comes from the operator.

Built from any chain node by whoever wires the audit; all of it read at one block, `as_of`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from agent_guard.types import AgentState, Block, Head, LogIdentity


class Event(Enum):
    """The council's events that decide when an agent may act (`ICouncil`)."""

    REGISTERED = "Registered"
    PAUSED = "Paused"
    HALTED = "Halted"
    RESUME_SCHEDULED = "ResumeScheduled"
    VETOED = "Vetoed"
    RESUMED = "Resumed"
    RETIRED = "Retired"
    OPERATOR_CHANGED = "OperatorChanged"


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, of the audited agent or of the fleet (id 0).

    Args:
        event: which. A veto of anything but a resume (its `param` is not 0) is left out.
        agent: 32-byte id.
        block: where it stands, with its timestamp.
        epoch: the epoch that the event names.
        until: PAUSED: unix seconds.
        operator: REGISTERED and OPERATOR_CHANGED: the operator from then on (checksummed).
        size: entries that the audited log had on chain then.
        former: OPERATOR_CHANGED: the operator before ("" if none). `former_size`: entries of his log on chain then.
        by_fork: HALTED: by a proof that the operator signed two histories, without a vote.
    """

    event: Event
    agent: bytes
    block: Block
    epoch: int
    until: int = 0
    operator: str = ""
    by_fork: bool = False
    size: int = 0
    former: str = ""
    former_size: int = 0


@dataclass(frozen=True, slots=True)
class Extension:
    """One anchor of the operator's log (`Extended`): sizes in entries, the root of 32 bytes after it."""

    block: Block
    old_size: int
    new_size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Lapse:
    """Blocks in which the agent's lease had run out: from `block` on, to the height `end` (without) of the next lease.

    `fatal`: when its grace was over (unix seconds) and nobody had renewed it, so that the agent is to be killed; None
    if somebody had, or it is not over. `ended`: the second at which the lease ended, by the contract, which may lie
    before that block's; 0 if it is not known.
    """

    block: Block
    end: int
    fatal: int | None = None
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """When an entry was written, by the chain alone.

    Args:
        after: unix seconds of the last anchor that does not cover it, 0 if there is none.
        by: the block that anchored it, the newest one if none did yet, None where the node did not give all anchors.
    """

    after: int = 0
    by: Block | None = None


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """The chain's side of an audit.

    Args:
        identity: the chain and the council that were asked (its code checked), and the operator whose head was read.
        as_of: the block at which everything was read.
        head: that operator's head.
        state: the audited agent.
        history: happenings of the agent and of the fleet since the council's deployment, oldest first.
        extensions: all anchors of that operator, oldest first.
        block_at: the chain's block at a height, None if there is none. Raises `GuardError` if it can't be read.
        lapses: when the agent's lease had run out, oldest first (leases.py).
    """

    identity: LogIdentity
    as_of: Block
    head: Head
    state: AgentState
    history: Sequence[Happening]
    extensions: Sequence[Extension]
    block_at: Callable[[int], Block | None]
    lapses: Sequence[Lapse] = ()


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The chain could not be asked; `why` in words ("no answer from http://...")."""

    why: str
