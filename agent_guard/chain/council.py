"""The council contract, read through one endpoint. Every read names its block.

Trusts the endpoint for what it answers; who believes an answer, and when, is decided in `guard/verdict.py`.
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

from eth_hash.auto import keccak
from eth_utils.abi import get_abi_output_types
from web3 import Web3
from web3.exceptions import ContractLogicError

from agent_guard.chain.artifact import council_artifact
from agent_guard.chain.endpoint import Endpoint
from agent_guard.errors import GuardError
from agent_guard.types import (
    Action,
    AgentState,
    Block,
    Council,
    Head,
    State,
    Thresholds,
    Timing,
)


class CouncilContract:
    """Typed reads of one council. `address` is checksummed.

    Every method raises `GuardError` AG201 when the endpoint gives no usable answer.
    """

    def __init__(self, endpoint: Endpoint, address: str) -> None:
        self.endpoint = endpoint
        self.address = endpoint.web3.to_checksum_address(address)
        self.contract = endpoint.web3.eth.contract(address=self.address, abi=council_artifact()["abi"])

    def call(self, name: str, *arguments: object, block: Block) -> Any:
        """One `eth_call`, pinned to the block's hash (EIP-1898). A revert is AG203: no view of the council reverts."""
        with self.endpoint.calling(f"read {name}() of the council"):
            answer = self._ask(name, self.contract.encode_abi(name, arguments), block)
            values = self.endpoint.web3.codec.decode(_outputs(name), answer)
            return values[0] if len(values) == 1 else values

    def _ask(self, name: str, data: str, block: Block) -> bytes:
        pinned = {"blockHash": "0x" + block.hash.hex(), "requireCanonical": True}
        try:
            answer = self.endpoint.ask("eth_call", {"to": self.address, "data": data}, pinned)
        except ContractLogicError as error:
            raise GuardError(
                "AG203",
                f"{name}() of {self.address} reverted, as no view of a council does. Nothing was read.",
                "Check the record with: agent-guard deployment check",
            ) from error
        return bytes.fromhex(answer[2:])

    def council(self, block: Block) -> Council:
        signers, thresholds, timing, set_version = self.call("council", block=block)
        signers = map(self.endpoint.web3.to_checksum_address, signers)
        return Council(tuple(signers), Thresholds(*thresholds), Timing(*timing), set_version)

    def snapshot(self, agents: Sequence[bytes], block: Block) -> dict[bytes, AgentState]:
        """All these agents (id 0 for the fleet) at one block, in one call."""
        with self.endpoint.calling("read snapshot() of the council"):
            answer = self._ask("snapshot", _snapshot_call(tuple(agents)), block)
            states = {state.agent: state for state in map(_to_agent_state, _rows(answer, len(agents)))}
            if not states.keys() >= set(agents):
                raise ValueError("the answer leaves agents out")
            return states

    def proof(self, slots: Sequence[bytes], block: Block) -> dict[str, Any]:
        """The node's answer to `eth_getProof` for these slots of the contract (32 bytes each), at one block's hash."""
        keys, pinned = ["0x" + slot.hex() for slot in slots], {"blockHash": "0x" + block.hash.hex()}
        with self.endpoint.calling("read a state proof"):
            return dict(self.endpoint.ask("eth_getProof", self.address, keys, pinned))

    def votes(self, agent: bytes, action: Action, param: bytes, block: Block) -> tuple[int, int, int]:
        """Votes that count at this block, votes needed, and who: a bitmap over the present signers."""
        count, needed, voters = self.call("votes", agent, int(action), param, block=block)
        return count, needed, voters

    def scheduled_at(self, agent: bytes, action: Action, param: bytes, block: Block) -> int:
        return int(self.call("scheduledAt", agent, int(action), param, block=block))

    def head(self, operator: str, block: Block) -> Head:
        return Head(*self.call("headOf", operator, block=block))


@cache
def _outputs(name: str) -> list[str]:
    """The ABI types of what a view returns."""
    (view,) = (item for item in council_artifact()["abi"] if item.get("name") == name)
    return get_abi_output_types(view)


@cache
def _widths() -> list[int]:
    """The bits of each field of `ICouncil.Snapshot`."""
    (view,) = (item for item in council_artifact()["abi"] if item.get("name") == "snapshot")
    kinds = [str(part["type"]) for part in view["outputs"][0]["components"]]
    named = {"bool": 1, "address": 160, "bytes32": 256}
    return [named.get(kind) or int(kind.removeprefix("uint")) for kind in kinds]


@lru_cache(maxsize=16)
def _snapshot_call(agents: tuple[bytes, ...]) -> str:
    """The call's data. Written out, with `_rows`: a codec takes 20 ms for a hundred agents, and a halt waits for it."""
    head = keccak(b"snapshot(bytes32[])")[:4] + (32).to_bytes(32, "big") + len(agents).to_bytes(32, "big")
    return "0x" + (head + b"".join(agents)).hex()


def _rows(answer: bytes, count: int) -> Iterator[list[int]]:
    """The fields of each row of `snapshot`'s answer (Solidity ABI, an array of static tuples) as integers."""
    widths = _widths()
    size = 32 * len(widths)
    head = (32).to_bytes(32, "big") + count.to_bytes(32, "big")
    if not answer.startswith(head) or len(answer) != len(head) + count * size:
        raise ValueError("the answer has not one row for each agent")
    for start in range(len(head), len(answer), size):
        words = [int.from_bytes(answer[at : at + 32], "big") for at in range(start, start + size, 32)]
        if any(word >> width for word, width in zip(words, widths, strict=True)):
            raise ValueError("a value is out of its type's range")
        yield words


def _to_agent_state(row: Sequence[int]) -> AgentState:
    (agent, state, may_run, epoch, arms, vetoes, halt_votes, resume_votes, *rest) = row
    (paused_until, lease_until, resume_ready_at, operator, size, root, anchored_at, halted_size) = rest
    return AgentState(
        agent=agent.to_bytes(32, "big"),
        state=State(state),
        may_run=bool(may_run),
        epoch=epoch,
        arms=arms,
        vetoes=vetoes,
        halt_votes=halt_votes,
        resume_votes=resume_votes,
        paused_until=paused_until,
        lease_until=lease_until,
        resume_ready_at=resume_ready_at,
        operator=_address(operator),
        head=Head(size, root.to_bytes(32, "big"), anchored_at),
        halted_size=halted_size,
    )


@lru_cache(maxsize=1024)
def _address(number: int) -> str:
    return str(Web3.to_checksum_address(number.to_bytes(20, "big")))
