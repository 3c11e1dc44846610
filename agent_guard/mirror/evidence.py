"""What a mirror keeps of a fork, beside its copy, and what can be done with that.

Guarantees: keeps the contradicting note, for people, and with it the heads that the operator signed, for the council:
of notes, which anyone can make, and of signed heads, which only he can, no more than `MAX_EVIDENCE` each, for a few
prove all that a thousand do. Says that agents can be halted only where a signed head is kept that contradicts the copy
or the chain. Trusts nobody.
"""

import shlex
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.log.tree import leads_to
from agent_guard.store.tiles import TileFolder, TileLog
from agent_guard.typed_data import SignedHead

EVIDENCE = "evidence"
"""The folder, beside the copy's files, for heads that contradict it."""
MAX_EVIDENCE = 64
"""Files of a kind in it."""


def keep(root: Path, source: str, theirs: TileLog, ours: TileLog | None) -> str:
    """Keeps the head of a source that contradicts the copy in `root` or the chain; what to do next, in words.

    Raises:
        GuardError: AG513, AG516, AG545 it can't be kept. OSError: neither can it be seen what is kept.
    """
    folder, held = TileFolder(root), theirs.checkpoint
    kept = _write(folder, f"{held.size}-{held.root.hex()[:16]}.note", theirs.note)
    signed = theirs.beside.head
    if signed is None or signed.size != held.size:
        where = (
            f"lies in {root / EVIDENCE}" if kept else f"was not kept, as {root / EVIDENCE} has enough others"
        )
        return (
            f"That head {where}, without the operator's signature for the council (--vkey checks its log's): show it to"
            " the signers, who can halt the operator's agents."
        )
    heads = [signed]
    if ours is not None and (own := ours.signed_head()) and _excludes(theirs, signed, ours):
        heads = [own, signed]
    paths = [_write(folder, f"{head.size}-{head.root.hex()[:16]}.json", head.encode()) for head in heads]
    if None in paths:
        return (
            f"Enough signed heads lie in {root / EVIDENCE} already: agent-guard log accuse AGENT HEAD [HEAD]"
        )
    return _how_to_accuse(root, source, heads, paths, ours)


def contradicts(theirs: TileLog, ours: TileLog) -> bool:
    """Whether no one log has both heads.

    A head older than the copy's contradicts it by itself, and so does one of the same size that the operator signed. A
    newer one does by its tiles, if these lead to it: where a log's don't, it says nothing, and this is False.

    Raises:
        GuardError: AG515, AG543, AG510 tiles can't be read.
    """
    alone = theirs.size() < ours.size() or (theirs.size() == ours.size() and theirs.signed_head() is not None)
    older, newer = (theirs, ours) if alone else (ours, theirs)
    first = newer.frontier(older.size())
    if first.root() == older.checkpoint.root:
        return False
    return leads_to(newer, first, newer.checkpoint) and ours.root() == ours.checkpoint.root


def _excludes(theirs: TileLog, signed: SignedHead, ours: TileLog) -> bool:
    """Whether no one log has both the copy's head and the one that their operator signed."""
    try:
        if signed.size <= ours.size():
            return ours.frontier(signed.size).root() != signed.root
        return signed.root == theirs.checkpoint.root and contradicts(theirs, ours)
    except GuardError:  # files that are not shown, or damaged, open nothing
        return False


def _how_to_accuse(
    root: Path, source: str, heads: list[SignedHead], paths: list[Path | None], ours: TileLog | None
) -> str:
    """The command that shows the heads to the council; `--log` is the log that has the newer one."""
    command, soon = ["agent-guard", "log", "accuse", "AGENT", *map(str, paths)], ""
    if len(heads) == 2 and heads[0].size != heads[1].size:
        command += ["--log", str(root) if heads[0].size > heads[1].size else source]
    elif len(heads) == 1 and ours is not None:
        command += ["--log", str(root)]
    if len(heads) == 1 and (ours is None or ours.size() < heads[0].size):
        soon = " (once the chain has gone on, --log must name a log that has its head)"
    return (
        f"The operator signed it: anyone can halt his agents without a vote{soon}, with {shlex.join(command)}"
    )


def _write(folder: TileFolder, name: str, text: str) -> Path | None:
    """Where a file of evidence lies now; None if it is not kept, for there are enough of its kind."""
    path = folder.root / EVIDENCE / name
    kept = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    if name not in kept and sum(one.endswith(path.suffix) for one in kept) >= MAX_EVIDENCE:
        return None
    folder.write_beside(f"{EVIDENCE}/{name}", text)
    return path
