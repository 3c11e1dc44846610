"""The log as people and tools read it: entries with their content, inclusion proofs, and rows for an auditor.

Changes nothing and needs no lock. Trusts the store, so what it shows is the guard's word; `prove` shows what the chain
vouches for, and `agent_guard.audit` checks everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from agent_guard import canonical
from agent_guard.entry import Entry, Kind, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.log.tree import Subtrees, frontier_at
from agent_guard.merkle import ProofError, inclusion_proof, verify_inclusion
from agent_guard.store import Content, Page, Reader, Row, SavedCheckpoint
from agent_guard.store.rows import erasure_key
from agent_guard.store.tiles import TileLog

AnyLog = Reader | TileLog
"""A guard's own database, or a copy of a log as tiles."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry as a reader sees it.

    `leaf` is its 32-byte leaf hash, `content` its JSON value, None where that is not there (`erased`); `erasure` is
    then the entry that says it was erased on purpose, None if none was found. A copy as tiles is not searched for it.
    `unreadable`: why a content that is there is not shown (None: it is): it is no canonical JSON, as no guard writes
    it, and two readers could take it for two things.
    """

    entry: Entry
    leaf: bytes
    content: Any
    erased: bool
    erasure: "LogEntry | None" = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """That `leaf` is entry `index` of the anchored head `checkpoint`: RFC 9162 hashes, lowest first.

    `content` is None where it was erased or never published.
    """

    index: int
    leaf: bytes
    body: bytes
    content: Content | None
    hashes: tuple[bytes, ...]
    checkpoint: SavedCheckpoint


def entries(
    reader: AnyLog, agent: bytes | None = None, start: int = 0, end: int | None = None
) -> Iterator[LogEntry]:
    """Entries from index `start` to `end` - 1, of one agent (32-byte id) or of all, streaming.

    Raises:
        GuardError: AG515 if one of them can't be read.
    """
    return map(partial(_opened, reader), reader.rows(start, end, agent))


def newest(reader: AnyLog, count: int, agent: bytes | None = None) -> list[LogEntry]:
    """The newest `count` entries, oldest first. Raises AG515 as `entries` does."""
    return [_opened(reader, row) for row in reader.last_rows(count, agent)]


def get(reader: AnyLog, index: int, agent: bytes | None = None) -> LogEntry:
    """One entry. Raises AG540 if there is none (of this agent, if one is named), AG515 if it can't be read."""
    return _opened(reader, _row(reader, index, agent))


def recorded_erasure(reader: AnyLog, row: Row) -> LogEntry | None:
    """The entry that has the erasure of a row's content on record, None if there is none; unknown of a copy."""
    if isinstance(reader, TileLog):
        return None
    index = reader.index_of_key(row.agent, erasure_key(row.index))
    found = None if index is None else reader.row(index)
    record = None if found is None else _as_it_lies(found)
    if record is None or (record.entry.kind, record.entry.refers_to) != (Kind.ERASURE, row.index):
        return None
    return record if record.entry.agent == row.agent else None


def prove(
    reader: AnyLog,
    index: int,
    size: int | None = None,
    agent: bytes | None = None,
    subtrees: Subtrees | None = None,
) -> Proof:
    """Proves an entry's inclusion in an anchored head: the newest one, or that of `size` entries.

    `subtrees` of this log, for who proves often; without them most of the log is read (but of tiles).

    Raises:
        GuardError: AG540 no such entry, AG541 no such head or none that covers it yet, AG515 the log is damaged.
    """
    with reader.snapshot():
        row = _row(reader, index, agent)
        checkpoint = _checkpoint(reader, index, size)
        if subtrees is not None:
            subtrees.learn(frontier_at(reader, checkpoint.size))
        known = reader.subtree if subtrees is None else subtrees.of(reader)
        hashes = tuple(inclusion_proof(index, checkpoint.size, known))
    try:
        verify_inclusion(row.leaf, index, checkpoint.size, hashes, checkpoint.root)
    except ProofError as error:
        raise _damaged(index, f"its proof does not lead to the anchored root ({error})") from error
    return Proof(index, row.leaf, row.body, row.content, hashes, checkpoint)


def pages_until_damage(reader: AnyLog) -> Iterator[Page]:
    """All rows for an auditor; damage ends them exactly at the first row that can't be read, with AG515."""
    page: Page | None = None
    try:
        for page in reader.pages():
            yield page
    except GuardError:
        # A scan fails a few rows ahead of the damage; single look-ups find the first row that is really gone.
        expected = page.indices[-1] + 1 if page else 0
        while (found := reader.row(expected)) is not None:
            yield Page.of([found])
            expected += 1
        raise


def _row(reader: AnyLog, index: int, agent: bytes | None) -> Row:
    row = reader.row(index) if 0 <= index < 2**63 else None
    if row is not None and agent in (None, row.agent):
        return row
    raise GuardError(
        "AG540",
        f"The log has no entry {index}{' of this agent' if agent else ''}. Nothing was done.",
        "A log is numbered through all its agents' entries. See this one's: agent-guard log list AGENT; the guard's own"
        " with --guard.",
    )


def _opened(reader: AnyLog, row: Row) -> LogEntry:
    found = _as_it_lies(row)
    return replace(found, erasure=recorded_erasure(reader, row)) if found.erased else found


def _as_it_lies(row: Row) -> LogEntry:
    try:
        entry = Entry.decode(row.body)
    except MalformedEntry as error:
        raise _damaged(row.index, str(error)) from error
    if row.content is None:
        return LogEntry(entry, row.leaf, None, erased=True)
    try:
        return LogEntry(entry, row.leaf, canonical.decode(row.content.body), erased=False)
    except canonical.NotCanonical as error:
        return LogEntry(entry, row.leaf, None, erased=False, unreadable=str(error))


def _checkpoint(reader: AnyLog, index: int, size: int | None) -> SavedCheckpoint:
    found = reader.checkpoint_at_most(2**63 - 1 if size is None else size)
    if found is not None and index < found.size and size in (None, found.size):
        return found
    which = "No anchored head" if size is None else f"No anchored head of {size} entries"
    raise GuardError(
        "AG541",
        f"{which} covers entry {index}. Nothing was proven.",
        "Wait for the next anchor (agent-guard status shows what is missing), or ask for another --size.",
    )


def _damaged(index: int, why: str) -> GuardError:
    return GuardError(
        "AG515",
        f"Entry {index} can't be shown: {why}.",
        "Keep the file as evidence, and find out more with: agent-guard audit AGENT",
    )
