"""The report as one page of HTML: nothing in it runs, nothing is fetched, and it needs no other file.

Guarantees: every string is escaped where it is written, and kept apart from its neighbours' direction of writing.
Should one slip through, the page's policy (CSP) forbids scripts, requests, forms and every style but the one whose hash
it names. Reads in light and dark, prints on A4. Pure.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from html import escape
from itertools import takewhile

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
    Section,
    Verdict,
)
from agent_guard.report.style import STYLE

_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none';"
    f" style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"
)


def html(document: Document) -> str:
    """The whole page."""
    return "".join(_page(document))


def _page(document: Document) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
    yield f"<title>{_safe(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    yield f"<header>\n<h1>{_safe(document.title)}</h1>\n<p>{_safe(document.subtitle)}</p>\n</header>\n"
    yield f'<section class="verdict {document.result.value.lower()}" aria-label="Verdict">\n'
    yield f"<strong>{document.result.value}</strong>\n<p>{_safe(document.sentence)}</p>\n</section>\n"
    for number, section in enumerate(document.sections):
        yield from _section(section, number)
    yield "</main>\n</body>\n</html>\n"


def _section(section: Section, number: int) -> Iterator[str]:
    yield f'<section aria-labelledby="s{number}">\n<h2 id="s{number}">{_safe(section.title)}</h2>\n'
    for block in section.blocks:
        yield from _block(block)
    yield "</section>\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield f"<p>{_safe(block.words)}</p>\n"
    elif isinstance(block, Bullets):
        yield f"<ul>{''.join(f'<li>{_safe(row)}</li>' for row in block.rows)}</ul>\n"
    elif isinstance(block, Facts):
        yield from _facts(block.rows)
    elif isinstance(block, Grid):
        yield from _grid(block)
    elif isinstance(block, Commands):
        yield f"<pre><code>{chr(10).join(map(_safe, block.rows))}</code></pre>\n"
    elif isinstance(block, Picture):
        yield f'<figure tabindex="0" role="group" aria-label="{_safe(block.title)}">{block.svg}</figure>\n'


def _facts(rows: Sequence[tuple[str, Cell]]) -> Iterator[str]:
    """Labels and values; a row without a label goes on with the one before."""
    yield '<table class="facts"><tbody>\n'
    for place, (label, value) in enumerate(rows):
        following = takewhile(lambda row: not row[0], rows[place + 1 :])
        span = 1 + sum(1 for _ in following)
        rows_on = f' rowspan="{span}"' if span > 1 else ""
        head = f'<th scope="row"{rows_on}>{_safe(label)}</th>' if label else ""
        yield f"<tr>{head}<td>{_cell(value)}</td></tr>\n"
    yield "</tbody></table>\n"


def _grid(grid: Grid) -> Iterator[str]:
    style = [_column(grid, number) for number in range(len(grid.columns))]
    width = ' class="small"' if len(grid.columns) < 4 else ""
    heads = "".join(
        f'<th scope="col"{kind}>{_safe(name)}</th>' for name, kind in zip(grid.columns, style, strict=True)
    )
    name = f"Table: {', '.join(grid.columns)}"
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{_safe(name)}"><table{width}>'
    yield f"<thead><tr>{heads}</tr></thead><tbody>\n"
    labels = [
        f' data-label="{_safe(name)}"' for name in grid.columns
    ]  # shown on a phone, where a row is a card
    for row in grid.rows:
        cells = "".join(
            f"<td{kind}{label}>{_cell(cell)}</td>"
            for cell, kind, label in zip(row, style, labels, strict=True)
        )
        yield f"<tr>{cells}</tr>\n"
    yield "</tbody></table></div>\n"


def _column(grid: Grid, number: int) -> str:
    names = [name for name, held in (("number", grid.numeric), ("tight", grid.tight)) if number in held]
    return f' class="{" ".join(names)}"' if names else ""


def _cell(cell: Cell) -> str:
    if isinstance(cell, Code):
        return f"<code>{_safe(cell.value, LONGEST_CODE)}</code>"
    if isinstance(cell, Verdict):
        return f'<b class="{cell.value.value.lower()}">{cell.value.value}</b>'
    return f"<bdi>{_safe(cell)}</bdi>"


def _safe(words: str, limit: int = text.LIMIT) -> str:
    return escape(text.clean(words, limit), quote=True)
