"""Writes a log as static files, so that whoever reads them at any moment finds a whole log.

Guarantees: every file appears under its name complete and synced, or not at all; the checkpoint comes last, when all
that it covers is on disk. A process killed anywhere leaves the log of the checkpoint before, and may simply go on.
Trusts its caller to hand in what belongs together.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.store.rows import Content
from agent_guard.store.sqlite.failures import is_full
from agent_guard.store.tiles.log import content_path
from agent_guard.tlog import CHECKPOINT, WIDTH, Tile, encode_bundle


class TileFolder:
    """The folder `root`, made if it is not there. All methods raise AG513 (disk full) or AG516 (not writable)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._touched: set[Path] = set()

    def write_hashes(self, tile: Tile, hashes: Sequence[bytes]) -> None:
        """A tile of the tree; replaces the partial ones of the same place once it is full."""
        self._write(tile.path, b"".join(hashes))
        self._sweep(tile, tile.path)

    def write_bundle(
        self, bundle: Tile, entries: Sequence[bytes], contents: Iterable[Content | None]
    ) -> None:
        """Entries and, where any is given, their contents."""
        held = [b"" if content is None else content.salt + content.body for content in contents]
        if any(held):
            self._write(content_path(bundle), b"".join(len(part).to_bytes(4, "big") + part for part in held))
            self._sweep(bundle, content_path(bundle))
        self._write(bundle.path, encode_bundle(entries))
        self._sweep(bundle, bundle.path)

    def write_checkpoint(self, note: str) -> None:
        """Publishes all that was written before."""
        for folder in self._touched:
            _sync(folder)
        self._touched.clear()
        self._write(CHECKPOINT, note.encode())
        _sync(self.root)

    def _write(self, path: str, data: bytes) -> None:
        target = self.root / path
        partial = target.with_name(target.name + ".new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise _failed(target, error) from error
        self._touched.update(folder for folder in target.parents if folder.is_relative_to(self.root))

    def _sweep(self, tile: Tile, path: str) -> None:
        """Partial files may go once the full one is there (C2SP, "Partial Tiles")."""
        if tile.width < WIDTH:
            return
        partial = self.root / f"{path}.p"
        with suppress(FileNotFoundError):
            for name in sorted(partial.iterdir()):
                name.unlink()
            partial.rmdir()


def _sync(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(path: Path, error: OSError) -> GuardError:
    if is_full(error):
        return GuardError(
            "AG513",
            f"{path} could not be written: the disk is full. The checkpoint before still stands.",
            "Free some space and run the command again; it goes on where it ended.",
        )
    return GuardError(
        "AG516",
        f"{path} could not be written ({error.strerror}). The checkpoint before still stands.",
        "Make the folder writable for this user, then run the command again.",
    )
