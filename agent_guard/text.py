"""Text on its way out of the program: the one place that makes it harmless, and the forms of hashes and times.

Guarantees: what `clean` returns is one line, holds nothing that steers a terminal, changes direction or is invisible,
and is never longer than its limit, whatever an agent, a model, a signer or a node wrote; the other functions return
such lines too. So no value can forge a row, a colour or a cursor movement. It escapes for no syntax: markup, HTML, CSV
and JSON are their writers' affair. Trusts nobody. Pure: the present time is passed in.
"""

import re
import unicodedata
from datetime import UTC, datetime
from math import isfinite

LIMIT = 2_000
"""Characters that `clean` lets through unless told otherwise."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"
MAX_MARKS = 3
"""Combining marks kept on one character; a heap of them runs into the rows above and below."""

# ECMA-48: a control sequence; a string sequence (DCS, SOS, OSC, PM, APC) with its end; any other escape. A sequence
# without an end loses its introducer only, so that it can't hide what follows it.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
_REPLACEMENTS = re.compile(f"{REPLACEMENT}{{2,}}")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
# Blank or without width though Unicode counts them as letters, marks or symbols: fillers, joiners, variation selectors
# (which can carry hidden text).
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)


def clean(text: str, limit: int = LIMIT) -> str:
    """One harmless line of at most `limit` (at least 1) characters; a cut is shown by an ellipsis.

    Line breaks, tabs and spaces of every kind become a space, runs of them one space, at the ends none. Each run of
    escape sequences and of control, format (bidirectional, zero-width), private, unassigned, surrogate and otherwise
    invisible characters becomes one U+FFFD, so that a reader sees that something stood there.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    head = text[
        : 8 * limit + 64
    ]  # nobody reads a hostile text to its end; the ellipsis says that there is more
    line = "".join(map(_harmless, _ESCAPE.sub(REPLACEMENT, head)))
    line = _REPLACEMENTS.sub(REPLACEMENT, _stack(" ".join(line.split())))
    if len(line) <= limit and len(head) == len(text):
        return line
    return line[: limit - 1] + ELLIPSIS


def shorten(value: bytes | str) -> str:
    """A hash or address for a human eye, `0x12345678…abcdef`; whole if that is not shorter. Not for comparing."""
    digits = "0x" + value.hex() if isinstance(value, bytes) else clean(value)
    if len(digits) <= 17 or not _HEX.fullmatch(digits):
        return digits
    return f"{digits[:10]}{ELLIPSIS}{digits[-6:]}"


def duration(seconds: float) -> str:
    """A span of time with its two largest units: `0.4 ms`, `350 ms`, `1.5 s`, `2 min 5 s`, `3 h 1 min`, `2 d 3 h`."""
    if not isfinite(seconds):
        return "unknown"
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return _two_units(round(seconds))


def amount(count: int, one: str, many: str) -> str:
    """So many of something: `1 entry`, `100,379 entries`."""
    return f"{count:,} {one if count == 1 else many}"


def ago(seconds: float) -> str:
    """How long ago something was, in one unit: `just now`, `12 s ago`, `3 min ago`, `5 h ago`, `in 2 d`."""
    if not isfinite(seconds):
        return "at an unknown time"
    whole = int(abs(seconds))
    if whole == 0:
        return "just now"
    size, unit = next(found for found in _UNITS if whole >= found[0])
    amount = f"{whole // size} {unit}"
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def iso(unix: float) -> str:
    """Unix seconds in ISO 8601, UTC: `2026-11-23T14:28:00Z`, with milliseconds if there are any.

    A time beyond the calendar (a chain may hold any number) is written `@` and the number.
    """
    try:
        moment = datetime.fromtimestamp(round(unix, 3), UTC)
    except (ValueError, OverflowError, OSError):
        return f"@{unix}"
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def _two_units(seconds: int) -> str:
    place = next(number for number, (size, _) in enumerate(_UNITS) if seconds >= size)
    (size, unit), (smaller, lesser) = _UNITS[place : place + 2]
    rest = seconds % size // smaller
    return f"{seconds // size} {unit}" + (f" {rest} {lesser}" if rest else "")


def _harmless(character: str) -> str:
    if character in _INVISIBLE:
        return REPLACEMENT
    if (
        character.isprintable()
    ):  # no control, format, surrogate, private, unassigned, and no separator but the space
        return character
    return " " if character.isspace() else REPLACEMENT


def _stack(line: str) -> str:
    """Replaces combining marks that stand on nothing, or on top of `MAX_MARKS` others."""
    kept, marks = [], MAX_MARKS
    for character in line:
        is_mark = not character.isascii() and unicodedata.category(character) in ("Mn", "Me")
        marks = marks + 1 if is_mark else 0
        kept.append(REPLACEMENT if marks > MAX_MARKS else character)
    return "".join(kept)
