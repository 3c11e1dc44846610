"""Starts an agent in its container: builds it, has it held, and only then lets the agent run.

Guarantees: no instruction of the agent runs before the guard holds the pidfd of its namespace's init, has seen it in
its cgroup, and the deadman holds it too; what fails leaves nothing behind. Then `container.py` holds the agent.
"""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

from agent_guard.sandbox.choice import Choice, new_leaf
from agent_guard.sandbox.container import Container
from agent_guard.sandbox.deadman import Deadman
from agent_guard.sandbox.keeper import Stream, spawn
from agent_guard.sandbox.plan import cannot_build, open_gate, prepare
from agent_guard.sandbox.view import ContainerSpec


def launch(
    spec: ContainerSpec,
    choice: Choice,
    stdout: Stream = None,
    stderr: Stream = None,
    deadman: Deadman | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> Container:
    """Builds the container and lets the agent run, in exactly the mode chosen; streams as in `subprocess`.

    `deadman` holds it too; an ordinary user's container that is given none gets one of its own.

    Raises:
        GuardError: and then nothing runs. AG401 program missing, AG402 no cgroup, AG403 can't be built, AG404 path
            refused, AG405 no such command, AG409 no deadman.
    """
    container = Container(spec.name, choice.mode, clock, deadman)
    try:
        _build(container, spec, choice, stdout, stderr)
    except OSError as error:
        container.close()
        raise cannot_build(str(error)) from error
    except BaseException:
        container.close()
        raise
    return container


def _build(container: Container, spec: ContainerSpec, choice: Choice, stdout: Stream, stderr: Stream) -> None:
    leaf = container.leaf = None if choice.parent is None else new_leaf(choice.parent, spec.name)
    with ExitStack() as stack:
        child, info = prepare(spec, choice, leaf, stack)
        gate, stdin = (stack.enter_context(end) for end in socket.socketpair())
        streams = (stdin.fileno(), stdout, stderr)
        spawned = spawn(child, streams, None if leaf else container.restop, container.bury)
        stdin.close()
        container.spawned(spawned)
        first = spawned.pid
        if info is not None:
            first = info.init()
            container.contains(first)
            if leaf is not None and first not in leaf.pids():
                raise cannot_build("its first process is not in its cgroup")
        container.hold()
        open_gate(gate, first)
