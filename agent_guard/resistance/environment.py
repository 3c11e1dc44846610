"""Inspect's door to the machine: a sandbox environment in which every command runs as the agent, in one container.

Guarantees: one container per sample, unprivileged, without network, with a home and processes that stay from call to
call; every command is bounded in time, and its output keeps only what fits; the container is gone when the sample is
cleaned up. A command is never repeated. When the agent's session is gone, commands fail as `SandboxUnavailableError`.
"""

import base64
from collections.abc import Callable, Mapping
from errno import EACCES, EISDIR, ENOENT, ENOTDIR
from typing import Any, Literal, TypeVar, overload

import anyio
from anyio import to_thread
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandboxenv,
)
from pydantic import BaseModel, ConfigDict

from agent_guard.resistance import texts
from agent_guard.resistance.channel import Answer, GoneError
from agent_guard.resistance.trial import Placement, Trial, Verdict

EXEC_LIMIT = 300.0
"""Seconds for a command for which nobody says how long it may take."""
_FILE_LIMIT = 60.0
_MARGIN = 10.0  # seconds that an answer may be late after its command's own limit
_AT_ONCE = 4

T = TypeVar("T")


class TrialConfig(BaseModel):
    """What the machine of a sample is set up for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    control: bool = False
    stop: Placement = "script"


@sandboxenv(name="bubblewrap")
class TrialEnvironment(SandboxEnvironment):
    """The sandbox of one sample, and the trial that goes on in it."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.trial = trial

    @classmethod
    async def sample_init(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """Start the machine. Raises the GuardErrors of `Machine.start`."""
        setup = config if isinstance(config, TrialConfig) else TrialConfig()
        problems = texts.problems(int(metadata.get("seed", 0)))
        trial = await to_thread.run_sync(Trial.start, setup.control, setup.stop, problems)
        return {"default": cls(trial)}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        """End the machine, whatever happened."""
        with anyio.CancelScope(shield=True):
            for environment in environments.values():
                await to_thread.run_sync(environment.as_type(TrialEnvironment).trial.machine.close)

    @classmethod
    def default_concurrency(cls) -> int | None:
        """How many machines run at once unless Inspect is told otherwise."""
        return _AT_ONCE

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        """The configuration as it stands in a log."""
        return TrialConfig.model_validate(config)

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,  # noqa: ASYNC109 - Inspect's interface
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Run a command as the agent, in its home. See the base class for what is raised."""
        if user not in (None, "agent"):
            raise SandboxUserUnsupportedError(f"everything here runs as the agent, and nothing as {user!r}")
        limit = EXEC_LIMIT if timeout is None else float(timeout)
        question = {
            "do": "execute",
            "argv": cmd,
            "cwd": str(self.trial.machine.home / (cwd or "")),
            "env": env or {},
            "input": _base64(input or b""),
            "limit": SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE,
            "timeout": limit,
        }
        if any("\0" in word for word in cmd):
            raise ValueError("embedded null byte")
        try:
            answer = await self._ask(question, limit)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self.trial.ran, cmd)
        return _result(cmd, answer)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a file as the agent; a relative path starts in its home."""
        path = str(self.trial.machine.home / file)
        question = {"do": "write", "path": path, "content": _base64(contents)}
        _raise_failure(await self._ask(question, _FILE_LIMIT), path)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Read a file as the agent; a relative path starts in its home."""
        path, limit = str(self.trial.machine.home / file), SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        answer = await self._ask({"do": "read", "path": path, "limit": limit}, _FILE_LIMIT)
        _raise_failure(answer, path)
        if answer.too_large or len(answer.content) > limit:
            raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None)
        return answer.content.decode() if text else answer.content

    async def finish(self) -> Verdict:
        """Carry the stop out if that is still to be done, and say what came of the trial."""
        return await to_thread.run_sync(self.trial.finish)

    async def over(self) -> bool:
        """Whether the agent has been stopped, or what it was about."""
        return await to_thread.run_sync(lambda: self.trial.over)

    async def _ask(self, question: Mapping[str, Any], limit: float) -> Answer:
        def ask() -> Answer:
            return self.trial.machine.ask_session(dict(question), limit + _MARGIN)

        try:
            # Left alone when the sample is cancelled: cleaning up closes the connection under it.
            return await to_thread.run_sync(ask, abandon_on_cancel=True)
        except GoneError as error:
            raise SandboxUnavailableError(f"The machine does not answer: {error}.") from error


def _base64(content: str | bytes) -> str:
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    return base64.b64encode(data).decode()


def _result(cmd: list[str], answer: Answer) -> ExecResult[str]:
    """What the shell would say of it: 127 for no such program."""
    if answer.late:
        raise TimeoutError(f"{cmd[0]} was ended: it took too long")
    if answer.errno == EACCES:
        raise PermissionError(answer.errno, "Permission denied", cmd[0])
    if answer.errno is not None:
        return ExecResult(False, 127 if answer.errno in (ENOENT, ENOTDIR) else 126, "", answer.text)
    words = (part.decode(errors="replace") for part in (answer.stdout, answer.stderr))
    code = answer.code if answer.code is not None else -1
    return ExecResult(code == 0, code, *words)


_FAILURES: Mapping[int, Callable[..., OSError]] = {
    ENOENT: FileNotFoundError,
    ENOTDIR: FileNotFoundError,
    EACCES: PermissionError,
    EISDIR: IsADirectoryError,
}


def _raise_failure(answer: Answer, path: str) -> None:
    if answer.errno is not None:
        raise _FAILURES.get(answer.errno, OSError)(answer.errno, answer.text, path)
