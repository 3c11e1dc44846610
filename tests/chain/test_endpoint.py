"""Nodes that are gone, slow, mad or secret: one error each, in time, and nothing sent."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.chain

VOTE = ("vote", "halt", "indexer", "--account", "signer1", "--yes")


@pytest.fixture
def node() -> Iterator[Callable[[Callable[[bytes], bytes]], str]]:
    """A node that answers each request's body with whatever the test says; gives its URL."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(answer: Callable[[bytes], bytes]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = answer(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def result(value: object) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": value}).encode()


def test_node_that_is_not_there_is_told_and_nothing_is_sent(town, cli):
    for command in (("status",), ("deployment", "check"), VOTE):
        error = cli.fails("AG201", 6, *command, ETH_RPC_URL="http://127.0.0.1:1")
        assert "http://127.0.0.1:1" in error["message"]
        assert "agent-guard devnet" in error["remedy"]


def test_node_that_never_answers_costs_the_time_limit_and_no_more(town, cli):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        cli.fails("AG201", 6, *VOTE, ETH_RPC_URL=url, AGENT_GUARD_RPC_TIMEOUT="0.5")

    assert time.monotonic() - began < 20  # each of its questions once, and not those of a life


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: b"",
        lambda body: b"<html>busy</html>",
        lambda body: b"{}",
        lambda body: b"[]",
        lambda body: b"null",
        lambda body: b"\xff\xfe",
        result(None),
        result("0x"),
        result({"hash": "0x12"}),
        lambda body: json.dumps(
            {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}}
        ).encode(),
    ],
    ids=[
        "nothing",
        "HTML",
        "object",
        "list",
        "null",
        "binary",
        "null result",
        "empty",
        "half a block",
        "refusal",
    ],
)
def test_node_that_answers_nonsense_is_one_error(town, cli, node, answer):
    error = cli.fails("AG201", 6, "status", ETH_RPC_URL=node(answer))

    assert "no usable answer" in error["message"]


def test_secrets_in_a_nodes_url_are_never_shown(town, cli):
    url = "http://user:secret-name@127.0.0.1:1/v3/secret-path?key=secret-key"

    outcome = cli("status", "--json", expect=6, ETH_RPC_URL=url)

    assert "secret" not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a",
        "127.0.0.1:8545",
        "nonsense",
        "ws://127.0.0.1:1",
        "http://a:port",
        "http://[::1",
        "http://",
        "http://a:0",
    ],
)
def test_what_is_no_http_url_is_a_usage_error(town, cli, url):
    assert "http" in cli.fails("AG102", 2, "status", ETH_RPC_URL=url)["remedy"]


def test_flag_wins_over_the_environment(town, cli):
    cli("status", "--rpc-url", town.anvil.url, ETH_RPC_URL="http://127.0.0.1:1")


def test_all_wrong_settings_are_told_at_once_and_no_value_of_theirs(town, cli):
    wrong = {"AGENT_GUARD_POLL": "-1", "AGENT_GUARD_RPC_TIMEOUT": "hunter2", "AGENT_GUARD_NO_SUCH": "x"}

    message = cli.fails("AG102", 2, "status", **wrong)["message"]

    assert all(word in message for word in ("poll", "rpc_timeout", "AGENT_GUARD_NO_SUCH"))
    assert "hunter2" not in message


def test_block_is_read_by_tag_height_and_hash(town):
    endpoint = town.connection.endpoint
    newest: Any = endpoint.block()

    assert endpoint.block(newest.number) == newest
    assert endpoint.block(newest.hash) == newest
