"""Counting trials, and keeping them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent_guard.drill.result import Result, Trial, count, file_name, load, newest, save
from agent_guard.errors import GuardError

pytestmark = pytest.mark.unit


def trials(*survived: bool, reached: bool | None = None) -> list[Trial]:
    return [Trial("d", "guard", "root", True, alive=int(lives), reached=reached) for lives in survived]


def test_attempts_and_survivals_are_counted_apart() -> None:
    cell = count(
        "d", "guard", [*trials(True, False), Trial("d", "guard", "root", words="nothing to try it on")]
    )
    assert (cell.n, cell.attempted, cell.survived) == (3, 2, 1)
    assert (cell.low, cell.high) == pytest.approx((0.0615, 0.7923), abs=5e-5)


@pytest.mark.parametrize(
    ("alive", "beats", "lives"), [(0, 0, False), (1, 0, True), (0, 1, True), (2, 7, True)]
)
def test_a_process_found_or_a_beat_heard_is_a_survivor(alive: int, beats: int, lives: bool) -> None:
    assert Trial("d", "guard", "root", alive=alive, beats=beats).survived is lives


def test_a_trial_that_could_not_be_run_counts_nowhere() -> None:
    cell = count("d", "guard", [*trials(False), Trial("d", "guard", "root", failure="it broke")])
    assert (cell.n, cell.failed) == (1, 1)
    nothing = count("d", "guard", [Trial("d", "guard", "root", failure="it broke")])
    assert (nothing.n, nothing.low, nothing.high) == (0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("answers", "reached"), [((None, None), None), ((False, None), 0), ((True, False), 1)]
)
def test_what_was_reached_is_counted_where_there_was_something(
    answers: tuple[bool | None, ...], reached: int | None
) -> None:
    group = [trial for answer in answers for trial in trials(False, reached=answer)]
    assert count("d", "guard", group).reached == reached


def test_cells_and_totals_hold_every_trial_once(result: Result) -> None:
    assert [(cell.drill, cell.placement, cell.n) for cell in result.cells()] == [
        ("double-fork", "signal", 2),
        ("double-fork", "guard", 2),
        ("kill-guard", "signal", 1),
        ("kill-guard", "guard", 2),
    ]
    assert [(cell.placement, cell.n, cell.survived, cell.failed) for cell in result.totals()] == [
        ("signal", 3, 3, 1),
        ("guard", 4, 0, 0),
    ]


def test_a_run_in_which_only_other_stops_fail_is_no_failure(result: Result) -> None:
    assert result.failure() is None


@pytest.mark.parametrize("change", [{"alive": 1}, {"beats": 1}, {"reached": True}])
def test_a_run_in_which_this_guard_does_not_hold_is_one(result: Result, change: dict[str, int]) -> None:
    trials = [*result.trials[:-1], replace(result.trials[-1], **change)]
    failure = replace(result, trials=tuple(trials)).failure()
    assert failure is not None
    assert failure.code == "AG450"
    assert "kill-guard" in failure.message


def test_a_run_that_could_not_try_this_guard_does_not_pass_for_one_that_holds(result: Result) -> None:
    trials = [*result.trials[:-1], replace(result.trials[-1], failure="no container")]
    failure = replace(result, trials=tuple(trials)).failure()
    assert failure is not None
    assert failure.code == "AG454"


def test_a_result_is_read_as_it_was_written(result: Result, tmp_path: Path) -> None:
    save(result, tmp_path / "deep/er/result.json")
    assert load(tmp_path / "deep/er/result.json") == result


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: text.replace('"alive": 1', '"alive": -1', 1),
        lambda text: json.dumps(json.loads(text) | {"version": 99}),
        lambda text: "\x00" + text,
    ],
)
def test_a_file_that_is_no_result_is_refused(result: Result, tmp_path: Path, change: object) -> None:
    path = tmp_path / "result.json"
    save(result, path)
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(GuardError) as error:
        load(path)
    assert error.value.code == "AG451"


def test_a_missing_file_and_an_empty_folder_are_errors(tmp_path: Path) -> None:
    for look in (lambda: load(tmp_path / "none.json"), lambda: newest(tmp_path / "none")):
        with pytest.raises(GuardError) as error:
            look()
        assert error.value.code == "AG451"


def test_a_result_that_cannot_be_kept_is_an_error(result: Result, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GuardError) as error:
        save(result, tmp_path / "file/result.json")
    assert error.value.code == "AG104"


def test_the_newest_result_is_the_one_with_the_latest_name(tmp_path: Path) -> None:
    for moment in (1_795_600_000, 1_795_600_001, 1_700_000_000):
        (tmp_path / file_name(moment)).touch()
    assert newest(tmp_path).name == file_name(1_795_600_001) == "2026-11-25T09-46-41Z.json"
