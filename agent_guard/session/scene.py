"""What the guard of a drill is told: where everything lies and what to start. A value, handed over as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scene:
    """One trial of a drill. All paths are absolute.

    `argv` and `env` are the agent's program and what it is told; `home` its own folder; `code` the folder that holds
    its program; `guard` the guard's folder, which no agent should see. `uid`: the agent's user where the guard is root
    and keeps its agent apart.
    """

    placement: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    home: Path
    code: Path
    guard: Path
    uid: int

    @property
    def log(self) -> Path:
        return self.guard / "log.sqlite"

    @property
    def settings(self) -> Path:
        return self.guard / "agent_guard.toml"

    @property
    def key(self) -> Path:
        return self.guard / "operator-key"

    @property
    def socket(self) -> Path:
        return self.guard / "socket" / "guard.sock"

    def encode(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def decode(cls, text: str) -> "Scene":
        fields = json.loads(text)
        paths = {name: Path(fields[name]) for name in ("home", "code", "guard")}
        return cls(fields["placement"], tuple(fields["argv"]), fields["env"], uid=fields["uid"], **paths)
