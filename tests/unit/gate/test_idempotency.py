"""One key, one action: under many callers, across restarts, and when the answer was lost on its way."""

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.gate import Answer, Gate, History, Limits, Ruling
from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteStore
from agent_guard.types import LogIdentity
from tests.unit.gate.conftest import BLOCK, Situation
from tests.unit.store.test_sqlite import ENVIRONMENT

pytestmark = pytest.mark.unit
CALLERS = 32


async def many(gate: Gate, key: str = "k", **arguments: Any) -> list[Any]:
    asking = (gate.propose("fs.write", arguments, key) for _ in range(CALLERS))
    return await asyncio.gather(*asking, return_exceptions=True)


def test_many_callers_with_one_key_get_one_intent_and_the_same_answer(gate, log):
    answers = asyncio.run(many(gate, path="a"))

    assert {(answer.ruling, answer.seq, answer.leaf_hash) for answer in answers} == {
        (Ruling.ALLOW, 0, log.rows()[0].leaf)
    }
    assert [row.kind for row in log.rows()] == ["intent"]


def test_many_callers_of_many_gates_with_one_key_get_one_intent(make_gate, log):
    """As after a hot restart: two doors of one agent, each with a loop of its own."""
    found: list[list[Any]] = []
    doors = [threading.Thread(target=lambda: found.append(asyncio.run(many(make_gate())))) for _ in range(4)]
    for door in doors:
        door.start()
    for door in doors:
        door.join()

    assert {answer.seq for answers in found for answer in answers} == {0}
    assert sum(map(len, found)) == 4 * CALLERS
    assert len(log.rows("intent")) == 1


def test_of_many_callers_with_one_key_and_two_actions_one_action_is_allowed(gate, log):
    async def scene() -> list[Any]:
        asking = (gate.propose("fs.write", {"n": number % 2}, "k") for number in range(CALLERS))
        return await asyncio.gather(*asking, return_exceptions=True)

    results = asyncio.run(scene())
    allowed = [number % 2 for number, result in enumerate(results) if isinstance(result, Answer)]
    refused = [result.code for result in results if isinstance(result, GuardError)]
    assert allowed == [0] * (CALLERS // 2)
    assert refused == ["AG613"] * (CALLERS // 2)
    assert len(log.rows("intent")) == 1


LOSING = """
import asyncio, os, signal, sys
from pathlib import Path
from agent_guard.gate import Gate, History, Limits
from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteStore
from tests.unit.gate.conftest import BLOCK, Situation
from tests.unit.gate.test_idempotency import IDENTITY

store = SqliteStore(Path(sys.argv[1]), IDENTITY)
recorder = Recorder(store, lambda: BLOCK, lambda size, critical: os.kill(os.getpid(), signal.SIGKILL))
gate = Gate("alice", Situation().standing, recorder, lambda: (0, 0.0), History("alice", store.reader()), Limits())
print(asyncio.run(gate.propose("fs.write", {"path": "a"}, "k")), flush=True)
"""
IDENTITY = LogIdentity(31337, "0x" + "Aa" * 20, "0x" + "Bb" * 20)


def test_retry_after_an_answer_that_the_guard_took_to_its_grave_finds_the_action(tmp_path: Path):
    path = tmp_path / "log.db"
    command = [sys.executable, "-c", LOSING, str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done.stderr

    with SqliteStore(path, IDENTITY) as store, store.reader() as reader:
        recorder = Recorder(store, lambda: BLOCK)
        history = History("alice", reader)
        gate = Gate("alice", Situation().standing, recorder, lambda: (0, 0.0), history, Limits())

        async def scene() -> list[set[Any]]:
            first, other = await many(gate, path="a"), await many(gate, path="b")
            await gate.outcome(0, "ok", None)
            closed = await many(gate, path="a")
            seqs = {(answer.ruling, answer.seq) for answer in first}
            return [seqs, {error.code for error in other}, {error.code for error in closed}]

        assert asyncio.run(scene()) == [{(Ruling.ALLOW, 0)}, {"AG613"}, {"AG612"}]
        recorder.close()
        assert [row.kind for row in reader.rows() if row.kind != "refused"] == ["intent", "outcome"]


# -- the log is read off the loop -----------------------------------------------------------------------------------


def test_a_log_that_hangs_while_it_is_read_delays_no_other_question(gate, log):
    asyncio.run(gate.propose("fs.write", {}, "k"))
    free = threading.Event()
    freed: list[bool] = []

    def hang(seq: int) -> int | None:
        freed.append(free.wait(60))
        return None

    gate._history.closed_by = hang

    async def scene() -> list[Answer]:
        repeated = asyncio.create_task(gate.propose("fs.write", {}, "k"))
        async with asyncio.timeout(15):
            while not gate._looking.locked():  # noqa: ASYNC110 - until it has begun to read
                await asyncio.sleep(0.001)
        other = await gate.propose("fs.write", {})
        free.set()
        return [await repeated, other]

    assert [answer.seq for answer in asyncio.run(scene())] == [0, 1]
    assert freed == [True]


def test_a_withdrawal_that_becomes_durable_while_the_log_is_read_is_seen(gate, log, situation):
    """The reading began before the withdrawal's commit and ends after the gate forgot it."""
    asyncio.run(gate.propose("fs.write", {}, "k"))
    real, read = gate._history.closed_by, []

    def stale(seq: int) -> int | None:
        read.append(seq)
        if len(read) > 1:
            return real(seq)
        log.recorder.append("alice", "refused", {}, refers_to=0, idempotency_key="close:0").result(60)
        gate._forgotten += 1
        return None

    gate._history.closed_by = stale

    with pytest.raises(GuardError, match="AG612"):
        asyncio.run(gate.propose("fs.write", {}, "k"))
    assert read == [0, 0]
