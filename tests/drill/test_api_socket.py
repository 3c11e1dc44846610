"""The agent's API on a real Unix socket: curl and the SDK use it, hostile clients attack it, and it goes on."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_guard.api import ConnectionLimits, Server, bind_socket, serve
from agent_guard.errors import GuardError
from agent_guard.gate import Gate, History, Limits
from agent_guard.log.recorder import Recorder
from agent_guard.sdk import Denied, Guard, Halted, Stopping, Unreachable
from agent_guard.store import Reader, SqliteStore
from agent_guard.types import Block, Decision, LogIdentity, Standing, Verdict

pytestmark = pytest.mark.drill

BLOCK = Block(7, b"\x07" * 32, 1_700_000_000)
LIMITS = ConnectionLimits(most=32, seconds=2.0, idle_seconds=1.0, backlog=16)
GOOD = b'{"tool":"fs.write","arguments":{"path":"a"}}'
HEAD = b"POST /v1/actions HTTP/1.1\r\nhost: guard\r\ncontent-type: application/json\r\n"


@dataclass
class Door:
    """A served gate over a real log, with the verdict and the announced stop that the test sets."""

    path: Path
    server: Server
    reader: Reader
    decision: Decision = Decision.RUN
    stopping: bool = False

    def kinds(self) -> list[str]:
        return [row.kind for row in self.reader.rows()]

    def refused(self) -> list[Any]:
        return [
            json.loads(row.content.body)
            for row in self.reader.rows()
            if row.kind == "refused" and row.content
        ]

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.path))  # before the time-out is set: waits while the backlog is full
        client.settimeout(10)
        return client

    def send(self, data: bytes) -> bytes:
        """Sends bytes, and gives all that comes until the server closes."""
        with self.connect() as client:
            with suppress(
                BrokenPipeError
            ):  # closed while we were still sending; the answer is there to be read
                client.sendall(data)
            return until_closed(client)

    def status(self) -> dict[str, Any]:
        with Guard(self.path) as guard:
            return guard.status()


def until_closed(client: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while piece := client.recv(65_536):
            received += piece
    return received


@pytest.fixture
def door(tmp_path: Path, socket_folder: Path) -> Iterator[Door]:
    with ExitStack() as stack:
        store = stack.enter_context(
            SqliteStore(tmp_path / "log.db", LogIdentity(1, "0x" + "Aa" * 20, "0x" + "Bb" * 20))
        )
        recorder = Recorder(store, lambda: BLOCK)
        stack.callback(recorder.close)
        readers = [stack.enter_context(store.reader()) for _ in range(2)]

        def standing() -> Standing:
            verdict = Verdict(opened.decision, "the test says so", opened.stopping)
            return Standing("alice", verdict, BLOCK, None)

        gate = Gate("alice", standing, recorder, lambda: (0, 0.0), History("alice", readers[0]), Limits())
        path = socket_folder / "guard.sock"
        opened = Door(path, serve(gate, path, LIMITS), readers[1])
        stack.callback(opened.server.stop)
        yield opened


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def lets_in(door: Door) -> bool:
    """Whether it has noticed that others have left."""
    try:
        return door.status()["may_act"] is True
    except Denied as error:
        if error.code != "AG606":
            raise
        return False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def curl(door: Door, path: str, *options: str) -> tuple[int, Any]:
    command = ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "--unix-socket", str(door.path)]
    output = subprocess.run(
        [*command, *options, f"http://guard{path}"], capture_output=True, text=True, check=True
    )
    body, _, status = output.stdout.rpartition("\n")
    return int(status), json.loads(body)


# -- honest clients -------------------------------------------------------------------------------------------------


def test_curl_asks_reports_and_reads(door):
    status, answer = curl(door, "/v1/actions", "--json", GOOD.decode())
    assert (status, answer["decision"]) == (200, "allow")
    seq = answer["seq"]

    assert curl(door, f"/v1/actions/{seq}/outcome", "--json", '{"status":"ok","result":1}')[0] == 200
    status, shown = curl(door, f"/v1/actions/{seq}")
    assert (status, shown["tool"], shown["closed_by"]) == (200, "fs.write", seq + 1)
    assert curl(door, "/v1/status")[1]["may_act"] is True
    assert door.kinds() == ["intent", "outcome"]


def test_curl_is_told_why_and_what_to_do(door):
    door.decision = Decision.HALT

    status, answer = curl(door, "/v1/actions", "--json", GOOD.decode())

    assert (status, answer["error"]["code"]) == (423, "AG602")
    assert curl(door, "/v1/actions", "-d", GOOD.decode())[0] == 415
    assert [content["code"] for content in door.refused()] == ["AG602", "AG609"]


def test_curl_sends_what_is_too_large_with_and_without_a_length(door, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(b" " * (2 << 20))

    for extra in ([], ["-H", "transfer-encoding: chunked"]):
        status, answer = curl(door, "/v1/actions", "--json", f"@{large}", *extra)
        assert (status, answer["error"]["code"]) == (413, "AG607")


def test_the_sdk_acts_while_it_may_and_stops_when_halted(door):
    with Guard(door.path) as guard:

        @guard.tool
        def write(path: str) -> int:
            return len(path)

        assert write("abc") == 3
        door.decision = Decision.FREEZE
        with pytest.raises(Denied, match="AG603"):
            write("abc")
        door.decision = Decision.HALT
        with pytest.raises(Halted):
            write("abc")

    assert door.kinds() == ["intent", "outcome", "refused", "refused"]


def test_the_sdk_in_a_process_of_its_own_finds_the_guard_by_the_variable(door):
    code = (
        "from agent_guard.sdk import Guard\n"
        "with Guard().action('fs.write', path='a') as action: action.result = 1\n"
        "print(action.seq)"
    )
    environment = os.environ | {"AGENT_GUARD_SOCKET": str(door.path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout == "0\n"
    assert door.kinds() == ["intent", "outcome"]


def test_the_sdk_is_used_by_many_threads_at_once(door):
    guard = Guard(door.path)

    def act() -> None:
        for n in range(20):
            with guard.action("fs.write", n=n):
                pass

    threads = [threading.Thread(target=act) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    guard.close()

    assert sorted(door.kinds()) == ["intent"] * 160 + ["outcome"] * 160


def test_a_forked_agent_and_its_parent_do_not_read_each_others_answers(door):
    code = """
import os
from agent_guard.sdk import Guard
guard = Guard()
with guard.action("parent.warm"): pass
child = os.fork() == 0
for n in range(50):
    with guard.action("child" if child else "parent", n=n) as action:
        assert action.seq is not None
if child: os._exit(0)
assert os.wait()[1] == 0
"""
    environment = os.environ | {"AGENT_GUARD_SOCKET": str(door.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)

    rows = [
        json.loads(row.content.body) for row in door.reader.rows() if row.kind == "intent" and row.content
    ]
    for who in ("parent", "child"):
        assert [row["arguments"]["n"] for row in rows if row["tool"] == who] == list(range(50))


def test_two_requests_on_one_connection_are_both_answered(door):
    request = HEAD + b"content-length: %d\r\n\r\n%s" % (len(GOOD), GOOD)
    last = b"GET /health HTTP/1.1\r\nhost: guard\r\nconnection: close\r\n\r\n"

    received = door.send(request + request + last)

    assert received.count(b"HTTP/1.1 200") == 3
    assert door.kinds() == ["intent", "intent"]


# -- a planned stop -------------------------------------------------------------------------------------------------

TASK = """
import os
from pathlib import Path
from agent_guard.sdk import Guard
guard = Guard()
done = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
with guard.checkpoint("work.json", {"next": 0, "sum": 0}) as state:
    while state["next"] < 500:
        with guard.action("step", number=state["next"]):
            os.write(done, b"%d " % state["next"])
            state["sum"] += state["next"]
            state["next"] += 1
Path("result").write_text(str(state["sum"]))
"""


def test_the_sdk_is_told_of_a_planned_stop_and_the_outcome_of_what_is_under_way_is_taken(door):
    with Guard(door.path) as guard:
        with guard.action("fs.write"):
            door.stopping = True
        with pytest.raises(Stopping, match="AG620"), guard.action("fs.write"):
            raise AssertionError("acted without a yes")

        assert guard.stopping
        assert guard.status()["stopping"] is True
    assert door.kinds() == ["intent", "outcome", "refused"]
    assert door.refused()[0]["code"] == "AG620"


@pytest.mark.parametrize("with_sigterm", [False, True])
def test_an_agent_stopped_and_started_again_until_it_is_done_ends_as_one_that_was_never_stopped(
    door, tmp_path, with_sigterm
):
    def start() -> "subprocess.Popen[bytes]":
        environment = os.environ | {"AGENT_GUARD_SOCKET": str(door.path)}
        return subprocess.Popen([sys.executable, "-c", TASK], cwd=tmp_path, env=environment)

    for _ in range(8):
        enough = door.kinds().count("outcome") + 5
        agent = start()
        until(lambda enough=enough: door.kinds().count("outcome") >= enough)
        door.stopping = True
        if with_sigterm:
            agent.terminate()
        assert agent.wait(60) == 75
        door.stopping = False

    assert start().wait(60) == 0

    assert (tmp_path / "done").read_text().split() == [str(number) for number in range(500)]
    assert (tmp_path / "result").read_text() == str(sum(range(500)))
    assert door.kinds().count("outcome") == 500
    assert not (tmp_path / "work.json").exists()


# -- hostile clients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 4,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"POST /v1/actions HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/actions HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /v1/actions HTTP/1.1\r\nhost: a\r\nbad header\x00: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=[
        "binary",
        "TLS",
        "negative length",
        "two lengths",
        "NUL in a name",
        "header bomb",
        "long path",
    ],
)
def test_what_is_no_http_is_told_so_recorded_and_closed(door, data):
    received = door.send(data)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "AG615"
    until(lambda: [content["code"] for content in door.refused()] == ["AG615"])
    assert door.status()["may_act"] is True


def test_a_broken_chunk_is_told_so_once(door):
    received = door.send(HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n{"too\r\nzz\r\n')

    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"400"]
    assert b"AG615" in received
    assert "intent" not in door.kinds()


def test_an_agent_that_hangs_up_in_its_body_is_recorded(door):
    with door.connect() as client:
        client.sendall(HEAD + b"content-length: 100\r\n\r\n{")

    until(lambda: [content["code"] for content in door.refused()] == ["AG608"])
    assert "the connection ended" in door.refused()[0]["reason"]


def test_a_request_smuggled_behind_a_chunked_body_with_a_length_is_no_second_voice(door):
    smuggled = HEAD + b"content-length: %d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" % len(GOOD)

    received = door.send(smuggled + GOOD + b"\r\n\r\n")

    assert b" 200 " not in received
    assert "intent" not in door.kinds()


def test_chunks_without_end_are_refused_and_the_connection_ends(door):
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    client = door.connect()
    sent = 0
    client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    with pytest.raises(OSError):  # noqa: PT012 - broken pipe, reset, or time-out: the server has hung up
        while sent < 64 << 20:
            client.sendall(chunk)
            sent += len(chunk)
    client.close()

    assert sent < 8 << 20
    until(lambda: [content["code"] for content in door.refused()] == ["AG607"])
    assert door.status()["may_act"] is True


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"POST /v1",
        HEAD,
        HEAD + b"content-length: 100\r\n\r\n{",
        HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{",
    ],
    ids=["silence", "half a line", "half a head", "half a body", "half a chunk"],
)
def test_a_request_that_never_ends_is_cut_off(door, beginning):
    with door.connect() as client:
        client.sendall(beginning)
        began = time.monotonic()
        until_closed(client)

    assert time.monotonic() - began < LIMITS.seconds + 30
    assert "intent" not in door.kinds()


def test_a_byte_now_and_then_does_not_keep_a_connection(door):
    began = time.monotonic()
    with door.connect() as client, pytest.raises(OSError):  # noqa: PT012
        while time.monotonic() - began < 60:
            client.sendall(b"x")
            time.sleep(0.1)

    assert time.monotonic() - began < LIMITS.seconds + 30


def test_an_answer_that_is_never_read_does_not_keep_a_connection(door):
    with (
        Guard(door.path) as guard,
        guard.action("large", **{f"k{n}": "x" * 50_000 for n in range(5)}) as action,
    ):
        pass
    assert (
        curl(door, f"/v1/actions/{action.seq}")[0] == 200
    )  # SQLite keeps a file of this, for the next reader
    requests = b"GET /v1/actions/%d HTTP/1.1\r\nhost: a\r\n\r\n" % action.seq * 50
    before = open_files()
    client = door.connect()
    client.sendall(requests)

    until(lambda: open_files() <= before + 1, 60)
    client.close()
    assert door.status()["may_act"] is True


def test_reading_actions_over_and_over_takes_no_more_files(door):
    with Guard(door.path) as guard, guard.action("fs.write") as action:
        pass
    read = f"/v1/actions/{action.seq}"
    counts = [curl(door, read) and open_files() for _ in range(10)]

    until(lambda: open_files() <= counts[0])


def test_five_hundred_connections_take_a_bounded_number_of_files_and_then_give_them_back(door):
    before = open_files()
    clients, most = [], 0
    for _ in range(500):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        try:
            client.connect(str(door.path))
        except OSError:
            client.close()
            continue
        clients.append(client)
        most = max(most, open_files() - before - len(clients))

    assert most <= LIMITS.most + 4 * LIMITS.backlog
    until(lambda: open_files() - before - len(clients) <= 0, 60)
    assert door.status()["may_act"] is True
    for client in clients:
        client.close()


def test_one_connection_too_many_is_told_so(door):
    clients = [door.connect() for _ in range(LIMITS.most)]  # they are let in in the order in which they came

    with pytest.raises(Denied) as caught:
        door.status()
    with door.connect() as one_more:
        told = one_more.recv(4096)

    assert (caught.value.status, caught.value.code) == (503, "AG606")
    assert b"\r\nretry-after: 1\r\n" in told
    for client in clients:
        client.close()
    until(lambda: lets_in(door))


def test_five_hundred_clients_that_ask_are_each_answered_or_turned_away(door):
    results: list[str] = []

    def ask() -> None:
        try:
            with Guard(door.path, timeout=60) as guard, guard.action("fs.write"):
                results.append("allowed")
        except Denied as error:
            results.append(error.code)
        except GuardError as error:
            results.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(results) <= {"allowed", "AG606", "AG617", "AG619"}
    assert "allowed" in results
    # Every action that began has its intent in the log.
    assert door.kinds().count("intent") >= results.count("allowed")
    until(lambda: lets_in(door))


def test_nothing_an_agent_sends_reaches_the_guards_output(door, capfd, caplog):
    door.send(b"\x1b[2J\r\n\r\n")
    door.send(HEAD + b"transfer-encoding: chunked\r\n\r\n\x1b[2J\r\n")
    with door.connect() as client:
        client.sendall(HEAD + b"content-length: 100\r\n\r\n{")
    until(lambda: "AG608" in [content["code"] for content in door.refused()])
    door.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    curl(door, "/v1/actions", "--json", "{")

    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


# -- starting, stopping, and the socket's place ---------------------------------------------------------------------


def test_a_stopped_guard_is_unreachable_and_stop_is_quick_with_clients_hanging_on(door):
    clients = [door.connect() for _ in range(5)]
    clients[0].sendall(HEAD)
    time.sleep(0.1)
    began = time.monotonic()

    door.server.stop()
    door.server.stop()

    assert time.monotonic() - began < 30
    assert not door.server.alive
    with pytest.raises(Unreachable):
        door.status()
    for client in clients:
        client.close()


def test_a_guard_that_does_not_answer_is_unreachable_in_time(tmp_path):
    with bind_socket(tmp_path / "guard.sock") as silent:
        silent.listen()
        began = time.monotonic()
        with pytest.raises(Unreachable), Guard(tmp_path / "guard.sock", timeout=0.3).action("fs.write"):
            raise AssertionError("acted without a yes")

    assert time.monotonic() - began < 30


def test_a_socket_is_made_for_everybody_in_its_folder_and_left_by_no_child(tmp_path):
    path = tmp_path / "guard.sock"

    with bind_socket(path) as bound:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert not os.get_inheritable(bound.fileno())
    assert [entry.name for entry in tmp_path.iterdir()] == ["guard.sock"]


def test_a_path_longer_than_the_kernel_takes_is_served_and_found(tmp_path):
    folder = tmp_path / ("f" * 100) / ("g" * 100)
    folder.mkdir(parents=True)
    with bind_socket(folder / "guard.sock") as bound:
        bound.listen()
        with pytest.raises(Unreachable, match="ReadTimeout"):
            Guard(folder / "guard.sock", timeout=0.2).status()


def test_a_stale_socket_is_replaced(socket_folder):
    path = socket_folder / "guard.sock"
    bind_socket(path).close()

    with bind_socket(path) as bound:
        bound.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


@pytest.mark.parametrize("backlog", [0, 5])
def test_a_living_socket_is_not_taken_over(socket_folder, backlog):
    path = socket_folder / "guard.sock"
    with bind_socket(path) as bound:
        bound.listen(backlog)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(backlog + 3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(str(path))

        with pytest.raises(GuardError, match="another guard answers there"):
            bind_socket(path)
        for client in waiting:
            client.close()


def test_what_is_no_socket_is_not_replaced(tmp_path):
    path = tmp_path / "guard.sock"
    path.write_text("mine")

    with pytest.raises(GuardError, match="no socket stands there"):
        bind_socket(path)
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_and_a_name_too_long_are_said(tmp_path):
    with pytest.raises(GuardError, match="AG616"):
        bind_socket(tmp_path / "missing" / "guard.sock")
    with pytest.raises(GuardError, match="longer than 64 bytes"):
        bind_socket(tmp_path / ("n" * 65))
