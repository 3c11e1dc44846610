"""Where signers hand ballots to the guard itself: checked, counted at once, recorded, and relayed to the chain.

Guarantees: a ballot that counts has its effect before anything is written or sent; every ballot leaves a record, those
that don't count as far as `REFUSALS` allows, so that nobody can fill the disk; one that counts is relayed until the
chain has taken it, it is void, or the guard ends. Trusts the watcher for what counts. Whoever hands a ballot over is a
stranger: what he sends is at most data in a record.
"""

import logging
import os
import queue
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.guard.watcher import Watcher
from agent_guard.session.events import Step
from agent_guard.session.journal import Journal
from agent_guard.typed_data import MalformedBallot, SignedBallot
from agent_guard.typed_data.recover import recover_signer
from agent_guard.typed_data.signed_ballot import MAX_FILE

logger = logging.getLogger(__name__)

FOLDER_SECONDS = 0.1
RECORD_SECONDS = 0.1
RETRY_SECONDS = 2.0
END_SECONDS = 15.0
REFUSALS, REFILL_SECONDS = 64, 60.0
"""Refusals that are recorded at once, and the seconds until one more is."""
UNWRITTEN = 1_000
"""Records that may wait for the disk; a refusal beyond them is only counted."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a ballot: `refusal` is why it does not count, None if it does."""

    signer: str
    refusal: str | None


class BallotDesk:
    """Takes ballots from any thread.

    Args:
        watcher: says whether a ballot counts, and acts on those that do.
        submit: relays ballots in one transaction. Raises AG313 if none of them can count, else what sending raises.
        folder: ballots may be put here as files (`*.json`); each is renamed once it was seen to.
        names: of the agents by id; their ballots stand among their entries in the log, all others with the guard's own.
        now: unix seconds.
    """

    def __init__(
        self,
        watcher: Watcher,
        submit: Callable[[Sequence[SignedBallot]], object],
        folder: Path,
        names: Mapping[bytes, str] = MappingProxyType({}),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._watcher, self._submit, self._folder, self._now = watcher, submit, folder, now
        self._names = names
        self._records: queue.SimpleQueue[tuple[SignedBallot, str, str | None]] = queue.SimpleQueue()
        self._changed = threading.Condition()  # guards what follows
        self._waiting: list[SignedBallot] = []  # for the relay
        self._counts = Counter(accepted=0, refused=0, malformed=0)
        self._unrecorded = 0
        self._stopping = threading.Event()
        self._room, self._refilled = float(REFUSALS), time.monotonic()
        self._seen_to: set[Path] = set()  # files of the folder that could not be renamed
        self._threads: list[threading.Thread] = []
        self._journal: Journal | None = None
        self._tell: Callable[[Step], None] = lambda step: None

    def start(self, journal: Journal, tell: Callable[[Step], None]) -> None:
        """Starts looking into the folder, recording and relaying."""
        self._journal, self._tell = journal, tell
        for work in (self._look, self._record, self._relay):
            thread = threading.Thread(target=work, name=f"ballots {work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Relays what waits, for at most `END_SECONDS`, and ends; what could not be relayed is told.

        From then on no ballot is taken. A second call does nothing.
        """
        if self._stopping.is_set():
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, END_SECONDS if self._threads else 0)
            self._stopping.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(1.0)
        self._record_all()
        if self._waiting:
            self._tell({"event": "trouble", **_unrelayed(len(self._waiting)).as_dict()})

    def take(self, text: str, source: str) -> Taken:
        """Takes one ballot, as `SignedBallot.encode` writes them; `source` says where it came from.

        Waits for neither the disk nor the chain.

        Raises:
            GuardError: AG315 if it is no ballot at all; that is counted and not recorded. AG317 if the desk has closed.
        """
        try:
            signed = SignedBallot.decode(text)
        except MalformedBallot as error:
            with self._changed:
                self._counts["malformed"] += 1
            raise GuardError(
                "AG315",
                f"That is no signed ballot: {error}. It changed nothing.",
                "Hand over the file that `agent-guard vote halt --sign-only -o FILE` wrote.",
            ) from error
        signer = recover_signer(signed.digest(), signed.signature)
        refusal = self._watcher.offer(signed, signer)
        with self._changed:
            if self._stopping.is_set():
                raise _closed()
            self._counts["accepted" if refusal is None else "refused"] += 1
            if refusal is None:
                self._waiting.append(signed)
                self._changed.notify_all()
            elif self._records.qsize() >= UNWRITTEN:
                self._unrecorded += 1
                return Taken(signed.ballot.signer, refusal)
        self._records.put((signed, source, refusal))
        return Taken(signed.ballot.signer, refusal)

    def counts(self) -> Mapping[str, int]:
        """How many ballots were accepted, refused, or malformed, since the desk was made."""
        with self._changed:
            return dict(self._counts)

    # --------------------------------------------------------------------------------------------- threads of its own

    def _look(self) -> None:
        while not self._stopping.wait(FOLDER_SECONDS):
            try:
                found = sorted(self._folder.glob("*.json"))
            except OSError as error:
                logger.debug("the folder of ballots can't be read (%s)", error.strerror)
                continue
            for path in found:
                if path not in self._seen_to:
                    self._take_file(path)

    def _take_file(self, path: Path) -> None:
        """Takes the ballot of one file and renames the file; one that can't be read or renamed holds up no other."""
        ending = ".refused"
        try:
            ending = ".accepted" if self.take(_read(path), path.name).refusal is None else ".refused"
        except (GuardError, UnicodeDecodeError, OSError) as error:
            self._tell({"event": "trouble", **_unreadable(path.name, error).as_dict()})
        try:
            path.rename(path.with_name(path.name + ending))
        except OSError as error:
            self._seen_to.add(path)
            logger.debug("%s can't be renamed (%s)", path.name, error.strerror)

    def _record(self) -> None:
        while not self._stopping.wait(RECORD_SECONDS):
            self._record_all()

    def _record_all(self) -> None:
        while True:
            try:
                signed, source, refusal = self._records.get_nowait()
            except queue.Empty:
                return
            if refusal is not None and not self._has_room():
                with self._changed:
                    self._unrecorded += 1
                continue
            step = {"event": "ballot", "signer": signed.ballot.signer, "source": source, "refused": refusal}
            self._tell(step)
            content: dict[str, object] = {
                "ballot": signed.encode(),
                "source": source[:200],
                "refused": refusal,
            }
            with self._changed:
                unrecorded, self._unrecorded = self._unrecorded, 0
            if unrecorded:
                content["unrecorded_before"] = unrecorded
            if self._journal is not None:
                self._journal.write(self._names.get(signed.ballot.agent), Entry.BALLOT, content)

    def _has_room(self) -> bool:
        now = time.monotonic()
        self._room = min(float(REFUSALS), self._room + (now - self._refilled) / REFILL_SECONDS)
        self._refilled = now
        if self._room < 1:
            return False
        self._room -= 1
        return True

    def _relay(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
                batch = list(self._waiting)
            if batch and not self._relayed(batch):
                self._stopping.wait(RETRY_SECONDS)

    def _relayed(self, batch: Sequence[SignedBallot]) -> bool:
        """Whether these ballots need no more relaying."""
        try:
            self._submit(batch)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must not end the relaying
            if not isinstance(error, GuardError):
                logger.error("ballots not relayed yet (%s: %s); trying again", type(error).__name__, error)
                return False
            expired = all(self._now() >= signed.ballot.deadline for signed in batch)
            if error.code != "AG313" and not expired:  # the chain has not spoken: try again
                logger.debug("ballots not relayed yet: %s", error.message)
                return False
            self._tell({"event": "trouble", **error.as_dict()})
        with self._changed:
            del self._waiting[: len(batch)]
            self._changed.notify_all()
        return True


def _unrelayed(count: int) -> GuardError:
    return GuardError(
        "AG316",
        f"{count} ballot(s) had their effect here, but could not be relayed to the chain. The log holds them.",
        "Relay them with: agent-guard vote submit FILE...",
    )


def _closed() -> GuardError:
    return GuardError(
        "AG317",
        "This guard is ending: nothing of its agents lives, and it relays nothing more. The ballot was not taken.",
        "Vote on chain: agent-guard vote halt; or: agent-guard vote submit FILE",
    )


def _read(path: Path) -> str:
    """The text of a plain file, and of no pipe that would never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no plain file")
        return file.read(MAX_FILE + 1).decode()


def _unreadable(name: str, error: Exception) -> GuardError:
    message = (
        error.message if isinstance(error, GuardError) else f"it can't be read ({error}). Nothing changed."
    )
    return GuardError("AG315", f"{name}: {message}", "Hand over the file that --sign-only wrote.")
