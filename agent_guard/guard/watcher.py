"""Watches the chain and says, again and again, where each agent stands.

One thread reads (on a new block's notice, and at the latest after `poll` seconds), decides for each agent, and hands
the standings on. Whatever fails unexpectedly here halts: an exception is no reason to let an agent run on.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agent_guard.errors import GuardError
from agent_guard.guard.verdict import Clock, Limits, Memory, Reading, decide, remember
from agent_guard.types import FLEET, Decision, Sighting, Standing, Verdict

logger = logging.getLogger(__name__)

ReadAll = Callable[[], tuple[list[Sighting], list[GuardError]]]


def now() -> Clock:
    return Clock(monotonic=time.monotonic(), unix=time.time())


class Watcher:
    """Keeps the standing of every agent it watches.

    Args:
        agents: ids by name.
        read: one reading from all endpoints (`ChainView.read`).
        limits: the bounds in force.
        poll: seconds between two readings, at the most.
    """

    def __init__(
        self,
        agents: Mapping[str, bytes],
        read: ReadAll,
        limits: Limits,
        poll: float,
        clock: Callable[[], Clock] = now,
    ) -> None:
        self._agents = dict(agents)
        self._read = read
        self._limits = limits
        self._poll = poll
        self._apply: dict[str, Callable[[Standing], None]] = {}
        self._clock = clock
        self._latest: dict[str, Sighting] = {}  # by endpoint; only the watching thread writes
        self._memories = {name: Memory() for name in agents}
        self._standings = {name: _unwatched(name) for name in agents}
        self._looked_at = clock().monotonic
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def standing(self, agent: str) -> Standing:
        """The latest standing, or that there is none any more; any thread may ask.

        A standing does not outlive the watching: when this thread hangs, what it said becomes FREEZE, and then HALT.
        """
        said = self._standings[agent]
        return said if said.verdict.decision is Decision.HALT else self._overdue(said) or said

    def overdue(self, agent: str) -> Standing | None:
        """The standing that a hung watcher leaves behind, None while it looks as it should. For a second thread."""
        return self._overdue(self._standings[agent])

    def _overdue(self, said: Standing) -> Standing | None:
        silent = self._clock().monotonic - self._looked_at
        if silent <= self._limits.max_block_age:
            return None
        grave = silent > self._limits.max_block_age + self._limits.unknown_grace
        verdict = Verdict(
            Decision.HALT if grave else Decision.FREEZE, "the guard has stopped looking at the chain"
        )
        return Standing(said.agent, verdict, said.block, said.state)

    def attach(self, agent: str, apply: Callable[[Standing], None]) -> None:
        """From now on `apply` (a supervisor's) carries out each of the agent's standings, the present one at once."""
        self._apply[agent] = apply
        apply(self._standings[agent])

    def condemn(self, agent: str, reason: str) -> None:
        """Halts an agent from outside the watching, at once and for good; any thread may ask."""
        before = self._standings[agent]
        self._publish([replace(before, verdict=Verdict(Decision.HALT, reason))])
        if agent in self._apply:
            self._apply[agent](self._standings[agent])

    def poke(self) -> None:
        """Read now; any thread may ask."""
        self._wake.set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the watching; what is under guard must be dead by then."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def look(self) -> None:
        """One reading and its consequences. Also called once before an agent starts, without the thread."""
        sightings, failures = self._read()
        for failure in failures:
            logger.debug("%s", failure.message)
        self._latest.update({sighting.endpoint: sighting for sighting in sightings})
        clock = self._clock()
        self._publish([self._judge(name, clock) for name in self._agents])
        for name in self._apply:
            self._apply[name](self._standings[name])
        self._looked_at = clock.monotonic

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - what can't be foreseen halts every agent
                self._halt_all(error)
            self._wake.wait(self._poll)
            self._wake.clear()

    def _judge(self, name: str, clock: Clock) -> Standing:
        readings = self._readings(self._agents[name])
        memory = remember(self._memories[name], readings, clock, self._limits)
        self._memories[name] = memory
        newest = max(readings, key=lambda reading: reading.block.number, default=None)
        return Standing(
            agent=name,
            verdict=decide(readings, memory, clock, self._limits),
            block=newest.block if newest else None,
            state=newest.agent if newest else None,
        )

    def _readings(self, agent: bytes) -> Sequence[Reading]:
        return [
            Reading(seen.endpoint, seen.block, seen.states[agent], seen.states[FLEET], seen.read_at)
            for seen in self._latest.values()
        ]

    def _publish(self, standings: Sequence[Standing]) -> None:
        """What the gates see, of every agent before any is touched: no action is allowed while a kill is under way.

        Who was condemned under guard stays so, as for the supervisor: its kill may have failed and be tried again.
        """
        for standing in standings:
            before = self._standings[standing.agent].verdict
            condemned = standing.agent in self._apply and before.decision is Decision.HALT
            self._standings[standing.agent] = replace(standing, verdict=before) if condemned else standing

    def _halt_all(self, error: Exception) -> None:
        verdict = Verdict(Decision.HALT, f"the guard failed: {type(error).__name__}: {error}")
        self._publish([replace(before, verdict=verdict) for before in self._standings.values()])
        failures = [again for name in self._apply if (again := self._halt(name)) is not None]
        # Said last: whoever reads our output may stand still.
        for failure in (error, *failures):
            logger.error("the guard failed (%s: %s); halting", type(failure).__name__, failure)

    def _halt(self, name: str) -> Exception | None:
        """What stood in the way of carrying out a halt; it is tried again at the next poll, which halts again."""
        try:
            self._apply[name](self._standings[name])
        except Exception as error:  # noqa: BLE001 - one agent's failing kill must not keep the others alive
            return error
        return None


def _unwatched(name: str) -> Standing:
    return Standing(name, Verdict(Decision.FREEZE, "the chain was never read"), None, None)
