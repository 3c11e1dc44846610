"""Where one guard keeps its state on this host. All of it is private to the guard but the agent's own folders."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from agent_guard.errors import GuardError


@dataclass(frozen=True, slots=True)
class Places:
    """Folders under `$AGENT_GUARD_HOME/<network>`; one log for each operator, one pair of folders for each agent."""

    home: Path
    network: str
    operator: str
    agent: str

    @property
    def _network(self) -> Path:
        return self.home / self.network

    @property
    def logs(self) -> Path:
        """The folder of all operators' logs."""
        return self._network / "logs"

    @property
    def log(self) -> Path:
        """The operator's log."""
        return self.logs / f"{self.operator.lower()}.sqlite"

    @property
    def checkpoint_key(self) -> Path:
        """The Ed25519 key that signs the log's checkpoints, raw 32 bytes in hex."""
        return self.logs / f"{self.operator.lower()}.checkpoint-key"

    @property
    def latches(self) -> Path:
        """The halts that were seen, one file an agent."""
        return self._network / "latches"

    @property
    def ballots(self) -> Path:
        """Where ballots may be put for this operator's guard."""
        return self._network / "guards" / self.operator.lower() / "ballots"

    @property
    def signers_socket(self) -> Path:
        """Where signers reach this operator's guard."""
        return self.ballots.parent / "guard.sock"

    @property
    def death(self) -> Path:
        """The agent's last death receipt, for `status`."""
        return self._network / "agents" / self.agent / "death.json"

    @property
    def life(self) -> Path:
        """What the guard notes of the life it guards, until its log holds the end: an index means one log's entry."""
        return self._network / "agents" / self.agent / f"life-{self.operator.lower()}.json"

    @property
    def work(self) -> Path:
        """The agent's own folder, kept between runs."""
        return self._network / "agents" / self.agent / "work"

    @property
    def socket(self) -> Path:
        """The agent's API; its folder is what the container sees."""
        return self._network / "agents" / self.agent / "socket" / "guard.sock"

    @property
    def pulse(self) -> Path:
        """What the guard says of itself every second, for `status`."""
        return self._network / "agents" / self.agent / "pulse.json"

    def create(self) -> None:
        """Makes the folders; those above the agent's own are the guard's alone. Raises AG104.

        The home itself may be shared: only what we make in it is closed to others.
        """
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._network.mkdir(exist_ok=True)
            if self._network.lstat().st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, f"{self._network} belongs to another user")
            self._network.chmod(0o700)
            for folder in (self.log.parent, self.ballots, self.work, self.socket.parent):
                folder.mkdir(parents=True, exist_ok=True)
            self.signers_socket.parent.chmod(0o700)
        except OSError as error:
            raise GuardError(
                "AG104",
                f"The guard's folders can't be made under {self.home} ({error.strerror}). Nothing was started.",
                "Set AGENT_GUARD_HOME to a folder that this user may write, with space on its disk.",
            ) from error
