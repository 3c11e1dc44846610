"""Readings of a made-up chain, and clocks that stand where the test puts them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent_guard.guard.verdict import Clock, Limits, Reading
from agent_guard.types import FLEET, AgentState, Block, Head, State

AGENT = b"a" * 32
NOW = 1_700_000_000


def make_state(agent: bytes = AGENT, state: State = State.RUNNING, **changes: Any) -> AgentState:
    """An agent that runs in epoch 1; `may_run` follows `state` unless it is given."""
    plain = AgentState(
        agent=agent, state=State.RUNNING, may_run=state is State.RUNNING, epoch=1, arms=0, vetoes=0, halt_votes=0,
        resume_votes=0, paused_until=0, lease_until=0, resume_ready_at=0, operator="0x" + "Aa" * 20,
        head=Head(0, bytes(32)), halted_size=0,
    )  # fmt: skip
    return replace(plain, state=state, **changes)


def make_reading(
    state: State = State.RUNNING,
    fleet: State = State.RUNNING,
    endpoint: str = "node",
    timestamp: int = NOW,
    read_at: float = 0.0,
    fleet_changes: dict[str, Any] | None = None,
    **changes: Any,
) -> Reading:
    """What a truthful node says: the agent may run if it and the fleet are RUNNING."""
    both = state is State.RUNNING and fleet is State.RUNNING
    return Reading(
        endpoint=endpoint,
        block=Block(7, b"\x07" * 32, timestamp),
        agent=make_state(AGENT, state, **{"may_run": both, **changes}),
        fleet=make_state(FLEET, fleet, **(fleet_changes or {})),
        read_at=read_at,
    )


@dataclass
class HandClock:
    """A clock that the test moves."""

    seconds: float = 0.0

    def __call__(self) -> Clock:
        return Clock(self.seconds, NOW + self.seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def limits() -> Limits:
    return Limits(
        max_block_age=60.0, unknown_grace=30.0, vote_freeze=120.0, freeze_on_vote=True, lease_grace=100.0
    )


@pytest.fixture
def reading() -> Callable[..., Reading]:
    return make_reading
