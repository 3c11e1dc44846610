"""A tiled log as a log to be read: the rows of `store.rows`, from files that nobody vouches for.

Guarantees: what it gives lies there so, of one checkpoint, read when it was opened; memory holds a few files, however
long the log. A row's `leaf` is the tile's hash, its body the bundle's entry: whether the one hashes to the other, and
the tiles to the checkpoint, is for the auditor (`agent_guard.audit`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import Self

from agent_guard.checkpoint import Checkpoint, NoteError, identity_of, parse, parse_note
from agent_guard.entry import MAX_ENTRY, SALT_SIZE, Entry, Kind, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.merkle import Frontier, Subtree, range_subtrees
from agent_guard.store.rows import Content, Page, Row, SavedCheckpoint, pages_of
from agent_guard.store.tiles.signed import Beside, beside
from agent_guard.store.tiles.source import Source, damaged, read
from agent_guard.tlog import (
    CHECKPOINT,
    WIDTH,
    FormatError,
    Tile,
    bundle_of,
    decode_bundle,
    decode_hashes,
    subtree_of_tiles,
)
from agent_guard.typed_data import SignedHead
from agent_guard.types import FLEET, LogIdentity

MAX_NOTE = 1_000_000
MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)
MAX_CONTENT = 16 << 20
"""Bytes of one entry's content: far more than any guard takes."""
MAX_CONTENTS = 288 << 20
"""Bytes of a file of contents: a bundle full of the largest actions that a guard takes (1 MiB each)."""


class TileLog:
    """The log at a source, as its checkpoint is when this is made. For one thread at a time.

    Raises:
        GuardError: AG510 there is none, AG515 it is no log of a guard, AG543 the site does not give it. So do all
            methods, for what they read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.note = _note(source)
        self.checkpoint, self._identity = _claim(source, self.note)
        self.hashes = lru_cache(maxsize=16)(self._read_hashes)
        """Of a tile; read once and kept for a while."""
        self.subtree: Subtree = subtree_of_tiles(self.hashes, self.checkpoint.size)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read belongs to one checkpoint anyhow."""
        yield

    def identity(self) -> LogIdentity:
        """Whose log the checkpoint's origin says it is."""
        return self._identity

    def size(self) -> int:
        """Entries under the checkpoint."""
        return self.checkpoint.size

    def rows(self, start: int = 0, end: int | None = None, agent: bytes | None = None) -> Iterator[Row]:
        """The rows from index `start` to `end` - 1 (None: to the last), of one agent or of all, in order."""
        end = self.size() if end is None else min(end, self.size())
        while start < end:
            bundle = bundle_of(start, self.size())
            first = bundle.index * WIDTH
            for row in self._rows_of(bundle):
                if start <= row.index < end and agent in (None, row.agent):
                    yield row
            start = first + WIDTH

    def pages(self) -> Iterator[Page]:
        """All rows, in order, by columns."""
        return pages_of(self.rows())

    def last_rows(self, count: int, agent: bytes | None = None) -> list[Row]:
        """The newest `count` rows, of one agent or of all, oldest first."""
        found: list[Row] = []
        end = self.size()
        while end > 0 and len(found) < count:
            start = (end - 1) // WIDTH * WIDTH
            found = [*self.rows(start, end, agent), *found]
            end = start
        return found[-count:]

    def row(self, index: int) -> Row | None:
        """The row at `index`, None if there is none."""
        return next(self.rows(index, index + 1), None) if index >= 0 else None

    def erasures(self, start: int = 0) -> Iterator[Row]:
        """The rows that record an erasure, from index `start` on, in order; reads all from there on."""
        return (row for row in self.rows(start) if row.kind == Kind.ERASURE)

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """The leaf hashes from `start` to `end` - 1; AG515 if the log ends before."""
        if end > self.size():
            raise damaged(self._source, CHECKPOINT, f"it has {self.size()} entries, and {end} are needed")
        while start < end:
            bundle = bundle_of(start, self.size())
            first = bundle.index * WIDTH
            hashes = self.hashes(Tile(0, bundle.index, bundle.width))
            yield from hashes[start - first : end - first]
            start = first + WIDTH

    def checkpoint_at_most(self, size: int) -> SavedCheckpoint | None:
        """The checkpoint that the files are of, if it has no more than `size` entries.

        Its signature is the operator's, checked; empty if there is no signed head beside it.
        """
        held, signed = self.checkpoint, self.signed_head()
        if not 0 < held.size <= size:
            return None
        signature = signed.signature if signed else b""
        return SavedCheckpoint(
            held.size, self.frontier(held.size).nodes, held.root, self.note, signature, None
        )

    @cached_property
    def beside(self) -> Beside:
        """What the source has beside the checkpoint, asked once: it may be of another head (a site that moved on)."""
        return beside(self._source, self._identity)

    def signed_head(self) -> SignedHead | None:
        """The checkpoint's very head with the operator's signature; None if the source has none of this one."""
        head, held = self.beside.head, self.checkpoint
        return head if head is not None and (head.size, head.root) == (held.size, held.root) else None

    def frontier(self, size: int) -> Frontier:
        """The frontier that the tiles have at `size` entries. Raises AG515 if they have fewer."""
        if size > self.size():
            raise damaged(self._source, CHECKPOINT, f"it has {self.size()} entries, and {size} are needed")
        return Frontier.from_nodes(size, [self.subtree(*place) for place in range_subtrees(0, size)])

    def root(self) -> bytes:
        """The root that the tiles have at the checkpoint's size; 32 bytes."""
        return self.frontier(self.size()).root()

    def _rows_of(self, bundle: Tile) -> Iterator[Row]:
        first = bundle.index * WIDTH
        hashes = self.hashes(Tile(0, bundle.index, bundle.width))
        entries = self._parts(bundle, decode_bundle, MAX_BUNDLE)
        contents = _contents(self._source, bundle)
        for at, (body, leaf) in enumerate(zip(entries, hashes, strict=True)):
            yield _row(first + at, body, leaf, next(contents, None))

    def _read_hashes(self, tile: Tile) -> list[bytes]:
        return self._parts(tile, decode_hashes, WIDTH * 32)

    def _parts(self, tile: Tile, decode: Callable[[bytes, int], list[bytes]], most: int) -> list[bytes]:
        """What a tile holds; where a partial file is gone, the full one's first parts (C2SP, "Partial Tiles")."""
        for there in dict.fromkeys((tile, tile.whole)):
            try:
                data = read(self._source, there.path, most)
            except FileNotFoundError:
                continue
            try:
                return decode(data, there.width)[: tile.width]
            except FormatError as error:
                raise damaged(self._source, there.path, str(error)) from error
        raise damaged(self._source, tile.path, "it is not there, though the checkpoint covers it")


def _note(source: Source) -> str:
    try:
        return read(source, CHECKPOINT, MAX_NOTE).decode()
    except FileNotFoundError as error:
        raise GuardError(
            "AG510",
            f"{source.name} holds no log: it has no file named {CHECKPOINT}. Nothing was read.",
            "Name the folder or the address in which the checkpoint lies.",
        ) from error
    except UnicodeDecodeError as error:
        raise damaged(source, CHECKPOINT, "it is not UTF-8") from error


def _claim(source: Source, note: str) -> tuple[Checkpoint, LogIdentity]:
    try:
        checkpoint = parse(parse_note(note).text)
        return checkpoint, identity_of(checkpoint.origin)
    except NoteError as error:
        raise damaged(source, CHECKPOINT, str(error)) from error


def _contents(source: Source, bundle: Tile) -> Iterator[Content | None]:
    """What was exported of the contents of a bundle's entries, in order; ends where the file does."""
    for there in dict.fromkeys((bundle, bundle.whole)):
        path = content_path(there)
        try:
            yield from contents_in(source, path)
        except FileNotFoundError:
            continue
        return


def contents_in(source: Source, path: str) -> Iterator[Content | None]:
    """The contents that a file holds, in order. Raises `FileNotFoundError` if there is none, AG515 if it is no such."""
    chunks = ChunkReader(source.chunks(path))
    left = MAX_CONTENTS
    while head := chunks.take(4):
        length = int.from_bytes(head, "big")
        if len(head) < 4 or 0 < length < SALT_SIZE or length > MAX_CONTENT:
            raise damaged(source, path, "a length in it is none of a content")
        left -= len(head) + length
        if left < 0:
            raise damaged(source, path, f"it is longer than {MAX_CONTENTS} bytes")
        data = chunks.take(length)
        if len(data) < length:
            raise damaged(source, path, "it ends within a content")
        yield Content(data[:SALT_SIZE], data[SALT_SIZE:]) if data else None


class ChunkReader:
    """Exact reads from pieces of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held = chunks, b""

    def take(self, count: int) -> bytes:
        """The next `count` bytes; fewer only at the end."""
        parts, missing = [], count
        while missing > 0:
            if not self._held:
                self._held = next(self._chunks, b"")
                if not self._held:
                    break
            parts.append(self._held[:missing])
            self._held = self._held[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)


def content_path(bundle: Tile) -> str:
    """Where the contents of a bundle's entries lie."""
    return bundle.path.replace("tile/entries/", "content/", 1)


def _row(index: int, body: bytes, leaf: bytes, content: Content | None) -> Row:
    """A row that says of itself what its entry says; bytes that are no entry (the auditor finds them) are nobody's."""
    try:
        entry = Entry.decode(body)
    except MalformedEntry:
        return Row(index, FLEET, 0, "", body, leaf, content)
    return Row(index, entry.agent, entry.counter, entry.kind.value, body, leaf, content)
