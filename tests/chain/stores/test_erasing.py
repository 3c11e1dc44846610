"""Erasing on record in either store: what is found of it, and what a writer that was lost in between leaves to do."""

import pytest

from agent_guard.entry import Entry, Kind
from agent_guard.errors import GuardError
from agent_guard.log.erasure import Eraser
from agent_guard.log.reading import get
from agent_guard.log.recorder import Recorder
from agent_guard.store import Store
from agent_guard.store.rows import erasure_key
from tests.chain.stores.conftest import Place, PostgresPlace, open_store
from tests.unit.store.conftest import make_row

pytestmark = pytest.mark.chain


def eraser_of(store: Store) -> tuple[Eraser, Recorder]:
    recorder = Recorder(store, block=lambda: None)
    return Eraser(store, recorder), recorder


def filled(store: Store) -> tuple[Eraser, Recorder]:
    eraser, recorder = eraser_of(store)
    for number in range(4):
        recorder.append("walker", "config", {"n": number}).result(10)
    return eraser, recorder


def test_erased_on_record_is_found_with_its_reason(place: Place, store: Store) -> None:
    eraser, recorder = filled(store)
    done, again = eraser.erase("walker", 1, "first"), eraser.erase("walker", 1, "second")
    assert [(one.record, one.repeated) for one in (done, again)] == [(4, False), (4, True)]
    recorder.close()
    with place.reader() as reader:
        shown = get(reader, 1)
        assert shown.erasure is not None
        assert (shown.content, shown.erasure.content) == (None, {"reason": "first"})
        assert [row.index for row in reader.erasures()] == [4]
        assert [get(reader, at).content for at in (0, 2, 3)] == [{"n": 0}, {"n": 2}, {"n": 3}]


def test_records_are_found_among_many_entries_in_order_and_from_anywhere(place: Place, store: Store) -> None:
    rows = [make_row(at) for at in range(1_700)]
    chosen = [at for at in range(1_700) if at % 3 == 1]
    store.append([row._replace(kind="erasure") if row.index in chosen else row for row in rows])
    with place.reader() as reader:
        assert [row.index for row in reader.erasures()] == chosen
        assert [row.index for row in reader.erasures(1_001)] == [at for at in chosen if at >= 1_001]
        assert list(reader.erasures(1_700)) == []


def test_what_was_only_recorded_is_carried_out_by_the_next_writer(place: Place) -> None:
    with place.store() as store:
        _, recorder = filled(store)
        for index in (0, 2):
            order = recorder.append(
                "walker", "erasure", {}, refers_to=index, idempotency_key=erasure_key(index)
            )
            order.result(10)
        recorder.close()
    with place.store() as store:
        eraser, recorder = eraser_of(store)
        assert (eraser.finish(), eraser.finish()) == (2, 0)
        recorder.close()
    with place.reader() as reader:
        assert [row.index for row in reader.rows() if row.content is None] == [0, 2]


def test_server_that_drops_the_writer_between_record_and_erasure_leaves_it_to_the_next(
    server_place: PostgresPlace,
) -> None:
    class Dropping:
        """The store, but that the server ends its session where the erasure would begin."""

        def __init__(self, inner: Store) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

        def erase(self, index: int) -> None:
            with server_place.server.connect(server_place.database) as shell:
                shell.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            self._inner.erase(index)

    with open_store(server_place) as store:
        eraser, recorder = filled(Dropping(store))  # type: ignore[arg-type]
        with pytest.raises(GuardError, match=r"on record \(entry 4\), and not finished") as caught:
            eraser.erase("walker", 1, "asked for")
        assert caught.value.code == "AG582"
        recorder.close()
    with open_store(server_place) as store:
        with store.reader() as reader:
            assert get(reader, 1).content == {"n": 1}
            (record,) = reader.erasures()
            assert (Entry.decode(record.body).kind, Entry.decode(record.body).refers_to) == (Kind.ERASURE, 1)
        eraser, recorder = eraser_of(store)
        assert eraser.finish() == 1
        recorder.close()
