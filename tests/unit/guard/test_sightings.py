"""What is kept of the endpoints' words: the newest of each, some earlier ones for agreement, the newest finalised."""

from dataclasses import replace

import pytest

from agent_guard.guard.evidence import Reading, agreed
from agent_guard.guard.sightings import PAST, Sightings
from agent_guard.types import (
    FLEET,
    AgentState,
    Block,
    Council,
    Scope,
    Sighting,
    Silence,
    State,
    Thresholds,
    Timing,
)
from tests.unit.guard.words import AGENT, CLOCK, LIMITS, TWO, make_block, make_state

pytestmark = pytest.mark.unit

OTHER = b"b" * 32
COUNCIL = Council(("0x" + "Aa" * 20,), Thresholds(1, 1, 1), Timing(60, 2, 3600, 0, 0), 1)


def sighting(
    endpoint: str = "A",
    block: Block | None = None,
    scope: Scope = Scope.LATEST,
    agent: State = State.RUNNING,
    fleet: State = State.RUNNING,
    proven: frozenset[bytes] = frozenset(),
    refuted: frozenset[bytes] = frozenset(),
    council: Council | None = None,
) -> Sighting:
    both = agent is State.RUNNING and fleet is State.RUNNING
    states: dict[bytes, AgentState] = {
        AGENT: make_state(AGENT, agent, may_run=both),
        OTHER: make_state(OTHER, epoch=7),
        FLEET: make_state(FLEET, fleet),
    }
    return Sighting(endpoint, block or make_block(), states, CLOCK.monotonic, scope, proven, refuted, council)


def taken(*words: Sighting | Silence, keep: int = PAST) -> Sightings:
    sightings = Sightings(keep)
    for word in words:
        sightings.take(word)
    return sightings


def of(readings: list[Reading], scope: Scope, endpoint: str = "A") -> list[int]:
    return [one.block.number for one in readings if (one.scope, one.endpoint) == (scope, endpoint)]


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_of_each_endpoint_the_newest_word_is_kept_and_its_former_one_becomes_a_past_one() -> None:
    found = taken(*(sighting(block=make_block(number)) for number in (5, 6, 7)), sighting("B")).readings(
        AGENT
    )
    assert of(found, Scope.LATEST) == [7]
    assert of(found, Scope.PINNED) == [5, 6]
    assert of(found, Scope.LATEST, "B") == [7]
    assert of(found, Scope.PINNED, "B") == []


def test_no_more_past_words_are_kept_than_asked_for_and_the_oldest_go_first() -> None:
    words = [sighting(block=make_block(number)) for number in range(20)]
    assert of(taken(*words, keep=3).readings(AGENT), Scope.PINNED) == [16, 17, 18]
    assert of(taken(*words, keep=0).readings(AGENT), Scope.PINNED) == []


def test_a_block_that_is_read_again_and_again_takes_no_other_blocks_place() -> None:
    words = [
        sighting(block=make_block(6)),
        *[sighting(block=make_block(7), proven=frozenset({AGENT, FLEET}))] * 9,
    ]
    assert of(taken(*words, keep=2).readings(AGENT), Scope.PINNED) == [6, 7]


def test_a_block_that_is_read_again_counts_as_kept_anew() -> None:
    proven, again = sighting(proven=frozenset({AGENT, FLEET})), sighting()
    others = [sighting(block=make_block(number), scope=Scope.PINNED) for number in (4, 5)]
    found = taken(proven, again, others[0], proven, again, others[1], keep=2).readings(AGENT)
    assert of(found, Scope.PINNED) == [7, 5]


def test_silence_leaves_the_old_word_which_grows_old() -> None:
    before, after = taken(sighting()), taken(sighting(), Silence("A", "time-out"), Silence("B", "refused"))
    assert after.readings(AGENT) == before.readings(AGENT)


def test_a_finalised_word_is_kept_beside_the_newest_and_replaced_by_the_next() -> None:
    found = taken(
        sighting(block=make_block(9)),
        sighting(block=make_block(3), scope=Scope.FINALIZED),
        sighting(block=make_block(4), scope=Scope.FINALIZED),
    ).readings(AGENT)
    assert (of(found, Scope.LATEST), of(found, Scope.FINALIZED), of(found, Scope.PINNED)) == ([9], [4], [])


def test_a_word_on_a_block_that_others_named_never_becomes_the_newest() -> None:
    found = taken(sighting(block=make_block(5)), sighting(block=make_block(9), scope=Scope.PINNED)).readings(
        AGENT
    )
    assert (of(found, Scope.LATEST), of(found, Scope.PINNED)) == ([5], [9])


def test_a_reading_is_of_its_agent_and_of_the_fleet() -> None:
    (found,) = taken(sighting(fleet=State.PAUSED)).readings(OTHER)
    assert (found.agent.agent, found.agent.epoch, found.fleet.state) == (OTHER, 7, State.PAUSED)
    assert (found.endpoint, found.block, found.read_at) == ("A", make_block(), CLOCK.monotonic)


# --- proofs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proven", "is_proven"),
    [({AGENT, FLEET}, True), ({AGENT}, False), ({FLEET}, False), ({OTHER, FLEET}, False), (set(), False)],
)
def test_a_reading_is_proven_only_if_agent_and_fleet_are(proven: set[bytes], is_proven: bool) -> None:
    (found,) = taken(sighting(proven=frozenset(proven))).readings(AGENT)
    assert found.proven is is_proven


@pytest.mark.parametrize(
    ("refuted", "is_refuted"), [({AGENT}, True), ({FLEET}, True), ({OTHER}, False), (set(), False)]
)
def test_a_reading_is_refuted_if_agent_or_fleet_is(refuted: set[bytes], is_refuted: bool) -> None:
    (found,) = taken(sighting(refuted=frozenset(refuted))).readings(AGENT)
    assert found.refuted is is_refuted


def test_what_an_endpoint_said_before_a_proof_refuted_it_is_refuted_too() -> None:
    found = taken(
        sighting(block=make_block(6)),
        sighting(block=make_block(4), scope=Scope.FINALIZED),
        sighting(refuted=frozenset({AGENT})),
        sighting("B", block=make_block(6)),
    )
    assert {one.refuted for one in found.readings(AGENT) if one.endpoint == "A"} == {True}
    assert {one.refuted for one in found.readings(AGENT) if one.endpoint == "B"} == {False}
    assert {one.refuted for one in found.readings(OTHER)} == {False}


def test_a_proven_block_that_is_read_again_without_a_proof_stays_proven_meanwhile() -> None:
    """Each round's first word is unproven: an agent that needs proofs must not be frozen at each of them."""
    both, required = frozenset({AGENT, FLEET}), replace(LIMITS, require_proof=True)
    for following in (make_block(7), make_block(8)):
        found = taken(sighting(block=make_block(7), proven=both), sighting(block=following))
        assert agreed(found.readings(AGENT), CLOCK, required)


# --- agreement on an older block -------------------------------------------------------------------------------------


def test_an_endpoint_that_went_on_still_vouches_for_the_block_that_the_other_has_now() -> None:
    found = taken(
        sighting("A", make_block(6)),
        sighting("A", make_block(7)),
        sighting("A", make_block(8)),
        sighting("B", make_block(6)),
    ).readings(AGENT)
    assert [one.block.number for one in agreed(found, CLOCK, TWO)] == [6, 6]


def test_a_past_word_that_said_stop_is_no_newest_word() -> None:
    found = taken(sighting(block=make_block(6), agent=State.HALTED), sighting(block=make_block(7))).readings(
        AGENT
    )
    assert [(one.scope, one.agent.state) for one in found] == [
        (Scope.LATEST, State.RUNNING),
        (Scope.PINNED, State.HALTED),
    ]


# --- council and fleet -----------------------------------------------------------------------------------------------


def rotated(version: int) -> Council:
    return replace(COUNCIL, set_version=version)


@pytest.mark.parametrize(
    ("said", "council"),
    [
        ([("A", 1)], None),
        ([("A", 1), ("B", 1)], 1),
        ([("A", 1), ("B", 2)], None),
        ([("A", 1), ("B", 2), ("C", 2)], 2),
        ([("A", 1), ("B", None), ("C", None)], None),
        ([("A", 1), ("B", None), ("C", 1)], 1),
        ([("A", 1), ("A", 1)], None),
        ([("A", 1), ("B", 1), ("A", 2)], None),
        ([("A", 1), ("B", 1), ("A", 2), ("B", 2)], 2),
    ],
)
def test_the_signer_set_is_the_one_that_a_quorum_reported_last(
    said: list[tuple[str, int | None]], council: int | None
) -> None:
    words = [sighting(node, council=rotated(version) if version else None) for node, version in said]
    assert taken(*words).council(TWO) == (rotated(council) if council else None)


def test_one_endpoint_suffices_for_the_signer_set_where_one_is_the_quorum() -> None:
    assert taken(sighting(council=COUNCIL)).council(LIMITS) == COUNCIL
    assert taken(sighting()).council(LIMITS) is None
    assert taken().council(LIMITS) is None


def test_the_signer_set_is_taken_from_newest_words_only() -> None:
    words = [sighting(node, scope=Scope.PINNED, council=COUNCIL) for node in "AB"]
    assert taken(*words).council(TWO) is None


def test_the_fleet_is_as_a_quorum_has_it_and_not_as_one_that_names_a_higher_block() -> None:
    words = [sighting("A"), sighting("B"), sighting("C", make_block(2**40), fleet=State.HALTED)]
    found = taken(*words).fleet(CLOCK, TWO)
    assert found is not None
    assert found.state is State.RUNNING


def test_the_fleet_without_a_quorum_is_as_the_newest_block_has_it_and_none_before_the_first() -> None:
    assert taken().fleet(CLOCK, TWO) is None
    found = taken(sighting("A"), sighting("B", make_block(8), fleet=State.PAUSED)).fleet(CLOCK, TWO)
    assert found is not None
    assert found.state is State.PAUSED
