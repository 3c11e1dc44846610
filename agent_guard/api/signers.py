"""The HTTP application for people: signers hand ballots over, and those who watch over the guard see where it stands.

Guarantees: a 200 to a ballot means that it counts from this moment on; the ballot is judged in the server's own thread,
with no wait for disk or chain. A flood costs little: bodies and connections are bounded, so are the ballots of a second
(`RATE`), and what is told is made anew twice a second at most. No page in a browser is answered, whatever name led it
to this port. Trusts nobody: a ballot proves itself, and nothing else changes anything; who reaches the door may read.
But for one order, on the Unix socket that only the guard's own user can open: to erase an entry's content.
"""

import json
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_guard import __version__, telemetry
from agent_guard.api import failures, models
from agent_guard.api.body import read_bytes
from agent_guard.api.erasures import Erase, add_erasures
from agent_guard.errors import GuardError
from agent_guard.telemetry import Report
from agent_guard.typed_data.signed_ballot import MAX_FILE

RATE, BURST = 200.0, 100.0
"""Ballots a second, and at once: each costs the recovery of a signature, some half a millisecond of the processor."""
FRESH_SECONDS = 0.5
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))

DESCRIPTION = """A guard's door for signers. H halt ballots, as `agent-guard vote halt --sign-only` writes them, stop
the agent at once; the guard relays them to the chain. Everything else needs the council on chain."""


class Taken(Protocol):
    """What became of a ballot: `refusal` is why it does not count, None if it does."""

    @property
    def signer(self) -> str: ...
    @property
    def refusal(self) -> str | None: ...


def signers_app(
    take: Callable[[str, str], Taken],
    report: Callable[[], Report],
    listening: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    erase: Erase | None = None,
) -> ASGIApp:
    """The application behind one door; each door has its own measure of ballots, so that none starves another.

    Args:
        take: takes a ballot's text and where it came from. Raises AG315 for what is none, AG317 at the guard's end.
        report: what the guard says of itself; asked in the server's thread.
        listening: the host whose TCP port is served, None for a Unix socket.
        clock: monotonic seconds.
        erase: erases an entry's content, for the guard's own user: on its Unix socket alone. `ValueError` on a port.
    """
    if erase is not None and listening is not None:
        raise ValueError("a port has strangers behind it, who may not erase")
    app = FastAPI(
        title="agent-guard for signers",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    failures.install(app)
    _add_ballots(app, take, _Bucket(clock))
    _add_states(app, report, clock)
    if erase is not None:
        add_erasures(app, erase)
    return _without_pages(app, listening)


def _add_ballots(app: FastAPI, take: Callable[[str, str], Taken], bucket: "_Bucket") -> None:
    @app.post(
        "/v1/ballots",
        summary="Hand a signed halt ballot over",
        response_model=models.BallotAccepted,
        responses={
            status: {"model": models.Failure, "description": description}
            for status, description in {
                400: "That is no ballot.",
                403: "A page in a browser asked.",
                409: "The ballot does not count, for the reason given.",
                413: "The body is larger than 64 KiB.",
                415: "The body is not announced as application/json.",
                503: "Too many ballots at once, or the guard is ending.",
            }.items()
        },
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
        },
    )
    async def hand_over(request: Request) -> JSONResponse:
        body = await read_bytes(request, MAX_FILE)
        if not bucket.allows():
            raise _too_many()
        try:
            taken = take(_text(body), f"tcp {request.client.host}" if request.client else "socket")
        except GuardError as error:
            return failures.respond(error, 400 if error.code == "AG315" else None)
        if taken.refusal is not None:
            return failures.respond(_not_counting(taken), 409)
        return JSONResponse({"accepted": True, "signer": taken.signer})


def _add_states(app: FastAPI, report: Callable[[], Report], clock: Callable[[], float]) -> None:
    status_text = _kept(lambda: json.dumps(_status(report())).encode(), clock)
    metrics_text = _kept(lambda: telemetry.render(report()), clock)

    @app.get("/v1/status", summary="Where the guard and its agents stand", response_model=models.GuardStatus)
    async def status() -> Response:
        return Response(status_text(), media_type="application/json")

    @app.get("/metrics", summary="The same for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(metrics_text(), media_type=telemetry.CONTENT_TYPE)

    @app.get("/health", summary="Whether the guard answers", response_model=models.Health)
    async def health() -> JSONResponse:
        return JSONResponse({"ok": True})


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise GuardError(
            "AG315",
            f"That is no signed ballot: it is not UTF-8 at byte {error.start}. It changed nothing.",
            "Hand over the file that `agent-guard vote halt --sign-only -o FILE` wrote.",
        ) from error


def _status(report: Report) -> dict[str, Any]:
    return {
        "as_of": round(report.at, 3),
        "block": models.block_of(report.block),
        "agents": [
            {
                "agent": agent.standing.agent,
                "verdict": agent.standing.verdict.decision.value,
                "reason": agent.standing.verdict.reason,
                "stopping": agent.standing.stopping,
                "phase": agent.phase,
                "state": agent.standing.state and agent.standing.state.state.name.lower(),
                "epoch": agent.standing.state and agent.standing.state.epoch,
                "deaths": agent.deaths,
            }
            for agent in report.agents
        ],
        "endpoints": {
            "agree": len(report.endpoints) - len(report.dissent),
            "needed": report.needed,
            "total": len(report.endpoints),
            "dissent": report.dissent,
        },
        "anchor_lag": {"entries": report.lag[0], "seconds": round(report.lag[1], 3)},
        "ballots": dict(report.ballots),
        "witnesses": telemetry.summary(report.witnesses),
    }


# ------------------------------------------------------------------------------------------------------------- bounds


class _Bucket:
    """Lets `RATE` a second through, and `BURST` at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._tokens, self._filled = clock, BURST, clock()

    def allows(self) -> bool:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _kept(make: Callable[[], bytes], clock: Callable[[], float]) -> Callable[[], bytes]:
    """What `make` gives, made anew when it is `FRESH_SECONDS` old."""
    kept, made = b"", float("-inf")

    def get() -> bytes:
        nonlocal kept, made
        if clock() - made >= FRESH_SECONDS:
            kept, made = make(), clock()
        return kept

    return get


def _without_pages(app: ASGIApp, listening: str | None) -> ASGIApp:
    """The application, but for requests that a page in a browser could have made."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        why = _is_page(Headers(scope=scope), listening) if scope["type"] == "http" else None
        answer = app if why is None else failures.respond(_page(why), 403)
        await answer(scope, receive, send)

    return serve


def _is_page(headers: Headers, listening: str | None) -> str | None:
    """Why it may be a page's request: it says so, or was led here by a name of the page's choice (DNS rebinding)."""
    if "origin" in headers:
        return "it has an Origin header"
    if headers.get("sec-fetch-site", "none") != "none":
        return "it comes from another page"
    if listening is not None and not _is_name_of(listening, headers.get("host", "")):
        return "its Host is none of this guard's names"
    return None


def _is_name_of(listening: str, host: str) -> bool:
    """Whether a Host header names the place that is listened at; any address does where that is every address."""
    name = host.lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] or name
    name = name.strip("[]")
    if name in LOOPBACK or name == listening.lower():
        return True
    try:
        ip_address(name)
        return ip_address(listening).is_unspecified
    except ValueError:
        return False


def _page(why: str) -> GuardError:
    return GuardError(
        "AG318",
        f"The request looks like one of a page in a browser: {why}. Nothing was done.",
        "Use agent-guard vote halt --to, or curl; name the host as signers_listen does.",
    )


def _too_many() -> GuardError:
    return GuardError(
        "AG606",
        "Too many ballots come through this door. This one was not looked at and changed nothing.",
        "Send it again, put it into the guard's ballots folder, or vote on chain.",
    )


def _not_counting(taken: Taken) -> GuardError:
    return GuardError(
        "AG315",
        f"The ballot of {taken.signer} does not count: {taken.refusal}. It changed nothing here.",
        "See where the agent stands with agent-guard status and sign anew; or submit it to the chain: vote submit FILE",
    )
