import json
import math
import struct
import sys
from contextlib import suppress
from enum import IntEnum, StrEnum
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.canonical import MAX_DEPTH, MAX_INTEGER, NotCanonical, decode, encode, parse

pytestmark = pytest.mark.unit

RFC = json.loads((Path(__file__).parents[1] / "vectors" / "rfc8785.json").read_text())

integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not 2**53 <= abs(x) < 1e21)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def double(digits: str) -> float:
    return struct.unpack(">d", bytes.fromhex(digits))[0]


# ------------------------------------------------------------------------------------------------ published


def test_the_rfcs_example_has_the_rfcs_bytes():
    example = RFC["canonical"][0]
    assert encode(json.loads(example["input"])).hex() == example["hex"]


def test_the_rfcs_keys_are_sorted_by_utf16():
    example = RFC["canonical"][1]
    encoded = encode(json.loads(example["input"]))
    assert list(json.loads(encoded).values()) == example["values"]
    assert list(decode(encoded).values()) == example["values"]


@pytest.mark.parametrize(("digits", "text"), RFC["numbers"])
def test_the_rfcs_numbers_have_the_rfcs_text(digits, text):
    assert encode(double(digits)).decode() == text
    assert decode(text.encode()) == double(digits)


@pytest.mark.parametrize(("digits", "text"), RFC["numbers_refused_here"])
def test_numbers_that_readers_disagree_on_are_refused_both_ways(digits, text):
    with pytest.raises(NotCanonical):
        encode(double(digits))
    with pytest.raises(NotCanonical):
        decode(text.encode())


# ----------------------------------------------------------------------------------------------- properties


@given(values)
def test_whatever_is_encoded_decodes_to_the_same(value):
    assert decode(encode(value)) == value


@given(values)
def test_both_ways_of_encoding_give_the_same_bytes(value):
    assert encode(value) == rfc8785.dumps(value)


@given(st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode()))
def test_bytes_are_refused_or_are_the_only_ones_of_their_value(data):
    try:
        value = decode(data)
    except NotCanonical:
        return
    assert encode(value) == data


@given(values, st.data())
def test_a_changed_byte_is_refused_or_another_value(value, data):
    encoded = bytearray(encode(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    with suppress(NotCanonical):
        assert repr(decode(bytes(encoded))) != repr(decode(encode(value)))


def test_negative_zero_and_whole_floats_are_integers():
    assert encode([-0.0, 5.0, 1e3]) == b"[0,5,1000]"


def test_tuples_are_arrays():
    assert encode((1, (2,))) == b"[1,[2]]"


def test_largest_integers_pass():
    assert decode(encode([MAX_INTEGER, -MAX_INTEGER])) == [MAX_INTEGER, -MAX_INTEGER]


# -------------------------------------------------------------------------------------------------- refused


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    A = "a"


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        2.0**53,
        "\ud800",
        "\udfff and text",
        {"\ud800": 1},
        {1: 2},
        {None: 2},
        {b"a": 1},
        b"bytes",
        {1, 2},
        object(),
        1j,
        Number.ONE,
        Word.A,
        {"ok": [1, {"deep": math.nan}]},
        [1.5, MAX_INTEGER + 1],
        [1.5, object()],
        [1.5, Word.A],
        {"a": 1.5, "b": Number.ONE},
        {"ö": "\ud800"},
    ],
)
def test_what_is_not_json_is_not_encoded(value):
    with pytest.raises(NotCanonical):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"nul",
        b" 1",
        b"1 ",
        b"1\n",
        b"[1, 2]",
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":{"x":1,"x":1}}',
        b"01",
        b"1.0",
        b"1e3",
        b"1E+30",
        b"-0",
        b"+1",
        b"0x10",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"[NaN]",
        b"1e400",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        rb'"\u0041"',
        rb'"\/"',
        rb'"\ud800"',
        rb'"\ud83d\ude00"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'\xef\xbb\xbf"bom"',
        b'"tab\there"',
        b"'single'",
        b"[1,]",
        b'{"a":1,}',
        b"{} {}",
        b"// comment\n1",
        '"a"'.encode("utf-16"),
    ],
)
def test_what_is_not_the_canonical_form_is_not_decoded(data):
    with pytest.raises(NotCanonical):
        decode(data)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_nesting_ends_at_the_limit():
    assert encode(decode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(NotCanonical, match="deep"):
        decode(nested(MAX_DEPTH + 1))
    with pytest.raises(NotCanonical):
        decode(nested(1_000_000))
    with pytest.raises(NotCanonical):
        decode(b'{"a":' * 100_000)


@pytest.mark.parametrize("data", [nested(1_000_000), b'{"a":' * 1_000_000, b'[{"a":' * 500_000])
@pytest.mark.parametrize("read", [decode, parse])
def test_brackets_without_end_are_refused_even_where_recursion_has_no_limit(read, data):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**9)
    try:
        with pytest.raises(NotCanonical, match="deep"):
            read(data)
    finally:
        sys.setrecursionlimit(limit)


@given(st.lists(st.text('[]{}"\\\\a', max_size=200), max_size=5), st.integers(2, MAX_DEPTH))
def test_brackets_in_strings_and_beside_each_other_are_not_nesting(strings, depth):
    value = [strings, *([[]] * 100)]
    for _ in range(depth - 2):
        value = [value, '"[{\\' + "[" * 100]
    assert decode(encode(value)) == value


@given(values)
def test_parse_takes_any_spelling(value):
    assert parse(json.dumps(value, indent=3).encode()) == value


@pytest.mark.parametrize(
    "data", [b'{"a":1, "a":2}', b'[{"b":{"a":1,"a":1}}]', b"[NaN]", b"-Infinity", b"", b'"\xff"', b"1,"]
)
def test_parse_refuses_what_readers_disagree_on(data):
    with pytest.raises(NotCanonical):
        parse(data)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_is_named_as_such(number):
    with pytest.raises(NotCanonical, match="NaN and infinities"):
        encode([number])


def test_a_value_inside_itself_is_refused():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(NotCanonical, match="deep"):
        encode(loop)


def test_not_canonical_is_a_value_error():
    assert issubclass(NotCanonical, ValueError)


@pytest.mark.parametrize(
    "text",
    ["1e999", "[-1E+400]", '{"a":123123e100000}', '"\\ud800"', '{"\\uDFAA":0}', '["\\uD800\\uD800\\n"]'],
)
def test_what_is_json_but_no_value_to_go_on_with_is_refused(text):
    with pytest.raises(NotCanonical, match=r"too large for a double|lone surrogate"):
        parse(text.encode())


def test_integers_are_read_exactly_and_have_no_more_than_4300_digits():
    assert parse(b"1" * 4_300) == int("1" * 4_300)
    with pytest.raises(NotCanonical):
        parse(b"1" * 4_301)
