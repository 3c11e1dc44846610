"""A writer whose server went away and came back: it goes on by itself, where it was left, or not at all."""

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.log.recorder import Patience, Recorder
from agent_guard.store import SavedCheckpoint
from agent_guard.store.postgres import Address, PostgresStore, connection, fence
from agent_guard.types import Block
from tests.chain.stores.conftest import PostgresPlace, open_store
from tests.postgres import Wire
from tests.unit.store.conftest import IDENTITY, make_row

pytestmark = pytest.mark.chain
BLOCK = Block(1, bytes(32), 1)
QUICK = Patience(seconds=60.0, pause=0.02, longest=0.1)
SECONDS = 120.0
LEAF = make_row(0).leaf
ONE = SavedCheckpoint(size=1, frontier=(LEAF,), root=LEAF, note="n", signature=b"s", tx=None)


def recording(store: PostgresStore, patience: Patience = QUICK) -> Recorder:
    return Recorder(store, block=lambda: BLOCK, patience=patience)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cut(store: PostgresStore, place: PostgresPlace) -> None:
    """The server ends the writer's session, as at a restart."""
    pid = store._connection.info.backend_pid
    with place.server.connect() as shell:
        shell.execute("SELECT pg_terminate_backend(%s, 60000)", (pid,))


def lose(store: PostgresStore, place: PostgresPlace, row: int, *, persisted: bool) -> None:
    """An append whose COMMIT is carried out, or not, before the connection breaks; no answer comes."""
    commit = store._commit

    def broken() -> None:
        if persisted:
            store._connection.execute("COMMIT")
        cut(store, place)
        commit()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "_commit", broken)
        with pytest.raises(GuardError, match="may or may not have been kept") as caught:
            store.append([make_row(row)])
    assert caught.value.code == "AG551"


# --- by itself -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=str)
def test_server_that_is_started_anew_gets_all_that_waited_once_and_in_order(
    start: Callable[..., PostgresPlace], how: signal.Signals
) -> None:
    place = start()
    with open_store(place) as store:
        recorder = recording(store)
        recorder.append("a", "config", {}).result(SECONDS)
        term = store._hold.term
        if how is signal.SIGKILL:
            place.server.kill()
        else:
            place.server.stop(how)
        waiting = [recorder.append("a", "intent", {"n": n}, idempotency_key=f"k{n % 4}") for n in range(5)]
        until(lambda: recorder.trouble)
        assert recorder.trouble is not None
        assert recorder.trouble.code == "AG551"
        assert not any(one.done() for one in waiting)
        place.server.start()
        places = [one.result(SECONDS) for one in waiting]
        assert [(one.index, one.duplicate) for one in places] == [
            (1, False), (2, False), (3, False), (4, False), (1, True)
        ]  # fmt: skip
        until(lambda: recorder.trouble is None)
        assert recorder.append("a", "intent", {}).result(SECONDS).index == 5
        assert (recorder.failed, recorder.head().size) == (None, 6)
        assert store._hold.term > term
        recorder.close()
    with place.reader() as reader:
        assert [row.index for row in reader.rows()] == list(range(6))


@pytest.mark.parametrize("persisted", [True, False])
def test_batch_in_doubt_is_there_once_whether_or_not_it_persisted(
    server_place: PostgresPlace, persisted: bool
) -> None:
    with open_store(server_place) as store, store.reader() as reader:
        store.append([make_row(0)])
        lose(store, server_place, 1, persisted=persisted)
        assert (store.size, reader.size()) == (1, 2 if persisted else 1)
        store.append([make_row(1)])
        store.append([make_row(2)])
        assert list(reader.rows()) == [make_row(0), make_row(1), make_row(2)]


@pytest.mark.parametrize("persisted", [True, False])
def test_what_else_is_written_first_settles_the_doubt_and_forgets_none_of_it(
    server_place: PostgresPlace, persisted: bool
) -> None:
    with open_store(server_place) as store, store.reader() as reader:
        store.append([make_row(0)])
        lose(store, server_place, 1, persisted=persisted)
        store.save_checkpoint(ONE)
        store.erase(0)
        cut(store, server_place)
        with pytest.raises(GuardError):  # noticed with the next word
            store.erase(0)
        store.append([make_row(1)])
        store.append([make_row(2)])
        assert [row.index for row in reader.rows()] == [0, 1, 2]
        assert reader.checkpoint_at_most(9) == ONE


def test_first_batch_of_an_empty_log_may_be_the_one_in_doubt(server_place: PostgresPlace) -> None:
    with open_store(server_place) as store, store.reader() as reader:
        lose(store, server_place, 0, persisted=True)
        store.append([make_row(0)])
        assert list(reader.rows()) == [make_row(0)]


def test_other_rows_are_not_taken_in_the_place_of_those_in_doubt(server_place: PostgresPlace) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
        lose(store, server_place, 1, persisted=True)
        with pytest.raises(ValueError, match="those of the batch in doubt"):
            store.append([make_row(1)._replace(leaf=b"x" * 32)])
        store.append([make_row(1)])
        assert store.size == 2


def test_answer_to_taking_it_again_may_be_lost_too(server_place: PostgresPlace) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
        cut(store, server_place)
        # The term was raised under this writer's own name, and it never heard of it.
        server_place.sql("UPDATE writer SET term = term + 1")
        with pytest.raises(GuardError):
            store.append([make_row(1)])
        store.append([make_row(1)])
        assert store.size == 2


def test_session_of_an_earlier_try_that_still_holds_the_log_is_no_other_writer(
    server_place: PostgresPlace,
) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
        cut(store, server_place)
        with pytest.raises(GuardError):
            store.append([make_row(1)])
        with server_place.server.connect(server_place.database) as shell:
            shell.execute("SELECT pg_advisory_lock(%s::bigint)", (fence._key(store._address.schema),))
            server_place.sql("UPDATE writer SET term = term + 1")
            with pytest.raises(GuardError, match="up again yet") as caught:
                store.append([make_row(1)])
            assert caught.value.code == "AG551"
        store.append([make_row(1)])
        assert store.size == 2


@pytest.fixture
def wire(server_place: PostgresPlace) -> Iterator[Wire]:
    made = Wire(server_place.server.port)
    yield made
    made.cut()


def test_log_that_the_servers_old_session_still_holds_is_taken_once_that_has_ended(
    server_place: PostgresPlace, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address.parse(f"postgresql://postgres@127.0.0.1:{wire.port}/{server_place.database}")
    with PostgresStore(address, IDENTITY) as store:
        store.append([make_row(0)])
        monkeypatch.setattr(connection, "ANSWER_SECONDS", 1.0)
        held, wire.falling_silent = store._connection.info.backend_pid, True
        with pytest.raises(GuardError):
            store.append([make_row(1)])
        # The network is back, and the server knows nothing of it.
        monkeypatch.setattr(connection, "ANSWER_SECONDS", 15.0)
        store._address = server_place.address.of(IDENTITY.operator)
        with pytest.raises(GuardError, match="up again yet") as caught:
            store.append([make_row(1)])
        assert caught.value.code == "AG551"
        with server_place.server.connect() as shell:
            shell.execute("SELECT pg_terminate_backend(%s, 60000)", (held,))
        store.append([make_row(1)])
        assert store.size == 2


# --- or not at all ---------------------------------------------------------------------------------------------------


def refused_for_good(store: PostgresStore, code: str) -> None:
    recorder = recording(store)
    waiting = recorder.append("a", "intent", {})
    with pytest.raises(GuardError) as caught:
        waiting.result(SECONDS)
    assert caught.value.code == code, caught.value
    until(lambda: recorder.failed)
    for _ in range(2):
        with pytest.raises(GuardError) as caught:
            store.append([make_row(store.size)])
        assert caught.value.code == code
    recorder.close()


@pytest.mark.parametrize("lives", [True, False], ids=["holds it", "has left"])
def test_log_that_another_writer_took_meanwhile_is_refused_for_good(
    server_place: PostgresPlace, lives: bool
) -> None:
    with open_store(server_place) as old:
        old.append([make_row(0)])
        cut(old, server_place)
        new = open_store(server_place)
        if not lives:
            new.close()
        refused_for_good(old, "AG511")
        if lives:
            new.append([make_row(1)])
            new.close()


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM entry WHERE leaf_index = 1",
        "DELETE FROM entry",
        "UPDATE entry SET leaf = decode(repeat('ab', 32), 'hex') WHERE leaf_index = 1",
        "INSERT INTO entry SELECT 2, agent, 99, kind, body, leaf FROM entry WHERE leaf_index = 1",
        "UPDATE entry SET leaf_index = 5 WHERE leaf_index = 1",
    ],
    ids=["shorter", "empty", "another leaf", "longer", "elsewhere"],
)
@pytest.mark.parametrize("doubt", [False, True], ids=["nothing in doubt", "a batch in doubt"])
def test_log_that_is_not_the_acknowledged_one_is_refused_for_good(
    server_place: PostgresPlace, change: str, doubt: bool
) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0), make_row(1)])
        if doubt:
            lose(store, server_place, 2, persisted=False)
        else:
            cut(store, server_place)
        server_place.tamper(change)
        with server_place.server.connect(server_place.database) as shell:
            shell.execute(f"SET search_path = {server_place.address.of(IDENTITY.operator).schema}")
            for table in ("entry", "content", "writer"):
                shell.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        if not doubt:
            with pytest.raises(GuardError) as caught:
                store.append([make_row(2)])
            assert caught.value.code == "AG551"
        for _ in range(2):
            with pytest.raises(GuardError) as caught:
                store.append([make_row(2)])
            assert caught.value.code == "AG585"


def test_log_that_was_refused_is_not_taken_up_though_somebody_put_it_right(
    server_place: PostgresPlace,
) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
        cut(store, server_place)
        server_place.tamper("INSERT INTO entry SELECT 1, agent, 99, kind, body, leaf FROM entry")
        for mend in ("SELECT 1", "DELETE FROM entry WHERE leaf_index = 1", "SELECT 1"):
            with pytest.raises(GuardError) as caught:
                store.append([make_row(1)])
            server_place.sql(mend) if caught.value.code == "AG551" else server_place.tamper(mend)
        assert caught.value.code == "AG585"


def test_part_of_a_batch_in_doubt_is_no_batch(server_place: PostgresPlace) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
        commit = store._commit

        def broken() -> None:
            store._connection.execute("COMMIT")
            cut(store, server_place)
            commit()

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store, "_commit", broken)
            with pytest.raises(GuardError):
                store.append([make_row(1), make_row(2)])
        server_place.tamper("DELETE FROM entry WHERE leaf_index = 2")
        with pytest.raises(GuardError) as caught:
            store.append([make_row(1), make_row(2)])
        assert caught.value.code == "AG585"


def test_patience_has_an_end_and_what_waited_is_told_so(start: Callable[..., PostgresPlace]) -> None:
    place = start()
    with open_store(place) as store:
        now = [0.0]
        recorder = Recorder(store, block=lambda: BLOCK, patience=QUICK, clock=lambda: now[0])
        place.server.stop()
        waiting = recorder.append("a", "config", {})
        until(lambda: recorder.trouble)
        assert not waiting.done()
        now[0] = QUICK.seconds
        with pytest.raises(GuardError) as caught:
            waiting.result(SECONDS)
        assert caught.value.code == "AG551"
        with pytest.raises(GuardError) as caught:
            recorder.append("a", "config", {})
        assert caught.value.code == "AG521"
        assert (recorder.trouble, recorder.failed is None) == (None, False)
        recorder.close()


def test_recorder_that_is_closed_meanwhile_waits_no_longer(start: Callable[..., PostgresPlace]) -> None:
    place = start()
    with open_store(place) as store:
        recorder = recording(store, Patience(seconds=600, pause=300))
        place.server.stop()
        waiting = recorder.append("a", "config", {})
        until(lambda: recorder.trouble)
        recorder.close()
        with pytest.raises(GuardError) as caught:
            waiting.result(0)
        assert caught.value.code == "AG551"


def test_store_that_was_closed_takes_nothing_up_again(server_place: PostgresPlace) -> None:
    store = open_store(server_place)
    store.close()
    with pytest.raises(GuardError, match="was closed"):
        store.append([make_row(0)])
    with open_store(server_place) as other:
        other.append([make_row(0)])


def test_entry_that_is_none_is_refused_once_though_its_batch_is_made_again(
    start: Callable[..., PostgresPlace],
) -> None:
    place = start()
    with open_store(place) as store:
        recorder = recording(store)
        recorder.append("a", "config", {}, idempotency_key="k").result(SECONDS)
        place.server.stop()
        answers = [recorder.append("a", "config", {})]
        until(lambda: recorder.trouble)
        # All in one batch: one without the block it needs, then one for which the log is asked.
        with recorder._changed:
            bad: Any = recorder.append("a", "intent", {}, refers_to=9)
            answers.append(recorder.append("a", "config", {}, idempotency_key="k"))
        place.server.start()
        assert [answer.result(SECONDS).index for answer in answers] == [1, 0]
        with pytest.raises(GuardError) as caught:
            bad.result(SECONDS)
        assert caught.value.code == "AG523"
        recorder.close()
