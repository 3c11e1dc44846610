"""The log that the benchmarks measure: an agent's requests and outcomes by turns, and a chain that anchored them.

Guarantees: the entries are valid and the chain's side fits them, so that an audit verifies all of it. Imports no more
than an audit of a database needs, so that the memory of a process that audits is the audit's.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from agent_guard.audit import Anchors, ChainFacts, Event, Extension, Happening
from agent_guard.entry import BlockRef, Entry, Kind, commitment
from agent_guard.merkle import Frontier, leaf_hash
from agent_guard.store import Content, Reader, Row, SqliteStore
from agent_guard.typed_data import agent_id
from agent_guard.types import AgentState, Block, Head, LogIdentity, State

AGENT = "scout"
ID = agent_id(AGENT)
IDENTITY = LogIdentity(
    31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
)
BLOCK = Block(12_345, bytes(range(32)), 1_700_000_000)
BATCH = 256
"""Entries to an anchor, and to a durable append."""


def rows(start: int, count: int) -> list[Row]:
    """An agent's rows, as a recorder makes them: intents and outcomes by turns."""
    found, block = [], BlockRef(BLOCK.number, BLOCK.hash)
    for index in range(start, start + count):
        content = b'{"arguments":{"bytes":%d,"path":"report-%d.md"},"tool":"fs.write"}' % (index, index)
        salt = os.urandom(32)
        kind, refers_to = (Kind.INTENT, None) if index % 2 == 0 else (Kind.OUTCOME, index - 1)
        time_ms = (BLOCK.timestamp * 1000) + index
        entry = Entry(index, ID, index, kind, time_ms, block, commitment(salt, content), refers_to)
        body = entry.encode()
        found.append(Row(index, ID, index, kind.value, body, leaf_hash(body), Content(salt, content)))
    return found


def written(folder: Path, entries: int) -> Path:
    """A log of so many entries, made once for all that read it."""
    path = folder / f"log-{entries}.sqlite"
    if not path.exists():
        with opened(path) as store:
            grow(store, entries)
    return path


def opened(path: Path) -> SqliteStore:
    """A store whose writing is not what is measured: it does not wait for the disk."""
    store = SqliteStore(path, IDENTITY)
    store._connection.execute("PRAGMA synchronous = OFF")
    return store


def grow(store: SqliteStore, entries: int) -> None:
    """Appends rows until there are so many."""
    while store.size < entries:
        store.append(rows(store.size, min(4_096, entries - store.size)))


def facts_of(reader: Reader, entries: int) -> ChainFacts:
    """The chain's side: the agent was registered, the log is anchored, every 256 entries."""
    tree = Frontier()
    extensions = Anchors(_extensions(reader, entries, tree))
    head = Head(entries, tree.root(), BLOCK.timestamp)
    state = AgentState(
        agent=ID, state=State.RUNNING, may_run=True, epoch=1, arms=0, vetoes=0, halt_votes=0, resume_votes=0,
        paused_until=0, lease_until=0, resume_ready_at=0, operator=IDENTITY.operator, head=head, halted_size=0,
    )  # fmt: skip
    registered = Happening(
        Event.REGISTERED, ID, Block(1, bytes(32), 1_600_000_000), 1, operator=IDENTITY.operator
    )
    as_of = Block(BLOCK.number + entries + 1, bytes(32), BLOCK.timestamp + entries // 1_000 + 2)
    return ChainFacts(
        identity=IDENTITY,
        as_of=as_of,
        head=head,
        state=state,
        history=(registered,),
        extensions=extensions,
        block_at=lambda number: BLOCK if number == BLOCK.number else None,
    )


def _extensions(reader: Reader, entries: int, tree: Frontier) -> Iterator[Extension]:
    """The anchors, as the tree grows; 1,000 entries are written in a second."""
    leaves = reader.leaves(0, entries)
    while (size := tree.size) < entries:
        tree.extend(islice(leaves, BATCH))
        block = Block(BLOCK.number + tree.size, bytes(32), BLOCK.timestamp + tree.size // 1_000 + 1)
        yield Extension(block, size, tree.size, tree.root())


def hash_all(reader: Reader) -> float:
    """Seconds to hash entries, contents and tree, without reading them."""
    taken, tree, held = 0.0, Frontier(), iter(reader.rows())
    while part := list(islice(held, 4_096)):
        bodies = [b"\x00" + row.body for row in part]
        contents = [row.content.salt + row.content.body for row in part if row.content]
        started = time.perf_counter()
        leaves = [hashlib.sha256(body).digest() for body in bodies]
        for content in contents:
            hashlib.sha256(content).digest()
        tree.extend(leaves)
        taken += time.perf_counter() - started
    return taken


def peak_memory() -> float:
    """MiB that this process ever held. Not `ru_maxrss`: that begins with what the parent held when it forked."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024
