"""What the agent sees of the host's files: which folders, and which never.

Guarantees: no folder handed to the container is, holds, or (where a user chose it) lies in a private path, a credential
folder or a system folder. Paths are judged after their symbolic links are followed. Trusts the caller to name the
guard's own private paths in the spec, and nobody untrusted to change the host's folders during the start.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agent_guard.errors import GuardError

FIRST_UID = 61184  # systemd's range for dynamic users: no account of the host has one of these
_UIDS = 4336

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_HOST = "/boot /dev /etc /proc /run /sys /tmp/.X11-unix /var/lib/docker /var/run /var/spool"
_CREDENTIALS = """.aws .azure .docker .foundry .git-credentials .gnupg .kube .netrc .npmrc .pgpass .postgresql .pypirc
.ssh .bashrc .profile .config/autostart .config/gcloud .config/systemd .local/share/agent-guard .local/share/keyrings"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent may hold: processes and threads together, and bytes of memory.

    `memory` bounds the whole agent where the cgroup can, else each of its processes; its three temporary file systems
    hold a quarter of it each.
    """

    pids: int = 2_048
    memory: int = 4 << 30


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What to run, and what it may see. All paths absolute.

    `work_dir` (read-write, the current folder) and `socket_dir` (read-only: a socket there can be connected to, not
    replaced) are the guard's own choice and may lie in a private path; `rw` and `ro` come from the user and may not.
    `private` are paths never shown: the guard's home, keys, store; `fixed` paths it may see and never change: the
    guard's settings and deployment records. `env` is all that the agent gets besides
    PATH, HOME, USER and AGENT_GUARD_SOCKET. `uid` is the agent's user and group, used only where the guard is root.
    """

    argv: tuple[str, ...]
    work_dir: Path
    socket_dir: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    net: Literal["none", "host"] = "none"
    rw: tuple[Path, ...] = ()
    ro: tuple[Path, ...] = ()
    private: tuple[Path, ...] = ()
    fixed: tuple[Path, ...] = ()
    uid: int = FIRST_UID
    name: str = "agent"
    limits: Limits = Limits()


def agent_uid(agent: int) -> int:
    """The unprivileged user that an agent with this number (its 32-byte id as an integer) runs as."""
    return FIRST_UID + agent % _UIDS


def find_program(name: str, search: str | None = None) -> Path:
    """The program's absolute path, looked up in `search` (a PATH). Raises GuardError AG405."""
    found = shutil.which(name, path=search)
    if found is None:
        raise GuardError(
            "AG405",
            f"{name!r} is not an executable file and not in PATH. Nothing was started.",
            "Check the command after `--`.",
        )
    return Path(os.path.abspath(found))  # noqa: PTH100 - resolve() would follow the link out of a virtual environment


def program_roots(program: Path, search: str | None = None) -> tuple[Path, ...]:
    """The folders and files that a program needs besides the system's: its prefix, environment, interpreter."""
    roots: dict[Path, None] = {}
    for path in (program, program.resolve()):
        if not lies_in(path, map(Path, SYSTEM)):
            roots.update(dict.fromkeys(_prefixes(path)))
    interpreter = _shebang(program, search)
    if interpreter is not None:
        roots.update(dict.fromkeys(program_roots(interpreter)))
    return tuple(roots)


def check_view(
    spec: ContainerSpec, roots: Iterable[Path], homes: Iterable[Path], code: Iterable[Path]
) -> None:
    """Raise GuardError AG404 if the spec would show the agent what it must not reach, or change.

    `roots`: what `program_roots` found; `homes`: home folders of the host's users; `code`: the guard's own program.
    """
    chosen = (*spec.rw, *spec.ro)
    own = tuple(path for path in (spec.work_dir, spec.socket_dir) if path is not None)
    credentials = [home / name for home in homes for name in _CREDENTIALS.split()]
    for path in (*own, *chosen, *roots):
        _refuse_if(
            not path.is_absolute() or not path.exists() or path.is_socket(), path, "no such file or folder"
        )
        _refuse_holding(path, [*spec.private, *credentials])
    for path in chosen:
        _refuse_inside(path, [*spec.private, *credentials])
    for path in (*spec.rw, spec.work_dir):
        _refuse_holding(path, [*code, *spec.fixed])
        _refuse_inside(path, [*code, *spec.fixed, *map(Path, SYSTEM)])
    for path in (*chosen, spec.work_dir, *roots):
        _refuse_holding(path, map(Path, _HOST.split()))
        _refuse_inside(path, map(Path, _HOST.split()))


def lies_in(path: Path, folders: Iterable[Path]) -> bool:
    """Whether the path is one of the folders or lies in one, links not followed."""
    return any(path.is_relative_to(folder) for folder in folders)


def _refuse_holding(path: Path, folders: Iterable[Path]) -> None:
    for folder in folders:
        _refuse_if(folder.resolve().is_relative_to(path.resolve()), path, f"it is or holds {folder}")


def _refuse_inside(path: Path, folders: Iterable[Path]) -> None:
    for folder in folders:
        _refuse_if(path.resolve().is_relative_to(folder.resolve()), path, f"it lies in {folder}")


def _refuse_if(bad: bool, path: Path, why: str) -> None:
    if bad:
        raise GuardError("AG404", f"{path} can't be shown to the agent: {why}.", "Name another folder.")


def _prefixes(program: Path) -> list[Path]:
    """The prefix of a virtual environment (and of its base), of a Python or node installation; else the file itself."""
    prefix = program.parent.parent
    if program.parent.name == "shims" and (prefix / "versions").is_dir():  # pyenv
        return [prefix]
    configuration = prefix / "pyvenv.cfg"
    if program.parent.name == "bin" and configuration.is_file():
        base = _base_prefix(configuration.read_text())
        return [prefix, *(path for path in base if not lies_in(path, map(Path, SYSTEM)))]
    if program.parent.name == "bin" and (
        any(prefix.glob("lib/python3*")) or (prefix / "lib/node_modules").is_dir()
    ):
        return [prefix]
    return [program]


def _base_prefix(pyvenv: str) -> list[Path]:
    """The prefix of the Python that made a virtual environment, as written in its pyvenv.cfg and resolved."""
    for line in pyvenv.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return [Path(value.strip()).parent, Path(value.strip()).resolve().parent]
    return []


def _shebang(program: Path, search: str | None) -> Path | None:
    """The interpreter that a script's first line names, through `env` too; None for a binary."""
    with program.open("rb") as file:
        line = file.readline(256)
    words = line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []
    if not words:
        return None
    if Path(words[0]).name == "env" and len(words) > 1:
        return find_program(
            next((word for word in words[1:] if word[0] != "-" and "=" not in word), "env"), search
        )
    return Path(words[0])
