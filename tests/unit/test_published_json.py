"""JSONTestSuite, and the documents and ten thousand numbers of RFC 8785's author."""

import json
import struct
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from math import isfinite
from pathlib import Path

import pytest
import rfc8785

from agent_guard.canonical import NotCanonical, decode, encode, parse

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parents[1] / "vectors"
PARSING = json.loads((VECTORS / "json_parsing.json").read_text())
JCS = json.loads((VECTORS / "jcs.json").read_text())
NUMBERS = JCS["numbers"]

DOUBLED = {"object_duplicated_key", "object_duplicated_key_and_value"}
"""JSON by RFC 8259, but not I-JSON (RFC 7493): readers differ in which value they take."""


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name) for name, text in PARSING["accepted"] if name not in DOUBLED]
)
def test_json_is_read_and_has_one_canonical_form(text: str) -> None:
    value = parse(text.encode())
    assert value == json.loads(text)
    assert decode(encode(value)) == value


@pytest.mark.parametrize("text", [text for name, text in PARSING["accepted"] if name in DOUBLED])
def test_keys_given_twice_are_refused(text: str) -> None:
    for read in (parse, decode):
        with pytest.raises(NotCanonical):
            read(text.encode())


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in PARSING["refused"]])
def test_what_is_not_json_is_refused(text: str) -> None:
    for read in (parse, decode):
        with pytest.raises(NotCanonical):
            read(text.encode())


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in PARSING["not UTF-8, in hex"]])
def test_what_is_not_utf8_is_refused_wherever_it_stands(text: str) -> None:
    for read in (parse, decode):
        with pytest.raises(NotCanonical):
            read(bytes.fromhex(text))


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"":' * 50_000])
def test_brackets_without_end_are_refused(text: str) -> None:
    for read in (parse, decode):
        with pytest.raises(NotCanonical, match="deep"):
            read(text.encode())


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in PARSING["either"]])
def test_what_readers_differ_in_is_refused_or_is_a_finite_value_with_utf8(text: str) -> None:
    try:
        value = parse(text.encode())
    except NotCanonical:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("text", "canonical"), [pytest.param(*rest, id=name) for name, *rest in JCS["documents"]]
)
def test_documents_have_the_canonical_bytes_that_are_published(text: str, canonical: str) -> None:
    assert encode(parse(text.encode())) == canonical.encode()
    assert decode(canonical.encode()) == json.loads(text)


def test_ten_thousand_numbers_have_the_digest_that_is_published() -> None:
    """Those that we refuse are printed by the library alone, so that the digest covers them too."""
    wanted, hashed, refused = NUMBERS["sha256 of as many lines"], sha256(), 0
    for count, bits in enumerate(islice(doubles(), 10_000), start=1):
        (value,) = struct.unpack(">d", bits)
        try:
            text = encode(value)
        except NotCanonical:
            text, refused = rfc8785.dumps(value), refused + 1
        hashed.update(b"%x,%s\n" % (int.from_bytes(bits), text))
        if str(count) in wanted:
            assert hashed.hexdigest() == wanted[str(count)]
    assert 0 < refused < 200


def doubles() -> Iterator[bytes]:
    """The suite's numbers: chosen ones, 2,000 in a row from the smallest that is normal, and a chain of SHA-256."""
    for row in NUMBERS["first"]:
        yield from map(bytes.fromhex, row.split())
    for number in range(2_000):
        yield (0x0010000000000000 + number).to_bytes(8)
    block = bytes(32)
    while True:
        block = sha256(block).digest()
        for at in range(0, 32, 8):
            (value,) = struct.unpack("<d", block[at : at + 8])
            if value and isfinite(value):
                yield struct.pack(">d", value)
