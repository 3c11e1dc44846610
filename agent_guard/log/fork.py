"""Two heads of one operator that no one log can have: found, and opened, as `ICouncil.proveFork` takes them.

Guarantees: what `find` returns is a contradiction, re-computed here from the very hashes that would be sent. Says
nothing about signatures. Trusts nobody: the log that opens the newer head may be anyone's, for its root is held against
that head.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from agent_guard.errors import GuardError
from agent_guard.log.reading import AnyLog
from agent_guard.log.tree import frontier_at, range_nodes
from agent_guard.merkle import Frontier, ProofError


@dataclass(frozen=True, slots=True)
class Claim:
    """A head that the operator vouches for: by `signature`, or, if that is empty, by having anchored it."""

    size: int
    root: bytes
    signature: bytes

    @property
    def source(self) -> str:
        return "signed" if self.signature else "chain"


@dataclass(frozen=True, slots=True)
class Fork:
    """A contradiction. `frontier` and `nodes` open the newer head (see `ICouncil.extend`); empty for equal sizes."""

    older: Claim
    newer: Claim
    frontier: tuple[bytes, ...] = ()
    nodes: tuple[bytes, ...] = ()


def find(one: Claim, other: Claim, log: Callable[[], AbstractContextManager[AnyLog]]) -> Fork:
    """The fork that two heads of one operator prove.

    Args:
        log: opens a log; asked only if the sizes differ. The newer head must be one of its.

    Raises:
        GuardError: AG433 they contradict nothing, AG434 the log does not open the newer one, AG515 it is damaged.
    """
    older, newer = sorted((one, other), key=lambda claim: claim.size)
    if older.size == newer.size:
        if older.root == newer.root:
            raise no_fork(f"both heads of {older.size} entries have the same root")
        return Fork(older, newer)
    with log() as reader, reader.snapshot():
        fork = Fork(older, newer, *_opened(reader, older.size, newer))
    if Frontier.from_nodes(older.size, fork.frontier).root() == older.root:
        raise no_fork(f"the log of {newer.size} entries begins with the {older.size} of the older head")
    return fork


def no_fork(why: str) -> GuardError:
    """AG433 for a reason in words."""
    return GuardError(
        "AG433",
        f"Nothing is proven: {why}. Nothing was sent.",
        "A fork needs two heads, signed by one operator (or one, against the chain's), that no one log can have.",
    )


def _opened(reader: AnyLog, size: int, newer: Claim) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Frontier of the first `size` entries, and the nodes that lead from it to the newer head."""
    if reader.size() < newer.size:
        raise _unopened(newer, f"it has only {reader.size()} entries")
    frontier, nodes = frontier_at(reader, size).nodes, tuple(range_nodes(reader, size, newer.size))
    try:
        tree = Frontier.from_nodes(size, frontier)
        tree.extend_range(newer.size, nodes)
    except ProofError as error:
        raise _unopened(newer, str(error)) from error
    if tree.root() != newer.root:
        raise _unopened(newer, f"its root there is 0x{tree.root().hex()}, the head's 0x{newer.root.hex()}")
    return frontier, nodes


def _unopened(newer: Claim, why: str) -> GuardError:
    return GuardError(
        "AG434",
        f"The log does not open the newer head, of {newer.size} entries: {why}. Nothing was sent.",
        "Name the log that the newer head is of, with --log FILE; or bring two heads of one size.",
    )
