"""Ballots handed to the guard itself: which count, for whom and how long, and that all others change nothing."""

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.guard.ballots import BallotBox
from agent_guard.guard.evidence import BallotCount
from agent_guard.typed_data import SignedBallot, reason_hash
from agent_guard.typed_data.recover import recover_signer
from agent_guard.types import FLEET, Action, AgentState, Ballot, Council, State, Thresholds, Timing
from tests.unit.guard.words import AGENT, NOW, make_state

pytestmark = pytest.mark.unit

CHAIN, ADDRESS = 31337, "0x" + "11" * 20
KEYS = [Account.from_key(bytes([number]) * 32) for number in (1, 2, 3, 4)]
SIGNERS = tuple(key.address for key in KEYS[:3])
STRANGER = KEYS[3]
COUNCIL = Council(SIGNERS, Thresholds(2, 2, 3), Timing(60, 2, 3600, 0, 0), 5)
STATE, FLEET_STATE = make_state(AGENT, epoch=3), make_state(FLEET, epoch=8)
DEADLINE = NOW + 100


def ballot(
    key: Any = KEYS[0], signer: str | None = None, chain: int = CHAIN, council: str = ADDRESS, **changes: Any
) -> SignedBallot:
    """A signed ballot to halt the agent, valid unless something is changed before it is signed."""
    plain = Ballot(
        agent=AGENT, action=Action.HALT, param=bytes(32), epoch=3, set_version=5, signer=signer or key.address,
        deadline=DEADLINE, reason=reason_hash("it drifts"),
    )  # fmt: skip
    unsigned = SignedBallot(chain, council, replace(plain, **changes), b"\x00", "it drifts")
    return replace(unsigned, signature=bytes(key.unsafe_sign_hash(unsigned.digest()).signature))


@pytest.fixture
def box() -> BallotBox:
    return BallotBox(CHAIN, ADDRESS)


def admit(
    box: BallotBox,
    signed: SignedBallot,
    now: float = NOW,
    council: Council | None = COUNCIL,
    state: AgentState | None = STATE,
) -> str | None:
    """As the desk and the watcher hand it on: with whose signature it really is."""
    return box.admit(signed, recover_signer(signed.digest(), signed.signature), council, state, now)


def count(
    box: BallotBox, now: float = NOW, council: Council | None = COUNCIL, **changes: Any
) -> tuple[int, int]:
    found = box.count(replace(STATE, **changes), FLEET_STATE, council, now)
    return found.agent, found.fleet


# --- those that count ------------------------------------------------------------------------------------------------


def test_ballots_of_distinct_signers_count_and_as_many_as_the_council_says_decide(box: BallotBox) -> None:
    found = []
    for key in KEYS[:3]:
        assert admit(box, ballot(key)) is None
        found.append(box.count(STATE, FLEET_STATE, COUNCIL, NOW))
    assert found == [BallotCount(number, 0, 2, (3, 8)) for number in (1, 2, 3)]
    assert [one.decides for one in found] == [False, True, True]


def test_a_ballot_on_the_fleet_counts_for_the_fleet_and_one_on_the_agent_for_the_agent(
    box: BallotBox,
) -> None:
    assert admit(box, ballot(agent=FLEET, epoch=8), state=FLEET_STATE) is None
    assert count(box) == (0, 1)
    assert admit(box, ballot(KEYS[1])) is None
    assert count(box) == (1, 1)
    other = make_state(b"b" * 32, epoch=3)
    assert box.count(other, FLEET_STATE, COUNCIL, NOW) == BallotCount(0, 1, 2, (3, 8))


def test_the_agent_is_named_by_its_council_in_whatever_case(box: BallotBox) -> None:
    box = BallotBox(CHAIN, "0x" + "Ab" * 20)
    assert admit(box, ballot(council="0x" + "ab" * 20)) is None


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED, State.LAPSED, State.RESUMING])
def test_a_ballot_counts_whatever_the_agent_does(box: BallotBox, state: State) -> None:
    assert admit(box, ballot(), state=make_state(AGENT, state, epoch=3)) is None


# --- those that don't ------------------------------------------------------------------------------------------------

FORGED = replace(ballot(), signature=ballot(KEYS[1]).signature)
WRONG: dict[str, tuple[SignedBallot, str]] = {
    "forged": (FORGED, "its signature is not its signer's"),
    "signed by a signer for another": (ballot(KEYS[1], signer=SIGNERS[0]), "its signature is not its signer's"),
    "a signature of nonsense": (replace(ballot(), signature=b"\x01" * 65), "its signature is not its signer's"),
    "a contract's signature": (replace(ballot(), signature=b"\x01" * 200), "its signature is not its signer's"),
    "another reason": (
        replace(ballot(), reason="", ballot=replace(ballot().ballot, reason=bytes(32))),
        "its signature is not its signer's",
    ),
    "a stranger's": (ballot(STRANGER), "its signer is not in the present set"),
    "another set": (ballot(set_version=4), "it is for signer set 4; the present one is 5"),
    "a set to come": (ballot(set_version=6), "it is for signer set 6; the present one is 5"),
    "a former epoch": (ballot(epoch=2), "it is for epoch 2; the agent is in epoch 3"),
    "an epoch to come": (ballot(epoch=4), "it is for epoch 4; the agent is in epoch 3"),
    "another chain": (ballot(chain=1), "of chain 1"),
    "another council": (ballot(council="0x" + "22" * 20), "it is for the council 0x"),
    "a param": (ballot(param=b"\x01" * 32), "its param is not a halt's"),
    **{
        f"a ballot to {action.name.lower()}": (ballot(action=action), f"it is a ballot to {action.name.lower()}")
        for action in Action if action not in (Action.NONE, Action.HALT)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_ballot_that_is_not_a_present_signers_halt_is_refused_and_changes_nothing(
    box: BallotBox, name: str
) -> None:
    signed, why = WRONG[name]
    assert admit(box, ballot(KEYS[2])) is None
    refusal = admit(box, signed)
    assert refusal is not None
    assert why in refusal
    assert count(box) == (1, 0)


@pytest.mark.parametrize(
    ("seconds", "counts"), [(-1, True), (-0.001, True), (0, False), (0.5, False), (1, False)]
)
def test_a_ballot_counts_until_the_second_of_its_deadline_and_not_in_it(
    box: BallotBox, seconds: float, counts: bool
) -> None:
    assert (admit(box, ballot(), now=DEADLINE + seconds) is None) is counts
    held = BallotBox(CHAIN, ADDRESS)
    assert admit(held, ballot()) is None
    assert count(held, now=DEADLINE + seconds) == (1 if counts else 0, 0)


def test_an_agent_that_this_guard_does_not_hold_is_refused(box: BallotBox) -> None:
    assert admit(box, ballot(), state=None) == "this guard does not hold that agent"


def test_before_the_signer_set_was_ever_read_nothing_counts(box: BallotBox) -> None:
    assert admit(box, ballot(), council=None) == "the signer set was never read from the chain"
    assert box.count(STATE, FLEET_STATE, None, NOW) == BallotCount()


def test_a_signers_second_ballot_is_refused_and_counts_once(box: BallotBox) -> None:
    assert admit(box, ballot()) is None
    for again in (ballot(), ballot(deadline=DEADLINE + 50)):
        assert admit(box, again) == "this signer's ballot is here already"
    assert count(box) == (1, 0)


# --- what time and the council do to those that are here -------------------------------------------------------------


@pytest.mark.parametrize(
    ("council", "changes"),
    [
        (COUNCIL, {"epoch": 4}),
        (replace(COUNCIL, set_version=6), {}),
        (replace(COUNCIL, signers=SIGNERS[1:]), {}),
    ],
    ids=["a later epoch", "a rotation", "a signer who left"],
)
def test_a_ballot_that_counted_counts_no_more_when_the_council_goes_on(
    box: BallotBox, council: Council, changes: dict[str, Any]
) -> None:
    assert admit(box, ballot()) is None
    assert count(box, council=council, **changes) == (0, 0)


def test_the_same_signer_may_hand_in_a_new_ballot_when_the_former_has_expired(box: BallotBox) -> None:
    assert admit(box, ballot()) is None
    assert admit(box, ballot(deadline=DEADLINE + 100), now=DEADLINE) is None
    assert count(box, now=DEADLINE) == (1, 0)


def test_the_same_signer_may_hand_in_a_new_ballot_after_a_rotation_that_left_him_in(box: BallotBox) -> None:
    rotated = replace(COUNCIL, set_version=6)
    assert admit(box, ballot()) is None
    assert admit(box, ballot(set_version=6), council=rotated) is None
    assert count(box, council=rotated) == (1, 0)


def test_the_same_signer_may_hand_in_a_new_ballot_in_the_next_epoch(box: BallotBox) -> None:
    assert admit(box, ballot()) is None
    assert admit(box, ballot(epoch=4), state=replace(STATE, epoch=4)) is None
    assert count(box, epoch=4) == (1, 0)


def test_what_stands_is_given_in_the_order_in_which_it_came(box: BallotBox) -> None:
    later = replace(STATE, epoch=4)
    assert admit(box, ballot(KEYS[0]), now=NOW) is None  # of the epoch before
    assert admit(box, ballot(KEYS[1], epoch=4), now=NOW + 1, state=later) is None
    assert admit(box, ballot(KEYS[0], epoch=4), now=NOW + 2, state=later) is None
    standing = box.standing(later, COUNCIL, NOW + 3)
    assert [(one.signed.ballot.signer, one.at) for one in standing] == [
        (SIGNERS[1], NOW + 1),
        (SIGNERS[0], NOW + 2),
    ]


handed_in = st.tuples(
    st.integers(0, 3), st.integers(2, 4), st.integers(4, 6), st.sampled_from((AGENT, FLEET)),
    st.sampled_from((Action.HALT, Action.PAUSE)), st.integers(-5, 5),
)  # fmt: skip


@given(st.lists(handed_in, max_size=8), st.integers(0, 5))
def test_never_do_more_count_than_distinct_signers_have_handed_in_such_ballots(
    given_in: list[tuple[int, int, int, bytes, Action, int]], later: int
) -> None:
    """A second reading of the rule. Signatures are left out: recovering them would take most of the time."""
    box, rightful = BallotBox(CHAIN, ADDRESS), {0: set[int](), later: set[int]()}
    for key, epoch, version, agent, action, life in given_in:
        signer = KEYS[key].address
        plain = Ballot(agent, action, bytes(32), epoch, version, signer, NOW + life, bytes(32))
        signed = SignedBallot(CHAIN, ADDRESS, plain, b"\x00", "")
        box.admit(signed, signer, COUNCIL, STATE if agent == AGENT else FLEET_STATE, NOW)
        for seconds, signers in rightful.items():
            if (epoch, version, agent, action) == (3, 5, AGENT, Action.HALT) and key < 3 and life > seconds:
                signers.add(key)
    assert box.count(STATE, FLEET_STATE, COUNCIL, NOW).agent == len(rightful[0])
    assert box.count(STATE, FLEET_STATE, COUNCIL, NOW + later).agent <= len(rightful[later])
