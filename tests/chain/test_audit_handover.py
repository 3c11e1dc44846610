"""Audits of an agent that several operators guarded, one after the other, on a real chain: what its history is."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chain.guard import AGENT, Guard
from tests.chain.test_proof_files import CODES, guard, prove
from tests.chain.test_proof_terms import appoint

pytestmark = pytest.mark.chain
__all__ = ["guard"]


@pytest.fixture
def successor(guard: Guard) -> Iterator[Guard]:
    made = Guard(guard.town, guard.town.folder / "successor.sqlite", by="signer3")
    yield made
    made.close()


def audit(result: str, *guards: Guard, more: tuple[Any, ...] = ()) -> Any:
    """The command's word on these logs together, which must be this one, with its exit code."""
    logs = [option for one in guards for option in ("--log", one.path)]
    found = guards[0].town.cli("audit", AGENT, *logs, *more, "--json", expect=CODES[result]).json
    assert found["result"] == result
    return found


def leave(guard: Guard) -> None:
    guard.recorder.append(AGENT, "exit", {}).result()


def begin(guard: Guard) -> None:
    guard.recorder.append(AGENT, "start", {}).result()


def flush(*guards: Guard) -> None:
    for one in guards:
        one.anchor.flush(20)


def test_honest_handover_and_back_is_verified_by_the_logs_of_both(guard: Guard, successor: Guard) -> None:
    guard.act(2)
    leave(guard)  # the guard is stopped, and what it wrote last may reach the chain after the change
    appoint(guard.town, "signer3")
    flush(guard)
    begin(successor)
    successor.act(3)
    leave(successor)
    appoint(guard.town, "operator")
    begin(guard)
    guard.act(1)
    flush(guard, successor)

    both = audit("VERIFIED", guard, successor)
    assert [log["result"] for log in both["logs"]] == ["VERIFIED", "VERIFIED"]
    assert [log["log"] for log in both["logs"]] == [str(guard.path), str(successor.path)]
    assert "28 entries without a gap, 28 of this agent" in both["logs"][0]["completeness"]["detail"]
    assert "8 entries without a gap, 8 of this agent" in both["logs"][1]["completeness"]["detail"]
    alone = audit("INDETERMINATE", guard)
    assert "logs" not in alone
    assert guard.town.address("signer3") in alone["completeness"]["detail"]
    said = guard.town.cli("audit", AGENT, "--log", guard.path, "--log", successor.path)
    assert f"VERIFIED: {AGENT}, by the logs of 2 operators" in said.stdout


def test_guard_that_goes_on_after_it_was_replaced_is_not_verified(guard: Guard, successor: Guard) -> None:
    appoint(guard.town, "signer3")
    intent = guard.act(2)
    leave(guard)
    begin(successor)
    flush(guard, successor)
    found = audit("INDETERMINATE", guard, successor)
    own, others = found["logs"]
    assert "about this agent, from" in own["completeness"]["detail"]
    assert f"to {intent}, do not speak of it" in own["completeness"]["detail"]
    assert "was replaced as this agent's guard when 20 entries" in own["completeness"]["detail"]
    assert (own["integrity"]["result"], own["obedience"]["result"]) == ("VERIFIED", "VERIFIED")
    assert others["result"] == "VERIFIED"


def test_what_an_operator_wrote_before_he_was_appointed_accuses_nobody(
    guard: Guard, successor: Guard
) -> None:
    """A second answer to a request, which would be proof of a missing one."""
    successor.recorder.append(AGENT, "outcome", {}, refers_to=successor.act(1)).result()
    flush(successor)
    stranger = audit("INDETERMINATE", successor)
    assert "never guarded this agent" in stranger["integrity"]["detail"]
    assert stranger["first_bad"] is None
    leave(guard)
    appoint(guard.town, "signer3")
    begin(successor)
    successor.act(1)
    flush(guard, successor)
    found = audit("INDETERMINATE", guard, successor)
    own, theirs = found["logs"]
    assert (own["result"], theirs["first_bad"]) == ("VERIFIED", None)
    assert "do not speak of it" in theirs["completeness"]["detail"]
    assert theirs["obedience"]["result"] == theirs["openness"]["result"] == "VERIFIED"


def test_report_tells_of_the_agents_own_entries_alone(guard: Guard, successor: Guard) -> None:
    leave(guard)
    appoint(guard.town, "signer3")
    guard.act(4)
    flush(guard)
    report = guard.town.folder / "report.json"
    audit("INDETERMINATE", guard, more=("--report", report))
    kinds = json.loads(report.read_text())["entries_by_kind"]
    assert (kinds["intent"], kinds["exit"]) == (10, 1)


def test_logs_that_can_not_be_audited_together_are_refused(guard: Guard, successor: Guard) -> None:
    cli, report = guard.town.cli, guard.town.folder / "report.md"
    twice = cli("audit", AGENT, "--log", guard.path, "--log", guard.path, expect=2)
    assert "Two of these logs are of operator" in twice.stderr
    one = prove(guard, 3)
    assert "proof of one entry" in cli("audit", AGENT, "--log", guard.path, "--log", one, expect=2).stderr
    both = ("--log", guard.path, "--log", successor.path)
    assert "a report is of one log" in cli("audit", AGENT, *both, "--report", report, expect=2).stderr
    assert not report.exists()
