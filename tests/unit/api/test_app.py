"""The agent's HTTP API over its gate and a real log, without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from agent_guard.api import create_app, door
from agent_guard.errors import CATALOGUE
from agent_guard.gate import Receipts
from agent_guard.log.tree import frontier_at
from agent_guard.merkle import leaf_hash, verify_inclusion
from agent_guard.store import SavedCheckpoint
from agent_guard.types import AgentState, Decision, Head, LogIdentity, Standing, State

pytestmark = pytest.mark.unit

JSON = {"content-type": "application/json"}
OPERATOR = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ACTION = {"tool": "fs.write", "arguments": {"path": "a.txt"}}


class Client:
    """Sends requests to the application, each in a loop of its own."""

    def __init__(self, gate: Any) -> None:
        self.app = door(create_app(), gate)

    def send(self, method: str, path: str, **details: Any) -> httpx.Response:
        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
                return await client.request(method, path, **details)

        return asyncio.run(request())

    def get(self, path: str) -> httpx.Response:
        return self.send("GET", path)

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.raw(json.dumps(body).encode(), path)

    def raw(self, content: Any, path: str = "/v1/actions", headers: Any = JSON) -> httpx.Response:
        return self.send("POST", path, content=content, headers=headers)


@pytest.fixture
def client(gate: Any) -> Client:
    return Client(gate)


def refused(log: Any) -> list[Any]:
    return [json.loads(row.content.body) for row in log.rows("refused")]


def check_refusal(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert set(error) == {"code", "kind", "message", "remedy"}
    assert all(error.values())
    return error


# -- the good paths -------------------------------------------------------------------------------------------------


def test_an_action_is_answered_with_its_number_and_its_leaf(client, log):
    response = client.post("/v1/actions", ACTION)

    (intent,) = log.rows()
    assert response.status_code == 200
    assert response.json() == {
        "seq": intent.index,
        "decision": "allow",
        "leaf_hash": "0x" + intent.leaf.hex(),
        "observed_block": {"number": 7, "hash": "0x" + "07" * 32, "timestamp": 1_700_000_000},
    }


def test_an_outcome_is_recorded_and_the_action_then_shows_what_closed_it(client, log):
    seq = client.post("/v1/actions", ACTION).json()["seq"]

    closed = client.post(f"/v1/actions/{seq}/outcome", {"status": "ok", "result": [1, None, "x"]}).json()
    shown = client.get(f"/v1/actions/{seq}").json()

    (outcome,) = log.rows("outcome")
    assert closed == {"seq": seq, "outcome_seq": outcome.index, "leaf_hash": "0x" + outcome.leaf.hex()}
    assert (shown["tool"], shown["arguments"], shown["closed_by"]) == (
        "fs.write",
        {"path": "a.txt"},
        outcome.index,
    )
    assert (shown["proof"], shown["receipt"]) == (None, None)


def test_an_action_is_shown_with_the_operators_signed_head_over_it(make_gate, log):
    identity = LogIdentity(31337, OPERATOR, OPERATOR)
    client = Client(
        make_gate(
            receipts=Receipts(
                identity, lambda size, root: bytes([size]) * 65, lambda: log.recorder.head().size
            )
        )
    )
    for _ in range(5):
        client.post("/v1/actions", ACTION)

    shown = client.get("/v1/actions/3").json()

    receipt = shown["receipt"]
    hashes = [bytes.fromhex(node[2:]) for node in receipt.pop("inclusion")]
    root = frontier_at(log.reader, 5).root()
    assert receipt == {
        "chain_id": 31337,
        "council": OPERATOR,
        "operator": OPERATOR,
        "size": 5,
        "root": "0x" + root.hex(),
        "signature": "0x" + "05" * 65,
    }
    verify_inclusion(leaf_hash(shown["entry"].encode()), 3, 5, hashes, root)


def test_an_anchored_action_is_shown_with_a_proof_that_holds(client, log):
    for _ in range(5):
        client.post("/v1/actions", ACTION)
    tree = frontier_at(log.reader, 5)
    log.store.save_checkpoint(SavedCheckpoint(5, tree.nodes, tree.root(), "the note", bytes(65), "0xtx"))
    client.post("/v1/actions", ACTION)

    shown, later = client.get("/v1/actions/3").json(), client.get("/v1/actions/5").json()

    proof = shown["proof"]
    hashes = [bytes.fromhex(node[2:]) for node in proof["hashes"]]
    leaf = leaf_hash(shown["entry"].encode())
    assert shown["leaf_hash"] == "0x" + leaf.hex()
    verify_inclusion(leaf, proof["index"], proof["tree_size"], hashes, bytes.fromhex(proof["root"][2:]))
    assert (proof["tree_size"], proof["checkpoint"], proof["tx"]) == (5, "the note", "0xtx")
    assert later["proof"] is None


def test_a_batch_answers_each_action_in_its_place(client):
    client.post("/v1/actions", ACTION | {"idempotency_key": "k"})

    response = client.post(
        "/v1/actions/batch", {"actions": [ACTION, {"tool": "other", "idempotency_key": "k"}, ACTION]}
    )

    first, second, third = response.json()["results"]
    assert [first["decision"], second["decision"], third["decision"]] == ["allow", "deny", "allow"]
    assert second["error"]["code"] == "AG613"


def test_status_says_where_the_agent_stands_and_that_there_is_no_policy(client, situation):
    situation.lag = (3, 1.5)

    status = client.get("/v1/status").json()

    assert status["may_act"] is True
    assert status["policy"] == "none configured: every action is allowed while the agent may run"
    assert status["anchor_lag"] == {"entries": 3, "seconds": 1.5, "max_entries": 10_000, "max_seconds": 600.0}
    assert (status["state"], status["observed_block"]["number"]) == (None, 7)


def test_status_names_the_state_on_chain(gate, situation):
    state = AgentState(
        bytes(32), State.PAUSED, False, 4, 0, 0, 0, 0, 9, 0, 0, "0x" + "00" * 20, Head(0, bytes(32)), 0
    )
    gate._standing = lambda: Standing("alice", situation.standing().verdict, None, state)

    status = Client(gate).get("/v1/status").json()

    assert (status["state"], status["epoch"], status["observed_block"]) == ("paused", 4, None)


@pytest.mark.parametrize(
    ("change", "may_act"),
    [
        ({}, True),
        ({"decision": Decision.FREEZE}, False),
        ({"stopping": True}, False),
        ({"lag": (10_001, 0)}, False),
    ],
)
def test_status_may_act_agrees_with_the_gate(client, situation, change, may_act):
    for name, value in change.items():
        setattr(situation, name, value)

    assert client.get("/v1/status").json()["may_act"] is may_act
    assert (client.post("/v1/actions", ACTION).status_code == 200) is may_act


def test_health_answers_while_the_agent_is_halted(client, situation):
    situation.decision = Decision.HALT

    assert client.get("/health").json() == {"ok": True}


def test_the_description_holds_every_endpoint_with_its_body_and_refers_to_nothing_missing(client):
    described = client.get("/openapi.json").json()

    assert set(described["paths"]) == {
        "/v1/actions", "/v1/actions/batch", "/v1/actions/{seq}", "/v1/actions/{seq}/outcome", "/v1/status", "/health"
    }  # fmt: skip
    text = json.dumps(described)
    referred = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert referred <= set(described["components"]["schemas"])
    for path in ("/v1/actions", "/v1/actions/batch", "/v1/actions/{seq}/outcome"):
        post = described["paths"][path]["post"]
        assert post["requestBody"]["content"]["application/json"]["schema"]["properties"]
        assert {"403", "423", "503", "413", "422"} <= set(post["responses"])


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (ACTION, {}),
        (ACTION, {"decision": Decision.HALT}),
        (ACTION, {"decision": Decision.FREEZE}),
        ({"tool": 7}, {}),
        ([], {}),
    ],
)
def test_the_short_way_of_an_action_answers_as_the_described_endpoint_does(
    make_gate, situation, monkeypatch, body, change
):
    for name, value in change.items():
        setattr(situation, name, value)
    short = Client(make_gate()).post("/v1/actions", body)
    monkeypatch.setattr("agent_guard.api.asking.is_asked", lambda scope: False)
    long = Client(make_gate()).post("/v1/actions", body)

    assert (short.status_code, short.headers.keys()) == (long.status_code, long.headers.keys())
    told = [answer.json() | {"seq": 0, "leaf_hash": ""} for answer in (short, long)]
    assert told[0] == told[1]


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"decision": Decision.HALT}, 423, "AG602"),
        ({"decision": Decision.FREEZE}, 503, "AG603"),
        ({"stopping": True}, 403, "AG620"),
        ({"lag": (10_001, 0.0)}, 503, "AG604"),
    ],
)
def test_an_agent_that_may_not_act_gets_the_status_for_it(client, log, situation, change, status, code):
    for name, value in change.items():
        setattr(situation, name, value)
    situation.reason = "two of three signers said so"

    error = check_refusal(client.post("/v1/actions", ACTION), status, code)

    assert code == "AG604" or "two of three signers said so" in error["message"]
    assert [content["code"] for content in refused(log)] == [code]


def test_a_halt_between_the_intent_and_the_answer_is_423(client, log, situation):
    situation.verdicts = [Decision.RUN, Decision.HALT]

    check_refusal(client.post("/v1/actions", ACTION), 423, "AG602")
    assert [row.kind for row in log.rows()] == ["intent", "refused"]


BAD_JSON: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "Expecting value"),
    "no JSON": (b"tool=fs.write", "Expecting value"),
    "cut short": (b'{"tool": "a"', "line 1, column"),
    "two values": (b'{"tool":"a"}{"tool":"b"}', "Extra data"),
    "binary": (bytes(range(256)), "not UTF-8 at byte 128"),
    "UTF-16": ('{"tool":"a"}'.encode("utf-16"), "not UTF-8 at byte 0"),
    "a byte order mark": (b"\xef\xbb\xbf" + b'{"tool":"a"}', "BOM"),
    "overlong UTF-8": (b'{"tool":"\xc0\xaf"}', "not UTF-8 at byte 9"),
    "NaN": (b'{"tool":"a","arguments":{"x":NaN}}', "NaN"),
    "Infinity": (b'{"tool":"a","arguments":{"x":-Infinity}}', "infinities"),
    "a number beyond a double": (b'{"tool":"a","arguments":{"x":1e999}}', "infinities"),
    "an integer beyond 2^53": (b'{"tool":"a","arguments":{"x":9007199254740992}}', "2^53"),
    "an endless integer": (b'{"tool":"a","arguments":{"x":' + b"9" * 5_000 + b"}}", "digits"),
    "a float that is a large integer": (b'{"tool":"a","arguments":{"x":1e17}}', "2^53"),
    "a key twice": (b'{"tool":"a","tool":"b"}', "twice"),
    "a key twice far down": (b'{"tool":"a","arguments":{"x":[{"k":1,"\\u006b":2}]}}', "twice"),
    "a lone surrogate": (b'{"tool":"a","arguments":{"x":"\\ud800"}}', "surrogate"),
    "a lone surrogate in a key": (b'{"tool":"a","arguments":{"\\udfff":1}}', "surrogate"),
    "deep arrays": (b'{"tool":"a","arguments":{"x":' + b"[" * 65 + b"]" * 65 + b"}}", "deep"),
    "bottomless arrays": (b"[" * 500_000, "deep"),
    "bottomless objects": (b'{"a":' * 150_000, "deep"),
    "a control character": (b'{"tool":"a\x1b[31m"}', "control character"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_what_is_no_acceptable_json_is_400_says_why_and_is_recorded(client, log, name):
    body, problem = BAD_JSON[name]

    error = check_refusal(client.raw(body), 400, "AG608")

    assert problem in error["message"]
    assert [content["code"] for content in refused(log)] == ["AG608"]
    assert log.rows("intent") == []


@pytest.mark.parametrize("path", ["/v1/actions/batch", "/v1/actions/0/outcome"])
def test_every_endpoint_with_a_body_reads_it_as_strictly(client, log, path):
    check_refusal(client.raw(b'{"tool":"a","tool":"b"}', path), 400, "AG608")
    assert [content["path"] for content in refused(log)] == [f"'{path}'"]


WRONG_SHAPES: dict[str, tuple[Any, str]] = {
    "null": (None, "body"),
    "an array": ([], "body"),
    "a string": ("fs.write", "body"),
    "no tool": ({}, "tool"),
    "a number for the tool": ({"tool": 5}, "tool"),
    "an empty tool": ({"tool": ""}, "tool"),
    "a long tool": ({"tool": "a" * 129}, "tool"),
    "a space in the tool": ({"tool": "fs write"}, "tool"),
    "a line break in the tool": ({"tool": "fs.write\nforged row"}, "tool"),
    "a line break after the tool": ({"tool": "fs.write\n"}, "tool"),
    "a bidi override in the tool": ({"tool": "fs\u202ewrite"}, "tool"),
    "arguments in an array": ({"tool": "a", "arguments": [1]}, "arguments"),
    "arguments null": ({"tool": "a", "arguments": None}, "arguments"),
    "critical as a number": ({"tool": "a", "critical": 1}, "critical"),
    "critical as text": ({"tool": "a", "critical": "true"}, "critical"),
    "a number for the key": ({"tool": "a", "idempotency_key": 7}, "idempotency_key"),
    "an empty key": ({"tool": "a", "idempotency_key": ""}, "idempotency_key"),
    "a long key": ({"tool": "a", "idempotency_key": "k" * 129}, "idempotency_key"),
    "a key beyond ASCII": ({"tool": "a", "idempotency_key": "ключ"}, "idempotency_key"),
    "a forged seq": ({"tool": "a", "seq": 3}, "seq"),
    "a forged decision": ({"tool": "a", "decision": "allow"}, "decision"),
    "another agent": ({"tool": "a", "agent": "bob"}, "agent"),
}


@pytest.mark.parametrize("name", WRONG_SHAPES)
def test_a_wrong_shape_is_422_names_the_field_and_is_recorded(client, log, name):
    body, field = WRONG_SHAPES[name]

    error = check_refusal(client.post("/v1/actions", body), 422, "AG610")

    assert f"{field}: " in error["message"]
    assert [content["code"] for content in refused(log)] == ["AG610"]
    assert log.rows("intent") == []


@pytest.mark.parametrize("body", [{}, {"status": "done"}, {"status": "ok", "more": 1}, {"status": None}, []])
def test_a_wrong_outcome_is_422(client, body):
    seq = client.post("/v1/actions", ACTION).json()["seq"]

    check_refusal(client.post(f"/v1/actions/{seq}/outcome", body), 422, "AG610")
    assert client.post(f"/v1/actions/{seq}/outcome", {"status": "ok"}).status_code == 200


@pytest.mark.parametrize("actions", [[], [ACTION] * 257, [ACTION, {"tool": 5}], {"0": ACTION}, None])
def test_a_wrong_batch_is_422_as_a_whole(client, log, actions):
    check_refusal(client.post("/v1/actions/batch", {"actions": actions}), 422, "AG610")
    assert log.rows("intent") == []


def test_an_error_never_repeats_what_the_agent_sent(client):
    evil = "\x1b[2J\u202eforged"

    for body in ({evil: 1, "tool": "a"}, {"tool": evil}, {"tool": "a", "idempotency_key": evil}):
        message = client.post("/v1/actions", body).text
        assert "\x1b" not in message
        assert "\u202e" not in json.loads(message)["error"]["message"]


def test_a_thousand_wrong_fields_make_a_short_answer(client):
    response = client.post("/v1/actions", {"tool": "a"} | {f"field{n}": n for n in range(1_000)})

    assert "and 992 more" in check_refusal(response, 422, "AG610")["message"]
    assert len(response.content) < 2_000


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_what_is_not_announced_as_json_is_415_and_recorded(client, log, headers):
    response = client.raw(json.dumps(ACTION).encode(), headers=headers)

    check_refusal(response, 415, "AG609")
    assert [content["code"] for content in refused(log)] == ["AG609"]


def test_a_charset_after_the_media_type_is_fine(client):
    headers = {"content-type": "Application/JSON; charset=utf-8"}

    assert client.raw(json.dumps(ACTION).encode(), headers=headers).status_code == 200


def sized(size: int) -> bytes:
    frame = b'{"tool":"a","arguments":{"x":""}}'
    return frame[:-3] + b"x" * (size - len(frame)) + frame[-3:]


@pytest.mark.parametrize(("size", "status"), [((1 << 20) - 1, 200), (1 << 20, 200), ((1 << 20) + 1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_may_hold_one_mebibyte_and_no_byte_more(client, log, size, status, chunked):
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 65_536):
            yield sized(size)[start : start + 65_536]

    response = client.raw(chunks() if chunked else sized(size))

    assert response.status_code == status
    if status == 413:
        check_refusal(response, 413, "AG607")
        assert response.headers["connection"] == "close"
        assert [content["code"] for content in refused(log)] == ["AG607"]


def test_a_body_in_endless_chunks_is_refused_while_it_is_read(client):
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    # httpx's ASGI transport hands over what the application asks for and no more.
    check_refusal(client.raw(endless()), 413, "AG607")
    assert sent <= (1 << 20) + 2 * 65_536


@pytest.mark.parametrize("length", ["-5", "1e3", "9" * 30, "٣"])
def test_a_lying_content_length_changes_nothing(gate, length):
    answers = []

    async def scene() -> None:
        body = [{"type": "http.request", "body": json.dumps(ACTION).encode(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            return body.pop()

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        headers = [(b"content-type", b"application/json"), (b"content-length", length.encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/actions",
            "headers": headers,
            "query_string": b"",
        }
        await door(create_app(), gate)(scope, receive, send)

    asyncio.run(scene())
    assert answers[0]["status"] == 200


@pytest.mark.parametrize(
    "seq", ["1", "999999999999999", "-1", "01", "1e3", "٣", "99999999999999999999", "0x0", "%00"]
)
def test_a_forged_number_is_404_for_reading_and_for_reporting(client, log, seq):
    client.post("/v1/actions", ACTION)

    check_refusal(client.get(f"/v1/actions/{seq}"), 404, "AG611")
    check_refusal(client.post(f"/v1/actions/{seq}/outcome", {"status": "ok"}), 404, "AG611")
    assert log.rows("outcome") == []
    assert refused(log)


def test_a_second_outcome_is_409(client):
    seq = client.post("/v1/actions", ACTION).json()["seq"]
    client.post(f"/v1/actions/{seq}/outcome", {"status": "ok"})

    check_refusal(client.post(f"/v1/actions/{seq}/outcome", {"status": "error"}), 409, "AG612")


def test_a_key_used_for_another_action_is_409(client):
    client.post("/v1/actions", ACTION | {"idempotency_key": "k"})

    response = client.post("/v1/actions", {"tool": "fs.delete", "idempotency_key": "k"})
    check_refusal(response, 409, "AG613")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/actions/../../etc/passwd", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", "/v1/actions", 405),
        ("DELETE", "/v1/actions/0", 405),
        ("PUT", "/v1/status", 405),
    ],
)
def test_what_is_no_endpoint_gets_the_same_shape(client, method, path, status):
    check_refusal(client.send(method, path), status, "AG614")


def test_a_failure_that_nobody_foresaw_is_no_permission(gate, caplog):
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    gate.decide = fail

    check_refusal(Client(gate).post("/v1/actions", ACTION), 500, "AG100")


def test_every_code_of_the_api_has_an_explanation_and_every_one_it_sends_a_status():
    from agent_guard.api.failures import STATUS

    assert set(STATUS) <= set(CATALOGUE)
    assert all(400 <= status < 600 for status in STATUS.values())
