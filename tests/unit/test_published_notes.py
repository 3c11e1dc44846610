"""Other people's notes, checkpoints, cosignatures, keys: suites of Go, transparency-dev, Sigsum and Torchwood."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.checkpoint import (
    Cosigner,
    Note,
    NoteError,
    Signer,
    Verifier,
    cosignatures,
    open_checkpoint,
    open_note,
    parse,
    parse_signatures,
    parse_verifier,
    sign_note,
)
from agent_guard.tlog import FormatError, parse_proof

pytestmark = pytest.mark.unit

SUITES = json.loads((Path(__file__).parents[1] / "vectors" / "notes.json").read_text())
KEYS = {name: Verifier.parse(vkey) for name, vkey in SUITES["keys"].items()}
SIGSUM, CHECKPOINTS = SUITES["sigsum"], SUITES["checkpoint"]


@pytest.mark.parametrize(
    ("note", "keys", "signers"), [pytest.param(*rest, id=name) for name, *rest in SUITES["note"]]
)
def test_gos_notes_open_for_the_same_keys(note: str, keys: list[str], signers: list[str] | None) -> None:
    verifiers = [KEYS[key] for key in keys]
    if signers is None:
        with pytest.raises(NoteError):
            open_note(note, verifiers)
    else:
        assert [found.name for found in open_note(note, verifiers).signatures] == signers


@pytest.mark.parametrize(
    ("text", "origin", "size", "root", "extensions"),
    [pytest.param(*rest, id=name) for name, *rest in CHECKPOINTS["accepted"]],
)
def test_checkpoints_of_other_suites_are_read(
    text: str, origin: str, size: int, root: str, extensions: list[str]
) -> None:
    read = parse(text)
    assert (read.origin, read.size, read.root) == (origin, size, b64decode(root))
    assert list(read.extensions) == extensions
    assert text.startswith(str(read))


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in CHECKPOINTS["refused"]])
def test_what_other_suites_refuse_is_no_checkpoint(text: str) -> None:
    with pytest.raises(NoteError):
        parse(text)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in CHECKPOINTS["refused here"]])
def test_what_a_lax_reader_takes_and_the_specification_does_not_is_refused(text: str) -> None:
    """Roots that are no SHA-256, empty lines, and a last line without its end."""
    with pytest.raises(NoteError):
        parse(text)


def test_sigsums_key_signs_its_checkpoint_as_it_does_there() -> None:
    key, note = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SIGSUM["seed"])), SIGSUM["checkpoint"]
    head = parse(note)
    signer = Signer(head.origin, key)
    assert sign_note(str(head), [signer]) == note
    assert open_checkpoint(note, [signer.verifier], head.origin) == head


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("9e69\n10\n", "9e69x\n10\n"),
        ("9e69 gJ2h", "9e69 gJ2i"),
        ("\n10\n", "\n11\n"),
        ("HA5HA", "HA5IA"),
        ("ho0n8F8ol", "ho0n8F8pl"),
    ],
    ids=["origin", "key id", "size", "hash", "signature"],
)
def test_sigsums_checkpoint_with_one_thing_changed_does_not_open(right: str, wrong: str) -> None:
    key, note = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SIGSUM["seed"])), SIGSUM["checkpoint"]
    verifier, origin = Signer(parse(note).origin, key).verifier, parse(note).origin
    assert note.count(right) == 1
    with pytest.raises(NoteError):
        open_checkpoint(note.replace(right, wrong), [verifier], origin)


def test_an_older_head_of_the_go_checksum_database_opens() -> None:
    database = SUITES["sumdb"]
    opened = open_checkpoint(database["note"], [Verifier.parse(database["vkey"])], "go.sum database tree")
    assert opened.size == 30_055_305


def test_sigsums_cosignature_is_found_among_those_of_others() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SIGSUM["seed"]))
    witness, lines, text = Cosigner(SIGSUM["witness"], key), SIGSUM["cosignatures"], SIGSUM["cosigned"]
    (found,) = cosignatures(str(Note(text, parse_signatures(lines))), [witness.verifier])
    assert found.time == SIGSUM["time"]
    assert f"{witness.sign(text, SIGSUM['time'])}\n" in lines


def test_sigsums_cosignature_that_is_too_long_is_a_wrong_one_of_a_known_key() -> None:
    """There it is passed over; the specification asks that a known key's bad signature refuses the note."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SIGSUM["seed"]))
    note = str(Note(SIGSUM["cosigned"], parse_signatures(SIGSUM["cosignatures"] + SIGSUM["too long"])))
    with pytest.raises(NoteError, match="has not 72 bytes"):
        cosignatures(note, [Cosigner(SIGSUM["witness"], key).verifier])


def test_signature_lines_of_sigsums_suite_are_judged_alike() -> None:
    for line in SUITES["signature line"]["accepted"]:
        (read,) = parse_signatures(line + "\n")
        assert str(read) == line
    for line in SUITES["signature line"]["refused"]:
        with pytest.raises(NoteError):
            parse_signatures(line + "\n")


@pytest.mark.parametrize("vkey", SUITES["vkey"]["accepted"])
def test_keys_of_other_suites_are_read(vkey: str) -> None:
    assert str(parse_verifier(vkey)) == vkey


@pytest.mark.parametrize("vkey", SUITES["vkey"]["refused"] + SUITES["vkey"]["refused here"])
def test_keys_that_are_none_or_of_another_kind_than_ed25519_are_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        parse_verifier(vkey)


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name) for name, text in SUITES["tlog-proof"]["refused"]]
)
def test_what_the_formats_suite_refuses_is_no_proof(text: str) -> None:
    """Its cases end in the word "checkpoint": with a real one in its place, what is wrong stays alone."""
    assert text.endswith("\n\ncheckpoint\n")
    with pytest.raises(FormatError):
        parse_proof(text.replace("checkpoint\n", SIGSUM["checkpoint"]))


def test_a_proof_with_nothing_wrong_is_one() -> None:
    hashes, note = [bytes(32), bytes(range(32))], SIGSUM["checkpoint"]
    middle = "".join(f"{b64encode(one).decode()}\n" for one in hashes)
    read = parse_proof(f"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 5\n{middle}\n{note}")
    assert (read.index, list(read.hashes), read.note, read.extra) == (5, hashes, note, bytes(3))
