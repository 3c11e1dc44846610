"""Hands an erasure to the guard that writes the log, over the socket that only its own user can open.

Guarantees: returns within about half a minute, whatever the other side does; keeps at most `ANSWER_LIMIT` bytes of an
answer; takes only a clear yes about this very entry for one. An order that was not heard out may have been carried out:
it may be sent again, and changes nothing more then. Trusts the guard for what it says of itself.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from agent_guard import canonical
from agent_guard.errors import CATALOGUE, GuardError
from agent_guard.log.erasure import Erased
from agent_guard.voting.handover import to_socket

PATH = "/v1/erasures"
SECONDS = 20.0
"""For each wait for the guard: it answers when the content is gone."""
ATTEMPTS, PAUSE_SECONDS = 5, 1.0
"""While another erasure is under way."""
ANSWER_LIMIT = 65_536


def order(socket: Path, agent: str | None, index: int, reason: str) -> Erased:
    """Has the guard erase entry `index` of an agent (None: of the guard's own); see `Eraser.erase` for what it raises.

    Raises:
        GuardError: AG580 no clear answer came, and what the guard answered.
    """
    body = canonical.encode({"agent": agent, "reason": reason, "seq": index})
    for attempt in range(1, ATTEMPTS + 1):
        try:
            status, said = _ask(socket, body)
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise _unreached(socket, f"it can't be reached ({str(error) or type(error).__name__})") from error
        failure = _failure(said)
        if failure is None or failure.code not in ("AG583", "AG606") or attempt == ATTEMPTS:
            break
        time.sleep(PAUSE_SECONDS)
    if failure is not None:
        raise failure
    if status == httpx.codes.OK and said.get("erased") is True and said.get("seq") == index:
        record, repeated = said.get("record"), said.get("repeated")
        if type(record) is int and type(repeated) is bool:
            return Erased(index, record, repeated)
    raise _unreached(socket, f"its answer (HTTP status {status}) is none of a guard's")


def _ask(socket: Path, body: bytes) -> tuple[int, dict[str, Any]]:
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    with (
        to_socket(socket) as transport,
        httpx.Client(transport=transport, timeout=SECONDS, trust_env=False) as client,
        client.stream("POST", f"http://guard{PATH}", content=body, headers=headers) as response,
    ):
        answer = b""
        for piece in response.iter_raw():
            answer += piece
            if len(answer) > ANSWER_LIMIT:
                raise ValueError("its answer is longer than any of a guard")
    value: object = None
    with suppress(ValueError):
        value = canonical.parse(answer)
    return response.status_code, value if isinstance(value, dict) else {}


def _failure(said: dict[str, Any]) -> GuardError | None:
    """What the guard answered, if that was an error."""
    error = said.get("error")
    if not isinstance(error, dict) or error.get("code") not in CATALOGUE:
        return None
    return GuardError(
        error["code"],
        str(error.get("message", "without a reason"))[:2_000],
        str(error.get("remedy", ""))[:500],
    )


def _unreached(socket: Path, why: str) -> GuardError:
    return GuardError(
        "AG580",
        f"A running guard writes this log, and {why} at {socket}. Whether the entry is erased is not known.",
        "Run the command as the guard's own user on its host, or when it has ended; ordered again it does no harm.",
    )
