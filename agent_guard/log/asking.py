"""One question to a witness over HTTP, bounded in time and size whatever the other side does.

Guarantees: returns within `TOTAL_SECONDS` or so, however slowly the witness answers; keeps at most `ANSWER_LIMIT`
bytes; follows no redirect, unpacks nothing, and reads no proxy or password from the environment. Trusts nobody: the
answer is a stranger's.
"""

import asyncio
import ssl
from dataclasses import dataclass

import httpx

from agent_guard.errors import GuardError

STEP_SECONDS = 5.0
TOTAL_SECONDS = 15.0
ANSWER_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What a witness answered: status, media type as it said it, and the body's bytes."""

    status: int
    media_type: str
    body: bytes


def ask(url: str, body: bytes) -> Reply:
    """Posts `body` to `url`/add-checkpoint. Raises AG563 if no whole answer came within the bounds."""
    try:
        return asyncio.run(asyncio.wait_for(_post(f"{url}/add-checkpoint", body), TOTAL_SECONDS))
    except TimeoutError as error:
        raise unasked(f"it gave no whole answer within {TOTAL_SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise unasked(f"it can't be reached ({error or type(error).__name__})") from error


async def _post(url: str, body: bytes) -> Reply:
    # An empty context spares us the loading of certificates where there is no TLS.
    https = url.startswith("https:")
    context = ssl.create_default_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx.AsyncHTTPTransport(verify=context)
    headers = {"accept-encoding": "identity", "content-type": "text/plain; charset=utf-8"}
    async with (
        httpx.AsyncClient(transport=transport, timeout=STEP_SECONDS, trust_env=False) as client,
        client.stream("POST", url, content=body, headers=headers) as response,
    ):
        answer = b""
        async for piece in response.aiter_raw():
            answer += piece
            if len(answer) > ANSWER_LIMIT:
                raise ValueError("its answer is longer than any of a witness")
        return Reply(response.status_code, response.headers.get("content-type", ""), answer)


def unasked(why: str) -> GuardError:
    """AG563: no cosignature, and why."""
    return GuardError(
        "AG563",
        f"The witness did not cosign the newest anchored head: {why}. The head is anchored all the same.",
        "The guard asks again by itself. If it lasts, ask the witness's operator, or take it out of `witnesses`.",
    )
