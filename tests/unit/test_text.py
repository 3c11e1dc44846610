import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_guard.text import (
    ELLIPSIS,
    LIMIT,
    MAX_MARKS,
    REPLACEMENT,
    ago,
    amount,
    clean,
    duration,
    iso,
    shorten,
)

pytestmark = pytest.mark.unit

R = REPLACEMENT
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\u2061\u2064\ufeff\u00ad\u180e"
BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u2800\u3164\uffa0\ufe00\ufe0f\U000e0100\U000e01ef"
TAGS = "\U000e0001\U000e0020\U000e007f"
BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
OTHER = "\x00\x07\x08\x1a\x7f\x80\x9b\x9f\ue000\U0010ffff\ufffe\ud800\udfff\ufff9\ufffb"

anything = st.text(st.characters(categories=None)) | st.text(
    st.sampled_from(BIDI + ZERO_WIDTH + BLANK + TAGS + BREAKS + OTHER + "\x1b[]P\\m;0 1aA\u0301é漢 \t")
)


@given(anything, st.integers(1, 60))
def test_whatever_comes_in_one_short_harmless_line_goes_out(text, limit):
    line = clean(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    assert not set(line) & set(BIDI + ZERO_WIDTH + BLANK + TAGS + BREAKS + OTHER)
    line.encode()


@given(anything)
@example("\r\u0300")
def test_cleaning_twice_changes_nothing_more(text):
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=BLANK), max_size=100))
def test_ordinary_text_passes_unchanged(text):
    assert clean(text) == text


@pytest.mark.parametrize("character", sorted(set(BIDI + ZERO_WIDTH + BLANK + TAGS + OTHER) - {"\x9b"}))
def test_each_invisible_or_steering_character_is_shown_as_replaced(character):
    assert clean(f"a{character}b") == f"a{R}b"


@pytest.mark.parametrize("character", sorted(BREAKS + "\t \xa0\u1680\u2003\u202f\u3000"))
def test_each_break_and_space_becomes_a_plain_space(character):
    assert clean(f"a{character}b") == "a b"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", f"{R}red{R}"),
        ("\x1b[2J\x1b[H", R),
        ("\x1b[38;2;1;2;3mx", f"{R}x"),
        ("\x1b[?25l", R),
        ("\x9b31mx", f"{R}x"),
        ("\x1b]0;new title\x07x", f"{R}x"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", f"{R}link{R}"),
        ("\x1b]52;c;ZXZpbA==\x07", R),
        ("\x9d0;title\x9cx", f"{R}x"),
        ("\x1bPq#0\x1b\\x", f"{R}x"),
        ("\x1b_payload\x1b\\x", f"{R}x"),
        ("\x1bc", R),
        ("\x1b(0x", f"{R}x"),
        ("\x1b", R),
        ("\x1b[", R),
        ("\x1b[31", f"{R}31"),
        ("\x1b]0;never ends", f"{R}0;never ends"),
        ("\x1b]0;title\nVERIFIED", f"{R}0;title VERIFIED"),
    ],
)
def test_escape_sequences_go_as_a_whole(hostile, shown):
    assert clean(hostile) == shown


def test_an_entry_cannot_forge_a_row():
    forged = "ok\r\n\x1b[1A\x1b[2K7  intent  VERIFIED" + " " * 200 + "8  halt"
    assert clean(forged) == f"ok {R}7 intent VERIFIED 8 halt"


def test_runs_of_spaces_cannot_push_text_onto_a_row_of_its_own():
    assert clean("  a   b  ") == "a b"
    assert clean("é  b") == "é b"


def test_reversed_text_keeps_its_order():
    assert clean("safe\u202egpj.exe") == f"safe{R}gpj.exe"


def test_a_heap_of_marks_is_cut_and_a_word_with_accents_is_not():
    assert clean("a" + "\u0301" * 50) == "a" + "\u0301" * MAX_MARKS + R
    assert clean("Việt Nam, naïve, हिन्दी, ไทย") == "Việt Nam, naïve, हिन्दी, ไทย"
    assert clean(unicodedata.normalize("NFD", "Việt")) == unicodedata.normalize("NFD", "Việt")


def test_a_mark_at_the_start_cannot_change_the_column_before():
    assert clean("\u0338x") == f"{R}x"


def test_a_cut_is_shown_and_never_too_long():
    assert clean("abcdef", 6) == "abcdef"
    assert clean("abcdefg", 6) == "abcde" + ELLIPSIS
    assert clean("ab", 1) == ELLIPSIS
    assert clean("a" * 10_000) == "a" * (LIMIT - 1) + ELLIPSIS
    assert clean("\x00" * 10_000, 10) == R + ELLIPSIS
    assert clean("é" * 20, 5) == "éééé" + ELLIPSIS


@pytest.mark.parametrize(
    "unit", ["\x1b]", "\x9d", "\x1b[", "\x9b", "\x1b", "\u0301", "\u202e", "a\n", "\x1b[1;", "\x1b   "]
)
def test_a_huge_hostile_text_takes_no_time(unit):
    started = time.perf_counter()
    clean(unit * 2_000_000)
    # It takes a tenth of a second; what grew with the square of the length would take days.
    assert time.perf_counter() - started < 20


def test_hashes_are_shortened_and_what_is_none_is_only_cleaned():
    assert shorten(bytes.fromhex("12345678" + "00" * 25 + "abcdef")) == "0x12345678…abcdef"
    assert shorten("0x" + "ab" * 20) == "0xabababab…ababab"
    assert shorten("0x1234") == "0x1234"
    assert shorten("the whole fleet\x1b[2J of agents") == f"the whole fleet{R} of agents"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.00994, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.35, "350 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1.5, "1.5 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (86_399.6, "1 d"),
        (2 * 86_400 + 3 * 3600, "2 d 3 h"),
        (-1.5, "-1.5 s"),
        (float("nan"), "unknown"),
        (float("inf"), "unknown"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (0.9, "just now"),
        (-0.9, "just now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (7_200, "2 h ago"),
        (200_000, "2 d ago"),
        (-60, "in 1 min"),
        (float("nan"), "at an unknown time"),
    ],
)
def test_ago(seconds, text):
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("unix", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_795_444_080, "2026-11-23T14:28:00Z"),
        (1_795_444_080.123, "2026-11-23T14:28:00.123Z"),
        (1_795_444_079.9999, "2026-11-23T14:28:00Z"),
        (2**40 - 1, "@1099511627775"),
        (2**64 - 1, "@18446744073709551615"),
        (float("nan"), "@nan"),
        (float("inf"), "@inf"),
    ],
)
def test_iso(unix, text):
    assert iso(unix) == text


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries"), (100_379, "100,379 entries")]
)
def test_amounts_are_told_in_the_right_number_and_can_be_read(count, told):
    assert amount(count, "entry", "entries") == told
