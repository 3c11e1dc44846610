"""What a report is made of: sections of plain text, the same for every form; the forms escape what they write.

Guarantees: no string here is markup, and any may be hostile. Values without behaviour.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from agent_guard.audit import Result

LONGEST_CODE = 8_192
"""Characters of a `Code` that are shown: an entry's bytes are no longer."""


@dataclass(frozen=True, slots=True)
class Code:
    """A hash, an address or a command, in letters of one width."""

    value: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """VERIFIED, TAMPERED or INDETERMINATE, with a colour beside the word."""

    value: Result


Cell = str | Code | Verdict


@dataclass(frozen=True, slots=True)
class Paragraph:
    words: str


@dataclass(frozen=True, slots=True)
class Bullets:
    rows: Sequence[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and values."""

    rows: Sequence[tuple[str, Cell]]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    `numeric`: columns that are set to the right. `tight`: columns of short words of ours, never broken into lines.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: Set[int] = frozenset()
    tight: Set[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for a shell."""

    rows: Sequence[str]


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG of ours, its title, and for forms without pictures the same as lines of text."""

    title: str
    svg: str
    lines: Sequence[str]


Block = Paragraph | Bullets | Facts | Grid | Commands | Picture


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """The report: its title, a line beneath it, the verdict with its sentence, and the sections."""

    title: str
    subtitle: str
    result: Result
    sentence: str
    sections: Sequence[Section]
