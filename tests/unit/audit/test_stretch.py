"""Stretches: what is taken at once, what is not, and that nothing odd hides in one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_guard.audit import (
    AuditLimits,
    ChainFacts,
    Event,
    Extension,
    Happening,
    LimitsInForce,
    Log,
    Result,
    audit,
)
from agent_guard.audit import stretch as module
from agent_guard.audit.facts import Written
from agent_guard.audit.lateness import Lateness
from agent_guard.audit.rows import RowChecks
from agent_guard.audit.silence import Silence
from agent_guard.audit.stops import stops
from agent_guard.audit.stretch import Stretch, stretch_of
from agent_guard.entry import BlockRef, Entry, Kind, commitment
from agent_guard.log.reading import pages_until_damage
from agent_guard.merkle import Frontier, leaf_hash
from agent_guard.store import Content, Page, Row, SqliteReader, pages_of
from agent_guard.typed_data import agent_id
from agent_guard.types import Block, Head, State
from tests.unit.audit.conftest import GENESIS, IDENTITY, agent_state, audited

pytestmark = pytest.mark.unit
ME, OTHER = agent_id("walker"), agent_id("other")
BLOCK = BlockRef(7, bytes(range(32)))
SALT, BODY = bytes(32), b'{"n":1}'


def row(index: int, agent: bytes = ME, counter: int | None = None, **changes: Any) -> Row:
    """An intent at an even place, the outcome of the one before at an odd one."""
    fields: dict[str, Any] = {
        "kind": Kind.OUTCOME if index % 2 else Kind.INTENT,
        "refers_to": index - 1 if index % 2 else None,
        "time": 1_700_000_000_000 + index,
        "block": BLOCK,
        "commitment": commitment(SALT, BODY),
    } | changes
    entry = Entry(index, agent, index if counter is None else counter, **fields)
    body = entry.encode()
    return Row(
        entry.index, agent, entry.counter, entry.kind.value, body, leaf_hash(body), Content(SALT, BODY)
    )


def rows(first: int = 0, count: int = 32) -> list[Row]:
    return [row(index) for index in range(first, first + count)]


def stretch(given: list[Row], first: int = 0, counters: dict[bytes, int] | None = None) -> Stretch | None:
    return stretch_of(Page.of(given), ME, first, {ME: first} if counters is None else counters)


def test_entries_in_which_nothing_is_remarkable_are_a_stretch():
    found = stretch(rows(100, 32), 100)
    assert found is not None
    assert (found.end, list(found.own), found.counters) == (132, list(range(100, 132)), {ME: 132})
    assert list(found.leaves) == [each.leaf for each in rows(100, 32)]
    assert found.intents == frozenset(range(100, 132, 2))
    assert list(found.answered) == list(range(100, 132, 2))
    assert (found.earliest, found.latest, found.asked_until) == (
        1_700_000_000_100,
        1_700_000_000_131,
        1_700_000_000_130,
    )
    assert found.blocks == {7}
    assert (found.start, found.begun, found.ordered) == (100, 1_700_000_000_100, True)


def test_clock_that_goes_back_is_told_by_how_far_apart_the_times_are():
    given = changed(20, lambda old: row(20, time=1_700_000_000_000))
    found = stretch(given)
    assert found is not None
    assert (found.begun, found.earliest, found.ordered) == (1_700_000_000_000, 1_700_000_000_000, False)


def test_what_is_told_of_the_agent_is_not_told_of_others():
    given = [row(index, (ME, OTHER)[index // 2 % 2], index // 4 * 2 + index % 2) for index in range(32)]
    found = stretch(given, 0, {})
    assert found is not None
    assert (len(found.own), found.counters) == (16, {ME: 16, OTHER: 16})
    assert found.intents == frozenset(range(0, 32, 4))
    assert list(found.answered) == list(range(0, 32, 4))


def test_few_rows_are_none():
    assert stretch(rows(0, module.LEAST)) is not None
    assert stretch(rows(0, module.LEAST - 1)) is None


def changed(at: int, change: Callable[[Row], Row]) -> list[Row]:
    given = rows()
    given[at] = change(given[at])
    return given


def spelled(body: bytes) -> Callable[[Row], Row]:
    """Another spelling, with the leaf of those bytes."""
    return lambda row: row._replace(body=body, leaf=leaf_hash(body))


ODD: dict[str, Callable[[Row], Row]] = {
    "another index": lambda row: row._replace(index=99),
    "another counter": lambda row: row._replace(counter=9),
    "another counter in the bytes": lambda row: spelled(
        row.body.replace(b'"counter":%d,' % row.counter, b'"counter":77,')
    )(row),
    "another kind in the bytes": lambda row: spelled(
        row.body.replace(b'"kind":"%s"' % row.kind.encode(), b'"kind":"start"')
    )(row),
    "another commitment in the bytes": lambda row: spelled(
        row.body.replace(commitment(SALT, BODY).hex().encode(), b"ab" * 32)
    )(row),
    "another format": lambda row: spelled(row.body.replace(b"agent-guard/1", b"agent-guard/2"))(row),
    "another agent": lambda row: row._replace(agent=OTHER),
    "another kind": lambda row: row._replace(kind="refused"),
    "another leaf": lambda row: row._replace(leaf=bytes(32)),
    "another content": lambda row: row._replace(content=Content(SALT, b"{}")),
    "another salt": lambda row: row._replace(content=Content(b"\1" * 32, BODY)),
    "a short salt": lambda row: row._replace(content=Content(SALT[:31], b"\0" + BODY)),
    "no content": lambda row: row._replace(content=None),
    "changed bytes": lambda row: row._replace(body=row.body.replace(b'"time":17', b'"time":18')),
    "a letter in the hash": lambda row: spelled(row.body.replace(b'"hash":"0x00', b'"hash":"0xg0'))(row),
    "capitals in the hash": lambda row: spelled(row.body.replace(b'"hash":"0x000102', b'"hash":"0xA00102'))(row),
    "something before": lambda row: spelled(b" " + row.body)(row),
    "something behind": lambda row: spelled(row.body + b" ")(row),
    "a line before": lambda row: spelled(b"x\n" + row.body)(row),
    "a line behind": lambda row: spelled(row.body + b"\n" + row.body)(row),
    "a leading zero": lambda row: spelled(row.body.replace(b'"time":', b'"time":0'))(row),
    "a time of 12 digits": lambda row: spelled(row.body.replace(b'"time":1', b'"time":'))(row),
    "a time of 14 digits": lambda row: spelled(row.body.replace(b'"time":', b'"time":1'))(row),
    "a number too large": lambda row: spelled(row.body.replace(b'"time":170', b'"time":999170'))(row),
    "a block too high": lambda row: spelled(row.body.replace(b'"number":7', b'"number":9999999999999999'))(row),
    "no block": lambda row: spelled(
        row.body.replace(BLOCK.hash.hex().encode(), b"").replace(b'{"hash":"0x","number":7}', b"null")
    )(row),
    "a flood of digits": lambda row: spelled(row.body[:267] + b"1" * 200_000)(row),
    "no entry": lambda row: spelled(b"{}")(row),
    "nothing": lambda row: spelled(b"")(row),
}  # fmt: skip


@pytest.mark.parametrize("at", [0, 15, 31])
@pytest.mark.parametrize("name", ODD)
def test_one_odd_entry_makes_it_no_stretch(name, at):
    given = changed(at, ODD[name])
    assert given != rows()
    assert stretch(given) is None


@pytest.mark.parametrize(
    "odd",
    [
        row(20, kind=Kind.REFUSED),
        row(20, kind=Kind.START),
        row(20, kind=Kind.HALT, meta={"epoch": 1}),
        row(20, refers_to=3),
        row(21, kind=Kind.DECISION),
    ],
    ids=["refused", "start", "halt", "an intent that refers", "decision"],
)
def test_only_intents_and_outcomes_are_plain(odd):
    given = rows()
    given[odd.index] = odd
    assert stretch(given) is None


def test_answer_to_what_comes_later_is_not_plain():
    given = rows()
    body = given[21].body.replace(b'"refers_to":20', b'"refers_to":22')
    given[21] = given[21]._replace(body=body, leaf=leaf_hash(body))
    assert stretch(given) is None


def test_counter_above_its_index_is_that_of_no_entry():
    given = [spelled(each.body.replace(b'"counter":', b'"counter":9'))(each) for each in rows(10)]
    given = [each._replace(counter=900 + each.counter) for each in given]
    assert stretch(given, 10, {ME: 910}) is None


def test_rows_must_follow_what_was_there():
    assert stretch(rows(32), 32) is not None
    assert stretch(rows(32), 31) is None
    assert stretch(rows(32), 32, {ME: 31}) is None
    assert stretch(rows(), 0, {}) is not None
    assert stretch([*rows(0, 16), *rows(17, 16)]) is None
    assert stretch(rows()[::-1]) is None


def test_honest_log_is_taken_by_stretches_and_only_what_is_remarkable_alone(honest: Any) -> None:
    for _ in range(5):
        honest.work(20)
        honest.anchor()
    honest.recorder.close()
    taken: list[int] = []

    def watched(self: RowChecks, stretch: Stretch) -> None:
        taken.append(len(stretch.leaves))
        take(self, stretch)

    take = RowChecks.take
    with SqliteReader(honest.path) as reader, mock.patch.object(RowChecks, "take", watched):
        log = Log(reader.identity(), pages_until_damage(reader))
        found = audit(ME, log, honest.facts(), AuditLimits())
    assert found.result is Result.VERIFIED
    assert sum(taken) == 16 + 5 * 40  # all but those before the anchors at 6 and 14: too few, or a start


# ------------------------------------------------------------------------------------ at once and one by one, the same

BLOCKS = [Block(number, bytes([number]) * 32, GENESIS + 100 * number) for number in range(12)]
LIMITS = AuditLimits(silence_seconds=300, overrun_seconds=60)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Row], ChainFacts]:
    """A log of mostly plain entries in which anything may be odd, and a chain on which anything may have happened."""
    given: list[Row] = []
    now, counters, asked = GENESIS * 1000 + 100_000, {ME: 0, OTHER: 0}, {ME: [0], OTHER: [0]}
    for index in range(draw(st.integers(1, 40))):
        agent = draw(st.sampled_from([ME, ME, ME, OTHER]))
        now += draw(st.sampled_from([0, 1, 1, 1, 10, 5_000, 20_000, 50_000, 400_000, -90_000]))
        number = draw(st.sampled_from([min(11, max(0, (now // 1000 - GENESIS) // 100))] * 3 + [1, 6, 11]))
        kinds = [Kind.INTENT] * 9 + [Kind.OUTCOME] * 9 + [Kind.REFUSED, Kind.START, Kind.DEATH, Kind.DECISION]
        kind = draw(st.sampled_from(kinds if index else [Kind.INTENT, Kind.START]))
        answers = None
        if kind in (Kind.OUTCOME, Kind.DECISION, Kind.REFUSED):
            answers = draw(st.sampled_from([asked[agent][-1], asked[agent][-1], *asked[agent]]))
        if kind is Kind.INTENT:
            asked[agent].append(index)
        counter, counters[agent] = counters[agent], counters[agent] + 1
        block = BlockRef(number, BLOCKS[number].hash if draw(st.integers(0, 9)) else bytes(32))
        given.append(row(index, agent, counter, kind=kind, time=now, block=block, refers_to=answers))
    return given, draw(chains(given))


@st.composite
def chains(draw: st.DrawFn, given: list[Row]) -> ChainFacts:
    sizes = sorted(draw(st.sets(st.integers(1, len(given)), max_size=6)))
    tree, extensions, old = Frontier(), [], 0
    for size in sizes:
        tree.extend(each.leaf for each in given[old:size])
        block = BLOCKS[draw(st.integers(3, 11))]
        extensions.append(Extension(block, old, size, tree.root()))
        old = size
    history = [happening(Event.REGISTERED, 0)]
    for number in sorted(draw(st.lists(st.integers(1, 11), max_size=3))):
        event = draw(st.sampled_from([Event.HALTED, Event.PAUSED, Event.RESUMED]))
        history.append(happening(event, number, until=BLOCKS[number].timestamp + 150))
    for number in sorted(draw(st.lists(st.integers(1, 11), max_size=3))):
        history.append(handover(number, history, extensions))
    history.sort(key=lambda happening: happening.block.number)
    head = Head(old, tree.root(), 0)
    return ChainFacts(
        identity=IDENTITY,
        as_of=BLOCKS[11],
        head=head,
        state=agent_state(State.RUNNING, head),
        history=history,
        extensions=extensions if draw(st.integers(0, 9)) else (),
        block_at=lambda number: BLOCKS[number] if 0 <= number < len(BLOCKS) else None,
    )


def happening(event: Event, number: int, until: int = 0) -> Happening:
    return Happening(
        event, ME, BLOCKS[number], 1, until, IDENTITY.operator if event is Event.REGISTERED else ""
    )


def handover(number: int, history: list[Happening], extensions: list[Extension]) -> Happening:
    """From this log's operator to another one, or back to him."""
    size = max((one.new_size for one in extensions if one.block.number < number), default=0)
    former = [one.operator for one in history if one.operator][-1]
    other = "another" if former == IDENTITY.operator else IDENTITY.operator
    made = happening(Event.OPERATOR_CHANGED, number)
    return replace(made, operator=other, size=size, former=former, former_size=size)


@settings(max_examples=300)
@given(worlds(), st.integers(1, 6), st.booleans())
def test_an_audit_by_stretches_says_what_one_of_single_entries_says(world, most, is_copy):
    held, facts = world
    with mock.patch("agent_guard.audit.obedience.is_signed", return_value=True):  # so that lives end here
        audited(ME, Log(IDENTITY, pages_of(held), is_copy), facts, LIMITS, most)  # asserts it


# ------------------------------------------------------------------------- what makes the rest of the audit look closer


def facts_of(*history: Happening, extensions: int = 1) -> ChainFacts:
    """A chain that anchored 100 entries at block 5, after (for two extensions) 10 entries at block 3."""
    anchors = [Extension(BLOCKS[3], 0, 10, bytes(32)), Extension(BLOCKS[5], 10, 100, bytes(32))]
    head = Head(100, bytes(32), 0)
    return ChainFacts(
        identity=IDENTITY,
        as_of=BLOCKS[11],
        head=head,
        state=agent_state(State.RUNNING, head),
        history=[happening(Event.REGISTERED, 0), *history],
        extensions=[Extension(BLOCKS[5], 0, 100, bytes(32))] if extensions == 1 else anchors,
        block_at=lambda number: None,
    )


def plain(**changes: Any) -> Stretch:
    """32 entries of the agent, from number 20 on, a second after block 4."""
    time = BLOCKS[4].timestamp * 1000 + 1_000
    made = stretch([row(index, time=time) for index in range(20, 52)], 20)
    assert made is not None
    return replace(made, **changes)


def entry(index: int, **changes: Any) -> Entry:
    return Entry.decode(row(index, time=BLOCKS[4].timestamp * 1000, **changes).body)


AHEAD = (BLOCKS[5].timestamp + 60) * 1000
OLDEST = BLOCKS[4].timestamp * 1000


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"end": 100}, True),
        ({"end": 101}, False),
        ({"latest": AHEAD, "earliest": AHEAD}, True),
        ({"latest": AHEAD + 1, "earliest": AHEAD + 1}, False),
        ({"latest": OLDEST + 60_000, "earliest": OLDEST, "ordered": False}, True),
        ({"latest": OLDEST + 60_001, "earliest": OLDEST, "ordered": False}, False),
        ({"latest": OLDEST + 60_001, "earliest": OLDEST}, True),
        ({"earliest": OLDEST - 1}, False),
        ({"latest": AHEAD}, True),
        ({"latest": AHEAD, "ordered": False}, False),
        ({"asked_until": OLDEST + 360_000}, True),
        ({"asked_until": OLDEST + 360_001}, False),
    ],
)
def test_silence_looks_closer_at_anchors_clocks_and_waits(changes, fits):
    silence = Silence(facts_of(), LimitsInForce(LIMITS))
    silence.see(entry(18), True)
    assert silence.fits(plain(**changes)) is fits


def test_silence_goes_on_to_the_anchor_of_a_stretch_as_of_a_single_entry():
    at_once, alone = (
        Silence(facts_of(extensions=2), LimitsInForce(LIMITS)),
        Silence(facts_of(extensions=2), LimitsInForce(LIMITS)),
    )
    for silence in (at_once, alone):
        silence.see(entry(8), True)
        assert silence.written.after == 0
    begun = BLOCKS[4].timestamp * 1000
    made = stretch([row(index, time=begun + 1_000 * (index - 20)) for index in range(20, 52)], 20)
    assert made is not None
    for _ in range(2):
        at_once.go_on_to(made.start, made.begun)
        assert at_once.written.after == BLOCKS[3].timestamp
    at_once.go_on_to(made.end - 1, begun + 31_000)
    alone.see(entry(20), True)
    for silence in (at_once, alone):
        assert silence.fits(replace(made, asked_until=begun + 360_000))
        assert not silence.fits(replace(made, asked_until=begun + 360_001))
    assert alone.written.after == BLOCKS[3].timestamp


HALT = happening(Event.HALTED, 2)
LATE = BLOCKS[2].timestamp + 60


@pytest.mark.parametrize(
    ("named", "asked_until", "anchored_after", "fits"),
    [
        (1, LATE * 1000, LATE, True),
        (1, LATE * 1000 + 1, LATE, False),
        (1, LATE * 1000, LATE + 1, False),
        (2, LATE * 1000 + 1, LATE + 1, True),  # who read the halt's block did not name an old one
    ],
)
def test_lateness_looks_closer_at_acts_long_after_a_halt(named, asked_until, anchored_after, fits):
    facts = facts_of(HALT)
    late = Lateness(facts, LimitsInForce(LIMITS), stops(facts.history, facts.state))
    late.see(entry(18), Written())
    stretch = plain(asked_until=asked_until, blocks=frozenset([named, 7]))
    assert late.fits(stretch, Written(anchored_after)) is fits


def test_lateness_looks_closer_at_a_first_act_and_at_the_dead():
    late = Lateness(facts_of(), LimitsInForce(LIMITS), [])
    assert not late.fits(plain(), Written())
    late.see(entry(18), Written())
    assert late.fits(plain(), Written())
    late.follow(entry(18, kind=Kind.DEATH, refers_to=3), Written())
    assert not late.fits(plain(), Written())


@pytest.mark.parametrize(("named", "fits"), [(5, True), (6, False)])
def test_lateness_looks_closer_at_blocks_that_were_still_to_come(named, fits):
    late = Lateness(facts_of(), LimitsInForce(LIMITS), [])
    late.see(entry(18), Written())
    assert late.fits(plain(blocks=frozenset([4, named])), Written(0, BLOCKS[5])) is fits
