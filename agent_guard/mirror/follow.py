"""One look at a published log: what is new is checked, then copied.

The steps, each tagged where it is done:

  1. Owner: the source's checkpoint is of the log that the copy is of.
  2. Signature: it is signed by the log's key, where the caller names that.
  3. Chain: the contract holds, or held, this root for this size.
  4. Consistency: the copy's head is a prefix of it; an older one is a prefix of the copy. Only tiles that lead to their
     own head can contradict another: those that don't are damaged, or the site lies, and nobody is accused of a fork.
  5. Entries: all are there and hash to the root (`log.publish` sees to that while it copies).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent_guard.checkpoint import NoteError, Verifier, open_checkpoint
from agent_guard.errors import GuardError
from agent_guard.log.publish import Opens, publish
from agent_guard.log.tree import leads_to
from agent_guard.store.tiles import Folder, Source, TileFolder, TileLog
from agent_guard.store.tiles.source import damaged
from agent_guard.tlog import CHECKPOINT
from agent_guard.types import LogIdentity

EVIDENCE = "evidence"
"""The folder, beside the copy's files, for heads that contradict it."""
MAX_EVIDENCE = 64
"""Files in it."""

Anchored = Callable[[LogIdentity, int], bytes | None]
"""The root (32 bytes) that the contract holds, or held, for a log and a size; None if none. Raises AG201."""


class News(Enum):
    """What a look found."""

    GROWN = "grown"
    SAME = "same"
    BEHIND = "behind"
    """The source shows an earlier head than the copy has: a cache, or a source that lags."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a look found, and the size and root of the copy after it."""

    news: News
    size: int
    root: bytes


class Mirror:
    """A copy in the folder `root` of the log at `source`.

    Args:
        anchored: asks the chain; None leaves it out.
        verifier: the log's key, None if it is not known: the chain vouches for a head, too.
        opens: whose contents are copied, where the source has them.
    """

    def __init__(
        self,
        source: Source,
        root: Path,
        anchored: Anchored | None,
        verifier: Verifier | None = None,
        opens: Opens = lambda agent: True,
    ) -> None:
        self._source, self._root, self._anchored = source, root, anchored
        self._verifier, self._opens = verifier, opens

    def look(self, progress: Callable[[int], None] = lambda entries: None) -> Taken:
        """Takes what is new.

        Raises:
            GuardError: AG545 or AG542 a fork; its head lies in the folder `evidence`. AG570 it is another log, or not
                signed by its key. AG541 the chain has not seen this head (yet). AG515 the source's files don't fit its
                head. AG510, AG543, AG201 source or chain can't be read, AG513, AG516 the copy can't be written. The
                copy is as it was.
        """
        theirs, ours = TileLog(self._source), self._copy()
        self._check_owner(theirs, ours)
        try:
            self._check_chain(theirs)
            if ours is not None and theirs.size() < ours.size():
                return self._behind(theirs, ours)
            publish(theirs, self._root, self._opens, progress)
        except GuardError as error:
            if error.code in ("AG542", "AG545"):
                self._keep_evidence(theirs)
            raise
        grown = ours is None or theirs.size() > ours.size()
        return Taken(News.GROWN if grown else News.SAME, theirs.size(), theirs.checkpoint.root)

    def _copy(self) -> TileLog | None:
        return TileLog(Folder(self._root)) if (self._root / CHECKPOINT).exists() else None

    def _check_owner(self, theirs: TileLog, ours: TileLog | None) -> None:
        """1. Owner, 2. Signature."""
        if ours is not None and ours.identity() != theirs.identity():
            raise _not_it(
                self._source, f"it is of operator {theirs.identity().operator}, the copy is of another log"
            )
        if self._verifier is None:
            return
        try:
            open_checkpoint(theirs.note, [self._verifier], theirs.checkpoint.origin)
        except NoteError as error:
            raise _not_it(self._source, str(error)) from error

    def _check_chain(self, theirs: TileLog) -> None:
        """3. Chain."""
        if self._anchored is None:
            return
        size, root = theirs.size(), theirs.checkpoint.root
        on_chain = self._anchored(theirs.identity(), size)
        if on_chain is None:
            raise GuardError(
                "AG541",
                f"{self._source.name} shows a head of {size} entries that is not on chain. Nothing was copied.",
                "Look again when the chain's node has caught up; if it stays so, ask the log's operator.",
            )
        if on_chain != root:
            raise GuardError(
                "AG542",
                f"{self._source.name} shows {size} entries with root 0x{root.hex()}; the chain's root for them is"
                f" 0x{on_chain.hex()}. Nothing was copied.",
                self._what_to_do(),
            )

    def _behind(self, theirs: TileLog, ours: TileLog) -> Taken:
        """4. Consistency, for a head older than the copy's."""
        first = ours.frontier(theirs.size())
        if first.root() != theirs.checkpoint.root:
            if not leads_to(ours, first, ours.checkpoint):
                raise damaged(Folder(self._root), CHECKPOINT, "the tiles beside it do not hash to its root")
            raise GuardError(
                "AG545",
                f"{self._source.name} shows {theirs.size()} entries with another root than the first"
                f" {theirs.size()} of the copy have. Nothing was copied.",
                self._what_to_do(),
            )
        return Taken(News.BEHIND, ours.size(), ours.checkpoint.root)

    def _what_to_do(self) -> str:
        signed = "The signed head" if self._verifier else "That head (whose signature only --vkey checks)"
        return f"{signed} lies in {self._root / EVIDENCE}: show it to the signers, who can halt the operator's agents."

    def _keep_evidence(self, theirs: TileLog) -> None:
        """Keeps a head that contradicts the copy; a few prove all that a thousand do, and anyone can make them."""
        name = f"{theirs.size()}-{theirs.checkpoint.root.hex()[:16]}.note"
        kept = self._root / EVIDENCE
        if kept.is_dir() and sum(1 for _ in kept.iterdir()) >= MAX_EVIDENCE:
            return
        try:
            TileFolder(self._root).write_beside(f"{EVIDENCE}/{name}", theirs.note)
        except (GuardError, OSError) as error:
            raise GuardError(
                "AG516",
                f"{self._source.name} contradicts the copy, and the proof of it could not be kept in {kept} ({error})."
                " Nothing was copied.",
                "Make the folder writable for this user, then look again at once.",
            ) from error


def _not_it(source: Source, why: str) -> GuardError:
    return GuardError(
        "AG570",
        f"{source.name} is not the log that is mirrored here: {why}. Nothing was copied.",
        "Check the address and the key; give each log a folder of its own.",
    )
