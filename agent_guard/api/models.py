"""The API's shapes, as pydantic models: strict (nothing is coerced) and closed (an unknown field is an error)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent_guard.types import Block

ToolName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[\w.:/@+-]+$"),
    Field(description="What is done, such as `fs.write`: letters, digits and `_ . : / @ + -`."),
]
IdempotencyKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$"),
    Field(description="Names this action for ever: sent again it answers as the first time. Visible ASCII."),
]


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ProposedAction(_Closed):
    """An action the agent wants to do. Do it only after a 200 whose `decision` is `allow`."""

    tool: ToolName
    arguments: dict[str, Any] = Field(default={}, description="What it is done with: any JSON object.")
    idempotency_key: IdempotencyKey | None = None
    critical: bool = Field(default=False, description="Anchor this action on chain at once.")


class ProposedBatch(_Closed):
    """Several actions, each decided for itself; all intents are durable before the answer."""

    actions: list[ProposedAction] = Field(min_length=1, max_length=256)


class Outcome(_Closed):
    """How an allowed action ended. Recorded once."""

    status: Literal["ok", "error"]
    result: Any = Field(default=None, description="Any JSON value.")


class ErasureOrder(_Closed):
    """Erase the content of the entry `seq`, which must be this agent's; null: the guard's own."""

    agent: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None
    seq: int = Field(ge=0, lt=2**53)
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class ContentErased(BaseModel):
    """The content is gone; the entry `record` says so, and did before if `repeated`."""

    erased: Literal[True]
    seq: int
    record: int
    repeated: bool


class ObservedBlock(BaseModel):
    """The chain's block that the guard had read when it decided."""

    number: int
    hash: str
    timestamp: int = Field(description="Unix seconds.")


class Decided(BaseModel):
    """The answer when the intent is durable. Act only on `allow`."""

    seq: int = Field(description="The action's number: its index in the guard's log.")
    decision: Literal["allow", "deny", "wait"]
    leaf_hash: str = Field(description="RFC 6962 leaf hash of the intent's entry, hexadecimal.")
    observed_block: ObservedBlock | None


class ErrorDetail(BaseModel):
    """What failed, and what to do."""

    code: str
    kind: str
    message: str
    remedy: str


class Failure(BaseModel):
    """The one error shape. Whatever its status: do not act."""

    error: ErrorDetail


class Undecided(Failure):
    """A batch's action that was refused."""

    decision: Literal["deny"] = "deny"


class DecidedBatch(BaseModel):
    """One result for each action of the batch, in its order."""

    results: list[Decided | Undecided]


class Closed(BaseModel):
    """The answer when the outcome is durable."""

    seq: int
    outcome_seq: int = Field(description="Index of the outcome's own entry.")
    leaf_hash: str


class InclusionProof(BaseModel):
    """RFC 6962 inclusion of one entry in an anchored head."""

    index: int
    tree_size: int
    root: str
    hashes: list[str]
    checkpoint: str = Field(description="The anchored head as a C2SP signed note.")
    tx: str | None = Field(description="The transaction that anchored it.")


class SignedReceipt(BaseModel):
    """The operator's signed head (EIP-712 `Head`) over one entry, and the entry's RFC 6962 inclusion in it.

    Without `inclusion` it is the file that `agent-guard log accuse` takes.
    """

    chain_id: int
    council: str
    operator: str
    size: int
    root: str
    signature: str
    inclusion: list[str]


class Recorded(BaseModel):
    """An intent as the log holds it."""

    seq: int
    tool: str | None = Field(description="null where the content was erased.")
    arguments: dict[str, Any] | None
    entry: str = Field(
        description="The entry's canonical JSON; SHA-256 of a zero byte and it is the leaf hash."
    )
    leaf_hash: str
    closed_by: int | None = Field(
        description="Index of the outcome, or of the refusal that withdrew the yes."
    )
    proof: InclusionProof | None = Field(description="null until a head that covers the entry is anchored.")
    receipt: SignedReceipt | None = Field(
        description="null until a head that covers the entry is signed: ask again."
    )


class AnchorLag(BaseModel):
    """The tail of the log that no anchor covers yet, and where the gate closes."""

    entries: int
    seconds: float
    max_entries: int
    max_seconds: float


class Status(BaseModel):
    """Where the agent stands."""

    agent: str
    may_act: bool
    verdict: Literal["run", "freeze", "halt"]
    reason: str
    stopping: bool = Field(description="A stop was announced (AG620): save your work and exit.")
    state: str | None
    epoch: int | None
    observed_block: ObservedBlock | None
    anchor_lag: AnchorLag
    policy: str
    refusals_unrecorded: int


class Health(BaseModel):
    """The server answers; nothing more is claimed."""

    ok: Literal[True] = True


class BallotAccepted(BaseModel):
    """The ballot counts. The guard relays it to the chain."""

    accepted: Literal[True] = True
    signer: str


class GuardedAgent(BaseModel):
    """One agent of the guard."""

    agent: str
    verdict: Literal["run", "freeze", "halt"]
    reason: str
    stopping: bool
    phase: Literal["waiting", "living", "halted", "ended"]
    state: str | None = Field(description="As the chain has it.")
    epoch: int | None
    deaths: int = Field(description="Kills that left a death receipt, since this guard began.")


class Endpoints(BaseModel):
    """How many endpoints say what the quorum says, and what each of the others says instead."""

    agree: int
    needed: int
    total: int
    dissent: dict[str, str]


class GuardLag(BaseModel):
    """The tail of the log that no anchor covers yet."""

    entries: int
    seconds: float


class Witnesses(BaseModel):
    """How many witnesses have cosigned the newest anchored head, and what is wrong with the others."""

    cosigned: int
    total: int
    trouble: dict[str, str]


class GuardStatus(BaseModel):
    """Where one guard and its agents stand; at most half a second old."""

    as_of: float = Field(description="Unix seconds.")
    block: ObservedBlock | None
    agents: list[GuardedAgent]
    endpoints: Endpoints
    anchor_lag: GuardLag
    ballots: dict[Literal["accepted", "refused", "malformed"], int]
    witnesses: Witnesses


def block_of(block: Block | None) -> dict[str, Any] | None:
    """A block in the shape of `ObservedBlock`."""
    if block is None:
        return None
    return {"number": block.number, "hash": "0x" + block.hash.hex(), "timestamp": block.timestamp}
