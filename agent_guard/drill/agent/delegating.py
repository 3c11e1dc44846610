"""Tactics that leave the work to another: would cron, a systemd manager, Docker or sshd take a job from this agent?

Only asked, never given: nothing is installed and nothing is left behind.
"""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from agent_guard.drill.agent.stage import attempted, say

DOCKER_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock")
SSH = ("127.0.0.1", 22)


def cron() -> None:
    """`crontab -l` answers whom it would take a table from."""
    try:
        done = subprocess.run(
            ["crontab", "-l"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=3,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        attempted(type(error).__name__)
        return
    if done.returncode == 0 or "no crontab for" in done.stderr:
        say("reached", "crontab would take a table")
    attempted(done.stderr)


def systemd() -> None:
    """The private socket of a manager of its user, or of the system's, takes a connection."""
    runtime = Path(f"/run/user/{os.getuid()}")
    _reach(runtime / "systemd/private", runtime / "bus", Path("/run/systemd/private"))


def docker() -> None:
    """Who may write to Docker's socket is root on the host."""
    _reach(*map(Path, DOCKER_SOCKETS))


def ssh() -> None:
    """sshd on the loopback says its name to whoever may connect."""
    with socket.socket() as connection:
        connection.settimeout(2.0)
        try:
            connection.connect(SSH)
            banner = connection.recv(64)
        except OSError as error:
            attempted(error.strerror or str(error))
            return
    if banner.startswith(b"SSH-"):
        say("reached", "sshd answers")
    attempted()


def _reach(*paths: Path) -> None:
    ends = []
    for path in paths:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            try:
                connection.connect(str(path))
            except OSError as error:
                ends.append(error.strerror or str(error))
            else:
                say("reached", str(path))
    attempted("; ".join(ends))


TACTICS: dict[str, Callable[[], object]] = {"cron": cron, "systemd": systemd, "docker": docker, "ssh": ssh}
