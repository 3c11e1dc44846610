"""What a store of logs does, whichever database holds it: the writer of one log, and its readers.

Implementations share these words, the shapes in rows.py and one suite of tests, and no code.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, Self

from agent_guard.store.rows import Page, Row, SavedCheckpoint
from agent_guard.types import LogIdentity


class Reader(Protocol):
    """A read-only connection to one log. For one thread at a time.

    Guarantees: changes nothing and holds no lock that a writer could meet; memory does not grow with the log. Rows are
    handed out as they lie there: whoever needs them to be true checks them (`agent_guard.audit`).

    Every method raises `GuardError`: AG510 not there or not readable, AG515 damaged, AG518 not a log of this version.
    """

    @property
    def where(self) -> str:
        """The log's place, for people: a path, or an address without its password."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def another(self) -> "Reader":
        """A new connection to the same log, for another thread; the caller closes it."""

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads inside see the log as it was at the first of them."""

    def identity(self) -> LogIdentity:
        """Whose log the database says it is."""

    def size(self) -> int:
        """One more than the highest index: the number of entries, if none is missing."""

    def counters(self) -> dict[bytes, int]:
        """For each agent the counter of its next entry."""

    def rows(self, start: int = 0, end: int | None = None, agent: bytes | None = None) -> Iterator[Row]:
        """The rows from index `start` to `end` - 1 (None: to the last), of one agent or of all, in order, streaming."""

    def pages(self) -> Iterator[Page]:
        """All rows, in order, streaming: what `rows` gives, for who reads very many. May fail ahead of the damage."""

    def last_rows(self, count: int, agent: bytes | None = None) -> list[Row]:
        """The newest `count` rows, of one agent or of all, oldest first."""

    def row(self, index: int) -> Row | None:
        """The row at `index`, None if there is none."""

    def erasures(self, start: int = 0) -> Iterator[Row]:
        """The rows that record an erasure (by their column `kind`), from index `start` on, in order, streaming."""

    def turns(self, agent: bytes, start: int = 0) -> Iterator[Row]:
        """The rows that begin or end a life of an agent (`kind`: start, exit, death), from index `start` on, in order.

        Through an index of their own, so that it costs by what is found and not by what was done in between.
        """

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """The leaf hashes from `start` to `end` - 1; AG515 if one of them is missing or no hash."""

    def subtree(self, level: int, index: int) -> bytes:
        """The root over the 2^level leaves from index * 2^level on (32 bytes); reads each of them. Raises AG515."""

    def index_of_key(self, agent: bytes, key: str) -> int | None:
        """The index of the entry that an agent recorded under an idempotency key."""

    def checkpoint_at_most(self, size: int) -> SavedCheckpoint | None:
        """The newest anchored head of no more than `size` entries."""


class Store(Protocol):
    """The one writer of one log. Methods may be called from any thread.

    Guarantees: what `append`, `save_checkpoint` and `erase` did is durable when they return; a batch is stored whole or
    not at all; no second writer, however this one ends. After a failure whose outcome is unknown (the process killed, a
    connection cut) opening the log again finds all that was acknowledged, in its place and once.
    """

    def close(self) -> None:
        """Ends the writing and lets another writer in."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def reader(self) -> Reader:
        """A new reading connection to the same log; the caller closes it."""

    @property
    def size(self) -> int:
        """Entries that are durable."""

    def append(self, rows: Sequence[Row]) -> None:
        """Stores rows whose indices follow the last one, in one transaction; durable on return.

        Raises:
            GuardError: AG51x; none of the rows was acknowledged, and after AG517 they may or may not
                be there. AG551, of a store on a server: it is out of reach, and the same rows may be handed over again,
                until they are stored, once.
            ValueError: the rows don't follow the log's end without a gap.
        """

    def save_checkpoint(self, checkpoint: SavedCheckpoint) -> None:
        """Keeps an anchored head; the same head again only brings its newer transaction. Durable on return.

        Raises:
            GuardError: as `append`.
            ValueError: a head of the same size with another root is there; it stays.
        """

    def erase(self, index: int) -> None:
        """Removes salt and content of the entry at `index`; the entry and its leaf stay, and so does every proof.

        Durable on return; what has no content (any more) is left as it is, so that it may be called again. How soon the
        bytes themselves are gone is the implementation's to say.

        Raises:
            GuardError: as `append`.
        """
