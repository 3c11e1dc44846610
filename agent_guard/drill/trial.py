"""One trial: a guard process, its agent, one tactic, one stop, and the count of what is left.

The order is what counts: the agent says that it attempted; the stop says that it is done, or its time is over; only
then is looked for marks and listened for beats. Whatever happens, all that bears the mark is ended.
"""

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import IO, Any

from agent_guard.drill import evidence, survivors
from agent_guard.drill.ear import Ear
from agent_guard.drill.guard_process import GuardProcess
from agent_guard.drill.result import Trial
from agent_guard.drill.setting import Setting
from agent_guard.errors import GuardError

START_SECONDS = 20.0
ATTEMPT_SECONDS = 8.0
STOP_SECONDS = 15.0
STRUCK_SECONDS = 1.0
"""For the stop of a guard that is gone or stands still."""
SETTLE_SECONDS = 0.2
LISTEN_SECONDS = 0.3
LOOKS = 5
END_SECONDS = 10.0
POST = ("-s", "-m", "agent_guard.drill.post")


class Cancelled(Exception):  # noqa: N818 - asked for
    """Nobody wants the rest any more."""


class _Failed(Exception):  # noqa: N818 - of the trial, not of the guard
    """The trial says nothing, and why."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits, until nobody wants the rest: then every method raises Cancelled."""

    cancelled: threading.Event

    def check(self) -> None:
        """Go on, or not."""
        if self.cancelled.is_set():
            raise Cancelled

    def until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Whether it happened in time."""
        deadline = time.monotonic() + seconds
        while not happened():
            self.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def pause(self, seconds: float) -> None:
        """Just wait."""
        self.until(lambda: False, seconds)


def run(setting: Setting, patience: Patience, post: tuple[str, ...] = POST) -> Trial:
    """Take one trial. Raises Cancelled, and GuardError AG453 if something of it can't be ended.

    `post` is what the guard process's Python runs.
    """
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, setting.folder, ignore_errors=True)
        setting.make()
        errors = stack.enter_context((setting.folder / "errors").open("w+b"))
        ear = stack.enter_context(closing(Ear()))
        stack.callback(_end, setting.mark)
        command, environ = setting.command(post), setting.guards_environ()
        guard = stack.enter_context(
            closing(GuardProcess(command, ear.write_end, errors, environ, setting.guard_uid))
        )
        ear.leave()
        # Before the guard: a tracer keeps the guard it traces from being buried.
        stack.callback(_end, setting.mark)
        stack.callback(ear.close)
        trial = Trial(setting.drill.name, setting.placement.name, setting.user)
        try:
            return _measure(trial, setting, patience, ear, guard)
        except _Failed as failed:
            return replace(trial, failure=f"{failed} {_last_words(errors)}".strip())


def _measure(trial: Trial, setting: Setting, patience: Patience, ear: Ear, guard: GuardProcess) -> Trial:
    scene, harm = setting.scene(guard.pid), setting.drill.harm
    guard.begin(scene)
    started = _heard(guard.hear(START_SECONDS, patience.check), "started")
    _await_attempt(ear, patience)
    struck = guard.struck
    before = evidence.before_stop(harm, struck, started["leaf"], survivors.marked(setting.mark))
    asked = time.monotonic()
    guard.stop()
    answer = guard.hear(STRUCK_SECONDS if struck else STOP_SECONDS, patience.check)
    took = time.monotonic() - asked
    patience.pause(SETTLE_SECONDS)
    alive, beats = _left(setting.mark, ear, patience)
    after = evidence.after_stop(harm, scene, guard.pid, setting.key, ear.all_words("reached"))
    attempted, unable = ear.all_words("attempted"), ear.all_words("unable")
    return replace(
        trial,
        attempted=bool(attempted),
        words=(attempted + unable)[0],
        alive=alive,
        beats=beats,
        reached=(after if before is None else before) if attempted else None,
        mode=started["mode"],
        stop=_heard(answer, "stopped")["said"] if answer else "no word: the guard is gone or stands still",
        stop_ms=round(took * 1000, 1) if answer else None,
    )


def _left(mark: str, ear: Ear, patience: Patience) -> tuple[int, int]:
    """The most living processes seen in one of several looks, for some can't be caught by one; and the beats heard."""
    alive, before = 0, ear.beats
    for _ in range(LOOKS):
        patience.pause(LISTEN_SECONDS / LOOKS)
        alive = max(alive, len(survivors.marked(mark)))
    return alive, ear.beats - before


def _await_attempt(ear: Ear, patience: Patience) -> None:
    """Wait until the tactic is under way, and a moment longer for what it has set going."""
    spoken = lambda: bool(ear.all_words("attempted") or ear.all_words("unable"))  # noqa: E731
    if not patience.until(spoken, ATTEMPT_SECONDS):
        raise _Failed("The agent did not say that it attempted anything.")
    if not patience.until(lambda: ear.beats > 0, START_SECONDS):
        raise _Failed("The agent did not beat.")
    before = ear.beats
    patience.pause(SETTLE_SECONDS)
    if not patience.until(lambda: ear.beats > before, ATTEMPT_SECONDS):
        raise _Failed("The agent ended before it was stopped.")


def _heard(told: dict[str, Any] | None, event: str) -> dict[str, Any]:
    """What the guard process told, if it is that. Raises _Failed."""
    if told is None:
        raise _Failed("The guard process ended or hung.")
    if told["event"] != event:
        raise _Failed(told.get("why", f"The guard process said {told['event']}."))
    return told


def _last_words(errors: IO[bytes]) -> str:
    """The end of what guard and agent wrote on standard error."""
    errors.seek(0)
    return errors.read()[-600:].decode(errors="replace")


def _end(mark: str) -> None:
    """End what is left. Raises AG453 if that fails."""
    left = survivors.end(mark, END_SECONDS)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise GuardError(
            "AG453",
            f"Processes of a drill outlived it and can't be ended: {pids}. No further drill was run.",
            "They end by themselves within two minutes; if not, end them by these numbers.",
        )
