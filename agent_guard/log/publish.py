"""Publishes a log as static files (C2SP `tlog-tiles`): all that the newest anchored head covers, and only that.

Guarantees: a published checkpoint is one that stands on chain, its files hash to its root, and each content to its
entry's commitment: that is checked before the checkpoint is written. A folder is gone on with where it ended, and never
made to contradict what it held: one that holds another log, or another history of this one, is AG545. A content whose
erasure is on record leaves the folder, whatever file it lay in, before the checkpoint is written. Beside the checkpoint
stands the operator's signature of the same head, wherever the log has it (a guard's does; so no key is needed here).
Trusts the store for nothing but the entries' bytes.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agent_guard.entry import Entry, Kind, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.log.reading import AnyLog
from agent_guard.log.tree import frontier_at, leads_to
from agent_guard.merkle import leaf_hash, range_nodes
from agent_guard.store import Content, Row, SavedCheckpoint
from agent_guard.store.tiles import Folder, TileFolder, TileLog
from agent_guard.store.tiles.source import damaged
from agent_guard.tlog import CHECKPOINT, MAX_LEVEL, WIDTH, Tile
from agent_guard.typed_data import MalformedBallot, SignedHead

Opens = Callable[[bytes], bool]
"""Whether the contents of an agent's entries (32-byte id) are published as well."""


def publish(
    reader: AnyLog,
    root: Path,
    opens: Opens = lambda agent: False,
    progress: Callable[[int], None] = lambda entries: None,
) -> SavedCheckpoint:
    """Brings the folder `root` up to the newest anchored head, and returns that; its `signature` is empty unless the
    operator's was published with it.

    Args:
        progress: told how many entries of the log are out, now and then.

    Raises:
        GuardError: AG541 nothing is anchored yet, AG545 the folder holds something else, AG515 the log is damaged,
            AG513, AG514 and AG516 the folder can't be written. The folder's checkpoint is then as it was.
    """
    with reader.snapshot(), TileFolder(root).alone() as folder:
        saved = reader.checkpoint_at_most(2**63 - 1)
        if saved is None or saved.size == 0:
            raise _nothing_yet()
        there = _there(reader, root, saved)
        since = there.size() if there else 0
        # A partial bundle is written anew, longer, and so hashed anew from its first entry on.
        since -= since % WIDTH
        known = list(there.leaves(since, there.size())) if there else []
        writer, frontier = _Writer(folder, _levels(there), opens, known), frontier_at(reader, since)
        for start in range(since, saved.size, WIDTH):
            end = min(start + WIDTH, saved.size)
            frontier.extend(writer.take(start // WIDTH, _rows(reader, start, end)))
            progress(end)
        if frontier.root() != saved.root:
            raise _damaged(f"its entries do not hash to the root that was anchored for {saved.size} of them")
        # What is erased and not anchored yet goes at once, too.
        writer.note_erasures(reader.erasures(saved.size))
        signed = _signed(reader, saved, there)
        writer.finish(saved, signed)
        return replace(saved, signature=signed.signature if signed else b"")


Levels = dict[int, tuple[int, list[bytes]]]
"""From level 1 on: the index of a level's last tile, which is not full, and its hashes."""


class _Writer:
    """Writes bundles and tiles in order, and at the end what is partial.

    `known`: the leaf hashes that the first bundle must begin with, since the folder has them already.
    """

    def __init__(self, folder: TileFolder, levels: Levels, opens: Opens, known: list[bytes]) -> None:
        self._folder, self._levels, self._opens, self._known = folder, levels, opens, known
        self._erased: dict[int, int] = {}  # by bundle, the places in it as bits

    def take(self, index: int, rows: list[Row]) -> list[bytes]:
        """The rows of one bundle; their leaf hashes."""
        leaves = [leaf_hash(row.body) for row in rows]
        for row, leaf, known in zip(rows, leaves, self._known, strict=False):
            if leaf != known:
                raise _damaged(f"it has another entry {row.index} than the folder, under the same root")
        self._known = []
        contents = [_checked(row) if self._opens(row.agent) else None for row in rows]
        self._folder.write_bundle(Tile(None, index, len(rows)), [row.body for row in rows], contents)
        self._folder.write_hashes(Tile(0, index, len(rows)), leaves)
        self.note_erasures(row for row in rows if row.kind == Kind.ERASURE)
        if len(rows) == WIDTH:
            self._carry(1, leaves)
        return leaves

    def note_erasures(self, records: Iterable[Row]) -> None:
        """Has `finish` drop the contents that these entries say are erased."""
        for row in records:
            with suppress(MalformedEntry):
                entry = Entry.decode(row.body)
                if entry.kind is Kind.ERASURE and entry.refers_to is not None:
                    bundle, place = divmod(entry.refers_to, WIDTH)
                    self._erased[bundle] = self._erased.get(bundle, 0) | 1 << place

    def finish(self, saved: SavedCheckpoint, signed: SignedHead | None) -> None:
        """Drops what is erased, writes the partial tiles above the bundles, then the checkpoint."""
        for bundle, places in self._erased.items():
            self._folder.drop_contents(bundle, places)
        for level, (index, hashes) in self._levels.items():
            if hashes:
                self._folder.write_hashes(Tile(level, index, len(hashes)), hashes)
        self._folder.write_checkpoint(saved.note, signed.encode() if signed else None)

    def _carry(self, level: int, full: list[bytes]) -> None:
        """A full tile gives one hash to the level above."""
        index, hashes = self._levels.get(level, (0, list[bytes]()))
        hashes = [*hashes, *range_nodes(0, full)]  # one: the root over all of it
        if len(hashes) == WIDTH:
            self._folder.write_hashes(Tile(level, index), hashes)
            self._carry(level + 1, hashes)
            index, hashes = index + 1, []
        self._levels[level] = index, hashes


def _checked(row: Row) -> Content | None:
    """A row's content, which must be what its entry commits to."""
    if row.content is None:
        return None
    with suppress(MalformedEntry):
        if Entry.decode(row.body).commits_to(row.content.salt, row.content.body):
            return row.content
    raise _damaged(f"the content of entry {row.index} does not hash to the commitment in it")


def _signed(reader: AnyLog, saved: SavedCheckpoint, there: TileLog | None) -> SignedHead | None:
    """The head with the operator's signature (ECDSA): the log's, else the one that the folder has of this very head."""
    who = reader.identity()
    with suppress(MalformedBallot):
        head = SignedHead(who.chain_id, who.council, who.operator, saved.size, saved.root, saved.signature)
        if head.signer() == who.operator:
            return head
    return there.signed_head() if there is not None and there.size() == saved.size else None


def _there(reader: AnyLog, root: Path, saved: SavedCheckpoint) -> TileLog | None:
    """What the folder holds already: an earlier state of this very log, or nothing."""
    if not (root / CHECKPOINT).exists():
        return None
    there = TileLog(Folder(root))
    if there.identity() != reader.identity():
        raise _another(root, f"it holds the log of operator {there.identity().operator}")
    size, held = there.size(), there.checkpoint.root
    if size > saved.size:
        raise _another(root, f"it holds {size} entries, and this log has {saved.size} that are anchored")
    if there.root() != held:
        raise damaged(Folder(root), CHECKPOINT, "the tiles beside it do not hash to its root")
    first = frontier_at(reader, size)
    if first.root() != held:
        if not leads_to(reader, first, saved):
            raise _damaged(f"its tiles do not lead to the root that was anchored for {saved.size} entries")
        raise _another(root, f"the {size} entries in it are not the first {size} of this log")
    return there


def _levels(there: TileLog | None) -> Levels:
    found: Levels = {}
    for level in range(1, MAX_LEVEL + 1):
        index, width = divmod(there.size() >> (8 * level), WIDTH) if there else (0, 0)
        found[level] = index, there.hashes(Tile(level, index, width)) if there and width else []
    return found


def _rows(reader: AnyLog, start: int, end: int) -> list[Row]:
    rows = list(reader.rows(start, end))
    if [row.index for row in rows] != list(range(start, end)):
        raise _damaged(f"entries are missing between {start} and {end - 1}")
    return rows


def _nothing_yet() -> GuardError:
    return GuardError(
        "AG541",
        "Nothing of this log is anchored yet, so nothing was published.",
        "Wait for the guard's next anchor; agent-guard status shows what is missing.",
    )


def _another(root: Path, why: str) -> GuardError:
    return GuardError(
        "AG545",
        f"{root} is not an earlier state of this log: {why}. Nothing was written.",
        "Keep the folder as evidence and publish into a new one; find out more with: agent-guard audit AGENT",
    )


def _damaged(why: str) -> GuardError:
    return GuardError(
        "AG515",
        f"The log can't be published: {why}. The folder's checkpoint is as it was.",
        "Keep the log as evidence, and find out more with: agent-guard audit AGENT",
    )
