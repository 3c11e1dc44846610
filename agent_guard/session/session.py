"""Runs one agent under guard: refuses to start it, starts it, and stays until it has ended or is proven dead.

The kill path (watcher, supervisor, container, and what carries out a Ctrl-C) works on threads of its own and waits for
nothing here. This thread records what happened and at the end has the death receipt anchored before it returns.
"""

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from agent_guard.api import Server
from agent_guard.chain.council import CouncilContract
from agent_guard.chain.history import HaltOnChain, latest_halt
from agent_guard.chain.subscription import HeadSubscription
from agent_guard.entry import Kind as Entry
from agent_guard.errors import GuardError, Kind
from agent_guard.guard.supervisor import DeathReceipt, Frozen, Occurrence, Supervisor, Thawed, Trouble
from agent_guard.guard.watcher import Watcher
from agent_guard.log.anchor import Anchor
from agent_guard.log.recorder import Recorder
from agent_guard.sandbox.container import Container
from agent_guard.session import events
from agent_guard.session.events import Step
from agent_guard.session.pulse import Pulse
from agent_guard.session.telling import Teller
from agent_guard.session.voice import Voice
from agent_guard.types import FLEET, Decision, Standing

logger = logging.getLogger(__name__)

# A guard sees a halt within seconds; looking further back only costs time.
BLOCKS_LOOKED_BACK = 10_000
# The death receipt waits that long for the halt's own block: a node may answer a byte at a time.
HISTORY_SECONDS = 10.0
FLUSH_SECONDS = 60.0
TELL_SECONDS = 2.0
TICK = 0.1
STOPPED_BY_HAND = "the guard was stopped"


@dataclass(slots=True)
class Parts:
    """What wiring built for one run.

    `start_container` starts the agent, given its standard output and error; nothing of it runs before that.
    """

    agent: str
    agent_id: bytes
    contract: CouncilContract
    deploy_block: int
    watcher: Watcher
    subscription: HeadSubscription
    recorder: Recorder
    anchor: Anchor
    server: Server
    pulse: Pulse
    start_container: Callable[[int, int], Container]
    describe: dict[str, object]
    mode: str


class Session:
    """One run. `tell` gets a step at a time, on a thread of its own: it may block, or fail, without any effect."""

    def __init__(self, parts: Parts, tell: Callable[[Step], None]) -> None:
        self._parts = parts
        self._teller = Teller(tell)
        self._tell = self._teller.tell
        self._voice = Voice(lambda stream, line: self._teller.say(events.said(stream, line)))
        # Not SimpleQueue: its wait becomes endless if a signal's handler outlasts the time-out (CPython 3.11).
        self._occurrences: queue.Queue[Occurrence] = queue.Queue()
        self.heard = False
        self._stop_asked = threading.Event()
        self._over = False  # from here on nothing of the agent lives
        self._leave_asked = threading.Event()
        self._may_leave = False

    def run(self) -> int:
        """The exit code: the agent's own, 8 after a kill on the council's word, 130 after Ctrl-C.

        Afterwards `heard` says whether all that was told has been heard: not if the listener stands still or is gone.

        Raises:
            GuardError: AG421 if the agent may not run (nothing was started); what its start raises.
        """
        try:
            return self._run()
        finally:
            self._voice.end(TICK)
            self.heard = self._teller.end(TELL_SECONDS)

    def _run(self) -> int:
        parts = self._parts
        standing = parts.watcher.standing(parts.agent)
        if standing.verdict.decision is not Decision.RUN:
            raise may_not_run(standing)
        self._record(Entry.CONFIG, parts.describe)
        with self._signals():
            # The block on which the decision to start rests, not a newer one that may hold a halt.
            self._record(Entry.START, {"mode": parts.mode}, block=standing.block)
            container = parts.start_container(self._voice.stdout, self._voice.stderr)
            try:
                return self._guard(container)
            finally:
                container.close()

    def _guard(self, container: Container) -> int:
        parts = self._parts
        supervisor = Supervisor(container, self._occurrences.put)
        parts.watcher.attach(parts.agent, supervisor.apply)
        parts.watcher.start()
        parts.subscription.start()
        over = threading.Event()
        threading.Thread(target=self._attend, args=(supervisor, over), name="attend", daemon=True).start()
        self._tell({"event": "started", "agent": parts.agent, "mode": parts.mode})
        self._voice.listen()
        try:
            self._until_over(container, supervisor)
        finally:
            over.set()
        self._over = True
        parts.watcher.stop()
        self._drain()
        if supervisor.receipt is None:
            return self._exited(container)
        return self._died(supervisor.receipt)

    def _until_over(self, container: Container, supervisor: Supervisor) -> None:
        """Tells what happens until the agent has ended by itself or is proven dead."""
        while supervisor.receipt is None and container.wait(0) is None:
            self._parts.pulse.beat(self._standing(), self._parts.anchor.lag(), self._parts.mode)
            self._drain(TICK)
        supervisor.settle()

    def _attend(self, supervisor: Supervisor, over: threading.Event) -> None:
        """Carries out a Ctrl-C, and halts if the watcher hangs. Its own thread: a slow disk must not delay it."""
        while not over.wait(TICK):
            try:
                if self._stop_asked.is_set():
                    self._parts.watcher.condemn(self._parts.agent, STOPPED_BY_HAND)
                elif overdue := self._parts.watcher.overdue(self._parts.agent):
                    supervisor.apply(overdue)
            except Exception as error:  # noqa: BLE001 - tried again at the next tick: nothing may end this thread
                logger.error("could not stop the agent (%s: %s); trying again", type(error).__name__, error)

    def _standing(self) -> Standing:
        return self._parts.watcher.standing(self._parts.agent)

    def _drain(self, timeout: float = 0.0) -> None:
        """Records and tells what the kill path reported; waits up to `timeout` seconds for the first."""
        while True:
            try:
                occurrence = (
                    self._occurrences.get(timeout=timeout) if timeout else self._occurrences.get_nowait()
                )
            except queue.Empty:
                return
            timeout = 0.0
            if isinstance(occurrence, Frozen):
                self._record(Entry.FREEZE, {"reason": occurrence.reason})
                self._tell(events.frozen(occurrence))
            elif isinstance(occurrence, Thawed):
                self._record(Entry.THAW, {})
                self._tell(events.thawed(occurrence))
            elif isinstance(occurrence, Trouble):
                self._tell(events.trouble(occurrence))

    def _exited(self, container: Container) -> int:
        code = container.wait(0)
        self._record(Entry.EXIT, {"exit_code": code})
        self._flush()
        self._voice.end(TELL_SECONDS)
        self._tell({"event": "exited", "exit_code": code})
        return Kind.FAILURE.value if code is None else code

    def _died(self, receipt: DeathReceipt) -> int:
        by_hand = receipt.reason == STOPPED_BY_HAND
        halt = None if by_hand else self._halt_on_chain(receipt)
        times = events.stages(receipt, halt)
        self._tell({"event": "halted", "reason": receipt.reason, "epoch": receipt.epoch})
        halted_at = self._record(
            Entry.HALT, {"reason": receipt.reason}, block=halt.block if halt else receipt.block
        )
        self._record(
            Entry.DEATH,
            {"reason": receipt.reason, "survivors": 0},
            refers_to=halted_at,
            meta=times.as_meta(receipt),
        )
        self._tell(events.dead(receipt, times))
        self._flush()
        return Kind.INTERRUPTED.value if by_hand else Kind.HALTED.value

    def _halt_on_chain(self, receipt: DeathReceipt) -> HaltOnChain | None:
        """The halt's own block and votes, to be told with the death; the kill did not wait for them."""
        if receipt.block is None:
            return None
        parts = self._parts
        last = receipt.block
        first = max(parts.deploy_block, last.number - BLOCKS_LOOKED_BACK)
        found: Future[HaltOnChain | None] = Future()

        def look() -> None:
            try:
                found.set_result(latest_halt(parts.contract, (parts.agent_id, FLEET), first, last))
            except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
                found.set_exception(error)

        threading.Thread(target=look, name="history", daemon=True).start()
        try:
            return found.result(HISTORY_SECONDS)
        except (GuardError, TimeoutError) as error:
            told = error if isinstance(error, GuardError) else _slow_node(parts.contract.endpoint.name)
            self._tell({"event": "trouble", **told.as_dict()})
            return None

    def _record(self, kind: Entry, content: dict[str, object], **more: object) -> int | None:
        """Writes an entry of the guard's own and waits until it is on disk. A failure is told and stops nothing."""
        try:
            future = self._parts.recorder.append(self._parts.agent, kind, content, **more)  # type: ignore[arg-type]
            return future.result(timeout=FLUSH_SECONDS).index
        except (GuardError, TimeoutError) as error:
            if kind in (Entry.CONFIG, Entry.START):
                raise  # what can't be recorded is not started
            told = error if isinstance(error, GuardError) else _slow_disk(kind)
            self._tell({"event": "trouble", **told.as_dict()})
            return None

    def _flush(self) -> None:
        """Has everything anchored, the death receipt above all, before the run ends; Ctrl-C ends the waiting."""
        self._parts.server.stop()
        self._may_leave = True
        try:
            if not self._leave_asked.is_set():
                self._parts.anchor.flush(FLUSH_SECONDS)
        except GuardError as error:
            self._tell({"event": "trouble", **error.as_dict()})
        except KeyboardInterrupt:
            pass  # told below
        finally:
            self._may_leave = False
        if self._leave_asked.is_set():
            self._tell({"event": "trouble", **_left_unanchored().as_dict()})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM, SIGHUP and SIGQUIT kill the agent first and end the run in order; once more, and it ends
        without waiting for the chain.

        Ctrl-Z and a terminal that wants its background to wait are ignored: who stands still can't watch.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            (self._leave_asked if self._over else self._stop_asked).set()
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


def may_not_run(standing: Standing) -> GuardError:
    return GuardError(
        "AG421",
        f"{standing.agent} may not run: {standing.verdict.reason}. Nothing was started.",
        "See where it stands with: agent-guard status; only the council's signers can let it run.",
    )


def _left_unanchored() -> GuardError:
    return GuardError(
        "AG531",
        "You did not wait for the last entries to be anchored. They are safe on this disk.",
        "They are anchored when the guard runs next.",
    )


def _slow_node(name: str) -> GuardError:
    return GuardError(
        "AG201",
        f"{name} did not say within {HISTORY_SECONDS:g} s in which block the halt stands. The death receipt names the"
        " newest block that was read instead.",
        "Check the node, or name another with --rpc-url.",
    )


def _slow_disk(kind: Entry) -> GuardError:
    return GuardError(
        "AG521",
        f"The {kind.value} entry was not on disk after {FLUSH_SECONDS:g} s and may be missing from the log.",
        "Check the disk that holds the guard's log.",
    )
