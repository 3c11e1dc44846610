"""One writer for a log on a server: the lock keeps others out, and the term keeps out who was replaced."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent_guard.errors import GuardError
from agent_guard.log.recorder import Recorder
from agent_guard.store import SavedCheckpoint
from agent_guard.store.postgres import Address, PostgresReader, PostgresStore, look_at
from agent_guard.store.postgres.store import _ENTRY, _entry_values
from agent_guard.types import Block, LogIdentity
from tests.chain.stores.conftest import PostgresPlace, open_store
from tests.unit.log.test_crash import check_whole
from tests.unit.store.conftest import IDENTITY, make_row

pytestmark = pytest.mark.chain
CHECKPOINT = SavedCheckpoint(1, (bytes(32),), bytes(32), "note", b"s", None)


def let_go(store: PostgresStore) -> None:
    """As after a fail-over: the session lives, and its lock is gone."""
    store._connection.execute("SELECT pg_advisory_unlock_all()")


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.append([make_row(1)]),
        lambda store: store.save_checkpoint(CHECKPOINT),
        lambda store: store.erase(0),
    ],
    ids=["append", "checkpoint", "erase"],
)
def test_writer_that_was_replaced_can_change_nothing(
    server_place: PostgresPlace, change: Callable[[PostgresStore], None]
) -> None:
    with open_store(server_place) as old:
        old.append([make_row(0)])
        let_go(old)
        with open_store(server_place) as new:
            for _ in range(2):
                with pytest.raises(GuardError, match="another guard has taken over") as caught:
                    change(old)
                assert caught.value.code == "AG511"
            new.append([make_row(1)])
            with new.reader() as reader:
                assert list(reader.rows()) == [make_row(0), make_row(1)]
                assert reader.checkpoint_at_most(9) is None


def test_who_takes_over_waits_for_the_batch_that_is_under_way(server_place: PostgresPlace) -> None:
    with open_store(server_place) as old, ThreadPoolExecutor(1) as aside:
        let_go(old)
        with old._transaction("test") as connection:
            old._insert(connection, "INSERT INTO {log}.content SELECT * FROM unnest(%b::bigint[], %b::bytea[],"
                        " %b::bytea[])", [(0, b"s", b"b")])  # fmt: skip
            opening = aside.submit(open_store, server_place)
            with pytest.raises(TimeoutError):
                opening.result(0.5)
        with opening.result(60) as new:
            new.erase(0)


def test_new_writer_reads_the_size_only_after_the_old_ones_last_batch(
    server_place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(server_place) as old, ThreadPoolExecutor(2) as aside:
        let_go(old)
        reached, go_on = threading.Event(), threading.Event()
        commit = old._commit

        def late() -> None:
            reached.set()
            assert go_on.wait(60)
            commit()

        monkeypatch.setattr(old, "_commit", late)
        appending = aside.submit(old.append, [make_row(0)])
        assert reached.wait(60)
        opening = aside.submit(open_store, server_place)
        with pytest.raises(TimeoutError):
            opening.result(0.5)
        go_on.set()
        appending.result(60)
        with opening.result(60) as new:
            assert new.size == 1


def test_session_that_was_ended_is_never_taken_up_again_once_another_writer_came(
    server_place: PostgresPlace,
) -> None:
    with open_store(server_place) as old:
        old.append([make_row(0)])
        pid = old._connection.info.backend_pid
        with server_place.server.connect() as shell:
            shell.execute("SELECT pg_terminate_backend(%s, 60000)", (pid,))
        with open_store(server_place) as new:
            for code in ("AG551", "AG511", "AG511"):
                with pytest.raises(GuardError) as caught:
                    old.append([make_row(1)])
                assert caught.value.code == code
            new.append([make_row(1)])


def test_term_never_falls(server_place: PostgresPlace) -> None:
    open_store(server_place).close()
    for term in (0, 1):
        with pytest.raises(psycopg.DatabaseError, match="append-only"):
            server_place.sql(f"UPDATE writer SET term = {term}")  # noqa: S608


@pytest.mark.parametrize("indices", [[2], [1, 3], [2, 1, 4], [-1]])
def test_gap_is_refused_by_the_database_too(server_place: PostgresPlace, indices: list[int]) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
        rows = [_entry_values(make_row(index)._replace(counter=index)) for index in map(abs, indices)]
        rows = [(index, *values[1:]) for index, values in zip(indices, rows, strict=True)]
        with (
            pytest.raises(GuardError, match=r"leave a gap|check constraint"),
            store._transaction("leave a gap"),
        ):
            store._insert(store._connection, _ENTRY, rows)
        store.append([make_row(1)])


def test_holder_of_the_log_is_named_by_its_session(server_place: PostgresPlace) -> None:
    with open_store(server_place) as held:
        pid = held._connection.info.backend_pid
        with pytest.raises(GuardError) as caught:
            open_store(server_place)
    assert f"session {pid} of the server" in caught.value.message


def identity_of(number: int) -> LogIdentity:
    return replace(IDENTITY, operator=f"0x{number:040x}")


def test_many_guards_write_to_one_database_at_once(server_place: PostgresPlace) -> None:
    def guard(number: int) -> dict[int, str]:
        with PostgresStore(server_place.address, identity_of(number)) as store:
            recorder = Recorder(store, block=lambda: Block(1, bytes(32), 1))
            waiting = [recorder.append(f"agent-{n % 3}", "config", {"n": n}) for n in range(300)]
            done = [future.result(120) for future in waiting]
            recorder.close()
        return {item.index: item.leaf_hash.hex() for item in done}

    with ThreadPoolExecutor(6) as guards:
        acknowledged = list(guards.map(guard, range(6)))
    for number, leaves in enumerate(acknowledged):
        assert len(leaves) == 300
        with PostgresReader(server_place.address.of(identity_of(number).operator)) as reader:
            assert reader.identity() == identity_of(number)
            check_whole(reader, dict(leaves))
    assert len(look_at(server_place.address).logs) == 6


def test_log_must_be_named_where_there_are_several(server_place: PostgresPlace) -> None:
    for number in range(2):
        PostgresStore(server_place.address, identity_of(number)).close()
    with pytest.raises(GuardError, match="2 logs") as caught:
        PostgresReader(server_place.address)
    assert caught.value.code == "AG510"
    with PostgresReader(Address.parse(f"{server_place.name}#0x{1:040X}")) as reader:
        assert reader.identity() == identity_of(1)


README = Path(__file__).parents[3] / "agent_guard/store/README.md"


def documented_rights(schema: str, role: str) -> str:
    """The GRANTs of the store's README."""
    (block,) = re.findall(r"```sql\n(.*?)```", README.read_text(), re.S)
    return block.replace(":log", schema).replace(":guard", role)


FORBIDDEN = (
    "UPDATE entry SET body = ''",
    "DELETE FROM entry",
    "TRUNCATE entry",
    "ALTER TABLE entry DISABLE TRIGGER ALL",
    "UPDATE content SET body = ''",
    "TRUNCATE content",
    "DELETE FROM checkpoint",
    "UPDATE log SET version = 2",
    "DROP TABLE writer",
)


def test_a_role_with_the_documented_rights_alone_writes_and_can_do_nothing_else(
    server_place: PostgresPlace, postgres: Any, database: str
) -> None:
    open_store(server_place).close()
    role, schema = f"guard_{database}", server_place.address.of(IDENTITY.operator).schema
    with postgres.connect(database) as shell:
        shell.execute(f"CREATE ROLE {role} LOGIN; {documented_rights(schema, role)}")
    address = Address.parse(postgres.url(database, role))
    with PostgresStore(address, IDENTITY) as store, store.reader() as reader:
        store.append([make_row(0, key="k"), make_row(1)])
        store.save_checkpoint(CHECKPOINT)
        store.save_checkpoint(replace(CHECKPOINT, tx="0x1"))
        store.erase(0)
        assert reader.row(1) == make_row(1)
        with pytest.raises(GuardError) as caught, PostgresStore(address, identity_of(1)):
            pass
        assert caught.value.code == "AG552"
    with psycopg.connect(postgres.url(database, role), autocommit=True) as shell:
        shell.execute(f"SET search_path = {schema}")
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                shell.execute(statement)
    with postgres.connect(database) as shell:
        shell.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_the_owner_himself_has_no_right_to_change_entries(
    server_place: PostgresPlace, postgres: Any, database: str
) -> None:
    role = f"owner_{database}"
    with postgres.connect(database) as shell:
        shell.execute(f"CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {database} TO {role}")
    address = Address.parse(postgres.url(database, role))
    with PostgresStore(address, IDENTITY) as store:
        store.append([make_row(0)])
    with psycopg.connect(postgres.url(database, role), autocommit=True) as shell:
        shell.execute(f"SET search_path = {address.of(IDENTITY.operator).schema}")
        for statement in (
            "UPDATE entry SET body = ''",
            "DELETE FROM entry",
            "TRUNCATE entry",
            "UPDATE content SET body = ''",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                shell.execute(statement)
    with postgres.connect(database) as shell:
        shell.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.mark.parametrize("mode", ["origin", "replica"])
def test_triggers_hold_against_a_superuser_in_any_replication_role(
    server_place: PostgresPlace, mode: str
) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0)])
        for statement in (
            "UPDATE entry SET body = ''",
            "TRUNCATE entry",
            "TRUNCATE content, checkpoint",
            "DELETE FROM writer",
        ):
            with pytest.raises(psycopg.DatabaseError, match="append-only"):
                server_place.sql(f"SET session_replication_role = {mode}; {statement}")
