"""The command line of bubblewrap: from a spec to arguments, looking only at which system folders there are.

Guarantees: the container starts from an empty file system and an empty environment, and only what is listed here or in
the spec is added. Trusts `view.check_view` to have judged the spec's paths, and bubblewrap. Source: bwrap(1), 0.8.0.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from agent_guard.sandbox.view import SYSTEM, ContainerSpec, lies_in

HOME = "/home/agent"
SOCKET_DIR = "/run/agent-guard"
SOCKET = f"{SOCKET_DIR}/guard.sock"

# No shadow, no ssh, no machine-id, no private keys of TLS, nothing of the package managers.
_ETC = (
    *(
        "alternatives",
        "debian_version",
        "fonts",
        "localtime",
        "magic",
        "mime.types",
        "os-release",
        "terminfo",
        "timezone",
    ),
    *(
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "locale.alias",
        "nsswitch.conf",
        "protocols",
        "python3",
        "services",
    ),
    *(
        "ca-certificates.conf",
        "crypto-policies",
        "pki/ca-trust/extracted",
        "pki/tls/certs",
        "ssl/certs",
        "ssl/openssl.cnf",
    ),
)
_SYSTEM_PATHS = [Path(name) for name in SYSTEM]
_ETC_NET = ("gai.conf", "host.conf", "hosts", "resolv.conf")
_DROP = ("--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")

# The agent's first own instruction waits for a word from the guard: a guard that died meanwhile can't say it.
_GATE = 'read -r word && [ "$word" = go ] && cd -- "$0" && exec "$@" </dev/null'
_JOIN = 'echo $$ > "$0" && exec "$@"'


def join_cgroup(procs: Path, command: list[str]) -> list[str]:
    """A command that first moves itself into a cgroup (its cgroup.procs) and ends there if it can't."""
    return ["/bin/sh", "-c", _JOIN, str(procs), *command]


def gated(folder: Path, argv: Iterable[str]) -> list[str]:
    """The agent's command behind the gate: it runs, in `folder`, once the line `go` comes on standard input."""
    return ["/bin/sh", "-c", _GATE, str(folder), *argv]


def unprivileged(uid: int, command: list[str]) -> list[str]:
    """A command run as a user without capabilities, for a container that root builds without a user namespace."""
    return ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", *_DROP, "--", *command]


def environment(spec: ContainerSpec, program: Path, home: str = HOME, socket: str = SOCKET) -> dict[str, str]:
    """Everything in the agent's environment."""
    defaults = {
        "PATH": f"{program.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "USER": "agent",
        "LOGNAME": "agent",
        "LANG": "C.UTF-8",
    }
    return {**defaults, **spec.env, **({"AGENT_GUARD_SOCKET": socket} if spec.socket_dir else {})}


def generated_files(spec: ContainerSpec, uid: int, gid: int) -> dict[str, str]:
    """Files of /etc that are written for the agent, by path."""
    files = {
        "/etc/passwd": f"root:x:0:0:root:/:/bin/sh\nagent:x:{uid}:{gid}:agent:{HOME}:/bin/sh\n",
        "/etc/group": f"root:x:0:\nagent:x:{gid}:\n",
    }
    return files | ({} if spec.net == "host" else {"/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n"})


def options(
    spec: ContainerSpec,
    roots: Iterable[Path],
    environ: Mapping[str, str],
    files: Mapping[str, int],
    info_fd: int,
    userns: bool,
) -> list[str]:
    """bwrap's options, to be handed over with --args.

    `roots` are shown read-only beside the system's folders; `files` maps a path inside to a descriptor with its
    content; `userns`: the guard is an ordinary user, so a user namespace of its own is needed (and further ones are
    forbidden); else it is root and `unprivileged` drops the capabilities that are left here.
    """
    return [
        *_isolation(spec, userns),
        *("--info-fd", str(info_fd)),
        *_system(),
        *_make("/dev", "/etc", "/etc/pki", "/etc/pki/ca-trust", "/etc/pki/tls", "/etc/ssl", "/home", "/run"),
        *_bind(
            "--ro-bind-try", (f"/etc/{name}" for name in [*_ETC, *(_ETC_NET if spec.net == "host" else ())])
        ),
        *(
            word
            for path, fd in files.items()
            for word in ("--perms", "0444", "--ro-bind-data", str(fd), path)
        ),
        *("--proc", "/proc", "--dev", "/dev"),
        *_writable("/dev/shm", "/tmp", HOME),  # noqa: S108 - inside the container
        *_folders(spec, roots),
        *("--chdir", "/", "--clearenv"),
        *(word for key, value in environ.items() for word in ("--setenv", key, value)),
    ]


def _isolation(spec: ContainerSpec, userns: bool) -> list[str]:
    namespaces = [
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup",
        "--hostname",
        "agent",
    ]
    if spec.net == "none":
        namespaces.append("--unshare-net")
    if userns:
        rights = ["--unshare-user", "--disable-userns"]
    else:
        rights = ["--cap-drop", "ALL"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            rights += ["--cap-add", capability]
    return [*namespaces, *rights, "--die-with-parent", "--new-session"]


def _system() -> list[str]:
    words = []
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    return words


def _folders(spec: ContainerSpec, roots: Iterable[Path]) -> list[str]:
    """The bind mounts, outer folders first, so that an inner one isn't covered by an outer one."""
    binds = [("--ro-bind", path) for path in (*roots, *spec.ro) if not lies_in(path, _SYSTEM_PATHS)]
    binds += [("--bind", path) for path in (*spec.rw, spec.work_dir)]
    ordered = sorted(dict.fromkeys(binds), key=lambda bind: (len(bind[1].parts), bind[0] == "--bind"))
    shown = [path for _, path in ordered]
    words = _parents(shown)
    words += [word for how, path in ordered for word in _bind(how, [str(path)])]
    return [*words, *(("--ro-bind", str(spec.socket_dir), SOCKET_DIR) if spec.socket_dir else ())]


def _parents(shown: list[Path]) -> list[str]:
    above = {
        str(parent)
        for path in shown
        for parent in path.parents
        if not lies_in(parent, [*shown, *_SYSTEM_PATHS])
    }
    return _make(*sorted(above - {"/"}), SOCKET_DIR)


def _make(*folders: str) -> list[str]:
    """Make folders for mount points beforehand: those bubblewrap makes on its own may be closed to all but root."""
    return [word for folder in folders for word in ("--perms", "0755", "--dir", folder)]


def _bind(how: str, paths: Iterable[str]) -> list[str]:
    return [word for path in paths for word in (how, path, path)]


def _writable(*paths: str) -> list[str]:
    return [word for path in paths for word in ("--perms", "1777", "--tmpfs", path)]
