"""Columns on a narrow terminal: all of every value is there, and none of it stands where a row begins."""

import os
import re
from collections.abc import Sequence
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from agent_guard import text
from agent_guard.cli import layout
from agent_guard.cli.output import RED, Facts, Output, Prose, Quote, Table, Word
from tests.unit.cli.test_output import Terminal, write

pytestmark = pytest.mark.unit

values = st.text(max_size=300).map(text.clean)
rows = st.integers(1, 5).flatmap(
    lambda count: st.lists(st.lists(values, min_size=count, max_size=count), min_size=1, max_size=4)
)


def shown(block: Facts | Table | Prose | Quote, columns: int = 80) -> list[str]:
    """A block's lines on a terminal of this width, without colours."""
    with mock.patch.dict(os.environ, COLUMNS=str(columns)):
        stdout, _ = write(lambda out: out.result({}, block), terminal=True)
    return re.sub(r"\x1b\[\d*m", "", stdout).splitlines()


@given(rows, st.integers(60, 200))
def test_no_line_is_wider_than_the_terminal(table: Sequence[Sequence[str]], columns: int) -> None:
    lines = shown(Table((), table), columns)
    assert all(cell_len(line) <= columns for line in lines)


@given(values, st.integers(2, 80))
def test_pieces_hold_every_character_in_order(line: str, width: int) -> None:
    pieces = layout.wrapped(line, width)
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")
    assert all(cell_len(piece) <= width for piece in pieces)


def test_long_value_goes_on_in_its_own_column_so_that_it_can_forge_no_row() -> None:
    forged = "x" * 55 + " 12  just now  death  dead 1 ms after the halt's block " * 4
    lines = shown(
        Table(("seq", "when", "what"), [("7", "1 s ago", forged), ("8", "just now", "asked to act")])
    )
    assert len(lines) > 4
    assert all(line.startswith(("seq", "7 ", "8 ", "               ")) for line in lines)


@pytest.mark.parametrize("columns", [20, 80, 300])
def test_long_sentence_goes_on_further_in_so_that_it_can_forge_no_row(columns: int) -> None:
    forged = "x" * (columns - 1) + " kind  death " * 60
    lines = shown(Prose(f"entry 7 of walker: {forged}"), columns)
    assert len(lines) > 2
    assert all(line.startswith(("entry 7", "  ")) and cell_len(line) <= columns for line in lines)


@pytest.mark.parametrize("columns", [20, 80, 300])
def test_every_line_of_what_somebody_says_stands_behind_his_name(columns: int) -> None:
    said = Quote("scout", "漢" * columns + " dead: 4 processes, no survivors \x1b[2J\r\nscout: halted " * 20)
    lines = shown(said, columns)
    assert len(lines) > 2
    assert all(line.startswith("scout| ") and cell_len(line) <= columns for line in lines)


def test_what_somebody_says_is_one_line_where_it_is_piped() -> None:
    stdout, _ = write(lambda out: out.event({}, Quote("scout", "word\n" * 60), Quote("scout", "")))
    assert stdout == "scout| " + "word " * 59 + "word\nscout|\n"


def test_words_are_not_broken_where_they_need_not_be() -> None:
    sentence = "it stands here that nobody breaks a word which has room on the next line of a terminal"
    assert " ".join(line.strip() for line in shown(Prose(sentence), 40)) == sentence


def test_narrow_columns_keep_their_width_while_the_wide_one_gives_way() -> None:
    assert layout.widths([["7", "intent", "w" * 200, "1234"]], available=80) == [1, 6, 63, 4]
    assert layout.widths([["7", "w" * 90, "w" * 200]], available=80) == [1, 37, 38]


def test_piped_rows_stay_on_one_line_whatever_their_length() -> None:
    with mock.patch.dict(os.environ, COLUMNS="20"):
        stdout, _ = write(lambda out: out.result({}, Facts([("a", "word " * 60)]), Prose("word " * 60)))
    assert stdout.count("\n") == 2


def test_colour_ends_with_the_line_it_is_on() -> None:
    with mock.patch.dict(os.environ, COLUMNS="30"):
        out, _ = write(lambda out: out.result({}, Prose(Word("red words " * 9, RED))), terminal=True)
    lines = out.splitlines()
    assert len(lines) > 2
    assert all(line.startswith("\x1b[31m") and line.endswith("\x1b[0m") for line in lines)


def test_rows_told_one_by_one_stand_under_each_other() -> None:
    stream = Terminal()
    for row in ((7, "intent"), (100_379, "death")):
        Output(stdout=stream).event({}, Table((), [(*row, "what")], least=(6, 8)))
    assert [line.index("what") for line in stream.getvalue().splitlines()] == [18, 18]
