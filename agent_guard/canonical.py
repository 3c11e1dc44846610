"""JSON in its one canonical form, RFC 8785 (JCS): the bytes that are hashed.

Guarantees: equal values have equal bytes, and `decode` takes nothing but those bytes, so that no two texts of one value
can pass for each other. Everything encoded decodes again. Trusts nobody: its functions may be given what an agent
wrote; what they refuse they refuse with `NotCanonical` alone.

Narrower than RFC 8785 where readers differ: no integer beyond 2^53 - 1 (nor a float that prints as one), at most
`MAX_DEPTH` nested arrays and objects.
"""

import json
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, NoReturn

import rfc8785

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8785 section 3.2.2.3, RFC 7493 section 2.2)."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class NotCanonical(ValueError):  # noqa: N818 - what it is, said of the bytes
    """Bytes that are not canonical JSON, or a value that has no canonical JSON."""


def _refuse_constant(name: str) -> NoReturn:
    raise NotCanonical(f"{name} is not JSON")


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotCanonical("a key is given twice")
    return found


_loads = json.JSONDecoder(parse_constant=_refuse_constant).decode
_loads_once = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_doubles).decode
_fast = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def encode(value: Any) -> bytes:
    """The canonical UTF-8 bytes of None, bools, ints, floats, strings, lists (or tuples) and dicts with string keys.

    Raises `NotCanonical` for any other type (subclasses and enums too), NaN, infinities, integers beyond
    `MAX_INTEGER`, lone surrogates and nesting beyond `MAX_DEPTH`.
    """
    try:
        # The standard library's encoder in C writes the same bytes where there is no float to print and where sorting
        # by code point is sorting by UTF-16 unit. It is several times as fast.
        return _fast(value).encode() if _is_plain(value, 0) else rfc8785.dumps(value)
    except (UnicodeEncodeError, rfc8785.CanonicalizationError) as error:
        raise NotCanonical("a string holds a lone surrogate") from error


def check(value: Any) -> None:
    """Raises `NotCanonical` as `encode` would, but for lone surrogates; it is several times as fast."""
    _is_plain(value, 0)


def decode(data: bytes) -> Any:
    """The value of canonical bytes.

    Raises `NotCanonical` for all else: other spellings, doubled keys, spaces, text that is not UTF-8 or not JSON, and
    whatever `encode` refuses.
    """
    value = _read(data, _loads)
    if encode(value) != data:
        raise NotCanonical(
            "JSON, but not in canonical form: keys sorted and given once, no spaces, shortest numbers"
        )
    return value


def parse(data: bytes) -> Any:
    """The value of JSON in any spelling, for files that people write.

    Raises `NotCanonical` for what is not JSON in UTF-8, doubled keys, NaN, infinities, nesting beyond `MAX_DEPTH`, and
    what RFC 7493 (I-JSON) leaves out: lone surrogates, and numbers too large for a double. Integers are exact whatever
    their size (of 4,300 digits at most): who reads a field bounds it.
    """
    value = _read(data, _loads_once)
    try:
        _fast(value).encode()
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds a lone surrogate") from error
    except ValueError as error:
        raise NotCanonical("a number is too large for a double") from error
    return value


def _read(data: bytes, loads: Callable[[str], Any]) -> Any:
    check_depth(data)
    try:
        return loads(data.decode())
    except ValueError as error:  # not UTF-8, not JSON, or digits without end
        raise NotCanonical(f"not JSON in UTF-8: {error}") from error


def check_depth(data: bytes) -> None:
    """Counts the brackets outside strings before anything is parsed; `NotCanonical` beyond `MAX_DEPTH`.

    The parser recurses in C. What stops it is Python's recursion limit, and where a library has raised that, nothing
    does: brackets without end then end the process.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    without_escapes = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(without_escapes.split(b'"')[::2])
    depth = 0
    for bracket in outside_strings.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise NotCanonical(f"nested more than {MAX_DEPTH} deep")


def _is_plain(value: Any, depth: int) -> bool:
    """Raises `NotCanonical` for what can't be encoded; says whether there are only ASCII keys and no floats."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        _check_integer(value)
        return True
    if kind is float:
        _check_float(value)
        return False
    if depth == MAX_DEPTH:
        raise NotCanonical(f"nested more than {MAX_DEPTH} deep")
    if kind is dict:
        return _is_plain_dict(value, depth + 1)
    if kind is list or kind is tuple:
        return _is_plain_array(value, depth + 1)
    raise NotCanonical(f"a {kind.__name__} is not JSON")


def _is_plain_array(value: Iterable[Any], depth: int) -> bool:
    plain = True
    for item in value:
        if not _is_plain(item, depth):
            plain = False
    return plain


def _is_plain_dict(value: dict[Any, Any], depth: int) -> bool:
    plain = True
    for key, item in value.items():
        if type(key) is not str:
            raise NotCanonical("an object's key is not a string")
        if not _is_plain(item, depth) or not key.isascii():
            plain = False
    return plain


def _check_integer(value: int) -> None:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise NotCanonical("an integer beyond 2^53 - 1: write it as a string")


def _check_float(value: float) -> None:
    if not isfinite(value):
        raise NotCanonical("NaN and infinities are not JSON")
    if MAX_INTEGER < abs(value) < 1e21:  # printed without an exponent (ECMA-262), so read back as an integer
        raise NotCanonical("a float that prints as an integer beyond 2^53 - 1: write it as a string")
