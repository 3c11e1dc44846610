"""Sends transactions from one account: simulated first, sent once, waited for, and every failure explained.

A transaction that was sent is never sent a second time by itself: the error names its hash, so that a person (or the
anchoring loop, which reads the chain's size first) decides.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractLogicError, TimeExhausted, Web3RPCError
from web3.types import TxParams, TxReceipt

from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.reverts import explain_revert
from agent_guard.errors import GuardError


class Sender:
    """An account that pays. One transaction at a time, so that nonces can't collide within a process.

    Args:
        endpoint: where to send.
        account: the unlocked key.
        timeout: seconds to wait until a transaction is mined.
    """

    def __init__(self, endpoint: Endpoint, account: LocalAccount, timeout: float) -> None:
        self.endpoint = endpoint
        self.account = account
        self.timeout = timeout
        self._one_at_a_time = threading.Lock()

    @property
    def address(self) -> str:
        return str(self.account.address)

    def send(self, call: ContractFunction | ContractConstructor, what: str) -> TxReceipt:
        """Sends `call`, returns the receipt of its success.

        Args:
            call: a bound contract function or constructor.
            what: in words, for errors ("extend the log").

        Raises:
            GuardError: AG205 would revert, reverted, or not mined in time; AG206 no funds; AG201 no answer.
        """
        with self._one_at_a_time:
            transaction = self._prepare(call, what)
            with self.endpoint.calling(what):
                signed = self.account.sign_transaction(transaction)  # type: ignore[arg-type]
            tx_hash = self._broadcast(bytes(signed.raw_transaction), what)
            return self._mined(tx_hash, what)

    def _prepare(self, call: ContractFunction | ContractConstructor, what: str) -> TxParams:
        try:
            with self._explaining(what):
                eth = self.endpoint.web3.eth
                nonce = eth.get_transaction_count(self.account.address, "pending")
                transaction = call.build_transaction({"from": self.account.address, "nonce": nonce})
                # An estimate is of the present state: votes that land before ours may make ours cost more.
                transaction["gas"] = transaction["gas"] * 5 // 4 + 20_000
                return transaction
        except ContractLogicError as error:
            raise GuardError(
                "AG205",
                f"Could not {what}: it {explain_revert(error.data)}. Nothing was sent.",
                "See where things stand with: agent-guard status",
            ) from error

    def _broadcast(self, raw: bytes, what: str) -> bytes:
        with self._explaining(what):
            return bytes(self.endpoint.web3.eth.send_raw_transaction(raw))

    def _mined(self, tx_hash: bytes, what: str) -> TxReceipt:
        shown = "0x" + tx_hash.hex()
        try:
            with self.endpoint.calling(f"{what}: waiting for {shown}"):
                receipt = self.endpoint.web3.eth.wait_for_transaction_receipt(
                    Hash32(tx_hash), timeout=self.timeout, poll_latency=0.05
                )
        except GuardError as error:
            if not isinstance(error.__cause__, TimeExhausted):
                raise
            raise GuardError(
                "AG205",
                f"Could not {what}: {shown} was sent but not mined within {self.timeout:g} s; it may still be.",
                "Look the transaction up; send again only if it was dropped.",
            ) from error
        if receipt["status"] != 1:
            raise GuardError(
                "AG205",
                f"Could not {what}: {shown} reverted in block {receipt['blockNumber']}. Nothing changed.",
                "See where things stand with: agent-guard status",
            )
        return receipt

    @contextmanager
    def _explaining(self, what: str) -> Iterator[None]:
        """Turns the node's refusal of a transaction into AG205 or AG206, anything else into AG201."""
        try:
            with self.endpoint.calling(what):
                yield
        except GuardError as error:
            if isinstance(error.__cause__, Web3RPCError):
                raise self._refused(what, str(error.__cause__.message)) from error
            raise

    def _refused(self, what: str, message: str) -> GuardError:
        if "insufficient funds" in message.lower():
            return GuardError(
                "AG206",
                f"Could not {what}: {self.address} holds too little to pay for gas. Nothing was sent.",
                "Send the account some of the chain's coin, or use another --account.",
            )
        return GuardError(
            "AG205",
            f"Could not {what}: the node refused it ({message[:200]}). Nothing was sent.",
            "See where things stand with: agent-guard status",
        )
