"""What an agent in a real container can see, reach and become."""

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import agent_guard
from agent_guard.errors import GuardError
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import Choice, choose_mode
from agent_guard.sandbox.view import ContainerSpec

pytestmark = pytest.mark.drill

_REPORT = """
import json, os, socket, sys
from pathlib import Path
def attempt(action):
    try:
        result = action()
        return result if isinstance(result, (int, str, list, type(None))) else "done"
    except BaseException as error:
        return type(error).__name__
def visible(path):
    return Path(path).exists()
"""


@pytest.fixture
def choice() -> Choice:
    return choose_mode()


def ask(choice: Choice, folder: Path, code: str, **fields: Any) -> Any:
    """Run code in a container; what it leaves in `answer`."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    script = f"{_REPORT}\n{code}\nPath('answer').write_text(json.dumps(answer))"
    container = launch(ContainerSpec((sys.executable, "-c", script), work, **fields), choice)
    try:
        assert container.wait(60) == 0
    finally:
        container.close()
    return json.loads((work / "answer").read_text())


def test_agent_has_no_capabilities_and_is_not_root(choice: Choice, tmp_path: Path) -> None:
    answer = ask(
        choice,
        tmp_path,
        "answer = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())",
        uid=61234,
    )
    assert {int(answer[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert answer["NoNewPrivs"].strip() == "1"
    expected = 61234 if os.geteuid() == 0 else os.getuid()
    assert set(answer["Uid"].split()) == {str(expected)}
    assert set(answer["Gid"].split()) == {str(expected if os.geteuid() == 0 else os.getgid())}
    assert answer["Groups"].split() in ([], [str(os.getgid())])


def test_agent_sees_nothing_of_the_guard_nor_of_the_host(choice: Choice, tmp_path: Path) -> None:
    home = tmp_path / "guard-home"
    (home / "keys").mkdir(parents=True)
    (home / "keys/operator").write_text("secret")
    paths = [
        str(home),
        str(home / "keys/operator"),
        "/sys",
        "/sys/fs/cgroup",
        "/etc/shadow",
        "/etc/ssh",
        "/boot",
        "/var",
    ]
    paths += [str(Path.home() / ".ssh"), str(Path.home() / ".foundry"), "/run/docker.sock", "/run/systemd"]
    answer = ask(choice, tmp_path, f"answer = [path for path in {paths} if visible(path)]", private=(home,))
    assert answer == []


def test_agent_finds_no_cgroup_file_system_and_cannot_leave_its_cgroup(
    choice: Choice, tmp_path: Path
) -> None:
    answer = ask(
        choice,
        tmp_path,
        """
import ctypes
mounts = Path('/proc/self/mountinfo').read_text()
mounted = ctypes.CDLL(None).mount(b'cgroup2', b'/tmp', b'cgroup2', 0, None)
found = [str(path) for path in Path('/').glob('*/fs/cgroup/**/cgroup.procs')]
own = Path('/proc/self/cgroup').read_text()
answer = [' - cgroup' in mounts, mounted, found, '0::/\\n' in own or '0::' not in own]
""",
    )
    assert answer == [False, -1, [], True]


def test_agent_writes_only_where_it_may(choice: Choice, tmp_path: Path) -> None:
    extra, look = tmp_path / "extra", tmp_path / "look"
    extra.mkdir(mode=0o777)
    extra.chmod(0o777)
    look.mkdir(mode=0o777)
    look.chmod(0o777)
    package = Path(agent_guard.__file__).parent
    bad = [
        str(look),
        str(package),
        "/usr",
        "/etc",
        "/etc/passwd",
        "/run/agent-guard",
        sys.prefix,
        "/proc/sys/kernel/hostname",
        "/",
    ]
    good = ["/tmp", "/home/agent", "/dev/shm", str(extra), "."]
    code = f"""
def write(path):
    path = Path(path)
    (path / 'new' if path.is_dir() else path).write_text('x')
answer = [[attempt(lambda: write(p)) for p in {bad}], [attempt(lambda: write(p)) for p in {good}]]
"""
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    bad_result, good_result = ask(choice, tmp_path, code, rw=(extra,), ro=(look,), socket_dir=sockets)
    assert set(bad_result) <= {"OSError", "PermissionError"}
    assert good_result == [None] * len(good)
    assert (extra / "new").exists()
    assert not (look / "new").exists()


def test_agent_environment_holds_only_what_it_was_given(
    choice: Choice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR_SECRET", "hush-hush")
    code = """
seen = [attempt(lambda: path.read_bytes().decode(errors='replace')) for path in Path('/proc').glob('*/environ')]
seen += [attempt(lambda: path.read_bytes().decode(errors='replace')) for path in Path('/proc').glob('*/cmdline')]
answer = [dict(os.environ), [('hu' + 'sh') in text for text in seen]]
"""
    environ, leaks = ask(choice, tmp_path, code, env={"TOKEN": "given"}, socket_dir=tmp_path)
    assert environ["TOKEN"] == "given"
    assert environ["HOME"] == "/home/agent"
    assert environ["AGENT_GUARD_SOCKET"] == "/run/agent-guard/guard.sock"
    assert "OPERATOR_SECRET" not in environ
    assert set(environ) <= {
        *[
            "TOKEN",
            "HOME",
            "PATH",
            "USER",
            "LOGNAME",
            "LANG",
            "LC_CTYPE",
            "AGENT_GUARD_SOCKET",
            "PWD",
            "OLDPWD",
        ]
    }
    assert leaks
    assert not any(leaks)


def test_given_environment_is_not_shown_to_the_host(choice: Choice, tmp_path: Path) -> None:
    spec = ContainerSpec(("/bin/sleep", "30"), tmp_path, env={"TOKEN": "given-in-private"})
    container = launch(spec, choice)
    try:
        lines = [Path(f"/proc/{process.pid}/cmdline").read_bytes() for process in container.processes()]
        assert len(lines) >= 2
        assert not any(b"given-in-private" in line for line in lines)
    finally:
        container.close()


@pytest.mark.parametrize("net", ["none", "host"])
def test_network_is_off_unless_asked_for(net: str, choice: Choice, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"answer = attempt(lambda: socket.create_connection(('127.0.0.1', {port}), 1).close())"
        answer = ask(choice, tmp_path, code, net=net)
    assert answer == ("ConnectionRefusedError" if net == "none" else None)


def test_agent_reaches_the_guard_through_its_socket_and_cannot_replace_it(
    choice: Choice, tmp_path: Path, socket_folder: Path
) -> None:
    socket_folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_folder / "guard.sock"))
        (socket_folder / "guard.sock").chmod(0o666)
        server.listen()
        thread = threading.Thread(target=lambda: server.accept()[0].sendall(b"hello"))
        thread.start()
        code = """
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ['AGENT_GUARD_SOCKET'])
answer = [client.recv(9).decode(), attempt(lambda: os.unlink(os.environ['AGENT_GUARD_SOCKET']))]
"""
        answer = ask(choice, tmp_path, code, socket_dir=socket_folder)
        thread.join()
    assert answer[0] == "hello"
    assert answer[1] in ("OSError", "PermissionError")


def test_agent_sees_only_its_own_processes(choice: Choice, tmp_path: Path) -> None:
    pids = "[name for name in os.listdir('/proc') if name.isdigit()]"
    code = f"answer = [{pids}, attempt(lambda: os.kill({os.getpid()}, 0))]"
    processes, signalled = ask(choice, tmp_path, code)
    assert len(processes) <= 3
    assert signalled == "ProcessLookupError"


def test_agent_imports_the_sdk_package(choice: Choice, tmp_path: Path) -> None:
    package = Path(agent_guard.__file__).parent
    code = f"sys.path.insert(0, {str(package.parent)!r}); import agent_guard.errors as e; answer = e.__file__"
    assert ask(choice, tmp_path, code) == str(package / "errors.py")


@pytest.mark.parametrize(("code", "expected"), [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143)])
def test_exit_code_is_the_agents_own(code: str, expected: int, choice: Choice, tmp_path: Path) -> None:
    container = launch(ContainerSpec(("sh", "-c", code), tmp_path), choice)
    assert container.wait(60) == expected


def test_standard_input_is_empty(choice: Choice, tmp_path: Path) -> None:
    container = launch(ContainerSpec(("sh", "-c", "read x && exit 1; exit 9"), tmp_path), choice)
    assert container.wait(60) == 9


def test_refused_folder_starts_nothing(choice: Choice, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(GuardError) as error:
        launch(ContainerSpec(("/bin/true",), tmp_path / "home", rw=(tmp_path,), private=(home,)), choice)
    assert error.value.code == "AG404"
    if choice.parent is not None:
        assert not list(choice.parent.glob(f"agent-guard.{os.getpid()}.*"))


def test_unknown_command_is_named(choice: Choice, tmp_path: Path) -> None:
    with pytest.raises(GuardError) as error:
        launch(ContainerSpec(("no-such-command",), tmp_path), choice)
    assert error.value.code == "AG405"
    assert "no-such-command" in error.value.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_work_folder_becomes_the_agents_and_its_content_does_not(choice: Choice, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mine").write_text("x")
    ask(choice, tmp_path, "answer = 0", uid=61200)
    assert (tmp_path / "work").stat().st_uid == 61200
    assert (tmp_path / "work/mine").stat().st_uid == 0
