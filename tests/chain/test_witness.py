"""Witnesses as processes on real sockets: killed, flooded, ended, and as seen by a log that asks them."""

import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_guard.chain.anchoring import HeadWriter
from agent_guard.chain.sender import Sender
from agent_guard.checkpoint import cosignatures, log_origin, merge_cosignatures, open_checkpoint, parse
from agent_guard.errors import GuardError
from agent_guard.keys import keystore
from agent_guard.log import asking
from agent_guard.log.asking import ask
from agent_guard.merkle import Frontier
from agent_guard.store import ledger
from tests.conftest import ANVIL_PATH, ROOT, Cli
from tests.unit.witness.conftest import ORIGIN, Log
from tests.witness_process import Process

pytestmark = pytest.mark.chain


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(
        tmp_path,
        {"PATH": f"{ANVIL_PATH}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )
    yield cli
    cli.clear()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def witness(tool: Cli, tmp_path: Path, log: Log) -> Process:
    return Process(tool, tmp_path / "state", str(log.signer.verifier))


# ---------------------------------------------------------------------------------------------------------------- serve


def test_it_tells_its_key_and_cosigns_with_it(witness: Process, log: Log) -> None:
    assert witness.ready["logs"] == [ORIGIN]
    response = witness.post(log.submit(0, 5))
    assert response.status_code == 200
    assert cosignatures(merge_cosignatures(log.note(5), response.text, [witness.key]), [witness.key])


def test_every_status_of_the_protocol_over_a_socket(witness: Process, log: Log) -> None:
    assert witness.post(log.submit(0, 5)).status_code == 200
    conflict = witness.post(log.submit(0, 8))
    assert (conflict.status_code, conflict.text) == (409, "5\n")
    assert conflict.headers["content-type"] == "text/x.tlog.size"
    assert witness.post(Log("example.com/other").submit(0, 5)).status_code == 404
    assert witness.post(Log(number=3).submit(5, 8)).status_code == 403
    assert witness.post(log.submit(5, 4)).status_code == 400
    assert witness.post(b"old 5\n").status_code == 400
    assert witness.post(log.submit(5, 8, world="b", shared=2)).status_code == 422
    assert witness.post(log.submit(5, 5, world="b")).status_code == 409
    assert witness.post(b"x" * 300_000).status_code == 413
    assert witness.post(log.submit(5, 8)).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_and_goes_on_with_key_and_memory(
    witness: Process, tool: Cli, log: Log, number: int
) -> None:
    assert witness.post(log.submit(0, 5)).status_code == 200
    assert witness.end(number) == 0
    again = Process(tool, witness.state, str(log.signer.verifier), port=witness.port)
    assert again.ready == witness.ready
    assert again.post(log.submit(0, 8)).text == "5\n"


def test_list_shows_logs_and_the_evidence_of_a_fork(witness: Process, tool: Cli, log: Log) -> None:
    witness.post(log.submit(0, 5))
    witness.post(log.submit(5, 5, world="b"))
    said = tool.ask("witness", "list", "--state", witness.state)
    assert [(row["origin"], row["size"]) for row in said["rows"]] == [(ORIGIN, 5)]
    assert abs(said["rows"][0]["time"] - time.time()) < 60
    (fork,) = said["forks"]
    roots = {open_checkpoint(note, [log.signer.verifier], ORIGIN).root for note in fork["notes"]}
    assert (fork["origin"], fork["size"], len(roots)) == (ORIGIN, 5, 2)
    shown = tool("witness", "list", "--state", witness.state).stdout
    assert f"FORK: {ORIGIN} has two roots of 5 entries" in shown
    witness.end()
    assert witness.process.stderr is not None


def test_logs_may_stand_in_a_file(tool: Cli, tmp_path: Path, log: Log) -> None:
    (tmp_path / "logs").write_text(f"# ours\n\n  {log.signer.verifier}\n{Log('b', 2).signer.verifier}\n")
    process = tool.start(
        *(
            "witness",
            "serve",
            "--name",
            "w",
            "--state",
            "s",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--logs",
            "logs",
        )
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["logs"] == [ORIGIN, "b"]


@pytest.mark.parametrize(
    ("code", "exit_code", "options"),
    [
        ("AG101", 2, ["--name", "w"]),
        ("AG101", 2, ["--name", "w", "--logs", "nowhere"]),
        ("AG560", 1, ["--name", "w", "--log", "nonsense"]),
        ("AG560", 1, ["--name", "two words", "--log", "LOG"]),
        ("AG560", 1, ["--name", "w", "--log", "LOG", "--listen", "here"]),
        ("AG560", 1, ["--name", "w", "--log", "LOG", "--listen", "127.0.0.1:65536"]),
        ("AG560", 1, ["--name", "w", "--log", "LOG", "--listen", "TAKEN"]),
    ],
)
def test_what_can_not_be_served_is_told(
    tool: Cli, log: Log, code: str, exit_code: int, options: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        given = [{"LOG": str(log.signer.verifier), "TAKEN": place}.get(word, word) for word in options]
        tool.fails(code, exit_code, "witness", "serve", *given)


def test_a_memory_of_something_else_is_told(tool: Cli, tmp_path: Path, log: Log) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/witness.sqlite").write_bytes(b"something else" * 100)
    tool.fails("AG562", 1, "witness", "serve", "--name", "w", "--log", log.signer.verifier, "--state", "s")
    tool.fails("AG562", 1, "witness", "list", "--state", "s")
    tool.fails("AG562", 1, "witness", "list", "--state", "nowhere")


# ---------------------------------------------------------------------------------------------------------------- crash


def test_a_witness_killed_at_any_moment_has_kept_all_that_it_acknowledged(
    tool: Cli, tmp_path: Path, log: Log
) -> None:
    moments, size, port = random.Random(2026), 0, None
    for _ in range(5):
        witness = Process(tool, tmp_path / "state", str(log.signer.verifier), port=port)
        port = witness.port
        killer = threading.Timer(moments.uniform(0.01, 0.3), witness.process.kill)
        acknowledged = before = size
        with suppress(httpx.HTTPError), httpx.Client(trust_env=False) as client:
            while True:
                response = client.post(f"{witness.url}/add-checkpoint", content=log.submit(size, size + 1))
                if response.status_code == 409:  # it had kept one that it could not acknowledge
                    assert int(response.text) == size + 1
                else:
                    assert response.status_code == 200
                size = acknowledged = size + 1
                if size == before + 1:
                    killer.start()
        killer.join()
        witness.process.wait()
        rows, forks = ledger.read(tmp_path / "state/witness.sqlite")
        assert max([0, *(row.size for row in rows)]) in (acknowledged, acknowledged + 1)
        assert forks == []
    assert size >= 5


def test_many_clients_at_one_time_never_roll_the_log_back(witness: Process, log: Log) -> None:
    witness.post(log.submit(0, 1))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda size: witness.post(log.submit(1, size)).status_code, range(2, 34)))
    assert sorted(answers) == [200] + [409] * 31


def test_hostile_connections_keep_no_honest_log_out(witness: Process, log: Log) -> None:
    with ExitStack() as stack:
        for start in (
            b"",
            b"POST /add-checkpoint HTTP/1.1\r\nhost: a\r\ncontent-length: 99999\r\n\r\nold 0\n",
            b"\xff" * 64,
        ):
            for _ in range(40):
                held = stack.enter_context(socket.create_connection(("127.0.0.1", witness.port)))
                held.sendall(start)
        assert witness.post(log.submit(0, 3)).status_code == 200


# --------------------------------------------------------------------------------------------------------------- asking


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """A server that does as the test says with each connection; its URL."""
    with ExitStack() as stack:

        def make(behave: Callable[[socket.socket], None]) -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.callback(listening.shutdown, socket.SHUT_RDWR)  # else the thread would wait for ever

            def serve() -> None:
                while True:
                    try:
                        client, _ = listening.accept()
                    except OSError:
                        return
                    with client, suppress(OSError):
                        client.recv(65_536)
                        behave(client)

            threading.Thread(target=serve, daemon=True).start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield make


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"


def drip(client: socket.socket) -> None:
    client.sendall(HEAD + b"content-length: 100000\r\n\r\n")
    while True:
        client.sendall(b"x")
        time.sleep(0.05)


def drip_head(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        client.sendall(b"x")
        time.sleep(0.05)


def flood(client: socket.socket) -> None:
    client.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        client.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


def flood_head(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        client.sendall(b"x: " + b"x" * 65_536 + b"\r\n")


BEHAVIOURS: dict[str, Callable[[socket.socket], None]] = {
    "silent": lambda client: time.sleep(3),
    "gone": lambda client: None,
    "a drip": drip,
    "a dripping head": drip_head,
    "a flood": flood,
    "a flood of headers": flood_head,
    "a huge answer": lambda client: client.sendall(
        HEAD + b"content-length: 5000000\r\n\r\n" + b"x" * 5_000_000
    ),
    "a huge promise": lambda client: client.sendall(HEAD + b"content-length: 999999999999\r\n\r\nx"),
    "no HTTP": lambda client: client.sendall(b"\xff" * 100_000),
    "cut off": lambda client: client.sendall(HEAD + b"content-length: 100\r\n\r\nx"),
    "upgraded": lambda client: client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"x" * 100),
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_hostile_server_is_an_error_within_the_bounds(
    server: Callable[[Callable[[socket.socket], None]], str], monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    monkeypatch.setattr(asking, "STEP_SECONDS", 0.5)
    monkeypatch.setattr(asking, "TOTAL_SECONDS", 1.0)
    with pytest.raises(GuardError) as caught:
        ask(server(BEHAVIOURS[behaviour]), b"old 0\n\n")
    assert caught.value.code == "AG563"


def test_nobody_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    for asked in (url, "http://no-such-host.invalid", "https" + url[4:]):
        with pytest.raises(GuardError) as caught:
            ask(asked, b"old 0\n\n")
        assert caught.value.code == "AG563"


def test_a_redirect_is_followed_nowhere(server: Callable[[Callable[[socket.socket], None]], str]) -> None:
    there = server(lambda client: client.sendall(HEAD + b"content-length: 2\r\n\r\nok"))
    answer = f"HTTP/1.1 302 Found\r\nlocation: {there}\r\ncontent-length: 0\r\n\r\n".encode()
    assert ask(server(lambda client: client.sendall(answer)), b"old 0\n\n").status == 302


def test_packed_bytes_are_not_unpacked(server: Callable[[Callable[[socket.socket], None]], str]) -> None:
    head = HEAD + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\n"
    assert (
        ask(server(lambda client: client.sendall(head + b"\x1f\x8b\x08\x00")), b"").body
        == b"\x1f\x8b\x08\x00"
    )


def test_an_honest_witness_is_asked(witness: Process, log: Log) -> None:
    reply = ask(witness.url, log.submit(0, 3))
    assert (reply.status, reply.media_type) == (200, "text/plain; charset=utf-8")
    assert merge_cosignatures(log.note(3), reply.body.decode(), [witness.key])
    assert ask(witness.url + "/elsewhere", log.submit(0, 3)).status == 404


# ------------------------------------------------------------------------------------------------------------- on chain


@pytest.fixture
def anchored(town: Any) -> Callable[[Log, int, int], None]:
    """Extends the operator's log on chain from one size to another."""
    account = keystore.unlock(town.keys.folder / "operator", "devnet")
    writer = HeadWriter(town.contract, Sender(town.contract.endpoint, account, 5.0))

    def extend(log: Log, old: int, new: int) -> None:
        frontier = Frontier()
        frontier.extend(log.tree(old))
        writer.extend(new, frontier.nodes, log.tree(new)[old:])

    return extend


def test_a_witness_that_reads_the_chain_cosigns_what_it_holds_and_nothing_else(
    town: Any, anchored: Callable[[Log, int, int], None], tmp_path: Path
) -> None:
    log = Log(log_origin(31_337, town.contract.address, town.address("operator")))
    chain = ("--rpc-url", town.connection.endpoint.url)
    witness = Process(town.cli, tmp_path / "w", str(log.signer.verifier), options=chain)
    assert witness.post(log.submit(0, 3)).status_code == 503  # not anchored yet
    anchored(log, 0, 3)
    assert witness.post(log.submit(0, 3, world="b")).status_code == 422
    assert witness.post(log.submit(0, 3)).status_code == 200
    anchored(log, 3, 10)
    assert witness.post(log.submit(3, 5)).status_code == 503
    assert witness.post(log.submit(3, 10)).status_code == 200
    (fork,) = town.cli.ask("witness", "list", "--state", tmp_path / "w")["forks"]
    assert parse(fork["notes"][0]) == parse(log.note(3))
    assert fork["notes"][1] == log.note(3, world="b")
    assert "FORK" in town.cli("witness", "list", "--state", tmp_path / "w").stdout


def test_a_chain_that_cannot_be_read_gets_no_cosignature(
    town: Any, anchored: Callable[[Log, int, int], None], rpc_proxy: Callable[[str], Any], tmp_path: Path
) -> None:
    log = Log(log_origin(31_337, town.contract.address, town.address("operator")))
    anchored(log, 0, 3)
    proxy = rpc_proxy(town.connection.endpoint.url)
    witness = Process(town.cli, tmp_path / "w", str(log.signer.verifier), options=("--rpc-url", proxy.url))
    proxy.down()
    assert witness.post(log.submit(0, 3)).status_code == 503
    assert town.cli.ask("witness", "list", "--state", tmp_path / "w")["rows"] == []


def test_a_log_of_another_council_is_not_served_with_this_chain(town: Any) -> None:
    chain = ("--rpc-url", town.connection.endpoint.url)
    for origin in ("example.com/log", log_origin(1, town.contract.address, town.address("operator"))):
        vkey = Log(origin).signer.verifier
        town.cli.fails("AG560", 1, "witness", "serve", "--name", "w", "--log", vkey, *chain)
