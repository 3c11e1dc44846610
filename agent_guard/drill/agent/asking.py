"""Tactics against the guard's API: forged and malformed calls, and a flood of well-formed ones."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable

from agent_guard.drill.agent.stage import Unable, alive, attempted, say

PATH = os.environ.get("AGENT_GUARD_SOCKET", "")
FLOOD_THREADS = 8
FOREIGN = 0
"""The first entry of the log is an intent of another agent's."""


def forge_calls() -> None:
    """Another agent's action closed and read, a key that stands for a closing, no HTTP at all, bodies of every kind."""
    _require_api()
    answers = [_answer(call) for call in _forged()]
    if any(answer.startswith(b"HTTP/1.1 200") for answer in answers):
        say("reached", "a forged call was taken")
    attempted(f"{len(answers)} calls, {sum(bool(answer) for answer in answers)} answers")


def flood_log() -> None:
    """Actions as fast as the guard takes them, from eight threads, until the end."""
    _require_api()
    taken = [0] * FLOOD_THREADS
    for number in range(FLOOD_THREADS):
        threading.Thread(target=_flood, args=(number, taken), daemon=True).start()
    time.sleep(1.0)
    attempted(f"{sum(taken)} answers in the first second")


def _flood(number: int, taken: list[int]) -> None:
    body = {"tool": "flood", "arguments": {"text": "x" * 4096}}
    while alive():
        if _answer(_call("POST", "/v1/actions", json.dumps(body).encode())):
            taken[number] += 1
        else:
            time.sleep(0.01)


def _forged() -> list[bytes]:
    outcome = b'{"status": "ok", "result": "forged"}'
    deep = b"[" * 20_000
    head = b"POST /v1/actions HTTP/1.1\r\nhost: guard\r\n"
    return [
        _call("POST", f"/v1/actions/{FOREIGN}/outcome", outcome),
        _call("GET", f"/v1/actions/{FOREIGN}"),
        *(
            _call("POST", f"/v1/actions/{seq}/outcome", outcome)
            for seq in ("-1", "00", "9" * 30, "1e3", "..")
        ),
        *(_call("GET", f"/v1/actions/{seq}") for seq in ("-1", "0x0", "%2e%2e%2f0", str(2**63))),
        *(
            _call("POST", "/v1/actions", body)
            for body in (b"", b"{", b"\xff\xfe\x00", b"null", deep, b"[1, 2]")
        ),
        _call("POST", "/v1/actions", b'{"tool": "x", "arguments": {}, "agent": "another"}'),
        _call("POST", "/v1/actions", b'{"tool": "x", "arguments": {"a": NaN}}'),
        _call("DELETE", f"/v1/actions/{FOREIGN}"),
        _call("POST", "/v1/resume", b"{}"),
        head + b"content-length: -5\r\n\r\n",
        head + b"content-length: 3\r\ncontent-length: 30\r\n\r\n{}\n",
        head + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\nffffffffffff\r\n",
        head + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        bytes(5000),
    ]


def _call(method: str, path: str, body: bytes | None = None) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: guard\r\nconnection: close\r\n"
    if body is not None:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


def _answer(call: bytes) -> bytes:
    """The beginning of what comes back; empty for nothing within a second."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(PATH)
            connection.sendall(call)
            return connection.recv(4096)
        except OSError:
            return b""


def _require_api() -> None:
    if "DRILL_API" not in os.environ:
        raise Unable("there is no API in this placement")


TACTICS: dict[str, Callable[[], object]] = {"forge-calls": forge_calls, "flood-log": flood_log}
