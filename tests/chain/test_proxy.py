"""The programmable proxy is what it says: honest, gone, hanging, slow, or speaking nonsense; and it counts rightly."""

import gzip
import json
import socket
import threading
import time
from typing import Any

import httpx
import pytest
import requests
from web3 import HTTPProvider, Web3

from tests.proxy import Proxy

pytestmark = pytest.mark.chain

HEAD = {"jsonrpc": "2.0", "id": 7, "method": "eth_blockNumber", "params": []}


@pytest.fixture
def proxy(anvil: Any, rpc_proxy: Any) -> Any:
    return rpc_proxy(anvil.url)


def post(url: str, body: Any = HEAD, timeout: float = 10) -> Any:
    return httpx.post(url, json=body, timeout=timeout, trust_env=False).json()


def web3(url: str, timeout: float = 10) -> Web3:
    return Web3(HTTPProvider(url, {"timeout": timeout}, exception_retry_configuration=None))


def raw_request(proxy: Any) -> socket.socket:
    """A connection on which a request has just been sent."""
    connection = socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])), timeout=60)
    body = json.dumps(HEAD).encode()
    connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return connection


@pytest.mark.parametrize(
    "asked",
    [
        HEAD,
        HEAD | {"method": "eth_getBlockByNumber", "params": ["latest", True]},
        HEAD | {"method": "eth_getBlockByNumber", "params": ["0xffffff", True]},
        HEAD | {"method": "eth_noSuchMethod"},
        HEAD | {"id": "text", "method": "eth_call", "params": [{"to": "0x" + "11" * 20}, "0xffffff"]},
        [HEAD, HEAD | {"id": 8, "method": "eth_chainId"}, HEAD | {"id": 9, "method": "eth_noSuchMethod"}],
    ],
    ids=["height", "block", "no block", "no method", "error", "batch"],
)
def test_honest_proxy_says_to_the_letter_what_anvil_says(anvil, proxy, asked):
    assert post(proxy.url, asked) == post(anvil.url, asked)


def test_every_call_is_counted_by_method_and_every_request_once(proxy):
    node = web3(proxy.url)
    assert (node.eth.block_number, node.eth.chain_id) == (node.eth.block_number, 31337)
    post(proxy.url, [HEAD, HEAD | {"method": "eth_getBlockByNumber", "params": ["0x0", False]}])

    assert proxy.calls == {"eth_blockNumber": 3, "eth_chainId": 1, "eth_getBlockByNumber": 1}
    assert proxy.requests == 4
    assert proxy.asked("eth_getBlockByNumber") == [["0x0", False]]
    proxy.forget()
    assert (proxy.requests, proxy.calls, proxy.asked("eth_chainId")) == (0, {}, [])


def test_node_that_is_down_refuses_connections_cuts_open_ones_and_comes_back_at_its_url(proxy):
    with requests.Session() as session:
        session.post(proxy.url, json=HEAD)
        with raw_request(proxy) as kept:
            kept.recv(1 << 16)
            proxy.down()
            with pytest.raises(ConnectionResetError):
                kept.recv(1)
        with pytest.raises(ConnectionRefusedError), raw_request(proxy):
            pass
        proxy.down()
        proxy.ok()
        assert session.post(proxy.url, json=HEAD).json()["id"] == 7


def test_node_that_resets_takes_the_request_first(proxy):
    proxy.down(reset=True)

    with raw_request(proxy) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert proxy.calls == {"eth_blockNumber": 1}


def test_node_that_hangs_takes_requests_and_answers_them_when_it_hangs_no_more(town, proxy):
    proxy.hang()
    with raw_request(proxy) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert proxy.calls == {"eth_blockNumber": 1}
        connection.settimeout(10)
        town.rpc("evm_mine")
        proxy.ok()
        answer = json.loads(connection.recv(1 << 16).partition(b"\r\n\r\n")[2])
        assert int(answer["result"], 16) == town.height()


def test_slow_node_delivers_what_was_true_when_it_was_asked(town, proxy):
    before, began = town.height(), time.monotonic()
    proxy.slow(0.4)
    with raw_request(proxy) as connection:
        while not proxy.calls:
            time.sleep(0.01)
        time.sleep(0.1)
        town.rpc("evm_mine")
        answer = json.loads(connection.recv(1 << 16).partition(b"\r\n\r\n")[2])

    assert time.monotonic() - began >= 0.4
    assert int(answer["result"], 16) == before < town.height()


@pytest.mark.parametrize("headers", [False, True])
def test_dripping_node_sends_a_byte_at_a_time_so_that_no_wait_is_long(proxy, headers):
    proxy.drip(0.01, headers=headers)
    with raw_request(proxy) as connection:
        connection.settimeout(5)
        pieces = [connection.recv(1 << 16)]
        while not pieces[-1].endswith(b"}"):
            pieces.append(connection.recv(1 << 16))

    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert len(pieces[0]) == 1 if headers else len(head) <= len(pieces[0]) <= len(head) + 8
    assert len(pieces) > len(body) / 4
    assert json.loads(body)["id"] == 7


@pytest.mark.parametrize(
    ("kind", "is_so"),
    [
        ("nothing", lambda body: body == b""),
        ("HTML", lambda body: body.startswith(b"<html>")),
        ("binary", lambda body: not body.isascii()),
        ("half", lambda body: body.startswith(b'{"jsonrpc"') and not body.endswith(b"}")),
        ("object", lambda body: json.loads(body) == {}),
        ("list", lambda body: json.loads(body) == []),
        ("null", lambda body: json.loads(body) is None),
        ("number", lambda body: json.loads(body) == 7),
        ("null result", lambda body: json.loads(body) == {"jsonrpc": "2.0", "id": 7, "result": None}),
        ("wrong type", lambda body: json.loads(body)["result"][0]["number"] == "seven"),
        ("no result", lambda body: json.loads(body) == {"jsonrpc": "2.0", "id": 7}),
        ("huge number", lambda body: body.count(b"9") == 5000),
        ("wrong id", lambda body: json.loads(body)["id"] != 7 and "result" in json.loads(body)),
        ("deep", lambda body: body.count(b"[") == body.count(b"]") == 200_000),
        ("huge", lambda body: len(body) > 64 << 20 and body.endswith(b'0"}')),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_garbage_is_of_the_kind_it_is_said_to_be(proxy, kind, is_so):
    proxy.garbage(kind)

    answer = httpx.post(proxy.url, json=HEAD, trust_env=False)

    assert answer.status_code == 200
    assert is_so(answer.content)
    proxy.ok()
    assert "result" in post(proxy.url)


def test_garbage_for_a_batch_holds_an_answer_for_each_call(proxy):
    proxy.garbage("wrong id")

    assert [answer["id"] for answer in post(proxy.url, [HEAD, HEAD | {"id": 8}])] == [1_000_010, 1_000_011]


def test_gzip_bomb_is_small_on_the_way_and_huge_when_unpacked(proxy):
    proxy.garbage("gzip bomb")

    with httpx.stream("POST", proxy.url, json=HEAD, trust_env=False) as answer:
        packed = b"".join(answer.iter_raw())

    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 1 << 20 < 64 << 20 < len(gzip.decompress(packed))
    assert json.loads(gzip.decompress(packed))["id"] == 7


def test_endless_answer_goes_on_until_the_client_leaves_and_troubles_nobody_else(proxy):
    proxy.garbage("endless")
    with httpx.stream("POST", proxy.url, json=HEAD, trust_env=False) as answer:
        taken = 0
        for part in answer.iter_raw():
            taken += len(part)
            if taken > 128 << 20:
                break

    proxy.ok()
    assert "result" in post(proxy.url)


def test_errors_and_refusals_are_sent_as_given(proxy):
    proxy.error(-32000, "\x1b[31mno")
    assert post(proxy.url)["error"] == {"code": -32000, "message": "\x1b[31mno"}
    proxy.refuse(429, b"slow down", {"retry-after": "3600"})

    answer = httpx.post(proxy.url, json=HEAD, trust_env=False)

    assert (answer.status_code, answer.content) == (429, b"slow down")
    assert answer.headers["retry-after"] == "3600"
    proxy.refuse(500)
    with pytest.raises(requests.HTTPError, match="500"):
        web3(proxy.url).eth.get_block("latest")


def test_hook_may_answer_itself_ask_something_else_or_wait_for_the_test(anvil, proxy):
    go_on = threading.Event()

    def wait(request: dict[str, Any], forward: Any) -> dict[str, Any]:
        assert go_on.wait(60)
        return dict(forward())

    proxy.on("eth_chainId", lambda request, forward: {"result": "0x5"})
    proxy.on("eth_getBlockByNumber", lambda request, forward: forward(request | {"params": ["0x0", False]}))
    proxy.on("eth_blockNumber", wait)

    assert web3(proxy.url).eth.chain_id == 5
    assert web3(proxy.url).eth.get_block("latest")["number"] == 0
    with raw_request(proxy) as waiting:
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        go_on.set()
        waiting.settimeout(10)
        assert b'"result"' in waiting.recv(1 << 16)
    proxy.on("eth_chainId", None)
    assert web3(proxy.url).eth.chain_id == 31337


def test_behaviours_add_up_and_are_each_proxys_own(town, proxy, rpc_proxy):
    town.rpc("evm_mine")
    other = rpc_proxy(town.anvil.url)
    proxy.lag(1)
    proxy.slow(0.3)

    began = time.monotonic()
    assert web3(proxy.url).eth.block_number == town.height() - 1
    assert time.monotonic() - began >= 0.3
    assert web3(other.url).eth.block_number == town.height()
    proxy.ok()
    assert web3(proxy.url).eth.block_number == town.height()


def test_words_it_does_not_know_are_refused_and_change_nothing(proxy):
    for say in (proxy.garbage, proxy.heads, proxy.prove):
        with pytest.raises(ValueError, match="is none of"):
            say("nonesuch")
    with pytest.raises(ValueError, match="noSuchField"):
        proxy.lie(no_such_field=1)

    assert web3(proxy.url).eth.block_number >= 0


def test_chain_behind_that_is_gone_is_no_answer_but_a_cut(rpc_proxy):
    proxy = rpc_proxy("http://127.0.0.1:1")

    with raw_request(proxy) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_stopped_proxy_leaves_no_thread_no_connection_and_no_port(anvil):
    before = set(threading.enumerate())
    with Proxy(anvil.url) as proxy:
        proxy.hang()
        connection = raw_request(proxy)
        while not proxy.calls:
            time.sleep(0.01)

    with connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    with pytest.raises(ConnectionRefusedError), raw_request(proxy):
        pass
    assert set(threading.enumerate()) == before


def test_what_fails_inside_the_proxy_or_a_hook_is_raised_when_it_stops(anvil):
    proxy = Proxy(anvil.url)
    proxy.start()
    proxy.on("eth_blockNumber", lambda request, forward: {}["missing"])
    with raw_request(proxy) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)

    with pytest.raises(ExceptionGroup, match="the proxy failed") as raised:
        proxy.stop()

    assert raised.group_contains(KeyError, match="missing")
