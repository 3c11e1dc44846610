"""A ballot that counts no more bars no later one of its signer."""

from typing import Any

import pytest

from agent_guard.guard.ballots import BallotBox
from agent_guard.typed_data import SignedBallot, checksum_address
from agent_guard.typed_data.signed_ballot import reason_hash
from agent_guard.types import FLEET, Action, AgentState, Ballot, Council, Head, State, Thresholds, Timing

pytestmark = pytest.mark.unit

COUNCIL = checksum_address("0x" + "c0" * 20)
SIGNERS = tuple(checksum_address("0x" + f"{number:02x}" * 20) for number in (1, 2))
AGENT = b"a" * 32
NOW = 1_700_000_000


def state(agent: bytes = AGENT) -> AgentState:
    return AgentState(
        agent=agent, state=State.RUNNING, may_run=True, epoch=1, arms=0, vetoes=0, halt_votes=0, resume_votes=0,
        paused_until=0, lease_until=0, resume_ready_at=0, operator=SIGNERS[0], head=Head(0, bytes(32)), halted_size=0,
    )  # fmt: skip


def council(version: int = 1) -> Council:
    return Council(SIGNERS, Thresholds(2, 2, 2), Timing(60, 60, 60, 0, 0), version)


def ballot(deadline: int, version: int = 1) -> SignedBallot:
    plain = Ballot(AGENT, Action.HALT, bytes(32), 1, version, SIGNERS[0], deadline, reason_hash(""))
    return SignedBallot(31337, COUNCIL, plain, b"\x01" * 65, "")


@pytest.mark.parametrize(
    ("first", "second", "later", "version"),
    [
        pytest.param(ballot(NOW + 10), ballot(NOW + 100), NOW + 20, 1, id="expired"),
        pytest.param(ballot(NOW + 100), ballot(NOW + 100, version=2), NOW, 2, id="of an earlier set"),
    ],
)
def test_ballot_counts_when_the_signers_earlier_one_is_void(
    first: Any, second: Any, later: int, version: int
) -> None:
    box = BallotBox(31337, COUNCIL)
    assert box.admit(first, SIGNERS[0], council(), state(), NOW) is None

    assert box.admit(second, SIGNERS[0], council(version), state(), later) is None

    assert box.count(state(), state(FLEET), council(version), later).agent == 1


def test_ballot_counts_once_while_the_signers_earlier_one_counts() -> None:
    box = BallotBox(31337, COUNCIL)
    assert box.admit(ballot(NOW + 10), SIGNERS[0], council(), state(), NOW) is None

    assert "already" in str(box.admit(ballot(NOW + 100), SIGNERS[0], council(), state(), NOW))

    assert box.count(state(), state(FLEET), council(), NOW).agent == 1
