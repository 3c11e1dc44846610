"""Property: no change to an anchored log, clever or dull, passes as VERIFIED, and the fault is never named late."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_guard.audit import AuditLimits, AuditResult, ChainFacts, Log, Result, Unreachable
from agent_guard.entry import Entry, MalformedEntry
from agent_guard.merkle import leaf_hash
from agent_guard.store import Content, Row, SqliteReader, pages_of
from agent_guard.typed_data import agent_id
from tests.unit.audit.conftest import audited

pytestmark = pytest.mark.unit
ME = agent_id("walker")


@dataclass(frozen=True)
class Original:
    rows: list[Row]
    facts: ChainFacts

    def audit(self, rows: list[Row], chain: ChainFacts | Unreachable | None = None) -> AuditResult:
        return audited(ME, Log(self.facts.identity, pages_of(rows)), chain or self.facts, AuditLimits())


@pytest.fixture
def original(honest: Any) -> Original:
    with SqliteReader(honest.path) as reader:
        return Original(list(reader.rows()), honest.facts())


Forgery = Callable[[Row], Row]


def with_leaf(body: bytes, row: Row) -> Row:
    """A row whose bytes, leaf and columns fit each other, as far as the bytes are an entry."""
    try:
        entry = Entry.decode(body)
    except MalformedEntry:
        return row._replace(body=body, leaf=leaf_hash(body))
    columns = {"index": entry.index, "agent": entry.agent, "counter": entry.counter, "kind": entry.kind.value}
    return row._replace(body=body, leaf=leaf_hash(body), **columns)  # type: ignore[arg-type]


@st.composite
def byte_changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    at, by = draw(st.integers(0, 10_000)), draw(st.integers(1, 255))
    how = draw(st.sampled_from(["flip", "cut", "insert"]))

    def change(data: bytes) -> bytes:
        place = at % max(len(data), 1)
        if how == "insert" or not data:
            return data[:place] + bytes([by]) + data[place:]
        if how == "cut":
            return data[:place] + data[place + 1 :]
        return data[:place] + bytes([data[place] ^ by]) + data[place + 1 :]

    return change


@st.composite
def row_changes(draw: st.DrawFn) -> Forgery:
    """A change to one row; whether it really changes something is for the test to see."""
    change = draw(byte_changes())
    number = draw(st.integers(0, 60))
    key = draw(st.binary(min_size=32, max_size=32))
    return draw(
        st.sampled_from(
            [
                lambda row: row._replace(body=change(row.body)),
                lambda row: with_leaf(change(row.body), row),
                lambda row: row._replace(leaf=change(row.leaf)),
                lambda row: row._replace(content=Content(row.content.salt, change(row.content.body))),
                lambda row: row._replace(content=Content(change(row.content.salt), row.content.body)),
                lambda row: row._replace(index=number),
                lambda row: row._replace(counter=number),
                lambda row: row._replace(agent=key),
                lambda row: with_leaf(
                    replace(Entry.decode(row.body), commitment=key).encode(), row._replace(content=None)
                ),
                lambda row: with_leaf(replace(Entry.decode(row.body), agent=key).encode(), row),
                lambda row: with_leaf(replace(Entry.decode(row.body), time=number).encode(), row),
            ]
        )
    )


def quick(test: Callable[..., None]) -> Callable[..., None]:
    # The fixture is read only, so that one serves all examples.
    return settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )(test)


@quick
@given(at=st.integers(0, 29), change=row_changes())
def test_changed_row_never_passes_and_is_never_named_late(
    original: Original, at: int, change: Forgery
) -> None:
    rows = list(original.rows)
    rows[at] = change(rows[at])
    found = original.audit(rows)
    if rows == original.rows:
        assert found.result is Result.VERIFIED
        return
    assert found.result is Result.TAMPERED
    assert found.first_bad is not None
    assert found.first_bad.index <= at


@quick
@given(data=st.data())
def test_rows_deleted_doubled_or_reordered_never_pass(original: Original, data: st.DataObject) -> None:
    rows = data.draw(
        st.one_of(
            st.permutations(original.rows),
            st.lists(st.sampled_from(original.rows), max_size=40),
            st.sets(st.integers(0, 29)).map(lambda kept: [original.rows[index] for index in sorted(kept)]),
        )
    )
    found = original.audit(rows)
    if rows == original.rows:
        assert found.result is Result.VERIFIED
        return
    assert found.result is Result.TAMPERED
    first = (
        next((at for at, row in enumerate(rows) if row != original.rows[at : at + 1][0]), len(rows))
        if len(rows) <= 30
        else 30
    )
    assert found.first_bad is not None
    assert found.first_bad.index <= first


@quick
@given(data=st.data())
def test_rows_renumbered_to_hide_a_deletion_never_pass(original: Original, data: st.DataObject) -> None:
    """The thorough forger: leaves out entries and rewrites all others so that nothing but the root can tell."""
    left_out = data.draw(st.sets(st.integers(0, 29), min_size=1, max_size=30))
    counters: dict[bytes, int] = {}
    rows: list[Row] = []
    for row in original.rows:
        if row.index in left_out:
            continue
        entry = Entry.decode(row.body)
        counter = counters.get(entry.agent, 0)
        refers_to = None if entry.refers_to is None else max(0, len(rows) - 1)
        if entry.refers_to is not None and not rows:
            continue
        moved = replace(entry, index=len(rows), counter=counter, refers_to=refers_to)
        counters[entry.agent] = counter + 1
        rows.append(with_leaf(moved.encode(), row))
    found = original.audit(rows)
    assert found.result is Result.TAMPERED
    assert found.first_bad is not None
    # In the last segment its length gives the shorter log away, or an answer whose request is gone; then nothing of
    # that segment counts as proven.
    named = found.first_bad.index
    assert named <= min(left_out) or (named <= len(rows) and found.anchored <= min(left_out))
    assert found.obedience.result is not Result.VERIFIED


@quick
@given(size=st.integers(1, 29), root=st.binary(min_size=32, max_size=32))
def test_honest_log_against_another_head_never_passes(original: Original, size: int, root: bytes) -> None:
    facts = replace(original.facts, head=replace(original.facts.head, root=root))
    assert original.audit(original.rows, facts).result is Result.TAMPERED
    facts = replace(original.facts, extensions=(), head=replace(original.facts.head, size=size))
    assert original.audit(original.rows, facts).result is Result.TAMPERED


@quick
@given(at=st.integers(0, 29), change=row_changes())
def test_without_a_chain_nothing_passes_at_all(original: Original, at: int, change: Forgery) -> None:
    rows = list(original.rows)
    rows[at] = change(rows[at])
    assert original.audit(rows, Unreachable("gone")).result is not Result.VERIFIED
