"""The one place where text leaves the program.

Results go to stdout, narration to stderr. With --json a result is one JSON object; on a terminal it is aligned, with
short hashes and relative times; piped it is aligned without colour, with full hashes and ISO times. Whatever came from
outside is cleaned here, so that one entry of an agent can't forge a row or drive the terminal.
"""

import json
import logging
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TextIO

from agent_guard import text
from agent_guard.errors import GuardError

RED, GREEN, YELLOW, DIM, BOLD = "red", "green", "yellow", "dim", "bold"
INDENT = "  "  # before the lines on which a sentence goes on


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash or an address, shown short on a terminal."""

    value: bytes | str


@dataclass(frozen=True, slots=True)
class Time:
    """Unix seconds, shown as "3 min ago" on a terminal and in ISO 8601 elsewhere; 0 is shown as "-"."""

    unix: float


@dataclass(frozen=True, slots=True)
class Moment:
    """Unix seconds that a reader may quote: in ISO 8601, on a terminal with "3 min ago" beside it."""

    unix: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word with a colour beside it; the word alone says everything."""

    value: str
    style: str


Cell = str | int | float | bool | None | Hash | Time | Moment | Word


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and values, one pair a line."""

    rows: Sequence[tuple[str, Cell]]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; `empty` is said when there are no rows. `least`: how wide the columns are at the least."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "Nothing to show."
    least: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of its own, such as a verdict."""

    value: Cell


@dataclass(frozen=True, slots=True)
class Prose:
    """A sentence; on a terminal it is broken between words, and goes on further in, where no row begins."""

    value: Cell


@dataclass(frozen=True, slots=True)
class Quote:
    """What somebody says: behind his name, on each line that it takes on a terminal."""

    who: str
    said: str


Block = Facts | Table | Line | Prose | Quote


class Output:
    """Where a command's words go.

    Args:
        as_json: results and errors as JSON, narration silent.
    """

    def __init__(
        self, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self.terminal = self.stdout.isatty()

    def result(self, payload: Mapping[str, Any], *blocks: Block) -> None:
        """The result: `payload` with --json, else the blocks."""
        if self.as_json:
            self._json(payload)
            return
        for block in blocks:
            self._block(block)
        self.stdout.flush()

    def event(self, payload: Mapping[str, Any], *blocks: Block) -> None:
        """One of many results, such as a log line or a step of `run`: one JSON object a line with --json."""
        if self.as_json:
            self._json(payload, indent=None)
        else:
            for block in blocks:
                self._block(block)
        self.stdout.flush()

    def narrate(self, message: str) -> None:
        """What happens meanwhile, on stderr; nothing with --json."""
        if not self.as_json:
            print(text.clean(message), file=self.stderr, flush=True)

    def relay(self, line: str, indent: int) -> None:
        """A line of another command's output on stderr, its columns kept; nothing with --json."""
        if not self.as_json:
            print(" " * indent + _aligned(line), file=self.stderr, flush=True)

    def ask(self, question: str) -> None:
        """A question on stderr, the cursor left beside it."""
        print(text.clean(question), end=" ", file=self.stderr, flush=True)

    def document(self, content: str) -> None:
        """A file's content on stdout, as it is: for a file or another program. It must be ASCII, such as our JSON."""
        self.stdout.write(content)
        self.stdout.flush()

    def narrate_facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels and values on stderr, such as what a signer is told before signing; nothing with --json."""
        width = max(len(label) for label, _ in rows)
        if not self.as_json:
            for label, value in rows:
                print(f"  {label.ljust(width)}  {text.clean(value)}", file=self.stderr, flush=True)

    def error(self, error: GuardError) -> None:
        """An error: what failed and why, what did not happen, what to do; on stderr, or as one line of JSON on stdout.

        One line, because it may come after events: whoever reads those takes one object a line.
        """
        if self.as_json:
            self._json(error.as_dict(), indent=None)
            return
        head = self._painted(f"error {error.code}", RED, self.stderr)
        print(f"{head}: {text.clean(error.message)}", file=self.stderr)
        print(f"  {text.clean(error.remedy)}", file=self.stderr)
        print(f"  more: agent-guard help {error.code}", file=self.stderr, flush=True)

    def trace(self) -> None:
        """The traceback of the exception being handled, on stderr, for whoever asked for it."""
        for line in traceback.format_exc().splitlines():
            print(_aligned(line), file=self.stderr, flush=True)

    @contextmanager
    def progress(self, label: str, total: int | None) -> Iterator[Any]:
        """Yields `advance(done)`; draws a bar on a terminal when it takes longer than half a second.

        `advance(done, total)` where the total turns out later.
        """
        if self.as_json or not self.stderr.isatty():
            yield lambda done, total=None: None
            return
        from rich.console import Console
        from rich.progress import Progress

        started = time.monotonic()
        with Progress(console=Console(file=self.stderr), transient=True, disable=False) as bar:
            task = bar.add_task(text.clean(label), total=total, visible=False)

            def advance(done: int, total: int | None = None) -> None:
                bar.update(task, completed=done, total=total, visible=time.monotonic() - started > 0.5)

            yield advance

    def _json(self, payload: Mapping[str, Any], indent: int | None = 2) -> None:
        # JSON escapes control characters itself; ensure_ascii takes care of all others that could mislead.
        print(json.dumps(payload, indent=indent, ensure_ascii=True), file=self.stdout)

    def _block(self, block: Block) -> None:
        if isinstance(block, Line):
            self._print(self._cell(block.value))
        elif isinstance(block, Prose):
            self._prose(block.value)
        elif isinstance(block, Quote):
            name = f"{text.clean(block.who)}| "
            for piece in self._broken(text.clean(block.said), name):
                self._print((name + piece).rstrip())
        elif isinstance(block, Facts):
            self._columns([(label, value) for label, value in block.rows])
        elif block.rows:
            header = [[Word(name, BOLD) for name in block.columns]] if block.columns else []
            self._columns([*header, *block.rows], block.least)
        else:
            self._print(block.empty)

    def _prose(self, cell: Cell) -> None:
        first, *rest = self._broken(self._plain(cell), INDENT)
        for line in (first, *(INDENT + piece for piece in rest)):
            self._print(self._painted(line, cell.style if isinstance(cell, Word) else "", self.stdout))

    def _broken(self, words: str, margin: str) -> list[str]:
        """Words in pieces that fit a terminal beside this margin; one piece elsewhere."""
        if not self.terminal:
            return [words]
        from rich.cells import cell_len

        from agent_guard.cli import layout

        room = shutil.get_terminal_size().columns - cell_len(margin)
        return layout.wrapped(words, max(room, layout.LEAST))

    def _columns(self, rows: Sequence[Sequence[Cell]], least: Sequence[int] = ()) -> None:
        """Aligned rows; on a terminal what is too long goes on below, in its own column."""
        from agent_guard.cli import layout

        plain = [[self._plain(cell) for cell in row] for row in rows]
        columns = shutil.get_terminal_size().columns if self.terminal else None
        widths = layout.widths(plain, least, columns)
        for row, words in zip(rows, plain, strict=True):
            styles = [cell.style if isinstance(cell, Word) else "" for cell in row]
            parts = [layout.wrapped(word, width) for word, width in zip(words, widths, strict=True)]
            for line in zip_longest(*parts, fillvalue=""):
                self._row(line, styles, widths)

    def _row(self, line: Sequence[str], styles: Sequence[str], widths: Sequence[int]) -> None:
        from rich.cells import cell_len

        padded = [
            self._painted(part, style, self.stdout) + " " * (width - cell_len(part))
            for part, style, width in zip(line, styles, widths, strict=True)
        ]
        self._print("  ".join(padded).rstrip())

    def _cell(self, cell: Cell) -> str:
        return self._painted(self._plain(cell), cell.style if isinstance(cell, Word) else "", self.stdout)

    def _plain(self, cell: Cell) -> str:
        if cell is None:
            return "-"
        if isinstance(cell, bool):
            return "yes" if cell else "no"
        if isinstance(cell, Hash):
            whole = cell.value if isinstance(cell.value, str) else "0x" + cell.value.hex()
            return text.shorten(whole) if self.terminal else text.clean(whole)
        if isinstance(cell, Time):
            if not cell.unix:
                return "-"
            return text.ago(time.time() - cell.unix) if self.terminal else text.iso(cell.unix)
        if isinstance(cell, Moment):
            said = text.iso(cell.unix)
            return f"{said}, {text.ago(time.time() - cell.unix)}" if self.terminal else said
        return text.clean(cell.value if isinstance(cell, Word) else str(cell))

    def _painted(self, word: str, style: str, stream: TextIO) -> str:
        codes = {RED: "31", GREEN: "32", YELLOW: "33", DIM: "2", BOLD: "1"}
        if not word or style not in codes or not stream.isatty() or "NO_COLOR" in os.environ:
            return word
        return f"\x1b[{codes[style]}m{word}\x1b[0m"

    def _print(self, line: str) -> None:
        print(line, file=self.stdout)


def _aligned(line: str) -> str:
    """A cleaned line that keeps its runs of spaces."""
    return "".join(part if part[:1] == " " else text.clean(part) for part in re.split(r"( +)", line))


class Records(logging.Handler):
    """Records of our loggers and of the libraries', narrated: they may quote what a node or an agent wrote."""

    def __init__(self, out: Output) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.narrate(f"{record.levelname.lower()}: {record.getMessage()}")
