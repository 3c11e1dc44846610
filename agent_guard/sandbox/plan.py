"""From a spec to a command that can be started: the look at the host, the descriptors, the layers of the command line.

Guarantees: a path or program that is refused is refused before anything is started. Trusts `view` and `bubblewrap`.
"""

import json
import os
import select
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.sandbox import bubblewrap, view
from agent_guard.sandbox.cgroup import Cgroup
from agent_guard.sandbox.keeper import memory_file
from agent_guard.sandbox.mode import Choice, Mode, own_code, require_programs

GO = b"go\n"
"""What opens the gate before the agent's first instruction."""
START_LIMIT = 10.0
"""Seconds that bubblewrap may take to build the container."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A command, the descriptors it inherits (`info` first: the write end of a pipe), its environment and folder."""

    command: list[str]
    fds: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    info: int | None = None

    def read_init(self) -> int | None:
        """The pid of the namespace's init, from bubblewrap's --info-fd; None without a container. GuardError AG403."""
        if self.info is None:
            return None
        os.close(self.fds[0])
        poller, text = select.poll(), b""
        poller.register(self.info, select.POLLIN)
        while poller.poll(START_LIMIT * 1000) and (part := os.read(self.info, 4096)):
            text += part
        if not text.rstrip().endswith(b"}"):
            raise cannot_build("bubblewrap ended or hung before it stood; its own words are on stderr")
        return int(json.loads(text)["child-pid"])


def prepare(spec: view.ContainerSpec, choice: Choice, leaf: Cgroup | None, stack: ExitStack) -> Plan:
    """Check everything and build the command. Descriptors close with `stack`. GuardErrors of `Container.start`."""
    require_programs(names=("setpriv", "sh") if choice.mode is Mode.NONE else ("bwrap", "setpriv", "sh"))
    if choice.mode is Mode.CGROUP and leaf is None:
        raise GuardError(
            "AG402", "The mode needs a cgroup, and none was given.", "Use what `choose_mode` says."
        )
    program = view.find_program(spec.argv[0], spec.env.get("PATH"))
    agent = bubblewrap.gated(spec.work_dir, [str(program), *spec.argv[1:]])
    plan = (
        _uncontained(spec, program, agent)
        if choice.mode is Mode.NONE
        else _contained(spec, program, agent, stack)
    )
    if leaf is None:
        return plan
    return replace(plan, command=bubblewrap.join_cgroup(leaf.procs, plan.command))


def cannot_build(why: str) -> GuardError:
    """The error for a container that does not come to stand."""
    return GuardError(
        "AG403",
        f"The container could not be built: {why}. The agent was not started.",
        "Run `agent-guard doctor`. An ordinary user needs user namespaces (sysctl kernel.unprivileged_userns_clone=1,"
        " kernel.apparmor_restrict_unprivileged_userns=0), or let root run the guard.",
    )


def _uncontained(spec: view.ContainerSpec, program: Path, agent: list[str]) -> Plan:
    socket = str(spec.socket_dir / "guard.sock") if spec.socket_dir else ""
    env = bubblewrap.environment(spec, program, home=str(spec.work_dir), socket=socket)
    return Plan(["setpriv", "--pdeathsig", "KILL", "--", *agent], env=env, cwd=spec.work_dir)


def _contained(spec: view.ContainerSpec, program: Path, agent: list[str], stack: ExitStack) -> Plan:
    code = own_code()
    roots = (*view.program_roots(program, spec.env.get("PATH")), code[0])
    view.check_view(spec, roots, homes=(Path.home(), *Path("/home").glob("*")), code=code)
    is_root = os.geteuid() == 0
    uid, gid = (spec.uid, spec.uid) if is_root else (os.getuid(), os.getgid())
    if is_root:
        _give(spec.work_dir, uid)
        agent = bubblewrap.unprivileged(uid, agent)
    contents = bubblewrap.generated_files(spec, uid, gid)
    files = {path: memory_file(stack, content) for path, content in contents.items()}
    environ = bubblewrap.environment(spec, program)
    info_out, info_in = os.pipe()
    stack.callback(os.close, info_out)
    words = bubblewrap.options(spec, roots, environ, files, info_in, userns=not is_root)
    arguments = memory_file(stack, "".join(f"{word}\0" for word in words))
    command = ["bwrap", "--args", str(arguments), "--", *agent]
    return Plan(command, (info_in, arguments, *files.values()), info=info_out)


def _give(folder: Path, uid: int) -> None:
    """Make the folder itself the agent's, and nothing in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(fd, uid, uid)
    finally:
        os.close(fd)
