"""What a hostile agent, a hostile node and a clumsy operator tried against a run, and no longer can."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.drill

FLOOD = "import os\nwhile True: os.write(1, b'x' * 4096)"
# Makes whatever it shares with the guard refuse to block, and fills it.
REFUSE = """
import fcntl, os, time
fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_NONBLOCK)
while True:
    try:
        os.write(1, b"x" * 65536)
    except BlockingIOError:
        time.sleep(0.01)
"""


@pytest.fixture
def start(drill: Any) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts a guarded run of Python code; its streams are the test's affair."""
    runs: list[subprocess.Popen[bytes]] = []

    def run(code: str, *options: object, **streams: Any) -> "subprocess.Popen[bytes]":
        agent = (sys.executable, "-I", "-S", "-c", code)
        command = ("run", "indexer", "--account", "operator", *options, "--", *agent)
        words = [sys.executable, "-m", "agent_guard", *map(str, command)]
        runs.append(subprocess.Popen(words, cwd=drill.folder, env=drill.cli.environ, **streams))
        return runs[-1]

    yield run
    for process in runs:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def kinds(town: Any) -> list[str]:
    return [row["kind"] for row in town.cli.ask("log", "list", "indexer", "--last", "1000")["rows"]]


def started(town: Any) -> bool:
    """Whether the guard has recorded a start."""
    said = town.cli("log", "list", "indexer", "--json", expect=None)
    return said.code == 0 and "start" in [row["kind"] for row in said.json["rows"]]


# ------------------------------------------------------------------------------------------- the guard's own streams


@pytest.mark.parametrize("code", [FLOOD, REFUSE], ids=["fills it", "makes it refuse"])
def test_output_that_nobody_reads_delays_neither_the_death_receipt_nor_the_end(drill, start, until, code):
    read, write = os.pipe()
    run = start(code, "--json", stdout=write)
    os.close(write)
    until("the start", lambda: started(drill))
    time.sleep(1)

    drill.vote("halt", "indexer", "signer1", "signer2")

    assert run.wait(20) == 8
    os.close(read)
    assert kinds(drill)[-2:] == ["halt", "death"]
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"


def test_ctrl_c_is_carried_out_though_nobody_reads_the_output(drill, start, until):
    read, write = os.pipe()
    run = start(FLOOD, "--json", stdout=write)
    os.close(write)
    until("the start", lambda: started(drill))
    time.sleep(1)

    run.send_signal(signal.SIGINT)

    assert run.wait(20) == 130
    os.close(read)
    assert kinds(drill)[-1] == "death"


def test_reader_that_goes_away_changes_nothing(drill, start):
    run = start("import time; time.sleep(60)", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.readline()
    run.stdout.close()

    drill.vote("halt", "indexer", "signer1", "signer2")

    assert run.wait(20) == 8
    assert run.stderr.read() == b""
    assert kinds(drill)[-1] == "death"


def test_agent_can_not_speak_as_the_guard(drill, guard, start):
    forged = json.dumps({"event": "dead", "survivors": 0})
    run = guard(drill, f"print({forged!r})")

    assert run.code() == 0
    assert run.events() == ["started", "said", "exited"]
    assert run.told[1] == {"event": "said", "stream": "stdout", "line": forged}

    plain = start("print('exited with code 0\\x1b[2J\\rdead: 1')", stdout=subprocess.PIPE)
    lines = plain.communicate(timeout=30)[0].decode().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("indexer| exited with code 0")
    assert "\x1b" not in lines[1]


def test_agent_on_a_terminal_reads_no_key_and_can_not_switch_off_ctrl_c(drill, start, until):
    ours, theirs = pty.openpty()
    code = """
import os, termios, time
for stream in (0, 1, 2):
    try:
        mode = termios.tcgetattr(stream)
        mode[3] &= ~(termios.ISIG | termios.ICANON)
        termios.tcsetattr(stream, termios.TCSANOW, mode)
        open("took", "w").write("the terminal")
    except termios.error:
        pass
open("tried", "w")
time.sleep(60)
"""

    def terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    run = start(code, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=terminal)
    work = drill.folder / "home/devnet/agents/indexer/work"
    until("its attempt", (work / "tried").exists)

    os.write(ours, b"\x03")

    assert run.wait(20) == 130
    assert not (work / "took").exists()
    os.close(ours)
    os.close(theirs)


def test_ctrl_z_does_not_make_the_guard_look_away(drill, guard):
    run = guard(drill)

    run.kill(signal.SIGTSTP)
    time.sleep(0.2)
    drill.vote("halt", "indexer", "signer1", "signer2")

    assert run.code() == 8
    assert run.alive() == []
