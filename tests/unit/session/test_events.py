"""The values that a run tells, and the public facts of a death."""

import pytest

from agent_guard.chain.history import HaltOnChain
from agent_guard.errors import GuardError
from agent_guard.guard.supervisor import DeathReceipt, Frozen, Stopping, Thawed, Trouble
from agent_guard.session import events
from agent_guard.types import Block

pytestmark = pytest.mark.unit

BLOCK = Block(70, b"\x07" * 32, 1_700_000_000)
RECEIPT = DeathReceipt("halted", 3, BLOCK, 100, 101, 105, "pidns", 4)
HALT = HaltOnChain(BLOCK, 3, 1_699_999_990)


def test_a_death_by_a_halt_on_chain_has_the_times_of_its_votes_and_its_block() -> None:
    times = events.stages(RECEIPT, HALT)
    assert times.as_dict() == {
        "vote": 1_699_999_990_000, "quorum": 1_700_000_000_000, "block": 1_700_000_000_000, "seen": 100,
        "frozen": 101, "dead": 105,
    }  # fmt: skip


def test_a_death_without_a_halt_on_chain_has_no_times_of_the_chain() -> None:
    times = events.stages(RECEIPT, None)
    assert times.as_dict() == {
        "vote": None, "quorum": None, "block": None, "seen": 100, "frozen": 101, "dead": 105,
    }  # fmt: skip
    assert times.facts(RECEIPT) == {
        "seen": 100, "frozen": 101, "dead": 105, "epoch": 3, "mode": "pidns", "processes": 4,
    }  # fmt: skip


def test_a_death_by_ballots_has_the_times_at_which_the_first_and_the_deciding_one_came() -> None:
    times = events.stages(RECEIPT, None, [1_700_000_001.25, 1_700_000_002.5, 1_700_000_003.75])
    assert (times.vote, times.quorum, times.block) == (1_700_000_001_250, 1_700_000_003_750, None)


def test_an_unknown_first_vote_is_left_out_and_not_the_year_1970() -> None:
    assert events.stages(RECEIPT, HaltOnChain(BLOCK, 3, 0)).vote is None


def test_a_kill_without_a_word_from_the_chain_and_without_a_freeze_leaves_out_what_it_does_not_know() -> None:
    receipt = DeathReceipt("silence", None, None, 100, None, 105, "pidns", 4)
    assert events.stages(receipt, None).facts(receipt) == {
        "seen": 100,
        "dead": 105,
        "mode": "pidns",
        "processes": 4,
    }


def test_steps_carry_their_names_times_and_reasons() -> None:
    trouble = Trouble(5, GuardError("AG408", "It did not stand still.", "Halt it."))
    assert [
        events.said("stderr", "hello"),
        events.frozen(Frozen(1, "a vote", BLOCK)),
        events.stopping(Stopping(2, "a pause", BLOCK)),
        events.thawed(Thawed(3, BLOCK)),
        events.trouble(trouble),
    ] == [
        {"event": "said", "stream": "stderr", "line": "hello"},
        {"event": "frozen", "at_ms": 1, "reason": "a vote"},
        {"event": "stopping", "at_ms": 2, "reason": "a pause"},
        {"event": "thawed", "at_ms": 3},
        {"event": "trouble", "at_ms": 5, **trouble.error.as_dict()},
    ]


def test_a_death_is_told_with_its_stages_and_the_operators_signature() -> None:
    times = events.stages(RECEIPT, HALT)
    assert events.dead(RECEIPT, times, "signed") == {
        "event": "dead", "reason": "halted", "mode": "pidns", "processes": 4, "survivors": 0,
        "stages_ms": times.as_dict(), "signature": "signed",
    }  # fmt: skip
