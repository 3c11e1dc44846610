"""A life that a later guard found dead: what its record proves of the agent's obedience, and who can't pass with it."""

from collections.abc import Callable
from typing import Any

import pytest

from agent_guard.audit import AuditResult, Event, Result
from agent_guard.types import State

pytestmark = pytest.mark.unit

Sign = Callable[[str, dict[str, Any]], dict[str, Any]]
START = 1
"""Of the walker's life in the honest log."""


def now_ms(world: Any) -> int:
    return (1_700_000_000 + 10 * world.now) * 1000


def find(world: Any, start: int = START, agent: str = "walker", **facts: Any) -> int:
    """Records, as the next guard does, that a life was found dead."""
    meta = {"life": start, "found": now_ms(world), "known": "cgroup", "mode": "cgroup+pidns"} | facts
    index: int = world.record("death", {"reason": "found dead"}, agent, refers_to=start, meta=meta)
    return index


def halt(world: Any) -> None:
    world.happens(Event.HALTED)
    world.state = State.HALTED
    world.now += 1


def ended(world: Any) -> AuditResult:
    world.anchor()
    result: AuditResult = world.audit()
    return result


def test_a_life_that_no_halt_met_has_an_end_and_the_words_say_what_is_not_known(honest: Any) -> None:
    found = find(honest)
    result = ended(honest)
    assert result.result is Result.VERIFIED
    assert f"began with entry {START} was found dead at 2023-11-14T" in result.obedience.detail
    assert f"entry {found}: its cgroup is gone or holds no process" in result.obedience.detail
    assert (
        "the moment of death is not known, no action of it stands after entry 28 (" in result.obedience.detail
    )
    assert (result.death is not None and result.death.dead, result.overrun_ms) == (None, None)
    assert result.as_dict()["death"]["found"] > 0


def test_without_the_record_a_halted_life_stays_open(honest: Any) -> None:
    halt(honest)
    honest.record("freeze", {}, "other")
    result = ended(honest)
    assert result.obedience.result is Result.INDETERMINATE
    assert "no death receipt for the life that began with entry 1" in result.obedience.detail


def test_one_that_is_found_dead_soon_after_a_halt_is_verified_by_a_bound(honest: Any) -> None:
    halt(honest)
    find(honest)
    result = ended(honest)
    assert result.obedience.result is Result.VERIFIED
    # The next block, and half a second by which the entry's own clock is ahead of the block's.
    assert (result.overrun_ms, result.overrun_at_most_ms) == (None, 10_500)
    assert "dead at most 10500 ms after that block's time" in result.obedience.detail


@pytest.mark.parametrize(("blocks", "result"), [(10, Result.VERIFIED), (11, Result.INDETERMINATE)])
def test_the_bound_is_held_against_the_limit(honest: Any, blocks: int, result: Result) -> None:
    halt(honest)
    honest.now += blocks
    find(honest)
    obedience = ended(honest).obedience
    assert obedience.result is result
    assert ("nothing shows that it was dead sooner than 120 s" in obedience.detail) is (blocks == 11)


def test_a_time_that_is_set_back_makes_the_bound_no_tighter(honest: Any) -> None:
    """Neither by what it says of the look nor by the clock of its entry: the anchor before it knows better."""
    before = now_ms(honest)
    halt(honest)
    honest.record("freeze", {}, "other")
    honest.now += 30
    honest.anchor()
    honest.recorder._now_ms = lambda: before
    find(honest, found=before)
    assert "sooner than 320 s" in ended(honest).obedience.detail


def test_one_that_names_a_block_before_the_halt_is_held_against_the_halt_all_the_same(
    honest: Any, sign_death: Sign
) -> None:
    old = honest.recorder._block()
    halt(honest)
    honest.now += 30
    facts = {"life": START, "found": now_ms(honest), "known": "boot", "mode": "pidns"}
    honest.record("death", {}, refers_to=START, meta=sign_death("walker", facts), block=old)
    result = ended(honest)
    assert result.obedience.result is Result.INDETERMINATE
    assert "sooner than 310 s after the halt in block" in result.obedience.detail


def test_an_action_on_a_block_after_the_halt_stays_proven_disobedience(honest: Any) -> None:
    halt(honest)
    act = honest.record("intent", {"tool": "write"})
    find(honest)
    result = ended(honest)
    assert result.result is Result.TAMPERED
    assert result.first_bad is not None
    assert result.first_bad.index == act


@pytest.mark.parametrize("kind", ["intent", "outcome", "decision"])
def test_a_life_that_acts_after_it_was_found_dead_is_not_verified(honest: Any, kind: str) -> None:
    asked = honest.record("intent", {"tool": "write"})
    find(honest)
    # At the very moment: no limit excuses it, for who was found dead can't have been on its way.
    honest.now -= 1
    honest.record(kind, {"status": "ok"}, **({} if kind == "intent" else {"refers_to": asked}))
    result = ended(honest)
    assert result.obedience.result is Result.INDETERMINATE
    assert "and no start lies between them" in result.obedience.detail


def test_a_life_that_begins_after_it_may_act(honest: Any) -> None:
    find(honest)
    honest.record("start", {})
    honest.record("intent", {"tool": "write"})
    assert ended(honest).result is Result.VERIFIED


@pytest.mark.parametrize("start", [0, 2, 7, 1_000], ids=["config", "an action", "another", "none"])
def test_it_ends_only_the_life_that_it_names(honest: Any, sign_death: Sign, start: int) -> None:
    halt(honest)
    facts = {"life": start, "found": now_ms(honest), "known": "cgroup", "mode": ""}
    honest.record("death", {}, refers_to=min(start, 20), meta=sign_death("walker", facts))
    result = ended(honest)
    assert result.obedience.result is Result.INDETERMINATE
    assert "not the life which was open" in result.obedience.detail
    assert result.death is None


def test_it_names_the_same_life_twice(honest: Any, sign_death: Sign) -> None:
    facts = {"life": START, "found": now_ms(honest), "known": "cgroup", "mode": ""}
    honest.record("death", {}, refers_to=0, meta=sign_death("walker", facts))
    assert "not the life which was open" in ended(honest).obedience.detail


def test_a_life_that_ended_is_not_found_dead_afterwards(honest: Any) -> None:
    honest.record("exit", {"exit_code": 0})
    find(honest)
    assert ended(honest).obedience.result is Result.INDETERMINATE


def test_an_earlier_life_is_not_found_dead_once_another_began(honest: Any) -> None:
    honest.record("start", {})
    find(honest)
    honest.record("exit", {"exit_code": 0})
    assert ended(honest).obedience.result is Result.INDETERMINATE


@pytest.mark.parametrize("known", ["", "somebody said so", 1])
def test_one_that_does_not_say_how_it_is_known_ends_no_life(
    honest: Any, sign_death: Sign, known: Any
) -> None:
    signed = {"life": START, "found": now_ms(honest), "known": str(known), "mode": ""}
    meta = sign_death("walker", signed) | {"known": known}
    honest.record("death", {}, refers_to=START, meta=meta)
    assert ended(honest).obedience.result is Result.INDETERMINATE


@pytest.mark.parametrize(
    "change", [{"life": 2}, {"found": 5}, {"known": "boot"}, {"mode": "x"}, {"dead": 5}], ids=str
)
def test_one_that_the_operator_did_not_sign_as_it_stands_ends_no_life(
    honest: Any, sign_death: Sign, change: dict[str, Any]
) -> None:
    facts = {"life": START, "found": now_ms(honest), "known": "cgroup", "mode": "pidns"}
    honest.record("death", {}, refers_to=START, meta=sign_death("walker", facts) | change)
    result = ended(honest)
    assert (result.obedience.result, result.death) == (Result.INDETERMINATE, None)
    assert "not signed by the operator" in result.obedience.detail


def test_an_ordinary_receipts_signature_is_not_one_of_a_finding(honest: Any, sign_death: Sign) -> None:
    dead = sign_death("walker", {"dead": now_ms(honest), "mode": "pidns"})
    meta = {"life": START, "found": now_ms(honest), "known": "cgroup", "mode": "pidns"}
    honest.record("death", {}, refers_to=START, meta=meta | {"signature": dead["signature"]})
    assert "not signed" in ended(honest).obedience.detail


def test_a_later_life_does_not_answer_a_halt_that_came_before_it(honest: Any) -> None:
    honest.record("exit", {"exit_code": 0})
    honest.happens(Event.HALTED)
    honest.now += 1
    honest.happens(Event.RESUMED)
    honest.now += 1
    start = honest.record("start", {})
    find(honest, start)
    result = ended(honest)
    assert (result.obedience.result, result.overrun_at_most_ms) == (Result.VERIFIED, None)


def test_another_agents_finding_ends_nothing_here(honest: Any) -> None:
    start = honest.record("start", {}, "other")
    find(honest, start, "other")
    result = ended(honest)
    assert result.result is Result.VERIFIED
    assert "found dead" not in result.obedience.detail
