"""One operator's log head on chain: what it is, and extending it."""

from collections.abc import Sequence

from agent_guard.chain.council import CouncilContract
from agent_guard.chain.sender import Sender
from agent_guard.types import Head


class HeadWriter:
    """Reads and extends the head of the sender's own log."""

    def __init__(self, contract: CouncilContract, sender: Sender) -> None:
        self.contract = contract
        self.sender = sender

    def head(self) -> Head:
        """The head at the newest block. Raises AG201."""
        return self.contract.head(self.sender.address, self.contract.endpoint.block())

    def extend(self, new_size: int, frontier: Sequence[bytes], nodes: Sequence[bytes]) -> str:
        """Anchors a longer log; returns the transaction's hash ("0x" hex) once it is mined.

        Raises:
            GuardError: AG205 if the contract refuses the extension or it is not mined in time, AG206, AG201.
        """
        call = self.contract.contract.functions.extend(new_size, list(frontier), list(nodes))
        receipt = self.sender.send(call, f"anchor the log at {new_size} entries")
        return "0x" + bytes(receipt["transactionHash"]).hex()
