"""One look at a published log: what is new is checked, then copied.

The steps, each tagged where it is done:

  1. Owner: the source's checkpoint is of the log that the copy is of.
  2. Signature: it is signed by the log's key, where the caller names that.
  3. Chain: the contract holds, or held, this root for this size.
  4. Consistency: the copy's head is a prefix of it; an older one is a prefix of the copy. Only tiles that lead to their
     own head can contradict another: those that don't are damaged, or the site lies, and nobody is accused of a fork.
  5. Entries: all are there and hash to the root (`log.publish` sees to that while it copies).

The operator's signed head is copied with the checkpoint of the same head. A site need not have one, and what else it
has in its place accuses nobody: only the operator's own signature of another root than the chain's for that size does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent_guard.checkpoint import NoteError, Verifier, open_checkpoint
from agent_guard.errors import GuardError
from agent_guard.log.publish import Opens, publish
from agent_guard.mirror.evidence import EVIDENCE, contradicts, keep
from agent_guard.store.tiles import Folder, Source, TileLog
from agent_guard.store.tiles.source import damaged
from agent_guard.tlog import CHECKPOINT
from agent_guard.types import LogIdentity

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
    """What a look found, and the size and root of the copy after it.

    `signed`: the copy has the operator's signature of its head. `unsigned`: what the source had instead (AG547, AG543).
    """

    news: News
    size: int
    root: bytes
    signed: bool
    unsigned: GuardError | None


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
        theirs, ours = self._theirs(), self._copy()
        self._check_owner(theirs, ours)
        self._check_chain(theirs, ours)
        if ours is not None:
            self._check_consistency(theirs, ours)
            if theirs.size() < ours.size():
                signed = ours.signed_head() is not None
                return Taken(News.BEHIND, ours.size(), ours.checkpoint.root, signed, None)
        taken = publish(theirs, self._root, self._opens, progress)
        news = News.GROWN if ours is None or theirs.size() > ours.size() else News.SAME
        return Taken(news, taken.size, taken.root, bool(taken.signature), theirs.beside.trouble)

    def _theirs(self) -> TileLog:
        """The source's log; where its signed head is of another moment than its checkpoint, as it is a moment later."""
        theirs = TileLog(self._source)
        if theirs.beside.head is not None and theirs.signed_head() is None:
            return TileLog(self._source)
        return theirs

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

    def _check_chain(self, theirs: TileLog, ours: TileLog | None) -> None:
        """3. Chain."""
        if self._anchored is None:
            return
        size, root = theirs.size(), theirs.checkpoint.root
        on_chain = self._anchored(theirs.identity(), size)
        if on_chain is None:
            if ours is not None and theirs.signed_head() is not None:
                # The operator signed it: if it contradicts the copy, it is a fork whether it was ever anchored or not.
                self._check_consistency(theirs, ours)
            raise GuardError(
                "AG541",
                f"{self._source.name} shows a head of {size} entries that is not on chain. Nothing was copied.",
                "Look again when the chain's node has caught up; if it stays so, ask the log's operator.",
            )
        chain = f"the chain's root for them is 0x{on_chain.hex()}"
        if on_chain != root:
            raise self._fork("AG542", f"shows {size} entries with root 0x{root.hex()}; {chain}", theirs, ours)
        signed = theirs.beside.head
        if signed is not None and signed.size == size and signed.root != root:
            why = f"has the operator's signature of {size} entries with root 0x{signed.root.hex()}; {chain}"
            raise self._fork("AG542", why, theirs, ours)

    def _check_consistency(self, theirs: TileLog, ours: TileLog) -> None:
        """4. Consistency."""
        if contradicts(theirs, ours):
            why = f"shows {theirs.size()} entries of another history than the copy's {ours.size()}"
            raise self._fork("AG545", why, theirs, ours)
        if theirs.size() < ours.size() and ours.frontier(theirs.size()).root() != theirs.checkpoint.root:
            raise damaged(Folder(self._root), CHECKPOINT, "the tiles beside it do not hash to its root")

    def _fork(self, code: str, why: str, theirs: TileLog, ours: TileLog | None) -> GuardError:
        """A fork, once what shows it is kept. Raises AG516 if that fails."""
        try:
            remedy = keep(self._root, self._source.name, theirs, ours)
        except (GuardError, OSError) as error:
            raise GuardError(
                "AG516",
                f"{self._source.name} contradicts the copy, and the proof of it could not be kept in"
                f" {self._root / EVIDENCE} ({error}). Nothing was copied.",
                "Make the folder writable for this user, then look again at once.",
            ) from error
        return GuardError(code, f"{self._source.name} {why}. Nothing was copied.", remedy)


def _not_it(source: Source, why: str) -> GuardError:
    return GuardError(
        "AG570",
        f"{source.name} is not the log that is mirrored here: {why}. Nothing was copied.",
        "Check the address and the key; give each log a folder of its own.",
    )
