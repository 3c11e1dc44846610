"""The anchoring loop against a chain that behaves as the contract does, and against every way in which it may not."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from agent_guard.errors import GuardError
from agent_guard.log.anchor import Anchor, HeadSigner
from agent_guard.log.backlog import AnchorPolicy
from agent_guard.log.recorder import Recorder
from agent_guard.merkle import EMPTY_ROOT, Frontier
from agent_guard.store import SavedCheckpoint, Store
from agent_guard.types import Head

pytestmark = pytest.mark.unit
SIGN = HeadSigner(
    note=lambda size, root: f"note {size} {root.hex()}", head=lambda size, root: b"%d" % size + root
)
QUICK = AnchorPolicy(entries=10, seconds=0.05, leaves=4, recheck=0.1, retry=0.01, retry_max=0.05)
LAZY = AnchorPolicy(entries=10, seconds=3600, leaves=4, recheck=3600, retry=0.01, retry_max=0.05)


class FakeChain:
    """`ICouncil.extend` in memory, and the faults of whoever carries transactions to it."""

    def __init__(self) -> None:
        self.tree = Frontier()
        self.calls: list[tuple[int, int, int]] = []
        self.down = 0
        self.lose_answers = 0
        self.history: list[Frontier] = []

    def head(self) -> Head:
        if self.down:
            self.down -= 1
            raise GuardError("AG201", "no answer.", "Wait.")
        return Head(self.tree.size, self.tree.root(), 1)

    def extend(self, new_size: int, frontier: Sequence[bytes], nodes: Sequence[bytes]) -> str:
        claimed = Frontier.from_nodes(self.tree.size, frontier)
        if claimed.root() != self.tree.root():
            raise GuardError("AG205", "WrongFrontier.", "Look.")
        old = self.tree.size
        claimed.extend_range(new_size, nodes)
        self.history.append(self.tree)
        self.tree = claimed
        self.calls.append((old, new_size, len(nodes)))
        if self.lose_answers:
            self.lose_answers -= 1
            raise GuardError("AG205", "sent but not mined in time; it may still be.", "Look.")
        return f"0x{len(self.calls):064x}"

    def reorg(self) -> None:
        self.tree = self.history.pop()


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def begin(
    store: Store, chain: FakeChain, make_recorder: Callable[..., Recorder]
) -> Iterator[Callable[..., tuple[Anchor, Recorder]]]:
    made: list[Anchor] = []

    def make(policy: AnchorPolicy = LAZY, **changes: object) -> tuple[Anchor, Recorder]:
        anchor = Anchor(store, changes.pop("chain", chain), SIGN, policy, **changes)  # type: ignore[arg-type]
        anchor.start()
        made.append(anchor)
        return anchor, make_recorder(on_appended=anchor.wake)

    yield make
    for anchor in made:
        anchor.close()


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.002)


def record(recorder: Recorder, count: int, **details: object) -> None:
    for done in [recorder.append("a", "intent", {"n": n}, **details) for n in range(count)]:  # type: ignore[arg-type]
        done.result()


def checkpoint(store: Store, size: int) -> SavedCheckpoint | None:
    with store.reader() as reader:
        return reader.checkpoint_at_most(size)


def test_full_batch_is_anchored_and_its_checkpoint_kept(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain, store: Store
) -> None:
    anchor, recorder = begin()
    record(recorder, 9)
    assert anchor.lag()[0] == 9
    record(recorder, 1)
    until(lambda: checkpoint(store, 10))
    head = recorder.head()
    saved = checkpoint(store, 10)
    assert chain.head() == Head(10, head.root, 1)
    assert saved == SavedCheckpoint(
        10, chain.tree.nodes, head.root, SIGN.note(10, head.root), SIGN.head(10, head.root), f"0x{1:064x}"
    )
    until(lambda: anchor.lag() == (0, 0.0))  # told just after the checkpoint is kept


def test_lone_entry_is_anchored_once_it_is_old_enough(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    _, recorder = begin(QUICK)
    record(recorder, 1)
    assert chain.tree.size == 0
    until(lambda: chain.tree.size == 1)


@pytest.mark.parametrize(
    "details", [{"kind": "intent", "critical": True}, {"kind": "halt"}, {"kind": "death"}]
)
def test_critical_entry_is_anchored_at_once_by_its_leaf_hash(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain, details: dict[str, object]
) -> None:
    _, recorder = begin()
    record(recorder, 7)
    recorder.append("a", content={}, **details).result()  # type: ignore[arg-type]
    until(lambda: chain.tree.size == 8)
    assert chain.calls == [(0, 7, 3), (7, 8, 1)]


def test_flush_anchors_what_is_there_and_returns(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    anchor, recorder = begin()
    record(recorder, 3)
    anchor.flush(5)
    assert chain.tree.size == 3
    anchor.flush(0)


def test_flush_with_the_chain_down_says_how_much_is_left_and_loses_nothing(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    anchor, recorder = begin()
    until(lambda: anchor._next_check > 0)
    chain.down = 10**9
    record(recorder, 3)
    with pytest.raises(GuardError, match=r"3 entries.*no answer") as caught:
        anchor.flush(0.1)
    assert caught.value.code == "AG531"
    assert anchor.trouble is not None
    chain.down = 0
    anchor.flush(5)
    assert chain.tree.size == 3
    until(lambda: anchor.trouble is None)


def test_chain_that_comes_back_gets_everything_in_one_range(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    chain.down = 5
    _, recorder = begin()
    record(recorder, 30)
    until(lambda: chain.tree.size == 30)
    assert chain.tree.root() == recorder.head().root


def test_lost_answer_is_not_anchored_twice_and_its_checkpoint_is_made_up(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain, store: Store
) -> None:
    chain.lose_answers = 1
    anchor, recorder = begin()
    record(recorder, 10)
    until(lambda: checkpoint(store, 10))
    assert len(chain.calls) == 1
    saved = checkpoint(store, 10)
    assert saved is not None
    assert (saved.tx, saved.root) == (None, recorder.head().root)
    assert anchor.failed is None


def test_anchor_undone_by_a_reorg_is_sent_again_without_new_entries(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    _, recorder = begin(QUICK)
    record(recorder, 10)
    until(lambda: chain.tree.size == 10)
    chain.reorg()
    until(lambda: chain.tree.size == 10)
    assert chain.tree.root() == recorder.head().root


def test_restart_goes_on_from_the_chains_size(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    first, recorder = begin()
    record(recorder, 10)
    until(lambda: chain.tree.size == 10)
    first.close()
    record(recorder, 15)
    recorder.close()
    _, again = begin()
    until(lambda: chain.tree.size == 25)
    assert chain.tree.root() == again.head().root


def test_crash_after_mining_and_before_the_checkpoint_goes_on_all_the_same(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain, store: Store
) -> None:
    _, recorder = begin(LAZY, chain=FakeChain())
    record(recorder, 7)
    with store.reader() as reader:
        chain.tree.extend(reader.leaves(0, 6))
    anchor, _ = begin()
    anchor.flush(5)
    assert chain.calls == [(6, 7, 1)]
    saved = checkpoint(store, 6)
    assert saved is not None
    assert (saved.size, saved.tx) == (6, None)


def test_halt_recorded_before_a_crash_is_anchored_at_once_after_it(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    _, recorder = begin(LAZY, chain=Silent())
    record(recorder, 2)
    recorder.append("a", "halt", {}).result()
    begin()
    until(lambda: chain.tree.size == 3)
    assert chain.calls == [(0, 3, 3)]


def test_age_of_what_waited_before_a_restart_is_not_forgotten(
    begin: Callable[..., tuple[Anchor, Recorder]], store: Store
) -> None:
    _, recorder = begin(LAZY, chain=Silent())
    record(recorder, 2)
    later = Anchor(store, Silent(), SIGN, LAZY, now_ms=lambda: 1_700_000_123_456 + 90_000)
    entries, seconds = later.lag()
    later.close()
    assert entries == 2
    assert 90 <= seconds < 95


class Silent(FakeChain):
    def head(self) -> Head:
        raise GuardError("AG201", "no answer.", "Wait.")


# --------------------------------------------------------------------------------------------------------- divergence


def assert_ended(anchor: Anchor, chain: FakeChain, recorder: Recorder) -> None:
    until(lambda: anchor.failed)
    assert anchor.failed is not None
    assert anchor.failed.code == "AG530"
    calls = len(chain.calls)
    recorder.append("a", "death", {}).result()
    with pytest.raises(GuardError, match="not a prefix"):
        anchor.flush(5)
    assert len(chain.calls) == calls


def test_foreign_root_on_chain_ends_anchoring_for_good(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    failures: list[GuardError] = []
    chain.tree.extend([b"x" * 32, b"y" * 32])
    _, recorder = begin(LAZY, chain=Silent())
    record(recorder, 5)
    anchor, recorder = begin(on_failed=failures.append)
    assert_ended(anchor, chain, recorder)
    assert [error.code for error in failures] == ["AG530"]


def test_chain_ahead_of_the_log_ends_anchoring_for_good(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    chain.tree.extend([b"x" * 32])
    anchor, recorder = begin()
    assert_ended(anchor, chain, recorder)


def test_second_guard_with_the_same_key_is_noticed_in_mid_flight(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain
) -> None:
    anchor, recorder = begin(QUICK)
    record(recorder, 10)
    until(lambda: chain.tree.size == 10)
    chain.tree.extend([b"z" * 32])
    assert_ended(anchor, chain, recorder)


def test_unforeseen_error_ends_anchoring_and_says_so(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "head", lambda: 1 / 0)
    anchor, _ = begin()
    until(lambda: anchor.failed)
    assert anchor.failed is not None
    assert anchor.failed.code == "AG532"


def test_recording_goes_on_while_the_chain_hangs(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    head = chain.head
    monkeypatch.setattr(chain, "head", lambda: (release.wait(60), head())[1])
    anchor, recorder = begin()
    record(recorder, 100)
    assert anchor.lag()[0] == 100
    assert chain.tree.root() == EMPTY_ROOT
    release.set()
    until(lambda: chain.tree.size == 100)


def test_checkpoint_that_contradicts_itself_is_not_built_upon(
    begin: Callable[..., tuple[Anchor, Recorder]], chain: FakeChain, store: Store
) -> None:
    _, recorder = begin(LAZY, chain=Silent())
    record(recorder, 9)
    with store.reader() as reader:
        chain.tree.extend(reader.leaves(0, 6))
    store.save_checkpoint(SavedCheckpoint(4, (b"q" * 32,), b"r" * 32, "note", b"s", None))
    anchor, _ = begin()
    anchor.flush(5)
    assert chain.tree.root() == recorder.head().root
