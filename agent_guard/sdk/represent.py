"""Any Python value as JSON that the guard takes: predictable, bounded, and never failing.

| value | as |
|---|---|
| None, bool, str, int up to 2^53-1, finite float | itself; lone surrogates in strings as `\\udc80` |
| larger int, NaN, infinity, float that prints as a larger int | its text |
| enum member, path, dataclass | its value, its text, an object of its fields |
| list, tuple; set, frozenset | list; list sorted by text |
| mapping | object; keys as text |
| bytes, bytearray, memoryview | `{"bytes": length, "sha256": hex}` |
| anything else | `{"type": name, "repr": at most 256 characters}` |
| what is nested deeper than 32, or comes after 10,000 values | `{"omitted": reason}` |
| a whole larger than 256 KiB as JSON | `{"omitted": "too large", "bytes": length, "sha256": hex}` |
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256
from typing import Any

LARGEST_INTEGER = 2**53 - 1
DEPTH_LIMIT = 32
VALUES_LIMIT = 10_000
SIZE_LIMIT = 256 * 1024
REPR_LIMIT = 256
MESSAGE_LIMIT = 2_000


def represent(value: Any) -> Any:
    """`value` by the module's table."""
    shown = _Representation().of(value, 0)
    encoded = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
    if len(encoded) <= SIZE_LIMIT:
        return shown
    return {"omitted": "too large", "bytes": len(encoded), "sha256": sha256(encoded).hexdigest()}


def text_of(error: BaseException) -> str:
    """An exception's message, cut short; foreign code writes it, so that it may fail or be endless."""
    try:
        return _text(str(error)[:MESSAGE_LIMIT])
    except Exception as unshowable:  # noqa: BLE001 - the error that is being reported must not be replaced
        return f"<no text: {type(unshowable).__name__}>"


class _Representation:
    """One walk; `_left` values may still be shown, so that shared or cyclic structures end."""

    def __init__(self) -> None:
        self._left = VALUES_LIMIT

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > DEPTH_LIMIT:
            return {"omitted": "too many values" if self._left < 0 else "too deep"}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.of(value.value, depth + 1)
        if isinstance(value, int | float | str):
            return _scalar(value)
        return self._compound(value, depth + 1)

    def _compound(self, value: Any, depth: int) -> Any:
        if isinstance(value, bytes | bytearray | memoryview):
            return {"bytes": len(bytes(value)), "sha256": sha256(value).hexdigest()}
        if isinstance(value, os.PathLike):
            return _text(os.fsdecode(value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return self._members(value, depth)
        if isinstance(value, list | tuple):
            return [self.of(item, depth) for item in value[: max(0, self._left) + 1]]
        if isinstance(value, set | frozenset):
            return self.of(sorted(value, key=_repr), depth)
        return {"type": type(value).__qualname__, "repr": _repr(value)}

    def _members(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, item in value.items():
            members[_text(key) if isinstance(key, str) else _repr(key)] = self.of(item, depth)
            if self._left < 0:
                break
        return members


def _scalar(value: int | float | str) -> int | float | str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else _repr(value)
    exact = math.isfinite(value) and not LARGEST_INTEGER < abs(value) < 1e21
    return float(value) if exact else repr(float(value))


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _repr(value: Any) -> str:
    try:
        return _text(repr(value))[:REPR_LIMIT]
    except Exception as error:  # noqa: BLE001 - foreign code; what it can't show must not stop the record
        return f"<no repr: {type(error).__name__}>"
