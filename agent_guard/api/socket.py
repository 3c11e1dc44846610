"""Makes the Unix socket that an agent finds in its container.

Guarantees: the path may be longer than the 108 bytes that the kernel takes (sun_path, unix(7)), as long as its last
part is not; the socket appears at its path complete, with mode 0666, by one rename; a stale socket is replaced, a
living one and what is no socket are not. Who may reach the folder may speak: the folder is the protection, and wiring
puts it where only the container sees it.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent_guard.errors import GuardError

NAME_LIMIT = 64
MODE = 0o666


def bind_socket(path: Path) -> socket.socket:
    """A bound socket at `path`, not listening yet and not inheritable.

    Raises:
        GuardError: AG616 if it can't be made, or another guard answers there.
    """
    if len(os.fsencode(path.name)) > NAME_LIMIT:
        raise _unusable(path, f"its name is longer than {NAME_LIMIT} bytes")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with _folder(path) as folder:
            _refuse_living(folder, path)
            _place(bound, folder, path.name)
    except OSError as error:
        bound.close()
        raise _unusable(path, error.strerror or str(error)) from error
    except GuardError:
        bound.close()
        raise
    return bound


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A short name for the socket's folder, however long its path."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _refuse_living(folder: Path, path: Path) -> None:
    found = folder / path.name
    try:
        mode = found.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise _unusable(path, "something that is no socket stands there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(ConnectionRefusedError):
        probe.setblocking(False)
        with suppress(BlockingIOError):  # its backlog is full: somebody listens
            probe.connect(str(found))
        raise _unusable(path, "another guard answers there")


def _place(bound: socket.socket, folder: Path, name: str) -> None:
    fresh = folder / f".{name}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    bound.bind(str(fresh))
    fresh.chmod(MODE)
    fresh.rename(folder / name)


def _unusable(path: Path, reason: str) -> GuardError:
    return GuardError(
        "AG616",
        f"The agent's socket can't be made at {path}: {reason}. No agent was started.",
        "Give a folder that exists and that this user may write, with no other guard in it.",
    )
