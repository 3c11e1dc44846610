"""A guard behind no socket, that answers as the test says."""

import json
from typing import Any

import httpx
import pytest

from agent_guard.sdk import Guard


class Answers(httpx.MockTransport):
    """Stands in for the guard's socket: records requests, allows all, unless told otherwise."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.requests: list[tuple[str, Any]] = []
        self.asked: Any = None
        self.reported: Any = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.url.path, json.loads(request.content or b"null")))
        reply = self.reported if request.url.path.endswith("/outcome") else self.asked
        if isinstance(reply, Exception):
            raise reply
        if reply is not None:
            return reply
        seq = len(self.requests)
        return httpx.Response(200, json={"seq": seq, "decision": "allow", "leaf_hash": "0xab"})

    @property
    def outcomes(self) -> list[Any]:
        return [body for path, body in self.requests if path.endswith("/outcome")]

    @staticmethod
    def refusal(status: int, code: str) -> httpx.Response:
        error = {"code": code, "kind": "failure", "message": "because", "remedy": "do something else"}
        return httpx.Response(status, json={"error": error})


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def guard(answers: Answers) -> Guard:
    return Guard(transport=answers)
