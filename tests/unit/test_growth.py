"""How the growth benchmark judges, goes on from what it measured, and shows it (`scripts/bench_growth_*.py`)."""

import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.unit

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def curve(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("bench_growth_curve")


@pytest.fixture
def picture(curve: ModuleType) -> ModuleType:
    pytest.importorskip("matplotlib")
    return importlib.import_module("bench_growth_picture")


def points(curve: ModuleType, memory: dict[int, float]) -> list[Any]:
    """Measured points of these sizes and MiB, in which all else is in proportion: a microsecond, a byte and so on."""
    return [
        curve.Point(
            entries=size,
            measured=True,
            gas=200.0 * size,
            anchors=size / 256,
            gas_at_once=80_000 + 1_000 * size.bit_length(),
            audit_seconds=8e-6 * size,
            hash_seconds=2e-6 * size,
            audit_mib=mib,
            store_bytes=600 * size + 4_096,
            proof_bytes=1_500 + 45 * size.bit_length(),
            proof_hashes=size.bit_length(),
        )
        for size, mib in memory.items()
    ]


# ------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ({10_000: 40.0, 100_000: 50.0, 1_000_000: 62.5}, []),
        ({100_000: 50.0, 1_000_000: 62.6}, ["1,000,000 entries took 1.25 times"]),
        ({100_000: 50.0, 1_000_000: 70.0, 10_000_000: 55.0}, ["1,000,000 entries took 1.40 times"]),
        ({10_000: 10.0, 100_000: 50.0, 1_000_000: 50.0}, []),
        ({100_000: 299.9, 1_000_000: 299.9}, []),
        ({100_000: 290.0, 1_000_000: 300.0}, ["1,000,000 entries took 300 MiB (wanted: less than 300)"]),
        ({100_000: 50.0}, ["can't be called flat"]),
        ({10_000: 50.0, 1_000_000: 50.0}, ["can't be called flat"]),
        ({}, ["nothing was measured"]),
    ],
)
def test_memory_is_flat_from_a_hundred_thousand_entries_on_or_what_is_not_is_said(
    curve: ModuleType, memory: dict[int, float], said: Sequence[str]
) -> None:
    found = curve.faults(points(curve, memory))
    assert len(found) == len(said)
    assert all(part in whole for part, whole in zip(said, found, strict=True))


def test_memory_that_was_only_extrapolated_neither_clears_nor_accuses(curve: ModuleType) -> None:
    measured = points(curve, {10_000: 49.0, 100_000: 50.0, 1_000_000: 60.0})
    beyond = curve.extrapolated(measured, 10_000_000)
    assert beyond.audit_mib > 1.25 * 50
    assert curve.faults([*measured, beyond]) == []
    assert curve.faults([*measured[:2], beyond]) == [
        "nothing beyond 100,000 entries was measured, so memory can't be called flat"
    ]


# ------------------------------------------------------------------------------------------------------- extrapolation


def test_extrapolation_goes_straight_on_from_the_last_two_measured_points(curve: ModuleType) -> None:
    measured = points(curve, {1_000: 99.0, 100_000: 50.0, 1_000_000: 53.0})
    beyond = curve.extrapolated(measured, 10_000_000)
    assert (beyond.entries, beyond.measured) == (10_000_000, False)
    assert beyond.audit_seconds == pytest.approx(80)
    assert beyond.store_bytes == pytest.approx(6_000_004_096)
    assert beyond.gas_per_entry == pytest.approx(200)
    assert beyond.audit_mib == pytest.approx(83)


def test_extrapolation_of_what_grows_by_doubling_adds_as_much_for_the_next_decade(curve: ModuleType) -> None:
    measured = points(curve, {100_000: 50.0, 1_000_000: 50.0})
    before, last = measured
    beyond = curve.extrapolated(measured, 10_000_000)
    for name in ("proof_hashes", "proof_bytes", "gas_at_once"):
        step = getattr(last, name) - getattr(before, name)
        assert getattr(beyond, name) == pytest.approx(getattr(last, name) + step), name


@pytest.mark.parametrize("entries", [999, 1_000_000, 10_000_001])
def test_extrapolation_within_what_was_measured_or_far_beyond_it_is_refused(
    curve: ModuleType, entries: int
) -> None:
    with pytest.raises(ValueError, match="beyond two measured"):
        curve.extrapolated(points(curve, {100_000: 50.0, 1_000_000: 50.0}), entries)


def test_extrapolation_lets_nothing_shrink(curve: ModuleType) -> None:
    assert curve.extrapolated(points(curve, {100_000: 50.0, 200_000: 49.0}), 2_000_000).audit_mib == 49


def test_extrapolation_does_not_rest_on_what_was_extrapolated(curve: ModuleType) -> None:
    measured = points(curve, {100_000: 50.0, 1_000_000: 50.0})
    beyond = curve.extrapolated(measured, 10_000_000)
    with pytest.raises(ValueError, match="beyond two measured"):
        curve.extrapolated([measured[1], beyond], 100_000_000)


# ------------------------------------------------------------------------------------------------ what people are shown


def test_figures_in_a_file_come_back_without_what_was_extrapolated(curve: ModuleType) -> None:
    measured = points(curve, {100_000: 50.0, 1_000_000: 50.0})
    beyond = curve.extrapolated(measured, 10_000_000)
    text = json.dumps(curve.to_json("26 November 2026", [*measured, beyond]))
    assert curve.from_json(json.loads(text)) == ("26 November 2026", measured)


def test_table_names_every_size_and_marks_what_was_extrapolated(curve: ModuleType) -> None:
    measured = points(curve, {100_000: 50.0, 1_000_000: 53.0})
    shown = [*measured, curve.extrapolated(measured, 10_000_000)]
    head, rule, first, second, third = curve.table(shown, markdown=True).splitlines()
    assert rule.count("---") == head.count("|") - 1
    assert first.startswith("| 100,000 | 200.0 |")
    assert " 8.00 s | 2.00 s | 4.0 | 53 MiB | 600 MB | 600 B |" in second
    assert third.startswith("| 10,000,000 (extrapolated) |")
    plain = curve.table(shown).splitlines()
    assert len({len(line) for line in plain}) == 1
    assert re.sub(r"[| ]+", " ", third).split() == plain[-1].split()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (0.008724, "0.00872"),
        (0.5, "0.500"),
        (81.64, "81.6"),
        (223.4, "223"),
        (1_234_567.0, "1,234,567"),
    ],
)
def test_numbers_have_three_digits_that_count(curve: ModuleType, value: float, written: str) -> None:
    assert curve.significant(value) == written


@pytest.mark.parametrize(
    ("size", "written"), [(999, "999 B"), (2_492, "2.49 kB"), (62_800_000, "62.8 MB"), (6.89e9, "6.89 GB")]
)
def test_bytes_have_the_unit_that_suits_them(curve: ModuleType, size: float, written: str) -> None:
    assert curve.amount(size) == written


def test_picture_has_three_panels_and_is_alike_each_time(curve: ModuleType, picture: ModuleType) -> None:
    shown = points(curve, {100_000: 50.0, 1_000_000: 50.0})
    page = picture.draw(shown, "Growth")
    assert page == picture.draw(shown, "Growth")
    assert picture.draw(shown, "Growth", "png").startswith(b"\x89PNG")
    for words in ("gas per entry", "seconds for the whole log", "bytes", "entries in the log", "measured"):
        assert f"<!-- {words}".encode() in page, words
    assert page.count(b"<!-- entries in the log -->") == 3


def test_picture_shows_hollow_what_was_extrapolated_and_nothing_else(
    curve: ModuleType, picture: ModuleType
) -> None:
    measured = points(curve, {100_000: 50.0, 1_000_000: 50.0})
    page = picture.draw(measured, "Growth")
    assert hollow(page) == 0
    assert b"extrapolated" not in page
    page = picture.draw([*measured, curve.extrapolated(measured, 10_000_000)], "Growth")
    assert hollow(page) == 7 + 1  # seven lines, and the legend
    assert b"<!-- extrapolated from the last two measured -->" in page


def hollow(page: bytes) -> int:
    return len(re.findall(rb'<use [^>]*style="fill: #ffffff; stroke: #', page))
