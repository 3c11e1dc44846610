"""A network that falls silent between guard and server: the guard gives up in time, and its batch is found."""

from collections.abc import Iterator

import pytest

from agent_guard.errors import GuardError
from agent_guard.store.postgres import Address, PostgresStore, connection
from tests.chain.stores.conftest import PostgresPlace
from tests.postgres import Wire
from tests.unit.store.conftest import IDENTITY, make_row

pytestmark = pytest.mark.chain


@pytest.fixture
def wire(server_place: PostgresPlace) -> Iterator[Wire]:
    made = Wire(server_place.server.port)
    yield made
    made.cut()


def over(wire: Wire, place: PostgresPlace) -> Address:
    return Address.parse(f"postgresql://postgres@127.0.0.1:{wire.port}/{place.database}")


def test_batch_whose_answer_was_lost_is_there_once_and_its_writer_adds_nothing_more(
    server_place: PostgresPlace, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PostgresStore(over(wire, server_place), IDENTITY) as old:
        old.append([make_row(0)])
        session = old._connection.info.backend_pid
        monkeypatch.setattr(connection, "ANSWER_SECONDS", 4.0)
        commit = old._commit

        def unheard() -> None:
            wire.falling_silent = True
            commit()

        monkeypatch.setattr(old, "_commit", unheard)
        with pytest.raises(GuardError, match="may or may not have been kept") as caught:
            old.append([make_row(1)])
        assert caught.value.code == "AG551"
        assert old.size == 1
        # The server has not noticed yet: the log is still that session's.
        with pytest.raises(GuardError) as caught:
            server_place.store()
        assert caught.value.code == "AG511"
        wire.cut()
        with pytest.raises(GuardError) as caught:
            old.append([make_row(1)])
        assert caught.value.code == "AG551"
    with server_place.server.connect() as shell:  # it ends that session once it hears of the cut
        shell.execute("SELECT pg_terminate_backend(%s, 60000)", (session,))
    with server_place.store() as new, new.reader() as reader:
        assert new.size == 2
        new.append([make_row(2)])
        assert list(reader.rows()) == [make_row(0), make_row(1), make_row(2)]


def test_server_looks_after_a_silent_guard_within_twenty_seconds(server_place: PostgresPlace) -> None:
    """Its own keepalives end the session of a guard whose host is gone."""
    with PostgresStore(server_place.address, IDENTITY) as store:
        asked = "SELECT current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'),"
        found = store._connection.execute(f"{asked} current_setting('tcp_keepalives_count')").fetchone()
    idle, interval, count = map(int, found)
    assert idle + interval * count <= 20
