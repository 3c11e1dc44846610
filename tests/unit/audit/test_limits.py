"""Whose limits an audit holds against a log: the stricter of the auditor's and those that the guard recorded, so that
no operator grants himself a silence."""

from typing import Any

import pytest

from agent_guard.audit import AuditResult, Event, Result
from agent_guard.audit.limits import RECORDED, AuditLimits, LimitsInForce
from agent_guard.settings import parse
from agent_guard.types import State
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
        # Stricter limits hold.
        ({"max_unanchored_age_ms": 100_000}, 160, Result.VERIFIED),
        ({"max_unanchored_age_ms": 100_000}, 170, Result.INDETERMINATE),
        # Laxer ones don't.
        ({"max_unanchored_age_ms": 600_001}, 670, Result.INDETERMINATE),
        ({"max_unanchored_age_ms": 2**53 - 1}, 670, Result.INDETERMINATE),
        # Less than clocks differ is not taken for less.
        ({"max_unanchored_age_ms": 1}, 120, Result.VERIFIED), ({"max_unanchored_age_ms": 1}, 130, Result.INDETERMINATE),
        # What is no number is no limit.
        ({"max_unanchored_age_ms": -1}, 660, Result.VERIFIED),
        ({"max_unanchored_age_ms": "1"}, 660, Result.VERIFIED),
        ({"max_unanchored_age_ms": True}, 660, Result.VERIFIED),
    ],
)  # fmt: skip
def test_a_silence_is_measured_by_what_the_guard_recorded_if_that_is_stricter(
    honest: Any, meta: dict[str, Any] | None, seconds: int, result: Result
) -> None:
    silent(honest, seconds, meta)
    found, detail = completeness(honest)
    assert found is result, detail
    assert (result is Result.INDETERMINATE) is ("the guard was silent" in detail)


@pytest.mark.parametrize("recorded", [100_000, 2_000_000])
def test_of_the_auditors_and_the_guards_limit_the_stricter_holds(honest: Any, recorded: int) -> None:
    silent(honest, 1_000, {"max_unanchored_age_ms": recorded})
    result = honest.audit(silence_seconds=900.0)
    assert result.completeness.result is Result.INDETERMINATE
    limits = result.as_dict()["limits"]
    assert limits["silence_seconds"] == min(900, recorded / 1000)
    assert limits["asked"]["silence_seconds"] == 900
    assert limits["recorded"]["silence_seconds"] == recorded / 1000
    entry, said = limits["recorded"]["entry"], result.limits.in_words()
    stricter = (
        f"but for what the guard recorded in entry {entry}: 100 s until they are, 100 s of acting meanwhile)"
    )
    laxer = f"those that the guard recorded in entry {entry} are no stricter)"
    assert said.endswith(stricter if recorded == 100_000 else laxer)


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
    honest.record(kind, {}, agent, meta={"max_unanchored_age_ms": 100_000})
    silent(honest, 600, None, "freeze")
    result = honest.audit()
    assert (result.completeness.result, result.limits.entry) == (Result.VERIFIED, None)


def test_a_tail_is_held_against_what_the_guard_recorded(honest: Any) -> None:
    honest.record("config", {}, meta={"max_unanchored_entries": 2, "max_unanchored_age_ms": 600_000})
    honest.record("freeze", {})
    assert completeness(honest)[0] is Result.VERIFIED
    assert completeness(honest, tail_entries=1)[0] is Result.INDETERMINATE


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
        (100_000, 100, Result.VERIFIED), (100_000, 101, Result.INDETERMINATE),
        (5_000, 60, Result.VERIFIED), (5_000, 61, Result.INDETERMINATE),
        (600_000, 120, Result.VERIFIED), (600_000, 121, Result.INDETERMINATE),
    ],
)  # fmt: skip
def test_a_death_may_come_no_later_than_the_guard_recorded(
    honest: Any, recorded: int | None, seconds: int, result: Result
) -> None:
    honest.record("config", {}, meta={} if recorded is None else {"max_overrun_ms": recorded})
    honest.happens(Event.HALTED)
    honest.state = State.HALTED
    halted = (1_700_000_000 + 10 * honest.now) * 1000
    honest.now += seconds // 10
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


def test_without_a_record_the_words_say_so() -> None:
    assert "the guard recorded none" in LimitsInForce(AuditLimits()).in_words()
    assert LimitsInForce(AuditLimits()).as_dict()["recorded"] is None
