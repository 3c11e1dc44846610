"""The HTTP face of a witness: `POST /add-checkpoint` (C2SP `tlog-witness`), and nothing that asks who calls.

Guarantees: a body is bounded while it arrives; the work is done on threads of its own, so that a slow disk keeps no
other connection from being read; an answer is what the witness said, and a failure of ours is 503 and no cosignature.
Trusts nobody.
"""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agent_guard.api.body import read_bounded
from agent_guard.checkpoint import MAX_SUBMISSION
from agent_guard.errors import GuardError
from agent_guard.witness import Answer


def witness_app(add_checkpoint: Callable[[bytes], Answer]) -> Starlette:
    """The application; `add_checkpoint` is `Witness.add_checkpoint`, called on threads of a pool."""

    async def add(request: Request) -> Response:
        body = await read_bounded(request, MAX_SUBMISSION)
        answer = await run_in_threadpool(add_checkpoint, body)
        return Response(answer.body, answer.status, {"content-type": answer.media_type})

    async def failed(request: Request, error: Exception) -> Response:
        """What the body's reader and the witness's memory raise, as text; an unread body ends the connection."""
        code = error.code if isinstance(error, GuardError) else ""
        status = {"AG607": 413, "AG608": 400}.get(code, 503)
        headers = {"connection": "close"} if status == 413 else None
        return PlainTextResponse(f"{TEXTS.get(status)}\n", status, headers)

    return Starlette(
        routes=[Route("/add-checkpoint", add, methods=["POST"])], exception_handlers={GuardError: failed}
    )


TEXTS = {
    400: "the request ended before its body did",
    413: f"a submission has at most {MAX_SUBMISSION} bytes",
    503: "the witness can't keep anything at the moment, and so cosigns nothing",
}
