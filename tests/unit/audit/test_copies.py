"""A copy of a log, published as tiles: it may honestly end early, and is held to all else as the guard's file is."""

from typing import Any

import pytest

from agent_guard.audit import AuditLimits, AuditResult, Log, Result
from agent_guard.store import Content, SqliteReader, pages_of
from agent_guard.typed_data import agent_id
from tests.unit.audit.conftest import audited

pytestmark = pytest.mark.unit
V, T, I = Result.VERIFIED, Result.TAMPERED, Result.INDETERMINATE  # noqa: E741
ME = agent_id("walker")


def audited_copy(world: Any, rows: Any, is_copy: bool = True) -> AuditResult:
    return audited(ME, Log(world.identity, pages_of(rows), is_copy), world.facts(), AuditLimits())


@pytest.fixture
def rows(honest: Any) -> list[Any]:
    honest.recorder.close()
    with SqliteReader(honest.path) as reader:
        return list(reader.rows())


def test_whole_copy_is_verified(honest, rows):
    assert audited_copy(honest, rows).result is V


@pytest.mark.parametrize(("end", "anchored"), [(29, 14), (14, 14), (6, 6), (0, 0)])
def test_copy_that_ends_early_is_not_tampered_with_but_not_all_there_is(honest, rows, end, anchored):
    found = audited_copy(honest, rows[:end])
    assert (found.result, found.completeness.result, found.anchored) == (I, I, anchored)
    assert f"this copy ends after {end} entries, and 30 are anchored" in found.completeness.detail
    assert audited_copy(honest, rows[:end], is_copy=False).completeness.result is T


def test_copy_without_the_content_leaves_only_openness_open(honest, rows):
    found = audited_copy(honest, [row._replace(content=None) for row in rows])
    assert [check.result for check in (found.integrity, found.completeness, found.obedience)] == [V, V, V]
    assert found.openness.result is I


def test_copy_with_a_changed_entry_content_leaf_or_order_is_tampered_with(honest, rows):
    changed = rows[9]._replace(body=rows[9].body.replace(b'"time":17', b'"time":18'))
    other = rows[9]._replace(content=Content(bytes(32), b'{"status":"ok"}'))
    leaf = rows[9]._replace(leaf=bytes(32))
    for forged in (changed, other, leaf):
        found = audited_copy(honest, [*rows[:9], forged, *rows[10:]])
        assert (found.integrity.result, found.first_bad.index) == (T, 9)
    assert audited_copy(honest, [*rows[:9], *rows[10:]]).result is T
    assert audited_copy(honest, [*rows[:9], rows[10], rows[9], *rows[11:]]).result is T
