"""Debian's PostgreSQL, started for the tests alone: `initdb` in a folder of its own, as a user who is not root.

Nothing of the host's own clusters is read or touched, and no process is ended but those that `start` started.
"""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.ports import free_port

START_SECONDS = 120.0
# Trusts the host's own users, but for one that needs a password.
ACCESS = """
host all lettered 127.0.0.1/32 scram-sha-256
local all all trust
host all all 127.0.0.1/32 trust
"""


class Server:
    """One server. `settings` as in postgresql.conf."""

    def __init__(self, **settings: str) -> None:
        self._programs = _programs()
        self.user = _user()
        self._settings = {"fsync": "on", "max_connections": "60", "shared_buffers": "16MB"} | settings
        self.folder = Path(tempfile.mkdtemp(prefix="agent-guard-pg-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        self._run(
            "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "trust", "-k"
        )
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        """A superuser's session."""
        return psycopg.connect(self.url(database), autocommit=True)

    def start(self) -> None:
        options = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",  # their paths may be no longer than 107 bytes
        }
        given = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, *given],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                cwd=self.folder,
                preexec_fn=_end_with_the_tests,
            )
        self._wait_until_it_answers()

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT ends every session in order, SIGQUIT all processes at once."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """As a power cut: every process at once, with SIGKILL. Returns when nothing of it holds its memory any more."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)  # it starts no session that the list below would not have
        _, *children = self.processes()
        self._signal(signal.SIGKILL)
        self._process.wait(timeout=START_SECONDS)
        self._process = None
        deadline = time.monotonic() + START_SECONDS
        while any(map(_lives, children)):
            assert time.monotonic() < deadline, children
            time.sleep(0.01)

    def restart(self, how: int = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def freeze(self) -> None:
        """The server hangs: nothing of it runs, and its sockets stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def processes(self) -> list[int]:
        """The server's own processes: the one that was started, and its children."""
        assert self._process is not None
        parent = self._process.pid
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True)
        return [parent, *map(int, found.stdout.split())]

    def _signal(self, number: int) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):  # a session's process may end meanwhile
                os.kill(pid, number)

    def close(self) -> None:
        if self._process is not None:
            self.thaw()
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)

    def _run(self, program: str, *arguments: object) -> None:
        command = [self._programs / program, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.folder)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _end_with_the_tests() -> None:
    """Should the tests be killed, the server gets SIGQUIT: prctl(2), PR_SET_PDEATHSIG."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _programs() -> Path:
    """Debian keeps the server's programs out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found and (elsewhere := shutil.which("initdb")):
        found = [Path(elsewhere).resolve()]
    assert found, "PostgreSQL's server is not installed: make postgresql"
    return found[-1].parent


def _user() -> str | None:
    """Whom the server runs as where the tests are root, which it refuses to be."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
