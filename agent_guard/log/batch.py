"""What waits to be recorded, and how it becomes rows: places, counters and the answers to give after the commit.

Pure but for the clock and the salt that are handed in. An entry's place exists only within its batch until the batch
is on disk: a batch that is dropped leaves nothing behind.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from agent_guard import canonical
from agent_guard.entry import BlockRef, Entry, Kind, commitment
from agent_guard.errors import GuardError
from agent_guard.merkle import leaf_hash
from agent_guard.store import Content, Row
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET, Block

_id = cache(agent_id)
ALWAYS_CRITICAL = frozenset({Kind.HALT, Kind.DEATH})


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an entry stands, now that it is durable.

    `duplicate`: it stood there before under the same idempotency key, and nothing was written. `conflict`: moreover
    it is another entry than the one asked for now (or was erased, so that nobody can tell).
    """

    index: int
    counter: int
    leaf_hash: bytes
    duplicate: bool = False
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    agent: bytes
    kind: Kind
    content: bytes
    refers_to: int | None
    meta: Mapping[str, int | bool | str]
    key: str | None
    block: Block | None
    critical: bool
    done: Future[Appended] = field(default_factory=Future)


class Batch:
    """Rows on their way into one transaction, and what to answer once it is committed."""

    def __init__(self, size: int, counters: Mapping[bytes, int]) -> None:
        self._size = size
        self._known = counters
        self.counters: dict[bytes, int] = {}
        self.rows: list[Row] = []
        self.keys: dict[tuple[bytes, str], Row] = {}
        self.placed: list[tuple[Future[Appended], Appended]] = []
        self.critical: int | None = None

    def add(self, request: Request, now_ms: int, salt: bytes) -> None:
        """Raises `MalformedEntry`, and takes no place, if the request makes no entry."""
        index = self._size + len(self.rows)
        counter = self.counters.get(request.agent, self._known.get(request.agent, 0))
        body = _entry(request, index, counter, now_ms, salt).encode()
        content = Content(salt, request.content)
        leaf = leaf_hash(body)
        row = Row(index, request.agent, counter, request.kind.value, body, leaf, content, request.key)
        self.rows.append(row)
        self.counters[request.agent] = counter + 1
        self.placed.append((request.done, Appended(index, counter, leaf)))
        if request.key is not None:
            self.keys[request.agent, request.key] = row
        if request.critical and self.critical is None:
            self.critical = index

    def repeat(self, request: Request, row: Row) -> None:
        """Answers with the entry that has the key already."""
        conflict = not _same(request, row)
        self.placed.append(
            (request.done, Appended(row.index, row.counter, row.leaf, duplicate=True, conflict=conflict))
        )


def to_request(
    agent: str | None,
    kind: Kind | str,
    content: Any,
    refers_to: int | None,
    meta: Mapping[str, int | bool | str] | None,
    key: str | None,
    block: Block | None,
    critical: bool,
) -> Request:
    try:
        kind = Kind(kind)
        encoded = canonical.encode(content)
    except ValueError as error:
        raise unfit(str(error)) from error
    known = FLEET if agent is None else _id(agent)
    return Request(
        known, kind, encoded, refers_to, meta or {}, key, block, critical or kind in ALWAYS_CRITICAL
    )


def _entry(request: Request, index: int, counter: int, now_ms: int, salt: bytes) -> Entry:
    block = request.block
    return Entry(
        index=index,
        agent=request.agent,
        counter=counter,
        kind=request.kind,
        time=now_ms,
        block=None if block is None else BlockRef(block.number, block.hash),
        commitment=commitment(salt, request.content),
        refers_to=request.refers_to,
        meta=request.meta,
    )


def _same(request: Request, row: Row) -> bool:
    """Whether a repeated request asks for the entry that is there. One whose content was erased can't be compared."""
    if row.content is None or row.content.body != request.content or row.kind != request.kind.value:
        return False
    return Entry.decode(row.body).refers_to == request.refers_to


def unfit(why: str) -> GuardError:
    return GuardError(
        "AG523",
        f"This can't be recorded: {why}. Nothing was.",
        "Send plain JSON; numbers beyond 2^53 and binary data as strings.",
    )
