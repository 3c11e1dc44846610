"""Finding and opening forks: by any log, in both orders; and never one where there is none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.log.fork import Claim, find
from agent_guard.log.recorder import Recorder
from agent_guard.log.tree import frontier_at
from agent_guard.merkle import Frontier
from agent_guard.store import Reader, SavedCheckpoint, SqliteReader, Store

pytestmark = pytest.mark.unit
LIE, SIGNED = b"\x0f" * 32, b"\x01" * 65
ENTRIES = 21


@pytest.fixture
def log(store: Store, recorder: Recorder, path: Path) -> Callable[[], Reader]:
    for number in range(ENTRIES):
        recorder.append("alice", "intent", {"n": number}).result()
    return lambda: SqliteReader(path)


def true(log: Callable[[], Reader], size: int) -> Claim:
    with log() as reader:
        return Claim(size, frontier_at(reader, size).root(), SIGNED)


def unopened() -> Reader:
    raise AssertionError("no log is needed for heads of one size")


def test_one_size_and_two_roots_need_no_log() -> None:
    one, other = Claim(5, LIE, SIGNED), Claim(5, bytes(32), b"")
    fork = find(one, other, unopened)
    assert ({fork.older.root, fork.newer.root}, fork.frontier, fork.nodes) == ({LIE, bytes(32)}, (), ())
    with pytest.raises(GuardError, match="AG433"):
        find(one, Claim(5, LIE, b""), unopened)


@pytest.mark.parametrize("newer", [1, 2, 8, 20, 21])
def test_lie_of_any_size_is_opened_in_whatever_order_the_heads_come(
    log: Callable[[], Reader], newer: int
) -> None:
    for older in range(newer):
        heads = Claim(older, LIE, SIGNED), true(log, newer)
        fork = find(*heads, log)
        assert fork == find(*heads[::-1], log)
        tree = Frontier.from_nodes(older, fork.frontier)
        assert tree.root() == true(log, older).root
        tree.extend_range(newer, fork.nodes)
        assert tree.root() == heads[1].root


@pytest.mark.parametrize("newer", [1, 8, 21])
def test_heads_of_one_history_are_no_fork(log: Callable[[], Reader], newer: int) -> None:
    for older in range(newer):
        with pytest.raises(GuardError, match="AG433"):
            find(true(log, older), true(log, newer), log)


@pytest.mark.parametrize(
    "newer", [Claim(21, LIE, SIGNED), Claim(22, LIE, SIGNED), Claim(2**64 - 1, LIE, b"")]
)
def test_newer_head_of_another_log_is_not_opened_by_this_one(log: Callable[[], Reader], newer: Claim) -> None:
    for older in (true(log, 9), Claim(9, LIE, SIGNED)):
        with pytest.raises(GuardError, match="AG434"):
            find(older, newer, log)


def test_frontier_that_a_log_made_up_is_no_fork(log: Callable[[], Reader], store: Store) -> None:
    """Its saved checkpoint contradicts its own leaves: the newer root, rebuilt over it, shows that."""
    store.save_checkpoint(SavedCheckpoint(4, (LIE,), LIE, "a note", SIGNED, None))
    with pytest.raises(GuardError, match="AG434"):
        find(Claim(4, bytes(32), SIGNED), Claim(8, _rebuilt(log, 8), SIGNED), log)


def _rebuilt(log: Callable[[], Reader], size: int) -> bytes:
    tree = Frontier()
    with log() as reader:
        tree.extend(reader.leaves(0, size))
    return tree.root()
