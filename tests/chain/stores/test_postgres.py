"""What can go wrong with a server: one clear error for each, a bound in time, and nothing acknowledged is lost."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.log.recorder import Recorder
from agent_guard.store import Content
from agent_guard.store.postgres import Address, PostgresReader, PostgresStore, connection
from agent_guard.types import Block
from tests.chain.stores.conftest import PostgresPlace, open_store
from tests.unit.store.conftest import IDENTITY, make_row

pytestmark = pytest.mark.chain
WALKER_HEX = make_row(0).agent.hex()
SECRET = "Correct-Horse-7"


def test_server_that_is_not_there_is_named(server_place: PostgresPlace) -> None:
    away = Address.parse("postgresql://postgres@127.0.0.1:1/postgres")
    for opening in (lambda: PostgresStore(away, IDENTITY), lambda: PostgresReader(away)):
        with pytest.raises(GuardError) as caught:
            opening()
        assert caught.value.code == "AG551"
    with pytest.raises(GuardError) as caught:
        PostgresStore(Address.parse(server_place.server.url("nowhere")), IDENTITY)
    assert caught.value.code == "AG510"


def test_server_that_hangs_is_given_up_in_time_and_what_waits_is_there_once_it_goes_on(
    start: Callable[..., PostgresPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = start()
    with open_store(place) as store, store.reader() as reader:
        monkeypatch.setattr(connection, "ANSWER_SECONDS", 1.0)
        recorder = Recorder(store, block=lambda: Block(1, bytes(32), 1))
        recorder.append("a", "config", {}).result(60)
        place.server.freeze()
        waiting = recorder.append("a", "intent", {"n": 1})
        deadline = time.monotonic() + 60
        while recorder.trouble is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert recorder.trouble.code == "AG551"
        later = recorder.append("a", "intent", {"n": 2})
        with pytest.raises(GuardError) as caught:
            reader.size()
        assert caught.value.code == "AG551"
        # Connecting is bounded too.
        with pytest.raises(GuardError) as caught:
            store.reader()
        assert caught.value.code == "AG551"
        place.server.thaw()
        monkeypatch.setattr(connection, "ANSWER_SECONDS", 15.0)
        assert [one.result(120).index for one in (waiting, later)] == [1, 2]
        recorder.close()
    with place.reader() as again:
        assert [row.index for row in again.rows()] == [0, 1, 2]


def test_reader_connects_anew_after_the_server_was_away_but_never_within_a_snapshot(
    start: Callable[..., PostgresPlace],
) -> None:
    place = start()
    with open_store(place) as store:
        store.append([make_row(0)])
    with place.reader() as reader:
        place.server.restart()
        with pytest.raises(GuardError) as caught:
            reader.size()
        assert caught.value.code == "AG551"
        assert (reader.size(), reader.identity()) == (1, IDENTITY)
        with reader.snapshot():
            place.server.restart()
            for _ in range(2):
                with pytest.raises(GuardError) as caught:
                    reader.size()
                assert caught.value.code == "AG551"
        assert reader.row(0) == make_row(0)
    with pytest.raises(GuardError):
        reader.size()


def test_session_that_only_waits_is_not_ended_by_the_servers_default(server_place: PostgresPlace) -> None:
    with server_place.server.connect() as shell:
        shell.execute(f"ALTER DATABASE {server_place.database} SET idle_session_timeout = '2s'")
    with open_store(server_place) as store, store.reader() as reader:
        time.sleep(3)
        store.append([make_row(0)])
        assert reader.size() == 1


@pytest.fixture
def lettered(postgres: Any, database: str) -> Iterator[str]:
    """The address of a role that needs a password."""
    with postgres.connect(database) as shell:
        shell.execute(
            f"CREATE ROLE lettered LOGIN PASSWORD '{SECRET}'; GRANT CREATE ON DATABASE {database} TO lettered"
        )
    yield postgres.url(database, "lettered")
    with postgres.connect(database) as shell:
        shell.execute("DROP OWNED BY lettered CASCADE; DROP ROLE lettered")


def test_password_comes_from_a_file_and_stands_in_no_error(
    lettered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    for password in (None, "wrong-" + SECRET):
        with pytest.raises(GuardError) as caught:
            PostgresStore(Address.parse(lettered, password), IDENTITY)
        assert caught.value.code == "AG552"
        assert SECRET not in str(caught.value)
    address = Address.parse(lettered, SECRET)
    assert SECRET not in repr(address)
    PostgresStore(address, IDENTITY).close()
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:*:{SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    PostgresStore(Address.parse(lettered), IDENTITY).close()


def test_read_only_server_refuses_the_writer_and_serves_the_reader(server_place: PostgresPlace) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
    with server_place.server.connect() as shell:
        shell.execute(f"ALTER DATABASE {server_place.database} SET default_transaction_read_only = on")
    with pytest.raises(GuardError) as caught:
        open_store(server_place)
    assert caught.value.code == "AG516"
    with server_place.reader() as reader:
        assert list(reader.rows()) == [make_row(0)]


def test_locked_table_is_named_after_the_wait(server_place: PostgresPlace) -> None:
    with open_store(server_place) as store, server_place.server.connect(server_place.database) as shell:
        store._connection.execute("SET lock_timeout = '50ms'")
        with shell.transaction():
            shell.execute(f"LOCK TABLE {store._address.schema}.entry IN EXCLUSIVE MODE")
            with pytest.raises(GuardError) as caught:
                store.append([make_row(0)])
            assert caught.value.code == "AG514"
        store.append([make_row(0)])


@pytest.mark.parametrize(
    "make",
    [
        "CREATE TABLE recipes (name text)",
        "CREATE TABLE log (name text)",
        "CREATE TABLE log (version integer, chain_id bigint, council text, operator text);"
        " INSERT INTO log VALUES (7, 1, '', '')",
    ],
)
def test_schema_of_something_else_is_refused(server_place: PostgresPlace, make: str) -> None:
    schema = server_place.address.of(IDENTITY.operator).schema
    with server_place.server.connect(server_place.database) as shell:
        shell.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {make}")
    for opening in (lambda: open_store(server_place), server_place.reader):
        with pytest.raises(GuardError) as caught:
            opening()
        assert caught.value.code == "AG518"


def test_error_quotes_no_row(server_place: PostgresPlace) -> None:
    """PostgreSQL's details quote the row that failed, and so what an agent did."""
    with open_store(server_place) as store:
        store.append([make_row(0)])
        with pytest.raises(GuardError) as caught:
            store.append([make_row(1, counter=0)._replace(content=Content(b"s" * 32, b"my-private-words"))])
    said = str(caught.value)
    assert "duplicate key" in said
    assert "\\x" not in said
    assert WALKER_HEX not in said
