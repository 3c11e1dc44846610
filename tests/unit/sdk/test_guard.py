"""The SDK against a guard that answers as the test says."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from agent_guard.errors import GuardError
from agent_guard.sdk import Denied, Guard, Halted, Stopping, Unreachable, Unrecorded

pytestmark = pytest.mark.unit


def test_an_action_is_asked_for_before_its_body_and_reported_after(guard, answers):
    with guard.action("fs.write", path="a.txt") as action:
        assert [path for path, _ in answers.requests] == ["/v1/actions"]
        assert (action.seq, action.leaf_hash) == (1, "0xab")
        action.result = {"bytes": 3}

    assert answers.requests == [
        ("/v1/actions", {"tool": "fs.write", "arguments": {"path": "a.txt"}, "critical": False}),
        ("/v1/actions/1/outcome", {"status": "ok", "result": {"bytes": 3}}),
    ]


def test_options_of_an_action_go_with_it(guard, answers):
    with guard.action("pay", critical=True, idempotency_key="k", amount=3):
        pass

    assert answers.requests[0][1] == {
        "tool": "pay", "arguments": {"amount": 3}, "critical": True, "idempotency_key": "k"
    }  # fmt: skip


def test_an_exception_in_the_body_is_reported_and_raised(guard, answers):
    with pytest.raises(ValueError, match="broken"), guard.action("fs.write"):
        raise ValueError("broken")

    assert answers.outcomes == [{"status": "error", "result": {"type": "ValueError", "message": "broken"}}]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AG601", Denied),
        (403, "AG620", Stopping),
        (423, "AG602", Halted),
        (503, "AG603", Denied),
        (422, "AG610", Denied),
        (500, "AG100", Denied),
    ],
)
def test_a_refusal_is_raised_and_the_body_never_runs(guard, answers, status, code, kind):
    answers.asked = answers.refusal(status, code)

    with pytest.raises(kind) as caught, guard.action("fs.write"):
        raise AssertionError("acted without a yes")

    assert (caught.value.code, caught.value.message, caught.value.status) == (code, "because", status)
    assert type(caught.value) is kind
    assert isinstance(caught.value, Denied)
    assert isinstance(caught.value, GuardError)
    assert answers.outcomes == []


@pytest.mark.parametrize(
    "reply",
    [
        httpx.ConnectError("no"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
        httpx.Response(200, content=b"yes"),
        httpx.Response(200, json=["allow"]),
        httpx.Response(200, content=b""),
        httpx.Response(500, content=b"oops"),
        httpx.Response(503, json={"error": "no"}),
    ],
)
def test_no_clear_answer_is_unreachable_and_the_body_never_runs(guard, answers, reply):
    answers.asked = reply

    with pytest.raises(Unreachable), guard.action("fs.write"):
        raise AssertionError("acted without a yes")


@pytest.mark.parametrize(
    "answer",
    [{"decision": "wait", "seq": 1}, {"decision": "deny", "seq": 1}, {"seq": 1}, {"decision": "allow"}, {}],
)
def test_only_the_word_allow_with_a_number_is_a_yes(guard, answers, answer):
    answers.asked = httpx.Response(200, json=answer)

    with pytest.raises(Denied), guard.action("fs.write"):
        raise AssertionError("acted without a yes")


def test_a_code_that_this_version_does_not_know_is_still_a_refusal(guard, answers):
    answers.asked = answers.refusal(403, "AG699")

    with pytest.raises(Denied) as caught, guard.action("fs.write"):
        pass
    assert caught.value.code == "AG601"


def test_an_outcome_that_can_not_be_recorded_is_said_after_a_body_that_ended_well(guard, answers):
    answers.reported = httpx.ReadTimeout("slow")

    with (
        pytest.raises(Unrecorded, match=r"fs\.write was allowed as action 1 and took place"),
        guard.action("fs.write"),
    ):
        pass


def test_an_outcome_that_can_not_be_recorded_does_not_hide_the_bodys_exception(guard, answers):
    answers.reported = answers.refusal(503, "AG605")

    with pytest.raises(ValueError, match="broken") as caught, guard.action("fs.write"):
        raise ValueError("broken")
    assert "not recorded" in caught.value.__notes__[0]


def test_an_action_is_entered_once(guard):
    action = guard.action("fs.write")
    with action:
        pass

    with pytest.raises(RuntimeError, match="entered once"), action:
        pass


def test_without_the_variable_the_guard_is_unreachable(monkeypatch: Any):
    monkeypatch.delenv("AGENT_GUARD_SOCKET", raising=False)

    with pytest.raises(Unreachable, match="AG618"):
        Guard().status()


def test_a_socket_that_is_not_there_is_unreachable(tmp_path: Any):
    with pytest.raises(Unreachable, match="AG617"):
        Guard(tmp_path / "missing" / ("deep" * 30) / "guard.sock").status()


# -- decorated functions --------------------------------------------------------------------------------------------


def test_a_decorated_function_is_an_action_named_after_it(guard, answers):
    @guard.tool
    def copy(source: str, *more: str, target: str = "b", **options: int) -> str:
        """Copies."""
        return f"{source}->{target}"

    assert copy("a", "x", mode=7) == "a->b"

    assert copy.__doc__ == "Copies."
    assert answers.requests[0][1]["tool"] == "copy"
    assert answers.requests[0][1]["arguments"] == {
        "source": "a", "more": ["x"], "target": "b", "options": {"mode": 7}
    }  # fmt: skip
    assert answers.outcomes == [{"status": "ok", "result": "a->b"}]


def test_arguments_called_like_our_options_are_arguments(guard, answers):
    @guard.tool(name="ns.tool", critical=True)
    def anything(critical: str, idempotency_key: str, tool: str) -> None: ...

    anything("c", "i", "t")

    assert answers.requests[0][1] == {
        "tool": "ns.tool",
        "arguments": {"critical": "c", "idempotency_key": "i", "tool": "t"},
        "critical": True,
    }


def test_a_method_is_recorded_without_its_object(guard, answers):
    class Files:
        @guard.tool
        def read(self, path: str) -> str:
            return path

    assert Files().read("a") == "a"
    assert answers.requests[0][1]["arguments"] == {"path": "a"}


def test_a_refused_function_does_not_run(guard, answers):
    answers.asked = answers.refusal(423, "AG602")

    @guard.tool
    def act() -> None:
        raise AssertionError("acted without a yes")

    with pytest.raises(Halted):
        act()


def test_a_call_that_does_not_fit_is_a_type_error_and_no_action(guard, answers):
    @guard.tool
    def act(path: str) -> None: ...

    with pytest.raises(TypeError):
        act()
    assert answers.requests == []


def test_what_a_function_returns_is_not_replaced_by_its_representation(guard, answers):
    value = object()

    @guard.tool
    def act() -> object:
        return value

    assert act() is value
    assert answers.outcomes[0]["result"]["type"] == "object"


def test_a_generator_is_refused_when_it_is_decorated(guard):
    def numbers() -> Iterator[int]:
        yield 1

    async def async_numbers() -> AsyncIterator[int]:
        yield 1

    for generator in (numbers, async_numbers):
        with pytest.raises(TypeError, match="generator"):
            guard.tool(generator)


# -- asynchronous ---------------------------------------------------------------------------------------------------


def test_an_asynchronous_action_is_asked_and_reported(guard, answers):
    async def scene() -> None:
        async with guard.action("fetch", url="u") as action:
            action.result = 1
        with pytest.raises(ValueError, match="broken"):
            async with guard.action("fetch"):
                raise ValueError("broken")

    asyncio.run(scene())
    assert [outcome["status"] for outcome in answers.outcomes] == ["ok", "error"]


def test_a_coroutine_function_is_decorated_as_one(guard, answers):
    @guard.tool
    async def fetch(url: str) -> str:
        await asyncio.sleep(0)
        return url.upper()

    assert asyncio.run(fetch("u")) == "U"
    assert asyncio.run(fetch("v")) == "V"  # another loop
    assert [outcome["result"] for outcome in answers.outcomes] == ["U", "V"]


def test_many_asynchronous_actions_at_once(guard, answers):
    @guard.tool
    async def act(n: int) -> int:
        return n

    async def scene() -> list[int]:
        return await asyncio.gather(*(act(n) for n in range(100)))

    assert asyncio.run(scene()) == list(range(100))
    assert len(answers.outcomes) == 100


def test_an_action_cancelled_while_it_was_asked_for_is_reported_as_not_begun(guard, answers):
    import threading

    may_answer = threading.Event()
    plain = answers.answer

    def slow(request: httpx.Request) -> httpx.Response:
        may_answer.wait(60)
        return plain(request)

    answers.handler = slow

    async def scene() -> None:
        async def act() -> None:
            async with guard.action("fetch"):
                raise AssertionError("begun")

        acting = asyncio.create_task(act())
        await asyncio.sleep(0.05)
        acting.cancel()
        await asyncio.wait([acting])
        assert acting.cancelled()
        may_answer.set()
        while not answers.outcomes:  # noqa: ASYNC110 - the stand-in has no event to wait for
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scene(), 5))
    assert answers.outcomes[0]["status"] == "error"
    assert answers.outcomes[0]["result"]["message"] == "cancelled before it began"


# -- weight ---------------------------------------------------------------------------------------------------------


def test_the_sdk_loads_nothing_of_the_guards_weight():
    code = "import sys, agent_guard.sdk; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    # (httpx itself loads rich where that is installed.)
    heavy = {
        "web3",
        "eth_account",
        "fastapi",
        "starlette",
        "pydantic",
        "uvicorn",
        "sqlite3",
        "typer",
        "cryptography",
    }
    assert heavy.isdisjoint(loaded)
    assert {name for name in loaded if name.startswith("agent_guard.")} <= {
        "agent_guard.errors", "agent_guard.sdk", "agent_guard.sdk.guard", "agent_guard.sdk.refusals",
        "agent_guard.sdk.represent", "agent_guard.sdk.wire", "agent_guard.sdk.process", "agent_guard.sdk.stop",
        "agent_guard.sdk.checkpoint", "agent_guard.canonical",
    }  # fmt: skip


def test_a_forked_process_gets_connections_of_its_own(guard, monkeypatch: Any):
    guard.status()
    client = guard._wire._client.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    guard.status()

    assert guard._wire._client.get() is not client
