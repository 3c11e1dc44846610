"""Audits of a real log against a real chain, by the command: what it says, and with which exit code."""

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from agent_guard.keys import keystore
from agent_guard.merkle import leaf_hash, verify_inclusion
from agent_guard.wiring import auditing
from tests.chain.guard import AGENT, Guard

pytestmark = pytest.mark.chain


@pytest.fixture
def guard(town: Any) -> Iterator[Guard]:
    """An agent that worked, and whose log is anchored in two steps: 20 entries."""
    town.register(AGENT)
    made = Guard(town, town.folder / "log.sqlite")
    made.act(5)
    made.anchor.flush(60)
    made.act(5)
    made.anchor.flush(60)
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


@pytest.mark.parametrize("anchors", [False, True])
def test_log_that_its_guard_goes_on_writing_while_the_chain_is_read_is_verified(
    guard: Guard, anchors: bool
) -> None:
    """Far more than may wait for an anchor; and where an anchor came, one that the audit's block does not hold."""
    gather, written = auditing.gather, []

    def slowly(*arguments: Any) -> Any:
        found = gather(*arguments)
        written.append(guard.act(20))
        if anchors:
            guard.anchor.flush(20)
        return found

    with mock.patch.object(auditing, "gather", slowly):
        found = audit(guard, "VERIFIED", AGENT_GUARD_MAX_UNANCHORED_ENTRIES="3")
    assert found["entries"] == written[0] + 2
    assert found["entries"] - found["head"]["size"] == 40


def test_halted_agent_that_died_is_verified_with_its_overrun(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    halted_at = guard.town.height()
    guard.die()
    guard.anchor.flush(60)
    found = audit(guard, "VERIFIED")
    assert found["overrun_ms"] == 250
    assert found["halted_at"]["number"] == halted_at
    assert found["death"]["index"] == 21


def test_halt_by_a_fork_proof_is_told_as_one(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1")
    guard.town.prove_fork(AGENT)
    guard.die()
    guard.anchor.flush(60)
    found = audit(guard, "VERIFIED")
    assert "by a fork proof (its operator signed two histories; no vote)" in found["obedience"]["detail"]

    index = guard.act()
    guard.anchor.flush(60)
    found = audit(guard, "TAMPERED")
    assert found["first_bad"]["index"] == index
    assert "by a fork proof" in found["first_bad"]["why"]


def test_halt_by_votes_is_not_told_as_a_fork(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    guard.town.prove_fork(AGENT)
    guard.die()
    guard.anchor.flush(60)
    assert "fork" not in str(audit(guard, "VERIFIED"))


@pytest.mark.parametrize("whom", [AGENT, "--all"])
def test_action_after_the_halt_is_tampering(guard: Guard, whom: str) -> None:
    guard.town.vote("halt", whom, "signer1", "signer2")
    index = guard.act()
    guard.die()
    guard.anchor.flush(60)
    found = audit(guard, "TAMPERED")
    assert found["first_bad"]["index"] == index
    assert found["obedience"]["result"] == "TAMPERED"
    assert found["integrity"]["result"] == "VERIFIED"


def test_action_on_the_last_block_before_the_halt_is_none(guard: Guard) -> None:
    before = guard.town.contract.endpoint.block()
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    guard.act(block=before)
    guard.die()
    guard.anchor.flush(60)
    audit(guard, "VERIFIED")


def test_action_during_a_pause_is_tampering_and_after_it_none(guard: Guard) -> None:
    guard.town.vote("pause", AGENT, "signer1")
    guard.town.pass_time(61)
    guard.act()
    guard.anchor.flush(60)
    audit(guard, "VERIFIED")
    guard.town.vote("pause", AGENT, "signer2")
    index = guard.act()
    guard.anchor.flush(60)
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


@pytest.mark.parametrize(("given", "result"), [("2", "VERIFIED"), ("1", "INDETERMINATE")])
def test_latest_time_of_a_death_is_the_auditors_to_say(guard: Guard, given: str, result: str) -> None:
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    guard.act(block=guard.town.contract.endpoint.block(guard.town.height() - 1))
    guard.die(1_900)
    guard.anchor.flush(60)
    code = 0 if result == "VERIFIED" else 6
    words = ("audit", AGENT, "--log", guard.path, "--max-overrun", given, "--json")
    outcome = guard.town.cli(*words, expect=code)
    assert outcome.json["obedience"]["result"] == result


# ------------------------------------------------------------------------------------------------------------ reports


def test_report_names_who_voted_and_changes_neither_the_result_nor_the_exit_code(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    guard.die()
    guard.anchor.flush(60)
    path = guard.town.folder / "report.json"
    found = dict(guard.town.cli("audit", AGENT, "--log", guard.path, "--report", path, "--json").json)
    told = json.loads(path.read_text())
    assert found.items() <= told.items()
    votes = [vote for vote in told["chain"]["votes"] if vote["action"] == "halt"]
    signers = [
        keystore.unlock(guard.town.keys.folder / name, "devnet").address for name in ("signer1", "signer2")
    ]
    assert [(vote["signer"], vote["votes"]) for vote in votes] == [(signers[0], 1), (signers[1], 2)]
    assert told["chain"]["thresholds"] == {"halt": 2, "resume": 2, "retire": 3}
    kinds = [moment["kind"] for moment in told["timeline"]["moments"]]
    proof = told["proof"]
    assert (proof["seq"], proof["root"]) == (told["death"]["index"], told["head"]["root"])
    hashes = [bytes.fromhex(sibling[2:]) for sibling in proof["hashes"]]
    leaf = leaf_hash(proof["entry"].encode())
    verify_inclusion(leaf, proof["seq"], proof["size"], hashes, bytes.fromhex(proof["root"][2:]))
    assert kinds[-5:] == ["vote", "vote", "halted", "halt", "death"]


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_report_of_a_changed_log_says_so_with_the_audits_exit_code(guard: Guard, suffix: str) -> None:
    guard.forge("UPDATE content SET body = x'7B7D' WHERE leaf_index = 3")
    path = guard.town.folder / f"report.{suffix}"
    guard.town.cli("audit", AGENT, "--log", guard.path, "--report", path, expect=5)
    told = path.read_text()
    assert "TAMPERED" in told
    assert "does not hash to the commitment" in told


def test_report_without_a_chain_is_written_too(guard: Guard) -> None:
    path = guard.town.folder / "report.md"
    environ = {"ETH_RPC_URL": "http://127.0.0.1:1"}
    guard.town.cli("audit", AGENT, "--log", guard.path, "--report", path, expect=6, **environ)
    assert "the chain could not be asked" in path.read_text()


@pytest.mark.parametrize(
    ("name", "code"), [("report.pdf", "AG460"), ("old.html", "AG461"), ("no/r.md", "AG462")]
)
def test_report_that_can_not_be_written_is_refused_before_the_audit(
    guard: Guard, name: str, code: str
) -> None:
    old = guard.town.folder / "old.html"
    old.write_text("evidence")
    expect = 1 if code == "AG462" else 2
    outcome = guard.town.cli(
        "audit", AGENT, "--log", guard.path, "--report", guard.town.folder / name, "--json", expect=expect
    )
    assert outcome.json["error"]["code"] == code
    assert old.read_text() == "evidence"


def reported(guard: Guard) -> Any:
    """The JSON report of an audit that verifies."""
    path = guard.town.folder / "lease.json"
    path.unlink(missing_ok=True)
    guard.town.cli("audit", AGENT, "--log", guard.path, "--report", path)
    return json.loads(path.read_text())


def test_agent_that_the_council_does_not_know_has_no_log_and_an_audit_of_one_says_why(guard: Guard) -> None:
    cli = guard.town.cli
    for command in (("log", "list"), ("log", "tail"), ("audit",)):
        assert "--log" in cli.fails("AG311", 1, *command, "nobody")["remedy"]
    detail = cli("audit", "nobody", "--log", guard.path, "--json", expect=6).json
    assert "knows no agent of this name" in detail["integrity"]["detail"]
    assert "no entry of this agent" in detail["openness"]["detail"]


def test_arguments_that_can_not_be_meant_are_told_with_what_to_do(guard: Guard) -> None:
    cli = guard.town.cli
    assert (
        "comes after"
        in cli.fails("AG101", 2, "log", "list", AGENT, "--log", guard.path, "--from", 5, "--to", 3)["message"]
    )
    assert "0 or more" in cli.fails("AG101", 2, "log", "show", AGENT, "-1", "--log", guard.path)["remedy"]
    missing = cli.fails("AG510", 1, "audit", AGENT, "--log", "nosuch.sqlite")["message"]
    assert "there is no file nosuch.sqlite" in missing
    assert "Errno" not in missing
    empty = cli("log", "list", AGENT, "--log", guard.path, "--kind", "thaw").stdout
    assert empty == "No such entries.\n"


def test_action_after_the_lease_ran_out_is_tampering_and_after_its_renewal_none(
    found: Any, anvil: Any
) -> None:
    town = found(anvil, lease=100, lease_grace=50)
    before = town.rpc("evm_snapshot")
    town.register(AGENT)
    guard = Guard(town, town.folder / "log.sqlite")
    try:
        guard.act()
        town.pass_time(120)
        town.cli.ask("agent", "renew", AGENT, "--account", "signer3")
        guard.act()
        guard.anchor.flush(60)
        audit(guard, "VERIFIED")
        lapsed, renewed = reported(guard)["chain"]["without_lease"], town.state(AGENT).lease_until - 100
        assert [(gap["to_ms"], gap["grace_over_ms"]) for gap in lapsed] == [(renewed * 1000, None)]
        assert lapsed[0]["from_block"] < lapsed[0]["to_block"]
        bands = [band["what"] for band in reported(guard)["timeline"]["council"]]
        assert bands == ["may run", "no lease", "may run"]
        town.pass_time(110)
        index = guard.act()
        guard.anchor.flush(60)
        found_bad = audit(guard, "TAMPERED")["first_bad"]
        assert found_bad["index"] == index
        assert "the agent's lease had run out" in found_bad["why"]
    finally:
        guard.close()
        town.rpc("evm_revert", before)
