"""The tables of a report, and its chart."""

import json
import sys
from dataclasses import replace

import pytest

from agent_guard.drill import report
from agent_guard.drill.picture import draw
from agent_guard.drill.result import Result
from agent_guard.errors import GuardError

pytestmark = pytest.mark.unit


def test_every_drill_has_a_row_and_every_placement_a_column(result: Result) -> None:
    assert report.columns(result) == ["signal", "guard"]
    assert report.survival(result) == [
        ["double-fork", "2/2 of 2", "2/0 of 2"],
        ["kill-guard", "1/1 of 1", "2/0 of 2"],
        ["docker", "skipped", "skipped"],
    ]
    assert report.reach(result) == [["kill-guard", "reached 1 of 1", "not reached"]]


def test_totals_have_their_interval(result: Result) -> None:
    assert report.totals(result) == [
        ["signal", "3", "3", "3", "44-100 %", "1"],
        ["guard", "4", "4", "0", "0-49 %", "0"],
    ]


def test_what_was_not_run_is_told_with_its_reason(result: Result) -> None:
    skipped, failed = report.reasons(result)
    assert skipped == "skipped, no Docker here: docker"
    assert "kill-guard in signal" in failed


def test_modes_are_told_for_each_user(result: Result) -> None:
    assert report.modes(result) == ["guard, run by root: pidns", "guard, run by user: pidns"]


def test_markdown_is_ascii_and_no_failures_words_break_a_table(result: Result) -> None:
    trials = tuple(replace(trial, drill="kill-guard", words="| x |\n# y") for trial in result.trials)
    for text in (report.markdown(result), report.markdown(replace(result, trials=trials))):
        assert text.isascii()
        lines = text.splitlines()
        assert lines[0] == "# Escape drills, 2026-11-25"
        columns = {line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}
        assert columns == {3, 4, 7}
        assert not [line for line in lines[1:] if line.startswith("#")]


def test_rows_have_the_shape_of_a_reading_command(result: Result) -> None:
    rows = json.loads(json.dumps(report.payload(result)))
    assert (rows["as_of"], rows["block"], rows["truncated"]) == (1_795_600_000, None, False)
    assert rows["rows"][0] == {
        "drill": "double-fork",
        "placement": "signal",
        "n": 2,
        "attempted": 2,
        "survived": 2,
        "low": pytest.approx(0.3424, abs=5e-5),
        "high": 1.0,
        "reached": None,
        "failed": 0,
    }
    assert len(rows["totals"]) == 2
    assert rows["skipped"][0]["why"] == "no Docker here"


def test_the_chart_is_drawn_in_both_forms_and_alike_each_time(result: Result) -> None:
    pytest.importorskip("matplotlib")
    assert draw(result, "png").startswith(b"\x89PNG")
    picture = draw(result, "svg")
    assert b"<svg" in picture
    assert draw(result, "svg") == picture


def test_a_chart_without_matplotlib_says_what_to_install(
    result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(GuardError) as error:
        draw(result, "png")
    assert error.value.code == "AG452"
    assert "agent-guard[drill]" in error.value.remedy
