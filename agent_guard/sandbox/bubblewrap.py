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
_ETC = """alternatives debian_version fonts localtime magic mime.types os-release terminfo timezone
ld.so.cache ld.so.conf ld.so.conf.d locale.alias nsswitch.conf protocols python3 services
ca-certificates.conf crypto-policies pki/ca-trust/extracted pki/tls/certs ssl/certs ssl/openssl.cnf"""
_ETC_NET = "gai.conf host.conf hosts resolv.conf"
_FOLDERS = "/dev /etc /etc/pki /etc/pki/ca-trust /etc/pki/tls /etc/ssl /home /run"
_NAMESPACES = "--unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup --hostname agent"
_LIFE = "--die-with-parent --new-session"
_FEW_CAPS = "--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP"
_NO_CAPS = "--clear-groups --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs"

# The agent's first own instruction waits for a word from the guard, given once bubblewrap's parent-death signals are
# set: a guard that died meanwhile can't give it. Standard input is a socket until then.
_GATE = 'echo up >&0 && read -r word && [ "$word" = go ] && cd -- "$0" && exec "$@" </dev/null'
_JOIN = 'echo $$ > "$0" && exec "$@"'


def join_cgroup(procs: Path, command: list[str]) -> list[str]:
    """A command that first moves itself into a cgroup (its cgroup.procs) and ends there if it can't."""
    return ["/bin/sh", "-c", _JOIN, str(procs), *command]


def gated(folder: Path, argv: Iterable[str]) -> list[str]:
    """The agent's command behind the gate: it says `up` and runs, in `folder`, once it is told `go`."""
    return ["/bin/sh", "-c", _GATE, str(folder), *argv]


def unprivileged(uid: int, command: list[str]) -> list[str]:
    """A command run as a user without capabilities, for a container that root builds without a user namespace.

    With a user namespace of its own the agent would be the kernel's root there, or own root's files in /proc/sys.
    """
    return ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", *_NO_CAPS.split(), "--", *command]


def limited(limits: list[str], command: list[str]) -> list[str]:
    """A command under resource limits (options of prlimit(1)), soft and hard: without capabilities they stay."""
    return ["/usr/bin/prlimit", *limits, "--", *command] if limits else command


def environment(spec: ContainerSpec, program: Path, home: str = HOME, socket: str = SOCKET) -> dict[str, str]:
    """Everything in the agent's environment."""
    own = {"HOME": home, "USER": "agent", "LOGNAME": "agent", "LANG": "C.UTF-8"}
    path = {"PATH": f"{program.parent}:/usr/local/bin:/usr/bin:/bin"}
    return {**own, **path, **spec.env, **({"AGENT_GUARD_SOCKET": socket} if spec.socket_dir else {})}


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
    userns: bool,
) -> list[str]:
    """bwrap's options, to be handed over with --args.

    `roots` are shown read-only beside the system's folders; `files` maps a path inside to a descriptor with its
    content; `userns`: the guard is an ordinary user, so a user namespace is needed (and further ones are forbidden);
    else it is root, and `unprivileged` drops the capabilities that are left here.
    """
    net = spec.net == "host"
    temporary = ("--perms", "1777", "--size", str(spec.limits.memory // 4), "--tmpfs")
    etc = [f"/etc/{name}" for name in f"{_ETC} {_ETC_NET if net else ''}".split()]
    return [
        *(*_NAMESPACES.split(), *(() if net else ("--unshare-net",)), *_LIFE.split()),
        *(("--unshare-user", "--disable-userns") if userns else _FEW_CAPS.split()),
        *_system(),
        *_make(_FOLDERS.split()),
        *(word for path in etc for word in ("--ro-bind-try", path, path)),
        *(
            word
            for path, fd in files.items()
            for word in ("--perms", "0444", "--ro-bind-data", str(fd), path)
        ),
        *("--proc", "/proc", "--dev", "/dev"),
        *(word for path in ("/dev/shm", "/tmp", HOME) for word in (*temporary, path)),  # noqa: S108
        *_folders(spec, roots),
        # These two are temporary file systems as well, and an ordinary user's own.
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", "/", "--clearenv"),
        *(word for key, value in environ.items() for word in ("--setenv", key, value)),
    ]


def _system() -> list[str]:
    words = []
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    return words


def _folders(spec: ContainerSpec, roots: Iterable[Path]) -> list[str]:
    """The bind mounts, outer folders first, so that an inner one isn't covered by an outer one."""
    system = [Path(name) for name in SYSTEM]
    binds = [("--ro-bind", path) for path in (*roots, *spec.ro) if not lies_in(path, system)]
    binds += [("--bind", path) for path in (*spec.rw, spec.work_dir)]
    ordered = sorted(dict.fromkeys(binds), key=lambda bind: (len(bind[1].parts), bind[0] == "--bind"))
    shown = [*system, *(path for _, path in ordered)]
    above = {str(parent) for path in shown for parent in path.parents if not lies_in(parent, shown)}
    words = [word for how, path in ordered for word in (how, str(path), str(path))]
    socket = ("--ro-bind", str(spec.socket_dir), SOCKET_DIR) if spec.socket_dir else ()
    return [*_make(sorted(above - {"/"})), *words, *socket]


def _make(folders: Iterable[str]) -> list[str]:
    """Make folders for mount points beforehand: those bubblewrap makes on its own may be closed to all but root."""
    return [word for folder in folders for word in ("--perms", "0755", "--dir", folder)]
