"""Puts together the guards of the drills: the files that any guard has, this guard's container alone, this guard whole.

No chain takes part: the word to stop comes from whoever runs the drill. All else is what `run` uses.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_guard.entry import Entry, Kind, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.guard.supervisor import DeathReceipt, Occurrence, Supervisor, Trouble
from agent_guard.log.recorder import Recorder
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.leftovers import remove_stale
from agent_guard.sandbox.mode import Choice, choose_mode
from agent_guard.sandbox.view import ContainerSpec, Limits
from agent_guard.session.scene import Scene
from agent_guard.store import SqliteReader, SqliteStore, Store
from agent_guard.types import Block, Decision, LogIdentity, Standing, Verdict

AGENT = "drilled"
FOREIGN_AGENT = "another"
LIMITS = Limits(pids=64, memory=256 << 20)
"""Small, so that a drill meets its limits soon and no host is in danger."""
SWITCH_SECONDS = 0.0005
"""As for every guarded run: a flood of the API must not hold the interpreter while the guard kills."""
_BLOCK = Block(1, bytes(32), 0)
_RUN = Standing(AGENT, Verdict(Decision.RUN, "the drill lets it run"), _BLOCK, None)
_HALT = Standing(AGENT, Verdict(Decision.HALT, "the drill says stop"), _BLOCK, None)


@dataclass(frozen=True, slots=True)
class Placed:
    """An agent that runs. `stop` carries the stop out and returns what it says of itself."""

    mode: str
    stop: Callable[[], str]
    leaf: str = ""


@contextmanager
def new_log(path: Path) -> Iterator[tuple[Store, Recorder]]:
    """A new log that already holds an intent of another agent's, as its entry 0."""
    with SqliteStore(path, LogIdentity(1, f"0x{'00' * 20}", f"0x{'00' * 20}")) as store:
        recorder = Recorder(store, lambda: _BLOCK)
        try:
            intent = recorder.append(FOREIGN_AGENT, Kind.INTENT, {"tool": "wait", "arguments": {}})
            intent.result(10)
            yield store, recorder
        finally:
            recorder.close()


def entries(path: Path) -> list[bytes]:
    """The leaves of a log, in order. Raises GuardError AG5xx if it is damaged or forged, or entry 0 was answered."""
    with SqliteReader(path) as reader:
        leaves = []
        for place, row in enumerate(reader.rows()):
            if row.index != place or not _is_sound(row.body, row.leaf):
                raise GuardError(
                    "AG515", f"Entry {place} of {path} is not what was written.", "Keep the file as evidence."
                )
            leaves.append(row.leaf)
        return leaves


def tidy() -> None:
    """Removes the empty cgroups of guards that are gone: a struck guard may leave one."""
    choice = choose_mode("none")
    if choice.parent:
        remove_stale(choice.parent)


def modes() -> list[Choice]:
    """What the two placements of this guard would use here. Raises GuardError AG401."""
    return [_namespace_only(), choose_mode("auto")]


@contextmanager
def contained(scene: Scene, stdout: int, stderr: int) -> Iterator[Placed]:
    """The agent in this guard's PID namespace, without a cgroup, API, gate or log."""
    choice = _namespace_only()
    with closing(launch(_spec(scene, None), choice, stdout, stderr)) as container:
        yield Placed(choice.mode.value, lambda: f"{container.kill().processes} processes, none left")


@contextmanager
def guarded(scene: Scene, store: Store, recorder: Recorder, stdout: int, stderr: int) -> Iterator[Placed]:
    """The agent under this guard whole."""
    from agent_guard.api import serve
    from agent_guard.gate import Gate, History
    from agent_guard.gate import Limits as GateLimits

    sys.setswitchinterval(SWITCH_SECONDS)
    standing, began, told = [_RUN], time.monotonic(), list[Occurrence]()
    choice = choose_mode("auto")

    def stop(supervisor: Supervisor) -> str:
        standing[0] = _HALT
        supervisor.apply(_HALT)
        return _last_word(told)

    with store.reader() as reader:
        gate = Gate(
            AGENT,
            lambda: standing[0],
            recorder,
            lambda: (store.size, time.monotonic() - began),  # nothing is anchored: all of it is the tail
            History(AGENT, reader),
            GateLimits(),
        )
        server = serve(gate, scene.socket)
        try:
            spec = _spec(scene, scene.socket.parent)
            with closing(launch(spec, choice, stdout, stderr)) as container:
                supervisor = Supervisor(container, told.append)
                leaf = container.leaf.path.name if container.leaf else ""
                yield Placed(choice.mode.value, lambda: stop(supervisor), leaf)
        finally:
            server.stop()


def _spec(scene: Scene, socket_dir: Path | None) -> ContainerSpec:
    return ContainerSpec(
        scene.argv,
        scene.home,
        socket_dir=socket_dir,
        env=scene.env,
        ro=(scene.code,),
        private=(scene.guard,),
        uid=scene.uid,
        name=AGENT,
        limits=LIMITS,
    )


def _namespace_only() -> Choice:
    return choose_mode("auto", mountinfo="")


def _is_sound(body: bytes, leaf: bytes) -> bool:
    try:
        entry = Entry.decode(body)
    except MalformedEntry:
        return False
    return entry.leaf() == leaf and entry.refers_to != 0


def _last_word(told: list[Occurrence]) -> str:
    match told[-1] if told else None:
        case DeathReceipt() as receipt:
            return f"{receipt.processes} processes, none left"
        case Trouble() as trouble:
            return f"NOT dead: {trouble.error.message}"
        case other:
            return f"no death receipt, but {other!r}"
