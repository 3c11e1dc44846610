"""What an agent's code uses: ask before each action, report afterwards, never act without a yes.

    guard = Guard()
    with guard.action("fs.write", path="notes.txt") as action:
        action.result = write("notes.txt")

    @guard.tool
    def fetch(url: str) -> str: ...

    with guard.checkpoint("work.json", {"next": 0}) as state:
        ...

Guarantees: the body of an action runs only after the guard said yes to it; what it returns or raises is reported.
Once a stop is announced none begins, and those under way are not interrupted.
This module protects nothing: it lives inside the container, and an agent may do without it. What holds the agent is
the container; what stands in the log is the guard's.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

import httpx

from agent_guard.errors import GuardError
from agent_guard.sdk.checkpoint import Checkpoint
from agent_guard.sdk.process import PerProcess
from agent_guard.sdk.refusals import Denied, Stopping, Unrecorded
from agent_guard.sdk.represent import represent, text_of
from agent_guard.sdk.stop import Stop
from agent_guard.sdk.wire import Wire

if TYPE_CHECKING:
    from agent_guard.sdk.receipt import Receipt

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

DEFAULT_SECONDS = 10.0
THREADS = 16


class Guard:
    """The guard of this agent. Safe to share between threads, tasks and forked processes.

    Args:
        socket: the guard's Unix socket; None: where AGENT_GUARD_SOCKET says, looked up at the first request.
        timeout: seconds that each step of a request may take; no answer in time is `Unreachable`.
        transport: stands in for the socket (tests).
    """

    def __init__(
        self,
        socket: str | Path | None = None,
        *,
        timeout: float = DEFAULT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._wire = Wire(None if socket is None else Path(socket), timeout, transport)
        self._threads = PerProcess(lambda: ThreadPoolExecutor(THREADS, "agent-guard-sdk"))
        self._stop = Stop()

    def action(
        self, tool: str, /, *, critical: bool = False, idempotency_key: str | None = None, **arguments: Any
    ) -> "Action":
        """An action to enter with `with` or `async with`; entering asks the guard.

        Args:
            tool: what is done: at most 128 letters, digits and `_ . : / @ + -`.
            critical: anchor it on chain at once.
            idempotency_key: the same key with the same tool and arguments is the same action.
            arguments: what it is done with; recorded as `sdk.represent` shows values.

        Raises (on entering):
            Denied: the guard did not say yes; `Stopping`, `Halted` and `Unreachable` are kinds of it.
        """
        return Action(self, tool, arguments, critical, idempotency_key)

    @overload
    def tool(self, function: Callable[Parameters, Returned], /) -> Callable[Parameters, Returned]: ...

    @overload
    def tool(
        self, /, *, name: str | None = None, critical: bool = False
    ) -> Callable[[Callable[Parameters, Returned]], Callable[Parameters, Returned]]: ...

    def tool(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        critical: bool = False,
    ) -> Any:
        """Makes every call of a function an action: its name, its arguments, and what it returns or raises.

        For functions and coroutine functions; a generator runs after its call has returned, so it is refused with
        `TypeError`. The first parameter is left out of the record where it is called `self` or `cls`.
        """
        if function is None:
            return functools.partial(self._wrapped, name=name, critical=critical)
        return self._wrapped(function, name=name, critical=critical)

    def checkpoint(self, path: str | Path, initial: Mapping[str, Any]) -> Checkpoint:
        """A task that a planned stop interrupts and a later start continues; to enter with `with` or `async with`.

            with guard.checkpoint("count.json", {"next": 0, "sum": 0}) as state:
                while state["next"] < 1000:
                    with guard.action("count", number=state["next"]):
                        found = count(state["next"])
                        state["sum"] += found
                        state["next"] += 1

        The block gets the state that was saved, or a copy of `initial`. Change it in place, as the last thing in the
        action that it tells of, and keep all in it that must not be done twice. `sdk.checkpoint` says what becomes of
        it, and what SIGTERM does meanwhile.

        Args:
            path: the file, in the agent's work folder or another that lasts; one block at a time for each.
            initial: the state of a task that begins: what JSON gives back as it was.

        Raises (on entering, before any work; the file stays as it is):
            GuardError: AG621 what stands there is no whole checkpoint; AG622 `initial` is no JSON, or there is no
                writing in that folder.
        Raises (on leaving):
            GuardError: AG622 the state is no JSON or could not be written; the last saved one is kept.
        """
        return Checkpoint(self._stop, Path(path), initial)

    @property
    def stopping(self) -> bool:
        """Whether a stop was announced to this process: the guard refused an action for it, or SIGTERM came while a
        checkpoint's block was entered in the main thread. It stays so."""
        return self._stop.announced

    def pause_point(self) -> None:
        """Raises `Stopping` if `stopping`: for stretches of work without an action. Asks nobody."""
        self._stop.check()

    def status(self) -> dict[str, Any]:
        """Where the agent stands, as `GET /v1/status` says. Raises `Unreachable`, or `Denied` for another refusal."""
        return self._wire.request("GET", "/v1/status")

    def close(self) -> None:
        """Closes the connections. The guard may be used again; it opens new ones."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wrapped(
        self, function: Callable[..., Any], *, name: str | None, critical: bool
    ) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is a generator: guard the function that consumes it")
        tool = function.__name__ if name is None else name
        signature = inspect.signature(function)

        def action(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Action:
            return Action(self, tool, _arguments(signature, args, kwargs), critical, None)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with action(args, kwargs) as asked:
                asked.result = function(*args, **kwargs)
            return asked.result

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            async with action(args, kwargs) as asked:
                asked.result = await function(*args, **kwargs)
            return asked.result

        return call_async if inspect.iscoroutinefunction(function) else call


class Action:
    """One action, asked for on entering and reported on leaving; to be entered once.

    `result` is what is reported when the body ends well; `seq` and `leaf_hash` name the intent in the guard's log.
    """

    def __init__(
        self,
        guard: Guard,
        tool: str,
        arguments: Mapping[str, Any],
        critical: bool,
        idempotency_key: str | None,
    ) -> None:
        self.tool = tool
        self.result: Any = None
        self.seq: int | None = None
        self.leaf_hash: str | None = None
        self._guard = guard
        self._proposal = {"tool": tool, "arguments": represent(dict(arguments)), "critical": critical}
        if idempotency_key is not None:
            self._proposal["idempotency_key"] = idempotency_key
        self._entered = False

    def __enter__(self) -> Self:
        self._ask()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report(error)

    async def __aenter__(self) -> Self:
        asking = self._guard._threads.get().submit(self._ask)
        try:
            await asyncio.shield(asyncio.wrap_future(asking))
        except asyncio.CancelledError:
            # The guard may still say yes to what nobody will do any more; then that is what happened.
            asking.add_done_callback(self._abandon)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.wrap_future(self._guard._threads.get().submit(self._report, error)))

    def receipt(self, operator: str | None = None, patience: float = DEFAULT_SECONDS) -> "Receipt":
        """The operator's signed receipt of this action, once it was allowed; checked, as `sdk.receipt` says.

        Args:
            operator: whose signature it must bear; None: AGENT_GUARD_OPERATOR, which `agent-guard run` sets. Who
                trusts not even that learns the address from the chain.
            patience: seconds to ask again in, for as long as the guard has signed no head that covers the action.

        Raises:
            GuardError: AG435 it does not hold; AG436 there is none yet, or no operator is named.
            Denied: the guard refused to answer; `Unreachable` is a kind of it.
        """
        if self.seq is None:
            raise RuntimeError("an action has a receipt once it was allowed")
        from agent_guard.sdk import receipt as receipts

        return receipts.ask(self._guard._wire, self.seq, self.leaf_hash, operator, patience)

    async def receipt_async(
        self, operator: str | None = None, patience: float = DEFAULT_SECONDS
    ) -> "Receipt":
        """`receipt` for coroutines: the loop goes on meanwhile."""
        asking = self._guard._threads.get().submit(self.receipt, operator, patience)
        return await asyncio.wrap_future(asking)

    def _ask(self) -> None:
        if self._entered:
            raise RuntimeError("an action is entered once; ask guard.action() for a new one")
        self._entered = True
        self._guard._stop.check_signal()
        try:
            answer = self._guard._wire.request("POST", "/v1/actions", self._proposal)
        except Stopping:
            self._guard._stop.announced = True
            raise
        if answer.get("decision") != "allow" or not isinstance(answer.get("seq"), int):
            raise Denied(
                "AG601",
                f"The guard ruled {answer.get('decision')!r} on {self.tool}. The action must not happen.",
                "Do not act; ask again later.",
                200,
            )
        self.seq, self.leaf_hash = answer["seq"], answer.get("leaf_hash")

    def _report(self, error: BaseException | None) -> None:
        """Reports the outcome; a body's own exception is never replaced by one of ours."""
        outcome = {"status": "ok", "result": represent(self.result)} if error is None else _failure(error)
        try:
            self._guard._wire.request("POST", f"/v1/actions/{self.seq}/outcome", outcome)
        except GuardError as refused:
            if error is None:
                raise _unrecorded(self.tool, self.seq, refused) from refused
            error.add_note(f"agent-guard: the outcome of action {self.seq} is not recorded: {refused}")

    def _abandon(self, asking: "Future[None]") -> None:
        if not asking.cancelled() and asking.exception() is None:
            self._guard._threads.get().submit(
                self._report, asyncio.CancelledError("cancelled before it began")
            )


def _arguments(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The call's arguments by name. A call that does not fit raises `TypeError`, as it would without a guard."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    first = next(iter(signature.parameters), "")
    if first in ("self", "cls"):
        arguments.pop(first, None)
    return arguments


def _failure(error: BaseException) -> dict[str, Any]:
    return {"status": "error", "result": {"type": type(error).__qualname__, "message": text_of(error)}}


def _unrecorded(tool: str, seq: int | None, refused: GuardError) -> Unrecorded:
    return Unrecorded(
        "AG619",
        f"{tool} was allowed as action {seq} and took place, but its outcome is not recorded: {refused.message}",
        "Do not repeat the action; the log shows it as allowed, without an outcome.",
    )
