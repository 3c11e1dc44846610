"""The anchoring loop on a real chain: what the contract holds, after every accident, is the log's own head."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from agent_guard import typed_data
from agent_guard.chain.anchoring import HeadWriter
from agent_guard.chain.sender import Sender
from agent_guard.errors import GuardError
from agent_guard.keys import keystore
from agent_guard.log import reading
from agent_guard.log.anchor import Anchor, AnchorPolicy, HeadSigner
from agent_guard.log.recorder import Recorder
from agent_guard.merkle import verify_inclusion
from agent_guard.store import SqliteStore
from agent_guard.types import LogIdentity

pytestmark = pytest.mark.chain
POLICY = AnchorPolicy(entries=50, seconds=3600, leaves=8, recheck=0.2, retry=0.05, retry_max=0.2)


@dataclass
class Operator:
    """A guard's log, its anchoring loop, and the operator's key, over the town's council."""

    town: Any
    stack: ExitStack = field(default_factory=ExitStack)
    timeout: float = 30.0

    def __post_init__(self) -> None:
        contract, path = self.town.contract, self.town.keys.folder / "operator"
        self.account = keystore.unlock(path, "devnet")
        self.writer = HeadWriter(contract, Sender(contract.endpoint, self.account, self.timeout))

    def begin(self, policy: AnchorPolicy = POLICY, home: str = "home") -> tuple[Anchor, Recorder]:
        contract = self.town.contract
        identity = LogIdentity(31_337, contract.address, self.account.address)
        store = self.stack.enter_context(SqliteStore(self.town.folder / home / "log.sqlite", identity))
        anchor = Anchor(store, self.writer, HeadSigner(lambda size, root: f"{size}", self._sign), policy)
        self.stack.callback(anchor.close)
        recorder = Recorder(store, contract.endpoint.block, anchor.wake)
        self.stack.callback(recorder.close)
        anchor.start()
        self.store = store
        return anchor, recorder

    def _sign(self, size: int, root: bytes) -> bytes:
        message = typed_data.head_typed_data(size, root, 31_337, self.town.contract.address)
        return bytes(self.account.sign_typed_data(full_message=message).signature)

    def head(self) -> Any:
        return self.writer.head()


@pytest.fixture
def operator(town: Any) -> Iterator[Operator]:
    made = Operator(town)
    yield made
    made.stack.close()


def record(recorder: Recorder, count: int) -> None:
    for done in [recorder.append("walker", "config", {"n": n}) for n in range(count)]:
        done.result()


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def anchored(operator: Operator, recorder: Recorder) -> bool:
    head, ours = operator.head(), recorder.head()
    return bool((head.size, head.root) == (ours.size, ours.root))


def extended(operator: Operator) -> list[tuple[int, int]]:
    events = operator.town.contract.contract.events.Extended().get_logs(
        from_block=0, argument_filters={"operator": operator.account.address}
    )
    return [(event["args"]["oldSize"], event["args"]["newSize"]) for event in events]


def test_contract_accepts_every_step_of_a_growing_log(operator: Operator) -> None:
    anchor, recorder = operator.begin()
    for count in (1, 1, 3, 8, 30, 45):
        record(recorder, count)
        anchor.flush(60)
        assert anchored(operator, recorder)
    assert extended(operator) == [(0, 1), (1, 2), (2, 5), (5, 13), (13, 43), (43, 88)]


def test_critical_entry_is_in_calldata_at_once_after_a_range(operator: Operator) -> None:
    _, recorder = operator.begin()
    record(recorder, 20)
    leaf = recorder.append("walker", "death", {}).result().leaf_hash
    until(lambda: anchored(operator, recorder))
    assert extended(operator) == [(0, 20), (20, 21)]
    endpoint = operator.town.connection.endpoint
    block = endpoint.web3.eth.get_block("latest", full_transactions=True)
    assert leaf in bytes(block["transactions"][0]["input"])


def test_every_anchored_entry_has_a_proof_to_the_contracts_root(operator: Operator) -> None:
    anchor, recorder = operator.begin()
    record(recorder, 21)
    anchor.flush(60)
    root = operator.head().root
    with operator.store.reader() as reader:
        for index in range(21):
            proof = reading.prove(reader, index)
            verify_inclusion(proof.leaf, index, 21, proof.hashes, root)


def test_operators_signature_of_the_head_is_his(operator: Operator) -> None:
    anchor, recorder = operator.begin()
    record(recorder, 5)
    anchor.flush(60)
    with operator.store.reader() as reader:
        saved = reader.checkpoint_at_most(5)
    assert saved is not None
    message = typed_data.head_typed_data(5, operator.head().root, 31_337, operator.town.contract.address)
    signer = Account.recover_message(encode_typed_data(full_message=message), signature=saved.signature)
    assert signer == operator.account.address


def test_transaction_mined_after_its_timeout_is_not_sent_twice(operator: Operator) -> None:
    operator.timeout = 0.5
    operator.__post_init__()
    anchor, recorder = operator.begin(AnchorPolicy(entries=50, seconds=3600, retry=2.0))
    until(lambda: anchor._next_check > 0)
    operator.town.rpc("evm_setAutomine", False)
    try:
        record(recorder, 50)
        until(lambda: anchor.trouble is not None)
        assert "not mined" in str(anchor.trouble)
    finally:
        operator.town.rpc("evm_mine")
        operator.town.rpc("evm_setAutomine", True)
    until(lambda: anchor.trouble is None)
    assert extended(operator) == [(0, 50)]
    assert anchor.lag()[0] == 0


def test_anchor_that_a_reorg_undid_is_sent_again(operator: Operator) -> None:
    anchor, recorder = operator.begin()
    record(recorder, 5)
    anchor.flush(60)
    before = operator.town.rpc("evm_snapshot")
    record(recorder, 5)
    anchor.flush(60)
    operator.town.rpc("evm_revert", before)
    assert operator.head().size == 5
    until(lambda: anchored(operator, recorder))
    assert anchor.failed is None


def test_second_guard_with_the_same_key_cannot_rewrite_and_is_stopped_for_good(operator: Operator) -> None:
    anchor, recorder = operator.begin()
    record(recorder, 5)
    anchor.flush(60)
    other, recorder2 = Operator(operator.town, operator.stack).begin(home="other")
    recorder2.append("walker", "config", {"mine": True}).result()
    until(lambda: other.failed)
    assert other.failed is not None
    assert other.failed.code == "AG530"
    with pytest.raises(GuardError, match="not a prefix"):
        other.flush(5)
    assert anchored(operator, recorder)


def test_restart_goes_on_from_the_contracts_size(operator: Operator) -> None:
    anchor, recorder = operator.begin()
    record(recorder, 13)
    anchor.flush(60)
    record(recorder, 4)
    operator.stack.close()
    anchor, recorder = operator.begin()
    assert recorder.head().size == 17
    anchor.flush(60)
    assert anchored(operator, recorder)
    assert extended(operator) == [(0, 13), (13, 17)]
