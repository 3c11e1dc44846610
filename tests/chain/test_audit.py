"""Audits of a real log against a real chain, by the command: what it says, and with which exit code."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chain.guard import AGENT, Guard

pytestmark = pytest.mark.chain


@pytest.fixture
def guard(town: Any) -> Iterator[Guard]:
    """An agent that worked, and whose log is anchored in two steps: 20 entries."""
    town.register(AGENT)
    made = Guard(town, town.folder / "log.sqlite")
    made.act(5)
    made.anchor.flush(20)
    made.act(5)
    made.anchor.flush(20)
    yield made
    made.close()


def audit(guard: Guard, result: str, **environ: str) -> dict[str, Any]:
    """The command's word, which must be this one, with its exit code."""
    code = {"VERIFIED": 0, "TAMPERED": 5, "INDETERMINATE": 6}[result]
    outcome = guard.town.cli("audit", AGENT, "--log", guard.path, "--json", expect=code, **environ)
    assert outcome.json["result"] == result
    return dict(outcome.json)


def test_honest_log_is_verified(guard: Guard) -> None:
    found = audit(guard, "VERIFIED")
    assert (found["entries"], found["anchored"], found["head"]["size"]) == (20, 20, 20)
    assert {found[aspect]["result"] for aspect in ("integrity", "completeness", "obedience", "openness")} == {
        "VERIFIED"
    }


def test_halted_agent_that_died_is_verified_with_its_overrun(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    halted_at = guard.town.height()
    guard.die()
    guard.anchor.flush(20)
    found = audit(guard, "VERIFIED")
    assert found["overrun_ms"] == 250
    assert found["halted_at"]["number"] == halted_at
    assert found["death"]["index"] == 21


def test_halt_by_a_fork_proof_is_told_as_one(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1")
    guard.town.prove_fork(AGENT)
    guard.die()
    guard.anchor.flush(20)
    found = audit(guard, "VERIFIED")
    assert "by a fork proof (its operator signed two histories; no vote)" in found["obedience"]["detail"]

    index = guard.act()
    guard.anchor.flush(20)
    found = audit(guard, "TAMPERED")
    assert found["first_bad"]["index"] == index
    assert "by a fork proof" in found["first_bad"]["why"]


def test_halt_by_votes_is_not_told_as_a_fork(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    guard.town.prove_fork(AGENT)
    guard.die()
    guard.anchor.flush(20)
    assert "fork" not in str(audit(guard, "VERIFIED"))


@pytest.mark.parametrize("whom", [AGENT, "--all"])
def test_action_after_the_halt_is_tampering(guard: Guard, whom: str) -> None:
    guard.town.vote("halt", whom, "signer1", "signer2")
    index = guard.act()
    guard.die()
    guard.anchor.flush(20)
    found = audit(guard, "TAMPERED")
    assert found["first_bad"]["index"] == index
    assert found["obedience"]["result"] == "TAMPERED"
    assert found["integrity"]["result"] == "VERIFIED"


def test_action_on_the_last_block_before_the_halt_is_none(guard: Guard) -> None:
    before = guard.town.contract.endpoint.block()
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    guard.act(block=before)
    guard.die()
    guard.anchor.flush(20)
    audit(guard, "VERIFIED")


def test_action_during_a_pause_is_tampering_and_after_it_none(guard: Guard) -> None:
    guard.town.vote("pause", AGENT, "signer1")
    guard.town.pass_time(61)
    guard.act()
    guard.anchor.flush(20)
    audit(guard, "VERIFIED")
    guard.town.vote("pause", AGENT, "signer2")
    index = guard.act()
    guard.anchor.flush(20)
    assert audit(guard, "TAMPERED")["first_bad"]["index"] == index


def test_changed_byte_is_found(guard: Guard) -> None:
    guard.forge(
        "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'intent', 'outcome') AS BLOB) WHERE leaf_index = 4"
    )
    found = audit(guard, "TAMPERED")
    assert found["first_bad"]["index"] == 4


def test_cut_tail_is_found(guard: Guard) -> None:
    guard.forge("DELETE FROM entry WHERE leaf_index >= 17")
    found = audit(guard, "TAMPERED")
    assert (found["first_bad"]["index"], found["completeness"]["result"]) == (17, "TAMPERED")


def test_log_replaced_by_a_consistent_one_is_found_in_the_first_anchored_segment(guard: Guard) -> None:
    guard.close()
    guard.path.rename(guard.path.with_name("original.sqlite"))
    forged = Guard(guard.town, guard.path)
    forged.act(10)
    forged.close()
    found = audit(guard, "TAMPERED")
    assert found["first_bad"]["index"] == 0
    assert "[0, 10)" in found["first_bad"]["what"]


def test_chain_that_does_not_answer_leaves_it_indeterminate(guard: Guard) -> None:
    found = audit(guard, "INDETERMINATE", ETH_RPC_URL="http://127.0.0.1:1")
    assert found["head"] is None


def test_chain_that_does_not_answer_hides_no_changed_content(guard: Guard) -> None:
    guard.forge("UPDATE content SET body = x'7B7D' WHERE leaf_index = 3")
    found = audit(guard, "TAMPERED", ETH_RPC_URL="http://127.0.0.1:1")
    assert found["first_bad"] == {
        "index": 3,
        "what": "content",
        "why": "it does not hash to the commitment in its entry",
    }


def test_log_under_another_council_is_indeterminate(guard: Guard) -> None:
    guard.forge("UPDATE log SET council = '0x000000000000000000000000000000000000dEaD'")
    found = audit(guard, "INDETERMINATE")
    assert "0x000000000000000000000000000000000000dEaD" in found["integrity"]["detail"]
