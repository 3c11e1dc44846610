"""The blocks of events, with their times, in as few requests as the node allows.

Most nodes say beside a log when its block was (`blockTimestamp`, execution-apis #295), which saves a request for each
block; some leave it out or say 0. Guarantees: a time that a log bears is taken only from a node whose first one
was its header's, and every `CHECKED_EVERY`th is held against the header again: one that differs is no answer. Where
there is none, the header is read. Both are the node's own words, so that a liar gains nothing; of several nodes read as
one, a time counts as the rest of the log does (chain/quorum.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.history import Event
from agent_guard.chain.lanes import Lanes
from agent_guard.types import Block

CHECKED_EVERY = 64
"""Blocks."""

Group = tuple[int, Sequence[Event]]
"""How many blocks of events came before, and the events of this one."""


def dated(endpoint: Endpoint, events: Iterable[Event], lanes: Lanes) -> Iterator[tuple[Event, Block]]:
    """Each event with its block, oldest first as they are; several blocks are read at once.

    Raises:
        GuardError: AG201 also if the chain has another block there by now, AG209.
    """
    in_blocks = groupby(events, lambda event: event.block_number)
    groups = ((place, list(inside)) for place, (_, inside) in enumerate(in_blocks))
    first = next(groups, None)
    if first is None:
        return
    believed = _time_in(first[1]) == endpoint.block(first[1][0].block_number).timestamp

    def read(group: Group) -> tuple[Block, Sequence[Event]]:
        return _block_of(endpoint, group, believed=believed), group[1]

    for block, inside in lanes.map(read, chain([first], groups)):
        for event in inside:
            yield event, block


def _block_of(endpoint: Endpoint, group: Group, *, believed: bool) -> Block:
    place, inside = group
    number, said = inside[0].block_number, _time_in(inside) if believed else None
    if said is None or place % CHECKED_EVERY == 0:
        block = endpoint.block(number)
    else:
        block = Block(number, inside[0].block_hash, said)
    with endpoint.calling("read the blocks of the council's events"):
        if block.number != number or any(event.block_hash != block.hash for event in inside):
            raise ValueError(f"block {number} is not the one that the node gave events of")
        if said is not None and said != block.timestamp:
            raise ValueError(f"the node gave two times for block {number}")
    return block


def _time_in(inside: Sequence[Event]) -> int | None:
    """What all events of a block say of its time; None if they don't."""
    times = {event.timestamp for event in inside}
    return times.pop() if len(times) == 1 else None
