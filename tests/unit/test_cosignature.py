"""Cosignatures and what witnesses are sent: against published ones, and against every mangling."""

import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_guard.checkpoint import (
    MAX_SUBMISSION,
    Checkpoint,
    CosignatureVerifier,
    Cosigner,
    Note,
    NoteError,
    Signature,
    Signer,
    Submission,
    Verifier,
    cosignatures,
    merge_cosignatures,
    open_checkpoint,
    open_note,
    parse,
    parse_note,
    parse_signatures,
    parse_submission,
    parse_verifier,
    sign_note,
)
from agent_guard.checkpoint.cosignature import time_of

pytestmark = pytest.mark.unit

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors" / "cosignature.json").read_text())
LIVE, SPECIFIED, RACE = PUBLISHED["live"], PUBLISHED["specification"], PUBLISHED["race"]
WITNESSES = [CosignatureVerifier.parse(vkey) for vkey in LIVE["witnesses"]]


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


TEXT = str(Checkpoint("example.com/log", 1234, bytes(range(32))))
LOG = Signer("example.com/log", key(1))
ONE, TWO, STRANGER = (Cosigner(f"witness.example/{n}", key(n)) for n in (2, 3, 4))
NOTE = sign_note(TEXT, [LOG])
BOTH = [ONE.verifier, TWO.verifier]


def line(cosigner: Cosigner, time: int = 1_700_000_000, text: str = TEXT) -> str:
    return f"{cosigner.sign(text, time)}\n"


def stamped(time: int) -> Signature:
    """A line with a time of its own in front of a signature that was made for another."""
    good = ONE.sign(TEXT, 5)
    return replace(good, value=time.to_bytes(8, "big") + good.value[8:])


# ------------------------------------------------------------------------------------------------------------ published


def test_four_public_witnesses_cosigned_a_public_logs_checkpoint() -> None:
    found = cosignatures(LIVE["note"], WITNESSES)
    assert [(one.witness, one.time) for one in found] == [(one, LIVE["time"]) for one in WITNESSES]


def test_the_logs_key_and_its_witnesses_open_the_public_checkpoint_side_by_side() -> None:
    keys = [parse_verifier(vkey) for vkey in [LIVE["log"], *LIVE["witnesses"]]]
    assert len(open_note(LIVE["note"], keys).signatures) == 5


@pytest.mark.parametrize("vkey", LIVE["witnesses"])
def test_a_public_witnesss_vkey_reads_back(vkey: str) -> None:
    assert str(CosignatureVerifier.parse(vkey)) == vkey


def test_a_public_cosignature_vouches_for_no_other_size() -> None:
    other = LIVE["note"].replace("1432088532", "1432088533")
    for witness in WITNESSES:
        with pytest.raises(NoteError, match="does not verify"):
            cosignatures(other, [witness])


def test_the_specifications_cosignature_has_its_time() -> None:
    assert time_of(parse_note(SPECIFIED["cosigned"]).signatures[1]) == SPECIFIED["time"]


def test_the_published_timestamp_is_read_where_they_read_it() -> None:
    (signature,) = parse_signatures(f"— witness {PUBLISHED['timestamp']['base64']}\n")
    assert time_of(signature) == PUBLISHED["timestamp"]["time"]


def test_the_specifications_request_and_response_have_the_form() -> None:
    request = parse_submission(SPECIFIED["request"].encode())
    assert (request.old_size, len(request.proof), request.checkpoint.size) == (20852014, 4, 20852163)
    assert str(request) == SPECIFIED["request"]
    assert [found.name for found in parse_signatures(SPECIFIED["response"])] == [
        "witness.example/w1",
        "witness.example/w1",
        "witness.example/w2",
    ]


def test_requests_of_the_reference_witness_are_signed_by_their_log() -> None:
    log = Verifier(RACE["origin"], bytes.fromhex(RACE["public_key"]))
    for name, size in {"first": 1, "to_3": 3, "to_5": 5}.items():
        request = parse_submission(RACE[name].encode())
        assert open_checkpoint(request.note, [log], RACE["origin"]).size == size


# ----------------------------------------------------------------------------------------------------------------- keys


def test_a_key_of_one_kind_is_not_read_as_the_other() -> None:
    same = Cosigner(LOG.verifier.name, key(1)).verifier
    assert same.public_key == LOG.verifier.public_key
    assert same.key_id != LOG.verifier.key_id
    with pytest.raises(NoteError, match="type 04"):
        CosignatureVerifier.parse(str(LOG.verifier))
    with pytest.raises(NoteError, match="type 01"):
        Verifier.parse(str(same))
    assert [parse_verifier(str(LOG.verifier)), parse_verifier(str(same))] == [LOG.verifier, same]


def test_every_mangling_of_a_vkey_is_refused() -> None:
    vkey = LIVE["witnesses"][2]
    pieces = [vkey[i:j] for i in range(len(vkey)) for j in range(i + 1, len(vkey) + 1) if j - i != len(vkey)]
    bumped = [vkey[:i] + chr(ord(vkey[i]) + 1) + vkey[i + 1 :] for i in range(len(vkey))]
    mldsa = f"w+00000000+{b64encode(bytes([6]) + bytes(1312)).decode()}"
    for mangled in [*pieces, *bumped, vkey.upper(), vkey + "=", vkey + "\n", mldsa, "", "++", "x" * 10**6]:
        with pytest.raises(NoteError):
            parse_verifier(mangled)


@settings(max_examples=300)
@given(
    st.text(max_size=200) | st.binary(max_size=60).map(lambda data: f"a+00000000+{b64encode(data).decode()}")
)
def test_any_text_is_a_vkey_in_its_one_spelling_or_refused(text: str) -> None:
    try:
        found = parse_verifier(text)
    except NoteError:
        return
    assert str(found) == text


def test_a_cosigner_does_not_show_its_key() -> None:
    assert bytes([2] * 32).hex() not in repr(ONE) + str(vars(ONE))


# --------------------------------------------------------------------------------------------------------- cosignatures


def test_a_cosignature_signs_its_time_and_the_whole_text() -> None:
    signature = ONE.sign(TEXT, 1_700_000_000)
    assert signature.value[:8] == (1_700_000_000).to_bytes(8, "big")
    message = b"cosignature/v1\ntime 1700000000\n" + TEXT.encode()
    key(2).public_key().verify(signature.value[8:], message)
    ONE.verifier.verify(TEXT, signature)


@given(st.integers(0, 2**63 - 1))
def test_every_time_that_the_format_holds_verifies_and_reads_back(time: int) -> None:
    found = cosignatures(NOTE + line(ONE, time), BOTH)
    assert [(one.witness, one.time) for one in found] == [(ONE.verifier, time)]


@pytest.mark.parametrize("time", [-1, 2**63, 2**64, True, 1.0])
def test_a_time_beyond_the_format_is_not_signed(time: int) -> None:
    with pytest.raises(NoteError, match="time"):
        ONE.sign(TEXT, time)


@pytest.mark.parametrize("time", [0, 4, 6, 2**63 - 1, 2**63, 2**64 - 1])
def test_another_time_than_the_signed_one_is_refused(time: int) -> None:
    with pytest.raises(NoteError):
        ONE.verifier.verify(TEXT, stamped(time))


def test_a_time_beyond_the_format_is_refused_even_if_it_was_signed() -> None:
    time = 2**63
    value = time.to_bytes(8, "big") + key(2).sign(f"cosignature/v1\ntime {time}\n{TEXT}".encode())
    with pytest.raises(NoteError, match="beyond"):
        ONE.verifier.verify(TEXT, replace(ONE.sign(TEXT, 5), value=value))


@pytest.mark.parametrize("length", [1, 8, 64, 71, 73, 2428])
def test_a_cosignature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(NoteError, match="72 bytes"):
        ONE.verifier.verify(TEXT, replace(ONE.sign(TEXT, 5), value=bytes(length)))


def test_only_checkpoints_are_cosigned() -> None:
    for text in ("", "a\n", "example.com/log\n1234\n", "example.com/log\n01\n" + TEXT.split("\n")[2] + "\n"):
        with pytest.raises(NoteError):
            ONE.sign(text, 5)


def test_extension_lines_are_cosigned_too() -> None:
    longer = TEXT + "more\n"
    ONE.verifier.verify(longer, ONE.sign(longer, 5))
    with pytest.raises(NoteError):
        ONE.verifier.verify(TEXT, ONE.sign(longer, 5))


def test_a_witnesss_word_does_not_replace_the_logs_own() -> None:
    alone = str(Note(TEXT, (ONE.sign(TEXT, 5),)))
    assert cosignatures(alone, BOTH)
    with pytest.raises(NoteError, match="not signed by any"):
        open_checkpoint(alone, [LOG.verifier], "example.com/log")


def test_a_note_without_the_named_witnesses_has_no_cosignatures_and_a_wrong_one_refuses_it() -> None:
    assert cosignatures(NOTE + line(STRANGER), BOTH) == ()
    assert cosignatures(NOTE, []) == ()
    with pytest.raises(NoteError, match="does not verify"):
        cosignatures(NOTE + line(TWO) + f"{stamped(6)}\n", BOTH)


# -------------------------------------------------------------------------------------------------------------- merging


def test_an_answers_cosignatures_stand_in_the_note_beside_the_logs_signature() -> None:
    merged = merge_cosignatures(NOTE, line(ONE), BOTH)
    merged = merge_cosignatures(merged, line(STRANGER) + line(TWO), BOTH)
    assert merged == NOTE + line(ONE) + line(TWO)
    assert open_checkpoint(merged, [LOG.verifier], "example.com/log") == parse(TEXT)


def test_a_key_stands_once_with_its_newest_time() -> None:
    merged = merge_cosignatures(NOTE, line(ONE, 7) + line(ONE, 9) + line(ONE, 9) + line(ONE, 8), BOTH)
    assert merged == NOTE + line(ONE, 9)
    assert merge_cosignatures(merged, line(ONE, 3), BOTH) == merged
    assert merge_cosignatures(merged, line(ONE, 10), BOTH) == NOTE + line(ONE, 10)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\n",
        "\n\n",
        line(ONE)[:-1],
        "\n" + line(ONE),
        line(ONE) + "\n",
        line(ONE) + "ok\n",
        line(ONE).replace("\n", "\r\n"),
        line(ONE).replace("—", "-"),
        line(STRANGER),
        f"{stamped(6)}\n",
        line(TWO) + f"{stamped(6)}\n",
        line(ONE, text=TEXT.replace("1234", "1235")),
        f"{LOG.sign(TEXT)}\n",
        f"another\n\n{line(ONE)}",
        f"{TEXT}\n{line(ONE)}",
        line(STRANGER) * 101,
        line(STRANGER) * 100 + line(ONE),
        "x" * 2_000_000,
        "\ud800\n",
    ],
)
def test_an_answer_without_good_cosignatures_alone_changes_nothing(answer: str) -> None:
    with pytest.raises(NoteError):
        merge_cosignatures(NOTE, answer, BOTH)


def test_a_note_full_of_signatures_takes_no_more() -> None:
    crowd = NOTE + "".join(line(Cosigner(f"w{n}", key(9))) for n in range(99))
    with pytest.raises(NoteError, match="at most 100"):
        merge_cosignatures(crowd, line(ONE), BOTH)


@settings(max_examples=200)
@given(st.data())
def test_a_changed_character_of_an_answer_is_refused_or_leaves_a_note_that_opens(data: st.DataObject) -> None:
    answer = line(ONE) + line(TWO)
    at = data.draw(st.integers(0, len(answer) - 1))
    changed = answer[:at] + data.draw(st.characters(codec="utf-8")) + answer[at + 1 :]
    try:
        merged = merge_cosignatures(NOTE, changed, BOTH)
    except NoteError:
        return
    assert merged.startswith(NOTE)
    assert len(open_note(merged, [LOG.verifier, *BOTH]).signatures) >= 2


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_any_other_text_is_refused_as_an_answer(answer: str) -> None:
    with pytest.raises(NoteError):
        merge_cosignatures(NOTE, answer, BOTH)


# ----------------------------------------------------------------------------------------------------------- submission

HASH = b64encode(bytes(range(32))).decode()
REQUEST = f"old 5\n{HASH}\n\n{NOTE}"


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_submission_reads_back(old: int, proof: list[bytes]) -> None:
    made = Submission(old, tuple(proof), NOTE)
    assert parse_submission(str(made).encode()) == made


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 5",
        b"old 5\n\n",
        NOTE.encode(),
        REQUEST[:-1].encode(),
        REQUEST.replace("old 5", "old 05").encode(),
        REQUEST.replace("old 5", "old +5").encode(),
        REQUEST.replace("old 5", "old -5").encode(),
        REQUEST.replace("old 5", "old  5").encode(),
        REQUEST.replace("old 5", "old 5 ").encode(),
        REQUEST.replace("old 5", " old 5").encode(),
        REQUEST.replace("old 5", "OLD 5").encode(),
        REQUEST.replace("old 5", "old ५").encode(),
        REQUEST.replace("old 5", "old ").encode(),
        REQUEST.replace("old 5", "old 5\nold 5").encode(),
        REQUEST.replace("old 5", f"old {2**63}").encode(),
        REQUEST.replace("old 5", "old " + "9" * 5000).encode(),
        REQUEST.replace("\n", "\r\n").encode(),
        REQUEST.replace(HASH, HASH[:-1]).encode(),
        REQUEST.replace(HASH, HASH + "=", 1).encode(),
        REQUEST.replace(HASH, HASH[:-2] + "9=", 1).encode(),
        REQUEST.replace(HASH, b64encode(bytes(31)).decode(), 1).encode(),
        REQUEST.replace(HASH, b64encode(bytes(33)).decode(), 1).encode(),
        REQUEST.replace(HASH + "\n\n", HASH + "\n").encode(),
        REQUEST.replace(f"{HASH}\n", f"{HASH}\n" * 64, 1).encode(),
        f"old 5\n\n{TEXT}".encode(),
        f"old 5\n\n{LOG.sign(TEXT)}\n".encode(),
        REQUEST.replace("1234", "01234").encode(),
        REQUEST.encode() + b"\xff\n",
        b"\xff" + REQUEST.encode(),
        REQUEST.encode("utf-16"),
        b"\n\n" * 100_000,
        b"x" * (MAX_SUBMISSION + 1),
        b"old 5\n" + b"A" * MAX_SUBMISSION,
    ],
)
def test_another_spelling_of_a_submission_is_refused(body: bytes) -> None:
    with pytest.raises(NoteError):
        parse_submission(body)


def test_a_submission_of_good_form_beyond_the_bound_is_refused() -> None:
    crowd = [f"{Signature('pq', bytes([n] * 4), bytes(2_428))}\n" for n in range(90)]
    fits, beyond = (f"old 0\n\n{NOTE}{''.join(crowd[:count])}".encode() for count in (75, 90))
    assert len(fits) < MAX_SUBMISSION < len(beyond)
    assert parse_submission(fits).checkpoint.size == 1234
    with pytest.raises(NoteError, match="bytes"):
        parse_submission(beyond)


def test_sixty_three_hashes_are_taken() -> None:
    assert len(parse_submission(REQUEST.replace(f"{HASH}\n", f"{HASH}\n" * 63, 1).encode()).proof) == 63


@settings(max_examples=300)
@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: f"old 0\n\n{text}".encode()))
def test_any_bytes_are_a_submission_in_its_one_spelling_or_refused(body: bytes) -> None:
    try:
        found = parse_submission(body)
    except NoteError:
        return
    assert str(found).encode() == body


@settings(max_examples=300)
@given(st.data())
def test_a_changed_byte_of_a_submission_is_refused_or_is_another_one(data: st.DataObject) -> None:
    body = bytearray(REQUEST.encode())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    try:
        found = parse_submission(bytes(body))
    except NoteError:
        return
    assert str(found).encode() == bytes(body)
