"""Writes a log as static files, so that whoever reads them at any moment finds a whole log.

Guarantees: every file appears under its name complete and synced, or not at all; the checkpoint comes last, when all
that it covers is on disk, and till then every file that the checkpoint before needs stays. A process killed anywhere,
or a caller that gives up, leaves a whole log, and may simply go on. At no moment is there a signed head of another head
than the checkpoint's: it goes before that changes, and comes after. One writer at a time (`alone`). Writes and removes
nothing outside the folder, whatever links lie in it. Trusts its caller to hand in what belongs together.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from agent_guard.errors import GuardError
from agent_guard.store.rows import Content
from agent_guard.store.sqlite.failures import is_full
from agent_guard.store.tiles.log import content_path, contents_in
from agent_guard.store.tiles.source import Folder
from agent_guard.tlog import CHECKPOINT, WIDTH, Tile, encode_bundle
from agent_guard.typed_data.signed_head import SIGNED_HEAD

NEW = ".new"
"""What a file that is being written is called behind its name."""
WAIT_SECONDS = 10.0
"""For another writer to be done with the folder."""


class TileFolder:
    """The folder `root`, made if it is not there.

    All methods raise AG513 (disk full), AG516 (not writable), AG545 (something in it leads elsewhere); `alone` AG514.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._touched: set[Path] = set()
        self._outgrown: list[Path] = []

    @contextmanager
    def alone(self) -> Iterator[Self]:
        """For one writer: two would put each other's half-written files in place. Raises AG514 if another has it."""
        is_new = not self.root.exists()
        try:
            self._make(self.root)
            handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _failed(self.root, error) from error
        try:
            _lock(handle, self.root)
            yield self
        finally:
            os.close(handle)  # and with it goes the lock
            if is_new:
                with suppress(OSError):
                    self.root.rmdir()  # nothing was written

    def write_hashes(self, tile: Tile, hashes: Sequence[bytes]) -> None:
        """A tile of the tree; a full one replaces the partial ones of the same place with the next checkpoint."""
        self._put(tile, tile.path, hashes)

    def write_bundle(
        self, bundle: Tile, entries: Sequence[bytes], contents: Sequence[Content | None]
    ) -> None:
        """Entries and, where any is given, their contents."""
        if any(contents):
            self._put(bundle, content_path(bundle), map(_record, contents))
        self._put(bundle, bundle.path, [encode_bundle(entries)])

    def drop_contents(self, bundle: int, places: int) -> None:
        """Takes the contents of some entries of a bundle out of every file that holds them.

        Args:
            bundle: the bundle's index. `places`: of the entries within it, as bits.

        Raises:
            GuardError: AG515 a file is no file of contents; and see the class.
        """
        whole = self.root / content_path(Tile(None, bundle))
        partial = whole.with_name(whole.name + ".p")
        for path in [whole, whole.with_name(whole.name + NEW), *sorted(partial.glob("*"))]:
            if path.suffix == NEW:  # of a writer that was killed
                path.unlink(missing_ok=True)
            elif _holds(path, places):
                self._drop(str(path.relative_to(self.root)), places)

    def _drop(self, path: str, places: int) -> None:
        held = enumerate(contents_in(Folder(self.root), path))
        self._write(path, (_record(None if places >> at & 1 else content) for at, content in held))

    def write_checkpoint(self, note: str, signed_head: str | None = None) -> None:
        """Publishes all that was written before, with the operator's signature of the same head, if there is one."""
        for folder in self._touched:
            _sync(folder)
        self._touched.clear()
        going = self._going()
        kept = signed_head is not None and self._has(SIGNED_HEAD, signed_head.encode())
        if not kept:
            self._remove(SIGNED_HEAD)
        self._write(CHECKPOINT, [note.encode()])
        _sync(self.root)
        if signed_head is not None and not kept:
            self._write(SIGNED_HEAD, [signed_head.encode()])
            _sync(self.root)
        _sweep(going)

    def write_beside(self, path: str, text: str) -> None:
        """A file that is no part of the log."""
        self._write(path, [text.encode()])
        _sync((self.root / path).parent)

    def _has(self, path: str, data: bytes) -> bool:
        """Whether a file, not behind a link, holds just this."""
        file = self.root / path
        try:
            same = not file.is_symlink() and file.is_file() and file.stat().st_size == len(data)
            return same and file.read_bytes() == data
        except OSError:
            return False  # it is written anew

    def _remove(self, path: str) -> None:
        """Makes sure, for good, that there is no such file."""
        try:
            (self.root / path).unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failed(self.root / path, error) from error
        _sync(self.root)

    def _put(self, tile: Tile, path: str, parts: Iterable[bytes]) -> None:
        self._write(path, parts)
        if tile.width == WIDTH:
            self._outgrown.append(self.root / f"{path}.p")

    def _write(self, path: str, parts: Iterable[bytes]) -> None:
        target = self.root / path
        partial = target.with_name(target.name + NEW)
        folders = [folder for folder in target.parents if folder.is_relative_to(self.root)]
        try:
            for folder in reversed(folders):
                self._make(folder)
            with suppress(FileNotFoundError):
                partial.unlink()  # left by a process that was killed, or a link
            with partial.open("xb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise _failed(target, error) from error
        self._touched.update(folders)

    def _make(self, folder: Path) -> None:
        if folder != self.root and folder.is_symlink():
            raise _leads_elsewhere(folder)
        folder.mkdir(parents=folder == self.root, exist_ok=True)

    def _going(self) -> list[Path]:
        """The partial files that full ones replace (C2SP, "Partial Tiles"), each followed by its folder."""
        going: list[Path] = []
        for folder in self._outgrown:
            if folder.is_symlink():
                raise _leads_elsewhere(folder)
            try:
                going += [*sorted(folder.iterdir()), folder]
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _failed(folder, error) from error
        for path in going:
            if path.is_dir() and not path.is_symlink() and path not in self._outgrown:
                raise _failed(path, IsADirectoryError(errno.EISDIR, "a folder where a file belongs"))
        self._outgrown.clear()
        return going


def _sweep(going: list[Path]) -> None:
    """Removes what nobody needs any more. What can't be removed, or a killed process leaves of it, does no harm."""
    for path in going:
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def _lock(handle: int, root: Path) -> None:
    """Waits for the lock of a folder. A file system without such locks (some of a network) leaves it to its users."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise GuardError(
                    "AG514",
                    f"Another process writes into {root}. Nothing was written.",
                    "Let one export, serve or mirror at a time keep a folder; give each its own.",
                ) from error
            time.sleep(0.05)
        except OSError:
            return None


def _record(content: Content | None) -> bytes:
    """A content as it stands in its file."""
    held = b"" if content is None else content.salt + content.body
    return len(held).to_bytes(4, "big") + held


def _holds(path: Path, places: int) -> bool:
    """Whether a file of contents holds one of these (bits); reads nothing but the lengths."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        for at in range(WIDTH):
            length = int.from_bytes(file.read(4), "big")
            if length and places >> at & 1:
                return True
            file.seek(length, os.SEEK_CUR)
    return False


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


def _leads_elsewhere(path: Path) -> GuardError:
    return GuardError(
        "AG545",
        f"{path} is a link that leads out of the folder. The checkpoint before still stands.",
        "Publish into a folder of its own that nobody else may write.",
    )
