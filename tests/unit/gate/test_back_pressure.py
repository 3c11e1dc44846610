"""A disk that is slow or stuck: who is refused learns it, what was answered is there, and all goes on by itself."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import httpx
import pytest

from agent_guard.api import create_app, door
from agent_guard.entry import Entry, Kind
from agent_guard.errors import GuardError
from agent_guard.gate import Answer, Proposal
from agent_guard.gate.landings import Landings
from agent_guard.gate.records import Records
from agent_guard.log.batch import Appended
from agent_guard.log.recorder import QueueLimits, Recorder
from agent_guard.types import Decision

pytestmark = pytest.mark.unit


class Disk:
    """The store's own commit, which can be made to hang."""

    def __init__(self, append: Callable[[Any], None]) -> None:
        self._append = append
        self._turns = threading.Event()
        self.run()

    def append(self, rows: Any) -> None:
        assert self._turns.wait(20)
        self._append(rows)

    def stick(self) -> None:
        self._turns.clear()

    def run(self) -> None:
        self._turns.set()


@pytest.fixture
def disk(log: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(log.store.append)
    monkeypatch.setattr(log.store, "append", made.append)
    yield made
    made.run()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the log has no event to wait for
            await asyncio.sleep(0.005)


def open_intents(log: Any) -> set[int]:
    """Intents that neither an outcome nor a refusal closes."""
    entries = [Entry.decode(row.body) for row in log.rows()]
    closed = {entry.refers_to for entry in entries}
    return {entry.index for entry in entries if entry.kind == "intent" and entry.index not in closed}


def test_a_stuck_disk_refuses_in_bounds_and_after_it_all_goes_on_and_nothing_answered_is_lost(
    make_gate, log, disk
):
    gate = make_gate(in_flight=8, answer_seconds=0.1)

    async def scene() -> tuple[list[Any], list[Any], list[Any]]:
        before = await gate.batch([Proposal("fs.write", {"n": n}) for n in range(5)])
        disk.stick()
        during = await gate.batch([Proposal("fs.write", {"n": n}) for n in range(50)])
        assert gate._records._in_flight <= 2 * 8
        disk.run()
        await until(lambda: gate._records._in_flight == 0 and not gate._records._background)
        after = await gate.batch([Proposal("fs.write", {"n": n}) for n in range(5)])
        return before, during, after

    before, during, after = asyncio.run(scene())
    assert sorted(error.code for error in during) == ["AG605"] * 8 + ["AG606"] * 42
    answered = {answer.seq: answer.leaf_hash for answer in [*before, *after]}
    assert len(answered) == 10
    rows = {row.index: row.leaf for row in log.rows()}
    assert answered.items() <= rows.items()
    assert open_intents(log) == set(answered)


def test_a_caller_beyond_the_limits_is_told_503_and_when_to_ask_again(make_gate, disk):
    gate = make_gate(in_flight=1, answer_seconds=0.1)

    async def scene() -> list[httpx.Response]:
        transport = httpx.ASGITransport(door(create_app(), gate))
        async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
            disk.stick()
            action = {"tool": "fs.write", "arguments": {}}
            asked = await asyncio.gather(*(client.post("/v1/actions", json=action) for _ in range(3)))
            disk.run()
            await until(lambda: gate._records._in_flight == 0 and not gate._records._background)
            return [*asked, await client.post("/v1/actions", json=action)]

    *refused, last = asyncio.run(scene())
    assert sorted(answer.json()["error"]["code"] for answer in refused) == ["AG605", "AG606", "AG606"]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "1")}
    assert (last.status_code, last.json()["decision"]) == (200, "allow")
    assert "retry-after" not in last.headers


@pytest.mark.parametrize("limits", [QueueLimits(entries=4), QueueLimits(bytes=400)])
def test_a_queue_that_is_full_for_all_agents_refuses_and_empties_by_itself(make_gate, log, disk, limits):
    recorder = Recorder(log.store, log.recorder._block, limits=limits)
    gate = make_gate(recorder=recorder, answer_seconds=0.1)

    async def scene() -> tuple[list[Any], Any]:
        disk.stick()
        during = await gate.batch([Proposal("fs.write", {"text": "x" * 50}) for n in range(40)])
        disk.run()
        await until(lambda: gate._records._in_flight == 0 and not gate._records._background)
        return during, await gate.propose("fs.write", {})

    during, after = asyncio.run(scene())
    recorder.close()
    assert {error.code for error in during} == {"AG605"}
    assert sum("wait for the disk already" in error.message for error in during) >= 30
    assert isinstance(after, Answer)
    assert open_intents(log) == {after.seq}


def test_a_halt_is_answered_at_once_while_the_disk_is_stuck(make_gate, situation, disk):
    """The refusal's record would wait for the disk; with its bucket empty nothing waits, and the no is the same."""
    gate = make_gate(refusal_burst=0, answer_seconds=30.0)
    situation.decision = Decision.HALT
    disk.stick()

    with pytest.raises(GuardError, match="AG602"):
        asyncio.run(gate.propose("fs.write", {}))


def test_who_waited_for_the_disk_in_vain_does_not_wait_for_it_a_second_time(make_gate, disk):
    gate = make_gate(answer_seconds=0.05)
    landed, waits = gate._records.landed, []

    async def counted(landing: Any) -> Any:
        waits.append(landing)
        return await landed(landing)

    gate._records.landed = counted
    disk.stick()
    with pytest.raises(GuardError, match="AG605"):
        asyncio.run(gate.propose("fs.write", {}))
    assert len(waits) == 1


def test_refusals_that_no_record_could_be_made_of_are_counted(make_gate, log, disk):
    gate = make_gate(in_flight=1, answer_seconds=0.05)

    async def scene() -> None:
        disk.stick()
        await gate.batch([Proposal("fs.write", {})] * 5)
        assert gate.refusals_unrecorded == 5
        disk.run()
        await until(lambda: gate._records._in_flight == 0 and not gate._records._background)
        await gate.refuse(GuardError("AG606", "why", "what next"))
        await until(lambda: gate._records._in_flight == 0)

    asyncio.run(scene())
    assert json.loads(log.rows("refused")[-1].content.body)["unrecorded_before"] == 4
    assert gate.refusals_unrecorded == 1  # the one AG605


def test_closings_have_room_of_their_own_and_that_is_bounded_too(log, disk):
    """Else an agent that keeps asking could keep a late intent from being closed as refused."""

    async def scene() -> None:
        records = Records("alice", log.recorder, in_flight=2, seconds=5.0)
        disk.stick()
        intents = [records.append(Kind.INTENT, {}) for _ in range(2)]
        with pytest.raises(GuardError, match="AG606"):
            records.append(Kind.INTENT, {})
        closings = [records.close(seq, Kind.REFUSED, {}) for seq in range(2)]
        with pytest.raises(GuardError, match="AG606"):
            records.close(2, Kind.REFUSED, {})
        disk.run()
        for landing in [*intents, *closings]:
            await records.landed(landing)

    asyncio.run(scene())
    assert [row.kind for row in log.rows()] == ["intent", "intent", "refused", "refused"]


class Crowded:
    """A recorder whose queue is full whenever an intent is to be closed, for the first few times."""

    def __init__(self, real: Recorder, refusals: int) -> None:
        self._real, self.refusals = real, refusals

    def append(self, agent: str, kind: Kind, content: Any, **details: Any) -> Future[Appended]:
        if details.get("refers_to") is not None and self.refusals:
            self.refusals -= 1
            raise GuardError("AG520", "8192 entries wait for the disk already.", "Wait.")
        return self._real.append(agent, kind, content, **details)


def test_a_closing_that_found_the_queue_full_is_tried_again_until_it_is_written(
    make_gate, log, situation, monkeypatch
):
    monkeypatch.setattr("agent_guard.gate.records.CLOSE_AGAIN_SECONDS", 0.01)
    gate = make_gate(recorder=Crowded(log.recorder, 3))
    situation.verdicts = [Decision.RUN, Decision.HALT]

    with pytest.raises(GuardError, match="AG602"):
        asyncio.run(gate.propose("fs.write", {}))
    assert open_intents(log) == set()
    assert not gate._withdrawn


def test_a_closing_is_given_up_with_the_recorder_and_its_intent_stays_refused(make_gate, log, situation):
    gate = make_gate(answer_seconds=30.0)
    standing, asked = gate._standing, []

    def close_the_recorder_meanwhile() -> Any:
        asked.append(standing())
        if len(asked) == 2:
            log.recorder.close()
            situation.decision = Decision.HALT
            return situation.standing()
        return asked[-1]

    gate._standing = close_the_recorder_meanwhile
    with pytest.raises(GuardError, match="AG602"):
        asyncio.run(gate.propose("fs.write", {}))
    assert open_intents(log) == gate._withdrawn == {0}


# -- the way from the recorder's thread to the loop -----------------------------------------------------------------


def finish(written: list[Future[Appended]]) -> None:
    """Ends all of them on a thread of its own, as the recorder does after a commit."""

    def end() -> None:
        for number, one in enumerate(written):
            one.set_result(Appended(number, number, bytes(32)))

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()


def test_a_batch_wakes_the_loop_once_and_everybody_gets_his_own(monkeypatch: Any):
    async def scene() -> tuple[list[int], int]:
        landings, loop = Landings(), asyncio.get_running_loop()
        wake, woken = loop.call_soon_threadsafe, []
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given: (woken.append(given), wake(*given)))
        written = [Future[Appended]() for _ in range(100)]
        waiting = [landings.follow(one) for one in written]
        finish(written)
        return [(await one).index for one in waiting], len(woken)

    assert asyncio.run(scene()) == (list(range(100)), 1)


def test_entries_that_land_while_the_loop_is_busy_with_others_are_all_delivered():
    async def scene() -> int:
        landings, count = Landings(), 0
        for _ in range(50):
            written = [Future[Appended]() for _ in range(20)]
            waiting = [landings.follow(one) for one in written]
            thread = threading.Thread(target=finish, args=(written,))
            thread.start()
            for one in waiting:
                await asyncio.wait_for(one, 5)
                count += 1
            thread.join()
        return count

    assert asyncio.run(scene()) == 1_000


def test_a_loop_that_has_ended_is_woken_no_more_and_harms_nobody(caplog: Any):
    written: Future[Appended] = Future()

    async def scene() -> asyncio.Future[Appended]:
        return Landings().follow(written)

    landing = asyncio.run(scene())
    finish([written])
    assert written.result().index == 0
    assert not landing.done()
    assert caplog.records == []  # where concurrent.futures tells what a callback raised


def test_a_failure_reaches_its_waiter_as_it_was():
    async def scene() -> BaseException | None:
        written: Future[Appended] = Future()
        landing = Landings().follow(written)
        written.set_exception(GuardError("AG513", "full", "free some"))
        await asyncio.wait((landing,))
        return landing.exception()

    assert "AG513" in str(asyncio.run(scene()))
