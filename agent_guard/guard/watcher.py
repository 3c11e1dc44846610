"""Watches the chain and says, again and again, where each agent stands.

One thread takes what the endpoints' readers bring, decides for each agent, and hands the standings on. Whatever fails
unexpectedly here halts: an exception is no reason to let an agent run on.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from agent_guard.guard.ballots import BallotBox
from agent_guard.guard.evidence import BallotCount, Clock, Limits, agreed, dissent, needed
from agent_guard.guard.memory import Latch, Memory, asked_to_stop, remember
from agent_guard.guard.sightings import PAST, Sightings
from agent_guard.guard.verdict import decide
from agent_guard.typed_data import SignedBallot
from agent_guard.types import (
    FLEET,
    AgentState,
    Agreement,
    Council,
    Decision,
    Standing,
    Verdict,
    Word,
)

logger = logging.getLogger(__name__)


def now() -> Clock:
    return Clock(monotonic=time.monotonic(), unix=time.time())


class View(Protocol):
    """What reads the endpoints (`chain.view.ChainView`)."""

    wants_finality: bool

    @property
    def endpoints(self) -> tuple[str, ...]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def poke(self, endpoint: str | None = None) -> None: ...
    def wake(self) -> None: ...
    def read(self, timeout: float) -> list[Word]: ...
    def settled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """The latches of earlier runs by agent's name, and where to keep what changes (must not block)."""

    loaded: Mapping[str, Latch]
    keep: Callable[[str, Latch], None]


class Watcher:
    """Keeps the standing of every agent it watches.

    Args:
        agents: ids by name.
        view: reads the endpoints; started and stopped here.
        limits: the bounds in force.
        poll: seconds between two decisions, at the most.
        box: ballots that signers hand over here.
        keeping: latches, before and after this process.
        beat: called after every decision, by the thread that decides.
    """

    def __init__(
        self,
        agents: Mapping[str, bytes],
        view: View,
        limits: Limits,
        poll: float,
        box: BallotBox,
        keeping: Keeping,
        clock: Callable[[], Clock] = now,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._agents, self._view, self._limits, self._poll = dict(agents), view, limits, poll
        self._box, self._keep, self._clock, self._beat = box, keeping.keep, clock, beat
        self._apply: dict[str, Callable[[Standing], None]] = {}
        self._still: dict[str, Callable[[], None]] = {}
        # One endpoint agrees with itself; but while its newest block is not proven yet, the former one is.
        several = len(view.endpoints) > 1 or limits.require_proof
        self._sightings = Sightings(keep=PAST if several else 0)
        self._memories = {name: Memory(latch=keeping.loaded.get(name, Latch())) for name in agents}
        self._kept = {name: memory.latch for name, memory in self._memories.items()}
        self._asked: dict[str, str] = {}  # by any thread; the watching one takes it from here
        self._standings = {name: _unwatched(name) for name in agents}
        self._publishing = threading.Lock()  # no condemnation is lost to a look that ends in the same moment
        self._looked_at = clock().monotonic
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    # ------------------------------------------------------------------------------------------- asked by any thread

    def standing(self, agent: str) -> Standing:
        """The latest standing, or that there is none any more.

        A standing does not outlive the watching: when this thread hangs, what it said becomes FREEZE, and then HALT.
        """
        said = self._standings[agent]
        return said if _is_in_force(said.verdict) else self._overdue(said) or said

    def overdue(self, agent: str) -> Standing | None:
        """The standing that a hung watcher leaves behind, None while it looks as it should. For a second thread."""
        return self._overdue(self._standings[agent])

    def council(self) -> Council | None:
        """The signer set that a quorum reported last."""
        return self._sightings.council(self._limits)

    def state(self, agent: bytes) -> AgentState | None:
        """An agent, or the fleet, as a quorum (else the newest reading) has it; None if it is not watched or read."""
        if agent == FLEET:
            return self._sightings.fleet(self._clock(), self._limits)
        return next(
            (
                standing.state
                for standing in self._standings.values()
                if self._agents[standing.agent] == agent
            ),
            None,
        )

    def offer(self, signed: SignedBallot, signer: str | None) -> str | None:
        """Takes a ballot that came to the guard itself; why it does not count, None if it does.

        `signer` is whose signature it is.
        """
        state = self.state(signed.ballot.agent)
        refusal = self._box.admit(signed, signer, self.council(), state, self._clock().unix)
        if refusal is None:
            self._view.wake()
        return refusal

    def ballots(self, agent: str) -> list[float]:
        """When the ballots came that halt this agent, or the fleet (unix seconds); empty if they don't suffice."""
        council, clock = self.council(), self._clock()
        if council is None:
            return []
        for identity in (self._agents[agent], FLEET):
            state = self.state(identity)
            held = self._box.standing(state, council, clock.unix) if state else []
            if len(held) >= council.thresholds.halt:
                return [one.at for one in held[: council.thresholds.halt]]
        return []

    def ask(self, agent: str, reason: str) -> None:
        """Plans a stop for the operator: the agent is killed when its grace is over."""
        self._asked.setdefault(agent, reason)
        self._view.wake()

    def condemn(self, agent: str, reason: str) -> None:
        """Halts an agent from outside the watching, at once and for good."""
        before = self._standings[agent]
        self._publish([replace(before, verdict=Verdict(Decision.HALT, reason))])
        if agent in self._apply:
            self._apply[agent](self._standings[agent])

    def poke(self, endpoint: str | None = None) -> None:
        """Have that endpoint, or every one, read now."""
        self._view.poke(endpoint)

    # ---------------------------------------------------------------------------------------------------- the watching

    def begin(self, seconds: float) -> None:
        """Starts reading and decides, before any agent starts; until every endpoint was heard, or for so long."""
        self._view.wants_finality = any(memory.latch.holds for memory in self._memories.values())
        self._view.start()
        deadline = time.monotonic() + seconds
        while not self._view.settled() and time.monotonic() < deadline:
            self.look(max(0.0, min(self._poll, deadline - time.monotonic())))
        self.look(0.0)

    def attach(
        self, agent: str, apply: Callable[[Standing], None], still: Callable[[], None] = lambda: None
    ) -> None:
        """From now on `apply` carries out each of the agent's standings, the present one at once. It must not block.

        `still` begins to freeze it and takes next to no time: of many agents that a vote stops, all stand still before
        the first is killed.
        """
        self._still[agent] = still
        self._apply[agent] = apply
        apply(self._standings[agent])

    def detach(self, agent: str) -> None:
        """The agent is gone: what it was condemned for does not bind its next life, only what is latched does."""
        self._apply.pop(agent, None)
        self._still.pop(agent, None)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the watching; what is under guard must be dead by then."""
        self._stopping.set()
        self._view.stop()
        self._view.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def look(self, timeout: float) -> None:
        """What has come, within `timeout` seconds, and its consequences."""
        for word in self._view.read(timeout):
            self._sightings.take(word)
        clock = self._clock()
        council = self.council()
        # Taken at once: agents come and go on another thread.
        ran = [(name, still) for name, still in list(self._still.items()) if _runs(self._standings[name])]
        self._publish([self._judge(name, council, clock) for name in self._agents])
        for name, still in ran:
            if not _runs(self._standings[name]):
                still()
        for name, apply in list(self._apply.items()):
            apply(self._standings[name])
        self._looked_at = clock.monotonic
        # Only now what can wait.
        for name, memory in self._memories.items():
            if memory.latch != self._kept[name]:
                self._keep(name, memory.latch)
                self._kept[name] = memory.latch
        self._view.wants_finality = any(memory.latch.holds for memory in self._memories.values())
        self._beat()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look(self._poll)
            except Exception as error:  # noqa: BLE001 - what can't be foreseen halts every agent
                self._halt_all(error)

    def _judge(self, name: str, council: Council | None, clock: Clock) -> Standing:
        readings = self._sightings.readings(self._agents[name])
        memory = self._memories[name]
        if name in self._asked:
            memory = asked_to_stop(memory, self._asked[name], clock)
        group = agreed(readings, clock, self._limits)
        newest = max(group or readings, key=lambda reading: reading.block.number, default=None)
        state, fleet = (newest.agent, newest.fleet) if newest else (None, None)
        ballots = BallotCount()
        if state and fleet:
            ballots = self._box.count(state, fleet, council, clock.unix)
        memory = self._memories[name] = remember(memory, readings, ballots, clock, self._limits)
        dissenters = dissent(readings, group, self._view.endpoints, clock, self._limits)
        total = len(self._view.endpoints)
        agreement = Agreement(total - len(dissenters), needed(self._limits), total, dissenters)
        verdict = decide(readings, memory, ballots, clock, self._limits)
        return Standing(name, verdict, newest.block if newest else None, state, agreement)

    def _overdue(self, said: Standing) -> Standing | None:
        silent = self._clock().monotonic - self._looked_at
        if silent <= self._limits.max_block_age:
            return None
        grave = silent > self._limits.max_block_age + self._limits.unknown_grace
        verdict = Verdict(
            Decision.HALT if grave else Decision.FREEZE, "the guard has stopped looking at the chain"
        )
        return replace(said, verdict=verdict)

    def _publish(self, standings: Sequence[Standing]) -> None:
        """What the gates see, of every agent before any is touched: no action is allowed while a kill is under way.

        Who was condemned under guard stays so, as for the supervisor: its kill may have failed and be tried again.
        """
        with self._publishing:
            for standing in standings:
                before = self._standings[standing.agent].verdict
                kept = standing.agent in self._apply and _is_in_force(before)
                self._standings[standing.agent] = replace(standing, verdict=before) if kept else standing

    def _halt_all(self, error: Exception) -> None:
        verdict = Verdict(Decision.HALT, f"the guard failed: {type(error).__name__}: {error}")
        self._publish([replace(before, verdict=verdict) for before in self._standings.values()])
        failures = [again for name in list(self._apply) if (again := self._halt(name)) is not None]
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


def _is_in_force(verdict: Verdict) -> bool:
    """Whether it kills now."""
    return verdict.decision is Decision.HALT and not verdict.stopping


def _runs(standing: Standing) -> bool:
    """Whether anything of the agent may run, be it in the grace of a planned stop."""
    return standing.verdict.decision is Decision.RUN or standing.stopping


def _unwatched(name: str) -> Standing:
    return Standing(name, Verdict(Decision.FREEZE, "the chain was never read"), None, None)
