"""The one place where text leaves: what it looks like on a terminal, in a pipe and as JSON, and what never gets out."""

import io
import json
import logging
import os
import re
import time
import unicodedata
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.cli.output import GREEN, RED, Facts, Hash, Line, Output, Records, Table, Time, Word
from agent_guard.errors import GuardError

pytestmark = pytest.mark.unit

HASH = bytes(range(32))
WHOLE = "0x" + HASH.hex()
# Text that a hostile agent, node or signer might write. Each must stay inside its cell.
HOSTILE = [
    "a\nalice  running  yes", "a\r\nb", "a\rFORGED", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31mred",
    "\x1b[2J\x1b[H", "\u202egnp.exe", "a\u2066b\u2069", "zero\u200bwidth", "\x00\x07\x08",
    "a\x0bb\x0cc\x85d\u2028e\u2029f",
    "tab\tbed", "e" + "\u0301" * 50, "\ud800",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=60), st.text(st.characters(max_codepoint=0x9F), max_size=30)
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def write(action: Callable[[Output], Any], terminal: bool = False, as_json: bool = False) -> tuple[str, str]:
    """What an action writes to stdout and to stderr."""
    streams = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    action(Output(as_json, *streams))
    return streams[0].getvalue(), streams[1].getvalue()


def steers(text: str, colours: bool = False) -> bool:
    """Whether anything in it could move a cursor, change direction, or hide; line ends are the caller's affair."""
    plain = re.sub(r"\x1b\[[0-9]*m", "", text) if colours else text
    return any(
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for character in plain
        if character != "\n"
    )


TABLE = Table(("name", "root"), [("alice", Hash(HASH)), ("bob", None)])


# --- three ways out --------------------------------------------------------------------------------------------------


def test_as_json_a_result_is_one_object_and_narration_is_silent() -> None:
    def act(out: Output) -> None:
        out.narrate("working")
        out.narrate_facts([("a", "b")])
        out.relay("$ command", 3)
        out.result({"rows": [{"name": "é\x1b"}]}, TABLE, Line("done"))

    stdout, stderr = write(act, as_json=True)
    assert json.loads(stdout) == {"rows": [{"name": "é\x1b"}]}
    assert stdout.isascii()
    assert "\x1b" not in stdout
    assert stderr == ""


def test_as_json_events_are_one_object_a_line() -> None:
    def act(out: Output) -> None:
        out.event({"event": "a", "text": "two\nlines"})
        out.event({"event": "b"}, Line("b"))

    stdout, _ = write(act, as_json=True)
    assert [json.loads(line)["event"] for line in stdout.splitlines()] == ["a", "b"]


def test_as_json_an_error_is_an_object_on_stdout() -> None:
    stdout, stderr = write(lambda out: out.error(GuardError("AG301", "No key.", "Make one.")), as_json=True)
    assert json.loads(stdout)["error"]["kind"] == "permission"
    # One line: it may follow the events of `run`, which are one object a line.
    assert stdout.count("\n") == 1
    assert stderr == ""


def test_piped_a_table_has_whole_hashes_iso_times_and_no_colour() -> None:
    table = Table(
        ("what", "value"), [("hash", Hash(HASH)), ("time", Time(1_700_000_000)), ("word", Word("ok", GREEN))]
    )
    stdout, _ = write(lambda out: out.result({}, table))
    assert stdout == f"what  value\nhash  {WHOLE}\ntime  2023-11-14T22:13:20Z\nword  ok\n"


def test_on_a_terminal_hashes_are_short_times_relative_and_words_coloured() -> None:
    facts = Facts([("hash", Hash(HASH)), ("time", Time(time.time() - 185)), ("word", Word("ok", GREEN))])
    stdout, _ = write(lambda out: out.result({}, facts), terminal=True)
    assert "0x00010203…1d1e1f" in stdout
    assert "3 min ago" in stdout
    assert "\x1b[32mok\x1b[0m" in stdout


def test_no_color_holds_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    def act(out: Output) -> None:
        out.result({}, Line(Word("TAMPERED", RED)), TABLE)
        out.error(GuardError("AG301", "No key.", "Make one."))

    stdout, stderr = write(act, terminal=True)
    assert "\x1b" not in stdout + stderr
    assert "TAMPERED" in stdout


def test_colour_always_stands_beside_a_word() -> None:
    stdout, _ = write(lambda out: out.result({}, Line(Word("VERIFIED", GREEN))), terminal=True)
    assert re.sub(r"\x1b\[[0-9]*m", "", stdout) == "VERIFIED\n"


def test_stderr_piped_gets_no_colour_though_stdout_is_a_terminal() -> None:
    stdout, stderr = Terminal(), io.StringIO()
    Output(False, stdout, stderr).error(GuardError("AG301", "No key.", "Make one."))
    assert "\x1b" not in stderr.getvalue()


def test_results_go_to_stdout_and_all_else_to_stderr() -> None:
    def act(out: Output) -> None:
        out.narrate("narration")
        out.relay("relayed", 0)
        out.narrate_facts([("a", "b")])
        out.ask("question?")
        out.error(GuardError("AG301", "No key.", "Make one."))
        out.result({}, Line("result"))
        out.document('{"format": 1}\n')

    stdout, stderr = write(act)
    assert stdout == 'result\n{"format": 1}\n'
    for word in (
        "narration",
        "relayed",
        "  a  b",
        "question? ",
        "No key.",
        "Make one.",
        "agent-guard help AG301",
    ):
        assert word in stderr


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1.5, "1.5"),
        (Time(0), "-"),
        ("", ""),
        (Hash("0xab"), "0xab"),
    ],
)
def test_each_kind_of_cell_has_its_words(cell: Any, shown: str) -> None:
    assert write(lambda out: out.result({}, Line(cell)))[0] == shown + "\n"


def test_a_table_without_rows_says_so_in_words() -> None:
    assert (
        write(lambda out: out.result({}, Table(("a",), [], empty="No agents yet.")))[0] == "No agents yet.\n"
    )


def test_columns_stay_aligned_with_wide_characters() -> None:
    stdout, _ = write(lambda out: out.result({}, Table(("name", "n"), [("日本", 1), ("ab", 2), ("🔑", 3)])))
    assert stdout.splitlines() == ["name  n", "日本  1", "ab    2", "🔑    3"]


# --- hostile text ----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.booleans())
def test_no_text_in_a_cell_forges_a_row_or_steers_the_terminal(
    rows: list[tuple[str, str]], terminal: bool
) -> None:
    table = Table(("one", "two"), rows)
    stdout, _ = write(lambda out: out.result({}, table), terminal)
    assert stdout.count("\n") == len(stdout.splitlines()) == len(rows) + 1
    assert not steers(stdout, colours=terminal)


@given(texts, texts, st.booleans())
def test_no_text_in_facts_lines_or_words_gets_out_raw(label: str, value: str, terminal: bool) -> None:
    blocks = (Facts([(label, value), ("hash", Hash(value))]), Line(value), Line(Word(value, RED)))
    with mock.patch.dict(os.environ, COLUMNS="1000"):  # narrower ones: test_layout.py
        stdout, _ = write(lambda out: out.result({}, *blocks), terminal)
    assert len(stdout.splitlines()) == 4
    assert not steers(stdout, colours=terminal)


@given(texts, st.booleans())
def test_no_text_of_an_error_or_a_narration_gets_out_raw(text: str, terminal: bool) -> None:
    def act(out: Output) -> None:
        out.error(GuardError("AG100", text, text))
        out.narrate(text)
        out.narrate_facts([("reason", text)])
        out.relay(text, 3)
        out.ask(text)

    stdout, stderr = write(act, terminal)
    assert stdout == ""
    assert stderr.count("\n") == len(stderr.splitlines()) - 1 == 6  # the question's line is left open
    assert not steers(stderr, colours=terminal)


@given(st.dictionaries(texts, texts, max_size=3))
def test_as_json_every_text_comes_back_as_it_was_and_the_line_is_ascii(payload: dict[str, str]) -> None:
    stdout, _ = write(lambda out: out.event(payload), as_json=True)
    assert json.loads(stdout) == payload
    assert stdout.isascii()
    assert not steers(stdout)
    assert stdout.count("\n") == 1


def test_a_relayed_line_keeps_its_columns_and_loses_its_carriage_return() -> None:
    _, stderr = write(lambda out: out.relay("agent     state  \r  FORGED \x1b[2K", 3))
    assert stderr == "   agent     state    FORGED \N{REPLACEMENT CHARACTER}\n"


def test_a_record_of_a_library_is_narrated_clean() -> None:
    stderr = io.StringIO()
    handler = Records(Output(False, io.StringIO(), stderr))
    handler.handle(
        logging.LogRecord("web3", logging.ERROR, "x.py", 1, "node said %s", ("\x1b[31mhalt\n",), None)
    )
    assert stderr.getvalue() == "error: node said \N{REPLACEMENT CHARACTER}halt\n"


def test_a_traceback_is_told_line_by_line_and_clean() -> None:
    def act(out: Output) -> None:
        try:
            raise RuntimeError("\x1b[2Jgone\rFORGED")
        except RuntimeError:
            out.trace()

    _, stderr = write(act)
    assert stderr.startswith("Traceback (most recent call last):\n")
    assert "RuntimeError: \N{REPLACEMENT CHARACTER}gone" in stderr
    assert not steers(stderr)


# --- progress --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [True, False])
def test_progress_is_silent_where_nobody_watches(as_json: bool) -> None:
    def act(out: Output) -> None:
        with out.progress("auditing", 10) as advance:
            advance(5)

    assert write(act, terminal=False, as_json=as_json) == ("", "")


def test_what_is_quickly_done_draws_no_bar() -> None:
    def act(out: Output) -> None:
        with out.progress("auditing", 10) as advance:
            advance(10)

    assert "auditing" not in write(act, terminal=True)[1]
