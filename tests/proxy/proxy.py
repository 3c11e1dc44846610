"""`Proxy`: the words with which a test tells a node how to behave. Each takes effect at once, for all that comes then.

Behaviours add up (a node may lag and lie and be slow); `ok()` ends them all. An answer is made when its request comes,
and then delayed: a slow node delivers old words late, which is the worst it can do.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from agent_guard.types import State
from tests.proxy import garbage, proofs, websocket
from tests.proxy.behaviour import Behaviour, Hook, Past, Proofs, Refusal
from tests.proxy.lies import COUNCIL, SNAPSHOT
from tests.proxy.script import Script
from tests.proxy.server import Server


class Proxy:
    """A node at `url` (HTTP, single and batch) and `ws_url`, behind which stands the Anvil at `upstream`."""

    def __init__(self, upstream: str) -> None:
        self._honest = Behaviour(upstream)
        self._script = Script(self._honest)
        self._server = Server(self._script)
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.ws_url = f"ws://127.0.0.1:{self._server.port}"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Ends the thread and all connections. Raises what went wrong in the proxy itself, if anything did."""
        self._server.stop()
        if self._script.failures:
            raise ExceptionGroup("the proxy failed", list(map(_as_exception, self._script.failures)))

    def __enter__(self) -> "Proxy":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _change(self, **fields: Any) -> None:
        with self._lock:
            self._script.behaviour = replace(self._script.behaviour, **fields)

    # ------------------------------------------------------------------------------------------- what it was asked

    @property
    def requests(self) -> int:
        """HTTP requests and WebSocket messages so far; a batch is one."""
        return self._script.counts()[0]

    @property
    def calls(self) -> Counter[str]:
        """Calls so far, by method; those in a batch each."""
        return self._script.counts()[1]

    def asked(self, method: str) -> list[Any]:
        """The params of the calls of a method, in order (of the last 10,000 of all)."""
        return [params for name, params in self._script.counts()[2] if name == method]

    def forget(self) -> None:
        """Counts from zero again."""
        self._script.forget()

    # --------------------------------------------------------------------------------------------------- presence

    def ok(self) -> None:
        """Honest, prompt, and following the Anvil it was made for."""
        with self._lock:
            self._script.hooks.clear()
            self._script.behaviour = self._honest
        self._server.open()

    def down(self, *, reset: bool = False) -> None:
        """Gone: connections are cut and new ones refused or, with `reset`, taken and cut when a request has come."""
        self._change(reset=reset)
        self._server.close()
        if reset:
            self._server.open()

    def hang(self) -> None:
        """Takes connections and requests, and says nothing, not even to a ping. After `ok()` it answers what waits."""
        self._change(hung=True)

    def slow(self, seconds: float) -> None:
        """Every answer and announcement comes so much later, with what was true before."""
        self._change(delay=seconds)

    def drip(self, seconds: float, *, headers: bool = False) -> None:
        """Sends a byte at a time, so many seconds apart; HTTP's headers, too, if asked."""
        self._change(drip=seconds, drip_headers=headers)

    # --------------------------------------------------------------------------------------------- which chain, when

    def lag(self, blocks: int, *, forged_times: bool = False) -> None:
        """So many blocks behind: newer blocks are unknown by tag, height and hash, and not announced."""
        self._change(past=Past(lag=blocks, forged_times=forged_times))

    def freeze_at(self, block: int, *, forged_times: bool = False) -> None:
        """For ever at this block, with its valid old state and its true time, or a forged one that its hash denies."""
        self._change(past=Past(block=block, forged_times=forged_times))

    def serve(self, upstream: str) -> None:
        """Another Anvil's chain from now on: a fork, if it shares a past with the first."""
        self._change(upstream=upstream)

    # -------------------------------------------------------------------------------------------------------- lies

    def lie(self, *agents: bytes, **fields: Any) -> None:
        """Changes these fields of `snapshot()`'s rows (`AgentState`'s names, its head's flat: size, root, anchored_at).

        Of these agents (ids; `FLEET` is one), or of all. Replaces what was said of them before. Raises ValueError for a
        field that is not there.
        """
        named = SNAPSHOT.check(fields)
        lies = dict(self._script.behaviour.lies)
        self._change(lies=lies | dict.fromkeys(agents or (None,), named))

    def say_running(self, *agents: bytes, **fields: Any) -> None:
        """Says that these agents, or all and the fleet, run and nobody votes against them."""
        quiet = {"state": State.RUNNING, "may_run": True, "halt_votes": 0, "vetoes": 0, "paused_until": 0}
        self.lie(*agents, **quiet | fields)

    def say_halted(self, *agents: bytes, **fields: Any) -> None:
        """Says that these agents, or all and the fleet, are halted."""
        self.lie(*agents, **{"state": State.HALTED, "may_run": False, "halt_votes": 2} | fields)

    def lie_about_council(self, **fields: Any) -> None:
        """Changes these values of `council()`: signers, thresholds, timing, set_version. Raises ValueError."""
        self._change(council=COUNCIL.check(fields))

    def prove(self, kind: str, *, block: int | None = None, slot: int | None = None) -> None:
        """Spoils `eth_getProof`: unsupported, null, withheld, truncated, corrupted, false value, older (of `block`),
        other slot (of `slot`, or of the one after)."""
        self._change(proofs=Proofs(_one_of(kind, proofs.KINDS), block, slot))

    # ----------------------------------------------------------------------------------------------------- nonsense

    def garbage(self, kind: str) -> None:
        """No answer at all, in one of the ways of `garbage.KINDS`."""
        garbage.prepare(_one_of(kind, garbage.KINDS))
        self._change(garbage=kind)

    def error(self, code: int = -32000, message: str = "header not found", data: Any = None) -> None:
        """A JSON-RPC error in answer to every call."""
        said = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self._change(error=said)

    def refuse(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """An HTTP status (429, 500, 302 ...) in answer to every request and every WebSocket handshake."""
        self._change(refusal=Refusal(status, headers or {}, body))

    def heads(self, kind: str, *, every: float | None = None) -> None:
        """What subscribers hear: follow, silent, phantom (blocks that are not), flood (the newest, again and again),
        nonsense, closed (their connections end). The last four once in `every` seconds."""
        pause = every if every is not None else {"flood": 0.001}.get(kind, 0.1)
        self._change(heads=_one_of(kind, websocket.HEADS), every=pause)

    def on(self, method: str, hook: Hook | None) -> None:
        """A behaviour of the test's own for one method (None: as otherwise). It runs in a thread of its own and returns
        {"result": ...} or {"error": ...}; see `behaviour.Hook`."""
        with self._lock:
            if hook is None:
                self._script.hooks.pop(method, None)
            else:
                self._script.hooks[method] = hook


def _one_of(kind: str, kinds: Mapping[str, Any] | Sequence[str]) -> str:
    if kind not in kinds:
        raise ValueError(f"{kind!r} is none of {sorted(kinds)}")
    return kind


def _as_exception(failure: BaseException) -> Exception:
    return failure if isinstance(failure, Exception) else RuntimeError(repr(failure))
