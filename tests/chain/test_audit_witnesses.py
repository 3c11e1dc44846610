"""Which witnesses have cosigned the head that an audit judged, by the commands, on a real log and chain."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.checkpoint import Cosigner, parse, parse_note
from tests.chain.guard import AGENT, Guard
from tests.chain.test_proof_files import CODES, guard, prove, published, verify

pytestmark = pytest.mark.chain
__all__ = ["guard"]

ONE = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([7] * 32)))
TWO = Cosigner("witness.example/w2", Ed25519PrivateKey.from_private_bytes(bytes([8] * 32)))
NAMED = ("--witness", str(ONE.verifier), "--witness", str(TWO.verifier))
AT = 1_800_000_000


def cosign(guard: Guard, wrong: bool = False) -> None:
    """The first witness cosigns the newest anchored head, as a guard would keep that; or another head altogether."""
    with guard.store.reader() as reader:
        saved = reader.checkpoint_at_most(2**63 - 1)
    text = parse_note(saved.note).text
    line = ONE.sign(text.replace("\n20\n", "\n21\n") if wrong else text, AT)
    guard.store.save_checkpoint(replace(saved, note=f"{saved.note}{line}\n"))


def audited(guard: Guard, log: object, result: str, *options: object, **environ: str) -> Any:
    command = ("audit", AGENT, "--log", log, "--json", *options)
    return guard.town.cli(*command, expect=CODES[result], **environ).json


def times(found: Any) -> list[int | None]:
    return [one["cosigned_at"] for one in found["witnesses"]]


def test_audit_says_which_named_witnesses_cosigned_the_head_whatever_it_reads(guard):
    cosign(guard)
    folder, proof = (
        published(guard, "--content"),
        prove(guard, 7),
    )  # both carry the cosignatures that the log has
    for log, result in ((guard.path, "VERIFIED"), (folder, "VERIFIED"), (proof, "INDETERMINATE")):
        found = audited(guard, log, result, *NAMED)
        assert (times(found), found["integrity"]["result"]) == ([AT, None], "VERIFIED")
        assert (found["cosigned"]["count"], found["cosigned"]["total"], found["cosigned"]["size"]) == (
            1,
            2,
            20,
        )
    assert times(verify(guard, proof, "VERIFIED", *NAMED)) == [AT, None]
    said = guard.town.cli("audit", AGENT, "--log", guard.path, *NAMED).stdout
    assert "1 of 2 cosigned the head of 20 entries" in said
    assert "did not cosign it" in said
    assert audited(guard, guard.path, "VERIFIED")["witnesses"] == []


def test_witnesses_of_the_settings_are_asked_about_where_none_is_named(guard):
    cosign(guard)
    configured = {
        "AGENT_GUARD_WITNESSES": f"https://w.example {ONE.verifier},https://v.example {TWO.verifier}"
    }
    assert times(audited(guard, guard.path, "VERIFIED", **configured)) == [AT, None]
    assert times(audited(guard, guard.path, "VERIFIED", *NAMED[2:], **configured)) == [None]
    assert times(verify(guard, prove(guard, 7), "VERIFIED", **configured)) == [AT, None]


def test_wrong_cosignature_refuses_the_checkpoint_and_not_the_log(guard):
    cosign(guard, wrong=True)
    for log in (guard.path, published(guard, "--content")):
        found = audited(guard, log, "VERIFIED", *NAMED)
        assert (times(found), found["cosigned"]["count"]) == ([None, None], 0)
        assert "the log's checkpoint is refused" in found["cosigned"]["detail"]
    assert times(audited(guard, guard.path, "VERIFIED", *NAMED[2:])) == [
        None
    ]  # not a key of ours: left aside


def test_copy_behind_the_chain_is_told_of_its_own_head(guard):
    cosign(guard)
    folder = published(guard, "--content")
    guard.act(1)
    guard.anchor.flush(60)
    found = audited(guard, folder, "INDETERMINATE", *NAMED)
    assert (times(found), found["cosigned"]["size"]) == ([AT, None], 20)
    assert audited(guard, guard.path, "VERIFIED", *NAMED)["cosigned"]["detail"].startswith(
        "0 of 2 cosigned the head of 22"
    )


def test_cosigned_head_of_another_history_counts_for_nobody(guard):
    """The database's word for its head is a claim; the chain's decides."""
    cosign(guard)
    with guard.store.reader() as reader:
        saved = reader.checkpoint_at_most(20)
    lie = str(replace(parse(saved.note), root=bytes(32)))
    line = ONE.sign(lie, AT)
    guard.store.save_checkpoint(replace(saved, note=f"{lie}\n{saved.note.splitlines()[4]}\n{line}\n"))
    found = audited(guard, guard.path, "VERIFIED", *NAMED)
    assert (times(found), "of another head" in found["cosigned"]["detail"]) == ([None, None], True)


def test_no_chain_no_head_no_cosignature(guard):
    cosign(guard)
    for log in (guard.path, prove(guard, 7)):
        found = audited(guard, log, "INDETERMINATE", *NAMED, "--rpc-url", "http://127.0.0.1:9")
        assert (times(found), found["cosigned"]["size"]) == ([None, None], 0)


def test_report_tells_of_the_witnesses_too(guard, tmp_path):
    cosign(guard)
    for name in ("r.json", "r.md", "r.html"):
        guard.town.cli("audit", AGENT, "--log", guard.path, "--report", tmp_path / name, *NAMED)
    made = json.loads((tmp_path / "r.json").read_text())
    assert (times(made), made["cosigned"]["count"]) == ([AT, None], 1)
    for name in ("r.md", "r.html"):
        told = (tmp_path / name).read_text()
        assert "1 of 2 cosigned the head of 20 entries" in told
        assert "not cosigned by it" in told


def test_log_that_has_no_checkpoint_of_the_proven_head_says_so(guard):
    guard.forge("DELETE FROM checkpoint WHERE size = 20")
    found = audited(guard, guard.path, "VERIFIED", *NAMED)
    assert (
        found["cosigned"]["detail"]
        == "none could be counted: the log has no checkpoint of the 20 entries that were proven"
    )


def test_one_witness_under_two_names_is_no_second_one(guard):
    again = Cosigner("witness.example/w9", Ed25519PrivateKey.from_private_bytes(bytes([7] * 32)))
    command = ("audit", AGENT, "--log", guard.path, *NAMED, "--witness", str(again.verifier))
    assert "names one key twice" in guard.town.cli.fails("AG101", 2, *command)["message"]
