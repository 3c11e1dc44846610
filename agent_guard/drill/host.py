"""What this host offers to the drills: users, a Python that they may run, services that an agent might use.

Looks only; changes nothing.
"""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import agent_guard
from agent_guard.drill.agent.delegating import DOCKER_SOCKETS, SSH
from agent_guard.drill.catalogue import Drill, Need, Placement
from agent_guard.drill.result import Host
from agent_guard.sandbox.probe import bubblewrap_version
from agent_guard.sandbox.view import FIRST_UID
from agent_guard.session.drilling import modes

ROOT, USER = "root", "user"
GIB = 1 << 30
# What is put behind it to name a guard's socket leaves room in the 107 bytes that the kernel takes (unix(7)).
_LONGEST_BASE = 48
_SYSTEM_PYTHON = "/usr/bin/python3"
_TRY = (
    "import os, sys, agent_guard.drill.post, agent_guard.api, agent_guard.gate; os.stat(sys.argv[1] + '/.')"
)


def temporary_folder() -> str:
    """Where the drills make their folders: not in a TMPDIR whose path is too long for the sockets in them."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _LONGEST_BASE else "/tmp"  # noqa: S108 - only mkdtemp makes names in it


@dataclass(frozen=True, slots=True)
class Means:
    """Who may be whose guard here (`users`), the Python for each of them, and what is not there, with the reason.

    `agent_python` can be run by any user, if one can.
    """

    users: tuple[str, ...]
    pythons: Mapping[str, str]
    agent_python: str
    lacks: Mapping[Need, str]

    def obstacle(self, drill: Drill, placement: Placement) -> str | None:
        """Why the drill can't be run in that placement here; None if it can."""
        if placement.two_users and self.users == (USER,):
            return "needs root"
        if placement.two_users and USER not in self.users:
            return "no Python and temporary folder here for an ordinary user"
        return self.lacks.get(drill.need) if drill.need else None

    def users_of(self, placement: Placement) -> tuple[str, ...]:
        """As whom the guard runs, one trial after the other."""
        return (ROOT,) if placement.two_users else self.users


def find_means() -> Means:
    """Look around."""
    lacks = {need: why for need, why in ((need, _lack(need)) for need in Need) if why}
    if os.geteuid() != 0:
        return Means((USER,), {USER: sys.executable}, sys.executable, lacks)
    ordinary = next((python for python in _candidates() if _runs(python)), None)
    if ordinary is None:
        return Means((ROOT,), {ROOT: sys.executable}, sys.executable, lacks)
    return Means((ROOT, USER), {ROOT: sys.executable, USER: ordinary}, ordinary, lacks)


def describe() -> Host:
    """The host in the result's words. Raises GuardError AG401."""
    return Host(
        kernel=f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        cpus=os.cpu_count() or 1,
        user=ROOT if os.geteuid() == 0 else USER,
        bubblewrap=bubblewrap_version(),
        python=".".join(map(str, sys.version_info[:3])),
        modes=tuple(f"{choice.mode.value}: {choice.why}" for choice in modes()),
    )


@cache
def module_path() -> str:
    """A PYTHONPATH on which another Python of this version finds what we import."""
    libraries = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return os.pathsep.join(dict.fromkeys((str(Path(agent_guard.__file__).parents[1]), *libraries)))


def _candidates() -> tuple[str, ...]:
    return str(Path(sys.executable).resolve()), _SYSTEM_PYTHON


def _runs(python: str) -> bool:
    """Whether an ordinary user can run a guard with it, and get at the folders of trials."""
    environ = {
        "PATH": os.defpath,
        "PYTHONPATH": module_path(),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nonexistent",
    }
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            [python, "-s", "-c", _TRY, temporary_folder()],
            env=environ,
            cwd="/",
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            user=FIRST_UID,
            group=FIRST_UID,
            extra_groups=[],
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _lack(need: Need) -> str | None:
    """Why the need is not met; None if it is."""
    met = {
        Need.CRON: _cron_runs,
        Need.SYSTEMD: lambda: any(map(Path.exists, _systemd_sockets())),
        Need.DOCKER: lambda: any(Path(path).is_socket() for path in DOCKER_SOCKETS),
        Need.SSH: _sshd_answers,
        Need.ROOM: _has_room,
    }[need]()
    return None if met else f"needs {need.value}"


def _systemd_sockets() -> list[Path]:
    return [
        *Path("/run/user").glob("*/systemd/private"),
        *Path("/run/user").glob("*/bus"),
        Path("/run/systemd/private"),
    ]


def _cron_runs() -> bool:
    if shutil.which("crontab") is None:
        return False
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text().strip() in ("cron", "crond"):
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def _sshd_answers() -> bool:
    with socket.socket() as connection:
        connection.settimeout(2.0)
        return connection.connect_ex(SSH) == 0


def _has_room() -> bool:
    available = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable")
    )
    return available >= GIB and shutil.disk_usage(temporary_folder()).free >= GIB
