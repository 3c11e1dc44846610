"""The picture's values and its SVG: in order, bounded, and no label over another."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.audit import Event
from agent_guard.report.svg import timeline_picture
from agent_guard.report.timeline import FIRST, NEWEST, Bar, Moment, Timeline, timeline
from agent_guard.types import FLEET

pytestmark = pytest.mark.unit


def test_votes_stand_before_what_they_decided_in_the_same_block(halted: Any) -> None:
    words = [moment.words for moment in timeline(halted.report()).moments]
    assert words.index("the council halted the agent") == 1 + next(
        number for number, said in enumerate(words) if "(2 of 2 votes)" in said
    )


def test_halt_by_a_fork_proof_is_no_word_of_the_council(scene: Any) -> None:
    scene.now = 110
    scene.happens(Event.HALTED, by_fork=True)
    words = [moment.words for moment in timeline(scene.report()).moments]
    assert (
        "the agent was halted without a vote, by a proof that its operator had signed two histories" in words
    )
    assert not [said for said in words if "the council halted" in said]


def test_council_band_follows_its_word_and_the_fleets_over_it(scene: Any) -> None:
    scene.now = 110
    scene.happens(Event.PAUSED, until=1_700_001_130)  # block 113
    scene.now = 120
    scene.happens(Event.HALTED)
    scene.now = 130
    scene.happens(Event.RESUMED)
    scene.now = 140
    scene.happens(Event.HALTED, agent=FLEET)
    bands = [
        (
            (band.start // 1000 - 1_700_000_000) // 10,
            band.end and (band.end // 1000 - 1_700_000_000) // 10,
            band.what,
        )
        for band in timeline(scene.report()).council
    ]
    assert bands == [
        (90, 110, "may run"),
        (110, 113, "paused"),
        (113, 120, "may run"),
        (120, 130, "halted"),
        (130, 140, "may run"),
        (140, None, "halted"),
    ]


def test_lives_and_freezes_are_those_of_the_log(halted: Any) -> None:
    assert [(band.what, band.end is None) for band in timeline(halted.report()).agent] == [
        ("alive", False),
        ("frozen", False),
    ]


def test_more_events_than_are_told_are_counted(scene: Any) -> None:
    for _ in range(FIRST + NEWEST + 40):
        scene.happens(Event.PAUSED, until=0)
        scene.now += 1
    found = timeline(scene.report())
    assert (len(found.moments), found.untold) == (FIRST + NEWEST, 41)
    assert [moment.number for moment in found.moments] == list(range(1, FIRST + NEWEST + 1))


@pytest.mark.parametrize("time", [1, 2**52])
def test_times_that_no_honest_log_could_bear_do_not_stretch_the_picture(scene: Any, time: int) -> None:
    scene.record("start", {})
    scene.work(3)
    scene.record("death", {}, meta={"dead": time, "epoch": 1})
    clock, scene.recorder._now_ms = scene.recorder._now_ms, lambda: time
    scene.record("freeze", {})
    scene.record("dissent", {}, None)
    scene.recorder._now_ms = clock
    scene.anchor()
    report = scene.report()
    found = timeline(report)
    assert found.end - found.start < 1_000_000
    assert [moment.kind for moment in found.moments if moment.time == time] == ["freeze", "dissent"]
    svg = timeline_picture(found, "", "")
    assert all(0 <= float(x) <= 960 for x in re.findall(r'<rect class="mark \w+" x="([-\d.]+)"', svg))


times = st.integers(0, 2**53)


@given(st.lists(times, max_size=60).map(sorted), st.lists(times, max_size=20))
def test_no_mark_lies_over_another_and_none_outside(at: Sequence[int], bars: Sequence[int]) -> None:
    moments = [Moment(time, "freeze", "<&>\"'", "x", number) for number, time in enumerate(at, 1)]
    line = Timeline(0, 2**53, moments, 0, [], [], [Bar(start, 1000, 3, 1) for start in bars], [])
    svg = timeline_picture(line, "<t>", "&")
    marks = sorted(
        (float(x), float(x) + float(width))
        for x, width in re.findall(r'<rect class="mark \w+" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    )
    assert bool(marks) == bool(at)
    assert all(left[1] < right[0] for left, right in pairwise(marks))
    assert all(right <= 945 for _, right in marks)
    assert "<t>" not in svg


def test_empty_timeline_is_drawn_without_fault() -> None:
    assert timeline_picture(Timeline(0, 0, [], 0, [], [], [], []), "", "").startswith("<svg")
