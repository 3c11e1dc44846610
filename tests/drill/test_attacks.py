"""What a hostile agent, a hostile node and a clumsy operator tried against a run, and no longer can."""

import fcntl
import http.server
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.drill

HASTY = {
    "AGENT_GUARD_RPC_TIMEOUT": "1",
    "AGENT_GUARD_POLL": "0.2",
    "AGENT_GUARD_MAX_BLOCK_AGE": "3",
    "AGENT_GUARD_UNKNOWN_GRACE": "1",
}
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

    assert run.wait(60) == 8
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

    assert run.wait(60) == 130
    os.close(read)
    assert kinds(drill)[-1] == "death"


def test_reader_that_goes_away_changes_nothing(drill, start):
    run = start("import time; time.sleep(60)", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.readline()
    run.stdout.close()

    drill.vote("halt", "indexer", "signer1", "signer2")

    assert run.wait(60) == 8
    assert run.stderr.read() == b""
    assert kinds(drill)[-1] == "death"


def test_agent_can_not_speak_as_the_guard(drill, guard, start):
    forged = json.dumps({"event": "dead", "survivors": 0})
    run = guard(drill, f"print({forged!r})")

    assert run.code() == 0
    assert run.events() == ["started", "said", "exited"]
    told = {"event": "said", "agent": "indexer", "stream": "stdout", "line": forged}
    assert run.told[1] == told

    plain = start("print('exited with code 0\\x1b[2J\\rdead: 1')", stdout=subprocess.PIPE)
    lines = plain.communicate(timeout=120)[0].decode().splitlines()
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

    assert run.wait(60) == 130
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


# ------------------------------------------------------------------------------------------------------ hostile nodes


class Node:
    """A node in front of the real one, until it turns."""

    def __init__(self, url: str) -> None:
        self.turned: Callable[[Any], None] | None = None
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if node.turned is not None:
                    node.turned(self)
                    return
                import requests

                answer = requests.post(
                    url, body, headers={"content-type": "application/json"}, timeout=5
                ).content
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A guard that hangs up is what is wanted."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def node(drill: Any) -> Iterator[Node]:
    made = Node(drill.anvil.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


def endless_brackets(handler: Any) -> None:
    body = b"[" * 300_000
    handler.send_response(200)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def byte_by_byte(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000000")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.2)


def headers_byte_by_byte(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.2)


def without_end(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(1 << 50))
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * (1 << 20))


def elsewhere(handler: Any) -> None:
    handler.send_response(307)
    handler.send_header("location", "http://127.0.0.1:1/")
    handler.send_header("content-length", "0")
    handler.end_headers()


@pytest.mark.parametrize(
    "turn", [endless_brackets, byte_by_byte, headers_byte_by_byte, without_end, elsewhere]
)
def test_node_that_turns_hostile_freezes_kills_and_keeps_no_death_from_the_log(drill, guard, node, turn):
    run = guard(
        drill, "resist(); beat()", "--rpc-url", node.url, AGENT_GUARD_WS_URL="ws://127.0.0.1:1", **HASTY
    )

    node.turned = turn
    run.event("frozen")
    memory = resident(run.process.pid)
    dead = run.event("dead")

    assert "no fresh word" in dead["reason"]
    assert run.alive() == []
    assert kinds(drill)[-2:] == ["halt", "death"]
    assert memory < 300
    # Nothing more can be anchored now: who does not want to wait for that says so.
    run.kill(signal.SIGINT)
    assert run.code() == 8


def resident(pid: int) -> int:
    """Resident memory in MiB."""
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


# --------------------------------------------------------------------------------------------------- clumsy operators


def test_key_and_password_named_by_flags_are_never_shown(drill):
    secret = drill.folder / "secret"
    secret.mkdir()
    shutil.copy(drill.keys.folder / "operator", secret / "key.json")
    shutil.copy(drill.keys.password_file, secret / "password")
    for shown in (secret, secret / "key.json", secret / "password"):
        flags = ("--keystore", secret / "key.json", "--password-file", secret / "password", "--ro", shown)

        error = json.loads(drill.cli("run", "indexer", *flags, "--json", "--", "true", expect=2).stdout)

        assert error["error"]["code"] == "AG404"


@pytest.mark.parametrize("folder", [".", "deployments", "deployments/other", "agent_guard.toml"])
def test_settings_and_deployment_records_are_never_writable(drill, folder):
    project = drill.folder / "project"
    (project / "deployments/other").mkdir(parents=True)
    (project / "agent_guard.toml").touch()
    settings = {"AGENT_GUARD_CONFIG": str(project / "agent_guard.toml")}
    shutil.copytree(drill.folder / "deployments/devnet", project / "deployments/devnet")
    shutil.rmtree(project / "deployments/devnet/keystores")
    (project / "deployments/devnet/password").unlink()
    settings["AGENT_GUARD_DEPLOYMENTS"] = str(project / "deployments")
    command = ("run", "indexer", "--account", "operator", "--json")

    refused = drill.cli(*command, "--rw", project / folder, "--", "true", expect=2, **settings)

    assert '"AG404"' in refused.stdout
    assert drill.cli(*command, "--ro", project / folder, "--", "true", **settings).code == 0


def test_home_that_others_share_keeps_its_mode_and_what_the_guard_makes_is_closed(drill):
    shared = drill.folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)

    drill.cli("run", "indexer", "--account", "operator", "--", "true", AGENT_GUARD_HOME=str(shared))

    assert shared.stat().st_mode & 0o7777 == 0o1777
    assert (shared / "devnet").stat().st_mode & 0o7777 == 0o700


def test_home_in_which_another_user_stands_already_is_refused(drill):
    shared = drill.folder / "shared"
    (shared / "devnet").mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("only root can make another user's folder")
    os.chown(shared / "devnet", 12345, 12345)

    command = ("run", "indexer", "--account", "operator", "--", "true")
    error = drill.cli.fails("AG104", 1, *command, AGENT_GUARD_HOME=str(shared))

    assert "another user" in error["message"]


def test_log_that_does_not_go_on_from_its_head_on_chain_starts_nothing(drill, guard):
    assert guard(drill, "sys.exit(0)").code() == 0

    # A new machine, a lost home: the same key, an empty log.
    command = ("run", "indexer", "--account", "operator", "--", "true")
    error = drill.cli.fails("AG530", 5, *command, AGENT_GUARD_HOME=str(drill.folder / "elsewhere"))

    assert "not a prefix of this log of 0 entries" in error["message"]
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"


# --------------------------------------------------------------------------------------------------- floods

FLOOD_OF_BODIES = """
import os, socket, threading, time
body = b'{"tool": "x", "arguments": {"a": [' + b"[1]," * 200_000 + b"]}"
head = b"POST /v1/actions HTTP/1.1\\r\\nhost: g\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n"
def work():
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(os.environ["AGENT_GUARD_SOCKET"])
                connection.sendall(head % len(body) + body)
                connection.recv(65536)
        except OSError:
            time.sleep(0.001)
for _ in range(40):
    threading.Thread(target=work, daemon=True).start()
beat()
"""


def test_flood_of_large_bodies_delays_no_kill_for_long(drill, guard):
    run = guard(drill, FLOOD_OF_BODIES)
    time.sleep(3)

    voted = time.time_ns() // 1_000_000
    drill.vote("halt", "indexer", "signer1", "signer2")
    dead = run.event("dead")["stages_ms"]["dead"]

    # Without a flood it takes 50 ms here, with it about 700; on a machine that has much else to do, some seconds.
    assert dead - voted < 20_000
    assert run.alive() == []
    assert run.code() == 8
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"
