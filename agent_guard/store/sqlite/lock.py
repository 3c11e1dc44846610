"""The writer's lock: at most one process writes a log, and the kernel frees the lock whenever and however it ends.

The lock is `flock` on a file beside the database, so that it also holds between two writers within one process, and
readers never meet it. The process id inside the file is for people; only the lock itself counts.
"""

import fcntl
import os
from pathlib import Path

from agent_guard.errors import GuardError


class WriterLock:
    """Held from construction until `release()` or the end of the process.

    Raises:
        GuardError: AG511 if another writer holds it.
        OSError: if the lock file can't be opened or written.
    """

    def __init__(self, path: Path) -> None:
        # Not inheritable (PEP 446): an agent's process never keeps the log locked after the guard's death.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise GuardError(
                "AG511",
                f"Another guard (process {holder}) writes this log: {path} is locked. Nothing was opened.",
                "Stop the other guard, or give this one its own key and home (AGENT_GUARD_HOME).",
            ) from error
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            self.release()  # else this process would lock itself out for as long as it lives
            raise

    def release(self) -> None:
        """Frees the lock; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
