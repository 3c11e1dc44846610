"""The guard process of one trial: `python -m agent_guard.drill.post WORDS AGENT ERRORS` (three descriptors).

It reads a scene and then `stop`, a line each, on its standard input, and tells on WORDS, one JSON object a line, when
it has `started` and `stopped`, or `failed`. AGENT and ERRORS are the agent's standard output and error. When its input
ends, so does it, with the agent.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from agent_guard.drill import weak
from agent_guard.drill.catalogue import GUARD
from agent_guard.errors import GuardError
from agent_guard.log.recorder import Recorder
from agent_guard.session import drilling
from agent_guard.session.drilling import Placed
from agent_guard.session.scene import Scene
from agent_guard.store import Store


def main() -> None:
    words, stdout, stderr = map(int, sys.argv[1:4])

    def tell(event: str, **fields: object) -> None:
        os.write(words, (json.dumps({"event": event, **fields}) + "\n").encode())

    scene = Scene.decode(sys.stdin.readline())
    try:
        with ExitStack() as stack:
            store, recorder = stack.enter_context(drilling.new_log(scene.log))
            if scene.placement != GUARD:
                stack.enter_context(_deaf(scene.socket))
            placed = stack.enter_context(_place(scene, store, recorder, stdout, stderr))
            os.close(stdout)
            tell("started", mode=placed.mode, leaf=placed.leaf)
            if sys.stdin.readline() == "stop\n":
                tell("stopped", said=_stopped(placed))
                sys.stdin.readline()
    except GuardError as error:
        tell("failed", why=f"{error.code}: {error.message}")


def _place(
    scene: Scene, store: Store, recorder: Recorder, stdout: int, stderr: int
) -> AbstractContextManager[Placed]:
    if scene.placement in weak.PLACES:
        return weak.PLACES[scene.placement](scene, stdout, stderr)
    if scene.placement == GUARD:
        return drilling.guarded(scene, store, recorder, stdout, stderr)
    return drilling.contained(scene, stdout, stderr)


def _stopped(placed: Placed) -> str:
    """What the stop says of itself; that it failed is a word too, and the measuring goes on."""
    try:
        return placed.stop()
    except GuardError as error:
        return f"{error.code}: {error.message}"


@contextmanager
def _deaf(path: Path) -> Iterator[None]:
    """A socket that listens and says nothing, for the guards that have no API."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen(1)
        yield


if __name__ == "__main__":
    main()
    os._exit(0)  # all is closed; taking the interpreter apart would take as long as a trial
