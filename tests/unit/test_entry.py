import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard import canonical
from agent_guard.entry import (
    ANSWERS,
    FORMAT,
    MAX_ENTRY,
    MAX_META,
    PERMITS,
    WITHOUT_META,
    BlockRef,
    Entry,
    Kind,
    MalformedEntry,
    commitment,
)
from agent_guard.merkle import leaf_hash

pytestmark = pytest.mark.unit

AGENT, HASH, DIGEST = b"\xaa" * 32, b"\xbb" * 32, b"\xcc" * 32
BLOCK = BlockRef(1234, HASH)
INTENT = Entry(7, AGENT, 3, Kind.INTENT, 1_795_446_480_123, BLOCK, DIGEST)
DEATH = Entry(
    9,
    AGENT,
    5,
    Kind.DEATH,
    1_795_446_481_000,
    BLOCK,
    DIGEST,
    8,
    {"epoch": 1, "frozen_ms": 12, "mode": "cgroup"},
)

numbers = st.integers(0, canonical.MAX_INTEGER)
hashes = st.binary(min_size=32, max_size=32)
lower, printable = "abcdefghijklmnopqrstuvwxyz", [chr(code) for code in range(0x20, 0x7F)]
metas = st.dictionaries(
    st.builds("".join, st.tuples(st.sampled_from(lower), st.text(lower + "0123456789_", max_size=31))),
    st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
    | st.booleans()
    | st.text(printable, max_size=128),
    max_size=MAX_META,
)


@st.composite
def entries(draw):
    kind = draw(st.sampled_from(Kind))
    index = draw(st.integers(1, canonical.MAX_INTEGER))
    block = st.builds(BlockRef, numbers, hashes)
    refers_to = st.integers(0, index - 1)
    return Entry(
        index=index,
        agent=draw(hashes),
        counter=draw(st.integers(0, index)),
        kind=kind,
        time=draw(numbers),
        block=draw(block if kind in PERMITS else st.none() | block),
        commitment=draw(hashes),
        refers_to=draw(refers_to if kind in ANSWERS else st.none() | refers_to),
        meta={} if kind in WITHOUT_META else draw(metas),
    )


def as_value(entry: Entry) -> dict:
    """The entry as the module's docstring describes it, built without the code under test."""
    block = entry.block
    value = {
        "agent": "0x" + entry.agent.hex(),
        "block": None if block is None else {"hash": "0x" + block.hash.hex(), "number": block.number},
        "commitment": "0x" + entry.commitment.hex(),
        "counter": entry.counter,
        "format": "agent-guard/1",
        "index": entry.index,
        "kind": entry.kind.value,
        "time": entry.time,
    }
    if entry.meta:
        value["meta"] = dict(entry.meta)
    if entry.refers_to is not None:
        value["refers_to"] = entry.refers_to
    return value


def test_an_intent_has_these_bytes():
    """The format is for ever: whoever changes this must change FORMAT."""
    assert INTENT.encode().decode() == (
        f'{{"agent":"0x{"aa" * 32}","block":{{"hash":"0x{"bb" * 32}","number":1234}},"commitment":"0x{"cc" * 32}",'
        '"counter":3,"format":"agent-guard/1","index":7,"kind":"intent","time":1795446480123}'
    )


def test_a_death_receipt_has_these_bytes():
    assert DEATH.encode().decode() == (
        f'{{"agent":"0x{"aa" * 32}","block":{{"hash":"0x{"bb" * 32}","number":1234}},"commitment":"0x{"cc" * 32}",'
        '"counter":5,"format":"agent-guard/1","index":9,"kind":"death",'
        '"meta":{"epoch":1,"frozen_ms":12,"mode":"cgroup"},"refers_to":8,"time":1795446481000}'
    )


@given(entries())
def test_the_bytes_are_canonical_json_of_the_documented_fields(entry):
    assert entry.encode() == canonical.encode(as_value(entry))


@given(entries())
def test_what_is_encoded_decodes_to_the_same(entry):
    assert Entry.decode(entry.encode()) == entry


@given(entries(), st.data())
def test_a_changed_byte_is_refused_or_is_another_entry(entry, data):
    encoded = bytearray(entry.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = Entry.decode(bytes(encoded))
    except MalformedEntry:
        return
    assert other != entry
    assert other.encode() == encoded


@given(st.binary(max_size=300))
def test_noise_is_refused(data):
    with pytest.raises(MalformedEntry):
        Entry.decode(data)


def test_leaf_is_the_rfc6962_hash_of_the_bytes():
    assert INTENT.leaf() == leaf_hash(INTENT.encode()) == sha256(b"\x00" + INTENT.encode()).digest()


# ----------------------------------------------------------------------------------------------- commitment


def test_commitment_is_sha256_of_salt_and_content():
    salt = bytes(range(32))
    assert commitment(salt, b'{"tool":"x"}') == sha256(salt + b'{"tool":"x"}').digest()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_salt_of_another_length_is_refused(size):
    with pytest.raises(ValueError, match="32"):
        commitment(bytes(size), b"content")


def test_an_entry_commits_to_its_content_and_salt_alone():
    salt, content = bytes(range(32)), b'{"tool":"x"}'
    entry = replace(INTENT, commitment=commitment(salt, content))
    assert entry.commits_to(salt, content)
    assert not entry.commits_to(salt, content + b" ")
    assert not entry.commits_to(salt[::-1], content)
    assert not entry.commits_to(salt + content[:1], content[1:])


# -------------------------------------------------------------------------------------------- values refused


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": 2**53},
        {"index": True, "counter": 0},
        {"index": 7.0},
        {"index": "7"},
        {"counter": 8},
        {"counter": -1},
        {"counter": False},
        {"time": -1},
        {"time": 2**53},
        {"time": 1.5},
        {"agent": b"\xaa" * 31},
        {"agent": "aa" * 32},
        {"agent": None},
        {"commitment": b"\xcc" * 33},
        {"commitment": "0x" + "cc" * 32},
        {"kind": "intent"},
        {"kind": None},
        {"refers_to": 7},
        {"refers_to": -1},
        {"refers_to": True},
        {"block": None},
        {"meta": {"tool": "rm"}},
        {"kind": Kind.OUTCOME},
        {"kind": Kind.DECISION},
        {"kind": Kind.START, "block": None},
        {"kind": Kind.DECISION, "refers_to": 6, "block": None},
    ],
)
def test_an_entry_with_a_value_out_of_range_cannot_be_made(change):
    with pytest.raises(MalformedEntry):
        replace(INTENT, **change)


@pytest.mark.parametrize(
    ("number", "block_hash"), [(-1, HASH), (2**53, HASH), (True, HASH), (1, HASH[1:]), (1, "bb" * 32)]
)
def test_a_block_out_of_range_cannot_be_named(number, block_hash):
    with pytest.raises(MalformedEntry):
        BlockRef(number, block_hash)


@pytest.mark.parametrize(
    "meta",
    [
        {"Epoch": 1},
        {"1st": 1},
        {"": 1},
        {"a" * 33: 1},
        {"a-b": 1},
        {"a\n": 1},
        {5: 1},
        {"a": 1.5},
        {"a": None},
        {"a": [1]},
        {"a": {"b": 1}},
        {"a": 2**53},
        {"a": -(2**53)},
        {"a": "x" * 129},
        {"a": "ö"},
        {"a": "line\n"},
        {"a": "\x1b[2J"},
        {f"a{n}": n for n in range(MAX_META + 1)},
    ],
)
def test_meta_that_is_not_small_and_plain_is_refused(meta):
    with pytest.raises(MalformedEntry):
        replace(DEATH, meta=meta)


@pytest.mark.parametrize("kind", sorted(WITHOUT_META))
def test_nothing_of_an_agents_request_is_public(kind):
    with pytest.raises(MalformedEntry, match="content"):
        replace(INTENT, kind=kind, refers_to=6, meta={"tool": "fs.write"})


def test_the_largest_meta_fits_an_entry():
    meta = {f"{'k' * 30}{n:02}": '"' * 128 for n in range(MAX_META)}
    entry = replace(DEATH, meta=meta)
    assert len(entry.encode()) < MAX_ENTRY
    assert Entry.decode(entry.encode()) == entry


# --------------------------------------------------------------------------------------------- bytes refused


def variants():
    value = as_value(DEATH)
    for key in value:
        yield f"without {key}", {k: v for k, v in value.items() if k != key}
    yield "unknown key", value | {"extra": 1}
    yield "empty meta", value | {"meta": {}}
    yield "null meta", value | {"meta": None}
    yield "null refers_to", value | {"refers_to": None}
    yield "nested meta", value | {"meta": {"a": {"b": 1}}}
    yield "upper-case hex", value | {"agent": "0x" + "AA" * 32}
    yield "hex without 0x", value | {"agent": "aa" * 32}
    yield "short hex", value | {"agent": "0x" + "aa" * 31}
    yield "other format", value | {"format": "agent-guard/2"}
    yield "unknown kind", value | {"kind": "reboot"}
    yield "text for a number", value | {"index": "9"}
    yield "negative number", value | {"index": -9}
    yield "fraction", value | {"time": 1.5}
    yield "too large a number", value | {"time": 9_999_999_999_999_999}
    yield "block without hash", value | {"block": {"number": 1}}
    yield "block with more", value | {"block": value["block"] | {"timestamp": 1}}
    yield "answers itself", value | {"refers_to": 9}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=name)
        for name, value in variants()
        if name not in ("without meta", "without refers_to")
    ],
)
def test_json_with_other_keys_or_values_is_refused(value):
    with pytest.raises(MalformedEntry):
        Entry.decode(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace('":', '": ', 1),
        lambda text: text.replace('"counter":5', '"counter":05'),
        lambda text: text.replace('"counter":5', '"counter":5,"counter":5'),
        lambda text: text.replace('"counter":5', '"counter":5.0'),
        lambda text: text.replace(
            '"counter":5,"format":"agent-guard/1"', '"format":"agent-guard/1","counter":5'
        ),
        lambda text: text.replace('"epoch":1,"frozen_ms":12', '"frozen_ms":12,"epoch":1'),
        lambda text: text.replace('"epoch":1', '"epoch":1,"epoch":1'),
        lambda text: text.replace('"cgroup"', r'"\u0063group"'),
        lambda text: text.replace('"cgroup"}', '"cgroup"},"meta":{"a":1}'),
        lambda text: text.replace('"mode":"cgroup"', '"mode":"cgröup"'),
        lambda text: text.replace("agent-guard/1", "agent-guard/１"),
        lambda text: text.replace("1234", "１２３４"),
        lambda text: text + text,
        lambda text: f"[{text}]",
        lambda text: "",
        lambda text: "[]",
    ],
)
def test_another_spelling_of_an_entry_is_refused(change):
    changed = change(DEATH.encode().decode())
    assert changed != DEATH.encode().decode()
    with pytest.raises(MalformedEntry):
        Entry.decode(changed.encode())


def test_an_oversized_entry_is_refused_unread():
    with pytest.raises(MalformedEntry, match="at most"):
        Entry.decode(b'{"agent":' + b" " * MAX_ENTRY)


def test_the_refusal_says_why():
    with pytest.raises(MalformedEntry, match="format is not " + FORMAT):
        Entry.decode(INTENT.encode().replace(b"agent-guard/1", b"agent-guard/9"))
    with pytest.raises(MalformedEntry, match="canonical"):
        Entry.decode(INTENT.encode() + b" ")
    with pytest.raises(MalformedEntry, match="missing or unknown"):
        Entry.decode(INTENT.encode().replace(b'"counter"', b'"counted"'))
