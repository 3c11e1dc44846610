"""Stretches: entries that follow each other and in which nothing is remarkable, checked together.

An audit spends its time on the common case: intents and outcomes, each where it belongs, each hashing to what it must.
For a stretch of those every check is made on all entries at once, by the same rules as for one (`rows.py`), at a
fraction of the cost: each entry must be, to the byte, what a guard would write of its row, its content and a few words
of its own. Guarantees: `stretch_of` gives None unless `RowChecks` would find every single entry of the rows faultless
and each is an intent or an outcome without public metadata; whatever is odd is looked at one by one. A test holds
audits with and without stretches to the same result.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import compress
from operator import ge, gt
from typing import NamedTuple

from agent_guard.canonical import MAX_INTEGER
from agent_guard.entry import FORMAT, SALT_SIZE, Kind
from agent_guard.store import Page

LEAST = 16
"""Fewer rows are not worth it."""

_INT = "(?:0|[1-9][0-9]{0,15})"
# Finds in an entry's line what nothing else tells: the hash and the number of its block, what it answers (an outcome
# does, an intent does not) and its time. Passes over the rest, which is compared with its one spelling. A time has 13
# digits (years 2001 to 2286), so that the earliest is the first as text.
_LINE = re.compile(
    rf'^.{{97}}(.{{64}})","number":({_INT})\}}.{{93}}[0-9]{{1,16}}.{{34}}[0-9]{{1,16}},"kind":"'
    rf'(?:{Kind.INTENT.value}"|{Kind.OUTCOME.value}"(,"refers_to":({_INT}))),"time":([1-9][0-9]{{12}})\}}$',
    re.MULTILINE | re.DOTALL,
)
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows without a fault of their own.

    Args:
        start: the index of the first, `begun`: its time; `end`: the index after the last.
        leaves: their leaf hashes.
        counters: for each agent in it, the counter of its next entry.
        earliest, latest: of their times, unix ms; `ordered`: none is before the one it follows.
        own: indices of the audited agent's.
        lowest: the lowest height of a block that any names.
        intents: indices of its intents; `asked_until`: the latest time of those, `blocks`: the heights they name.
        answered: what its outcomes refer to.
    """

    start: int
    begun: int
    end: int
    leaves: Sequence[bytes]
    counters: Mapping[bytes, int]
    earliest: int
    latest: int
    ordered: bool
    lowest: int
    own: Collection[int]
    intents: frozenset[int]
    asked_until: int
    blocks: frozenset[int]
    answered: Sequence[int]


def stretch_of(rows: Page, agent: bytes, expected: int, counters: Mapping[bytes, int]) -> Stretch | None:
    """The rows as a stretch, for an audit of `agent`; None if they are to be looked at one by one.

    Args:
        expected: the index that must come next.
        counters: of each agent's next entry, so far.
    """
    if len(rows) < LEAST or None in rows.salts or None in rows.contents:
        return None
    text = b"\n".join(rows.bodies).decode("latin-1")
    lines = _LINE.findall(text)
    next_counters = _count(rows, counters)
    # As many lines as rows, and each of them, from its first to its last character, an entry.
    if len(lines) != len(rows) or next_counters is None:
        return None
    words = _Words(*zip(*lines, strict=True))
    if (
        rows.indices != tuple(range(expected, expected + len(rows)))
        or any(map(gt, rows.counters, rows.indices))
        or not all(map(_HASH.fullmatch, set(words.block_hash)))
        or text != _spelled(rows, words)
        or rows.leaves != tuple([sha256(b"\x00" + body).digest() for body in rows.bodies])
        or {len(salt) for salt in rows.salts if salt is not None} != {SALT_SIZE}
    ):
        return None
    return _stretch(agent, rows, words, next_counters)


class _Words(NamedTuple):
    """What the lines say that nothing else tells, as text: numbers may be beyond what an entry can hold."""

    block_hash: tuple[str, ...]
    block_number: tuple[str, ...]
    answer: tuple[str, ...]
    refers_to: tuple[str, ...]
    time: tuple[str, ...]


def _count(rows: Page, before: Mapping[bytes, int]) -> dict[bytes, int] | None:
    """The counters after these entries; None if one is not its agent's next."""
    after = {agent: before.get(agent, 0) for agent in set(rows.agents)}
    if len(after) == 1:  # as a rule, and at once
        agent, first = after.popitem()
        end = first + len(rows)
        return {agent: end} if rows.counters == tuple(range(first, end)) else None
    for agent, counter in zip(rows.agents, rows.counters, strict=True):
        if counter != after[agent]:
            return None
        after[agent] = counter + 1
    return after


def _spelled(rows: Page, words: _Words) -> str:
    """The lines as `Entry.encode` makes them of what the rows, their contents and these words say."""
    names = {agent: agent.hex() for agent in set(rows.agents)}
    commitments = [
        sha256(salt + body).hexdigest()
        for salt, body in zip(rows.salts, rows.contents, strict=True)
        if salt is not None and body is not None
    ]
    told = zip(rows.indices, rows.agents, rows.counters, rows.kinds, commitments, *words, strict=True)
    lines = [
        f'{{"agent":"0x{names[agent]}","block":{{"hash":"0x{block}","number":{number}}},"commitment":"0x{commitment}",'
        f'"counter":{counter},"format":"{FORMAT}","index":{index},"kind":"{kind}"{answer},"time":{time}}}'
        for index, agent, counter, kind, commitment, block, number, answer, _, time in told
    ]
    return "\n".join(lines)


def _stretch(agent: bytes, rows: Page, words: _Words, counters: dict[bytes, int]) -> Stretch | None:
    """What the rest of the audit asks of the entries; None if one answers none before it, or a number is too large."""
    asked = [int(index or -1) for index in words.refers_to]
    numbers = [*map(int, set(words.block_number))]
    if max(numbers) > MAX_INTEGER or any(map(ge, asked, rows.indices)):
        return None
    mine = list(map(agent.__eq__, rows.agents))
    asks = [own and index < 0 for own, index in zip(mine, asked, strict=True)]
    first, end = rows.indices[0], rows.indices[-1] + 1
    return Stretch(
        start=first,
        begun=int(words.time[0]),
        end=end,
        leaves=rows.leaves,
        counters=counters,
        earliest=int(min(words.time)),
        latest=int(max(words.time)),
        ordered=not any(map(gt, words.time, words.time[1:])),
        lowest=min(numbers),
        own=range(first, end) if all(mine) else {*compress(rows.indices, mine)},
        intents=frozenset(compress(rows.indices, asks)),
        asked_until=int(max(compress(words.time, asks), default=0)),
        blocks=frozenset(map(int, {*compress(words.block_number, asks)})),
        answered=[index for own, index in zip(mine, asked, strict=True) if own and index >= 0],
    )
