"""Files that a command writes for people to hand on: new ones only, whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from agent_guard.errors import GuardError


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name when the block ends, and not at all if it raises.

    Raises:
        GuardError: AG101 if something has that name, or the folder can't be written.
    """
    from agent_guard.report.file import put_new, umask

    if path.exists():
        raise _exists(path)
    partial: Path | None = None
    try:
        # A name that no process that was killed has left: process ids come again, in containers the same ones.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new.")
        partial = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o666 & ~umask())
        put_new(partial, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise GuardError(
            "AG101", f"{path} can't be written ({error.strerror}); nothing was.", "Name another file."
        ) from error
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def _exists(path: Path) -> GuardError:
    return GuardError("AG101", f"{path} exists; nothing was written.", "Name another file.")
