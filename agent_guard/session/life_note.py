"""What a guard notes of the life that it guards, so that the next guard can tell whether anything of it is left.

A file beside the pulse, one for each log, on disk before the agent runs, and gone once its end stands in the log. It
proves nothing to others: what is claimed from it stands in the log under the operator's signature. A note that can't be
written or read claims nothing.
"""

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent_guard.canonical import MAX_INTEGER
from agent_guard.sandbox.container import Container
from agent_guard.sandbox.mode import Mode
from agent_guard.sandbox.remains import Mark, mark, mark_host

logger = logging.getLogger(__name__)

MAX_NOTE = 16_384
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Life:
    """A life: the index of its start entry, and where it is held."""

    start: int
    mark: Mark


_LIFE = TypeAdapter(Life)


class LifeNote:
    """The note of one agent, at `path`. A disk that fails stops nothing."""

    def __init__(self, path: Path, mode: Mode) -> None:
        self._path, self._mode = path, mode

    def write(self, start: int | None, container: Container | None = None) -> None:
        """Notes a life before its container is built, and again once it stands; durable on return."""
        try:
            if start is not None:
                held = mark_host(self._mode) if container is None else mark(container)
                _write_durably(self._path, json.dumps(asdict(Life(start, held))))
        except (OSError, ValueError) as error:  # what /proc says may be no text that can be read
            logger.error(
                "the life could not be noted (%s); if this guard is killed, it can't be found dead", error
            )
            if container is None:
                self.remove()  # it tells of an earlier life

    def remove(self) -> None:
        """The life's end is in the log."""
        remove_life(self._path)


def read_life(path: Path) -> Life | None:
    """The life that is noted here; None if there is none, or no note that can be used."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_NOTE + 1)
        life = _LIFE.validate_json(text, strict=True, extra="forbid") if len(text) <= MAX_NOTE else None
    except (OSError, ValidationError):
        return None
    return life if life is not None and _is_one(life) else None


def remove_life(path: Path) -> None:
    """Forgets what is noted here. Where that fails the log says all the same that the life has ended."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _is_one(life: Life) -> bool:
    """Whether an entry can have this index, and say this mode."""
    return 0 <= life.start <= MAX_INTEGER and life.mark.mode in {mode.value for mode in Mode}


def _write_durably(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
