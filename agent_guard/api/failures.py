"""The one place where a failure becomes an HTTP response: one shape, one status for each code."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from agent_guard.errors import GuardError

STATUS = {
    "AG317": 503,
    "AG318": 403,
    "AG540": 404,
    "AG581": 409,
    "AG601": 403,
    "AG602": 423,
    "AG603": 503,
    "AG604": 503,
    "AG605": 503,
    "AG606": 503,
    "AG607": 413,
    "AG608": 400,
    "AG609": 415,
    "AG610": 422,
    "AG611": 404,
    "AG612": 409,
    "AG613": 409,
    "AG614": 404,
    "AG615": 400,
    "AG620": 403,
}
"""HTTP status of each code; any other is a failure of ours: 503, in doubt."""

RETRY_SECONDS = 1
HEADERS = {
    413: {"connection": "close"},
    415: {"connection": "close"},
    503: {"retry-after": str(RETRY_SECONDS)},
}

SHOWN_PROBLEMS = 8


def install(app: FastAPI) -> None:
    """Makes every failure of the application leave in the one shape."""

    @app.exception_handler(GuardError)
    async def refused(request: Request, error: GuardError) -> JSONResponse:
        return respond(error)

    @app.exception_handler(HTTPException)
    async def misaddressed(request: Request, error: HTTPException) -> JSONResponse:
        return respond(_no_endpoint(), error.status_code)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises the exception again after this answer, so that the server's log has the traceback.
        return unforeseen(error)


def respond(error: GuardError, status: int | None = None) -> JSONResponse:
    """The response for a failure. One that leaves the request's body unread also closes the connection; one that
    time alone may cure says when to ask again (RFC 9110 section 10.2.3)."""
    status = STATUS.get(error.code, 503) if status is None else status
    return JSONResponse(error.as_dict(), status, HEADERS.get(status))


def unforeseen(error: Exception) -> JSONResponse:
    """The response for an exception that nobody foresaw: a failure of ours, and no permission."""
    return respond(
        GuardError(
            "AG100",
            f"The guard met an unforeseen {type(error).__name__}. That is no permission: do not act.",
            "Wait and ask again; the guard's own output has the details.",
        ),
        500,
    )


def misshapen(error: ValidationError) -> GuardError:
    """AG610 with each problem's place and nature; the agent's values are not repeated, its keys only as ASCII."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    shown = "; ".join(f"{_place(problem['loc'])}: {problem['msg']}" for problem in problems[:SHOWN_PROBLEMS])
    more = f" (and {len(problems) - SHOWN_PROBLEMS} more)" if len(problems) > SHOWN_PROBLEMS else ""
    return GuardError(
        "AG610",
        f"The request has the wrong shape: {shown}{more}. Nothing was recorded as an action.",
        "Compare with the description at /openapi.json.",
    )


def _place(location: tuple[int | str, ...]) -> str:
    return (
        ".".join(ascii(part)[1:-1][:40] if isinstance(part, str) else str(part) for part in location)
        or "body"
    )


def _no_endpoint() -> GuardError:
    return GuardError(
        "AG614", "There is no such path, or not with this method. Nothing was done.", "See /openapi.json."
    )
