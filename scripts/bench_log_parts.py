"""The measurements of bench_log.py. Each yields ratios of the product's own part to the bare parts it is made of."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_log_sample import (
    AGENT,
    BATCH,
    BLOCK,
    ID,
    IDENTITY,
    facts_of,
    hash_all,
    peak_memory,
    rows,
    written,
)
from fastapi import FastAPI

from agent_guard.api.app import create_app, door
from agent_guard.api.server import Server
from agent_guard.api.socket import bind_socket
from agent_guard.audit import AuditLimits, Log, Result, audit
from agent_guard.entry import Kind
from agent_guard.gate import Gate, History, Limits
from agent_guard.log.reading import pages_until_damage
from agent_guard.log.recorder import Recorder
from agent_guard.merkle import Frontier, inclusion_proof
from agent_guard.store import Row, SqliteReader, SqliteStore
from agent_guard.types import Decision, Standing, Verdict

CLIENTS = 16
ACTION = b'{"tool":"fs.write","arguments":{"path":"report.md","bytes":1200}}'


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure: `ours` and `bare` in `unit`, their ratio, and the ratio to keep to (None: shown only)."""

    name: str
    unit: str
    ours: float
    bare: float
    target: float | None = None
    at_least: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.bare

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

    def __str__(self) -> str:
        wanted = "" if self.target is None else f"{'>=' if self.at_least else '<='} {self.target:g}"
        verdict = "" if self.target is None else ("met" if self.met else "MISSED")
        figures = f"{self.ours:12,.3f} {self.bare:12,.3f} {self.unit:4} {self.ratio:7.3f}"
        return f"{self.name:46} {figures}  {wanted:7} {verdict}"


# ---------------------------------------------------------------------------------------------------------- appending


def appending(folder: Path, count: int, rounds: int) -> Iterator[Ratio]:
    """Durable appends in batches of 256, by the store and by the recorder, beside `executemany` of the same rows."""
    given = rows(0, count)
    values = [{"n": index, "path": f"report-{index}.md"} for index in range(count)]
    bare, stored, recorded = [], [], []
    for number in range(rounds):
        bare.append(_executemany(folder / f"bare-{number}.sqlite", given))
        stored.append(_store(folder / f"store-{number}.sqlite", given))
        recorded.append(_record(folder / f"record-{number}.sqlite", values))
    yield Ratio("append a row, store", "us", _per(stored, count), _per(bare, count), 3.0)
    yield Ratio("append an action from its values, recorder", "us", _per(recorded, count), _per(bare, count))


def _executemany(path: Path, given: Sequence[Row]) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE entry (leaf_index INTEGER PRIMARY KEY, agent BLOB, counter INTEGER, kind TEXT, body BLOB,"
        " leaf BLOB, salt BLOB, content BLOB) STRICT"
    )
    plain = [
        (row.index, row.agent, row.counter, row.kind, row.body, row.leaf, row.content.salt, row.content.body)
        for row in given
        if row.content
    ]
    started = time.perf_counter()
    for at in range(0, len(plain), BATCH):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", plain[at : at + BATCH])
        connection.execute("COMMIT")
    taken = time.perf_counter() - started
    connection.close()
    path.unlink()
    return taken


def _store(path: Path, given: Sequence[Row]) -> float:
    with SqliteStore(path, IDENTITY) as store:
        started = time.perf_counter()
        for at in range(0, len(given), BATCH):
            store.append(given[at : at + BATCH])
        taken = time.perf_counter() - started
    path.unlink()
    return taken


def _record(path: Path, values: Sequence[Any]) -> float:
    with SqliteStore(path, IDENTITY) as store:
        recorder = Recorder(store, lambda: BLOCK)
        started = time.perf_counter()
        for at in range(0, len(values), BATCH):
            waiting = [recorder.append(AGENT, Kind.INTENT, value) for value in values[at : at + BATCH]]
            for future in waiting:
                future.result()
        taken = time.perf_counter() - started
        recorder.close()
    path.unlink()
    return taken


# ---------------------------------------------------------------------------------------------------- over the socket


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The sockets of a guard's own door, and of an empty FastAPI POST behind the same server; in another process."""
    ours, empty = folder / "ours.sock", folder / "empty.sock"
    ready, end = multiprocessing.Event(), multiprocessing.Event()
    process = multiprocessing.Process(target=_serve, args=(folder, ours, empty, ready, end))
    process.start()
    try:
        if not ready.wait(30):
            raise SystemExit("the server did not come up within 30 s")
        yield ours, empty
    finally:
        end.set()
        process.join(20)
        process.kill()


def _serve(folder: Path, ours: Path, empty: Path, ready: Any, end: Any) -> None:
    path = folder / f"socket-{os.getpid()}.sqlite"
    with SqliteStore(path, IDENTITY) as store, store.reader() as reader:
        recorder = Recorder(store, lambda: BLOCK)
        standing = Standing(AGENT, Verdict(Decision.RUN, "it may run"), BLOCK, None)
        limits = Limits(tail_entries=10**9, tail_seconds=1e9)
        gate = Gate(AGENT, lambda: standing, recorder, lambda: (0, 0.0), History(AGENT, reader), limits)
        server = Server()
        server.start()
        server.open(door(create_app(), gate), bind_socket(ours))
        server.open(_empty(), bind_socket(empty))
        ready.set()
        end.wait(600)
        server.stop()
        recorder.close()
    path.unlink()


def _empty() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/actions")
    async def nothing() -> dict[str, str]:
        return {}

    return app


def socket_one(folder: Path, actions: int, rounds: int) -> Iterator[Ratio]:
    """One durable action, asked for and answered, beside one FULL commit plus one empty FastAPI round trip."""
    with serving(folder) as (ours, empty):
        acted, asked, committed = [], [], []
        for number in range(rounds):
            acted.append(asyncio.run(_requests(ours, 1, actions // 4)))
            asked.append(asyncio.run(_requests(empty, 1, actions // 4)))
            committed.append(_commits(folder / f"commit-{number}.sqlite", actions // 4))
    count = actions // 4
    bare = _per(asked, count) + _per(committed, count)
    yield Ratio("one durable action over the socket", "us", _per(acted, count), bare, 4.0)


def socket_many(folder: Path, actions: int, rounds: int) -> Iterator[Ratio]:
    """Actions a second of 16 clients, beside empty FastAPI POSTs of 16 clients behind the same server."""
    with serving(folder) as (ours, empty):
        acted, asked = [], []
        for _ in range(rounds):
            acted.append(asyncio.run(_requests(ours, CLIENTS, actions)))
            asked.append(asyncio.run(_requests(empty, CLIENTS, actions)))
    yield Ratio(
        f"{CLIENTS} clients, actions a second",
        "1/s",
        actions / statistics.median(acted),
        actions / statistics.median(asked),
        0.6,
        at_least=True,
    )


async def _requests(path: Path, clients: int, count: int) -> float:
    """Seconds for `count` requests of `clients` connections that each wait for their answer. A bare client, so that
    what is measured is the server."""
    lines = ("POST /v1/actions HTTP/1.1", "Host: guard", "Content-Type: application/json")
    request = "\r\n".join([*lines, f"Content-Length: {len(ACTION)}", "", ""]).encode() + ACTION

    async def work(share: int) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        for _ in range(share):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"the server refused: {answer!r}")
            length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(work(count // clients) for _ in range(clients)))
    return time.perf_counter() - started


def _commits(path: Path, count: int) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entry (leaf_index INTEGER PRIMARY KEY, body BLOB) STRICT")
    body = bytes(600)
    started = time.perf_counter()
    for index in range(count):
        connection.execute("INSERT INTO entry VALUES (?, ?)", (index, body))
    taken = time.perf_counter() - started
    connection.close()
    path.unlink()
    return taken


# ----------------------------------------------------------------------------------------------------------- auditing


def auditing(folder: Path, entries: int) -> Iterator[Ratio]:
    """A whole audit, beside SHA-256 of the same bytes and the tree over them."""
    with SqliteReader(written(folder, entries)) as reader:
        facts = facts_of(reader, entries)
        bare = hash_all(reader)
        started = time.perf_counter()
        found = audit(ID, Log(reader.identity(), pages_until_damage(reader)), facts, AuditLimits())
        taken = time.perf_counter() - started
    if found.result is not Result.VERIFIED or found.anchored != entries:
        raise SystemExit(f"the audit did not verify: {found}")
    yield Ratio(f"audit of {entries:,} entries", "s", taken, bare, 4.0)


def growing(folder: Path, entries: int) -> Iterator[Ratio]:
    """The memory of an audit of a long log, beside that of one a tenth as long; each in a process of its own."""
    short, long = (_memory(folder, count) for count in (entries // 10, entries))
    yield Ratio(f"memory of an audit, {entries:,} to a tenth", "MiB", long, short, 1.2)
    yield Ratio(f"memory of an audit of {entries:,}, to 300 MiB", "MiB", long, 300.0, 1.0)


def _memory(folder: Path, entries: int) -> float:
    path = written(folder, entries)
    queue: Any = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=_audit_alone, args=(path, entries, queue))
    process.start()
    peak = float(queue.get(timeout=1_800))
    process.join(30)
    return peak


def _audit_alone(path: Path, entries: int, queue: Any) -> None:
    with SqliteReader(path) as reader:
        audit(
            ID, Log(reader.identity(), pages_until_damage(reader)), facts_of(reader, entries), AuditLimits()
        )
    queue.put(peak_memory())


def proving(folder: Path, entries: int) -> Iterator[Ratio]:
    """Bytes read for a proof from tiles, beside those of the log."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agent_guard.checkpoint import Checkpoint, Signer, log_origin, sign_note
    from agent_guard.log.publish import publish
    from agent_guard.store import SavedCheckpoint
    from agent_guard.store.tiles import Folder, TileLog

    path, site = written(folder, entries), folder / "site"
    with SqliteStore(path, IDENTITY) as store, store.reader() as reader:
        tree = Frontier()
        tree.extend(reader.leaves(0, entries))
        origin = log_origin(IDENTITY.chain_id, IDENTITY.council, IDENTITY.operator)
        note = sign_note(
            str(Checkpoint(origin, entries, tree.root())), [Signer(origin, Ed25519PrivateKey.generate())]
        )
        store.save_checkpoint(SavedCheckpoint(entries, tree.nodes, tree.root(), note, bytes(65), None))
        started = time.perf_counter()
        publish(reader, site)
        published = time.perf_counter() - started

    class Counting(Folder):
        read = 0

        def chunks(self, path: str) -> Iterator[bytes]:
            for chunk in super().chunks(path):
                Counting.read += len(chunk)
                yield chunk

    log = TileLog(Counting(site))
    started = time.perf_counter()
    inclusion_proof(entries // 3, entries, log.subtree)
    taken = time.perf_counter() - started
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    yield Ratio("bytes read for one proof from tiles, to all", "KiB", Counting.read / 1024, size / 1024, 0.01)
    yield Ratio("one proof from tiles, to publishing them", "s", taken, published)


def _per(taken: Sequence[float], count: int) -> float:
    """Microseconds for one, by the median round."""
    return statistics.median(taken) / count * 1e6
