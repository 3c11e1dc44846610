"""The command line of bubblewrap."""

from pathlib import Path

import pytest

from agent_guard.sandbox.bubblewrap import environment, generated_files, limited, options, unprivileged
from agent_guard.sandbox.view import ContainerSpec, Limits

pytestmark = pytest.mark.unit

WORK = Path("/srv/work")


def build(spec: ContainerSpec, userns: bool = False, roots: tuple[Path, ...] = ()) -> list[str]:
    return options(spec, roots, {"A": "1"}, {"/etc/passwd": 9}, userns)


def pairs(words: list[str], option: str) -> list[tuple[str, str]]:
    return [(words[i + 1], words[i + 2]) for i, word in enumerate(words) if word == option]


@pytest.mark.parametrize("userns", [True, False])
def test_every_container_is_cut_off_and_dies_with_its_parent(userns: bool) -> None:
    words = build(ContainerSpec(("x",), WORK), userns)
    needed = "--unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup --unshare-net --die-with-parent --new-session"
    assert set(needed.split()) <= set(words)
    assert words[words.index("--clearenv") :] == ["--clearenv", "--setenv", "A", "1"]


def test_root_keeps_what_changing_the_user_needs_and_a_user_gets_a_namespace() -> None:
    as_root, as_user = build(ContainerSpec(("x",), WORK)), build(ContainerSpec(("x",), WORK), userns=True)
    kept = [as_root[i + 1] for i, word in enumerate(as_root) if word == "--cap-add"]
    assert kept == ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]
    assert as_root[as_root.index("--cap-drop") + 1] == "ALL"
    assert "--unshare-user" not in as_root
    assert {"--unshare-user", "--disable-userns"} <= set(as_user)
    assert "--cap-add" not in as_user


def test_network_of_the_host_is_opened_only_when_asked_for() -> None:
    closed, opened = build(ContainerSpec(("x",), WORK)), build(ContainerSpec(("x",), WORK, net="host"))
    assert "--unshare-net" in closed
    assert "--unshare-net" not in opened
    assert "/etc/resolv.conf" not in closed
    assert "/etc/resolv.conf" in opened
    assert "/etc/hosts" in generated_files(ContainerSpec(("x",), WORK), 1, 1)
    assert "/etc/hosts" not in generated_files(ContainerSpec(("x",), WORK, net="host"), 1, 1)


@pytest.mark.parametrize(
    "secret", ["/etc", "/etc/shadow", "/etc/ssh", "/etc/ssl/private", "/sys", "/var", "/root", "/"]
)
def test_nothing_secret_is_mounted(secret: str) -> None:
    words = build(ContainerSpec(("x",), WORK, net="host"))
    binds = pairs(words, "--bind") + pairs(words, "--ro-bind") + pairs(words, "--ro-bind-try")
    assert secret not in [source for source, _ in binds]


def test_only_work_and_rw_folders_are_writable_and_inner_folders_come_later() -> None:
    spec = ContainerSpec(("x",), WORK, rw=(Path("/srv/work/ro/rw"),), ro=(Path("/srv/work/ro"), Path("/srv")))
    words = build(spec, roots=(Path("/opt/python"), Path("/usr/lib/x")))
    assert [source for source, _ in pairs(words, "--bind")] == ["/srv/work", "/srv/work/ro/rw"]
    order = [words.index(path) for path in ("/opt/python", "/srv/work", "/srv/work/ro", "/srv/work/ro/rw")]
    assert order == sorted(order)
    assert "/usr/lib/x" not in words
    assert words.index("/tmp") < order[0]


def test_socket_folder_is_read_only_and_named_in_the_environment() -> None:
    spec = ContainerSpec(
        ("x",), WORK, socket_dir=Path("/srv/s"), env={"AGENT_GUARD_SOCKET": "mine", "HOME": "/h"}
    )
    assert ("/srv/s", "/run/agent-guard") in pairs(build(spec), "--ro-bind")
    environ = environment(spec, Path("/opt/v/bin/python"))
    assert environ["AGENT_GUARD_SOCKET"] == "/run/agent-guard/guard.sock"
    assert environ["HOME"] == "/h"
    assert environ["PATH"].split(":")[0] == "/opt/v/bin"
    assert "AGENT_GUARD_SOCKET" not in environment(ContainerSpec(("x",), WORK), Path("/bin/x"))


def test_user_is_dropped_with_every_capability() -> None:
    words = unprivileged(61200, ["agent", "--reuid=0"])
    assert words[-3:] == ["--", "agent", "--reuid=0"]
    assert {"--reuid=61200", "--regid=61200", "--clear-groups", "--no-new-privs"} <= set(words)
    assert {"--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"} <= set(words)


def test_temporary_file_systems_have_a_size_and_what_holds_them_is_read_only() -> None:
    words = build(ContainerSpec(("x",), WORK, limits=Limits(memory=400)))
    for path in ("/tmp", "/dev/shm", "/home/agent"):
        at = words.index(path)
        assert words[at - 3 : at] == ["--size", "100", "--tmpfs"]
    assert [words[i + 1] for i, word in enumerate(words) if word == "--remount-ro"] == ["/dev", "/"]


def test_command_under_limits_stands_behind_them_and_without_any_alone() -> None:
    words = limited(["--nproc=7"], ["agent", "--nproc=9"])
    assert words == ["/usr/bin/prlimit", "--nproc=7", "--", "agent", "--nproc=9"]
    assert limited([], ["agent"]) == ["agent"]
