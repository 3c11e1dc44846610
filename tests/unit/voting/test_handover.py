"""Where ballots are handed to, what a guard's answer is worth, and that no guard holds up another."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.typed_data import SignedBallot, agent_id
from agent_guard.types import Action, Ballot
from agent_guard.voting import handover
from agent_guard.voting.handover import Fate, Handed, Place, hand_over, none_taken, place

pytestmark = pytest.mark.unit

SIGNER = "0x" + "22" * 20


def signed(epoch: int = 1) -> SignedBallot:
    ballot = Ballot(agent_id("scout"), Action.HALT, bytes(32), epoch, 1, SIGNER, 1 << 33, bytes(32))
    return SignedBallot(1, "0x" + "11" * 20, ballot, bytes(65), "")


# -------------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:8710", "https://guard.example/", "http://[::1]:8710/below"]
)
def test_a_url_is_a_place(name: str) -> None:
    assert place(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "ftp://guard",
        "http://",
        "file:///etc/passwd",
        "http://guard/?a=b",
        "http://guard/#a",
        "http://guard:99999999",
    ],
)
def test_what_is_no_url_of_a_host_is_a_usage_error(name: str) -> None:
    with pytest.raises(GuardError) as caught:
        place(name)
    assert (caught.value.code, "Nothing was signed or sent" in caught.value.message) == ("AG101", True)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(GuardError) as caught:
        place("http://user:s3cret@guard")
    assert caught.value.code == "AG101"
    assert "s3cret" not in str(caught.value)


def test_a_plain_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match="neither a socket nor a folder"):
        place(str(tmp_path / "file"))


@pytest.mark.parametrize("path", ["guard.sock", "no/such/folder/guard.sock"])
def test_a_socket_of_no_guard_is_a_place_that_is_not_reached(tmp_path: Path, path: str) -> None:
    fate, why = place(str(tmp_path / path)).hand(signed())
    assert fate is Fate.UNREACHED
    assert "can't be reached" in why


# -------------------------------------------------------------------------------------------------------------- folder


def test_a_folder_gets_the_ballot_as_one_whole_file_that_a_guard_looks_for(tmp_path: Path) -> None:
    assert place(str(tmp_path)).hand(signed()) == (Fate.LEFT, "")
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".json"
    assert SignedBallot.decode(file.read_text()) == signed()


def test_two_ballots_of_one_signer_have_two_files_and_one_ballot_twice_has_one(tmp_path: Path) -> None:
    for epoch in (1, 2, 1):
        place(str(tmp_path)).hand(signed(epoch))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_takes_no_file_is_not_reached_and_nothing_is_left_there(tmp_path: Path) -> None:
    name = f"halt-{agent_id('scout').hex()[:8]}-{SIGNER}-{signed().digest().hex()[:8]}.json"
    (tmp_path / name).mkdir()
    where = place(str(tmp_path))
    fate, why = where.hand(signed())
    assert fate is Fate.UNREACHED
    assert "can't be written" in why
    assert [path.name for path in tmp_path.iterdir()] == [name]


# ------------------------------------------------------------------------------------------------------------- answers

YES = {"accepted": True, "signer": SIGNER}
NO = {"error": {"code": "AG315", "kind": "usage", "message": "it is late", "remedy": "sign anew"}}


@pytest.mark.parametrize(
    ("status", "answer", "fate"),
    [
        (200, YES, Fate.ACCEPTED),
        (200, YES | {"more": 1}, Fate.ACCEPTED),
        (201, YES, Fate.UNREACHED),
        (302, YES, Fate.UNREACHED),
        (200, YES | {"accepted": 1}, Fate.UNREACHED),
        (200, YES | {"accepted": "true"}, Fate.UNREACHED),
        (200, {"accepted": True}, Fate.UNREACHED),
        (200, YES | {"signer": "0x" + "33" * 20}, Fate.UNREACHED),
        (200, {}, Fate.UNREACHED),
        (200, [YES], Fate.UNREACHED),
        (409, NO, Fate.REFUSED),
        (400, NO, Fate.REFUSED),
        (503, {"error": {"code": "AG606", "message": "too many"}}, Fate.UNREACHED),
        (403, {"error": {"code": "AG318"}}, Fate.UNREACHED),
        (404, {"error": "no"}, Fate.UNREACHED),
        (500, None, Fate.UNREACHED),
    ],
)
def test_only_a_clear_yes_about_this_signer_is_one(status: int, answer: Any, fate: Fate) -> None:
    assert handover._judged(status, json.dumps(answer).encode(), signed())[0] is fate


@pytest.mark.parametrize(
    "answer", [b"", b"\xff", b"[" * 60_000, b"<html>", b'{"accepted":true,"accepted":true}']
)
def test_an_answer_that_is_no_json_is_no_word(answer: bytes) -> None:
    assert handover._judged(200, answer, signed())[0] is Fate.UNREACHED


def test_a_refusal_keeps_the_guards_reason_and_no_more_than_a_line_of_it() -> None:
    assert handover._judged(409, json.dumps(NO).encode(), signed()) == (Fate.REFUSED, "it is late")
    long = {"error": {"code": "AG315", "message": "x" * 60_000}}
    assert len(handover._judged(409, json.dumps(long).encode(), signed())[1]) == 500


# ------------------------------------------------------------------------------------------------------------ together


def test_every_ballot_goes_to_every_place_and_each_has_its_own_fate() -> None:
    places = [
        Place("yes", lambda signed: (Fate.ACCEPTED, "")),
        Place(
            "picky", lambda signed: (Fate.REFUSED, "old") if signed.ballot.epoch < 2 else (Fate.ACCEPTED, "")
        ),
    ]
    assert hand_over(places, [signed(1), signed(2)]) == [
        Handed("yes", SIGNER, Fate.ACCEPTED),
        Handed("yes", SIGNER, Fate.ACCEPTED),
        Handed("picky", SIGNER, Fate.REFUSED, "old"),
        Handed("picky", SIGNER, Fate.ACCEPTED),
    ]


def test_a_place_that_never_answers_holds_up_no_other_and_ends_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handover, "SECONDS", 2.0)
    never, asked = threading.Event(), threading.Event()

    def hang(ballot: SignedBallot) -> tuple[Fate, str]:
        never.wait(60)
        return Fate.ACCEPTED, ""

    def answer(ballot: SignedBallot) -> tuple[Fate, str]:
        asked.set()
        return Fate.ACCEPTED, ""

    began = time.monotonic()
    handed = hand_over([Place("hangs", hang), Place("answers", answer)], [signed()])
    took = time.monotonic() - began
    never.set()

    assert asked.is_set()
    assert [one.fate for one in handed] == [Fate.UNREACHED, Fate.ACCEPTED]
    assert took < 30


def test_that_no_guard_took_it_is_ag315_only_if_all_refused() -> None:
    refused = Handed("a", SIGNER, Fate.REFUSED, "it is late")
    lost = Handed("b", SIGNER, Fate.UNREACHED, "no answer")
    assert (none_taken([refused]).code, none_taken([refused, lost]).code) == ("AG315", "AG317")
    for word in ("it is late", "no answer"):
        assert word in none_taken([refused, lost]).message
