"""The report as Markdown (CommonMark with tables), readable as plain text too.

Guarantees: a value is text, whatever stands in it: no table cell, link, image, code, heading, HTML, mention or address
can begin in it. What Markdown could take for itself is written as an entity; an @, of which some renderers make links
even from an entity, as the wide U+FF20. Pure.
"""

import re
from collections.abc import Iterator, Sequence, Set

from agent_guard import text
from agent_guard.report.document import (
    LONGEST_CODE,
    Block,
    Bullets,
    Cell,
    Code,
    Commands,
    Document,
    Facts,
    Grid,
    Paragraph,
    Picture,
    Verdict,
)

# A colon makes a link or a smiley only where something follows it; in a time of day it does neither.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#!|~&$^]|:(?=\S)(?!(?<=\d:)\d)|(?<=www)\.", re.IGNORECASE)
_AT_START = re.compile(r"^([-+=](?=[\s=-]|$)|\d+(?=[.)]))")


def markdown(document: Document) -> str:
    """The whole text."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield f"# {escape(document.title)}"
    yield f"\n{escape(document.subtitle)}\n"
    yield f"**{document.result.value}** — {escape(document.sentence)}"
    for section in document.sections:
        yield f"\n## {escape(section.title)}"
        for block in section.blocks:
            yield ""
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield escape(block.words)
    elif isinstance(block, Bullets):
        yield from (f"- {escape(row)}" for row in block.rows)
    elif isinstance(block, Facts):
        yield from _table(("", ""), block.rows, frozenset())
    elif isinstance(block, Grid):
        yield from _table(block.columns, block.rows, block.numeric)
    elif isinstance(block, Commands):
        yield from _verbatim(block.rows)
    elif isinstance(block, Picture) and block.lines:
        yield from _verbatim(block.lines)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], numeric: Set[int]) -> Iterator[str]:
    yield _row([escape(column) for column in columns])
    yield _row(["---:" if number in numeric else "---" for number in range(len(columns))])
    for row in rows:
        yield _row([_cell(cell) for cell in row])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Code):
        return (
            f"`{cell.value}`"
            if cell.value.isascii() and cell.value.isalnum()
            else escape(cell.value, LONGEST_CODE)
        )
    return f"**{cell.value.value}**" if isinstance(cell, Verdict) else escape(cell)


def _verbatim(rows: Sequence[str]) -> Iterator[str]:
    """A block of code: four spaces before each line, so that no fence could be closed within."""
    yield from ("    " + _aligned(row) for row in rows)


def _aligned(row: str) -> str:
    """A harmless line that keeps its runs of spaces."""
    return "".join(part if part[:1] == " " else text.clean(part) for part in re.split("( +)", row))


def escape(words: str, limit: int = text.LIMIT) -> str:
    """A harmless line of Markdown that shows these words."""
    line = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text.clean(words, limit))
    line = _AT_START.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", line)
    return line.replace("@", "\N{FULLWIDTH COMMERCIAL AT}")
