"""Shows a fork to the council: `ICouncil.proveFork`, first to see what it would do, then for good.

Trusts the endpoint for what a simulation says; the contract checks everything anew when it is sent.
"""

from collections.abc import Sequence
from typing import Protocol

from web3.contract.contract import ContractFunction
from web3.exceptions import ContractLogicError
from web3.types import TxReceipt

from agent_guard.chain.council import CouncilContract
from agent_guard.chain.reverts import explain_revert
from agent_guard.chain.sender import Sender
from agent_guard.errors import GuardError
from agent_guard.types import Block


class Claimed(Protocol):
    """A head with the operator's signature; an empty one means the chain's own head."""

    @property
    def size(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...


class Opened(Protocol):
    """Two heads, and the frontier and nodes that open the newer one (`agent_guard.log.fork.Fork`)."""

    @property
    def older(self) -> Claimed: ...
    @property
    def newer(self) -> Claimed: ...
    @property
    def frontier(self) -> Sequence[bytes]: ...
    @property
    def nodes(self) -> Sequence[bytes]: ...


def would_halt(council: CouncilContract, operator: str, agent: bytes, fork: Opened, block: Block) -> None:
    """Has the council judge the proof at this block, and change nothing.

    Raises:
        GuardError: AG433 naming the council's reason if it refuses, AG201 no usable answer.
    """
    call = _call(council, operator, agent, fork)
    data = council.contract.encode_abi("proveFork", call.args)
    pinned = {"blockHash": "0x" + block.hash.hex(), "requireCanonical": True}
    with council.endpoint.calling("ask the council about the proof"):
        try:
            council.endpoint.ask("eth_call", {"to": council.address, "data": data}, pinned)
        except ContractLogicError as error:
            raise GuardError(
                "AG433",
                f"Nothing is proven: asked, the council {explain_revert(error.data)}. Nothing was sent.",
                "Bring heads that this operator signed for this council, and that no one log can have.",
            ) from error


def prove(council: CouncilContract, operator: str, agent: bytes, fork: Opened, sender: Sender) -> TxReceipt:
    """Sends the proof, which halts the agent. Raises what `Sender.send` raises."""
    return sender.send(_call(council, operator, agent, fork), "prove the fork")


def _call(council: CouncilContract, operator: str, agent: bytes, fork: Opened) -> ContractFunction:
    older, newer = ((head.size, head.root, head.signature) for head in (fork.older, fork.newer))
    return council.contract.functions.proveFork(
        operator, [agent], older, newer, list(fork.frontier), list(fork.nodes)
    )
