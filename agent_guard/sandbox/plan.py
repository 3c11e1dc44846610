"""From a spec to a command that can be started: the look at the host, the descriptors, the layers of the command line.

Guarantees: a path or program that is refused is refused before anything is started. Trusts `view` and `bubblewrap`.
"""

import json
import os
import select
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.sandbox import bubblewrap, view
from agent_guard.sandbox.cgroup import Cgroup
from agent_guard.sandbox.choice import Choice, Mode, own_code, require_programs
from agent_guard.sandbox.keeper import Child
from agent_guard.sandbox.processes import read_process

START_LIMIT = 10.0
"""Seconds that bubblewrap may take to build the container."""


@dataclass(frozen=True, slots=True)
class Info:
    """The pipe on which bubblewrap tells the pid of its namespace's init (--info-fd)."""

    read: int
    write: int

    def init(self) -> int:
        """That pid, as the guard sees it. Raises GuardError AG403 if bubblewrap failed or hangs. To be called once."""
        os.close(self.write)
        poller, text = select.poll(), b""
        poller.register(self.read, select.POLLIN)
        while poller.poll(START_LIMIT * 1000) and (part := os.read(self.read, 4096)):
            text += part
        if not text.rstrip().endswith(b"}"):
            raise cannot_build("bubblewrap ended or hung before it stood; its own words are on stderr")
        return int(json.loads(text)["child-pid"])


def open_gate(gate: socket.socket, init: int) -> None:
    """Let the agent's first instruction run. Raises GuardError AG403 if the gate does not answer.

    The gate says `up` when it is the only thing left to run. Its init sets its parent-death signal just after starting
    it, and then sleeps for good: only from then on is the agent sure to die with the guard.
    """
    gate.settimeout(START_LIMIT)
    try:
        if gate.recv(16) != b"up\n":
            raise cannot_build("it ended before the agent could start; its own words are on stderr")
        deadline = time.monotonic() + START_LIMIT
        while (process := read_process(init)) is None or process.state != "S":
            if process is None or time.monotonic() > deadline:
                raise cannot_build("its init is gone or does not come to rest")
            time.sleep(0.001)
        gate.sendall(b"go\n")
    except OSError as error:
        raise cannot_build(f"the gate before the agent did not open ({error})") from error


def prepare(
    spec: view.ContainerSpec, choice: Choice, leaf: Cgroup | None, stack: ExitStack
) -> tuple[Child, Info | None]:
    """Check everything; the child to start, with Info if contained. Descriptors close with `stack`.

    Raises the GuardErrors of `launch`.
    """
    needed = ("setpriv", "sh") if choice.mode is Mode.NONE else ("bwrap", "prlimit", "setpriv", "sh")
    require_programs(names=needed)
    if choice.mode is Mode.CGROUP and leaf is None:
        raise GuardError(
            "AG402", "The mode needs a cgroup, and none was given.", "Use what `choose_mode` says."
        )
    program = view.find_program(spec.argv[0], spec.env.get("PATH"))
    agent = bubblewrap.gated(spec.work_dir, [str(program), *spec.argv[1:]])
    join = bubblewrap.join_cgroup(leaf.procs, []) if leaf else []
    if choice.mode is Mode.NONE:
        socket = str(spec.socket_dir / "guard.sock") if spec.socket_dir else ""
        env = bubblewrap.environment(spec, program, home=str(spec.work_dir), socket=socket)
        return Child([*join, "setpriv", "--pdeathsig", "KILL", "--", *agent], env=env), None
    return _contained(spec, program, join, bubblewrap.limited(_limit(spec.limits, leaf), agent), stack)


def cannot_build(why: str) -> GuardError:
    """The error for a container that does not come to stand."""
    return GuardError(
        "AG403",
        f"The container could not be built: {why}. The agent was not started.",
        "Run `agent-guard doctor`. An ordinary user needs user namespaces (sysctl kernel.unprivileged_userns_clone=1,"
        " kernel.apparmor_restrict_unprivileged_userns=0), or let root run the guard.",
    )


def _limit(limits: view.Limits, leaf: Cgroup | None) -> list[str]:
    """Set the cgroup's limits. The rlimits for what it can't limit: processes by user, memory by process.

    RLIMIT_NPROC counts by user and user namespace: each agent has one of the two to itself.
    """
    wanted = (("pids", limits.pids, "nproc"), ("memory", limits.memory, "data"))
    return [
        f"--{rlimit}={most}" for name, most, rlimit in wanted if leaf is None or not leaf.limit(name, most)
    ]


def _contained(
    spec: view.ContainerSpec, program: Path, join: list[str], agent: list[str], stack: ExitStack
) -> tuple[Child, Info]:
    code = own_code()
    roots = (*view.program_roots(program, spec.env.get("PATH")), code[0])
    view.check_view(spec, roots, homes=(Path.home(), *Path("/home").glob("*")), code=code)
    root = os.geteuid() == 0
    uid, gid = (spec.uid, spec.uid) if root else (os.getuid(), os.getgid())
    if root:
        _give(spec.work_dir, uid)
        agent = bubblewrap.unprivileged(uid, agent)
    contents = bubblewrap.generated_files(spec, uid, gid)
    files = {path: _memory_file(stack, content) for path, content in contents.items()}
    words = bubblewrap.options(spec, roots, bubblewrap.environment(spec, program), files, userns=not root)
    arguments = _memory_file(stack, "".join(f"{word}\0" for word in words))
    info = Info(*os.pipe())
    stack.callback(os.close, info.read)
    command = [*join, "bwrap", "--args", str(arguments), "--info-fd", str(info.write), "--", *agent]
    return Child(command, (info.write, arguments, *files.values())), info


def _memory_file(stack: ExitStack, content: str) -> int:
    """A descriptor from which `content` can be read. It keeps the agent's environment out of `ps`."""
    fd = os.memfd_create("agent-guard")
    stack.callback(os.close, fd)
    os.write(fd, content.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _give(folder: Path, uid: int) -> None:
    """Make the folder itself the agent's, and nothing in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(fd, uid, uid)
    finally:
        os.close(fd)
