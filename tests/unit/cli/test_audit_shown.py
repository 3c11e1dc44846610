"""What an audit's lines for people say of one log."""

from pathlib import Path
from typing import Any

import pytest

from agent_guard.audit import Event
from agent_guard.audit.witnesses import NOBODY
from agent_guard.cli.audit_shown import Audited
from agent_guard.cli.output import Facts
from tests.unit.audit.conftest import IDENTITY, World, block

pytestmark = pytest.mark.unit


def receipt(world: Any) -> str:
    """What is said of the death receipt."""
    *_, facts = Audited("log", IDENTITY, world.audit(), NOBODY).blocks("walker")
    assert isinstance(facts, Facts)
    return str(dict(facts.rows)["death receipt"])


def test_receipt_of_another_stop_is_not_shown_as_the_halts(tmp_path: Path) -> None:
    world = World(tmp_path / "log.db")
    world.record("start", {})
    world.happens(Event.HALTED)
    died = world.record("death", {}, meta={"dead": block(world.now).timestamp * 1000, "epoch": 1})
    world.anchor()
    assert receipt(world) == f"entry {died}, signed by the operator"
    world.happens(Event.RESUMED, epoch=2)
    world.now += 1
    world.happens(Event.HALTED, epoch=2)
    assert receipt(world).endswith("; of another stop than the halt")
    world.close()
