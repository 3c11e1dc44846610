"""One agent under guard, over its lives: started when it may run, followed to its end, and what became of it recorded.

A life ends by itself, by a kill (then there is a death receipt), or by the agent's own exit in the grace of a planned
stop; after the latter the agent is started again, in the same folder, once the council lets it run. After a kill it is
started again only where others of the fleet are still guarded, and only on the council's resume. Driven by the
session's thread; the kill path works on threads of its own and waits for nothing here.
"""

import logging
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from agent_guard.chain.history import HaltOnChain
from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError
from agent_guard.guard.carrier import Carrier
from agent_guard.guard.evidence import OF_THE_FLEET
from agent_guard.guard.memory import BY_BALLOTS
from agent_guard.guard.supervisor import (
    DeathReceipt,
    Frozen,
    Occurrence,
    Stopping,
    Supervisor,
    Thawed,
    Trouble,
)
from agent_guard.guard.watcher import Watcher
from agent_guard.sandbox.container import Container
from agent_guard.session import events
from agent_guard.session.events import Step
from agent_guard.session.finding import HaltFinder
from agent_guard.session.journal import Journal
from agent_guard.session.pulse import Pulse
from agent_guard.session.voice import Voice
from agent_guard.types import FLEET, Decision, Standing

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 30.0
VOICE_SECONDS = 2.0
STOPPED_BY_HAND = "the guard was stopped"
STOOD_STILL = "the guard stood still, and its deadman killed the agent"


class Phase(Enum):
    """Where a ward is in its lives."""

    WAITING = "waiting"
    """Not started, or started before: it is started when it may run."""
    LIVING = "living"
    HALTED = "halted"
    """Killed on the council's word, or on doubt; the council's resume, and nothing else, may start it again."""
    ENDED = "ended"
    """It ended by itself, or its operator stopped it."""


@dataclass(slots=True)
class WardParts:
    """What wiring built for one agent.

    `start_container` starts it, given its standard output and error; nothing of it runs before that. `sign_death` gives
    the operator's signature of a death's public facts. `was_struck`: whether the deadman has killed since then
    (monotonic seconds). `limits`: those it runs under, for an auditor. `note_life`: notes a life by its start entry,
    with its container once that stands; `forget_life`: its end is in the log.
    """

    agent: str
    agent_id: bytes
    pulse: Pulse
    start_container: Callable[[int, int], Container]
    sign_death: Callable[[bytes, dict[str, int | str]], str]
    keep_death: Callable[[dict[str, object]], None]
    describe: dict[str, object]
    mode: str
    was_struck: Callable[[float], bool] = lambda since: False
    limits: Mapping[str, int | bool | str] = field(default_factory=dict)
    note_life: Callable[[int | None, Container | None], None] = lambda start, container: None
    forget_life: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Life:
    container: Container
    supervisor: Supervisor
    carrier: Carrier
    voice: Voice
    since: float


class Ward:
    """The lives of one agent.

    Args:
        tell: hears the steps.
        say: hears the agent's own words; may block.
        occurred: told, from any thread, that there is something for `tick` to see to.
    """

    def __init__(
        self,
        parts: WardParts,
        watcher: Watcher,
        journal: Journal,
        finder: HaltFinder,
        tell: Callable[[Step], None],
        say: Callable[[Step], None],
        occurred: Callable[[], None],
    ) -> None:
        self._parts, self._watcher, self._journal, self._finder = parts, watcher, journal, finder
        self._tell_step, self._say, self._occurred = tell, say, occurred
        self._occurrences: queue.SimpleQueue[Occurrence] = queue.SimpleQueue()
        self._life: _Life | None = None
        self._began = False
        self.phase = Phase.WAITING
        self.exit_code: int | None = None
        self.by_hand = False
        self.deaths = 0
        self._killed_in: tuple[int, int] | None = None  # the agent's epoch and the fleet's

    @property
    def agent(self) -> str:
        return self._parts.agent

    @property
    def is_away(self) -> bool:
        """Whether it left in the grace of a planned stop, to be started again."""
        return self._began and self.phase is Phase.WAITING

    def standing(self) -> Standing:
        return self._watcher.standing(self.agent)

    def is_due(self) -> bool:
        """Whether it may be started: it never was, left in the grace of a stop, or was halted and is resumed since."""
        if self.standing().verdict.decision is not Decision.RUN:
            return False
        return self.phase is Phase.WAITING or (self.phase is Phase.HALTED and self._is_resumed())

    def _is_resumed(self) -> bool:
        """Whether the council has resumed it since it was killed: the agent's epoch, or the fleet's, is a later one."""
        then, now = self._killed_in, self._epochs()
        if then is None or now is None:
            return False
        return any(later > earlier for later, earlier in zip(now, then, strict=True))

    def _epochs(self) -> tuple[int, int] | None:
        agent, fleet = (self._watcher.state(identity) for identity in (self._parts.agent_id, FLEET))
        return (agent.epoch, fleet.epoch) if agent and fleet else None

    def begin(self) -> None:
        """Starts the agent: recorded first.

        Raises:
            GuardError: AG421 if it may not run (nothing was started, nothing recorded); what its start raises.
        """
        parts, standing = self._parts, self.standing()
        if standing.verdict.decision is not Decision.RUN:
            raise may_not_run(standing)
        if not self._began:
            self._journal.write(self.agent, Entry.CONFIG, parts.describe, meta=dict(parts.limits))
        elif self.phase is Phase.HALTED:
            self._journal.write(self.agent, Entry.RESUME, {}, block=standing.block)
        self._began = True
        # The block on which the decision to start rests, not a newer one that may hold a halt.
        started = self._journal.write(self.agent, Entry.START, {"mode": parts.mode}, block=standing.block)
        parts.note_life(started, None)
        voice = Voice(lambda stream, line: self._say({**events.said(stream, line), "agent": self.agent}))
        try:
            container = parts.start_container(voice.stdout, voice.stderr)
        except BaseException as error:
            voice.end(0)
            self._never_lived(error)
            raise
        since = time.monotonic()
        supervisor = Supervisor(container, self._note)
        try:
            carrier = Carrier(self.agent, supervisor.apply, self._failed)
        except BaseException as error:  # no thread to be had: nobody would carry out a kill
            container.close()
            voice.end(0)
            self._never_lived(error)
            raise
        self._life, self.phase = _Life(container, supervisor, carrier, voice, since), Phase.LIVING
        self._watcher.attach(self.agent, carrier.apply, container.still)
        parts.note_life(started, container)
        self._tell({"event": "started", "mode": parts.mode})
        voice.listen()

    def _never_lived(self, error: BaseException) -> None:
        """Its start is on record, and there is no container: one is built whole or not at all."""
        why = error.code if isinstance(error, GuardError) else type(error).__name__
        if self._journal.write(self.agent, Entry.EXIT, {"not_started": why}) is not None:
            self._parts.forget_life()

    def tick(self, lag: tuple[int, float]) -> None:
        """Records and tells what happened, and sees to an end."""
        if self._life is None:
            return
        self._drain()
        self._parts.pulse.beat(self.standing(), lag, self._parts.mode)
        if self._life.supervisor.receipt is not None or self._life.container.wait(0) is not None:
            self._end(self._life)

    def overrule(self) -> None:
        """Carries out what a hung watcher leaves behind; from a second thread."""
        life = self._life
        if life is not None and (overdue := self._watcher.overdue(self.agent)):
            life.carrier.apply(overdue)

    def close(self) -> None:
        """Ends whatever is there; for `finally` clauses."""
        life, self._life = self._life, None
        if life is not None:
            life.container.close()
            life.carrier.close()
            life.voice.end(VOICE_SECONDS)
        self._parts.pulse.end()

    def _note(self, occurrence: Occurrence) -> None:
        self._occurrences.put(occurrence)
        self._occurred()

    def _failed(self, error: Exception) -> None:
        """What nobody foresaw condemns the agent. If it is condemned already, its next standing tries again."""
        why = f"{type(error).__name__}: {error}"
        standing = self.standing()
        if standing.verdict.decision is not Decision.HALT or standing.stopping:
            self._watcher.condemn(self.agent, f"the guard failed: {why}")
        # Said last: whoever reads our output may stand still.
        logger.error("%s: the guard failed (%s); halting", self.agent, why)

    def _tell(self, step: Step) -> None:
        self._tell_step({"event": step["event"], "agent": self.agent, **step})

    def _drain(self) -> None:
        while not self._occurrences.empty():
            occurrence = self._occurrences.get()
            if isinstance(occurrence, Frozen):
                self._journal.write(self.agent, Entry.FREEZE, {"reason": occurrence.reason})
                self._tell(events.frozen(occurrence))
            elif isinstance(occurrence, Stopping):
                self._journal.write(self.agent, Entry.STOPPING, {"reason": occurrence.reason})
                self._tell(events.stopping(occurrence))
            elif isinstance(occurrence, Thawed):
                self._journal.write(self.agent, Entry.THAW, {})
                self._tell(events.thawed(occurrence))
            elif isinstance(occurrence, Trouble):
                self._tell(events.trouble(occurrence))

    # ----------------------------------------------------------------------------------------------------------- ends

    def _end(self, life: _Life) -> None:
        standing = self.standing()
        if life.supervisor.receipt is None and standing.verdict.decision is Decision.HALT:
            # It ended in the grace of a halt: a stop is complete only with a death receipt.
            self._watcher.condemn(self.agent, standing.verdict.reason)
        elif life.supervisor.receipt is None and self._parts.was_struck(life.since):
            self._watcher.condemn(self.agent, STOOD_STILL)
        life.carrier.settle(SETTLE_SECONDS)
        self._watcher.detach(self.agent)
        self._life = None
        self._drain()
        receipt = life.supervisor.receipt
        if receipt is None:
            self._exited(life, standing)
        else:
            self._died(receipt)
        life.voice.end(VOICE_SECONDS)
        life.container.close()
        life.carrier.close()
        self._parts.pulse.end()

    def _exited(self, life: _Life, standing: Standing) -> None:
        self.exit_code = life.container.wait(0)
        # One that ends with 0 says that its task is done, planned stop or not.
        planned = standing.verdict.reason if standing.stopping and self.exit_code != 0 else None
        content: dict[str, object] = {"exit_code": self.exit_code}
        if planned is not None:
            content |= {"stopping": planned}
        if self._journal.write(self.agent, Entry.EXIT, content) is not None:
            self._parts.forget_life()
        life.voice.end(VOICE_SECONDS)
        self._tell({"event": "exited", "exit_code": self.exit_code})
        self.phase = Phase.ENDED if planned is None else Phase.WAITING
        if planned is not None:
            self._tell({"event": "waiting", "reason": planned})

    def _died(self, receipt: DeathReceipt) -> None:
        self.deaths += 1
        self._killed_in = self._epochs()
        self.by_hand = receipt.reason == STOPPED_BY_HAND
        self.phase = Phase.ENDED if self.by_hand else Phase.HALTED
        halt = None if self.by_hand else self._halt_on_chain(receipt)
        by_ballots = self._watcher.ballots(self.agent) if receipt.reason == BY_BALLOTS else []
        times = events.stages(receipt, halt, by_ballots)
        self._tell({"event": "halted", "reason": receipt.reason, "epoch": receipt.epoch})
        block = halt.block if halt else receipt.block
        halted_at = self._journal.write(self.agent, Entry.HALT, {"reason": receipt.reason}, block=block)
        facts = times.facts(receipt)
        signature = self._parts.sign_death(self._parts.agent_id, facts)
        recorded = self._journal.write(
            self.agent,
            Entry.DEATH,
            {"reason": receipt.reason, "survivors": 0},
            refers_to=halted_at,
            meta={**facts, "signature": signature},
        )
        if recorded is not None:
            self._parts.forget_life()
        self._parts.keep_death({**facts, "reason": receipt.reason, "signature": signature})
        self._tell(events.dead(receipt, times, signature))

    def _halt_on_chain(self, receipt: DeathReceipt) -> HaltOnChain | None:
        # Ballots kill before any block.
        if receipt.block is None or receipt.reason == BY_BALLOTS:
            return None
        try:
            whose = FLEET if receipt.reason.startswith(OF_THE_FLEET) else self._parts.agent_id
            return self._finder.find(whose, receipt.block)
        except GuardError as error:
            self._tell({"event": "trouble", **error.as_dict()})
            return None


def may_not_run(standing: Standing) -> GuardError:
    return GuardError(
        "AG421",
        f"{standing.agent} may not run: {standing.verdict.reason}. Nothing was started.",
        "See where it stands with: agent-guard status; only the council's signers can let it run.",
    )
