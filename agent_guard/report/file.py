"""The report's file: new, whole or not at all; never over another file."""

import errno
import os
import tempfile
from enum import Enum
from pathlib import Path

from agent_guard.errors import GuardError


class Form(Enum):
    """The form of a report, told by its file's suffix."""

    HTML = ".html"
    MARKDOWN = ".md"
    JSON = ".json"


def form_of(path: Path) -> Form:
    """The form that a file's name asks for, where a new file can stand.

    Raises:
        GuardError: AG460 no known suffix, AG461 there is something of this name, AG462 there is no such folder,
            or this user can't write it.
    """
    try:
        form = Form(path.suffix.lower())
    except ValueError:
        raise GuardError(
            "AG460",
            f"{path} ends with none of .html, .md and .json, so the report's form is not known. Nothing was audited.",
            "Name the report FILE.html to read and print it, FILE.md for text, FILE.json for programs.",
        ) from None
    if os.path.lexists(path):
        raise _exists(path)
    if not path.parent.is_dir():
        raise GuardError(
            "AG462",
            f"There is no folder {path.parent} for the report. Nothing was audited.",
            "Make it, or name another.",
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):  # known now, not after an hour's audit
        raise GuardError(
            "AG462",
            f"The folder {path.parent} can't be written by this user. Nothing was audited.",
            "Make it writable, or name another.",
        )
    return form


def write(path: Path, content: str) -> None:
    """Writes a new file, readable by all as the umask says: complete under its name, or not there.

    Raises:
        GuardError: AG461 something of this name came meanwhile, AG462 it can't be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".report.")
        written = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            written.chmod(0o666 & ~umask())
            put_new(written, path)
        finally:
            written.unlink(missing_ok=True)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise GuardError(
            "AG462",
            f"The report {path} could not be written ({error.strerror}). The audit itself ended as was said.",
            "Make room or name another place, and audit again.",
        ) from error


def put_new(written: Path, path: Path) -> None:
    """Gives a file that is written its name. `FileExistsError` if something has that name; other `OSError`s pass."""
    try:
        os.link(written, path)  # a link, unlike a rename, replaces nothing
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # the name is ours from here on
        written.replace(path)


_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""What file systems say that have no links: FAT on a stick, some of a network."""


def umask() -> int:
    """This process's, which can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _exists(path: Path) -> GuardError:
    return GuardError(
        "AG461",
        f"{path} exists, and was left as it is. No report was written.",
        "Name another file with --report.",
    )
