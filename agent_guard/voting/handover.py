"""Hands signed halt ballots to guards themselves: an urgent stop waits for no block, a censored one needs no chain.

Guarantees: all guards are asked at once, and none of them, dead, slow or hostile, holds up another for longer than
`SECONDS`; only a clear yes of the guard counts as one. Nothing secret is sent: a ballot is public. Follows no redirect
and uses no proxy. Trusts the guard for what it says of itself; a caller who must be sure votes on chain, too.
"""

import os
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from stat import S_ISDIR, S_ISSOCK

import httpx

from agent_guard import canonical
from agent_guard.errors import GuardError
from agent_guard.typed_data import SignedBallot

SECONDS = 8.0
"""For one guard, all its ballots and attempts together."""
STEP_SECONDS = 4.0
"""For connecting, and for each wait for the guard."""
ATTEMPTS, PAUSE_SECONDS = 5, 0.2
"""While the guard says 503: its door may be flooded."""
ANSWER_LIMIT = 65_536
PATH = "/v1/ballots"
PATH_LIMIT = 107


class Fate(Enum):
    """What became of a ballot at a guard."""

    ACCEPTED = "accepted"
    """It counts there."""
    REFUSED = "refused"
    """It does not count there, for the reason given."""
    LEFT = "left"
    """It lies in the guard's folder; the guard's own record shows whether it counted."""
    UNREACHED = "unreached"
    """There was no clear answer: it was not handed over, as far as can be known."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A ballot at one guard; `why` where it was refused or not reached."""

    to: str
    signer: str
    fate: Fate
    why: str = ""

    @property
    def taken(self) -> bool:
        return self.fate in (Fate.ACCEPTED, Fate.LEFT)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a guard takes ballots, as the user named it: a URL, a Unix socket or a folder."""

    name: str
    hand: Callable[[SignedBallot], tuple[Fate, str]]


def place(name: str) -> Place:
    """The place of that name. A path at which nothing stands is a socket whose guard does not run.

    Raises:
        GuardError: AG101 if it can be none.
    """
    if "://" in name:
        url = _url(name)
        return Place(name, lambda signed: _post(_to_url(url), url, signed))
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = None
    if mode is not None and S_ISDIR(mode):
        return Place(name, lambda signed: _put(path, signed))
    if mode is not None and not S_ISSOCK(mode):
        raise _unusable(name, "it is neither a socket nor a folder")
    return Place(name, lambda signed: _post(to_socket(path), httpx.URL("http://guard" + PATH), signed))


def hand_over(places: Sequence[Place], ballots: Sequence[SignedBallot]) -> list[Handed]:
    """What became of every ballot at every place, within `SECONDS`."""
    heard: queue.SimpleQueue[tuple[int, int, Fate, str]] = queue.SimpleQueue()

    def tour(number: int, where: Place) -> None:
        for count, signed in enumerate(ballots):
            heard.put((number, count, *where.hand(signed)))

    for number, where in enumerate(places):
        # A daemon: whoever never answers must not keep the program from ending.
        threading.Thread(target=tour, args=(number, where), daemon=True).start()
    fates: dict[tuple[int, int], tuple[Fate, str]] = {}
    ends = time.monotonic() + SECONDS
    while len(fates) < len(places) * len(ballots):
        try:
            number, count, fate, why = heard.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            break
        fates[number, count] = fate, why
    silent = Fate.UNREACHED, f"it did not answer within {SECONDS:g} s"
    return [
        Handed(where.name, signed.ballot.signer, *fates.get((number, count), silent))
        for number, where in enumerate(places)
        for count, signed in enumerate(ballots)
    ]


def none_taken(handed: Sequence[Handed]) -> GuardError:
    """The error when no guard took any ballot: AG315 if all were refused, else AG317."""
    said = "; ".join(f"{one.to}: {one.why}" for one in handed)
    if all(one.fate is Fate.REFUSED for one in handed):
        return GuardError(
            "AG315",
            f"The guard did not take the ballot ({said}).",
            "See where the agent stands with agent-guard status, and have it signed anew.",
        )
    return GuardError(
        "AG317",
        f"No guard took the ballot ({said}).",
        "Vote on chain (without --sign-only, or: agent-guard vote submit FILE); try the guard again.",
    )


# ---------------------------------------------------------------------------------------------------------------- HTTP


def _url(name: str) -> httpx.URL:
    try:
        url = httpx.URL(name.rstrip("/") + PATH)
    except httpx.InvalidURL as error:
        raise _unusable("what was given", f"it is no URL ({error})") from error
    if url.userinfo:  # not repeated: it may hold a password
        raise _unusable("what was given", "a guard takes no user name or password, and none belongs there")
    is_place = url.scheme in ("http", "https") and bool(url.host) and (url.port or 1) <= 65_535
    if not is_place or url.query or url.fragment:
        raise _unusable(name, "it is no http or https URL of a host")
    return url


@contextmanager
def _to_url(url: httpx.URL) -> Iterator[httpx.BaseTransport]:
    # An empty context spares us the loading of certificates where there is no TLS.
    https = url.scheme == "https"
    context = ssl.create_default_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    yield httpx.HTTPTransport(verify=context)


@contextmanager
def to_socket(path: Path) -> Iterator[httpx.BaseTransport]:
    """To a Unix socket, under a short name where its path is longer than the kernel takes (unix(7))."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        uds = str(path)
        if len(os.fsencode(path)) > PATH_LIMIT:
            uds = f"/proc/self/fd/{folder}/{path.name}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        yield httpx.HTTPTransport(verify=context, uds=uds)
    finally:
        os.close(folder)


def _post(
    connecting: AbstractContextManager[httpx.BaseTransport], url: httpx.URL, signed: SignedBallot
) -> tuple[Fate, str]:
    try:
        with (
            connecting as transport,
            httpx.Client(transport=transport, timeout=STEP_SECONDS, trust_env=False) as client,
        ):
            status, answer = _ask(client, url, signed)
            for _ in range(ATTEMPTS - 1):
                if status == httpx.codes.SERVICE_UNAVAILABLE:
                    time.sleep(PAUSE_SECONDS)
                    status, answer = _ask(client, url, signed)
            return _judged(status, answer, signed)
    except (httpx.HTTPError, OSError, ValueError) as error:
        said = str(error) or type(error).__name__
        return Fate.UNREACHED, f"it can't be reached ({said})"


def _ask(client: httpx.Client, url: httpx.URL, signed: SignedBallot) -> tuple[int, bytes]:
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    with client.stream("POST", url, content=signed.encode().encode(), headers=headers) as response:
        answer = b""
        for piece in response.iter_raw():
            answer += piece
            if len(answer) > ANSWER_LIMIT:
                raise ValueError("its answer is longer than any of a guard")
    return response.status_code, answer


def _judged(status: int, answer: bytes, signed: SignedBallot) -> tuple[Fate, str]:
    """What an answer means: a yes only if it is one word for word."""
    value: object = None
    with suppress(ValueError):
        value = canonical.parse(answer)
    said = value if isinstance(value, dict) else {}
    if status == httpx.codes.OK and said.get("accepted") is True:
        if said.get("signer") == signed.ballot.signer:
            return Fate.ACCEPTED, ""
        return Fate.UNREACHED, "its answer is about another signer"
    error = said.get("error")
    error = error if isinstance(error, dict) else {}
    message = str(error.get("message", "without a reason"))[:500]
    if error.get("code") == "AG315":
        return Fate.REFUSED, message
    return Fate.UNREACHED, f"it answered {status}: {message}"


# -------------------------------------------------------------------------------------------------------------- folder


def _put(folder: Path, signed: SignedBallot) -> tuple[Fate, str]:
    """Puts the ballot's file there in one step, so that the guard never reads half of one."""
    ballot = signed.ballot
    name = f"halt-{ballot.agent.hex()[:8]}-{ballot.signer}-{signed.digest().hex()[:8]}.json"
    partial = folder / f".{name}.partial"
    try:
        partial.write_text(signed.encode())
        partial.replace(folder / name)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        return Fate.UNREACHED, f"the file can't be written there ({error.strerror})"
    return Fate.LEFT, ""


def _unusable(name: str, why: str) -> GuardError:
    return GuardError(
        "AG101",
        f"--to {name}: {why}. Nothing was signed or sent.",
        "Name the guard's socket, its URL (signers_listen), or its ballots folder.",
    )
