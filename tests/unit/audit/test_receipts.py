"""A death receipt counts only as the operator's own word on exactly these facts."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from agent_guard.audit import Event, Result
from agent_guard.types import State

pytestmark = pytest.mark.unit

Sign = Callable[[str, dict[str, Any]], dict[str, Any]]
FACTS = {
    "epoch": 1,
    "vote": 10,
    "quorum": 20,
    "block": 20,
    "seen": 25,
    "frozen": 26,
    "processes": 4,
    "mode": "pidns",
}


@pytest.fixture
def stopped(honest: Any) -> Any:
    """An honest log whose agent the council has halted, and that waits for its death receipt."""
    honest.happens(Event.HALTED)
    honest.state = State.HALTED
    honest.record("halt", {"reason": "the council"})
    return honest


def facts_of(world: Any) -> dict[str, Any]:
    return FACTS | {"dead": (1_700_000_000 + 10 * world.now) * 1000}


def audit_with(world: Any, meta: dict[str, Any]) -> Any:
    world.record("death", {}, refers_to=0, meta=meta)
    world.anchor()
    return world.audit()


def test_a_receipt_that_the_operator_signed_answers_the_halt(stopped: Any, sign_death: Sign) -> None:
    found = audit_with(stopped, sign_death("walker", facts_of(stopped)))
    assert (found.result, found.death.stages["processes"]) == (Result.VERIFIED, 4)


@pytest.mark.parametrize(
    "signature",
    ["", "not base64!", b64encode(bytes(65)).decode(), b64encode(b"\x01" * 64).decode()],
    ids=["none", "no base64", "nobody's", "too short"],
)
def test_a_receipt_without_the_operators_signature_ends_no_life(stopped: Any, signature: str) -> None:
    found = audit_with(stopped, facts_of(stopped) | {"signature": signature})
    assert (found.result, found.obedience.result, found.death) == (
        Result.INDETERMINATE,
        Result.INDETERMINATE,
        None,
    )
    assert "not signed by the operator" in found.obedience.detail


@pytest.mark.parametrize("fact", ["dead", *(name for name in FACTS if name != "mode")])
def test_a_receipt_signed_for_other_numbers_is_none(stopped: Any, sign_death: Sign, fact: str) -> None:
    meta = sign_death("walker", facts_of(stopped))
    found = audit_with(stopped, meta | {fact: meta[fact] + 1})
    assert (found.obedience.result, found.death) == (Result.INDETERMINATE, None)


def test_a_receipt_signed_for_another_way_of_holding_is_none(stopped: Any, sign_death: Sign) -> None:
    found = audit_with(stopped, sign_death("walker", facts_of(stopped)) | {"mode": "cgroup+pidns"})
    assert found.death is None


def test_a_receipt_of_another_agent_is_none(stopped: Any, sign_death: Sign) -> None:
    found = audit_with(stopped, sign_death("other", facts_of(stopped)))
    assert found.death is None
