"""Open votes, which freeze for a bounded time, and planned stops, which let the agent save its work first."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_guard.guard.evidence import BallotCount, Clock, Limits, Reading, open_halt_votes
from agent_guard.guard.memory import Latch, Memory, asked_to_stop, remember
from agent_guard.guard.verdict import decide
from agent_guard.types import Decision, State, Verdict
from tests.unit.guard.words import (
    CLOCK,
    KILLING,
    LIMITS,
    NONE,
    NOW,
    TWO,
    agreeable,
    at,
    clocks,
    counts,
    limits,
    make_block,
    make_reading,
    memories,
    of_all,
    readings,
)

pytestmark = pytest.mark.unit

GRACE = replace(TWO, grace=10.0, halt_grace=10.0)
NO_GRACE = replace(GRACE, grace=0.0, halt_grace=0.0)


def followed(
    told: list[tuple[float, list[Reading]]], bounds: Limits, ballots: BallotCount = NONE
) -> list[Verdict]:
    """The verdicts, one for each time (seconds after `CLOCK`) with what was said then."""
    memory, found = Memory(), []
    for seconds, seen in told:
        memory = remember(memory, seen, ballots, at(seconds), bounds)
        found.append(decide(seen, memory, ballots, at(seconds), bounds))
    return found


def in_short(verdicts: list[Verdict]) -> list[str]:
    return [verdict.decision.value + (" stopping" if verdict.stopping else "") for verdict in verdicts]


# --- open votes ------------------------------------------------------------------------------------------------------


def _walk(votes: list[int], step: float, epoch: int = 1) -> list[Decision]:
    """The verdicts while the open votes of an agent change every `step` seconds."""
    memory, found = Memory(), []
    for number, count in enumerate(votes):
        clock = Clock(number * step, float(NOW))
        seen = [make_reading(halt_votes=count, read_at=clock.monotonic, epoch=epoch)]
        memory = remember(memory, seen, NONE, clock, LIMITS)
        found.append(decide(seen, memory, NONE, clock, LIMITS).decision)
    return found


def test_a_first_vote_freezes_for_vote_freeze_seconds_and_then_thaws_though_it_stays_open() -> None:
    found = _walk([0, 1, 1, 1, 1, 1, 1], 40.0)
    assert [decision.value for decision in found] == [
        "run",
        "freeze",
        "freeze",
        "freeze",
        "run",
        "run",
        "run",
    ]


def test_a_vote_withdrawn_and_cast_again_freezes_no_second_time() -> None:
    found = _walk([1, 1, 1, 1, 0, 1, 1], 60.0)
    assert [decision.value for decision in found] == ["freeze", "freeze", "run", "run", "run", "run", "run"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_all_open_votes_of_an_epoch_together_freeze_at_most_vote_freeze_each(votes: list[int]) -> None:
    step = 40.0  # a third of vote_freeze
    assert _walk(votes, step).count(Decision.FREEZE) * step <= max(votes) * LIMITS.vote_freeze


def test_a_vote_in_a_later_epoch_freezes_anew() -> None:
    memory = remember(Memory(), [make_reading(halt_votes=1)], NONE, CLOCK, LIMITS)
    later = at(500)
    seen = [make_reading(halt_votes=1, epoch=2, read_at=later.monotonic, block=make_block(8, NOW + 500))]
    after = remember(memory, seen, NONE, later, LIMITS)
    assert decide(seen, after, NONE, later, LIMITS).decision is Decision.FREEZE


def test_one_endpoint_that_names_a_huge_epoch_takes_the_freeze_from_no_later_vote() -> None:
    """Where a quorum is asked for, its own epochs alone are nobody's."""
    liar = make_reading(endpoint="C", epoch=2**40 - 1, halt_votes=3)
    memory = remember(Memory(), [*of_all("AB"), liar], NONE, CLOCK, TWO)
    later = at(10_000)
    fresh = {"block": make_block(9, NOW + 10_000), "read_at": later.monotonic}
    seen = of_all("ABC", epoch=2, halt_votes=1, **fresh)
    memory = remember(memory, seen, NONE, later, TWO)
    assert decide(seen, memory, NONE, later, TWO).decision is Decision.FREEZE


@pytest.mark.parametrize("who", ["agent", "fleet"])
def test_a_vote_that_one_endpoint_reports_freezes_every_agent_that_it_is_about(who: str) -> None:
    votes = {"halt_votes": 1}
    vote = make_reading(
        endpoint="C", **(votes if who == "agent" else {}), fleet_changes=votes if who == "fleet" else {}
    )
    (verdict,) = followed([(0, [*of_all("AB"), vote])], TWO)
    assert verdict == Verdict(Decision.FREEZE, "1 open vote to halt")


def test_ballots_handed_over_and_votes_on_chain_are_the_same_voters_and_not_added_up() -> None:
    seen = of_all("AB", halt_votes=2)
    assert open_halt_votes(seen, BallotCount(1, 3, 4, (1, 1))) == 3
    assert open_halt_votes(seen, BallotCount(1, 1, 4, (1, 1))) == 2


@pytest.mark.parametrize("state", KILLING)
def test_votes_that_have_halted_are_open_no_more(state: State) -> None:
    assert open_halt_votes(of_all("AB", state=state, halt_votes=2), NONE) == 0
    assert open_halt_votes(of_all("AB", fleet=state, fleet_changes={"halt_votes": 2}), NONE) == 0
    assert (
        open_halt_votes(of_all("AB", state=state, halt_votes=2, fleet_changes={"halt_votes": 1}), NONE) == 1
    )


def test_nobody_reports_more_votes_than_a_council_has_signers() -> None:
    assert open_halt_votes(of_all("AB", halt_votes=255), NONE) == 64


def test_with_the_setting_off_an_open_vote_freezes_nobody() -> None:
    bounds = replace(TWO, freeze_on_vote=False)
    assert in_short(followed([(0, of_all("AB", halt_votes=1))], bounds)) == ["run"]


# --- planned stops: never more than asked for ------------------------------------------------------------------------


@given(st.lists(agreeable | readings, max_size=4), memories, counts, clocks, limits)
@settings(max_examples=300)
def test_a_stop_is_only_announced_and_nothing_is_let_run_by_it(
    seen: list[Reading], memory: Memory, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    verdict = decide(seen, memory, ballots, clock, bounds)
    if not verdict.stopping:
        return
    assert verdict.decision is not Decision.RUN
    # Something planned is there, and its grace runs.
    graces = [
        (memory.asked_since, bounds.grace),
        (memory.paused_since, bounds.grace),
        (memory.latched_since, bounds.halt_grace),
    ]
    assert any(since is not None and clock.monotonic - since < grace for since, grace in graces)
    # Without what was planned, nothing demands a stop: least of all doubt.
    assert seen
    assert not ballots.decides


@given(st.lists(agreeable | readings, max_size=4), memories, counts, clocks, limits)
def test_without_a_grace_nothing_is_ever_announced(
    seen: list[Reading], memory: Memory, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    bounds = replace(bounds, grace=0.0, halt_grace=0.0)
    for known in (memory, remember(memory, seen, ballots, clock, bounds)):
        assert not decide(seen, known, ballots, clock, bounds).stopping


@given(st.lists(agreeable | readings, max_size=4), memories, counts, clocks, limits)
def test_a_grace_makes_no_verdict_another_one_only_later(
    seen: list[Reading], memory: Memory, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    without = decide(seen, memory, ballots, clock, replace(bounds, grace=0.0, halt_grace=0.0))
    assert replace(decide(seen, memory, ballots, clock, bounds), stopping=False) == without


# --- a pause ---------------------------------------------------------------------------------------------------------


def paused(seconds: float, nodes: str = "AB", **more: object) -> list[Reading]:
    clock = at(seconds)
    return of_all(
        nodes, state=State.PAUSED, block=make_block(8, int(clock.unix)), read_at=clock.monotonic, **more
    )


def running(seconds: float, nodes: str = "AB", **more: object) -> list[Reading]:
    clock = at(seconds)
    return of_all(nodes, block=make_block(8, int(clock.unix)), read_at=clock.monotonic, **more)


def test_a_pause_is_announced_for_its_grace_and_freezes_from_its_last_second_on() -> None:
    told = [(seconds, paused(seconds)) for seconds in (0.0, 9.9, 10.0, 11.0)]
    assert in_short(followed(told, GRACE)) == ["freeze stopping", "freeze stopping", "freeze", "freeze"]
    assert in_short(followed(told, NO_GRACE)) == ["freeze"] * 4


def test_a_pause_that_one_endpoint_reports_has_its_grace_too() -> None:
    told = [(seconds, [*running(seconds), *paused(seconds, "C")]) for seconds in (0.0, 9.9, 10.0)]
    assert in_short(followed(told, GRACE)) == ["freeze stopping", "freeze stopping", "freeze"]


def test_a_second_pause_has_a_grace_of_its_own() -> None:
    told = [(0.0, paused(0)), (20.0, paused(20)), (30.0, running(30)), (40.0, paused(40)), (50.0, paused(50))]
    assert in_short(followed(told, GRACE)) == [
        "freeze stopping",
        "freeze",
        "run",
        "freeze stopping",
        "freeze",
    ]


# --- a halt ----------------------------------------------------------------------------------------------------------


def halted(seconds: float, nodes: str = "AB", **more: object) -> list[Reading]:
    clock = at(seconds)
    return of_all(
        nodes,
        state=State.HALTED,
        block=make_block(8, int(clock.unix)),
        read_at=clock.monotonic,
        halt_votes=2,
        **more,
    )


def test_a_halt_has_no_grace_unless_one_is_set() -> None:
    assert in_short(followed([(0, halted(0))], replace(GRACE, halt_grace=0.0))) == ["halt"]


def test_a_halt_is_announced_for_its_own_grace_though_the_votes_that_made_it_are_still_reported() -> None:
    told = [(seconds, halted(seconds)) for seconds in (0.0, 9.9, 10.0)]
    assert in_short(followed(told, replace(GRACE, grace=0.0))) == ["halt stopping", "halt stopping", "halt"]


def test_a_halt_by_one_endpoint_alone_is_doubt_and_has_no_grace() -> None:
    told = [(seconds, [*running(seconds), *halted(seconds, "C")]) for seconds in (0.0, 29.0, 30.0)]
    assert in_short(followed(told, GRACE)) == ["freeze", "freeze", "halt"]


def test_a_halt_that_was_loaded_from_disk_has_no_grace_left() -> None:
    memory = remember(Memory(latch=Latch(1, -1, "halted by the council")), running(0), NONE, CLOCK, GRACE)
    verdict = decide(running(0), memory, NONE, CLOCK, GRACE)
    assert (verdict.decision, verdict.stopping) == (Decision.HALT, False)


def test_an_agent_that_nobody_vouches_for_has_no_grace_not_even_a_halts() -> None:
    nobodys = of_all("AB", state=State.NONE)
    assert in_short(followed([(0, nobodys)], GRACE)) == ["halt"]
    assert in_short(followed([(0, halted(0)), (1, nobodys)], GRACE)) == ["halt stopping", "halt"]


def test_ballots_that_halt_grant_no_grace() -> None:
    bounds = replace(GRACE, freeze_on_vote=False)  # else it is an open vote, too, that ends the grace
    assert in_short(followed([(0, running(0))], bounds, BallotCount(2, 0, 2, (1, 1)))) == ["halt"]


@pytest.mark.parametrize(
    "more",
    [
        {"timestamp": NOW - 61},  # nothing fresh any more
        {"halt_votes": 1},  # an open vote on the fleet
        {"lapsed": True},
        {"alone": True},  # an endpoint that says retired alone
        {"ballots": 1},
        {"ballots": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("planned", ["pause", "halt", "asked"])
def test_whatever_else_demands_a_stop_ends_the_grace(planned: str, more: dict[str, int]) -> None:
    state = {"pause": State.PAUSED, "halt": State.HALTED}.get(planned, State.RUNNING)
    votes = {"halt_votes": more.get("halt_votes", 0)}
    block = make_block(8, more.get("timestamp", NOW))
    seen = of_all("AB", state=state, block=block, fleet_changes=votes)
    if "lapsed" in more:
        seen.append(make_reading(State.LAPSED, endpoint="C", lease_until=NOW))
    if "alone" in more:
        seen.append(make_reading(fleet=State.RETIRED, endpoint="C"))
    ballots = BallotCount(more.get("ballots", 0), 0, 2, (1, 1))
    before = of_all("AB", state=state)
    memory = remember(Memory(), before, NONE, CLOCK, GRACE)
    memory = asked_to_stop(memory, "the guard was stopped", CLOCK) if planned == "asked" else memory
    assert decide(before, memory, NONE, CLOCK, GRACE).stopping
    memory = remember(memory, seen, ballots, CLOCK, GRACE)
    verdict = decide(seen, memory, ballots, CLOCK, GRACE)
    assert not verdict.stopping
    assert verdict.decision is not Decision.RUN


def test_planned_stops_that_overlap_are_announced_until_the_first_grace_is_over() -> None:
    memory = asked_to_stop(Memory(), "the guard was stopped", CLOCK)
    for seconds, expected in ((5.0, "halt stopping"), (9.9, "halt stopping"), (10.0, "halt")):
        memory = remember(memory, paused(seconds), NONE, at(seconds), GRACE)
        verdict = decide(paused(seconds), memory, NONE, at(seconds), GRACE)
        assert in_short([verdict]) == [expected]


@pytest.mark.parametrize("since", ["paused_since", "latched_since"])
def test_a_time_that_still_lies_ahead_is_no_grace(since: str) -> None:
    seen = paused(0) if since == "paused_since" else halted(0)
    memory = replace(remember(Memory(), seen, NONE, CLOCK, GRACE), **{since: CLOCK.monotonic + 5})
    assert not decide(seen, memory, NONE, CLOCK, GRACE).stopping


# --- a stop that the operator asked for ------------------------------------------------------------------------------


def test_a_stop_that_the_operator_asked_for_is_announced_and_kills_when_its_grace_is_over() -> None:
    memory = asked_to_stop(Memory(), "the guard was stopped", CLOCK)
    found = []
    for seconds in (0.0, 9.9, 10.0):
        memory = remember(memory, running(seconds), NONE, at(seconds), GRACE)
        found.append(decide(running(seconds), memory, NONE, at(seconds), GRACE))
    assert in_short(found) == ["halt stopping", "halt stopping", "halt"]
    assert {verdict.reason for verdict in found} == {"the guard was stopped"}


def test_asking_again_gives_no_longer_grace_and_no_other_reason() -> None:
    memory = asked_to_stop(Memory(), "first", CLOCK)
    assert asked_to_stop(memory, "again", at(9)) == memory


def test_a_stop_asked_for_without_a_grace_kills_at_once() -> None:
    memory = asked_to_stop(remember(Memory(), running(0), NONE, CLOCK, NO_GRACE), "now", CLOCK)
    assert in_short([decide(running(0), memory, NONE, CLOCK, NO_GRACE)]) == ["halt"]
