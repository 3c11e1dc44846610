"""A report's sentences: right numbers in the singular and the plural, and no command that can't be followed."""

import re
from typing import Any

import pytest

from agent_guard.audit import Event, Result
from agent_guard.report import Form, render
from agent_guard.report.sentences import summary
from tests.unit.report.test_forms import Page

pytestmark = pytest.mark.unit


def told(report: Any) -> str:
    return "".join(Page(render(report, Form.HTML)).words)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "asked to act. No request was refused, and 0 outcomes are on record."),
        (1, "asked to act once. 1 request was refused, and 1 outcome is on record."),
        (3, "asked to act 3 times. 3 requests were refused, and 3 outcomes are on record."),
    ],
)
def test_counts_are_told_in_the_right_number(scene: Any, count: int, words: str) -> None:
    for _ in range(count):
        intent = scene.record("intent", {"tool": "write"})
        scene.record("outcome", {"status": "ok"}, refers_to=intent)
        scene.record("refused", {"reason": "late"})
    said = next(summary(scene.report()))
    assert words in said
    assert said.startswith("By this log, walker was ")  # another operator's may hold more


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        (0, "No entry rests on the guard's word alone"),
        (1, "The newest entry is not anchored yet, and rests on"),
        (2, "The newest 2 entries are not anchored yet, and rest on"),
    ],
)
def test_tail_is_told_in_the_right_number(scene: Any, tail: int, words: str) -> None:
    scene.record("start", {})
    scene.anchor()
    for _ in range(tail):
        scene.record("refused", {"reason": "late"})
    assert any(sentence.startswith(words) for sentence in summary(scene.report()))


def test_proof_to_try_is_of_an_entry_of_the_agents_own_that_is_anchored(scene: Any) -> None:
    scene.record("start", {}, "other")
    scene.record("dissent", {"endpoints": {"http://a": "lags"}}, None)
    own = scene.record("intent", {"tool": "write"})
    scene.anchor()
    assert f"agent-guard log prove walker {own} --log" in told(scene.report())


def test_where_nothing_can_be_proven_no_proof_is_asked_for(scene: Any) -> None:
    scene.record("start", {})
    assert "agent-guard log prove" not in told(scene.report())


def test_death_of_another_stop_is_not_told_as_the_latest_halts(halted: Any) -> None:
    report = halted.report()
    assert any("The death receipt for it is entry" in sentence for sentence in summary(report))
    halted.happens(Event.RESUMED, epoch=2)
    halted.now += 1
    halted.happens(Event.HALTED, epoch=2)
    report = halted.report()
    assert report.result.death is not None
    assert (report.result.result, report.result.overrun_ms) == (Result.VERIFIED, None)
    said = " ".join(summary(report))
    assert "No death receipt answers it. The newest one, of another stop, is entry" in said
    assert "death receipt for it is" not in said


def test_log_that_does_not_speak_of_the_agent_is_not_said_to_hold_nothing_of_it(scene: Any) -> None:
    scene.record("start", {}, "other")
    scene.anchor()
    assert "Nothing in this log speaks of this agent." in told(scene.report())


def test_no_hash_is_shown_that_the_report_gives_no_use_for(halted: Any) -> None:
    """In the tables of entries stood leaf hashes that nobody could do anything with; JSON has them for programs."""
    report = halted.report()
    page = render(report, Form.HTML)
    entries = {"0x" + line.leaf.hex() for line in [*report.entries.notable, *report.entries.last_actions]}
    assert entries
    assert not entries & set(re.findall(r"0x[0-9a-f]{64}", page))


def test_words_are_explained_and_the_reader_is_told_where(halted: Any) -> None:
    page = told(halted.report())
    assert "The last section explains the words used." in page
    explained = page[page.index("Words used here") :]
    for word in ("INDETERMINATE", "signer", "anchor", "freeze", "lease", "found dead", "cgroup", "block"):
        assert word in explained, word


def test_report_that_is_not_verified_says_so_before_its_picture(halted: Any) -> None:
    halted.forge("UPDATE content SET body = x'78' WHERE leaf_index = 4")
    page = render(halted.report(), Form.HTML)
    assert page.index("may be false or incomplete") < page.index("<svg")


def test_row_of_a_table_is_a_card_on_a_phone_each_value_under_its_columns_name(halted: Any) -> None:
    page = render(halted.report(), Form.HTML)
    assert '<td class="tight" data-label="Time (UTC)">' in page
    cells = re.findall(r'<div class="scroll".*?</div>', page, re.DOTALL)
    assert cells
    assert all("<td" not in re.sub(r'<td[^>]* data-label="[^"]+">', "", grid) for grid in cells)
