"""Halts kept on disk: they outlast the guard, and what can't be read is never taken for "no halt"."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.guard import latches as module
from agent_guard.guard.latches import Latches
from agent_guard.guard.memory import Latch

pytestmark = pytest.mark.unit

ALICE, BOB = b"a" * 32, b"b" * 32
COUNCIL = "31337 0xab 0x11"
HALTED = Latch(3, -1, "halted by the council")
WHOLE: dict[str, Any] = {
    "council": COUNCIL, "agent_epoch": 3, "fleet_epoch": -1, "reason": "halted by the council", "seen_at": 1
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home/devnet/latches"


@pytest.fixture
def failures() -> list[GuardError]:
    return []


@pytest.fixture
def opened(folder: Path, failures: list[GuardError]) -> Iterator[Callable[..., Latches]]:
    made: list[Latches] = []

    def make(council: str = COUNCIL) -> Latches:
        made.append(Latches(folder, council, failures.append))
        return made[-1]

    yield make
    for latches in made:
        latches.close(5)


def kept(opened: Callable[..., Latches], agent: bytes = ALICE, *latches: Latch) -> None:
    """Has a guard keep these, one after the other, and end."""
    guard = opened()
    for latch in latches:
        guard.keep(agent, latch)
    assert guard.close(5)


@pytest.mark.parametrize(
    "latch", [HALTED, Latch(-1, 0, "the whole fleet is halted"), Latch(2**40 - 1, 7, "both")]
)
def test_a_halt_that_was_kept_is_found_by_the_next_guard(
    opened: Callable[..., Latches], latch: Latch
) -> None:
    kept(opened, ALICE, latch)
    assert opened().load(ALICE) == latch
    assert opened().load(BOB) == Latch()


def test_without_a_file_there_is_no_halt(opened: Callable[..., Latches], folder: Path) -> None:
    assert opened().load(ALICE) == Latch()
    assert not folder.exists()


def test_the_last_latch_stands_and_one_that_holds_nothing_takes_the_file_away(
    opened: Callable[..., Latches], folder: Path
) -> None:
    kept(opened, ALICE, HALTED, Latch(5, -1, "again"))
    assert opened().load(ALICE) == Latch(5, -1, "again")
    kept(opened, ALICE, Latch())
    assert opened().load(ALICE) == Latch()
    assert list(folder.iterdir()) == []


def test_lifting_what_was_never_kept_is_no_failure(
    opened: Callable[..., Latches], failures: list[GuardError]
) -> None:
    kept(opened, ALICE, Latch())
    assert not failures


def test_another_councils_halt_is_no_halt_of_this_one(opened: Callable[..., Latches]) -> None:
    kept(opened, ALICE, HALTED)
    assert opened("1 0xab 0x11").load(ALICE) == Latch()


def test_the_folder_is_its_owners_alone(opened: Callable[..., Latches], folder: Path) -> None:
    kept(opened, ALICE, HALTED)
    assert folder.stat().st_mode & 0o777 == 0o700


def changed(**values: Any) -> str:
    return json.dumps(WHOLE | values)


def without(name: str) -> str:
    return json.dumps({key: value for key, value in WHOLE.items() if key != name})


SENSELESS = {
    "empty": "", "torn": json.dumps(WHOLE)[:40], "null": "null", "a list": "[]", "a word": '"halted"', "a number": "3",
    "an empty object": "{}", "binary": "\udcff\udcfe", "no council": without("council"),
    "no epoch": without("agent_epoch"), "no fleet epoch": without("fleet_epoch"), "no reason": without("reason"),
    "text for an epoch": changed(agent_epoch="3"), "true for an epoch": changed(fleet_epoch=True),
    "a fraction": changed(agent_epoch=3.0), "null for an epoch": changed(agent_epoch=None),
    "an epoch below all": changed(agent_epoch=-2), "no halt at all": changed(agent_epoch=-1),
    "endless digits": '{"council": "31337 0xab 0x11", "agent_epoch": ' + "9" * 5_000 + "}",
}  # fmt: skip


@pytest.mark.parametrize("name", SENSELESS)
def test_a_file_that_is_not_as_it_was_written_is_an_error_and_never_no_halt(
    opened: Callable[..., Latches], folder: Path, name: str
) -> None:
    folder.mkdir(parents=True)
    (folder / f"{ALICE.hex()}.json").write_text(SENSELESS[name], errors="surrogateescape")
    with pytest.raises(GuardError) as caught:
        opened().load(ALICE)
    assert caught.value.code == "AG422"
    assert "Nothing was started" in caught.value.message


def test_a_file_that_can_not_be_opened_is_an_error_and_never_no_halt(
    opened: Callable[..., Latches], folder: Path
) -> None:
    (folder / f"{ALICE.hex()}.json").mkdir(parents=True)
    with pytest.raises(GuardError) as caught:
        opened().load(ALICE)
    assert caught.value.code == "AG422"


def test_a_halt_that_can_not_be_kept_is_told_and_the_next_one_is_tried(
    opened: Callable[..., Latches], folder: Path, failures: list[GuardError]
) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in its place")
    guard = opened()
    guard.keep(ALICE, HALTED)
    _until(lambda: failures)
    folder.unlink()
    guard.keep(BOB, HALTED)
    assert guard.close(5)
    assert [error.code for error in failures] == ["AG423"]
    assert opened().load(BOB) == HALTED


def test_a_disk_that_fails_half_way_leaves_the_former_file_whole(
    opened: Callable[..., Latches], failures: list[GuardError], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(opened, ALICE, HALTED)

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.json, "dump", full)
    kept(opened, ALICE, Latch(9, -1, "later"))
    assert [error.code for error in failures] == ["AG423"]
    assert "No space left" in failures[0].message
    assert opened().load(ALICE) == HALTED


def test_keeping_waits_for_no_disk(opened: Callable[..., Latches], monkeypatch: pytest.MonkeyPatch) -> None:
    writing, done = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        writing.set()
        assert done.wait(60)

    monkeypatch.setattr(module.os, "fsync", slow)
    guard = opened()
    began = time.monotonic()
    guard.keep(ALICE, HALTED)
    guard.keep(BOB, HALTED)
    assert time.monotonic() - began < 30.0
    assert writing.wait(60)
    assert guard.close(0.05) is False
    done.set()
    assert guard.close(5)
    monkeypatch.undo()
    assert opened().load(BOB) == HALTED


def test_file_and_folder_are_on_disk_before_and_after_the_file_takes_its_name(
    opened: Callable[..., Latches], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a machine that loses its power leaves behind can't be tried here; the order of the calls can."""
    seen: list[tuple[str, bool]] = []
    sync = os.fsync

    def noting(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        seen.append((name, (folder / f"{ALICE.hex()}.json").exists()))
        sync(descriptor)

    monkeypatch.setattr(module.os, "fsync", noting)
    kept(opened, ALICE, HALTED)
    assert seen == [(f"{ALICE.hex()}.partial", False), ("latches", True)]


def _until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)
