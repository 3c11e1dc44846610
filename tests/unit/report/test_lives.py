"""A life is drawn as far as the log shows it; beyond that the picture, the text and the JSON say that nobody knows."""

import json
import re
from typing import Any

import pytest

from agent_guard.audit import Event
from agent_guard.report import Form, render
from agent_guard.report.lives import FOUND_DEAD, NO_END, NOTHING_SINCE
from agent_guard.report.model import Leaseless
from agent_guard.report.timeline import timeline
from tests.unit.audit.conftest import block

pytestmark = pytest.mark.unit
GENESIS = 1_700_000_000


def bands(scene: Any, **changes: Any) -> list[tuple[int, int | None, str, str]]:
    """The agent's stretches, from block to block."""
    return [
        (_block(band.start), band.end and _block(band.end), band.what, band.why)
        for band in timeline(scene.report(**changes)).agent
    ]


def council(scene: Any, *without: Leaseless) -> list[tuple[int, int | None, str]]:
    report = leaseless(scene, *without)
    return [
        (_block(band.start), band.end and _block(band.end), band.what) for band in timeline(report).council
    ]


def leaseless(scene: Any, *without: Leaseless) -> Any:
    from dataclasses import replace

    report = scene.report()
    assert report.chain is not None
    return replace(report, chain=replace(report.chain, leaseless=without))


def _block(unix_ms: int) -> int:
    return (unix_ms // 1000 - GENESIS) // 10


def found_dead(scene: Any, life: int) -> None:
    facts = {"life": life, "found": block(scene.now).timestamp * 1000, "known": "cgroup", "mode": "cgroup"}
    scene.record("death", {"reason": "found"}, refers_to=life, meta=facts)


@pytest.fixture
def lost(scene: Any) -> Any:
    """A life whose guard was killed, found dead 20 blocks later."""
    scene.now = 100
    life = scene.record("start", {})
    intent = scene.record("intent", {"tool": "write"})
    scene.record("outcome", {"status": "ok"}, refers_to=intent)
    scene.now = 120
    found_dead(scene, life)
    scene.anchor()
    return scene


def test_life_found_dead_is_unknown_after_its_last_sign(lost: Any) -> None:
    assert bands(lost) == [(100, 102, "alive", ""), (102, 120, "not known", FOUND_DEAD)]


def test_who_acts_without_a_start_on_record_is_drawn_alive(scene: Any) -> None:
    scene.record("intent", {"tool": "write"})
    scene.record("intent", {"tool": "write"})
    scene.record("exit", {})
    scene.record("intent", {"tool": "write"})  # it was on its way when the agent left
    scene.now = 130
    scene.record("intent", {"tool": "write"})
    assert bands(scene) == [
        (100, 102, "alive", ""),
        (130, 130, "alive", ""),
        (130, None, "not known", NOTHING_SINCE),
    ]


def test_request_that_was_taken_back_is_no_sign_of_a_life(scene: Any) -> None:
    scene.record("config", {})
    intent = scene.record("intent", {"tool": "write"})
    scene.record("refused", {"reason": "halted"}, refers_to=intent)
    assert bands(scene) == []


def test_life_without_an_end_is_unknown_until_the_next_begins(scene: Any) -> None:
    scene.record("start", {})
    scene.record("intent", {"tool": "write"})
    scene.now = 130
    scene.record("start", {})
    scene.record("exit", {"exit_code": 0})
    assert bands(scene) == [
        (100, 101, "alive", ""),
        (130, 131, "alive", ""),
        (101, 130, "not known", NO_END),
    ]


def test_life_that_has_no_end_yet_is_unknown_after_its_newest_entry(scene: Any) -> None:
    scene.record("start", {})
    scene.record("intent", {"tool": "write"})
    assert bands(scene) == [(100, 101, "alive", ""), (101, None, "not known", NOTHING_SINCE)]


def test_freeze_is_not_drawn_beyond_the_last_sign_and_is_said_to_be_the_last_that_was_heard(
    scene: Any,
) -> None:
    life = scene.record("start", {})
    scene.record("freeze", {"reason": "a vote"})
    scene.now = 120
    found_dead(scene, life)
    assert bands(scene) == [
        (100, 101, "alive", ""),
        (101, 101, "frozen", ""),
        (101, 120, "not known", f"{FOUND_DEAD}; it stood frozen when it was last heard of"),
    ]


def test_finding_that_names_another_life_ends_none(scene: Any) -> None:
    other = scene.record("intent", {"tool": "write"})
    scene.record("start", {})
    found_dead(scene, other)
    assert bands(scene)[-1] == (101, None, "not known", NOTHING_SINCE)


def test_erasure_and_the_next_guards_own_words_are_no_sign_of_life(scene: Any) -> None:
    life = scene.record("start", {})
    scene.now = 110
    scene.record("config", {"command": ["walk"]})
    scene.record("erasure", {"reason": "her right"}, refers_to=life)
    scene.now = 120
    found_dead(scene, life)
    assert bands(scene) == [(100, 100, "alive", ""), (100, 120, "not known", FOUND_DEAD)]


def test_death_ends_a_life_when_the_receipt_says_not_when_it_was_written(halted: Any) -> None:
    alive = next(band for band in timeline(halted.report()).agent if band.what == "alive")
    assert alive.end == next(
        line.happened for line in halted.report().entries.notable if line.kind == "death"
    )


@pytest.mark.parametrize("dead", [0, 2**53 - 1])
def test_receipt_of_a_time_that_cannot_be_ends_a_life_where_it_stands(scene: Any, dead: int) -> None:
    scene.record("start", {})
    scene.record("death", {}, meta={"dead": dead, "seen": dead, "epoch": 1, "mode": "bwrap"})
    assert bands(scene) == [(100, 101, "alive", "")]


def test_every_form_says_what_is_not_known_in_words(lost: Any) -> None:
    report = lost.report()
    page = render(report, Form.HTML)
    assert "not known whether alive" in page  # the legend
    assert re.search(r'<rect class="over" fill="url\(#backward\)"', page)
    assert f"<title>not known ({FOUND_DEAD})</title>" in page
    for text in (page, render(report, Form.MARKDOWN)):
        assert f"not known: {FOUND_DEAD}" in text.replace("&#58;", ":")
        assert "Once its guard went away without recording how its life ended" in text
        assert "is not known for 3 min" in text
    told = json.loads(render(report, Form.JSON))["timeline"]["agent"]
    assert [(band["what"], band.get("why")) for band in told] == [("alive", None), ("not known", FOUND_DEAD)]


# ------------------------------------------------------------------------------------------------------ without a lease


def test_lapse_is_drawn_where_the_agent_might_otherwise_have_run(scene: Any) -> None:
    scene.now = 150
    assert council(scene, Leaseless(block(110), block(120)), Leaseless(block(140), None)) == [
        (90, 110, "may run"),
        (110, 120, "no lease"),
        (120, 140, "may run"),
        (140, None, "no lease"),
    ]


def test_lapse_weighs_more_than_a_pause_and_less_than_a_halt(scene: Any) -> None:
    scene.now = 105
    scene.happens(Event.PAUSED, until=GENESIS + 1_300)  # block 130
    scene.now = 120
    scene.happens(Event.HALTED)
    scene.now = 140
    scene.happens(Event.RESUMED)
    gap = Leaseless(block(110), block(140), fatal=GENESIS + 1_250)
    assert council(scene, gap) == [
        (90, 105, "may run"),
        (105, 110, "paused"),
        (110, 120, "no lease"),
        (120, 140, "halted"),
        (140, None, "may run"),
    ]
    kinds = [moment.kind for moment in timeline(leaseless(scene, gap)).moments]
    assert kinds == ["registered", "paused", "lapsed", "halted", "resumed"]  # the grace ended under the halt


def test_lapse_its_grace_and_its_end_are_told_in_every_form(scene: Any) -> None:
    scene.record("start", {})
    scene.now = 150
    report = leaseless(scene, Leaseless(block(110), block(140), fatal=GENESIS + 1_250))
    page, plain = render(report, Form.HTML), render(report, Form.MARKDOWN)
    for text in (page.replace("&#x27;", "'"), plain):
        for fact in (
            "the agent's lease had run out, and no signer had renewed it",
            "the grace of that lease was over: from now on its guard was to kill the agent",
            "the agent had a lease again",
        ):
            assert fact in text, fact
    assert 'fill="url(#upright)"' in page
    assert "| the council | 2023-11-14 22:31:40 | 2023-11-14 22:36:40 | no lease |" in plain
    told = json.loads(render(report, Form.JSON))
    assert told["chain"]["without_lease"] == [
        {
            "from_block": 110,
            "from_ms": (GENESIS + 1_100) * 1000,
            "to_block": 140,
            "to_ms": (GENESIS + 1_400) * 1000,
            "grace_over_ms": (GENESIS + 1_250) * 1000,
        }
    ]
    assert "no lease" in [band["what"] for band in told["timeline"]["council"]]


def test_fleets_pause_does_not_hide_the_agents_own_halt(scene: Any) -> None:
    from agent_guard.types import FLEET

    scene.now = 110
    scene.happens(Event.HALTED)
    scene.now = 120
    scene.happens(Event.PAUSED, agent=FLEET, until=GENESIS + 1_300)
    assert council(scene) == [(90, 110, "may run"), (110, None, "halted")]


def test_more_stretches_than_are_told_are_counted(scene: Any) -> None:
    scene.now = 2_000
    gaps = [Leaseless(block(100 + 10 * number), block(105 + 10 * number)) for number in range(30)]
    assert "21 of these stretches in between are left out." in render(leaseless(scene, *gaps), Form.HTML)
