"""Leases: acts after one had run out, of which no event of the council tells."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.audit import Event, Lapse, Result
from agent_guard.audit.leases import NEVER, Grant, grants, lapses
from agent_guard.types import Block
from tests.unit.audit.conftest import ME, block, happening

pytestmark = pytest.mark.unit
V, T, I = Result.VERIFIED, Result.TAMPERED, Result.INDETERMINATE  # noqa: E741
LEASE, GRACE = 100, 50  # ten blocks, and five


def found(last: int, *granted: int, late: int = 0) -> list[tuple[int, int, bool]]:
    """First block, end and whether it outlasts its grace, of every lapse of leases granted in these blocks."""
    given = [
        Grant(number, block(number).timestamp, block(number).timestamp + LEASE + late) for number in granted
    ]
    made = lapses(given, GRACE, block(last), lambda number: block(number))
    return [(lapse.block.number, lapse.end, lapse.fatal is not None) for lapse in made]


def test_lease_runs_out_in_the_block_that_bears_its_end() -> None:
    assert found(109, 100) == []
    assert found(110, 100) == [(110, NEVER, False)]
    assert found(110, 100, late=1) == []
    assert found(111, 100, late=1) == [(111, NEVER, False)]


def test_lapse_ends_with_the_next_lease_and_outlasts_its_grace_or_does_not() -> None:
    assert found(130, 100, 105, 114, 122) == []  # each renewed within ten blocks
    assert found(130, 100, 114, 121) == [(110, 114, False)]
    assert found(130, 100, 115, 122) == [(110, 115, True)]
    assert found(300, 100, 112) == [(110, 112, False), (122, NEVER, True)]


def test_lease_that_is_renewed_in_the_very_block_of_its_end_lapsed_in_none() -> None:
    assert found(115, 100, 110) == []


def test_agent_that_was_granted_no_lease_lapsed_in_no_block() -> None:
    assert found(130) == []  # never registered, or the node did not give the event


def test_council_without_leases_grants_none() -> None:
    assert grants([happening(Event.REGISTERED, 90)], [], ME, 0) == []


def test_registration_resume_and_renewals_grant_leases_to_the_agent_and_not_to_the_fleet(
    fleet: bytes,
) -> None:
    history = [
        happening(Event.REGISTERED, 90),
        happening(Event.PAUSED, 92),
        happening(Event.RESUMED, 120, fleet),
        happening(Event.RESUMED, 130),
    ]
    renewed = Grant(95, block(95).timestamp, block(95).timestamp + LEASE)
    granted = grants(history, [renewed], ME, LEASE)
    assert [grant.number for grant in granted] == [90, 95, 130]
    assert {grant.until - grant.at for grant in granted} == {LEASE}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 200))
def test_first_block_without_a_lease_is_found_whatever_the_gaps_between_blocks(
    gaps: list[int], lease: int
) -> None:
    times = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    chain = [Block(number, bytes(32), time) for number, time in enumerate(times)]
    grant = Grant(0, times[0], times[0] + lease)
    made = list(lapses([grant], GRACE, chain[-1], lambda number: chain[number]))
    late = [number for number, time in enumerate(times) if number > 0 and time >= grant.until]
    assert [lapse.block.number for lapse in made] == late[:1]


# -------------------------------------------------------------------------------------------------------- the verdict


def with_lapse(world: Any, start: int, end: int, *, outlasts_grace: bool = False) -> Any:
    fatal = block(start).timestamp + GRACE if outlasts_grace else None
    return replace(world.facts(), lapses=(Lapse(block(start), end, fatal),))


@pytest.mark.parametrize(("start", "end", "result"), [(0, 5, T), (1, 5, V), (-3, 1, T), (-3, 0, V)])
def test_act_on_a_block_without_a_lease_is_disobedience(
    honest: Any, start: int, end: int, result: Result
) -> None:
    honest.now += 5
    at = honest.now
    index = honest.record("intent", {})
    honest.anchor()
    made = honest.audit(with_lapse(honest, at + start, at + end))
    assert made.obedience.result is result
    if result is T:
        assert made.first_bad is not None
        assert made.first_bad.index == index
        assert "lease had run out" in made.first_bad.why


@pytest.mark.parametrize(("outlasts_grace", "result"), [(False, V), (True, I)])
def test_lapse_past_its_grace_must_have_killed(honest: Any, outlasts_grace: bool, result: Result) -> None:
    at = honest.now
    honest.now += 20
    honest.record("freeze", {})
    honest.anchor()
    made = honest.audit(with_lapse(honest, at, at + 15, outlasts_grace=outlasts_grace))
    assert made.obedience.result is result
    if result is I:
        assert "no death receipt" in made.obedience.detail


@pytest.mark.parametrize("kind", ["death", "exit", "found"])
@pytest.mark.parametrize(
    ("blocks", "outlasts_grace", "result"), [(17, True, V), (18, True, I), (18, False, V)]
)
def test_life_that_ended_long_after_the_grace_of_its_lease_is_not_verified(
    honest: Any, kind: str, blocks: int, outlasts_grace: bool, result: Result
) -> None:
    """Five blocks of grace, and twelve (120 s) in which a guard must have killed, by the clock half a second later."""
    at = honest.now
    honest.now += blocks
    if kind == "exit":
        honest.record("exit", {})
    else:
        time = block(honest.now).timestamp * 1000
        dead = {"found": time, "life": 1, "known": "cgroup"} if kind == "found" else {"dead": time}
        honest.record("death", {}, refers_to=1, meta=dead | {"mode": "pidns"})
    honest.anchor()
    made = honest.audit(with_lapse(honest, at, NEVER, outlasts_grace=outlasts_grace), overrun_seconds=120.5)
    assert made.obedience.result is result
    if result is I:
        assert f"the grace of the lease that had run out in block {at}" in made.obedience.detail
