"""When an agent's lease had run out: the council's state LAPSED, of which no event tells, from what granted the leases.

A lease is granted by the registration, by a resume and by every renewal; it holds while the chain's clock is before its
end (`CouncilState._stateOf`). Trusts the chain's facts alone. The first block after an end is found by halving, so that
few blocks are looked up.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent_guard.audit.facts import Event, Happening, Lapse
from agent_guard.types import Block

NEVER = 2**63
_GRANTING = frozenset({Event.REGISTERED, Event.RESUMED})


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease: granted in a block of this height at this time, until then (unix seconds)."""

    number: int
    at: int
    until: int


def grants(history: Sequence[Happening], renewals: Sequence[Grant], agent: bytes, lease: int) -> list[Grant]:
    """All leases of an agent (32-byte id), oldest first.

    Args:
        renewals: those that signers granted.
        lease: seconds that the council grants; 0: none, and then there are no leases at all.
    """
    if not lease:
        return []
    granted = [
        Grant(happening.block.number, happening.block.timestamp, happening.block.timestamp + lease)
        for happening in history
        if happening.agent == agent and happening.event in _GRANTING
    ]
    return sorted([*granted, *renewals], key=lambda grant: (grant.number, grant.at))


def lapses(
    granted: Sequence[Grant], grace: int, last: Block, block_at: Callable[[int], Block | None]
) -> Iterator[Lapse]:
    """The times without a lease, oldest first, up to the block `last`. Raises what `block_at` raises.

    Args:
        grace: seconds after a lapse in which it may be renewed; an agent that nobody renewed by then is killed.
    """
    for place, grant in enumerate(granted, 1):
        following = granted[place] if place < len(granted) else None
        end, ended_at = (following.number, following.at) if following else (last.number + 1, last.timestamp)
        if ended_at < grant.until:
            continue
        first = _first_at(grant.until, grant.number, end, block_at)
        if first is not None:
            until = following.number if following else NEVER
            over = grant.until + grace
            yield Lapse(first, until, fatal=over if ended_at >= over else None, ended=grant.until)


def _first_at(time: int, known: int, end: int, block_at: Callable[[int], Block | None]) -> Block | None:
    """The first block at or after a time, higher than `known` and lower than `end`; None if there is none."""
    found: Block | None = None
    low, high = known + 1, end
    while low < high:
        middle = (low + high) // 2
        block = block_at(middle)
        if block is not None and block.timestamp < time:
            low = middle + 1
        else:
            found, high = block or found, middle
    return found
