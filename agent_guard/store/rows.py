"""The shapes in which a log is written and read, the same for every store. Values without behaviour, and one name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from agent_guard.errors import GuardError

PAGE_ROWS = 256
"""Rows of a page at the most."""
PAGE_BYTES = 4 << 20
"""Bytes of entries and contents in a page, after which no more rows are added to it."""


class Content(NamedTuple):
    """What an entry commits to: SHA-256(salt || body) stands in the entry. `body` is canonical JSON (RFC 8785)."""

    salt: bytes
    body: bytes


class Row(NamedTuple):
    """One entry as it lies in a log.

    `index` counts the log's entries from 0, `counter` those of this agent (a 32-byte id). `body` is the entry's
    canonical JSON, `leaf` its RFC 6962 leaf hash (32 bytes) as the writer computed it, `content` None where it was
    erased.
    """

    index: int  # type: ignore[assignment]  # hides the tuple's method of that name, which nobody needs
    agent: bytes
    counter: int
    kind: str
    body: bytes
    leaf: bytes
    content: Content | None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One or more rows in order, by columns: who reads a million of them would spend a third of its time on `Row`s.

    Each column has one value for each row; those of salts and contents are None where a row has no content.
    """

    indices: tuple[int, ...]
    agents: tuple[bytes, ...]
    counters: tuple[int, ...]
    kinds: tuple[str, ...]
    bodies: tuple[bytes, ...]
    leaves: tuple[bytes, ...]
    salts: tuple[bytes | None, ...]
    contents: tuple[bytes | None, ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """The page of these rows, at least one."""
        held = [row.content or (None, None) for row in rows]
        *columns, _, _ = zip(*rows, strict=True)
        return cls(*columns, *zip(*held, strict=True))

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Row]:
        for index, agent, counter, kind, body, leaf, salt, content in zip(*self._columns(), strict=True):
            held = Content(salt, content) if salt is not None and content is not None else None
            yield Row(index, agent, counter, kind, body, leaf, held)

    def _columns(self) -> tuple[tuple[Any, ...], ...]:
        return (
            self.indices, self.agents, self.counters, self.kinds, self.bodies, self.leaves, self.salts, self.contents
        )  # fmt: skip

    def split(self, at: int) -> tuple["Page", "Page | None"]:
        """The page of its first `at` rows (at least one), and that of the others, None if there are none."""
        if at >= len(self):
            return self, None
        columns = self._columns()
        return Page(*[column[:at] for column in columns]), Page(*[column[at:] for column in columns])


def pages_of(rows: Iterable[Row], most: int = PAGE_ROWS) -> Iterator[Page]:
    """Rows as pages. If they end with a `GuardError`, those before it are given first."""
    held: list[Row] = []
    size = 0
    try:
        for row in rows:
            held.append(row)
            size += len(row.body) + (len(row.content.body) if row.content else 0)
            if len(held) == most or size >= PAGE_BYTES:
                yield Page.of(held)
                held, size = [], 0
    except GuardError:
        if held:
            yield Page.of(held)
        raise
    if held:
        yield Page.of(held)


def erasure_key(index: int) -> str:
    """The idempotency key under which the erasure of entry `index` is on record; no agent can choose such a key."""
    return f"erase:{index}"


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """A head that was anchored, with all that is needed to go on from it.

    `frontier` holds the popcount(size) roots of the perfect subtrees, largest first; `note` is a C2SP signed note,
    `signature` the operator's EIP-712 signature of the head (65 bytes), `tx` the hash of the transaction that
    anchored it, None if it was found on chain after a crash.
    """

    size: int
    frontier: tuple[bytes, ...]
    root: bytes
    note: str
    signature: bytes
    tx: str | None
