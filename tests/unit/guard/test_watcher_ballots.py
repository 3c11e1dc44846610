"""Ballots that come to the guard itself: they act at once, whatever the chain and the poll do."""

from typing import Any

import pytest
from eth_account import Account

from agent_guard.guard.memory import BY_BALLOTS
from agent_guard.typed_data import SignedBallot
from agent_guard.types import (
    FLEET,
    Action,
    Ballot,
    Council,
    Decision,
    Silence,
    Standing,
    State,
    Thresholds,
    Timing,
)
from tests.unit.guard.chain import (
    ALICE,
    BOB,
    CHAIN_ID,
    COUNCIL_ADDRESS,
    FedView,
    Watch,
    sighting,
    wait_until,
)
from tests.unit.guard.words import NOW, TWO

pytestmark = pytest.mark.unit

SIGNERS = tuple(Account.from_key(bytes([number]) * 32).address for number in (1, 2, 3))
COUNCIL = Council(SIGNERS, Thresholds(2, 2, 3), Timing(60, 2, 3600, 0, 0), 5)


def ballot(
    signer: int = 0, agent: bytes = ALICE, deadline: int = NOW + 1_000, **changes: Any
) -> SignedBallot:
    """Unsigned: whose signature it is, the desk finds out and hands on."""
    values: dict[str, Any] = {"epoch": 1, "set_version": 5, "action": Action.HALT} | changes
    plain = Ballot(
        agent=agent, param=bytes(32), signer=SIGNERS[signer], deadline=deadline, reason=bytes(32), **values
    )
    return SignedBallot(CHAIN_ID, COUNCIL_ADDRESS, plain, b"\x00", "")


def hand_in(watch: Watch, *ballots: SignedBallot) -> list[str | None]:
    return [watch.watcher().offer(signed, signed.ballot.signer) for signed in ballots]


@pytest.fixture
def ready(watch: Watch) -> Watch:
    """A guard that has read the signer set."""
    watch.look(sighting(council=COUNCIL))
    return watch


def test_enough_ballots_halt_without_a_poll_and_without_a_word_from_the_chain(ready: Watch) -> None:
    applied = list[Standing]()
    ready.watcher().attach("alice", applied.append)
    ready.watcher().start()
    assert hand_in(ready, ballot(0)) == [None]
    wait_until(lambda: applied[-1].verdict.decision is Decision.FREEZE)
    assert hand_in(ready, ballot(1)) == [None]
    wait_until(lambda: applied[-1].verdict.decision is Decision.HALT)
    assert applied[-1].verdict.reason == BY_BALLOTS
    assert ready.decisions()["bob"] == "run"


def test_ballots_on_the_fleet_halt_every_agent(ready: Watch) -> None:
    hand_in(ready, ballot(0, FLEET), ballot(2, FLEET))
    assert ready.look() == {"alice": "halt", "bob": "halt"}


@pytest.mark.parametrize(
    ("refused", "signer"),
    [
        (ballot(1, epoch=2), SIGNERS[1]),
        (ballot(1, set_version=4), SIGNERS[1]),
        (ballot(1, agent=b"c" * 32), SIGNERS[1]),
        (ballot(1, deadline=NOW), SIGNERS[1]),
        (ballot(1, action=Action.PAUSE), SIGNERS[1]),
        (ballot(1), SIGNERS[0]),
        (ballot(1), None),
        (ballot(0), SIGNERS[0]),
    ],
    ids=["epoch", "set", "agent", "expired", "no halt", "another's signature", "nobody's signature", "twice"],
)
def test_a_ballot_that_does_not_count_is_refused_and_changes_no_verdict(
    ready: Watch, refused: SignedBallot, signer: str | None
) -> None:
    hand_in(ready, ballot(0))
    before = ready.look()
    assert ready.watcher().offer(refused, signer) is not None
    assert ready.look() == before == {"alice": "freeze", "bob": "run"}


def test_before_the_signer_set_is_known_no_ballot_counts(watch: Watch) -> None:
    watch.look(sighting())
    assert hand_in(watch, ballot(0)) == ["the signer set was never read from the chain"]
    assert watch.watcher().ballots("alice") == []


def test_before_the_agent_was_ever_read_no_ballot_counts(watch: Watch) -> None:
    assert hand_in(watch, ballot(0)) == ["this guard does not hold that agent"]


def test_one_endpoints_signer_set_is_nobodys_where_two_must_agree(watch: Watch) -> None:
    """Else a node could make up a council of its own, and halt by its ballots."""
    watch.view, watch.limits = FedView(("one", "two")), TWO
    watch.look(sighting(endpoint="one", council=COUNCIL), sighting(endpoint="two"))
    assert hand_in(watch, ballot(0)) == ["the signer set was never read from the chain"]
    watch.look(sighting(endpoint="two", council=COUNCIL))
    assert hand_in(watch, ballot(0)) == [None]


def test_a_halt_by_ballots_holds_after_they_expired_and_though_the_chain_says_nothing_of_it(
    ready: Watch,
) -> None:
    hand_in(ready, ballot(0, deadline=NOW + 5), ballot(1, deadline=NOW + 5))
    ready.look()
    assert [(name, latch.agent_epoch) for name, latch in ready.kept] == [("alice", 1)]
    ready.clock.seconds = 6.0
    assert ready.look(sighting(at=6.0, council=COUNCIL))["alice"] == "halt"


def test_ballots_halt_though_every_endpoint_has_fallen_silent(ready: Watch) -> None:
    ready.clock.seconds = 61.0
    ready.look(Silence("node", "refused"))
    assert ready.decisions()["alice"] == "freeze"
    hand_in(ready, ballot(0), ballot(1))
    assert ready.look()["alice"] == "halt"


def test_the_times_of_the_ballots_that_halted_are_told_as_many_as_it_took(ready: Watch) -> None:
    times = []
    for ready.clock.seconds, signer in ((1.0, 0), (2.0, 2), (3.0, 1)):
        hand_in(ready, ballot(signer))
        times.append(ready.watcher().ballots("alice"))
    assert times == [[], [NOW + 1.0, NOW + 2.0], [NOW + 1.0, NOW + 2.0]]
    assert ready.watcher().ballots("bob") == []


def test_the_times_of_ballots_on_the_fleet_are_told_for_every_agent(ready: Watch) -> None:
    hand_in(ready, ballot(0, FLEET), ballot(1, FLEET))
    assert ready.watcher().ballots("alice") == ready.watcher().ballots("bob") == [NOW, NOW]


def test_the_state_of_an_agent_that_is_not_watched_is_unknown(ready: Watch) -> None:
    assert ready.watcher().state(b"c" * 32) is None
    bob = ready.watcher().state(BOB)
    assert bob is not None
    assert (bob.agent, bob.state) == (BOB, State.RUNNING)
