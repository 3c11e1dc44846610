"""Proofs and copies of a real log against a real chain, by the commands: made, handed on, verified, forged."""

import itertools
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard import canonical
from agent_guard.checkpoint import Cosigner, Verifier, open_checkpoint, parse_note
from agent_guard.entry import Entry
from agent_guard.log.bundle import to_bundle
from agent_guard.log.reading import prove as make_proof
from agent_guard.merkle import leaf_hash
from agent_guard.store import SqliteReader
from agent_guard.tlog import TlogProof, decode_evidence, parse_proof
from agent_guard.typed_data import agent_id
from tests.chain.guard import AGENT, Guard
from tests.ports import free_port

pytestmark = pytest.mark.chain
CODES = {"VERIFIED": 0, "TAMPERED": 5, "INDETERMINATE": 6}
NUMBERS = itertools.count()
NO_NODE = {"ETH_RPC_URL": "http://127.0.0.1:9"}


@pytest.fixture
def guard(town: Any) -> Iterator[Guard]:
    """An agent that worked, and whose log of 20 entries is anchored in two steps."""
    town.register(AGENT)
    made = Guard(town, town.folder / "log.sqlite")
    made.act(5)
    made.anchor.flush(60)
    made.act(5)
    made.anchor.flush(60)
    yield made
    made.close()


def prove(guard: Guard, seq: int, *options: str, log: Path | None = None) -> Path:
    path = guard.town.folder / f"{seq}{''.join(options)}.tlog-proof"
    guard.town.cli("log", "prove", AGENT, seq, "--log", log or guard.path, "-o", path, *options)
    return path


def verify(guard: Guard, path: Path, result: str, *options: str, agent: str = AGENT, **environ: str) -> Any:
    return guard.town.cli(
        "log", "verify", agent, path, "--json", *options, expect=CODES[result], **environ
    ).json


def rewritten(path: Path, change: Callable[[TlogProof], TlogProof]) -> Path:
    forged = path.with_name(f"{next(NUMBERS)}.forged")
    forged.write_text(str(change(parse_proof(path.read_text()))))
    return forged


def with_evidence(path: Path, **changes: Any) -> Path:
    """The bundle with other evidence, in its canonical form."""

    def change(proof: TlogProof) -> TlogProof:
        evidence = decode_evidence(proof.extra or b"").model_copy(update=changes)
        return TlogProof(proof.index, proof.hashes, proof.note, evidence.encode())

    return rewritten(path, change)


# ----------------------------------------------------------------------------------------------------- one entry


@pytest.mark.parametrize("seq", [0, 7, 19])
def test_proof_of_an_entry_is_verified_by_whoever_asks_a_node(guard, seq):
    found = verify(guard, prove(guard, seq), "VERIFIED")
    assert (found["seq"], found["size"]) == (seq, 20)
    assert Entry.decode(found["entry"].encode()).index == seq
    assert found["content"] == {"n": seq % 10 // 2}


def test_proof_is_in_the_format_of_others_and_its_checkpoint_signed_by_the_logs_key(guard):
    proof = parse_proof(prove(guard, 3).read_text())
    verifier = Verifier.parse(guard.vkey)
    checkpoint = open_checkpoint(proof.note, [verifier], verifier.name)
    assert checkpoint.size == 20
    evidence = decode_evidence(proof.extra)
    assert proof.verify(leaf_hash(evidence.entry.encode()), [verifier], verifier.name) == checkpoint


def test_proof_made_of_an_earlier_head_stays_true_when_the_log_has_grown(guard):
    path = prove(guard, 3)
    guard.act(3)
    guard.anchor.flush(60)
    assert verify(guard, path, "VERIFIED")["size"] == 20


def test_full_proof_needs_a_blocks_hash_and_no_node(guard):
    path = guard.town.folder / "full.tlog-proof"
    told = guard.town.cli("log", "prove", AGENT, 7, "--log", guard.path, "-o", path, "--full", "--json").json
    block_hash = told["rows"][0]["block"]["hash"]
    assert verify(guard, path, "VERIFIED", "--block-hash", block_hash, **NO_NODE)["seq"] == 7
    guard.act(3)
    guard.anchor.flush(60)
    assert verify(guard, path, "VERIFIED", "--block-hash", block_hash, **NO_NODE)["seq"] == 7
    later = "0x" + guard.town.contract.endpoint.block().hash.hex()
    assert "shows nothing" in verify(guard, path, "INDETERMINATE", "--block-hash", later, **NO_NODE)["detail"]


def test_state_of_another_head_shows_nothing_of_this_one(guard):
    """Whoever hands a proof on may put a later block's state in: what was on chain before, that does not tell."""
    earlier, later = prove(guard, 7), guard.town.folder / "later.tlog-proof"
    guard.act(3)
    guard.anchor.flush(60)
    told = guard.town.cli("log", "prove", AGENT, 7, "--log", guard.path, "-o", later, "--full", "--json").json
    state = decode_evidence(parse_proof(later.read_text()).extra).state
    spliced = with_evidence(earlier, state=state)
    options = ("--block-hash", told["rows"][0]["block"]["hash"])
    detail = verify(guard, spliced, "INDETERMINATE", *options, **NO_NODE)["detail"]
    assert "at that block the head had 26 entries, and the proof is of one of 20" in detail
    assert verify(guard, spliced, "VERIFIED")["seq"] == 7


def test_proof_without_the_chains_own_says_so_where_no_node_answers(guard):
    path = prove(guard, 7)
    assert "not known" in verify(guard, path, "INDETERMINATE", **NO_NODE)["detail"]
    some = "0x" + "11" * 32
    assert "--full" in verify(guard, path, "INDETERMINATE", "--block-hash", some, **NO_NODE)["detail"]


def test_changed_entry_index_hash_content_and_signature_are_tampering(guard):
    path = prove(guard, 7)
    evidence = decode_evidence(parse_proof(path.read_text()).extra)
    other = prove(guard, 8)
    forgeries = [
        with_evidence(path, entry=evidence.entry.replace('"time":1', '"time":2')),
        with_evidence(path, entry=decode_evidence(parse_proof(other.read_text()).extra).entry),
        with_evidence(path, content=evidence.content.model_copy(update={"body": '{"n":4}'})),
        with_evidence(path, content=evidence.content.model_copy(update={"salt": "0x" + "00" * 32})),
        with_evidence(path, signature="0x" + "11" * 65),
    ]
    for forged in forgeries:
        assert verify(guard, forged, "TAMPERED")
    forged = rewritten(path, lambda proof: TlogProof(8, proof.hashes, proof.note, proof.extra))
    assert "number 7, and number 8" in verify(guard, forged, "TAMPERED")["detail"]
    forged = rewritten(path, lambda proof: TlogProof(7, proof.hashes[1:], proof.note, proof.extra))
    assert "not under" in verify(guard, forged, "TAMPERED")["detail"]


def test_head_that_never_was_on_chain_is_tampering_however_well_it_is_signed(guard):
    """The operator writes a second log, as long as the first, and proves an entry of it."""
    guard.close()
    other = Guard(guard.town, guard.path.with_name("other.sqlite"))
    other.act(5)
    other.recorder.close()
    head = other.recorder.head()
    other.anchor._frontier.extend(other.store.reader().leaves(0, head.size))
    other.anchor._keep(head, "0x")
    other.store.close()
    with pytest.raises(AssertionError, match="AG542"):
        prove(guard, 3, log=other.path)
    forged = guard.town.folder / "forged.tlog-proof"
    with SqliteReader(other.path) as reader:
        forged.write_text(to_bundle(make_proof(reader, 3)))
    assert "on chain" in verify(guard, forged, "TAMPERED")["detail"]


def test_entry_of_another_agent_council_or_operator_is_not_what_was_asked(guard, tmp_path):
    path = prove(guard, 7)
    assert "another agent" in verify(guard, path, "INDETERMINATE", agent="indexer")["detail"]
    origin = parse_proof(path.read_text()).checkpoint.origin
    stranger = guard.town.address("signer1").lower()
    for old, new, said in (
        (guard.town.address("operator").lower(), stranger, "never guarded this agent"),
        (guard.town.contract.address.lower(), stranger, "names council"),
    ):
        forged = tmp_path / f"{said[:5]}.tlog-proof"
        forged.write_text(
            with_evidence(path, signature=None).read_text().replace(origin, origin.replace(old, new))
        )
        assert said in verify(guard, forged, "INDETERMINATE")["detail"]


def test_entry_that_a_former_operator_wrote_after_he_was_replaced_is_not_vouched_for(guard):
    town, before = guard.town, prove(guard, 19)
    param = bytes(12) + bytes.fromhex(town.address("signer3")[2:])
    town.vote("SET_OPERATOR", AGENT, "signer1", "signer2", param=param)
    town.pass_time(5)
    change = town.contract.contract.functions.finishOperator(agent_id(AGENT), param)
    change.transact({"from": town.address("signer1"), "gas": 500_000})
    guard.act(1)  # nobody keeps him from going on with his own log, nor from anchoring it
    guard.anchor.flush(60)
    assert verify(guard, before, "VERIFIED")["seq"] == 19
    found = verify(guard, prove(guard, 20), "INDETERMINATE")
    assert "was replaced as this agent's guard when 20 entries" in found["detail"]


def test_witnesses_that_are_named_are_told_whether_they_cosigned(guard, tmp_path):
    cosigner = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([7] * 32)))
    other = Cosigner("witness.example/w2", Ed25519PrivateKey.from_private_bytes(bytes([8] * 32)))
    keys = ("--witness", str(cosigner.verifier), "--witness", str(other.verifier))
    path = prove(guard, 7)
    proof = parse_proof(path.read_text())
    line = cosigner.sign(parse_note(proof.note).text, 1_800_000_000)
    signed = rewritten(path, lambda proof: TlogProof(7, proof.hashes, f"{proof.note}{line}\n", proof.extra))
    assert verify(guard, path, "VERIFIED", *keys)["witnesses"] == [
        {"name": "witness.example/w1", "cosigned_at": None},
        {"name": "witness.example/w2", "cosigned_at": None},
    ]
    assert verify(guard, signed, "VERIFIED", *keys)["witnesses"][0]["cosigned_at"] == 1_800_000_000
    forged = tmp_path / "forged"
    wrong = cosigner.sign(parse_note(proof.note).text.replace("\n20\n", "\n21\n"), 1_800_000_000)
    forged.write_text(str(TlogProof(7, proof.hashes, f"{proof.note}{wrong}\n", proof.extra)))
    assert "AG544" in guard.town.cli("log", "verify", AGENT, forged, *keys, expect=1).stderr
    assert verify(guard, forged, "VERIFIED")["witnesses"] == []  # whom nobody named nobody asks
    assert (
        "no witness's key" in guard.town.cli("log", "verify", AGENT, path, "--witness", "x", expect=2).stderr
    )


def test_erased_content_leaves_the_proof_standing(guard):
    path = with_evidence(prove(guard, 7), content=None)
    found = verify(guard, path, "VERIFIED")
    assert found["content"] is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: "", "begins with the line"),
        (lambda text: text.replace("extra ", "extras "), "names the index"),
        (
            lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("extra ")),
            "carries no entry",
        ),
        (lambda text: text.replace("agent-guard/31337", "example/31337"), "not that of a guard's log"),
        (lambda text: text + "x" * (9 << 20), "longer than any proof"),
    ],
)
def test_file_that_is_no_proof_is_refused(guard, tmp_path, spoil, said):
    path = tmp_path / "spoilt"
    path.write_text(spoil(prove(guard, 7).read_text()))
    outcome = guard.town.cli("log", "verify", AGENT, path, expect=1)
    assert "AG544" in outcome.stderr
    assert said in outcome.stderr


def test_existing_file_is_not_replaced_and_a_block_hash_is_one(guard):
    path = prove(guard, 7)
    before = path.read_bytes()
    assert (
        "exists" in guard.town.cli("log", "prove", AGENT, 7, "--log", guard.path, "-o", path, expect=2).stderr
    )
    assert path.read_bytes() == before
    assert (
        "no block's hash"
        in guard.town.cli("log", "verify", AGENT, path, "--block-hash", "0x12", expect=2).stderr
    )
    assert (
        "Name it" in guard.town.cli("log", "prove", AGENT, 7, "--log", guard.path, "--full", expect=2).stderr
    )


# --------------------------------------------------------------------------------------------------- a whole copy


def published(guard: Guard, *options: str) -> Path:
    folder = guard.town.folder / "site"
    guard.town.cli("log", "export", AGENT, "--log", guard.path, "--tiles", folder, *options)
    return folder


def audit(guard: Guard, log: Path, result: str) -> Any:
    return guard.town.cli("audit", AGENT, "--log", log, "--json", expect=CODES[result]).json


def test_published_log_is_audited_as_the_guards_own(guard):
    found = audit(guard, published(guard, "--content"), "VERIFIED")
    assert (found["entries"], found["anchored"]) == (20, 20)


def test_published_log_without_contents_leaves_only_openness_open(guard):
    found = audit(guard, published(guard), "INDETERMINATE")
    assert [found[aspect]["result"] for aspect in ("integrity", "completeness", "obedience", "openness")] == [
        "VERIFIED",
        "VERIFIED",
        "VERIFIED",
        "INDETERMINATE",
    ]


def test_older_copy_is_not_all_there_is_and_can_be_brought_up_to_date(guard):
    folder = published(guard, "--content")
    guard.act(3)
    guard.anchor.flush(60)
    assert "get a newer one" in audit(guard, folder, "INDETERMINATE")["completeness"]["detail"]
    published(guard, "--content")
    assert audit(guard, folder, "VERIFIED")["entries"] == 26


def test_copy_with_one_changed_bit_is_tampered_with(guard):
    folder = published(guard, "--content")
    bundle = folder / "tile/entries/000.p/20"
    data = bundle.read_bytes()
    at = data.index(b'"time":') + 9
    bundle.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert audit(guard, folder, "TAMPERED")["first_bad"]["index"] == 0


def test_entries_are_listed_shown_and_proven_from_a_copy(guard):
    folder = published(guard, "--content")
    rows = guard.town.cli("log", "list", AGENT, "--log", folder, "--json").json["rows"]
    assert rows == guard.town.cli("log", "list", AGENT, "--log", guard.path, "--json").json["rows"]
    assert len(rows) == 20
    guard.act(3)
    guard.anchor.flush(60)
    assert verify(guard, prove(guard, 7, log=folder), "VERIFIED")["size"] == 20


def test_folder_is_no_log_and_a_dead_site_is_said(guard, tmp_path):
    assert "AG510" in guard.town.cli("audit", AGENT, "--log", tmp_path, expect=1).stderr
    assert "AG543" in guard.town.cli("audit", AGENT, "--log", "http://127.0.0.1:9", expect=1).stderr


def test_export_says_where_to_once_and_writes_lines_to_a_new_file(guard, tmp_path):
    lines = tmp_path / "log.jsonl"
    guard.town.cli("log", "export", AGENT, "--log", guard.path, "-o", lines)
    exported = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["seq"] for row in exported] == list(range(20))
    assert canonical.encode(exported[0]["content"]) == b'{"n":0}'
    for options in ((), ("-o", tmp_path / "x", "--tiles", tmp_path / "y")):
        assert (
            "AG101" in guard.town.cli("log", "export", AGENT, "--log", guard.path, *options, expect=2).stderr
        )
    assert (
        "exists" in guard.town.cli("log", "export", AGENT, "--log", guard.path, "-o", lines, expect=2).stderr
    )


# ----------------------------------------------------------------------------------------------------- over HTTP


@pytest.fixture
def serving(guard: Guard) -> Iterator[Callable[..., tuple[Any, str]]]:
    """Serves a folder in a process of its own; its lines, and its address."""
    processes = []

    def start(*options: object) -> tuple[Any, str]:
        port = free_port()
        process = guard.town.cli.start("serve", "--listen", f"127.0.0.1:{port}", "--json", *options)
        processes.append(process)
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def steps(process: Any, *events: str) -> list[Any]:
    """Reads lines until the last of these events came."""
    found: list[Any] = []
    for name in events:
        while not found or found[-1]["event"] != name:
            found.append(json.loads(process.stdout.readline()))
    return found


def test_served_log_is_audited_proven_and_followed_by_its_address(guard, serving):
    folder = guard.town.folder / "site"
    process, url = serving(
        "--tiles", folder, "--publish", AGENT, "--log", guard.path, "--content", "--every", "0.5"
    )
    steps(process, "published", "serving")
    assert audit(guard, url, "VERIFIED")["entries"] == 20
    assert verify(guard, prove(guard, 7, log=url), "VERIFIED")["size"] == 20
    guard.act(3)
    guard.anchor.flush(60)
    assert steps(process, "published")[-1]["size"] == 26
    assert audit(guard, url + "/", "VERIFIED")["entries"] == 26


def test_log_that_turned_on_its_published_past_is_told_and_not_published(guard, serving):
    folder = published(guard, "--content")
    note = (folder / "checkpoint").read_text()
    guard.forge("DELETE FROM checkpoint WHERE size = 20", "DELETE FROM entry WHERE leaf_index >= 15")
    process, url = serving("--tiles", folder, "--publish", AGENT, "--log", guard.path)
    told = steps(process, "trouble", "serving")
    assert told[0]["error"]["code"] == "AG545"
    assert audit(guard, url, "VERIFIED")["entries"] == 20  # the copy has what the guard no longer has
    assert (folder / "checkpoint").read_text() == note


def test_folder_in_which_no_log_lies_is_not_served(guard, tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        assert "AG510" in guard.town.cli("serve", "--tiles", folder, expect=1).stderr


def test_port_in_use_and_an_address_that_is_none_are_said(guard, serving, tmp_path):
    folder = published(guard)
    process, url = serving("--tiles", folder)
    steps(process, "serving")
    taken = guard.town.cli("serve", "--tiles", folder, "--listen", url.removeprefix("http://"), expect=1)
    assert "AG616" in taken.stderr
    for address in ("8720", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:x"):
        assert "HOST:PORT" in guard.town.cli("serve", "--tiles", folder, "--listen", address, expect=2).stderr


# ----------------------------------------------------------------------------------------- an audit of one entry


def test_audit_of_a_proof_says_what_one_entry_can_show(guard):
    found = audit(guard, prove(guard, 7), "INDETERMINATE")
    assert found["integrity"]["result"] == "VERIFIED"
    assert found["openness"]["result"] == "VERIFIED"
    assert {found["completeness"]["result"], found["obedience"]["result"]} == {"INDETERMINATE"}
    assert found["entries"] == 1
    forged = with_evidence(prove(guard, 8), signature="0x" + "11" * 65)
    assert audit(guard, forged, "TAMPERED")["first_bad"]["index"] == 8
