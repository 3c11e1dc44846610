"""Stretches: entries that follow each other and in which nothing is remarkable, checked together.

An audit spends its time on the common case: intents and outcomes, each where it belongs, each hashing to what it must.
For a stretch of those every check is made on all entries at once, by the same rules as for one (`rows.py`), at a
fraction of the cost. Guarantees: `stretch_of` gives None unless `RowChecks` would find every single entry of the rows
faultless and each is an intent or an outcome without public metadata; whatever is odd is looked at one by one. A test
holds audits with and without stretches to the same result.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from agent_guard.canonical import MAX_INTEGER
from agent_guard.entry import FORMAT, SALT_SIZE, Kind
from agent_guard.store import Content, Row

LEAST = 16
"""Fewer rows are not worth it."""
MOST = 1_024
MOST_BYTES = 4 << 20
"""Of content, in one stretch; its last row may go beyond."""

_INTENT, _OUTCOME = Kind.INTENT.value, Kind.OUTCOME.value
_ANY, _INT = "(.{64})", "(0|[1-9][0-9]{0,15})"
# One line for each entry. An intent names its block and refers to nothing; an outcome refers to something. That the 64
# characters are hexadecimal digits shows when they are compared, which is faster than to look at each.
_LINE = re.compile(
    (
        rf'^\{{"agent":"0x{_ANY}","block":\{{"hash":"0x{_ANY}","number":{_INT}\}},"commitment":"0x{_ANY}",'
        rf'"counter":{_INT},"format":"{re.escape(FORMAT)}","index":{_INT},'
        rf'"kind":"(?:({_INTENT})"|{_OUTCOME}","refers_to":{_INT}),"time":{_INT}\}}$'
    ).encode(),
    re.MULTILINE,
)


_HASH = re.compile(b"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows without a fault of their own.

    Args:
        end: the index after the last.
        leaves: their leaf hashes.
        counters: for each agent in it, the counter of its next entry.
        earliest, latest: of their times, unix ms.
        own: indices of the audited agent's.
        intents: indices of its intents; `asked_until`: the latest time of those, `blocks`: the heights they name.
        answered: what its outcomes refer to.
    """

    end: int
    leaves: Sequence[bytes]
    counters: Mapping[bytes, int]
    earliest: int
    latest: int
    own: Collection[int]
    intents: frozenset[int]
    asked_until: int
    blocks: frozenset[int]
    answered: Sequence[int]


def stretch_of(
    rows: Sequence[Row], agent: bytes, expected: int, counters: Mapping[bytes, int]
) -> Stretch | None:
    """The rows as a stretch, for an audit of `agent`; None if they are to be looked at one by one.

    Args:
        expected: the index that must come next.
        counters: of each agent's next entry, so far.
    """
    if len(rows) < LEAST:
        return None
    indices, agents, counted, kinds, bodies, leaves, contents, _ = zip(*rows, strict=True)
    text = b"\n".join(bodies)
    # As many lines as rows, and each of them, from its first to its last byte, an entry.
    lines = _LINE.findall(text)
    if len(lines) != len(rows) or text.count(b"\n") != len(rows) - 1:
        return None
    columns, end = _Columns(*zip(*lines, strict=True)), expected + len(rows)
    next_counters = _count(agents, counted, counters)
    named = {each: each.hex().encode() for each in set(agents)}
    if (
        next_counters is None
        or indices != tuple(range(expected, end))
        or tuple(map(int, columns.place)) != indices
        or tuple(map(int, columns.counter)) != counted
        or columns.agent != tuple([named[each] for each in agents])
        or not all(map(_HASH.fullmatch, set(columns.block_hash)))
        or kinds != tuple([_INTENT if asks else _OUTCOME for asks in columns.intent])
        or leaves != tuple([sha256(b"\x00" + body).digest() for body in bodies])
        or not _open(contents, columns.commitment)
    ):
        return None
    return _stretch(agent, agents, columns, leaves, next_counters, end)


class _Columns(NamedTuple):
    """What the lines say, each as text: digits that may be beyond what an entry can hold."""

    agent: tuple[bytes, ...]
    block_hash: tuple[bytes, ...]
    block_number: tuple[bytes, ...]
    commitment: tuple[bytes, ...]
    counter: tuple[bytes, ...]
    place: tuple[bytes, ...]
    intent: tuple[bytes, ...]
    refers_to: tuple[bytes, ...]
    time: tuple[bytes, ...]


def _count(
    agents: Sequence[bytes], counted: Sequence[int], before: Mapping[bytes, int]
) -> dict[bytes, int] | None:
    """The counters after these entries; None if one is not its agent's next."""
    after: dict[bytes, int] = {}
    for agent, counter in zip(agents, counted, strict=True):
        if counter != (after[agent] if agent in after else before.get(agent, 0)):
            return None
        after[agent] = counter + 1
    return after


def _open(contents: Sequence[Content | None], commitments: Sequence[bytes]) -> bool:
    """Whether every content is there and hashes to its commitment."""
    if None in contents:
        return False
    held = [content for content in contents if content is not None]
    digests = b"".join([sha256(salt + body).digest() for salt, body in held])
    return {len(salt) for salt, _ in held} == {SALT_SIZE} and digests.hex().encode() == b"".join(commitments)


def _stretch(
    agent: bytes,
    agents: Sequence[bytes],
    columns: _Columns,
    leaves: Sequence[bytes],
    counters: dict[bytes, int],
    end: int,
) -> Stretch | None:
    """What the rest of the audit asks of the entries; None if a number is beyond what an entry can hold."""
    times, first = list(map(int, columns.time)), end - len(agents)
    answers = [(first + at, int(asked)) for at, asked in enumerate(columns.refers_to) if asked]
    if (
        max(times) > MAX_INTEGER
        or max(map(int, set(columns.block_number))) > MAX_INTEGER
        or any(asked >= index for index, asked in answers)
    ):
        return None
    whose = set(agents)
    own = (
        range(first, end)
        if whose == {agent}
        else {first + at for at, each in enumerate(agents) if each == agent}
    )
    asked = [at for at, asks in enumerate(columns.intent) if asks and first + at in own]
    return Stretch(
        end=end,
        leaves=leaves,
        counters=counters,
        earliest=min(times),
        latest=max(times),
        own=own,
        intents=frozenset([first + at for at in asked]),
        asked_until=max([times[at] for at in asked], default=0),
        blocks=frozenset(map(int, {columns.block_number[at] for at in asked})),
        answered=[asked for index, asked in answers if index in own],
    )
