"""Where the files of a tiled log come from: a folder, or (site.py) a site that serves them.

Guarantees: reads no more of a file than the caller allows. Trusts neither.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from agent_guard.errors import GuardError

CHUNK = 1 << 16


class Source(Protocol):
    """Files by their path below the log's prefix."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """A file's bytes, piece by piece. Raises `FileNotFoundError` if there is none, AG510 or AG543 if it fails."""


class Folder:
    """A folder of this host."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.name = str(root)

    def chunks(self, path: str) -> Iterator[bytes]:
        """See `Source`."""
        try:
            with open(self._root / path, "rb", opener=_without_waiting) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                while chunk := file.read(CHUNK):
                    yield chunk
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(path) from error
        except OSError as error:
            raise GuardError(
                "AG510",
                f"{self._root / path} can't be read ({error.strerror}).",
                "Check that this user may read the folder.",
            ) from error


def _without_waiting(path: str, flags: int) -> int:
    """A named pipe in a folder that somebody handed over would keep its reader waiting for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def damaged(source: Source, path: str, why: str) -> GuardError:
    """A file that no log has."""
    return GuardError(
        "AG515",
        f"{source.name}/{path} is no file of a log: {why}.",
        "Keep it as evidence; get the log from its guard or from another mirror, and compare: agent-guard audit",
    )


def read(
    source: Source, path: str, most: int, refuse: Callable[[Source, str, str], GuardError] = damaged
) -> bytes:
    """A whole file. Raises what `refuse` gives (AG515) if it is longer than `most` bytes, and what `chunks` raises."""
    data = bytearray()
    for chunk in source.chunks(path):
        data += chunk
        if len(data) > most:
            raise refuse(source, path, f"it is longer than {most} bytes")
    return bytes(data)
