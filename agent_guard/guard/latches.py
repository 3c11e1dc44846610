"""Halts that were seen, kept on disk: neither a restart nor a reorg lets a halted agent run again.

Guarantees: a file appears whole or not at all, and lasts (fsync of file and folder); one that can't be read is an error
and never "no halt". A kill waits for no disk: writing is done on a thread of its own. Trusts the folder, which only the
guard may write to. One file an agent, JSON: the council, the epochs, why and when.
"""

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent_guard.errors import GuardError
from agent_guard.guard.memory import Latch


class Latches:
    """The latches of one guard's agents.

    Args:
        folder: where the files lie; made at the first write.
        council: which council on which chain they are of; those of another one mean nothing here.
        on_failure: told, on the writing thread, of what could not be kept.
    """

    def __init__(self, folder: Path, council: str, on_failure: Callable[[GuardError], None]) -> None:
        self._folder, self._council, self._on_failure = folder, council, on_failure
        self._waiting: queue.Queue[tuple[bytes, Latch] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="latches", daemon=True)
        self._thread.start()

    def load(self, agent: bytes) -> Latch:
        """The latch of an agent (its id), empty if there is none. Raises AG422 if the file can't be used."""
        path = self._path(agent)
        try:
            kept = json.loads(path.read_text())
            if kept["council"] != self._council:
                return Latch()
            latch = Latch(_epoch(kept, "agent_epoch"), _epoch(kept, "fleet_epoch"), str(kept["reason"]))
            if not latch.holds:  # no such file was ever written
                raise ValueError("it keeps no epoch")
            return latch
        except (FileNotFoundError, NotADirectoryError):
            return Latch()
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise GuardError(
                "AG422",
                f"{path} keeps a halt that was seen, and can't be read ({type(error).__name__}: {error}). Nothing was"
                " started.",
                "See on chain whether the agent was halted (agent-guard status, vote list) before you move it away.",
            ) from error

    def keep(self, agent: bytes, latch: Latch) -> None:
        """Has the latch written, or taken away if it holds nothing; returns at once."""
        self._waiting.put((agent, latch))

    def close(self, seconds: float) -> bool:
        """Ends the thread; whether all was written within so long."""
        self._waiting.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (given := self._waiting.get()) is not None:
            try:
                self._write(*given)
            except OSError as error:
                self._on_failure(_unkept(self._path(given[0]), error))

    def _write(self, agent: bytes, latch: Latch) -> None:
        path = self._path(agent)
        if not latch.holds:
            path.unlink(missing_ok=True)
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {
            "council": self._council,
            "agent_epoch": latch.agent_epoch,
            "fleet_epoch": latch.fleet_epoch,
            "reason": latch.reason,
            "seen_at": int(time.time()),
        }
        partial = path.with_suffix(".partial")
        with partial.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, agent: bytes) -> Path:
        return self._folder / f"{agent.hex()}.json"


def _epoch(kept: Mapping[str, Any], name: str) -> int:
    if type(kept[name]) is not int or kept[name] < -1:
        raise TypeError(f"{name} is no epoch")
    return int(kept[name])


def _unkept(path: Path, error: OSError) -> GuardError:
    return GuardError(
        "AG423",
        f"A halt that was seen could not be kept in {path} ({error.strerror}). The agent is killed all the same; a"
        " guard that starts again asks the chain anew.",
        "Free some space or mend the disk; until then start no guard while the chain could be reorganised.",
    )
