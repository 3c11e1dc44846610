"""Makes the sockets of a guard: the Unix socket that an agent finds in its container, and the signers' own two.

Guarantees: a path may be longer than the 108 bytes that the kernel takes (sun_path, unix(7)), as long as its last
part is not; the socket appears at its path complete, with its mode, by one rename; a stale socket is replaced, a
living one and what is no socket are not. Who may reach an agent's folder may speak (mode 0666): the folder is the
protection, and wiring puts it where only the container sees it.
"""

import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent_guard.errors import GuardError

NAME_LIMIT = 64
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")


def bind_socket(path: Path, mode: int = 0o666) -> socket.socket:
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
            _place(bound, folder, path.name, mode)
    except OSError as error:
        bound.close()
        raise _unusable(path, error.strerror or str(error)) from error
    except GuardError:
        bound.close()
        raise
    return bound


def parse_address(text: str) -> tuple[str, int] | None:
    """Host and port of `HOST:PORT` (an IPv6 address in brackets, which the host comes without); None for other text."""
    found = _ADDRESS.fullmatch(text)
    return (found[1].strip("[]"), int(found[2])) if found and int(found[2]) < 65_536 else None


def bind_tcp(host: str, port: int) -> socket.socket:
    """A bound TCP socket, not listening yet and not inheritable. Raises GuardError AG616 if it can't be made."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    except (OSError, UnicodeError) as error:  # no name of a host, or one that can't be a name
        raise _unusable(f"{host}:{port}", getattr(error, "strerror", None) or str(error)) from error
    try:
        # A guard that starts again right away finds the port held by connections that have ended.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _unusable(f"{host}:{port}", error.strerror or str(error)) from error
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


def _place(bound: socket.socket, folder: Path, name: str, mode: int) -> None:
    fresh = folder / f".{name}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    bound.bind(str(fresh))
    fresh.chmod(mode)
    fresh.rename(folder / name)


def _unusable(place: Path | str, reason: str) -> GuardError:
    return GuardError(
        "AG616",
        f"A socket of the guard can't be made at {place}: {reason}. Nothing was started.",
        "Give a folder that this user may write, or a free port (signers_listen), with no other guard there.",
    )
