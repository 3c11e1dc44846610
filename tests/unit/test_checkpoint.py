import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hexbytes import HexBytes
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_guard.checkpoint import (
    Checkpoint,
    CosignatureVerifier,
    Note,
    NoteError,
    Signature,
    Signer,
    Verifier,
    log_origin,
    open_checkpoint,
    open_note,
    parse,
    parse_note,
    parse_signatures,
    sign_note,
)
from agent_guard.checkpoint.note import check_ed25519

pytestmark = pytest.mark.unit

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors" / "c2sp.json").read_text())
PETER, SUMDB = PUBLISHED["note"], PUBLISHED["sumdb"]
PETERS_NOTE = f"{PETER['text']}\n{PETER['signature']}\n"

ROOT = bytes(range(32))
ROOT64 = base64.b64encode(ROOT).decode()
CHECKPOINT = Checkpoint("example.com/log", 1234, ROOT)
TEXT = f"example.com/log\n1234\n{ROOT64}\n"


def signer(number: int, name: str = "example.com/log") -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))


OURS, OTHER, STRANGER = signer(1), signer(2, "witness.example/w1"), signer(3)
NOTE = sign_note(TEXT, [OURS])
LINE = str(OURS.sign(TEXT))

lines = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=0x20), min_size=1, max_size=40)
checkpoints = st.builds(
    Checkpoint,
    lines,
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=3).map(tuple),
)

# ------------------------------------------------------------------------------------------------ published


def test_gos_reference_key_signs_as_it_does_there():
    seed = base64.b64decode(PETER["skey"].split("+", 4)[4])[1:]
    peter = Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed))
    assert str(peter.verifier) == PETER["vkey"]
    assert sign_note(PETER["text"], [peter]) == PETERS_NOTE


def test_gos_reference_note_opens():
    note = open_note(PETERS_NOTE, [Verifier.parse(PETER["vkey"])])
    assert note.text == PETER["text"]
    assert str(note) == PETERS_NOTE


def test_a_checkpoint_of_the_go_checksum_database_opens():
    opened = open_checkpoint(SUMDB["note"], [Verifier.parse(SUMDB["vkey"])], SUMDB["origin"])
    assert (opened.origin, opened.size) == (SUMDB["origin"], SUMDB["size"])
    assert SUMDB["note"].startswith(str(opened) + "\n")


def test_the_specifications_examples_have_the_form():
    poem = parse_note(PUBLISHED["specification"]["signed-note"])
    assert poem.text.endswith("\n\ned è subito sera.\n")
    assert [found.name for found in poem.signatures] == ["quasimodo.example/salvatore"]
    sofa = parse(PUBLISHED["specification"]["tlog-checkpoint"])
    assert (sofa.origin, sofa.size) == ("example.com/behind-the-sofa", 20852163)


# ---------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_is_three_lines():
    assert str(CHECKPOINT) == TEXT
    assert parse(TEXT) == CHECKPOINT


@given(checkpoints)
def test_what_is_written_parses_to_the_same(checkpoint):
    assert parse(str(checkpoint)) == checkpoint


@given(checkpoints, st.data())
def test_a_changed_character_is_refused_or_is_another_checkpoint(checkpoint, data):
    text = str(checkpoint)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters(codec="utf-8")) + text[at + 1 :]
    try:
        other = parse(changed)
    except NoteError:
        return
    assert (other == checkpoint) == (changed == text)


def test_extension_lines_are_kept():
    assert parse(TEXT + "more\nand more\n") == replace(CHECKPOINT, extensions=("more", "and more"))


def test_as_many_extension_lines_as_fit_are_kept():
    assert parse(TEXT + "JOE\n" * 1000).extensions == ("JOE",) * 1000
    rest = 65_536 - len(TEXT)
    assert len(parse(TEXT + "x" * (rest - 1) + "\n").extensions[0]) == rest - 1
    with pytest.raises(NoteError, match="at most 65536 characters"):
        parse(TEXT + "x" * rest + "\n")


@pytest.mark.parametrize("odd", [None, 7, TEXT.encode(), bytearray(TEXT.encode()), [TEXT], NOTE.encode()])
def test_what_is_no_text_is_named_as_what_it_is(odd):
    for read in (parse, parse_note, parse_signatures):
        with pytest.raises(NoteError, match=f"text, not {type(odd).__name__}"):
            read(odd)


@pytest.mark.parametrize("origin", ["a", "a" * 255, "\u00e9" * 127 + "a", "example log+origin"])
def test_origins_are_any_text_that_a_cosignature_has_room_for(origin):
    assert parse(str(replace(CHECKPOINT, origin=origin))).origin == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        TEXT[:-1],
        TEXT + "\n",
        "\n" + TEXT,
        TEXT + "\nextension\n",
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("example.com/log", ""),
        TEXT.replace("example.com/log", "a\tb"),
        TEXT.replace("example.com/log", "x" * 256),
        TEXT.replace("example.com/log", "\u00e9" * 128),
        TEXT.replace("example.com/log", "a\x00b"),
        TEXT.replace("1234", ""),
        TEXT.replace("1234", "01234"),
        TEXT.replace("1234", "00"),
        TEXT.replace("1234", "+1234"),
        TEXT.replace("1234", "-1"),
        TEXT.replace("1234", " 1234"),
        TEXT.replace("1234", "1234 "),
        TEXT.replace("1234", "1_234"),
        TEXT.replace("1234", "0x12"),
        TEXT.replace("1234", "1e3"),
        TEXT.replace("1234", "१२३४"),
        TEXT.replace("1234", "1²"),
        TEXT.replace("1234", "1२"),
        TEXT + "extension without its newline",
        TEXT.replace("1234", str(2**63)),
        TEXT.replace("1234", "9" * 5000),
        TEXT.replace(ROOT64, ""),
        TEXT.replace(ROOT64, ROOT64[:-1]),
        TEXT.replace(ROOT64, ROOT64 + "="),
        TEXT.replace(ROOT64, ROOT64 + " "),
        TEXT.replace(ROOT64, " " + ROOT64),
        TEXT.replace(ROOT64, ROOT64[:4] + "\r" + ROOT64[4:]),
        TEXT.replace(ROOT64, ROOT.hex()),
        TEXT.replace(ROOT64, base64.b64encode(ROOT[:31]).decode()),
        TEXT.replace(ROOT64, base64.b64encode(ROOT + b"\x00").decode()),
        TEXT.replace(ROOT64, ROOT64[:-2] + "9="),
        TEXT.replace(ROOT64, base64.urlsafe_b64encode(b"\xff" * 32).decode()),
        f"example.com/log\n1234\n{ROOT64}",
        "example.com/log\n1234\n",
        TEXT + "x" * 65_536 + "\n",
        TEXT + "x\n" * 32_768,
        TEXT.replace("example.com/log", "\ud800"),
        "x" * 1_000_000,
    ],
)
def test_another_spelling_of_a_checkpoint_is_refused(text):
    assert text != TEXT
    with pytest.raises(NoteError):
        parse(text)


def test_the_loose_bits_case_above_is_the_same_root_for_a_lax_reader():
    assert base64.b64decode(ROOT64[:-2] + "9=") == ROOT


@pytest.mark.parametrize(
    "change",
    [
        {"origin": ""},
        {"origin": "two\nlines"},
        {"origin": "bell\x07"},
        {"origin": "x" * 256},
        {"origin": "\u00e9" * 128},
        {"size": -1},
        {"size": 2**63},
        {"size": True},
        {"size": 1.0},
        {"size": "1"},
        {"root": ROOT[:31]},
        {"root": ROOT + b"\x00"},
        {"root": ROOT.hex()},
        {"extensions": ("",)},
        {"extensions": ("a\nb",)},
        {"extensions": ("a",) * 32_768},
        {"extensions": (b"a",)},
        {"extensions": "ab"},
        {"extensions": ["a"]},
        {"root": bytearray(ROOT)},
        {"origin": b"example.com/log"},
        {"origin": None},
    ],
)
def test_a_checkpoint_that_could_not_be_written_cannot_be_made(change):
    with pytest.raises(NoteError):
        replace(CHECKPOINT, **change)


@pytest.mark.parametrize(
    ("root", "why"),
    [(HexBytes(ROOT), "is bytes, not HexBytes"), (ROOT.hex(), "not str"), (ROOT[1:], "32 bytes, not 31")],
)
def test_a_root_that_is_none_is_refused_with_what_it_is(root, why):
    with pytest.raises(NoteError, match=why):
        replace(CHECKPOINT, root=root)


def test_parse_reads_through_a_signed_note_without_vouching_for_it():
    assert parse(NOTE) == CHECKPOINT
    with pytest.raises(NoteError):
        parse(NOTE[:-5])


def test_our_origin_names_chain_council_and_operator():
    council, operator = "0x" + "Ab" * 20, "0x" + "cD" * 20
    origin = f"agent-guard/31337/0x{'ab' * 20}/0x{'cd' * 20}"
    assert log_origin(31337, council, operator) == origin
    assert str(signer(1, origin).verifier).startswith(origin + "+")


@pytest.mark.parametrize(
    ("chain_id", "council"),
    [(-1, "0x" + "ab" * 20), (True, "0x" + "ab" * 20), (1, "ab" * 20), (1, "0x" + "ab" * 21)],
)
def test_an_origin_needs_a_chain_and_addresses(chain_id, council):
    with pytest.raises(NoteError):
        log_origin(chain_id, council, "0x" + "cd" * 20)
    with pytest.raises(NoteError):
        log_origin(chain_id, "0x" + "cd" * 20, council)


# ---------------------------------------------------------------------------------------------------- notes


def test_a_signed_checkpoint_opens_for_its_key_and_log():
    assert open_checkpoint(NOTE, [OURS.verifier], "example.com/log") == CHECKPOINT
    with pytest.raises(NoteError, match="another log"):
        open_checkpoint(NOTE, [OURS.verifier], "example.com/other")


def test_a_note_of_strangers_alone_is_refused():
    for verifiers in ([], [STRANGER.verifier], [OTHER.verifier]):
        with pytest.raises(NoteError, match="not signed by any"):
            open_note(NOTE, verifiers)


def test_unknown_signatures_are_left_aside_whatever_they_hold():
    same_name = Signature(OURS.verifier.name, b"\x00" * 4, b"noise")
    same_id = Signature("someone.else", OURS.verifier.key_id, b"noise")
    post_quantum = Signature("pq.example", b"\x01\x02\x03\x04", bytes(4627))
    note = str(Note(TEXT, (same_name, same_id, post_quantum, OURS.sign(TEXT), STRANGER.sign(TEXT))))
    opened = open_note(note, [OURS.verifier, OTHER.verifier])
    assert opened.signatures == (OURS.sign(TEXT),)


def test_a_known_keys_bad_signature_refuses_the_whole_note():
    bad = replace(OURS.sign(TEXT), value=bytes(64))
    short = replace(OURS.sign(TEXT), value=b"short")
    other_text = OURS.sign("another text\n")
    for wrong in (bad, short, other_text):
        for order in ([OTHER.sign(TEXT), wrong], [wrong, OTHER.sign(TEXT)], [OURS.sign(TEXT), wrong]):
            with pytest.raises(NoteError, match="does not verify"):
                open_note(str(Note(TEXT, tuple(order))), [OURS.verifier, OTHER.verifier])


@settings(max_examples=200)
@given(st.data())
def test_a_changed_character_of_a_note_is_refused_or_leaves_the_text_alone(data):
    at = data.draw(st.integers(0, len(NOTE) - 1))
    changed = NOTE[:at] + data.draw(st.characters(codec="utf-8")) + NOTE[at + 1 :]
    try:
        opened = open_note(changed, [OURS.verifier])
    except NoteError:
        return
    assert opened.text == TEXT


def test_a_signature_given_twice_counts_once():
    note = str(Note(TEXT, (OURS.sign(TEXT), OURS.sign(TEXT))))
    assert open_note(note, [OURS.verifier]).signatures == (OURS.sign(TEXT),)


@pytest.mark.parametrize("count", [1, 16, 100])
def test_as_many_signatures_as_the_specification_asks_for_open(count):
    signers = [signer(number, f"witness.example/{number}") for number in range(1, count + 1)]
    opened = open_note(sign_note(TEXT, signers), [one.verifier for one in signers])
    assert len(opened.signatures) == count


def test_a_note_without_bounds_is_refused_before_it_is_verified():
    line = str(OURS.sign(TEXT))
    with pytest.raises(NoteError, match="100 signatures"):
        open_note(TEXT + "\n" + f"{line}\n" * 101, [OURS.verifier])
    with pytest.raises(NoteError, match="characters"):
        open_note("x" * 1_000_001 + NOTE, [OURS.verifier])


def test_the_text_reaches_to_the_last_empty_line():
    text = "one\n\n— not a signature\n\n\ntwo\n"
    assert open_note(sign_note(text, [OURS]), [OURS.verifier]).text == text


def test_two_keys_that_share_name_and_id_are_not_told_apart_by_guessing():
    class Colliding(Verifier):
        key_id = OURS.verifier.key_id

    with pytest.raises(NoteError, match="share"):
        open_note(NOTE, [OURS.verifier, Colliding(OURS.verifier.name, OTHER.verifier.public_key)])


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE + "trailing\n",
        NOTE + LINE,
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace("— ", "—"),
        NOTE.replace("— ", "—  "),
        NOTE.replace("— ", "–\u00a0"),
        NOTE.replace("\n", "\r\n"),
        TEXT + "\n" + LINE + " \n",
        TEXT + "\n" + LINE + "=\n",
        TEXT + "\n" + LINE[:-1] + "\n",
        TEXT + "\n— example.com/log\n",
        TEXT + "\n— example.com/log \n",
        TEXT + "\n— example.com/log AAAA\n",
        TEXT + "\n— example.com/log AAAAAA==\n",
        TEXT + "\n— a+b AAAAAAA=\n",
        TEXT + "\n— a\u2003b AAAAAAA=\n",
        TEXT + "\n—  AAAAAAA=\n",
        NOTE.replace("1234", "12\x0034"),
        NOTE.replace("1234", "\ud800"),
    ],
)
def test_text_that_is_no_note_is_refused(note):
    with pytest.raises(NoteError):
        parse_note(note)
    with pytest.raises(NoteError):
        open_note(note, [OURS.verifier])


def test_what_could_not_be_read_back_is_not_signed():
    for text in ("", "no newline", "tab\there\n", "\ud800\n"):
        with pytest.raises(NoteError):
            sign_note(text, [OURS])
    with pytest.raises(NoteError):
        sign_note(TEXT, [])


# ----------------------------------------------------------------------------------------------------- keys


def test_a_vkey_reads_back():
    assert Verifier.parse(str(OURS.verifier)) == OURS.verifier


def test_every_mangling_of_a_vkey_is_refused():
    vkey = PETER["vkey"]
    pieces = [vkey[i:j] for i in range(len(vkey)) for j in range(i + 1, len(vkey) + 1) if j - i != len(vkey)]
    bumped = [vkey[:i] + chr(ord(vkey[i]) + 1) + vkey[i + 1 :] for i in range(len(vkey))]
    cosigner = "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    for mangled in [*pieces, *bumped, vkey.upper(), vkey + "=", vkey + "\n", cosigner, "", "++"]:
        with pytest.raises(NoteError):
            Verifier.parse(mangled)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x07", "\ud800"])
def test_a_key_cannot_have_a_name_that_breaks_the_line(name):
    with pytest.raises(NoteError):
        signer(1, name)


@pytest.mark.parametrize("kind", [Verifier, CosignatureVerifier])
def test_a_key_of_small_order_for_which_anyone_can_sign_is_no_key(kind):
    identity = bytes([1]) + bytes(31)
    anyones = identity + bytes(32)  # R the identity, S 0: RFC 8032's equation holds for every message
    check_ed25519("nobody", identity, anyones, b"whatever anyone likes")
    for key in (identity, bytes(32), bytes(31) + b"\x80", b"\xee" + b"\xff" * 31):
        with pytest.raises(NoteError, match="small order"):
            kind("nobody", key)


def test_a_signer_does_not_show_its_key():
    assert bytes([1] * 32).hex() not in repr(OURS) + str(vars(OURS))
