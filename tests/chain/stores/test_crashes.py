"""Writers that die at the worst moments, and a server that does: nothing acknowledged is lost or doubled."""

import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent_guard.errors import GuardError
from agent_guard.log.recorder import Recorder
from agent_guard.types import Block
from tests.chain.stores.conftest import Place, PostgresPlace, SqlitePlace
from tests.postgres import Server
from tests.unit.log.test_crash import check_whole, run_and_kill
from tests.unit.store.conftest import make_row
from tests.unit.store.test_sqlite import ENVIRONMENT

pytestmark = pytest.mark.chain
BLOCK = Block(7, bytes(32), 1)
KILLS = 5
WRITER = Path(__file__).parents[2] / "unit/log/writer.py"


def acknowledged_by(lines: list[str], known: dict[int, str]) -> None:
    """Adds what a writer printed; no place is given twice."""
    for line in lines:
        _, _, index, leaf = line.split()
        assert known.setdefault(int(index), leaf) == leaf


def test_kill_minus_nine_at_random_moments_loses_no_acknowledged_entry(place: Place) -> None:
    moments = random.Random(2026)
    acknowledged: dict[int, str] = {}
    for _ in range(KILLS):
        acknowledged_by(run_and_kill(place.name, moments.uniform(0, 0.1)), acknowledged)
        with place.reader() as reader:
            check_whole(reader, dict(acknowledged))
    assert len(acknowledged) >= KILLS


DYING = """
import os, signal, sys
from tests.chain.stores.conftest import opened
from tests.unit.store.conftest import make_row

class Dying:
    def __init__(self, real): self.real = real
    def __getattr__(self, name): return getattr(self.real, name)
    def execute(self, statement, *values):
        if statement != "COMMIT":
            return self.real.execute(statement, *values)
        if sys.argv[2] == "after":
            self.real.execute(statement)
        os.kill(os.getpid(), signal.SIGKILL)

store = opened(sys.argv[1])
store.append([make_row(0)])
store._connection = Dying(store._connection)
store.append([make_row(1), make_row(2)])
"""


@pytest.mark.parametrize(("moment", "size"), [("before", 1), ("after", 3)])
def test_writer_killed_at_its_commit_leaves_the_batch_whole_or_not_at_all(
    place: Place, moment: str, size: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING, place.name, moment],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with place.store() as store, store.reader() as reader:
        assert store.size == size
        store.append([make_row(size)])
        assert list(reader.rows()) == [make_row(index) for index in range(size + 1)]


class Failing:
    """A connection whose COMMIT is carried out and then reported as failed."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def execute(self, statement: Any, *values: Any) -> Any:
        done = self.real.execute(statement, *values)
        if statement == "COMMIT":
            kind = (
                sqlite3.OperationalError
                if isinstance(self.real, sqlite3.Connection)
                else psycopg.OperationalError
            )
            raise kind("the connection broke")
        return done


def test_commit_that_failed_but_persisted_on_a_server_is_found_again_by_the_writer_himself(
    server_place: PostgresPlace,
) -> None:
    with server_place.store() as store:
        recorder = Recorder(store, block=lambda: BLOCK)
        first = recorder.append("a", "config", {}).result(60)
        store._connection = Failing(store._connection)  # type: ignore[attr-defined]
        again = recorder.append("a", "intent", {"n": 1}, idempotency_key="k").result(60)
        assert (again.index, again.duplicate) == (1, False)
        assert recorder.append("a", "intent", {"n": 2}).result(60).index == 2
        recorder.close()
    with server_place.reader() as reader:
        check_whole(reader, {first.index: first.leaf_hash.hex(), 1: again.leaf_hash.hex()})


def test_commit_that_failed_but_persisted_is_found_again_and_not_doubled(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "log.db")
    with place.store() as store:
        recorder = Recorder(store, block=lambda: BLOCK)
        first = recorder.append("a", "config", {}).result(60)
        store._connection = Failing(store._connection)  # type: ignore[attr-defined]
        failed = recorder.append("a", "intent", {"n": 1}, idempotency_key="k")
        with pytest.raises(GuardError, match="the connection broke"):
            failed.result(60)
        with pytest.raises(GuardError) as caught:
            recorder.append("a", "intent", {"n": 2})
        assert caught.value.code == "AG521"
        recorder.close()
        assert store.size == 1
    with place.store() as store, store.reader() as reader:
        recorder = Recorder(store, block=lambda: BLOCK)
        again = recorder.append("a", "intent", {"n": 1}, idempotency_key="k").result(60)
        assert (again.index, again.counter, again.duplicate, again.conflict) == (1, 1, True, False)
        assert recorder.append("a", "intent", {"n": 2}).result(60).index == 2
        recorder.close()
        check_whole(reader, {first.index: first.leaf_hash.hex(), 1: again.leaf_hash.hex()})


@pytest.fixture
def own_server() -> Any:
    """A server that the test may stop and kill."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("how", ["fast", "immediate", "power cut"])
def test_server_that_goes_down_in_mid_append_loses_and_doubles_nothing(own_server: Server, how: str) -> None:
    place = PostgresPlace(own_server, "postgres")
    acknowledged: dict[int, str] = {}
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, WRITER, place.name],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert writer.stdout is not None
        first = b"".join(writer.stdout.readline() for _ in range(3))
        if how == "power cut":
            own_server.kill()
        else:
            own_server.stop(signal.SIGINT if how == "fast" else signal.SIGQUIT)
        own_server.start()
        # It would come back by itself (test_returning.py); here another one finds out what became of its last batch.
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read()
        writer.wait()
        acknowledged_by((first + rest).decode().splitlines(), acknowledged)
        with place.reader() as reader:
            check_whole(reader, dict(acknowledged))
    assert len(acknowledged) >= 9
