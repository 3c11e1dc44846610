"""A trial's guard process (`post`), seen from whoever measures.

Guarantees: every wait is bounded; `close` ends the process, whatever it does. Trusts nothing it says but its errors:
that it says it is done is where the measuring begins.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

from agent_guard.sandbox.processes import read_process
from agent_guard.session.scene import Scene

END_SECONDS = 5.0


class GuardProcess:
    """Started at once; it waits for its scene.

    Args:
        command: what runs `post.main`.
        stdout: the descriptor that becomes the agent's standard output.
        errors: where it and the agent write what went wrong.
        environ: its environment.
        uid: the user it runs as; None for our own.
    """

    def __init__(
        self,
        command: Sequence[str],
        stdout: int,
        errors: IO[bytes],
        environ: dict[str, str],
        uid: int | None,
    ) -> None:
        self._words, words = os.pipe()
        self._rest = b""
        user: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        try:
            self._process = subprocess.Popen(
                [*command, str(words), str(stdout), str(errors.fileno())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(words, stdout, errors.fileno()),
                env=environ,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for whoever measures, who then ends this
                **user,
            )
        finally:
            os.close(words)
        self._input: Any = self._process.stdin

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def struck(self) -> bool:
        """Whether it has ended, or stands still: stopped, or in a tracer's hand."""
        process = read_process(self.pid)
        return self._process.poll() is not None or process is None or process.state in "TtZX"

    def begin(self, scene: Scene) -> None:
        """Have it start the agent; `hear` tells how it went."""
        self._say(scene.encode())

    def stop(self) -> None:
        """Tell it to carry out the stop; `hear` has its answer."""
        self._say("stop")

    def hear(self, seconds: float, go_on: Callable[[], None]) -> dict[str, Any] | None:
        """What it says next; None if it says nothing in time, or has ended. `go_on` may raise to end the waiting."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            go_on()
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if select.select([self._words], [], [], min(left, 0.05))[0]:
                heard = os.read(self._words, 65536)
                if not heard:
                    return None
                self._rest += heard
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))

    def close(self) -> None:
        """End it: by the end of its input, and with SIGKILL if that does not help."""
        self._input.close()
        try:
            self._process.wait(0 if self.struck else END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        os.close(self._words)

    def _say(self, line: str) -> None:
        try:
            self._input.write(line.encode() + b"\n")
        except BrokenPipeError:
            return  # it is gone, which `hear` will tell
