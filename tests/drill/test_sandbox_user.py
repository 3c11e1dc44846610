"""The same sandbox for an ordinary user: root runs the package's code under a user of no account."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agent_guard
from agent_guard.sandbox.cgroup import Cgroup
from agent_guard.sandbox.mode import choose_mode

_PYTHON = "/usr/bin/python3"
_UID = 65533

_SUPPORTED = "import sys; sys.exit(sys.version_info < (3, 11))"
pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's run is this already: the other drills"),
    pytest.mark.skipif(
        not Path(_PYTHON).exists()
        or subprocess.run([_PYTHON, "-c", _SUPPORTED], check=False).returncode != 0,
        reason="no system Python 3.11 that an ordinary user may run",
    ),
]

_PRELUDE = """
import dataclasses, json, os, sys, time
from pathlib import Path
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import choose_mode
from agent_guard.sandbox.probe import probe
from agent_guard.sandbox.view import ContainerSpec, Limits
def start(code):
    return launch(ContainerSpec((sys.executable, "-I", "-c", code), Path.cwd()), choose_mode())
"""

# The init of an ordinary user's container has the agent's own user: stop it, let it call prctl(PR_SET_PDEATHSIG, 0),
# and let it go on. x86_64 registers, as in <sys/user.h>.
_CLEAR_INITS_DEATH_SIGNAL = """
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
names = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fsb gsb ds es fs gs"
class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in names.split()]
old = Registers()
if libc.ptrace(16, 1, None, None) == 0:
    os.waitpid(1, 0x40000000)
    libc.ptrace(12, 1, None, ctypes.addressof(old))
    new = Registers.from_buffer_copy(old)
    new.rip, new.rax, new.orig_rax, new.rdi, new.rsi = old.rip - 2, 157, 2**64 - 1, 1, 0
    libc.ptrace(13, 1, None, ctypes.addressof(new))
    libc.ptrace(9, 1, None, None)
    os.waitpid(1, 0x40000000)
    old.rip, old.rax = old.rip - 2, 61
    libc.ptrace(13, 1, None, ctypes.addressof(old))
    libc.ptrace(17, 1, None, None)
os.write(2, b"tried")
time.sleep(600)  # longer than any test may take
"""


@pytest.fixture
def user_folder() -> Iterator[Path]:
    """A folder of the user's, with a copy of the package that he may read."""
    folder = Path(tempfile.mkdtemp(prefix="agent-guard-user-"))
    package, copy = Path(agent_guard.__file__).parent, folder / "code/agent_guard"
    copy.mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(package / name, copy)
    shutil.copytree(package / "sandbox", copy / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    work = folder / "work"
    work.mkdir()
    os.chown(work, _UID, _UID)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def user_process(
    folder: Path, code: str, leaf: Cgroup | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    command = [
        "setpriv",
        f"--reuid={_UID}",
        f"--regid={_UID}",
        "--clear-groups",
        _PYTHON,
        "-c",
        _PRELUDE + code,
    ]
    if leaf is not None:
        command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(leaf.procs), *command]
    environ = {"PATH": os.defpath, "HOME": str(folder / "home"), "PYTHONPATH": str(folder / "code")}
    environ["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.Popen(command, env=environ, cwd=folder / "work", **options)


def user_answer(folder: Path, code: str, leaf: Cgroup | None = None) -> Any:
    process = user_process(folder, code, leaf, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return json.loads(out)


_PROBE = """
choice = choose_mode()
result = dataclasses.asdict(probe(choice))
print(json.dumps({**result, "mode": choice.mode.value}))
"""


def test_user_without_a_cgroup_gets_the_pid_namespace_and_it_holds(user_folder: Path) -> None:
    answer = user_answer(user_folder, _PROBE)
    assert answer["mode"] == "pidns"
    assert "cgroup" in answer["why"]
    assert answer["survivors"] == 0


def test_user_with_a_delegated_cgroup_gets_it(user_folder: Path) -> None:
    choice = choose_mode()
    if choice.parent is None:
        pytest.skip(choice.why)
    leaf = Cgroup.create(choice.parent, f"agent-guard.{os.getpid()}.0.delegated")
    for path in (leaf.path, leaf.procs):
        os.chown(path, _UID, _UID)
    try:
        answer = user_answer(user_folder, _PROBE, leaf)
        assert answer["mode"] == "cgroup+pidns"
        assert answer["survivors"] == 0
    finally:
        leaf.kill()
        assert leaf.wait_empty(60)
        assert leaf.remove()


def test_users_agent_has_no_rights_and_no_further_namespaces(user_folder: Path) -> None:
    code = """
agent = '''
import os
from pathlib import Path
text = Path("/proc/self/status").read_text() + os.popen("unshare -Ur true 2>&1; echo $?").read()
Path("answer").write_text(text + str(Path("/sys").exists()) + Path("/proc/1/environ").read_text())
'''
assert start(agent).wait(60) == 0
print(json.dumps(Path("answer").read_text()))
"""
    answer = user_answer(user_folder, code)
    assert "CapEff:\t0000000000000000" in answer
    assert "CapBnd:\t0000000000000000" in answer
    assert "NoNewPrivs:\t1" in answer
    assert "unshare failed" in answer
    assert "False" in answer
    assert str(user_folder / "code") not in answer  # the guard's PYTHONPATH, in the environment of the init


def test_users_agent_gets_no_more_processes_than_its_limit_however_many_the_user_has(
    user_folder: Path,
) -> None:
    code = """
agent = '''
import os, time
count = 0
try:
    while count < 100:
        if not os.fork():
            time.sleep(5)
            os._exit(0)
        count += 1
except OSError:
    pass
open("answer", "w").write(str(count))
'''
argv = (sys.executable, "-I", "-S", "-c", agent)
others = [os.fork() or time.sleep(60) or os._exit(0) for _ in range(20)]
container = launch(ContainerSpec(argv, Path.cwd(), limits=Limits(pids=30)), choose_mode())
container.wait(60)
for pid in others:
    os.kill(pid, 9)
print(json.dumps(int(Path("answer").read_text())))
"""
    assert 20 < user_answer(user_folder, code) < 30


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the attack is written for x86_64")
def test_users_killed_guard_takes_an_agent_with_it_that_reached_into_its_init(user_folder: Path) -> None:
    pipe, write_end = os.pipe()
    code = f"start({_CLEAR_INITS_DEATH_SIGNAL!r})\ntime.sleep(600)"
    guard = user_process(user_folder, code, stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert guard.stderr is not None
    assert guard.stderr.read(5) == b"tried"
    guard.kill()
    guard.wait()
    guard.stderr.close()
    os.set_blocking(pipe, True)
    assert os.read(pipe, 1) == b""
    os.close(pipe)
