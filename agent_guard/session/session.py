"""Guards one agent or a fleet: refuses to start what may not run, starts the others, and stays until nothing lives.

The kill path (readers, watcher, carriers, containers, and what carries out a Ctrl-C) works on threads of its own and
waits for nothing here. This thread records what happened and at the end has the death receipts anchored before it
returns.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from agent_guard.api import Server
from agent_guard.chain.subscription import HeadSubscription
from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError, Kind
from agent_guard.guard.watcher import Watcher
from agent_guard.log.anchor import Anchor
from agent_guard.log.cosigning import Cosigning
from agent_guard.log.recorder import Recorder
from agent_guard.session.desk import BallotDesk
from agent_guard.session.events import Step
from agent_guard.session.finding import HaltFinder
from agent_guard.session.journal import Journal
from agent_guard.session.reporting import gather
from agent_guard.session.telling import Teller
from agent_guard.session.ward import STOPPED_BY_HAND, Phase, Ward, WardParts
from agent_guard.telemetry import Report
from agent_guard.types import Decision

logger = logging.getLogger(__name__)

TELL_SECONDS = 2.0
TICK = 0.1
SETTLE_SECONDS = 5.0
"""So long the end of a run waits for witnesses to cosign its last head; who does not answer is not waited for."""
DISSENT_SECONDS = 2.0
"""For so long endpoints must differ before it is recorded: a block more or less is no dissent."""


@dataclass(slots=True)
class Parts:
    """What wiring built for one guard: what its agents share, and each agent's own.

    `endpoints`: their public names; `grace`: seconds, for a Ctrl-C; `before`: what is to be told of earlier lives.
    """

    watcher: Watcher
    subscriptions: Sequence[HeadSubscription]
    recorder: Recorder
    anchor: Anchor
    server: Server
    finder: HaltFinder
    desk: BallotDesk
    cosigning: Cosigning
    wards: Sequence[WardParts]
    endpoints: Sequence[str] = ()
    grace: float = 0.0
    before: Sequence[Step] = ()


class Session:
    """One guard's work. `tell` gets a step at a time, on a thread of its own: it may block, or fail, without effect."""

    def __init__(self, parts: Parts, tell: Callable[[Step], None]) -> None:
        self._parts = parts
        self._teller = Teller(tell)
        self._tell = self._teller.tell
        self._journal = Journal(parts.recorder, self._tell)
        self._occurred = threading.Event()
        self._wards = [
            Ward(
                ward,
                parts.watcher,
                self._journal,
                parts.finder,
                self._tell,
                self._teller.say,
                self._occurred.set,
            )
            for ward in parts.wards
        ]
        self.heard = False
        self._stops_asked = 0
        self._over = False  # from here on nothing of any agent lives
        self._leave_asked = threading.Event()
        self._may_leave = False
        self._dissent: dict[str, str] = {}
        self._outage = False
        self._dissents: dict[str, int] = {}
        self._dissent_since: tuple[frozenset[str], float] = (frozenset(), 0.0)

    def run(self) -> int:
        """The exit code: the agent's own, 8 after a kill on the council's word, 130 after Ctrl-C.

        Of a fleet: 8 if any agent is halted, else 0 if all ended with 0, else 1. Afterwards `heard` says whether all
        that was told has been heard: not if the listener stands still or is gone.

        Raises:
            GuardError: AG421 if no agent may run (nothing was started); what the start of a lone agent raises.
        """
        try:
            return self._run()
        finally:
            self.heard = self._teller.end(TELL_SECONDS)

    def report(self) -> Report:
        """What the guard says of itself at this moment; any thread may ask."""
        parts = self._parts
        return gather(
            self._wards,
            parts.endpoints,
            self._dissents,
            parts.anchor.lag(),
            parts.desk.counts(),
            parts.cosigning.report(),
            time.time(),
        )

    def _run(self) -> int:
        with self._signals(), ExitStack() as stack:
            # Ended after all else, for it may wait for the chain; opened before any agent starts.
            stack.callback(self._parts.desk.stop)
            self._parts.desk.start(self._journal, self._tell)
            for step in self._parts.before:
                self._tell(step)
            self._parts.cosigning.start(lambda error: self._tell({"event": "trouble", **error.as_dict()}))
            for ward in self._wards:
                stack.callback(ward.close)
            self._start_all()
            self._watch(stack)
            while self._goes_on():
                self._occurred.wait(TICK)
                self._occurred.clear()
                self._tick()
            self._over = True
            self._parts.watcher.stop()
            self._parts.desk.stop()
            self._flush()
        return self._exit_code()

    def _watch(self, stack: ExitStack) -> None:
        over = threading.Event()
        stack.callback(over.set)
        threading.Thread(target=self._attend, args=(over,), name="attend", daemon=True).start()
        for subscription in self._parts.subscriptions:
            subscription.start()

    def _start_all(self) -> None:
        """Starts every agent that may run; those that may not wait for the council, unless none may."""
        wards = self._wards
        # The last look may be old: since then the log was opened, and what it holds was compared with the chain.
        self._parts.watcher.look(0.0)
        standings = [ward.standing() for ward in wards]
        if all(standing.verdict.decision is not Decision.RUN for standing in standings):
            wards[0].begin()  # raises why not
        self._parts.watcher.start()
        for ward in wards:
            if self._stops_asked:
                return
            self._try_to_begin(ward, alone=len(wards) == 1)

    def _try_to_begin(self, ward: Ward, alone: bool) -> None:
        try:
            ward.begin()
        except (GuardError, OSError, RuntimeError) as failure:  # the others of the fleet live on
            if alone:
                raise
            error = failure if isinstance(failure, GuardError) else _not_started(ward.agent, failure)
            self._tell({"event": "trouble", "agent": ward.agent, **error.as_dict()})
            if error.code != "AG421":  # it could not be started, and will not be
                ward.phase, ward.exit_code = Phase.ENDED, error.exit_code

    def _goes_on(self) -> bool:
        """Whether anything lives, or waits for the end of a planned stop that let it leave."""
        if any(ward.phase is Phase.LIVING for ward in self._wards):
            return True
        return any(ward.is_away for ward in self._wards) and not self._stops_asked

    def _tick(self) -> None:
        lag = self._parts.anchor.lag()
        for ward in self._wards:
            ward.tick(lag)
            if ward.is_due() and not self._stops_asked:
                self._try_to_begin(ward, alone=False)
        self._note_dissent()
        self._note_outage()

    def _note_dissent(self) -> None:
        """Records and tells which endpoints say something else than the quorum, when that changes and lasts."""
        found: dict[str, str] = {}
        for ward in self._wards:
            standing = ward.standing()
            if standing.endpoints is not None and standing.endpoints.total > 1:
                found |= standing.endpoints.dissent
        named = frozenset(found)
        if named != self._dissent_since[0]:
            self._dissent_since = named, time.monotonic()
        lasts = time.monotonic() - self._dissent_since[1] >= DISSENT_SECONDS
        if lasts and named != frozenset(self._dissent):
            for name in named - set(self._dissent):
                self._dissents = {**self._dissents, name: self._dissents.get(name, 0) + 1}
            self._dissent = found
            self._journal.write(None, Entry.DISSENT, {"endpoints": dict(found)})
            self._tell({"event": "dissent", "endpoints": found})

    def _note_outage(self) -> None:
        """Tells, once for each time, that the log's server is out of reach, and that it is back."""
        trouble = self._parts.recorder.trouble
        if trouble is not None and not self._outage:
            self._tell({"event": "trouble", **trouble.as_dict()})
        elif trouble is None and self._outage:
            self._tell({"event": "recording"})
        self._outage = trouble is not None

    def _attend(self, over: threading.Event) -> None:
        """Carries out a Ctrl-C, and halts if the watcher hangs. Its own thread: a slow disk must not delay it."""
        asked_at: float | None = None
        while not over.wait(TICK):
            try:
                if self._stops_asked:
                    asked_at = time.monotonic() if asked_at is None else asked_at
                    self._stop_all(time.monotonic() - asked_at)
                else:
                    for ward in self._wards:
                        ward.overrule()
            except Exception as error:  # noqa: BLE001 - tried again at the next tick: nothing may end this thread
                logger.error("could not stop the agents (%s: %s); trying again", type(error).__name__, error)

    def _stop_all(self, waited: float) -> None:
        """Stops every agent for the operator: after its grace, or at once if he asks again."""
        for ward in self._wards:
            if waited >= self._parts.grace or self._stops_asked > 1:
                self._parts.watcher.condemn(ward.agent, STOPPED_BY_HAND)
            else:
                self._parts.watcher.ask(ward.agent, STOPPED_BY_HAND)

    def _flush(self) -> None:
        """Has everything anchored, the death receipts above all, before the run ends; Ctrl-C ends the waiting."""
        self._parts.server.stop()
        self._may_leave = True
        try:
            if not self._leave_asked.is_set():
                self._parts.anchor.flush(self._journal.patience())
                self._parts.cosigning.settle(SETTLE_SECONDS)
        except GuardError as error:
            self._tell({"event": "trouble", **error.as_dict()})
        except KeyboardInterrupt:
            pass  # told below
        finally:
            self._may_leave = False
        if self._leave_asked.is_set():
            self._tell({"event": "trouble", **_left_unanchored().as_dict()})

    def _exit_code(self) -> int:
        if any(ward.by_hand for ward in self._wards):
            return Kind.INTERRUPTED.value
        if any(ward.phase is Phase.HALTED for ward in self._wards):
            return Kind.HALTED.value
        if self._stops_asked:
            return Kind.INTERRUPTED.value
        if any(ward.phase is Phase.WAITING for ward in self._wards):  # it never was let run
            return Kind.HALTED.value
        codes = [ward.exit_code for ward in self._wards]
        if len(codes) == 1:
            return Kind.FAILURE.value if codes[0] is None else codes[0]
        return 0 if all(code == 0 for code in codes) else Kind.FAILURE.value

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM, SIGHUP and SIGQUIT stop the agents first and end the run in order; once more, and it waits
        for no grace and not for the chain.

        Ctrl-Z and a terminal that wants its background to wait are ignored: who stands still can't watch.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            if self._over:
                self._leave_asked.set()
            else:
                self._stops_asked += 1
            if self._may_leave:
                raise KeyboardInterrupt

        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        before = {number: signal.signal(number, stop) for number in wanted}
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            before[number] = signal.signal(number, signal.SIG_IGN)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _not_started(agent: str, failure: Exception) -> GuardError:
    return GuardError(
        "AG403",
        f"{agent} could not be started: {type(failure).__name__}: {failure}. The others of the fleet go on.",
        "Look at the limits of this host (ulimit -a), then start the guard again.",
    )


def _left_unanchored() -> GuardError:
    return GuardError(
        "AG531",
        "You did not wait for the last entries to be anchored. They are safe in the guard's log.",
        "They are anchored when the guard runs next.",
    )
