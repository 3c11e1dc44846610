"""The log's side of witnessing, over a real store and with real witnesses, but without a network: what is kept, what is
told, and that no witness, however it lies, harms the log."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.checkpoint import (
    Checkpoint,
    Cosigner,
    Signer,
    cosignatures,
    log_origin,
    merge_cosignatures,
    open_checkpoint,
    parse_submission,
    sign_note,
)
from agent_guard.errors import GuardError
from agent_guard.log import cosigning
from agent_guard.log.asking import Reply, unasked
from agent_guard.log.cosigning import Cosigning
from agent_guard.log.recorder import Recorder
from agent_guard.log.tree import consistency, frontier_at
from agent_guard.merkle import ProofError
from agent_guard.settings import WitnessAddress
from agent_guard.store import Reader, SavedCheckpoint, SqliteStore, Store
from agent_guard.store.ledger import Ledger
from agent_guard.telemetry import WitnessReport
from agent_guard.types import LogIdentity
from agent_guard.witness import Witness, trusted_logs

pytestmark = pytest.mark.unit

SIZE = "text/x.tlog.size"


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


@dataclass
class Scene:
    """A log that grows as the test says, witnesses by URL, and what was told."""

    store: Store
    identity: LogIdentity
    folder: Path
    stack: ExitStack
    told: list[str] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    witnesses: dict[str, Callable[[bytes], Reply]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.origin = log_origin(self.identity.chain_id, self.identity.council, self.identity.operator)
        self.signer = Signer(self.origin, key(1))
        self.recorder = Recorder(self.store, lambda: None)
        self.stack.callback(self.recorder.close)

    def grow(self, count: int) -> None:
        for done in [self.recorder.append("walker", "config", {"n": n}) for n in range(count)]:
            done.result()

    def anchor(self, tx: str | None = "0x1") -> SavedCheckpoint:
        """Saves the head as the anchoring does."""
        with self.store.reader() as reader:
            tree = frontier_at(reader, self.store.size)
        note = sign_note(str(Checkpoint(self.origin, tree.size, tree.root())), [self.signer])
        saved = SavedCheckpoint(tree.size, tree.nodes, tree.root(), note, b"s", tx)
        self.store.save_checkpoint(saved)
        return saved

    def newest(self) -> SavedCheckpoint:
        with self.store.reader() as reader:
            saved = reader.checkpoint_at_most(2**63 - 1)
        assert saved is not None
        return saved

    def witness(self, number: int) -> WitnessAddress:
        """An honest witness at a URL of its own."""
        cosigner = Cosigner(f"witness.example/{number}", key(number))
        memory = self.stack.enter_context(Ledger(self.folder / f"{number}.sqlite"))
        real = Witness(trusted_logs([self.signer.verifier]), cosigner, memory, lambda: 1_700_000_000)

        def answer(body: bytes) -> Reply:
            given = real.add_checkpoint(body)
            return Reply(given.status, given.media_type, given.body.encode())

        return self.liar(number, answer)

    def liar(self, number: int, answer: Callable[[bytes], Reply]) -> WitnessAddress:
        url = f"http://{number}"
        self.witnesses[url] = answer
        return WitnessAddress(url, Cosigner(f"witness.example/{number}", key(number)).verifier)

    def ask(self, url: str, body: bytes) -> Reply:
        self.asked.append((url, parse_submission(body).old_size))
        return self.witnesses[url](body)

    def start(self, *addresses: WitnessAddress) -> Cosigning:
        made = Cosigning(self.store, addresses, self.ask, poll=0.01, retry=0.001)
        self.stack.callback(made.close)
        made.start(lambda error: self.told.append(error.code))
        return made


@pytest.fixture
def scene(store: Store, identity: LogIdentity, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(store, identity, tmp_path, stack)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def cosigned(scene: Scene, *addresses: WitnessAddress) -> bool:
    return len(cosignatures(scene.newest().note, [one.key for one in addresses])) == len(addresses)


# --------------------------------------------------------------------------------------------------------------- honest


def test_each_anchored_head_gets_every_witnesss_cosignature(scene: Scene) -> None:
    one, two = scene.witness(2), scene.witness(3)
    working = scene.start(one, two)
    for count in (1, 1, 6, 40):
        scene.grow(count)
        before = scene.anchor()
        until(lambda: cosigned(scene, one, two))
        after = scene.newest()
        assert after == replace(before, note=after.note)
        assert open_checkpoint(after.note, [scene.signer.verifier], scene.origin).size == scene.store.size
    until(lambda: [state.cosigned for state in working.report()] == [True, True])
    assert scene.told == []


def test_a_witness_that_is_further_behind_is_asked_from_where_it_says_it_is(scene: Scene) -> None:
    one = scene.witness(2)
    scene.grow(5)
    scene.anchor()
    first = scene.start(one)
    until(lambda: cosigned(scene, one))
    first.close()
    for count in (3, 9):
        scene.grow(count)
        scene.anchor()
    scene.asked.clear()
    scene.start(one)
    until(lambda: cosigned(scene, one))
    assert scene.asked == [("http://2", 0), ("http://2", 5)]


def test_a_log_that_nobody_anchored_asks_nobody(scene: Scene) -> None:
    working = scene.start(scene.witness(2))
    scene.grow(3)
    working.settle(5)
    assert scene.asked == []
    assert working.report() == [WitnessReport("witness.example/2", cosigned=False)]


def test_a_cosigned_head_is_asked_for_once(scene: Scene) -> None:
    one = scene.witness(2)
    scene.grow(3)
    scene.anchor()
    working = scene.start(one)
    for _ in range(5):
        working.settle(5)
    assert scene.asked == [("http://2", 0)]


def test_a_head_that_is_anchored_again_is_cosigned_again_and_keeps_its_transaction(scene: Scene) -> None:
    one = scene.witness(2)
    scene.grow(3)
    scene.anchor()
    scene.start(one)
    until(lambda: cosigned(scene, one))
    scene.anchor(tx="0x2")  # after a reorganisation; its note is bare again
    until(lambda: cosigned(scene, one))
    assert scene.newest().tx == "0x2"


def test_settling_waits_for_the_newest_head_and_no_longer(scene: Scene) -> None:
    one = scene.witness(2)
    working = Cosigning(scene.store, [one], scene.ask, poll=3600, retry=3600)
    scene.stack.callback(working.close)
    working.start(lambda error: None)
    scene.grow(3)
    for _ in range(3):
        scene.grow(1)
        scene.anchor()
        working.settle(10)
        assert cosigned(scene, one)


def test_settling_waits_for_a_head_that_came_while_an_older_one_was_asked_for(scene: Scene) -> None:
    one = scene.witness(2)
    honest, asked, go = scene.witnesses[one.url], threading.Event(), threading.Event()

    def slow(body: bytes) -> Reply:
        asked.set()
        go.wait(60)
        return honest(body)

    scene.witnesses[one.url] = slow
    working = Cosigning(scene.store, [one], scene.ask, poll=3600, retry=3600)
    scene.stack.callback(working.close)
    scene.grow(3)
    scene.anchor()
    working.start(lambda error: None)
    assert asked.wait(60)
    scene.grow(2)
    scene.anchor()
    threading.Timer(0.2, go.set).start()
    working.settle(10)
    assert cosigned(scene, one)


def test_without_witnesses_there_is_nothing_to_do(scene: Scene) -> None:
    working = scene.start()
    working.settle(5)
    assert working.report() == []


# --------------------------------------------------------------------------------------------------------------- proofs


def test_a_proof_is_made_from_the_frontier_and_the_leaves_since_then_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves, read = Reader.leaves, []

    def noted(self: Reader, start: int, end: int) -> Iterator[bytes]:
        read.append(start)
        return leaves(self, start, end)

    monkeypatch.setattr(Reader, "leaves", noted)
    for size in range(1, 34):
        scene.grow(1)
        saved = scene.anchor()
        with scene.store.reader() as reader:
            for old in range(size + 1):
                read.clear()
                consistency(reader, old, saved)  # verifies itself
                assert all(start >= old for start in read)


def test_a_head_that_its_leaves_do_not_lead_to_is_proven_to_nobody(scene: Scene) -> None:
    one = scene.witness(2)
    scene.grow(3)
    scene.anchor()
    working = scene.start(one)
    until(lambda: cosigned(scene, one))
    scene.grow(2)
    saved = replace(scene.anchor(), size=5, root=b"x" * 32)
    with scene.store.reader() as reader, pytest.raises(ProofError):
        consistency(reader, 3, saved)
    working.settle(5)


# ----------------------------------------------------------------------------------------------------------------- lies


def stranger(body: bytes) -> Reply:
    """A good cosignature, of another key."""
    text = parse_submission(body).note.rpartition("\n\n")[0] + "\n"
    return Reply(200, "text/plain", f"{Cosigner('witness.example/2', key(77)).sign(text, 5)}\n".encode())


def of_another_head(body: bytes) -> Reply:
    text = str(replace(parse_submission(body).checkpoint, size=999))
    return Reply(200, "text/plain", f"{Cosigner('witness.example/2', key(2)).sign(text, 5)}\n".encode())


def of_another_time(body: bytes) -> Reply:
    text = str(parse_submission(body).checkpoint)
    good = Cosigner("witness.example/2", key(2)).sign(text, 5)
    return Reply(200, "text/plain", f"{replace(good, value=bytes(8) + good.value[8:])}\n".encode())


def unreachable(body: bytes) -> Reply:
    raise unasked("it can't be reached")


def broken(body: bytes) -> Reply:
    raise RuntimeError("unforeseen")


LIES: dict[str, Callable[[bytes], Reply]] = {
    "another key": stranger,
    "another head": of_another_head,
    "another time": of_another_time,
    "nothing": lambda body: Reply(200, "text/plain", b""),
    "the note itself": lambda body: Reply(200, "text/plain", parse_submission(body).note.encode()),
    "the request": lambda body: Reply(200, "text/plain", body),
    "noise": lambda body: Reply(200, "text/plain", b"\xff\x00" * 30_000),
    "a page": lambda body: Reply(200, "text/html", b"<html>\n\n</html>\n"),
    "forbidden": lambda body: Reply(403, "text/plain", b"\x1b[2Jno"),
    "unknown": lambda body: Reply(404, "text/plain", b"no"),
    "moved": lambda body: Reply(301, "text/plain", b"no"),
    "busy": lambda body: Reply(503, "text/plain", b"no"),
    "no size": lambda body: Reply(409, SIZE, b"x\n"),
    "a size of many digits": lambda body: Reply(409, SIZE, b"9" * 60_000),
    "a size with zeros": lambda body: Reply(409, SIZE, b"003\n"),
    "always another size": lambda body: Reply(
        409, SIZE, b"%d\n" % ((parse_submission(body).old_size + 1) % 3)
    ),
    "the size that was named": lambda body: Reply(409, SIZE, b"%d\n" % parse_submission(body).old_size),
    "a bad proof of nothing": lambda body: Reply(422, "text/plain", b"no"),
    "unreachable": unreachable,
    "unforeseen": broken,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_witness_that_gives_no_cosignature_is_told_once_and_harms_nothing(scene: Scene, lie: str) -> None:
    honest, liar = scene.witness(3), scene.liar(2, LIES[lie])
    scene.grow(3)
    before = scene.anchor()
    working = scene.start(liar, honest)
    until(lambda: cosigned(scene, honest))
    until(lambda: [url for url, _ in scene.asked].count("http://2") > 2 * cosigning.ATTEMPTS)
    after = scene.newest()
    assert after.note == merge_cosignatures(before.note, after.note.rpartition("\n\n")[2], [honest.key])
    assert scene.told == ["AG563"]
    state = working.report()[0]
    assert (state.cosigned, state.contradicts) == (False, False)
    assert state.trouble is not None
    assert state.trouble.isprintable()
    scene.grow(1)  # and the log goes on
    scene.anchor()
    until(lambda: cosigned(scene, honest))


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: Reply(409, SIZE, b"4\n"),
        lambda body: Reply(409, SIZE, b"9223372036854775807\n"),
        lambda body: Reply(409, SIZE, b"3\n"),  # its size, and yet no
        lambda body: (
            Reply(409, SIZE, b"2\n") if parse_submission(body).old_size == 0 else Reply(422, "", b"")
        ),
        lambda body: (
            Reply(409, SIZE, b"3\n") if parse_submission(body).old_size == 0 else Reply(409, "", b"fork")
        ),
    ],
    ids=["one further", "far further", "same size", "proof refused", "other root"],
)
def test_a_witness_that_knows_another_log_is_told_aloud(
    scene: Scene, answer: Callable[[bytes], Reply], caplog: pytest.LogCaptureFixture
) -> None:
    honest, liar = scene.witness(3), scene.liar(2, answer)
    scene.grow(3)
    scene.anchor()
    working = scene.start(liar, honest)
    until(lambda: scene.told)
    assert scene.told == ["AG564"]
    assert GuardError("AG564", "", "").exit_code == 5
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    until(lambda: cosigned(scene, honest))
    assert working.report()[0].contradicts


def test_a_log_that_was_rolled_back_is_found_out_by_an_honest_witness(
    scene: Scene, tmp_path: Path, identity: LogIdentity
) -> None:
    one = scene.witness(2)
    scene.grow(3)
    scene.anchor()
    scene.start(one)
    until(lambda: cosigned(scene, one))
    with SqliteStore(tmp_path / "old" / "log.db", identity) as old:  # a new log under the old key
        other = Scene(old, identity, tmp_path / "old", scene.stack, witnesses=scene.witnesses)
        other.grow(2)
        other.anchor()
        shorter = other.start(one)
        until(lambda: other.told == ["AG564"])
        shorter.close()
        for size in (1, 3):  # of one size with another root; and longer, with another beginning
            other.told.clear()
            other.grow(size)
            other.anchor()
            working = other.start(one)
            until(lambda: other.told == ["AG564"])
            working.close()
        other.recorder.close()


def test_a_witness_that_mends_its_ways_is_forgiven(scene: Scene) -> None:
    one = scene.witness(2)
    honest = scene.witnesses[one.url]
    scene.witnesses[one.url] = lambda body: Reply(503, "", b"")
    scene.grow(3)
    scene.anchor()
    working = scene.start(one)
    until(lambda: scene.told)
    scene.witnesses[one.url] = honest
    until(lambda: working.report() == [WitnessReport("witness.example/2", cosigned=True)])


# ----------------------------------------------------------------------------------------------------------------- time


def test_a_witness_that_never_answers_delays_no_other_and_no_end(scene: Scene) -> None:
    forever = threading.Event()
    scene.stack.callback(forever.set)

    def slow(body: bytes) -> Reply:
        forever.wait()
        raise unasked("it took too long")

    honest = scene.witness(3)
    scene.grow(3)
    scene.anchor()
    working = scene.start(scene.liar(2, slow), honest)
    until(lambda: cosigned(scene, honest))
    scene.grow(3)
    scene.anchor()
    until(lambda: cosigned(scene, honest))
    working.settle(0.05)
    working.close()


def test_an_answer_that_comes_after_the_end_is_not_written(scene: Scene) -> None:
    one = scene.witness(2)
    honest, answered, go = scene.witnesses[one.url], threading.Event(), threading.Event()

    def late(body: bytes) -> Reply:
        reply = honest(body)
        answered.set()
        go.wait(60)
        return reply

    scene.witnesses[one.url] = late
    scene.grow(3)
    before = scene.anchor()
    working = scene.start(one)
    assert answered.wait(60)
    working.close()
    go.set()
    until(lambda: not any(thread.name == "witness witness.example/2" for thread in threading.enumerate()))
    assert scene.newest() == before
