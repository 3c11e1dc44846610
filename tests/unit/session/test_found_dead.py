"""Lives that an earlier guard left without an end: which of them are recorded, and what of the note is believed."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent_guard.sandbox.mode import Mode
from agent_guard.sandbox.remains import Mark, mark_host
from agent_guard.session.found_dead import Books, Looked, look, record
from agent_guard.session.life_note import Life, LifeNote, read_life, remove_life

pytestmark = pytest.mark.unit

ME, OTHER = b"\x01" * 32, b"\x02" * 32
MARK = Mark(machine="m", boot="b", namespace=1, mode="pidns", init=5, init_started=7)
LOOKED = Looked("indexer", Life(1, MARK), found=1_700_000_000_000, known="namespace")


class Log:
    """A log of rows of one agent, and what is done with a finding."""

    def __init__(self, *kinds: str, agent: bytes = ME) -> None:
        self.rows_ = [SimpleNamespace(agent=agent, kind=kind) for kind in kinds]
        self.written: list[Any] = []
        self.kept: list[Any] = []
        self.forgotten: list[str] = []

    def row(self, index: int) -> Any:
        return self.rows_[index] if index < len(self.rows_) else None

    def turns(self, agent: bytes, start: int) -> Any:
        turns = {"start", "exit", "death"}
        return (row for row in self.rows_[start:] if row.agent == agent and row.kind in turns)

    def books(self) -> Books:
        return Books(
            reader=cast(Any, self),
            write=lambda *entry: self.written.append(entry),
            sign=lambda agent, facts: f"signed {sorted(facts)}",
            keep=lambda agent, facts: self.kept.append(facts),
            forget=self.forgotten.append,
        )


def test_an_open_life_that_is_dead_is_recorded_signed_kept_and_told() -> None:
    log = Log("config", "start", "intent", "outcome")
    step = record(LOOKED, ME, log.books())
    ((agent, content, life, facts),) = log.written
    assert (agent, life) == ("indexer", 1)
    assert facts == {
        "life": 1,
        "found": 1_700_000_000_000,
        "known": "namespace",
        "mode": "pidns",
        "signature": "signed ['found', 'known', 'life', 'mode']",
    }
    assert "the moment of its death is not known" in str(content["reason"])
    assert step == {"event": "found_dead", "agent": "indexer", **facts}
    assert log.kept == [{**facts, "reason": content["reason"]}]
    assert log.forgotten == ["indexer"]


@pytest.mark.parametrize(
    "kinds",
    [
        ("config", "start", "exit"),
        ("config", "start", "intent", "halt", "death"),
        ("config", "start", "config", "start"),
        ("config", "intent", "start"),
        ("config",),
    ],
    ids=" ".join,
)
def test_a_life_that_ended_or_is_not_the_newest_is_not_recorded_again(kinds: tuple[str, ...]) -> None:
    log = Log(*kinds)
    assert record(LOOKED, ME, log.books()) is None
    assert (log.written, log.forgotten) == ([], ["indexer"])


def test_another_agents_start_is_none_of_this_ones() -> None:
    log = Log("config", "start", agent=OTHER)
    assert record(LOOKED, ME, log.books()) is None
    assert log.written == []


def test_what_is_not_proven_is_told_and_not_recorded_and_the_note_stays() -> None:
    log = Log("config", "start")
    step = record(replace(LOOKED, known=None), ME, log.books())
    assert step is not None
    assert (step["event"], step["error"]["code"]) == ("trouble", "AG584")
    assert (log.written, log.kept, log.forgotten) == ([], [], [])


def test_what_the_kernel_can_not_be_asked_about_is_not_proven(tmp_path: Path) -> None:
    here = mark_host(Mode.NONE)
    for odd in (replace(here, init=10**30), replace(here, leaf="/sys/\0", tree=here.tree or "x")):
        (tmp_path / "life.json").write_text(json.dumps(asdict(Life(1, odd))))
        looked = look("indexer", tmp_path / "life.json", lambda: 5)
        assert looked is not None
        assert looked.known is None


# --- the note --------------------------------------------------------------------------------------------------------


def test_a_note_is_read_as_it_was_written_and_can_be_removed(tmp_path: Path) -> None:
    note = LifeNote(tmp_path / "life.json", Mode.PIDNS)
    note.write(7)
    life = read_life(tmp_path / "life.json")
    assert life is not None
    assert (life.start, life.mark.mode, life.mark.init) == (7, "pidns", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["life.json"]
    note.remove()
    note.remove()
    assert read_life(tmp_path / "life.json") is None


def test_a_start_that_is_not_in_the_log_is_not_noted(tmp_path: Path) -> None:
    LifeNote(tmp_path / "life.json", Mode.PIDNS).write(None)
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_can_not_be_written_leaves_none_of_an_earlier_life(tmp_path: Path) -> None:
    path = tmp_path / "life.json"
    note = LifeNote(path, Mode.PIDNS)
    note.write(7)
    path.with_suffix(".partial").mkdir()  # what is in its way
    note.write(9)
    assert read_life(path) is None


def test_a_kernel_whose_words_can_not_be_read_keeps_no_agent_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount point of another encoding, as a stick may have, stands in /proc/self/mountinfo."""
    path = tmp_path / "life.json"
    note = LifeNote(path, Mode.NONE)
    note.write(7)
    boot = tmp_path / "boot_id"
    boot.write_bytes(b"caf\xe9\n")
    monkeypatch.setattr("agent_guard.sandbox.remains._BOOT", boot)
    note.write(9)
    assert read_life(path) is None


def test_a_note_that_can_not_be_removed_keeps_no_guard_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "life.json"
    path.mkdir()  # as little to be unlinked as a file on a disk that fails
    remove_life(path)
    assert path.is_dir()


GOOD = json.loads(json.dumps(asdict(Life(1, MARK))))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "{}", "\xff", '{"start": 1}',
        json.dumps(GOOD | {"start": "1"}), json.dumps(GOOD | {"start": None}), json.dumps(GOOD | {"more": 1}),
        json.dumps(GOOD | {"start": -1}), json.dumps(GOOD | {"start": 2**53}), json.dumps(GOOD | {"start": 10**30}),
        json.dumps(GOOD | {"mark": GOOD["mark"] | {"mode": "m" * 129}}),
        json.dumps(GOOD | {"mark": {}}), json.dumps(GOOD | {"mark": GOOD["mark"] | {"boot": 5}}),
        json.dumps(GOOD | {"mark": GOOD["mark"] | {"init": "5"}}), json.dumps(GOOD) + " " * 20_000 + "x",
        "[" * 10_000,
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_note_that_is_none_claims_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "life.json"
    path.write_text(json.dumps(GOOD))
    assert look("indexer", path, lambda: 5) is not None
    path.write_text(text, encoding="latin-1")
    assert look("indexer", path, lambda: 5) is None
