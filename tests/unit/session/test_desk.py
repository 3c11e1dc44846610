"""Where signers hand ballots to the guard itself: counted before anything else, recorded within bounds, and relayed.

The watcher, the ballots and their signatures are real; what the chain does with them is the test's word.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from eth_account import Account

from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.session import desk as module
from agent_guard.session.desk import REFUSALS, BallotDesk
from agent_guard.session.journal import Journal
from agent_guard.typed_data import SignedBallot, reason_hash
from agent_guard.types import FLEET, Action, Ballot, Council, Thresholds, Timing
from tests.unit.guard.chain import ALICE, CHAIN_ID, COUNCIL_ADDRESS, Watch, sighting, wait_until
from tests.unit.guard.words import NOW

pytestmark = pytest.mark.unit

KEYS = [Account.from_key(bytes([number]) * 32) for number in (1, 2, 3, 4)]
COUNCIL = Council(tuple(key.address for key in KEYS[:3]), Thresholds(2, 2, 3), Timing(60, 2, 3600, 0, 0), 5)


def ballot(signer: int = 0, agent: bytes = ALICE, **changes: Any) -> SignedBallot:
    values: dict[str, Any] = {"epoch": 1, "set_version": 5, "deadline": NOW + 1_000} | changes
    plain = Ballot(
        agent=agent, action=Action.HALT, param=bytes(32), signer=KEYS[signer].address,
        reason=reason_hash("it drifts"), **values,
    )  # fmt: skip
    unsigned = SignedBallot(CHAIN_ID, COUNCIL_ADDRESS, plain, b"\x00", "it drifts")
    signature = bytes(KEYS[signer].unsafe_sign_hash(unsigned.digest()).signature)
    return SignedBallot(CHAIN_ID, COUNCIL_ADDRESS, plain, signature, "it drifts")


def forged(number: int = 0) -> SignedBallot:
    """Another one each time, signed by nobody."""
    signed = ballot(0, deadline=NOW + 2_000 + number)
    return SignedBallot(CHAIN_ID, COUNCIL_ADDRESS, signed.ballot, b"\x01" * 65, "it drifts")


@dataclass
class Post:
    """A desk and all that it touches."""

    folder: Path
    watch: Watch = field(default_factory=Watch)
    entries: list[tuple[str | None, Entry, dict[str, Any]]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    submitted: list[list[SignedBallot]] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    now: float = NOW
    disk: threading.Event = field(default_factory=threading.Event)
    chain: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.disk.set()
        self.chain.set()
        self.watch.look(sighting(council=COUNCIL))
        names = {ALICE: "alice"}
        self.desk = BallotDesk(self.watch.watcher(), self.submit, self.folder, names, lambda: self.now)

    def start(self) -> None:
        self.desk.start(Journal(cast(Any, self), self.steps.append), self.steps.append)

    def append(self, agent: str | None, kind: Entry, content: dict[str, Any], **more: Any) -> "Future[Any]":
        assert self.disk.wait(60)
        self.entries.append((agent, kind, content))
        future: Future[Any] = Future()
        future.set_result(SimpleNamespace(index=len(self.entries) - 1))
        return future

    def submit(self, ballots: Sequence[SignedBallot]) -> None:
        assert self.chain.wait(60)
        self.submitted.append(list(ballots))
        if self.refusals:
            raise self.refusals.pop(0)

    def recorded(self) -> list[str | None]:
        return [content["refused"] for _, _, content in self.entries]

    def troubles(self) -> list[str]:
        return [step["error"]["code"] for step in self.steps if step["event"] == "trouble"]


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    monkeypatch.setattr(module, "FOLDER_SECONDS", 0.01)
    monkeypatch.setattr(module, "RECORD_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "END_SECONDS", 0.3)
    folder = tmp_path / "ballots"
    folder.mkdir()
    made = Post(folder)
    yield made
    made.disk.set()
    made.chain.set()
    made.desk.stop()
    made.watch.close()


def take(post: Post, *ballots: SignedBallot) -> list[bool]:
    """Whether each counts."""
    return [post.desk.take(signed.encode(), "test").refusal is None for signed in ballots]


# --- counted first ---------------------------------------------------------------------------------------------------


def test_ballots_that_suffice_halt_though_disk_and_chain_stand_still(post: Post) -> None:
    post.start()
    post.disk.clear()
    post.chain.clear()
    began = time.monotonic()
    assert take(post, ballot(0), ballot(1)) == [True, True]
    assert time.monotonic() - began < 30.0
    assert post.watch.look()["alice"] == "halt"
    assert post.entries == []


def test_whoever_hands_a_ballot_over_is_told_whose_it_is_and_why_it_does_not_count(post: Post) -> None:
    taken = post.desk.take(ballot(0, epoch=7).encode(), "test")
    assert taken.signer == KEYS[0].address
    assert taken.refusal == "it is for epoch 7; the agent is in epoch 1"


def test_a_ballot_whose_signature_is_not_its_signers_does_not_count(post: Post) -> None:
    assert take(post, forged(), ballot(3)) == [False, False]
    assert post.watch.look()["alice"] == "run"


def test_ballots_that_do_not_count_are_never_relayed(post: Post) -> None:
    post.start()
    take(post, forged(), ballot(3), ballot(0, epoch=2), ballot(0), ballot(0))
    wait_until(lambda: post.submitted)
    post.desk.stop()
    assert [len(batch) for batch in post.submitted] == [1]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\ud800", "x" * 100_000, "[" * 50_000, ballot().encode()[:-20]]
)
def test_what_is_no_ballot_at_all_changes_nothing_and_is_only_counted(post: Post, text: str) -> None:
    post.start()
    with pytest.raises(GuardError) as caught:
        post.desk.take(text, "test")
    assert caught.value.code == "AG315"
    post.desk.stop()
    assert post.entries == []
    assert post.desk.counts() == {"accepted": 0, "refused": 0, "malformed": 1}


# --- recorded --------------------------------------------------------------------------------------------------------


def test_every_ballot_is_recorded_with_where_it_came_from_and_why_it_did_not_count(post: Post) -> None:
    post.start()
    take(post, ballot(0), forged(), ballot(1, FLEET, epoch=1))
    post.desk.stop()
    agents, kinds, contents = zip(*post.entries, strict=True)
    assert agents == ("alice", "alice", None)
    assert set(kinds) == {Entry.BALLOT}
    assert [content["refused"] is None for content in contents] == [True, False, True]
    assert [json.loads(content["ballot"])["ballot"]["signer"] for content in contents] == [
        KEYS[0].address, KEYS[0].address, KEYS[1].address,
    ]  # fmt: skip
    assert {content["source"] for content in contents} == {"test"}
    assert [step["refused"] for step in post.steps if step["event"] == "ballot"] == list(post.recorded())


def test_a_flood_of_refused_ballots_fills_no_disk_and_hides_none_that_counts(post: Post) -> None:
    post.start()
    take(post, *(forged(number) for number in range(REFUSALS + 30)))
    wait_until(lambda: len(post.entries) == REFUSALS)
    take(post, ballot(0))
    post.desk.stop()
    assert len(post.entries) == REFUSALS + 1
    content = post.entries[-1][2]
    assert (content["refused"], content["unrecorded_before"]) == (None, 30)
    assert [step["event"] for step in post.steps].count("ballot") == REFUSALS + 1
    assert post.desk.counts() == {"accepted": 1, "refused": REFUSALS + 30, "malformed": 0}


def test_after_a_while_refusals_are_recorded_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFILL_SECONDS", 0.01)
    post.start()
    take(post, *(forged(number) for number in range(REFUSALS + 5)))
    time.sleep(0.1)
    take(post, forged(1_000))
    post.desk.stop()
    assert len(post.entries) > REFUSALS


def test_refusals_that_would_wait_for_a_disk_that_stands_still_are_counted_and_dropped(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNWRITTEN", 5)
    post.disk.clear()
    post.start()
    take(post, *(forged(number) for number in range(20)))
    assert post.desk._records.qsize() <= 6
    assert take(post, ballot(0)) == [True]
    post.disk.set()
    post.desk.stop()
    assert None in post.recorded()
    unrecorded = sum(content.get("unrecorded_before", 0) for _, _, content in post.entries)
    assert len(post.entries) + unrecorded == 21


def test_a_long_source_is_cut(post: Post) -> None:
    post.start()
    post.desk.take(ballot(0).encode(), "s" * 10_000)
    post.desk.stop()
    assert len(post.entries[0][2]["source"]) == 200


def test_two_that_record_at_once_do_not_wait_for_each_other_for_ever(post: Post) -> None:
    """At the end the session's thread records what is left, beside a recording thread that may still be at it."""

    class Taken:
        """Says that something is there, which the other thread has taken since."""

        def empty(self) -> bool:
            return False

        def get(self) -> object:
            raise AssertionError("this would wait for ever")

        def get_nowait(self) -> object:
            raise module.queue.Empty

    post.desk._records = cast(Any, Taken())
    post.desk.stop()
    assert post.entries == []


# --- the folder ------------------------------------------------------------------------------------------------------


def put(post: Post, name: str, text: str) -> Path:
    path = post.folder / name
    partial = path.with_suffix(".partial")
    partial.write_text(text, errors="surrogateescape")
    return partial.rename(path)


def names(post: Post) -> set[str]:
    return {path.name for path in post.folder.iterdir()}


def test_files_are_taken_and_renamed_by_what_became_of_them(post: Post) -> None:
    put(post, "a.json", ballot(0).encode())
    put(post, "b.json", ballot(0).encode())
    put(post, "c.json", "no ballot")
    put(post, "d.json", "\udcff\udcfe")
    put(post, "e.json", "x" * 100_000)
    put(post, "notes.txt", ballot(1).encode())
    post.start()
    wait_until(lambda: len([name for name in names(post) if name.count(".") == 2]) == 5)
    assert names(post) == {
        "a.json.accepted", "b.json.refused", "c.json.refused", "d.json.refused", "e.json.refused", "notes.txt",
    }  # fmt: skip
    assert post.troubles() == ["AG315"] * 3
    assert post.watch.look()["alice"] == "freeze"
    post.desk.stop()
    assert [content["source"] for _, _, content in post.entries] == ["a.json", "b.json"]


def strange(post: Post, kind: str, outside: Path) -> None:
    path = post.folder / "a.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        outside.write_text(ballot(1).encode())
        path.symlink_to(outside)
    elif kind == "link to nothing":
        path.symlink_to(outside)
    elif kind == "name that can't grow":
        (post.folder / ("a" * 250 + ".json")).write_text("no ballot")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "link to nothing", "name that can't grow"])
def test_what_is_no_plain_file_holds_up_no_ballot_and_is_looked_at_once(
    post: Post, tmp_path: Path, kind: str
) -> None:
    strange(post, kind, tmp_path / "outside")
    put(post, "b.json", ballot(0).encode())
    post.start()
    wait_until(lambda: "b.json.accepted" in names(post))
    put(post, "c.json", ballot(2).encode())
    wait_until(lambda: "c.json.accepted" in names(post))
    assert len(post.troubles()) == 1


def test_a_folder_that_is_not_there_yet_is_looked_at_again(post: Post) -> None:
    post.folder.rmdir()
    post.start()
    time.sleep(0.05)
    post.folder.mkdir()
    put(post, "a.json", ballot(0).encode())
    wait_until(lambda: names(post) == {"a.json.accepted"})


# --- relayed ---------------------------------------------------------------------------------------------------------


def test_a_relay_that_fails_is_tried_again_with_what_has_come_meanwhile(post: Post) -> None:
    post.refusals = [
        GuardError("AG201", "No answer.", "Wait."),
        GuardError("AG205", "It reverted.", "See why."),
    ]
    post.start()
    take(post, ballot(0), ballot(1))
    wait_until(lambda: len(post.submitted) == 3)
    assert {signed.ballot.signer for signed in post.submitted[-1]} == {KEYS[0].address, KEYS[1].address}
    post.desk.stop()
    assert post.troubles() == []


def test_a_ballot_that_comes_while_others_are_relayed_is_relayed_next(post: Post) -> None:
    post.chain.clear()
    post.start()
    take(post, ballot(0))
    time.sleep(0.05)
    take(post, ballot(1))
    post.chain.set()
    wait_until(lambda: len(post.submitted) == 2)
    assert [[signed.ballot.signer for signed in batch] for batch in post.submitted] == [
        [KEYS[0].address],
        [KEYS[1].address],
    ]


def test_a_relay_that_fails_in_a_way_nobody_foresaw_is_tried_again(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.refusals = [ZeroDivisionError("division by zero"), KeyError("x")]
    post.start()
    take(post, ballot(0))
    wait_until(lambda: len(post.submitted) == 3)
    post.desk.stop()
    assert "ZeroDivisionError" in caplog.records[0].message
    assert post.troubles() == []


def test_ballots_that_the_chain_will_never_count_are_told_and_not_tried_again(post: Post) -> None:
    post.refusals = [GuardError("AG313", "None can count.", "Sign again.")]
    post.start()
    take(post, ballot(0))
    wait_until(lambda: post.troubles() == ["AG313"])
    take(post, ballot(1))
    wait_until(lambda: len(post.submitted) == 2)
    assert [signed.ballot.signer for signed in post.submitted[1]] == [KEYS[1].address]


def test_ballots_that_have_expired_while_the_chain_was_silent_are_told_and_given_up(post: Post) -> None:
    post.refusals = [GuardError("AG201", "No answer.", "Wait.")] * 3
    post.start()
    post.now = NOW + 1_000
    take(post, ballot(0))
    wait_until(lambda: post.troubles() == ["AG201"])
    assert len(post.submitted) == 1


def test_at_its_end_the_desk_relays_what_waits_and_tells_what_it_could_not(post: Post) -> None:
    post.chain.clear()
    post.start()
    take(post, ballot(0), ballot(1))
    post.desk.stop()
    assert post.troubles() == ["AG316"]
    assert "2 ballot(s)" in post.steps[-1]["error"]["message"]
    assert post.recorded() == [None, None]


def test_the_end_waits_for_a_relay_that_is_under_way(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "END_SECONDS", 10.0)
    post.chain.clear()
    post.start()
    take(post, ballot(0))
    threading.Timer(1.5, post.chain.set).start()  # longer than its threads are waited for
    post.desk.stop()
    assert [len(batch) for batch in post.submitted] == [1]
    assert post.troubles() == []


def test_a_desk_that_has_closed_takes_nothing_more_and_may_be_closed_again(post: Post) -> None:
    post.start()
    post.desk.stop()
    with pytest.raises(GuardError) as caught:
        post.desk.take(ballot(0).encode(), "test")
    assert caught.value.code == "AG317"
    began = time.monotonic()
    post.desk.stop()
    assert time.monotonic() - began < 10.0
    assert post.entries == []
    assert {thread.name for thread in threading.enumerate()}.isdisjoint(
        {"ballots _look", "ballots _record", "ballots _relay"}
    )


def test_ballots_may_come_from_many_threads_at_once(post: Post) -> None:
    post.start()
    results: list[bool] = []
    ways: list[Callable[[], None]] = [lambda: results.extend(take(post, ballot(0))) for _ in range(8)]
    threads = [threading.Thread(target=way) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [False] * 7 + [True]
