"""What is remembered: a confirmed halt holds, whatever is said next, until a quorum shows a later epoch in finalised
blocks; and since when what is so."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_guard.guard.evidence import BallotCount, Clock, Limits, Reading, halts
from agent_guard.guard.memory import BY_BALLOTS, Latch, Memory, remember
from agent_guard.guard.verdict import decide
from agent_guard.types import Decision, Scope, State
from tests.unit.guard.words import (
    CLOCK,
    LIMITS,
    NONE,
    NOW,
    TWO,
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

STOPPED = (State.NONE, State.HALTED, State.RESUMING, State.RETIRED)
HUGE = 2**40 - 1


def final(nodes: str, state: State = State.RUNNING, epoch: int = 2, **more: Any) -> list[Reading]:
    """What these nodes say of their finalised blocks, of the agent."""
    return of_all(nodes, state=state, epoch=epoch, scope=Scope.FINALIZED, **more)


def after(*told: list[Reading], bounds: Limits = TWO, memory: Memory = Memory()) -> Memory:  # noqa: B008 - frozen
    for seen in told:
        memory = remember(memory, seen, NONE, CLOCK, bounds)
    return memory


HALTED = after(of_all("AB", state=State.HALTED))


# --- a halt is latched -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "epoch", "latched"), [(State.HALTED, 4, 4), (State.RETIRED, 4, 4), (State.RESUMING, 4, 3)]
)
@pytest.mark.parametrize("who", ["agent", "fleet"])
def test_what_a_quorum_says_is_halted_is_latched_in_the_epoch_of_the_halt(
    state: State, epoch: int, latched: int, who: str
) -> None:
    if who == "agent":
        memory = after(of_all("AB", state=state, epoch=epoch))
        assert (memory.latch.agent_epoch, memory.latch.fleet_epoch) == (latched, -1)
    else:
        memory = after(of_all("AB", fleet=state, fleet_changes={"epoch": epoch}))
        assert (memory.latch.agent_epoch, memory.latch.fleet_epoch) == (-1, latched)
    assert memory.latch.holds
    assert memory.latched_since == CLOCK.monotonic


@pytest.mark.parametrize(
    "seen",
    [
        [*of_all("BC"), make_reading(State.HALTED)],
        of_all("AB", state=State.NONE),
        of_all("AB", state=State.LAPSED, lease_until=NOW - 1_000),
        of_all("AB", state=State.PAUSED),
        of_all("AB", halt_votes=9),
        of_all("AB", state=State.HALTED, scope=Scope.PINNED),
        of_all("AB", state=State.HALTED, scope=Scope.FINALIZED),
        [],
    ],
    ids=[
        "one alone",
        "unregistered",
        "lapsed",
        "paused",
        "votes",
        "former blocks",
        "finalised ones",
        "nothing",
    ],
)
def test_what_no_quorum_said_newest_of_a_halt_by_signers_is_not_latched(seen: list[Reading]) -> None:
    assert after(seen).latch == Latch()


def test_a_halt_that_one_endpoint_proves_is_latched() -> None:
    assert after([*of_all("BC"), make_reading(State.HALTED, proven=True)]).latch.agent_epoch == 1


def test_a_single_endpoint_configured_is_its_own_quorum() -> None:
    assert after([make_reading(State.HALTED)], bounds=LIMITS).latch.agent_epoch == 1


def test_a_later_halt_raises_the_latch_and_an_earlier_one_does_not_lower_it() -> None:
    memory = after(of_all("AB", state=State.HALTED, epoch=5), of_all("AB", state=State.HALTED, epoch=2))
    assert memory.latch.agent_epoch == 5
    memory = after(of_all("AB", state=State.HALTED, epoch=6), memory=memory)
    assert memory.latch.agent_epoch == 6


def test_a_huge_epoch_named_by_one_endpoint_holds_nobody_for_ever() -> None:
    memory = after([*of_all("A", state=State.HALTED, epoch=HUGE), *of_all("B", state=State.HALTED, epoch=1)])
    assert memory.latch.agent_epoch == 1
    assert not after([*of_all("AB", epoch=2), *final("AB")], memory=memory).latch.holds


# --- and holds -------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.lists(readings, max_size=5), min_size=1, max_size=5),
    st.integers(0, 3),
    st.booleans(),
    counts,
    clocks,
    st.builds(replace, limits, quorum=st.integers(1, 3)),
)
@settings(max_examples=200)
def test_a_confirmed_halt_halts_until_a_finalised_quorum_shows_a_later_epoch_that_is_not_stopped(
    told: list[list[Reading]], epoch: int, fleet: bool, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    who = "fleet" if fleet else "agent"
    stop = (
        {"fleet": State.HALTED, "fleet_changes": {"epoch": epoch}}
        if fleet
        else {"state": State.HALTED, "epoch": epoch}
    )
    memory = remember(Memory(), of_all("ABC", **stop), NONE, clock, bounds)
    for seen in told:
        memory = remember(memory, seen, ballots, clock, bounds)
        over = {
            reading.endpoint
            for reading in seen
            if reading.scope is Scope.FINALIZED
            and not reading.refuted
            and getattr(reading, who).epoch > epoch
            and getattr(reading, who).state not in STOPPED
        }
        if len(over) >= bounds.quorum:
            return
        assert decide(seen, memory, ballots, clock, bounds).decision is Decision.HALT
        assert getattr(memory.latch, f"{who}_epoch") >= epoch


@given(st.lists(st.lists(readings, max_size=4), max_size=5), counts, clocks, limits)
def test_every_halt_that_is_confirmed_on_the_way_is_remembered(
    told: list[list[Reading]], ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    memory = Memory()
    for seen in told:
        memory = remember(memory, seen, ballots, clock, bounds)
        no_finality = [replace(reading, scope=Scope.LATEST) for reading in seen]
        for halt in halts(no_finality, clock, bounds):
            held = remember(memory, no_finality, ballots, clock, bounds).latch
            assert (held.fleet_epoch if halt.fleet else held.agent_epoch) >= halt.epoch


@given(
    st.lists(st.lists(readings.filter(lambda one: one.scope is not Scope.FINALIZED), max_size=4), max_size=4),
    memories, counts, clocks, limits,
)  # fmt: skip
def test_without_finalised_words_the_latch_only_ever_rises(
    told: list[list[Reading]], memory: Memory, ballots: BallotCount, clock: Clock, bounds: Limits
) -> None:
    for seen in told:
        later = remember(memory, seen, ballots, clock, bounds)
        assert later.latch.agent_epoch >= memory.latch.agent_epoch
        assert later.latch.fleet_epoch >= memory.latch.fleet_epoch
        memory = later


def test_a_reorg_that_takes_the_halt_back_leaves_it_in_force() -> None:
    seen = of_all("ABC", block=make_block(9, fork=1))
    verdict = decide(seen, after(seen, memory=HALTED), NONE, CLOCK, TWO)
    assert verdict.decision is Decision.HALT
    assert verdict.reason == "halted by the council"


def test_a_latched_halt_outlasts_a_chain_that_falls_silent() -> None:
    assert decide([], after([], memory=HALTED), NONE, CLOCK, TWO).decision is Decision.HALT


def test_a_later_epoch_in_blocks_that_are_not_final_lifts_nothing() -> None:
    seen = of_all("ABC", epoch=2)
    assert after(seen, [replace(one, scope=Scope.PINNED) for one in seen], memory=HALTED).latch.holds


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (final("A"), True),
        (final("AA"), True),
        (final("AB"), False),
        (final("ABC"), False),
        (final("A") + final("B", refuted=True), True),
        (final("A") + final("B", epoch=1), True),
        (final("AB", epoch=1), True),
        (final("AB", epoch=HUGE), False),
        (final("A", epoch=2) + final("B", epoch=5), False),
        *((final("AB", state=state), True) for state in STOPPED),
        *((final("AB", state=state), False) for state in (State.PAUSED, State.LAPSED)),
        (final("A") + final("B", state=State.RESUMING), True),
    ],
)
def test_only_a_quorum_on_finalised_blocks_of_a_later_epoch_that_is_not_stopped_lifts_the_latch(
    words: list[Reading], holds: bool
) -> None:
    memory = after([*of_all("ABC", epoch=2), *words], memory=HALTED)
    assert memory.latch.holds is holds
    assert (memory.latched_since is not None) is holds
    decision = decide(of_all("ABC", epoch=2), memory, NONE, CLOCK, TWO).decision
    assert decision is (Decision.HALT if holds else Decision.RUN)


def test_the_agents_later_epoch_does_not_lift_the_fleets_halt_nor_the_other_way_round() -> None:
    both = after(of_all("AB", state=State.HALTED, fleet=State.HALTED))
    assert both.latch == Latch(1, 1, both.latch.reason)
    agent_over = after(final("AB"), memory=both).latch
    assert (agent_over.agent_epoch, agent_over.fleet_epoch) == (-1, 1)
    fleet_over = after(final("AB", epoch=1, fleet_changes={"epoch": 2}), memory=both).latch
    assert (fleet_over.agent_epoch, fleet_over.fleet_epoch) == (1, -1)


def test_a_newer_halt_in_what_lifts_the_former_holds_on() -> None:
    """Finalised blocks are old: they show the resume, the newest block a halt after it."""
    seen = [*of_all("AB", state=State.HALTED, epoch=2), *final("AB", epoch=2)]
    memory = after(seen, memory=HALTED)
    assert memory.latch.agent_epoch == 2


def test_a_latch_that_ends_leaves_no_reason_and_no_time_behind() -> None:
    memory = after(final("AB"), memory=HALTED)
    assert memory.latch == Latch()
    assert memory.latched_since is None


def test_a_latch_that_rises_while_it_holds_keeps_the_time_at_which_it_began() -> None:
    memory = remember(HALTED, of_all("AB", state=State.HALTED, epoch=2), NONE, at(7), TWO)
    assert (memory.latch.agent_epoch, memory.latched_since) == (2, CLOCK.monotonic)


def test_a_latch_that_was_loaded_never_began_in_this_process() -> None:
    memory = Memory(latch=Latch(1, -1, "halted"))
    assert remember(memory, of_all("AB", state=State.HALTED), NONE, CLOCK, TWO).latched_since is None


# --- ballots ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ballots", "latch"),
    [
        (BallotCount(2, 0, 2, (3, 4)), Latch(3, -1, BY_BALLOTS)),
        (BallotCount(0, 2, 2, (3, 4)), Latch(-1, 4, BY_BALLOTS)),
        (BallotCount(2, 2, 2, (3, 4)), Latch(3, 4, BY_BALLOTS)),
        (BallotCount(1, 1, 2, (3, 4)), Latch()),
        (BallotCount(0, 0, 0, (3, 4)), Latch()),
    ],
)
def test_ballots_that_suffice_are_latched_for_whom_they_suffice(ballots: BallotCount, latch: Latch) -> None:
    assert remember(Memory(), of_all("AB"), ballots, CLOCK, TWO).latch == latch


def test_a_halt_by_ballots_holds_when_they_have_expired() -> None:
    memory = remember(Memory(), of_all("AB"), BallotCount(2, 0, 2, (1, 1)), CLOCK, TWO)
    memory = remember(memory, of_all("AB"), NONE, at(1), TWO)
    assert decide(of_all("AB"), memory, NONE, at(1), TWO).decision is Decision.HALT


# --- since when ------------------------------------------------------------------------------------------------------

SINCE: dict[str, tuple[list[Reading], list[Reading]]] = {
    "unknown_since": (of_all("A"), of_all("AB")),
    "doubted_since": ([*of_all("AB"), make_reading(State.HALTED, endpoint="C")], of_all("ABC")),
    "paused_since": ([*of_all("AB"), make_reading(fleet=State.PAUSED, endpoint="C")], of_all("ABC")),
}


@pytest.mark.parametrize("name", SINCE)
def test_a_time_begins_when_it_becomes_so_stays_while_it_is_so_and_ends_with_it(name: str) -> None:
    true, false = SINCE[name]
    memory, found = Memory(), []
    for seconds, seen in ((0, false), (1, true), (2, true), (3, false), (4, true)):
        memory = remember(memory, seen, NONE, at(seconds), TWO)
        found.append(getattr(memory, name))
    start = CLOCK.monotonic
    assert found == [None, start + 1, start + 1, None, start + 4]


def test_a_doubt_that_becomes_a_confirmed_halt_is_no_doubt_any_more() -> None:
    memory = after([*of_all("AB"), make_reading(State.HALTED, endpoint="C")])
    assert memory.doubted_since is not None
    memory = after([*of_all("A"), *of_all("BC", state=State.HALTED)], memory=memory)
    assert memory.doubted_since is None


def test_what_the_operator_asked_for_is_not_forgotten_by_any_reading() -> None:
    memory = Memory(asked_since=5.0, asked="the guard was stopped")
    for seen in (of_all("AB"), of_all("AB", state=State.HALTED), [*of_all("AB"), *final("AB")], []):
        memory = remember(memory, seen, NONE, CLOCK, TWO)
        assert (memory.asked_since, memory.asked) == (5.0, "the guard was stopped")
