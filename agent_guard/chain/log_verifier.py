"""Asks the chain itself whether an entry is in an anchored log: `contracts/periphery/LogVerifier.sol`.

Guarantees: says yes only if the verifier's code answered so for the council's head at one named block. Trusts the
endpoint for what it answers, as every read does, and that the recorded address holds the verifier (`deployment.check`).
"""

from collections.abc import Sequence

from web3.exceptions import ContractLogicError

from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.periphery import verifier_artifact
from agent_guard.chain.reverts import explain_revert
from agent_guard.errors import GuardError
from agent_guard.types import Block


class LogVerifier:
    """The verifier at `address`, read through one endpoint."""

    def __init__(self, endpoint: Endpoint, address: str) -> None:
        self.endpoint = endpoint
        self.address = endpoint.web3.to_checksum_address(address)
        self._contract = endpoint.web3.eth.contract(address=self.address, abi=verifier_artifact()["abi"])

    def verify_entry(
        self, council: str, operator: str, index: int, entry: bytes, proof: Sequence[bytes], block: Block
    ) -> tuple[int, bytes]:
        """Has the chain verify that these bytes are entry `index` of the operator's anchored log.

        Args:
            proof: RFC 9162 inclusion proof, lowest hash first.

        Returns:
            Size and root of the head that it was verified against.

        Raises:
            GuardError: AG431 the contract refused the proof, AG201 no usable answer.
        """
        arguments = (council, operator, index, entry, list(proof))
        data = self._contract.encode_abi("verifyEntry", arguments)
        pinned = {"blockHash": "0x" + block.hash.hex(), "requireCanonical": True}
        with self.endpoint.calling("ask the log verifier"):
            try:
                answer = self.endpoint.ask("eth_call", {"to": self.address, "data": data}, pinned)
            except ContractLogicError as error:
                raise self._refused(index, error) from error
            size, root = self.endpoint.web3.codec.decode(["uint64", "bytes32"], bytes.fromhex(answer[2:]))
        return size, root

    def _refused(self, index: int, error: ContractLogicError) -> GuardError:
        return GuardError(
            "AG431",
            f"The log verifier {self.address} refuses the proof of entry {index}: it {explain_revert(error.data)}.",
            "Find out more with: agent-guard audit AGENT",
        )
