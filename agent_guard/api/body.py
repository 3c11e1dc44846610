"""Reads a request's body: bounded while it arrives, and only JSON that every program reads alike.

The body is a stranger's and hostile. Nothing here trusts Content-Length; at most `limit` bytes are kept. Refused,
besides what is no JSON: bytes that are no UTF-8, keys that stand twice in an object, and what has no canonical form
(`agent_guard.canonical`: NaN, integers beyond 2^53-1, lone surrogates, bottomless nesting), because it could not be
recorded. Messages give positions and never repeat the agent's text.
"""

import json
from codecs import BOM_UTF8
from typing import Any

from starlette.requests import ClientDisconnect, Request

from agent_guard import canonical
from agent_guard.errors import GuardError

BODY_LIMIT = 1 << 20


async def read_json(request: Request) -> Any:
    """The request's body as Python values.

    Raises:
        GuardError: AG609 wrong media type, AG607 too large, AG608 not acceptable JSON.
    """
    return parse_json(await read_bytes(request, BODY_LIMIT))


async def read_bytes(request: Request, limit: int) -> bytes:
    """The body as it came. Raises GuardError AG609 wrong media type, AG607 more than `limit` bytes, AG608 cut off."""
    _check_media_type(request)
    return await read_bounded(request, limit)


def parse_json(body: bytes) -> Any:
    """Parses strictly. Raises GuardError AG608 and says what is wrong and where."""
    try:
        canonical.check_depth(body)  # before the parser, which endless brackets could crash
        if body.startswith(BOM_UTF8):
            raise _unacceptable("it begins with a byte order mark (BOM)")
        value = _loads(body.decode("utf-8"))
        canonical.check(value)
        if b"\\u" in body:  # only an escape can bring a lone surrogate
            canonical.encode(value)
    except UnicodeDecodeError as error:
        raise _unacceptable(f"it is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _unacceptable(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except canonical.NotCanonical as error:
        raise _unacceptable(str(error)) from error
    except ValueError as error:  # the interpreter's limit on the digits of one integer
        raise _unacceptable("an integer has too many digits: write it as a string") from error
    return value


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    if media_type == "application/json" and encoding == "identity":
        return
    raise GuardError(
        "AG609",
        "The request's body is not announced as plain application/json. Nothing was done with it.",
        "Send Content-Type: application/json and no Content-Encoding.",
    )


async def read_bounded(request: Request, limit: int) -> bytes:
    """The body, of whatever media type. Raises GuardError AG607 more than `limit` bytes, AG608 cut off."""
    if _announced_length(request) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise _unacceptable("the connection ended before it did") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _announced_length(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _unacceptable("a key stands twice in one object")
    return members


_loads = json.JSONDecoder(object_pairs_hook=_unique).decode


def _unacceptable(problem: str) -> GuardError:
    return GuardError(
        "AG608",
        f"The request's body can't be taken: {problem}. Nothing was done with it.",
        "Send one JSON object in UTF-8 that any parser reads alike (RFC 7493).",
    )


def _too_large(limit: int) -> GuardError:
    return GuardError(
        "AG607",
        f"The request's body is larger than {limit} bytes. Nothing was done with it.",
        "Send a hash and keep the large thing elsewhere.",
    )
