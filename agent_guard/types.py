"""The words of the design as types: agents, states, actions, blocks, readings, heads and ballots.

Frozen values without behaviour of their own; the numbers of the enums are those of `ICouncil.sol`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

FLEET = bytes(32)
"""The id that stands for the whole fleet."""


class State(IntEnum):
    """What the contract says an agent is (`ICouncil.State`)."""

    NONE = 0
    RUNNING = 1
    PAUSED = 2
    LAPSED = 3
    HALTED = 4
    RESUMING = 5
    RETIRED = 6


class Action(IntEnum):
    """What signers vote on (`ICouncil.Action`)."""

    NONE = 0
    HALT = 1
    RESUME = 2
    RETIRE = 3
    PAUSE = 4
    VETO = 5
    REARM = 6
    REGISTER = 7
    SET_OPERATOR = 8
    ROTATE = 9


class Refusal(IntEnum):
    """Why the contract does not count a vote (`ICouncil.Refusal`)."""

    NONE = 0
    NOT_A_SIGNER = 1
    BAD_SIGNATURE = 2
    WRONG_SET = 3
    WRONG_EPOCH = 4
    EXPIRED = 5
    DEADLINE_TOO_FAR = 6
    UNKNOWN_ACTION = 7
    UNKNOWN_AGENT = 8
    WRONG_STATE = 9
    WRONG_PARAM = 10
    ALREADY_VOTED = 11
    ALREADY_DECIDED = 12


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was read: height, 32-byte hash, unix seconds."""

    number: int
    hash: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a log: entries and RFC 6962 root; `anchored_at` in unix seconds, 0 if never anchored."""

    size: int
    root: bytes
    anchored_at: int = 0


@dataclass(frozen=True, slots=True)
class AgentState:
    """One agent as the contract's `snapshot` gives it, all of one block (`ICouncil.Snapshot`).

    `operator` is a checksummed address. Times are unix seconds, 0 where they don't apply.
    """

    agent: bytes
    state: State
    may_run: bool
    epoch: int
    arms: int
    vetoes: int
    halt_votes: int
    resume_votes: int
    paused_until: int
    lease_until: int
    resume_ready_at: int
    operator: str
    head: Head
    halted_size: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Votes needed to halt, to resume (and configure), to retire: 1 <= halt <= resume <= retire <= n."""

    halt: int
    resume: int
    retire: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: see `ICouncil.Timing`."""

    pause: int
    resume_delay: int
    ballot_window: int
    lease: int
    lease_grace: int


@dataclass(frozen=True, slots=True)
class Council:
    """The council's set at one block. `signers` are checksummed addresses in the contract's order."""

    signers: tuple[str, ...]
    thresholds: Thresholds
    timing: Timing
    set_version: int


@dataclass(frozen=True, slots=True)
class Ballot:
    """A vote to be signed (EIP-712, `ICouncil.Ballot`). `reason` is keccak256 of the reason's text."""

    agent: bytes
    action: Action
    param: bytes
    epoch: int
    set_version: int
    signer: str
    deadline: int
    reason: bytes


class Scope(Enum):
    """Which block an endpoint was asked about."""

    LATEST = "latest"
    """Its own newest."""
    PINNED = "pinned"
    """One that another endpoint had named, by its hash."""
    FINALIZED = "finalized"
    """Its own newest finalised one."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one endpoint said at one block of all the agents it was asked for, by id.

    `read_at` is the reader's monotonic clock, in seconds, when the answer was complete. `proven` are the ids whose
    state a proof showed under this block's hash; `refuted` those for which the endpoint's last proof showed another.
    `council` is the signer set that the endpoint reported last, None if never.
    """

    endpoint: str
    block: Block
    states: Mapping[bytes, AgentState]
    read_at: float
    scope: Scope = Scope.LATEST
    proven: frozenset[bytes] = frozenset()
    refuted: frozenset[bytes] = frozenset()
    council: Council | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """That an endpoint gave no usable answer, and why not."""

    endpoint: str
    why: str


Word = Sighting | Silence


class Decision(Enum):
    """What the guard lets an agent do."""

    RUN = "run"
    FREEZE = "freeze"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and, in words a person can read, why.

    `stopping`: it was planned, and takes force when its grace is over; until then the agent may save its work, and no
    new action begins.
    """

    decision: Decision
    reason: str
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many of all endpoints vouch for the standing, how many must, and what each of the others says instead."""

    agree: int
    needed: int
    total: int
    dissent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one agent stands at this moment: the latest verdict and what it rests on.

    `block` and `state` are those on which a quorum agrees, else of the newest reading, None before the first.
    """

    agent: str
    verdict: Verdict
    block: Block | None
    state: AgentState | None
    endpoints: Agreement | None = None

    @property
    def stopping(self) -> bool:
        """Whether a planned stop was announced and its grace runs."""
        return self.verdict.stopping


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Whose log it is: one operator (checksummed address) under one council (checksummed address) on one chain."""

    chain_id: int
    council: str
    operator: str
