"""A trial's folders, and what its guard and its agent are told.

Guarantees: the guard's folder is closed to every other user; what the agent is told names no more than its own trial.
Trusts whoever runs the drills.
"""

import os
import secrets
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from agent_guard.drill.catalogue import CONTAINED, GUARD, Drill, Placement
from agent_guard.drill.host import ROOT, USER, Means, module_path
from agent_guard.sandbox.view import agent_uid
from agent_guard.session.scene import Scene

LIFE_SECONDS = 120.0
"""After these every process of a drill's agent ends by itself."""
SETTINGS = '# of a drill\nsandbox = "auto"\n'
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where one trial takes place. `folder` is new and its own, `code` holds the agents' program.

    `mark` is borne by every process of the agent, `key` stands in a file that only the guard may read, `uid` is a user
    of no account.
    """

    means: Means
    drill: Drill
    placement: Placement
    user: str
    folder: Path
    code: Path
    mark: str = field(default_factory=lambda: f"drill-{secrets.token_hex(12)}")
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def uid(self) -> int:
        return agent_uid(int(self.key, 16))

    @property
    def guard_uid(self) -> int | None:
        """The user that the guard process must become; None: it stays ours."""
        return self.uid if self.user == USER and ROOT in self.means.users else None

    def make(self) -> None:
        """Make the folders and the guard's files."""
        guard, home = self.folder / "guard", self.folder / "home"
        (guard / "socket").mkdir(parents=True)
        home.mkdir()
        self.folder.chmod(0o755)  # whatever our umask is
        home.chmod(0o755)
        for name, text in (("agent_guard.toml", SETTINGS), ("operator-key", self.key)):
            (guard / name).write_text(text)
        guard.chmod(0o700)
        if self.guard_uid is not None:
            for path in (guard, *guard.iterdir()):
                os.chown(path, self.guard_uid, self.guard_uid)
        if self.guard_uid is not None or self.placement.two_users:
            os.chown(home, self.uid, self.uid)

    def scene(self, guard_pid: int) -> Scene:
        """What the guard process is told."""
        program = (self.means.agent_python, "-s", "-S", "-P", "-m", "agent_guard.drill.agent")
        return Scene(
            placement=self.placement.name,
            argv=(*program, self.drill.name, self.mark),
            env=self._agents_environ(guard_pid),
            home=self.folder / "home",
            code=self.code,
            guard=self.folder / "guard",
            uid=self.uid,
        )

    def command(self, post: tuple[str, ...]) -> list[str]:
        """The command line of the guard process."""
        return [self.means.pythons[self.user], *post]

    def guards_environ(self) -> dict[str, str]:
        """The guard process's environment; one of another user can't have ours."""
        if self.guard_uid is None:
            return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        own = {"HOME": str(self.folder / "guard"), "PATH": os.environ.get("PATH", _PATH), "LANG": "C.UTF-8"}
        return {**own, "PYTHONPATH": module_path(), "PYTHONDONTWRITEBYTECODE": "1"}

    def _agents_environ(self, guard_pid: int) -> dict[str, str]:
        told = {
            "DRILL_MARK": self.mark,
            "DRILL_DEADLINE": str(time.monotonic() + LIFE_SECONDS),
            "DRILL_GUARD_PID": str(guard_pid),
            "DRILL_GUARD_HOME": str(self.folder / "guard"),
            "PYTHONPATH": str(self.code),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self.placement.name == GUARD:
            told["DRILL_API"] = "yes"
        if self.placement.name in CONTAINED:
            return told | {"DRILL_CONTAINED": "yes"}
        socket = str(self.folder / "guard/socket/guard.sock")
        return told | {"PATH": _PATH, "HOME": str(self.folder / "home"), "AGENT_GUARD_SOCKET": socket}
