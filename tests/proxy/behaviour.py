"""What a node does at one moment, as one frozen value: each request is answered by the one that held when it came."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
"""The part of a JSON-RPC answer that says something: {"result": ...} or {"error": {...}}."""

Ask = Callable[[str, list[Any]], Awaitable[Answer]]
"""A node as a function of method and params. Each kind of lie wraps one in another."""

Hook = Callable[[dict[str, Any], Callable[..., Answer]], Answer]
"""A test's own behaviour for one method: (request, forward) to the answer; `forward()` gives what would be said
without it, `forward(request)` what would be said to another request."""


@dataclass(frozen=True, slots=True)
class Past:
    """Where the node claims that its head is: `lag` blocks behind the true one, or for ever at `block`.

    `forged_times` moves the times of all headers, so that the claimed head is of this second; their hashes no longer
    match.
    """

    lag: int = 0
    block: int | None = None
    forged_times: bool = False


@dataclass(frozen=True, slots=True)
class Proofs:
    """What becomes of `eth_getProof`; kinds in `proofs.KINDS`. `block` and `slot` say where a wrong one comes from."""

    kind: str
    block: int | None = None
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer that is no JSON-RPC."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Honest by default. Seconds throughout.

    Fields: `upstream`, the URL of the chain served; `hung`, `delay` and `drip` (between two bytes; from the first
    header on if `drip_headers`); `reset`, a connection is cut when a request has come; `refusal`, `error` and `garbage`
    stand in place of answers; `past`, `lies` (by agent id, None for all), `council` and `proofs` change what is said;
    `heads` is what subscribers hear, invented ones `every` so many seconds.
    """

    upstream: str
    hung: bool = False
    reset: bool = False
    delay: float = 0.0
    drip: float = 0.0
    drip_headers: bool = False
    refusal: Refusal | None = None
    error: Mapping[str, Any] | None = None
    garbage: str | None = None
    past: Past | None = None
    lies: Mapping[bytes | None, Mapping[str, Any]] = field(default_factory=dict)
    council: Mapping[str, Any] = field(default_factory=dict)
    proofs: Proofs | None = None
    heads: str = "follow"
    every: float = 0.1
