"""What a server keeps and what it forgets: commits that count, damage that is named, full disks, erased bytes."""

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.log.reading import pages_until_damage
from agent_guard.log.recorder import Recorder
from agent_guard.store import Content, Row
from agent_guard.store.postgres import PostgresStore
from tests.chain.stores.conftest import PostgresPlace, open_store
from tests.unit.store.conftest import IDENTITY, make_row

pytestmark = pytest.mark.chain


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_server_that_may_lose_what_it_acknowledged_is_refused(
    start: Callable[..., PostgresPlace], setting: str
) -> None:
    place = start(**{setting: "off"})
    with pytest.raises(GuardError, match=f"its {setting} is off") as caught:
        open_store(place)
    assert caught.value.code == "AG553"
    with pytest.raises(GuardError) as caught:
        place.reader()
    assert caught.value.code == "AG510"


def test_database_of_another_encoding_is_refused(postgres: Any) -> None:
    with postgres.connect() as shell:
        shell.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(GuardError, match="LATIN1") as caught:
        open_store(PostgresPlace(postgres, "latin"))
    assert caught.value.code == "AG553"
    with postgres.connect() as shell:
        shell.execute("DROP DATABASE latin")


@pytest.mark.parametrize(
    ("setting", "used"), [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
)
def test_commit_is_synchronous_whatever_the_database_says(
    server_place: PostgresPlace, setting: str, used: str
) -> None:
    server_place.server.connect().execute(
        f"ALTER DATABASE {server_place.database} SET synchronous_commit = {setting}"
    )
    with open_store(server_place) as store, store._transaction("look") as opened:
        assert opened.execute("SHOW synchronous_commit").fetchone() == (used,)


def until_commits_wait(place: PostgresPlace) -> None:
    """Until a reload of the settings has come to all of the server: some commit, confirmed by no standby, waits."""
    deadline = time.monotonic() + 120
    with ThreadPoolExecutor(1) as aside, place.server.connect() as probe, place.server.connect() as shell:
        commit = None
        while not shell.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ).rowcount:
            assert time.monotonic() < deadline
            if commit is None or commit.done():
                commit = aside.submit(probe.execute, "SELECT pg_logical_emit_message(true, '', '')")
            time.sleep(0.02)


def test_commit_that_no_standby_confirmed_is_not_acknowledged(start: Callable[..., PostgresPlace]) -> None:
    place = start()
    with open_store(place) as store:
        with place.server.connect() as shell:
            shell.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            shell.execute("SELECT pg_reload_conf()")
            until_commits_wait(place)
            recorder = Recorder(store, block=lambda: None)
            waiting = recorder.append("a", "config", {})
            # An administrator loses his patience; the server then says COMMIT, and warns. So it does of the new term
            # with which the writer comes back, and the batch, which is there, still counts for nothing.
            cancelled, deadline = 0, time.monotonic() + 120
            while cancelled < 4:
                assert time.monotonic() < deadline
                found = shell.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                )
                cancelled += found.rowcount
                time.sleep(0.02)
            assert (waiting.done(), store.size) == (False, 0)
            assert recorder.trouble is not None
            assert recorder.trouble.code == "AG551"
            shell.execute("ALTER SYSTEM RESET synchronous_standby_names")
            shell.execute("SELECT pg_reload_conf()")
            assert waiting.result(120).index == 0
        assert (store.size, recorder.trouble) == (1, None)
        recorder.close()


def file_of(place: PostgresPlace, table: str) -> Path:
    with place.server.connect(place.database) as shell:
        found = shell.execute(
            "SELECT pg_relation_filepath(%s)", (f"{place.address.of(IDENTITY.operator).schema}.{table}",)
        )
        return Path(place.server.data / found.fetchone()[0])


def test_corrupt_page_is_named_and_what_stands_before_it_is_read(start: Callable[..., PostgresPlace]) -> None:
    place = start()
    with open_store(place) as store:
        store.append([make_row(index) for index in range(1_000)])
    path = file_of(place, "entry")
    place.server.stop()
    with path.open("r+b") as file:
        at = path.read_bytes().index(b'{"index":700}') // 8192 * 8192
        file.seek(at + 200)
        file.write(b"\xee" * 400)
    place.server.start()
    found: list[Row] = []
    with place.reader() as reader, reader.snapshot(), pytest.raises(GuardError) as caught:
        found.extend(row for page in pages_until_damage(reader) for row in page)
    assert caught.value.code == "AG515"
    assert 500 < len(found) <= 700
    assert found == [make_row(index) for index in range(len(found))]


@dataclass
class SmallDisk:
    """A database on a file system of 24 MiB, `folder`; nothing on the server takes or frees space by itself."""

    place: PostgresPlace
    folder: Path

    def forget_catalogues(self) -> None:
        """As autovacuum may at any time: the server writes what it remembers of them anew at the next connection."""
        (remembered,) = self.folder.rglob("pg_internal.init")
        remembered.unlink()

    def fill_up(self) -> None:
        with (self.folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def grow(self) -> None:
        subprocess.run(["mount", "-o", "remount,size=32m", str(self.folder)], check=True)


@pytest.fixture
def small_disk(start: Callable[..., PostgresPlace]) -> Iterator[SmallDisk]:
    """Only root can mount one."""
    server = start(autovacuum="off").server
    folder = server.folder / "small"
    folder.mkdir()
    mine = f"size=24m,mode=700,uid={pwd.getpwnam(server.user).pw_uid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", mine, "tmpfs", str(folder)], check=True)
    with server.connect() as shell:
        shell.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        shell.execute("CREATE DATABASE small TABLESPACE small")
    yield SmallDisk(PostgresPlace(server, "small"), folder)
    server.stop()
    subprocess.run(["umount", str(folder)], check=True)


def fill(store: PostgresStore) -> None:
    """Appends until it fails."""
    for first in range(0, 10_000, 10):
        noise = [Content(bytes(32), os.urandom(50_000)) for _ in range(10)]
        store.append([make_row(first + n)._replace(content=content) for n, content in enumerate(noise)])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_is_named_and_everything_acknowledged_is_there(small_disk: SmallDisk) -> None:
    with open_store(small_disk.place) as store:
        with pytest.raises(GuardError) as caught:
            fill(store)
        kept = store.size
    assert caught.value.code == "AG513"
    assert kept > 0
    # A server whose disk is full may not even get at its own catalogues, and says so in other words.
    small_disk.forget_catalogues()
    small_disk.fill_up()
    with pytest.raises(GuardError) as caught:
        open_store(small_disk.place)
    assert caught.value.code == "AG513"

    small_disk.grow()
    with open_store(small_disk.place) as store, store.reader() as reader:
        assert store.size == kept
        assert [row.index for row in reader.rows()] == list(range(kept))


def test_erased_bytes_are_gone_from_the_tables_after_the_documented_vacuum(
    start: Callable[..., PostgresPlace],
) -> None:
    """The write-ahead log keeps them until its segments are overwritten: see agent_guard/store/README.md."""
    place = start()
    contents = [Content(os.urandom(32), os.urandom(size)) for size in (40, 40, 20_000)]
    with open_store(place) as store:
        store.append([make_row(n)._replace(content=content) for n, content in enumerate(contents)])
        with place.server.connect() as shell:
            shell.execute("CHECKPOINT")
            assert all(pieces_left(place, content) for content in contents)
            store.erase(0)
            store.erase(2)
            shell.execute(f"VACUUM FULL {store._address.schema}.content")
            shell.execute("CHECKPOINT")
            shell.execute("CHECKPOINT")  # the old file is unlinked only now
        assert [bool(pieces_left(place, content)) for content in contents] == [False, True, False]
        with store.reader() as reader:
            assert [row.content is None for row in reader.rows()] == [True, False, True]


def test_erased_content_can_not_be_put_back_by_the_writer_himself(server_place: PostgresPlace) -> None:
    with open_store(server_place) as store:
        store.append([make_row(0), make_row(1)])
        store.erase(0)
        with (
            pytest.raises(GuardError, match="content is append-only"),
            store._transaction("put back") as opened,
        ):
            opened.execute(f"INSERT INTO {store._address.schema}.content VALUES (0, 's', 'b')")  # noqa: S608
        with store.reader() as reader:
            assert reader.row(0) == make_row(0)._replace(content=None)


def pieces_left(place: PostgresPlace, content: Content) -> list[bytes]:
    """What of an entry's content lies in any table's file."""
    files = b"".join(path.read_bytes() for path in (place.server.data / "base").rglob("*") if path.is_file())
    # A long body is spread over pages; pieces closer than a page miss none.
    pieces = [content.salt, *(content.body[at : at + 16] for at in range(0, len(content.body) - 15, 992))]
    return [piece for piece in pieces if piece in files]
