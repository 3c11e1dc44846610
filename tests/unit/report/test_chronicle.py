# ruff: noqa: S608 - the forger writes his SQL himself
"""What is kept of a log in passing: a bounded part, the right counts, and no content that does not fit its entry."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent_guard.report import Chronicle
from agent_guard.report.buckets import MOST
from agent_guard.report.chronicle import EACH, LAST, MOST_TOOLS, OTHER_TOOLS
from agent_guard.store import pages_of
from tests.unit.audit.conftest import ME

pytestmark = pytest.mark.unit


def test_rows_pass_unchanged(row_maker: Callable[[int], Iterator[Any]]) -> None:
    assert list(Chronicle(ME, None).watch(pages_of(row_maker(50)))) == list(pages_of(row_maker(50)))


def test_long_log_is_counted_whole_and_kept_in_part(row_maker: Callable[[int], Iterator[Any]]) -> None:
    chronicle = Chronicle(ME, None)
    for _ in chronicle.watch(pages_of(row_maker(20_000))):
        pass
    side = chronicle.side()
    assert side.kinds == {"intent": 18_000, "freeze": 2_000}
    assert len(side.notable) == 2 * EACH
    assert side.omitted == 2_000 - 2 * EACH
    assert [line.seq for line in side.last_actions] == [seq for seq in range(19_980, 20_000) if seq % 10][
        -LAST:
    ]
    assert len(side.tools) == MOST_TOOLS + 1
    assert sum(side.tools.values()) == 18_000
    assert side.tools[OTHER_TOOLS] > 0
    assert len(list(side.buckets)) <= MOST


def test_memory_does_not_grow_with_the_log(row_maker: Callable[[int], Iterator[Any]]) -> None:
    peaks = []
    for count in (5_000, 20_000):
        chronicle = Chronicle(ME, None)
        tracemalloc.start()
        for _ in chronicle.watch(pages_of(row_maker(count))):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("body", ['CAST(\'{"mode":"forged"}\' AS BLOB)', "x'ff'", "x''"])
@pytest.mark.parametrize("salt", ["salt", "x''", "zeroblob(100000)"])
def test_content_that_does_not_fit_its_entry_is_not_shown(scene: Any, body: str, salt: str) -> None:
    scene.record("start", {"mode": "bwrap"})
    scene.record("intent", {"tool": "honest", "arguments": {}})
    scene.anchor()
    scene.forge(f"UPDATE content SET body = {body}, salt = {salt} WHERE leaf_index = 0")
    [start] = scene.report().entries.notable
    assert "forged" not in start.words
    assert "does not fit" in start.words or "too long" in start.words


def test_content_too_long_to_show_is_named_by_its_size(scene: Any) -> None:
    scene.record("intent", {"tool": "write", "arguments": {"x": "y" * 70_000}})
    scene.anchor()
    entries = scene.report().entries
    [intent] = entries.last_actions
    assert "its content of 70,037 bytes is too long to show" in intent.words
    assert entries.tools == {"(not named)": 1}


def test_erased_content_is_said_to_be_absent_and_a_death_still_tells_its_time(halted: Any) -> None:
    halted.forge("DELETE FROM content")
    words = {line.kind: line.words for line in halted.report().entries.notable}
    assert words["start"] == "started (its content is not there)"
    assert words["death"] == "dead 23 ms after the halt's block"


def test_content_erased_on_record_is_said_to_be_and_anothers_record_excuses_nothing(scene: Any) -> None:
    started = scene.record("start", {"command": ["walk"]})
    frozen = scene.record("freeze", {"reason": "a vote"})
    record = scene.record("erasure", {"reason": "her right"}, refers_to=started)
    scene.record("erasure", {"reason": "spite"}, None, refers_to=frozen)
    for index in (started, frozen):
        scene.store.erase(index)
    scene.anchor()
    words = {line.kind: line.words for line in scene.report().entries.notable if not line.of_guard}
    assert words["start"] == f"started (erased, on record in entry {record})"
    assert words["freeze"] == "frozen (its content is not there)"
    assert words["erasure"] == f"erased the content of entry {started}; the reason given: her right"


def test_halt_and_death_are_told_when_they_happened_not_when_they_were_written(halted: Any) -> None:
    lines = {line.kind: line for line in halted.report().entries.notable}
    assert lines["death"].happened - lines["halt"].happened == 16
    assert lines["death"].happened < lines["death"].time


def test_times_that_no_honest_entry_could_bear_are_counted_and_not_drawn(scene: Any) -> None:
    scene.record("intent", {"tool": "write"})
    scene.recorder._now_ms = lambda: 2**52
    scene.record("intent", {"tool": "write"})
    scene.anchor()
    entries = scene.report().entries
    assert entries.odd_times == 1
    assert entries.kinds == {"intent": 2}
    assert entries.buckets.width == 1


def test_other_agents_are_left_out_and_the_guards_own_entries_are_marked(scene: Any) -> None:
    scene.record("start", {}, "other")
    scene.record("dissent", {"endpoints": {"http://a": "lags"}}, None)
    scene.record("start", {})
    scene.anchor()
    lines = scene.report().entries.notable
    assert [(line.kind, line.of_guard) for line in lines] == [("dissent", True), ("start", False)]
