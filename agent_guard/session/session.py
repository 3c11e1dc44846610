"""Runs one agent under guard: refuses to start it, starts it, and stays until it has ended or is proven dead.

The kill path (watcher, supervisor, container) works on threads of its own and waits for nothing here. This thread
records what happened, tells it, and at the end has the death receipt anchored before it returns.
"""

import queue
import signal
import threading
from collections.abc import Callable, Iterator
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
from agent_guard.types import FLEET, Decision, Standing, Verdict

# A guard sees a halt within seconds; looking further back only costs time.
BLOCKS_LOOKED_BACK = 10_000
FLUSH_SECONDS = 60.0
TICK = 0.1


@dataclass(slots=True)
class Parts:
    """What wiring built for one run. `start_container` starts the agent; nothing of it runs before that."""

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
    start_container: Callable[[], Container]
    describe: dict[str, object]
    mode: str


class Session:
    """One run. `tell` gets a step at a time, on this thread; it may block without delaying a kill."""

    def __init__(self, parts: Parts, tell: Callable[[Step], None]) -> None:
        self._parts = parts
        self._tell = tell
        # Not SimpleQueue: its wait becomes endless if a signal's handler outlasts the time-out (CPython 3.11).
        self._occurrences: queue.Queue[Occurrence] = queue.Queue()
        self._stop_asked = threading.Event()

    def run(self) -> int:
        """The exit code: the agent's own, 8 after a kill on the council's word, 130 after Ctrl-C.

        Raises:
            GuardError: AG421 if the agent may not run (nothing was started); what its start raises.
        """
        parts = self._parts
        standing = parts.watcher.standing(parts.agent)
        if standing.verdict.decision is not Decision.RUN:
            raise may_not_run(standing)
        self._record(Entry.CONFIG, parts.describe)
        with self._signals():
            # The block on which the decision to start rests, not a newer one that may hold a halt.
            self._record(Entry.START, {"mode": parts.mode}, block=standing.block)
            container = parts.start_container()
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
        self._tell({"event": "started", "agent": parts.agent, "mode": parts.mode})
        self._until_over(container, supervisor)
        # Whatever else is going on, from here on nothing of the agent lives.
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
            if self._stop_asked.is_set():
                supervisor.apply(self._stopped_here())
            elif overdue := self._parts.watcher.overdue(self._parts.agent):
                supervisor.apply(overdue)
        supervisor.settle()

    def _stopped_here(self) -> Standing:
        before = self._standing()
        return Standing(
            before.agent, Verdict(Decision.HALT, "the guard was stopped"), before.block, before.state
        )

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
        self._tell({"event": "exited", "exit_code": code})
        return Kind.FAILURE.value if code is None else code

    def _died(self, receipt: DeathReceipt) -> int:
        halt = None if self._stop_asked.is_set() else self._halt_on_chain(receipt)
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
        return Kind.INTERRUPTED.value if self._stop_asked.is_set() else Kind.HALTED.value

    def _halt_on_chain(self, receipt: DeathReceipt) -> HaltOnChain | None:
        """The halt's own block and votes, to be told with the death; the kill did not wait for them."""
        if receipt.block is None:
            return None
        parts = self._parts
        first = max(parts.deploy_block, receipt.block.number - BLOCKS_LOOKED_BACK)
        try:
            return latest_halt(parts.contract, (parts.agent_id, FLEET), first, receipt.block)
        except GuardError as error:
            self._tell({"event": "trouble", **error.as_dict()})
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
        """Has everything anchored, the death receipt above all, before the run ends."""
        self._parts.server.stop()
        try:
            self._parts.anchor.flush(FLUSH_SECONDS)
        except GuardError as error:
            self._tell({"event": "trouble", **error.as_dict()})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP kill the agent first and end the run in order."""

        def stop(number: int, frame: FrameType | None) -> None:
            self._stop_asked.set()

        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in wanted}
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


def _slow_disk(kind: Entry) -> GuardError:
    return GuardError(
        "AG521",
        f"The {kind.value} entry was not on disk after {FLUSH_SECONDS:g} s and may be missing from the log.",
        "Check the disk that holds the guard's log.",
    )
