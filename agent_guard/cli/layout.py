"""How columns fit a terminal: the widest give way, and what is too long goes on below, in its own column.

Guarantees: no line is wider than the terminal where each column can have `LEAST`, so that no part of a value stands
where a row begins. Takes lines that are clean already (`agent_guard.text`). Pure.
"""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

GAP = 2
LEAST = 8
"""Cells below which no column is made narrower."""


def widths(
    rows: Sequence[Sequence[str]], least: Sequence[int] = (), available: int | None = None
) -> list[int]:
    """The columns' widths in cells: as wide as their longest value and `least`, or as fits in `available`."""
    found = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    found = [max(width, given) for width, given in zip(found, [*least, *[0] * len(found)], strict=False)]
    over = 0 if available is None else sum(found) + GAP * (len(found) - 1) - available
    while over > 0 and max(found) > LEAST:
        found[found.index(max(found))] -= 1
        over -= 1
    return found


def wrapped(line: str, width: int) -> list[str]:
    """A line in pieces of at most `width` cells, broken at spaces where there are any."""
    pieces = [""]
    for word in _words(line, width):
        joined = f"{pieces[-1]} {word}" if pieces[-1] else word
        if cell_len(joined) <= width:
            pieces[-1] = joined
        else:
            pieces.append(word)
    return pieces


def _words(line: str, width: int) -> Iterator[str]:
    for word in line.split(" "):
        yield from chop_cells(word, width) if cell_len(word) > width else [word]
