"""What a proof of ours carries beside the proof: the entry, its content, the operator's signature, the chain's state.

It stands in the `extra` line of a `tlog-proof` as canonical JSON (RFC 8785). Nothing authenticates it there: each part
is worth what it hashes to, which `agent_guard.audit.bundle` checks. Hexadecimal is in lower case after "0x".

    format     "agent-guard/proof/1"
    entry      the entry's bytes (they are ASCII)
    content    {"body": canonical JSON, "salt": 32 bytes in hex}      left out if erased or not given
    signature  65 bytes in hex: the operator's EIP-712 signature of the checkpoint's size and root      may be left out
    state      {"account": [node, ..], "header": {..}, "operator": [node, ..], "root": [node, ..], "size": [node, ..]}
               may be left out: a block's header as eth_getBlockByHash gives it, and eth_getProof in that block of the
               log's two slots and of the one that names the agent's operator
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_guard import canonical
from agent_guard.entry import MAX_ENTRY
from agent_guard.tlog.form import FormatError

MAX_NODES = 64
"""A path in the chain's tries has at most 64 nibbles."""

_Node = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2}){1,4096}$")]
_Nodes = Annotated[tuple[_Node, ...], Field(max_length=MAX_NODES)]
_Quantity = Annotated[str, Field(pattern=r"^0x[0-9a-f]{0,1024}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenContent(_Model):
    """What the entry commits to."""

    body: str
    salt: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


class StateProof(_Model):
    """What the contract held in the state of one block (EIP-1186): the log's head, and who guards the agent."""

    account: _Nodes
    header: Annotated[dict[str, _Quantity], Field(max_length=40)]
    operator: _Nodes
    root: _Nodes
    size: _Nodes


class Evidence(_Model):
    """The module's docstring describes the fields."""

    format: Literal["agent-guard/proof/1"] = "agent-guard/proof/1"
    entry: Annotated[str, Field(max_length=MAX_ENTRY)]
    content: OpenContent | None = None
    signature: Annotated[str, Field(pattern=r"^0x[0-9a-f]{130}$")] | None = None
    state: StateProof | None = None

    def encode(self) -> bytes:
        """The canonical JSON that `decode_evidence` reads."""
        return canonical.encode(self.model_dump(mode="json", exclude_none=True))


def decode_evidence(data: bytes) -> Evidence:
    """The evidence that `Evidence.encode` gives these bytes for; `FormatError` for any other bytes."""
    try:
        value: Any = canonical.decode(data)
        evidence = Evidence.model_validate(value)
    except canonical.NotCanonical as error:
        raise FormatError(f"what the proof carries is {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise FormatError(f"what the proof carries is not ours: {where}: {first['msg']}") from error
    if evidence.encode() != data:
        raise FormatError("what the proof carries has another spelling than ours")
    return evidence
