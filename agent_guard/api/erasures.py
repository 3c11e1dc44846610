"""The one order of the guard's own user over HTTP: to erase an entry's content. For the Unix socket alone.

Guarantees: one erasure at a time, on a thread of its own, so that no ballot waits for it; what is no well-formed order
changes nothing. Who may open the socket may order: that is for the socket's permissions, not for this.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from agent_guard.api import failures, models
from agent_guard.api.body import parse_json, read_bytes
from agent_guard.errors import GuardError

MAX_ORDER = 16_384
"""Bytes of a request's body."""


class Erased(Protocol):
    """The content of entry `index` is gone, and entry `record` says so; `repeated`: it said so before."""

    @property
    def index(self) -> int: ...
    @property
    def record(self) -> int: ...
    @property
    def repeated(self) -> bool: ...


Erase = Callable[[str | None, int, str], Erased]
"""Erases: an agent's name (None: the guard itself), the entry's index, the reason. May block; raises `GuardError`."""


def add_erasures(app: FastAPI, erase: Erase) -> None:
    """Adds `POST /v1/erasures`."""
    turn = asyncio.Lock()

    @app.post(
        "/v1/erasures",
        summary="Erase an entry's content",
        response_model=models.ContentErased,
        responses={
            status: {"model": models.Failure, "description": description}
            for status, description in {
                404: "The log has no such entry of this agent.",
                409: "The content is gone already, and no erasure of it is on record.",
                422: "The order has the wrong shape.",
                503: "Another erasure is under way, or this one is on record and not finished.",
            }.items()
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": models.ErasureOrder.model_json_schema()}},
            }
        },
    )
    async def erasures(request: Request) -> JSONResponse:
        body = await read_bytes(request, MAX_ORDER)
        try:
            order = models.ErasureOrder.model_validate(parse_json(body))
        except ValidationError as error:
            raise failures.misshapen(error) from error
        if turn.locked():
            raise _under_way()
        async with turn:
            done = await asyncio.to_thread(erase, order.agent, order.seq, order.reason)
        return JSONResponse(
            {"erased": True, "seq": done.index, "record": done.record, "repeated": done.repeated}
        )


def _under_way() -> GuardError:
    return GuardError(
        "AG583",
        "Another erasure is under way. This one was not begun.",
        "Send it again a moment later.",
    )
