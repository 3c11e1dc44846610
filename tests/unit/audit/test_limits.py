"""Whose limits an audit holds against a log: the guard's own where it recorded some, the stricter of both, and no
silence that an operator grants himself."""

from typing import Any

import pytest

from agent_guard.audit import AuditResult, Event, Result
from agent_guard.audit.limits import CEILING, RECORDED, AuditLimits, LimitsInForce
from agent_guard.settings import parse
from agent_guard.types import State
from agent_guard.wiring.auditing import limits_of
from agent_guard.wiring.containing import recorded_limits

pytestmark = pytest.mark.unit

SHIPPED = {"max_unanchored_entries": 10_000, "max_unanchored_age_ms": 600_000, "max_overrun_ms": 124_000}


def silent(world: Any, seconds: int, meta: dict[str, Any] | None, kind: str = "config") -> None:
    """A guard that lets its agent act so long after an entry that it did not anchor meanwhile."""
    world.record(kind, {}, meta=meta or {})
    world.now += seconds // 10 - 1
    world.record("intent", {"tool": "write"})
    world.anchor()


def completeness(world: Any, **limits: Any) -> tuple[Result, str]:
    found: AuditResult = world.audit(**limits)
    return found.completeness.result, found.completeness.detail


@pytest.mark.parametrize(
    ("meta", "seconds", "result"),
    [
        # A clock's doubt of 60 s is added to each. Older guards recorded nothing: as it was.
        (None, 660, Result.VERIFIED), (None, 670, Result.INDETERMINATE),
        (SHIPPED, 660, Result.VERIFIED), (SHIPPED, 670, Result.INDETERMINATE),
        # What it recorded holds, stricter or laxer than the defaults.
        ({"max_unanchored_age_ms": 100_000}, 160, Result.VERIFIED),
        ({"max_unanchored_age_ms": 100_000}, 170, Result.INDETERMINATE),
        ({"max_unanchored_age_ms": 2_000_000}, 2_060, Result.VERIFIED),
        ({"max_unanchored_age_ms": 2_000_000}, 2_070, Result.INDETERMINATE),
        ({"max_unanchored_age_ms": 3_600_000}, 3_660, Result.VERIFIED),
        # Less than clocks differ is not taken for less.
        ({"max_unanchored_age_ms": 1}, 120, Result.VERIFIED), ({"max_unanchored_age_ms": 1}, 130, Result.INDETERMINATE),
        # What is absurd, or no number, is no limit.
        ({"max_unanchored_age_ms": 3_600_001}, 670, Result.INDETERMINATE),
        ({"max_unanchored_age_ms": 2**53 - 1}, 670, Result.INDETERMINATE),
        ({"max_unanchored_age_ms": -1}, 670, Result.INDETERMINATE),
        ({"max_unanchored_age_ms": "3600000"}, 670, Result.INDETERMINATE),
        ({"max_unanchored_age_ms": True}, 660, Result.VERIFIED),
    ],
)  # fmt: skip
def test_a_silence_is_measured_by_what_the_guard_recorded_up_to_the_ceiling(
    honest: Any, meta: dict[str, Any] | None, seconds: int, result: Result
) -> None:
    silent(honest, seconds, meta)
    found, detail = completeness(honest)
    assert found is result, detail
    assert (result is Result.INDETERMINATE) is ("the guard was silent" in detail)


def test_what_was_not_taken_for_a_limit_is_said(honest: Any) -> None:
    at = honest.record("config", {}, meta={"max_unanchored_age_ms": 10**12, "max_overrun_ms": 10**12})
    honest.record("config", {}, meta=SHIPPED)
    honest.anchor()
    found, detail = completeness(honest)
    assert found is Result.VERIFIED
    assert f"entry {at} records max_unanchored_age_ms 1000000000000, which is no limit up to 3600 s" in detail


@pytest.mark.parametrize("recorded", [100_000, 2_000_000])
def test_of_the_auditors_and_the_guards_limit_the_stricter_holds(honest: Any, recorded: int) -> None:
    silent(honest, 1_000, {"max_unanchored_age_ms": recorded})
    result = honest.audit(silence_seconds=900.0, named=frozenset({"silence_seconds"}))
    assert result.completeness.result is Result.INDETERMINATE
    limits = result.as_dict()["limits"]
    assert limits["silence_seconds"] == min(900, recorded / 1000)
    assert (limits["named"], limits["recorded"]["silence_seconds"]) == (
        {"silence_seconds": 900.0},
        recorded / 1000,
    )
    assert "silence_seconds 900, the stricter holds" in result.limits.in_words()


def test_a_later_config_holds_from_its_own_place_on(honest: Any) -> None:
    """A guard that has been silent can't make it good by what it records afterwards."""
    honest.record("config", {}, meta={"max_unanchored_age_ms": 100_000})
    honest.now += 30
    honest.record("intent", {"tool": "write"})
    honest.record("config", {}, meta={"max_unanchored_age_ms": 3_600_000})
    honest.anchor()
    assert completeness(honest)[0] is Result.INDETERMINATE


@pytest.mark.parametrize(("kind", "agent"), [("config", "other"), ("config", None), ("freeze", "walker")])
def test_only_this_agents_config_sets_its_limits(honest: Any, kind: str, agent: str | None) -> None:
    honest.record(kind, {}, agent, meta={"max_unanchored_age_ms": 3_600_000})
    silent(honest, 670, None, "freeze")
    result = honest.audit()
    assert (result.completeness.result, result.limits.entry) == (Result.INDETERMINATE, None)


def test_a_tail_is_held_against_what_the_guard_recorded(honest: Any) -> None:
    honest.record("config", {}, meta={"max_unanchored_entries": 2, "max_unanchored_age_ms": 600_000})
    honest.record("freeze", {})
    assert completeness(honest)[0] is Result.VERIFIED
    assert honest.audit(tail_entries=1, named=frozenset({"tail_entries"})).completeness.result is (
        Result.INDETERMINATE
    )


def test_a_longer_tail_than_the_guard_recorded_is_not_verified(honest: Any) -> None:
    honest.record("config", {}, meta={"max_unanchored_entries": 2})
    honest.record("freeze", {})
    honest.record("thaw", {})
    found, detail = completeness(honest)
    assert found is Result.INDETERMINATE
    assert "limits: 2 entries" in detail


@pytest.mark.parametrize(
    ("recorded", "seconds", "result"),
    [
        (None, 120, Result.VERIFIED), (None, 121, Result.INDETERMINATE),
        (300_000, 300, Result.VERIFIED), (300_000, 301, Result.INDETERMINATE),
        (5_000, 60, Result.VERIFIED), (5_000, 61, Result.INDETERMINATE),
        (600_000, 600, Result.VERIFIED), (600_001, 121, Result.INDETERMINATE),
    ],
)  # fmt: skip
def test_a_death_may_come_as_late_as_the_guard_recorded_up_to_the_ceiling(
    honest: Any, recorded: int | None, seconds: int, result: Result
) -> None:
    honest.record("config", {}, meta={} if recorded is None else {"max_overrun_ms": recorded})
    honest.happens(Event.HALTED)
    honest.state = State.HALTED
    halted = (1_700_000_000 + 10 * honest.now) * 1000
    honest.now += 1
    honest.record("death", {}, meta={"dead": halted + seconds * 1000})
    honest.anchor()
    assert honest.audit().obedience.result is result


# --- what is recorded, and what is named -----------------------------------------------------------------------------


def test_a_guard_records_the_limits_that_its_settings_give_it() -> None:
    assert recorded_limits(parse("", {}, {})) == SHIPPED
    given = {"max_unanchored_entries": 5, "max_unanchored_age": 1.5, "unknown_grace": 10, "halt_grace": 7}
    assert recorded_limits(parse("", {}, given)) == {
        "max_unanchored_entries": 5,
        "max_unanchored_age_ms": 1_500,
        "max_overrun_ms": 81_000,
    }
    assert set(SHIPPED) == set(RECORDED)


def test_what_the_shipped_settings_record_can_be_taken() -> None:
    assert all(value <= getattr(CEILING, name) for name, value in AuditLimits().numbers().items())
    assert SHIPPED["max_overrun_ms"] / 1000 <= CEILING.overrun_seconds


def test_an_auditor_names_what_his_settings_or_his_flag_set_and_nothing_else() -> None:
    assert limits_of(parse("", {}, {}), None) == AuditLimits()
    named = limits_of(parse("", {"AGENT_GUARD_MAX_UNANCHORED_AGE": "900"}, {}), 3.0)
    assert (named.tail_seconds, named.silence_seconds, named.overrun_seconds) == (900, 900, 3)
    assert named.named == {"tail_seconds", "silence_seconds", "overrun_seconds"}
    assert limits_of(parse("max_unanchored_entries = 7", {}, {}), None).named == {"tail_entries"}


def test_without_a_record_the_words_say_so() -> None:
    assert "the guard recorded none" in LimitsInForce(AuditLimits()).in_words()
    assert LimitsInForce(AuditLimits()).as_dict()["recorded"] is None
