"""Where a guard keeps what: nothing of one operator's log is taken for another's."""

from pathlib import Path

import pytest

from agent_guard.session.places import Places

pytestmark = pytest.mark.unit


def test_lives_are_noted_for_each_operators_log_apart() -> None:
    """An index says nothing without its log: the other operator's life 1 may live, on another host."""
    one, other = (Places(Path("/home"), "devnet", "0x" + who * 20, "indexer") for who in ("Aa", "Bb"))
    assert one.life != other.life
    assert one.life.parent == other.life.parent == one.pulse.parent
