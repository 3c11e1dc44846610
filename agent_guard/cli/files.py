"""Files that a command writes for people to hand on: new ones only, whole or not at all."""

import os
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
    if path.exists():
        raise _exists(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("x", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # unlike a rename it never replaces what came there meanwhile
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise GuardError(
            "AG101", f"{path} can't be written ({error.strerror}); nothing was.", "Name another file."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _exists(path: Path) -> GuardError:
    return GuardError("AG101", f"{path} exists; nothing was written.", "Name another file.")
