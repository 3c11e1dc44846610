"""Receipts: true heads over what is on disk, signed no more often than they must be."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from eth_account import Account

from agent_guard.errors import GuardError
from agent_guard.gate import Gate, History, Limits, Receipts, Recorded
from agent_guard.merkle import leaf_hash, verify_consistency, verify_inclusion
from agent_guard.merkle.prove import consistency_proof, subtree_of
from agent_guard.store import SqliteReader
from agent_guard.typed_data import head_typed_data
from agent_guard.types import LogIdentity

pytestmark = pytest.mark.unit

ACCOUNT = Account.from_key(b"\x11" * 32)
WHO = LogIdentity(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3", ACCOUNT.address)


class Signer:
    """The operator's key, and what it signed."""

    def __init__(self) -> None:
        self.signed: list[tuple[int, bytes]] = []
        self.now = 100.0
        self.acknowledged = 1 << 60

    def __call__(self, size: int, root: bytes) -> bytes:
        self.signed.append((size, root))
        message = head_typed_data(size, root, WHO.chain_id, WHO.council)
        return bytes(Account.sign_typed_data(ACCOUNT.key, full_message=message).signature)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def gate(log: Any, situation: Any, signer: Signer) -> Gate:
    receipts = Receipts(WHO, signer, lambda: signer.acknowledged, 1.0, lambda: signer.now)
    return _gate("alice", log, situation, receipts)


def _gate(agent: str, log: Any, situation: Any, receipts: Receipts) -> Gate:
    history = History(agent, log.reader, receipts)
    return Gate(agent, situation.standing, log.recorder, lambda: situation.lag, history, Limits())


def ask(gate: Gate) -> int:
    return asyncio.run(gate.propose("fs.write", {})).seq


def get(gate: Gate, seq: int) -> Recorded:
    return asyncio.run(gate.get(seq))


def test_receipt_is_the_operators_head_over_the_entry(gate: Gate, signer: Signer) -> None:
    seqs = [ask(gate) for n in range(5)]
    for seq in seqs:
        found = get(gate, seq)
        assert found.receipt is not None
        head = found.receipt.head
        assert (head.signer(), head.operator, head.size) == (ACCOUNT.address, ACCOUNT.address, 5)
        verify_inclusion(leaf_hash(found.entry), seq, head.size, found.receipt.inclusion, head.root)
    assert [size for size, _ in signer.signed] == [5]


def test_asking_again_and_again_signs_once(gate: Gate, signer: Signer) -> None:
    seq = ask(gate)
    for _ in range(20):
        signer.now += 10
        ask(gate)
        assert get(gate, seq).receipt is not None
    assert len(signer.signed) == 1


def test_busy_log_makes_it_sign_once_in_each_interval(gate: Gate, signer: Signer) -> None:
    """Each action asks for its own receipt at once: all but the first of an interval wait."""
    given = []
    for _ in range(40):
        seq = ask(gate)
        given.append(get(gate, seq).receipt is not None)
        signer.now += 0.1
    assert len(signer.signed) == 4
    assert given.count(True) == 4
    signer.now += 1.0
    assert get(gate, seq).receipt is not None


def test_nothing_is_signed_that_the_recorder_did_not_acknowledge(gate: Gate, signer: Signer) -> None:
    """A reader sees more where a COMMIT came back with a doubt: for what a fail-over may take away nobody vouches."""
    seqs = [ask(gate) for n in range(3)]
    signer.acknowledged = 2
    assert get(gate, seqs[2]).receipt is None
    found = get(gate, seqs[1]).receipt
    assert found is not None
    assert found.head.size == 2
    signer.acknowledged = 3
    signer.now += 1.0
    assert get(gate, seqs[2]).receipt is not None
    assert [size for size, _ in signer.signed] == [2, 3]


def test_agents_of_one_guard_share_one_head_and_its_interval(
    log: Any, situation: Any, signer: Signer
) -> None:
    receipts = Receipts(WHO, signer, lambda: signer.acknowledged, 1.0, lambda: signer.now)
    alice, bob = (_gate(name, log, situation, receipts) for name in ("alice", "bob"))
    first = ask(alice)
    second = ask(bob)
    assert get(bob, second).receipt == get(bob, second).receipt
    assert get(alice, first).receipt is not None
    third = ask(alice)
    assert get(alice, third).receipt is None
    assert len(signer.signed) == 1


def test_heads_that_are_signed_one_after_another_extend_each_other(
    gate: Gate, log: Any, signer: Signer
) -> None:
    for _ in range(9):
        seq = ask(gate)
        assert get(gate, seq).receipt is not None
        signer.now += 1.0
    leaves = subtree_of([row.leaf for row in log.rows()])
    for (old, old_root), (new, new_root) in zip(signer.signed, signer.signed[1:], strict=False):
        verify_consistency(old, new, old_root, new_root, consistency_proof(old, new, leaves))


def test_receipts_and_proofs_share_what_was_read_of_the_log(
    gate: Gate, log: Any, situation: Any, signer: Signer
) -> None:
    """The first of them reads the log; none after it, of whichever agent, reads more than the blocks at its edges."""
    seqs = [ask(gate) for _ in range(1_200)]
    read: list[int] = []
    leaves = SqliteReader.leaves

    def counted(reader: SqliteReader, start: int, end: int) -> Iterator[bytes]:
        read.append(end - start)
        return leaves(reader, start, end)

    with mock.patch.object(SqliteReader, "leaves", counted):
        assert get(gate, seqs[0]).receipt is not None
        assert sum(read) >= 1_200
        for seq in (seqs[1], seqs[600], seqs[-1]):
            read.clear()
            assert get(gate, seq).receipt is not None
            assert 0 < sum(read) < 3 * 256


def test_leaf_that_was_changed_on_disk_gets_no_receipt(gate: Gate, log: Any, signer: Signer) -> None:
    seq = ask(gate)
    get(gate, seq)
    with sqlite3.connect(log.reader.path) as shell:
        for (name,) in shell.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            shell.execute(f"DROP TRIGGER {name}")
        shell.execute("UPDATE entry SET leaf = zeroblob(32)")
    shell.close()
    with pytest.raises(GuardError, match="AG515"):
        get(gate, seq)


def test_gate_without_a_signer_gives_none(make_gate: Callable[..., Gate]) -> None:
    gate = make_gate()
    seq = ask(gate)
    assert get(gate, seq).receipt is None


def test_proposing_signs_nothing(gate: Gate, signer: Signer) -> None:
    for _ in range(5):
        asyncio.run(gate.outcome(ask(gate), "ok", None))
    assert signer.signed == []
