"""A task's state in a file, so that a stop which was announced interrupts the task and does not undo it.

Guarantees:
  - the file holds a whole state at every moment, the new one or the one before (partial file, fsync, rename, fsync);
  - a task never begins anew in silence: a file that is there and is no whole checkpoint is an error, and stays;
  - a state that JSON would give back changed is never saved;
  - nothing interrupts what the body is doing; it ends where it asks for its next action, or at a pause point.
Trusts the body to change the state only when a step is whole. The file is the agent's own; the guard never reads it.

| the block is left | then |
|---|---|
| at its end | the task is done: the file is removed, and the next run begins anew |
| by `Stopping`, or at its end after a stop was announced | saved; the process exits with 75 (`SystemExit`) |
| by any other exception | saved; the exception goes on |

A body that ended while a stop was announced may have ended for it (`while not guard.stopping`), so that its task is
not taken as done: the next start enters the block once more. A state that has not changed is not written.

Within the block SIGTERM lets the next action or pause point raise `Stopping`, and does nothing else. That takes the
main thread. In another one SIGTERM does what the program made of it, by default end the process unsaved; have it
ignored (`signal.SIG_IGN`), and the guard's refusal alone ends the block, and its thread. Programs that the body started
get a SIGTERM of their own, and forked children die of it as ever. Where several asyncio tasks act at once, let each
return on `Stopping`: one that raises it has the others cancelled in the middle of what they do.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from agent_guard import canonical
from agent_guard.errors import GuardError
from agent_guard.sdk.refusals import Stopping
from agent_guard.sdk.stop import Stop

TO_BE_CONTINUED = os.EX_TEMPFAIL
"""The exit code (75) of a process whose work is saved and not done: start it again, and it goes on."""
VERSION = 1
MARK = "agent_guard_checkpoint"


class Checkpoint:
    """A block that works on a saved state; made by `Guard.checkpoint`, which says how it behaves.

    Args:
        stop: what this process knows of its stop.
        path: the file; taken from the current directory when the block is entered.
        initial: the state where none was saved; copied.
    """

    def __init__(self, stop: Stop, path: Path, initial: Mapping[str, Any]) -> None:
        self._stop = stop
        self._path = path
        self._initial = dict(initial)
        self._saved = b""
        self._owner = 0
        self.state: dict[str, Any] = {}

    def save(self) -> None:
        """Saves the state as it stands, against an end that nobody announces. Costs an fsync if the state has changed.

        Raises AG622; the last saved state is then kept.
        """
        encoded = self._encoded(self.state)
        if encoded != self._saved:
            self._write(encoded)
            self._saved = encoded

    def __enter__(self) -> dict[str, Any]:
        self._owner = os.getpid()
        self._path = self._path.absolute()
        self._put_back = self._stop.heed()
        try:
            self._open()
        except BaseException:
            self._put_back()
            raise
        return self.state

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # In a fork's copy of the block the file is not its own.
            if os.getpid() == self._owner:
                self._leave(error)
        finally:
            self._put_back()

    async def __aenter__(self) -> dict[str, Any]:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not in a thread: no other task may change the state while it is written.
        self.__exit__(kind, error, trace)

    def _open(self) -> None:
        initial = self._encoded(self._initial)
        self._saved = _read(self._path) or initial
        if not os.access(self._path.parent, os.W_OK | os.X_OK):
            raise self._unsaved("its folder is missing, or this user may not write there")
        # Through JSON also at the first time, so that a body meets no other types when it is resumed.
        self.state = canonical.parse(self._saved)["state"]

    def _leave(self, error: BaseException | None) -> None:
        if error is None and not self._stop.announced:
            self._remove()
        elif error is None or _is_only_stopping(error):
            self.save()
            raise SystemExit(TO_BE_CONTINUED) from error
        else:
            self._save_beside(error)

    def _save_beside(self, error: BaseException) -> None:
        """Saves while a body's own exception is on its way, which is never replaced by one of ours."""
        try:
            self.save()
        except GuardError as unsaved:
            error.add_note(f"agent-guard: {unsaved}")

    def _encoded(self, state: dict[str, Any]) -> bytes:
        try:
            encoded = json.dumps({MARK: VERSION, "state": state}, allow_nan=False).encode() + b"\n"
            same = canonical.parse(encoded)["state"] == state
        except (TypeError, ValueError, RecursionError) as error:
            raise self._unsaved(f"its state is no JSON ({error})") from error
        if not same:
            raise self._unsaved(
                "JSON gives its state back changed: it holds a tuple, or a key that is no text"
            )
        return encoded

    def _write(self, encoded: bytes) -> None:
        partial = _partial(self._path)
        try:
            with partial.open("wb") as file:
                file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise self._unsaved(str(error)) from error

    def _remove(self) -> None:
        """The task is done; its next run begins anew. What a kill in the middle of a save left goes as well."""
        try:
            _partial(self._path).unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
            _sync(self._path.parent)
        except OSError as error:
            raise GuardError(
                "AG622",
                f"The task is done, but its checkpoint {self._path} can't be removed: {error}.",
                "Remove the file; the task's next run would go on from there.",
            ) from error

    def _unsaved(self, reason: str) -> GuardError:
        return GuardError(
            "AG622",
            f"The checkpoint {self._path} can't be saved: {reason}. What was saved before, if anything, is kept.",
            "Keep in the state only dicts with text as keys, lists, text, finite numbers, true, false and None, and"
            " the file in a folder that the agent may write, such as its work folder.",
        )


def _read(path: Path) -> bytes | None:
    """The file, known to be a whole checkpoint; None where there is none. Raises AG621."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unusable(path, "it is no file")
        encoded = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, str(error)) from error
    try:
        whole = canonical.parse(encoded)
    except canonical.NotCanonical as error:
        raise _unusable(path, f"it is torn, or no JSON ({error})" if encoded else "it is empty") from error
    if not isinstance(whole, dict) or MARK not in whole:
        raise _unusable(path, "something else than a checkpoint stands there")
    if whole.keys() != {MARK, "state"} or whole[MARK] != VERSION or not isinstance(whole["state"], dict):
        raise _unusable(path, "it is a checkpoint of another version, or was changed")
    return encoded


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _sync(folder: Path) -> None:
    """Has the folder's own entries on disk: a name that was changed or removed (fsync(2))."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _is_only_stopping(error: BaseException) -> bool:
    """Also as a `TaskGroup` raises it, with nothing else in its group."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(Stopping)[1] is None
    return isinstance(error, Stopping)


def _unusable(path: Path, reason: str) -> GuardError:
    return GuardError(
        "AG621",
        f"The checkpoint {path} can't be used: {reason}. No work was begun, and the file is as it was.",
        "Look at the file and what wrote it. To begin the work from its start, remove it.",
    )
