"""Refusals are recorded, and a flood of them is not."""

import asyncio
import json
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.gate.refusals import DETAIL_LIMIT, refusal_content
from agent_guard.types import Decision

pytestmark = pytest.mark.unit


def refuse(gate: Any, times: int, code: str = "AG608", **details: Any) -> None:
    async def scene() -> None:
        for _ in range(times):
            await gate.refuse(GuardError(code, "why", "what next"), **details)

    asyncio.run(scene())


def contents(log: Any) -> list[Any]:
    return [json.loads(row.content.body) for row in log.rows("refused")]


def test_a_flood_is_recorded_up_to_the_burst_and_counted_beyond(make_gate, log):
    gate = make_gate(refusal_burst=5)

    refuse(gate, 1_000)

    assert len(contents(log)) == 5
    assert gate.refusals_unrecorded == 995


def test_after_a_flood_the_next_record_says_how_many_went_unrecorded(make_gate, log, situation):
    gate = make_gate(refusal_burst=2, refusal_refill=60.0)
    refuse(gate, 10)

    situation.now += 59.0
    refuse(gate, 1)
    assert len(contents(log)) == 2
    situation.now += 1.0
    refuse(gate, 1)

    assert contents(log)[-1]["unrecorded_before"] == 9
    assert gate.refusals_unrecorded == 0


def test_a_flood_of_one_kind_does_not_hide_another(make_gate, log):
    gate = make_gate(refusal_burst=2)

    refuse(gate, 100, "AG608")
    refuse(gate, 1, "AG611")

    assert [content["code"] for content in contents(log)] == ["AG608", "AG608", "AG611"]


def test_waiting_long_gives_back_the_burst_and_no_more(make_gate, log, situation):
    gate = make_gate(refusal_burst=3, refusal_refill=1.0)
    refuse(gate, 3)
    situation.now += 1_000_000.0

    refuse(gate, 10)

    assert len(contents(log)) == 6


def test_refused_proposals_are_bounded_too(make_gate, log, situation):
    gate = make_gate(refusal_burst=3)
    situation.decision = Decision.HALT

    async def scene() -> None:
        for _ in range(50):
            with pytest.raises(GuardError):
                await gate.propose("fs.write", {})

    asyncio.run(scene())
    assert len(log.rows()) == 3


def test_nothing_in_a_record_is_longer_than_the_limit():
    error = GuardError("AG608", "m" * 5_000, "r" * 5_000)

    content = refusal_content(error, path="p" * 5_000, action=3)

    assert content == {
        "code": "AG608", "reason": "m" * DETAIL_LIMIT, "path": "p" * DETAIL_LIMIT, "action": 3
    }  # fmt: skip


def test_a_refusal_that_can_not_be_recorded_is_refused_all_the_same(gate, log):
    log.recorder.close()

    refuse(gate, 1)
    gate.note_refusal(GuardError("AG608", "why", "what next"))
