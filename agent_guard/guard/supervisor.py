"""Carries out the verdicts on one agent: freezes it, thaws it, tells it of a planned stop, and kills it for good.

Once an agent is condemned nothing revives it: a kill that fails is tried again at every verdict, until the container
proves that nothing lives. An agent is stopped only when its death receipt exists. Trusts the container and the kernel,
never the agent. What it tells others goes through `notify`, which must not block: killing never waits for a log.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent_guard.errors import GuardError
from agent_guard.sandbox.container import Container, Death
from agent_guard.types import Block, Decision, Standing


@dataclass(frozen=True, slots=True)
class Frozen:
    """Everything of the agent stands still since `at` (unix ms), for `reason`."""

    at: int
    reason: str
    block: Block | None


@dataclass(frozen=True, slots=True)
class Stopping:
    """The agent was told at `at` (unix ms) of a planned stop, for `reason`; its grace runs."""

    at: int
    reason: str
    block: Block | None


@dataclass(frozen=True, slots=True)
class Thawed:
    """The agent goes on since `at` (unix ms)."""

    at: int
    block: Block | None


@dataclass(frozen=True, slots=True)
class DeathReceipt:
    """The proof of a kill; times in unix ms.

    `block` is the newest block the guard had read when it decided, `epoch` the agent's then; None where it killed
    without a word from the chain. `frozen_at` is None if the freeze took too long and was skipped. `processes` counts
    what the container held when it was struck; none of them is left.
    """

    reason: str
    epoch: int | None
    block: Block | None
    seen_at: int
    frozen_at: int | None
    dead_at: int
    mode: str
    processes: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A freeze or a kill that failed and will be tried again."""

    at: int
    error: GuardError


Occurrence = Frozen | Stopping | Thawed | DeathReceipt | Trouble


class Supervisor:
    """One agent's keeper. `apply` may be called from any thread, one at a time gets through."""

    def __init__(self, container: Container, notify: Callable[[Occurrence], None]) -> None:
        self._container = container
        self._notify = notify
        self._lock = threading.Lock()
        self._frozen = self._announced = False
        self._condemned: tuple[Standing, int] | None = None  # and when the halt was seen
        self.receipt: DeathReceipt | None = None

    def apply(self, standing: Standing, seen_at: int | None = None) -> None:
        """Makes it so: RUN thaws, FREEZE freezes, HALT kills; a stop whose grace runs is announced.

        What fails is reported and tried again next time. `seen_at`: when it was decided, unix ns; None: now.
        """
        seen_at = time.time_ns() if seen_at is None else seen_at
        with self._lock:
            halted = standing.verdict.decision is Decision.HALT and not standing.stopping
            if self._condemned is None and halted:
                self._condemned = standing, seen_at
            try:
                self._carry_out(*(self._condemned or (standing, seen_at)))
            except GuardError as error:
                self._notify(Trouble(_milliseconds(time.time_ns()), error))

    def _carry_out(self, standing: Standing, seen_at: int) -> None:
        decision = standing.verdict.decision
        if decision is Decision.HALT and not standing.stopping:
            self._kill(standing, seen_at)
        elif self._container.wait(0) is not None:
            return  # it ended by itself; there is nothing to hold
        elif standing.stopping:
            self._announce(standing)
        elif decision is Decision.FREEZE and not self._frozen:
            self._container.freeze()
            self._frozen = True
            at = _milliseconds(time.time_ns())
            self._notify(Frozen(at, standing.verdict.reason, standing.block))
        elif decision is Decision.RUN:
            self._announced = False
            self._thaw(standing)

    def _thaw(self, standing: Standing) -> None:
        if self._container.frozen:
            self._container.thaw()
            self._frozen = False
            self._notify(Thawed(_milliseconds(time.time_ns()), standing.block))

    def _announce(self, standing: Standing) -> None:
        """Tells the agent once, by SIGTERM, that it is to save its work; frozen it could not."""
        self._thaw(standing)
        if not self._announced:
            self._container.terminate()
            self._announced = True
            at = _milliseconds(time.time_ns())
            self._notify(Stopping(at, standing.verdict.reason, standing.block))

    def _kill(self, standing: Standing, seen_at: int) -> None:
        if self.receipt is None:
            self.receipt = _receipt(standing, seen_at, self._container.kill())
            self._notify(self.receipt)


def _receipt(standing: Standing, seen_at: int, death: Death) -> DeathReceipt:
    # The container's clock is monotonic; this is what the wall clock showed then.
    offset = time.time_ns() - time.monotonic_ns()
    return DeathReceipt(
        reason=standing.verdict.reason,
        epoch=standing.state.epoch if standing.state else None,
        block=standing.block,
        seen_at=_milliseconds(seen_at),
        frozen_at=None if death.frozen_at is None else _milliseconds(death.frozen_at + offset),
        dead_at=_milliseconds(death.dead_at + offset),
        mode=death.mode.value,
        processes=death.processes,
    )


def _milliseconds(nanoseconds: int) -> int:
    return nanoseconds // 1_000_000
