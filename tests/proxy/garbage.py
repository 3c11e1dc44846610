"""Answers that are none: not JSON, JSON of the wrong shape, too large, too deep, without end, compressed, for others.

Each kind is a function from the true answers (one object, or a list for a batch) to the bytes sent instead, in parts,
so that a large body never lies in memory whole.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, repeat
from typing import Any

PART = b"0" * (64 << 10)
HUGE_PARTS = 1024
"""64 MiB: four times what the guard's reader takes."""
DEPTH = 200_000

Body = Iterator[bytes]


def _text(data: bytes) -> Callable[[Any], Body]:
    return lambda answers: iter([data])


def _changed(**fields: Any) -> Callable[[Any], Body]:
    """The answers with these fields beside their ids and no others."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": answer.get("id"), **fields}

    return lambda answers: iter([json.dumps(_each(answers, change)).encode()])


def _each(answers: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    return [change(answer) for answer in answers] if isinstance(answers, list) else change(answers)


def _id(answers: Any) -> Any:
    return answers[0].get("id") if isinstance(answers, list) else answers.get("id")


def _around(parts: Callable[[], Iterator[bytes]]) -> Callable[[Any], Body]:
    """A right answer whose result is these bytes."""

    def body(answers: Any) -> Body:
        before = b'{"jsonrpc":"2.0","id":%s,"result":' % json.dumps(_id(answers)).encode()
        return chain([before], parts(), [b"}"])

    return body


def _huge_text() -> Iterator[bytes]:
    return chain([b'"0x'], repeat(PART, HUGE_PARTS), [b'"'])


def _bomb(answers: Any) -> Body:
    """A huge answer as gzip: some 200 times smaller on the way."""
    squeezed, squeeze = _wound()
    yield squeezed
    squeeze = squeeze.copy()
    yield squeeze.compress(b',"id":%s}' % json.dumps(_id(answers)).encode()) + squeeze.flush()


@cache
def _wound() -> tuple[bytes, Any]:
    """The bomb but for its last bytes, and the state to go on from: it takes too long to make for each answer."""
    squeeze = zlib.compressobj(1, wbits=31)
    parts = chain([b'{"jsonrpc":"2.0","result":'], _huge_text())
    return b"".join(map(squeeze.compress, parts)), squeeze


def prepare(kind: str) -> None:
    """Makes beforehand what takes time to make, so that the answer comes at once."""
    next(KINDS[kind]({}))


KINDS: dict[str, Callable[[Any], Body]] = {
    "nothing": _text(b""),
    "HTML": _text(b"<html><body>busy</body></html>"),
    "binary": _text(b"\xff\xfe\x00\x9f"),
    "half": lambda answers: iter([json.dumps(answers).encode()[:-2]]),
    "object": _text(b"{}"),
    "list": _text(b"[]"),
    "null": _text(b"null"),
    "number": _text(b"7"),
    "null result": _changed(result=None),
    "wrong type": _changed(result=[{"hash": 7, "number": "seven", "timestamp": {}}]),
    "no result": _changed(),
    "huge number": _around(lambda: iter([b"9" * 5000])),
    "wrong id": lambda answers: iter([json.dumps(_each(answers, _for_another)).encode()]),
    "deep": _around(lambda: iter([b"[" * DEPTH, b"]" * DEPTH])),
    "huge": _around(_huge_text),
    "endless": _around(lambda: chain([b'"0x'], repeat(PART))),
    "gzip bomb": _bomb,
}


def _for_another(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"id": int(answer.get("id") or 0) + 1_000_003}


def headers(kind: str) -> dict[str, str]:
    """What the answer's headers say of it, besides."""
    return {"content-encoding": "gzip"} if kind == "gzip bomb" else {}
