"""The proxy over WebSocket: calls, and new heads that are true, late, invented, too many, none or nonsense."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.proxy import Proxy, reorg_away, rpc

pytestmark = pytest.mark.chain

SECONDS = 60.0


@pytest.fixture(scope="module")
def anvil(young_anvil: Any) -> Any:
    return young_anvil


@pytest.fixture
def proxy(town: Any, rpc_proxy: Any) -> Any:
    town.rpc("anvil_mine", hex(3))  # so that there is a past to lag in
    return rpc_proxy(town.anvil.url)


@contextmanager
def connected(proxy: Any) -> Iterator[ClientConnection]:
    with connect(
        proxy.ws_url, proxy=None, compression=None, ping_interval=None, max_size=1 << 20
    ) as connection:
        yield connection


@contextmanager
def subscribed(proxy: Any) -> Iterator[ClientConnection]:
    with connected(proxy) as connection:
        assert call(connection, "eth_subscribe", "newHeads")["result"].startswith("0x")
        yield connection


def call(connection: ClientConnection, method: str, *params: object) -> Any:
    connection.send(json.dumps({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}))
    return json.loads(connection.recv(SECONDS))


def head(connection: ClientConnection, seconds: float = SECONDS) -> Any:
    message = json.loads(connection.recv(seconds))
    assert message["method"] == "eth_subscription"
    return message["params"]["result"]


def is_silent(connection: ClientConnection, seconds: float = 0.4) -> bool:
    try:
        connection.recv(seconds)
    except TimeoutError:
        return True
    return False


def mined(url: str) -> str:
    """Mines a block; its hash."""
    rpc(url, "evm_mine")
    return str(rpc(url, "eth_getBlockByNumber", "latest", False)["hash"])


def heard(connection: ClientConnection) -> set[str]:
    """The hashes of all heads that are told until there is silence."""
    hashes = set()
    with suppress(TimeoutError):
        while True:
            hashes.add(str(head(connection, 0.4)["hash"]))
    return hashes


def test_calls_over_websocket_are_answered_and_counted_as_over_http(town, proxy):
    with connected(proxy) as connection:
        assert int(call(connection, "eth_blockNumber")["result"], 16) == town.height()
        assert call(connection, "eth_noSuchMethod")["error"]["code"] == -32601
        proxy.lag(2)
        assert int(call(connection, "eth_blockNumber")["result"], 16) == town.height() - 2

    assert proxy.calls == {"eth_blockNumber": 2, "eth_noSuchMethod": 1}


def test_true_heads_are_passed_on_until_one_unsubscribes(town, proxy):
    with connected(proxy) as connection:
        name = call(connection, "eth_subscribe", "newHeads")["result"]
        for _ in range(3):
            town.rpc("evm_mine")
            told, newest = head(connection), rpc(town.anvil.url, "eth_getBlockByNumber", "latest", False)
            assert {
                key: told[key] for key in ("hash", "number", "stateRoot", "timestamp")
            }.items() <= newest.items()
        assert call(connection, "eth_unsubscribe", name)["result"] is True
        assert call(connection, "eth_unsubscribe", name)["result"] is False
        town.rpc("evm_mine")
        assert is_silent(connection)


def test_heads_of_a_lagging_node_lag_and_those_of_a_frozen_one_do_not_come(town, proxy):
    with subscribed(proxy) as connection:
        proxy.lag(2)
        town.rpc("evm_mine")
        assert int(head(connection)["number"], 16) == town.height() - 2
        proxy.freeze_at(town.height() - 2)
        town.rpc("evm_mine")
        assert is_silent(connection)


def test_heads_come_from_whichever_chain_is_served_and_are_told_again_after_a_reorg(town, proxy, twin):
    other = twin(town.anvil.url)
    with subscribed(proxy) as connection:
        town.rpc("evm_mine")
        gone = head(connection)
        reorg_away(town.anvil.url, town.height())
        again = head(connection)
        assert again["number"] == gone["number"]
        assert again["hash"] != gone["hash"]
        proxy.serve(other.url)
        deadline = time.monotonic() + SECONDS
        while mined(other.url) not in heard(connection):  # until it listens there
            assert time.monotonic() < deadline
        town.rpc("evm_mine")
        assert is_silent(connection)


def test_silent_subscription_says_nothing_and_answers_pings(town, proxy):
    with subscribed(proxy) as connection:
        proxy.heads("silent")
        town.rpc("evm_mine")
        assert is_silent(connection)
        assert connection.ping().wait(SECONDS)


def test_hanging_node_answers_no_ping_and_tells_late_what_it_missed(town, proxy):
    with subscribed(proxy) as connection:
        proxy.hang()
        town.rpc("evm_mine")
        pong = connection.ping()
        assert is_silent(connection)
        assert not pong.is_set()
        proxy.ok()
        assert int(head(connection)["number"], 16) == town.height()
        assert pong.wait(SECONDS)


def test_slow_node_announces_heads_late(town, proxy):
    with subscribed(proxy) as connection:
        proxy.slow(0.5)
        began = time.monotonic()
        town.rpc("evm_mine")
        assert int(head(connection)["number"], 16) == town.height()
        assert time.monotonic() - began >= 0.5


def test_phantom_heads_are_of_blocks_that_no_node_has(town, proxy):
    height = town.height()
    with subscribed(proxy) as connection:
        proxy.heads("phantom", every=0.01)
        phantoms = [head(connection) for _ in range(5)]

    assert all(int(phantom["number"], 16) > height for phantom in phantoms)
    for phantom in phantoms:
        assert rpc(proxy.url, "eth_getBlockByHash", phantom["hash"], False) is None
    assert town.height() == height


def test_flood_brings_far_more_heads_than_blocks_and_ends_when_told(town, proxy):
    with subscribed(proxy) as connection:
        proxy.heads("flood")
        began = time.monotonic()
        heads = {head(connection)["hash"] for _ in range(200)}
        assert time.monotonic() - began < SECONDS
        assert heads == {rpc(town.anvil.url, "eth_getBlockByNumber", "latest", False)["hash"]}
        proxy.heads("silent")
        assert "result" in rpc_through(connection)
        assert is_silent(connection)


def rpc_through(connection: ClientConnection) -> Any:
    """The answer to a call among the announcements before it."""
    connection.send('{"jsonrpc":"2.0","id":5,"method":"eth_chainId","params":[]}')
    while (message := json.loads(connection.recv(SECONDS))).get("id") != 5:
        pass
    return message


def test_nonsense_is_sent_to_subscribers_and_calls_still_work(proxy):
    with subscribed(proxy) as connection:
        proxy.heads("nonsense", every=0.01)
        messages = {connection.recv(SECONDS) for _ in range(20)}

    assert {"not JSON", "[]", "null"} <= messages
    assert not any('"newHeads"' in str(message) or '"hash"' in str(message) for message in messages)


def test_closed_ends_subscriptions_each_time_one_is_made(proxy):
    proxy.heads("closed")
    for _ in range(2):
        with subscribed(proxy) as connection, pytest.raises(ConnectionClosed) as closed:
            connection.recv(SECONDS)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


def test_node_that_goes_down_cuts_its_subscribers_off(proxy):
    with connected(proxy) as connection:
        proxy.down()
        with pytest.raises(ConnectionClosedError):
            connection.recv(SECONDS)
    with pytest.raises(ConnectionRefusedError), connected(proxy):
        pass


def test_refusing_node_refuses_the_handshake(proxy):
    proxy.refuse(429, b"slow down")

    with pytest.raises(InvalidStatus, match="429"), connected(proxy):
        pass


def test_garbage_and_errors_come_over_websocket_too(proxy):
    with connected(proxy) as connection:
        proxy.error(-32000, "no")
        assert call(connection, "eth_subscribe", "newHeads")["error"]["message"] == "no"
        proxy.ok()
        proxy.garbage("HTML")
        connection.send('{"jsonrpc":"2.0","id":5,"method":"eth_chainId","params":[]}')
        assert connection.recv(SECONDS) == "<html><body>busy</body></html>"
        proxy.garbage("endless")
        connection.send('{"jsonrpc":"2.0","id":5,"method":"eth_chainId","params":[]}')
        with pytest.raises(ConnectionClosedError, match="message too big"):  # our own limit
            connection.recv(SECONDS)


def test_subscription_of_the_guard_itself_hears_the_heads(town, proxy):
    from threading import Event

    from agent_guard.chain.subscription import HeadSubscription

    heard = Event()
    subscription = HeadSubscription(proxy.ws_url, heard.set, timeout=30)
    subscription.start()
    try:
        deadline = time.monotonic() + SECONDS
        while not subscription.connected and time.monotonic() < deadline:
            time.sleep(0.01)
        town.rpc("evm_mine")
        assert heard.wait(SECONDS)
    finally:
        subscription.stop()


def test_proxy_of_a_chain_that_stands_still_hangs_with_it_and_can_be_stopped(anvil):
    with Proxy(anvil.url) as proxy, subscribed(proxy) as connection:
        os.kill(anvil.pid, signal.SIGSTOP)
        try:
            while ") T " not in Path(f"/proc/{anvil.pid}/stat").read_text():
                time.sleep(0.01)
            heard(connection)  # what it had said before
            connection.send('{"jsonrpc":"2.0","id":5,"method":"eth_chainId","params":[]}')
            assert is_silent(connection)
            began = time.monotonic()
            proxy.stop()
            assert time.monotonic() - began < SECONDS / 2
        finally:
            os.kill(anvil.pid, signal.SIGCONT)
