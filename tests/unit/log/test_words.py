"""Entries in words: a sentence for each kind, and one harmless line whatever was written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard import text
from agent_guard.entry import ANSWERS, BlockRef, Entry, Kind
from agent_guard.log.words import LIMIT, in_words, without_content

pytestmark = pytest.mark.unit
HERE = BlockRef(12, b"\x01" * 32)
BALLOT = '{"ballot": {"signer": "0xa1a1", "action": "halt"}}'


def entry(kind: Kind, **details: Any) -> Entry:
    refers_to = 7 if kind in ANSWERS else None
    made = {"index": 9, "agent": bytes(32), "counter": 3, "kind": kind, "time": 0, "block": HERE}
    return Entry(**{**made, "commitment": bytes(32), "refers_to": refers_to, **details})


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        (
            "intent",
            {"tool": "fs.write", "arguments": {"path": "report.md", "n": 3}},
            "asked to act: fs.write path=report.md n=3",
        ),
        ("intent", {"tool": "now", "arguments": {}}, "asked to act: now"),
        ("outcome", {"status": "ok", "result": None}, "answered: ok (entry 7)"),
        (
            "outcome",
            {"status": "error", "result": {"why": "full"}},
            'answered: error, {"why": "full"} (entry 7)',
        ),
        ("refused", {"code": "AG602", "reason": "halted", "tool": "fs.rm"}, "refused fs.rm: halted"),
        ("decision", {"who": "ann"}, 'decided on entry 7: {"who": "ann"}'),
        ("start", {"mode": "bwrap"}, "started in a container (bwrap), allowed at block 12"),
        ("start", {"mode": "none"}, "started, allowed at block 12"),
        ("freeze", {"reason": "1 open vote to halt"}, "frozen: 1 open vote to halt"),
        ("stopping", {"reason": "halted"}, "told of a planned stop: halted"),
        ("thaw", {}, "goes on after a freeze"),
        ("halt", {"reason": "halted by the council"}, "killed: halted by the council"),
        ("resume", {}, "may run again, on the council's word"),
        ("erasure", {"reason": "her right"}, "erased the content of entry 7; the reason given: her right"),
        ("exit", {"exit_code": 0}, "ended by itself, exit code 0"),
        ("exit", {"not_started": "AG110"}, "could not be started (AG110)"),
        (
            "exit",
            {"exit_code": 1, "stopping": "paused"},
            "ended by itself, exit code 1, told to stop: paused",
        ),
        (
            "ballot",
            {"ballot": BALLOT, "refused": None},
            "ballot of 0xa1a1 to halt handed to the guard itself: counted",
        ),
        (
            "ballot",
            {"ballot": "{", "refused": "expired"},
            "ballot of a signer handed to the guard itself: not counted, expired",
        ),
        ("dissent", {"endpoints": {"http://a": "lags"}}, "endpoints differ from the quorum: http://a=lags"),
        ("dissent", {"endpoints": {}}, "the endpoints agree again"),
        (
            "config",
            {"command": ["python", "walk.py"], "sandbox": "bwrap"},
            "set up in a container (bwrap): python walk.py",
        ),
    ],
)
def test_each_kind_is_a_sentence(kind: str, content: Any, words: str) -> None:
    assert in_words(entry(Kind(kind)), content) == words


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"dead": 1_023, "block": 1_000, "quorum": 900}, "dead 23 ms after the halt's block"),
        ({"dead": 980, "block": 1_000}, "dead 20 ms before the halt's block"),
        ({"dead": 980, "quorum": 970}, "dead 10 ms after the deciding ballot"),
        ({"dead": 980, "seen": 970}, "dead 10 ms after the guard saw the stop"),
        ({"dead": "soon", "seen": True}, "dead"),
        ({}, "dead"),
    ],
)
def test_death_says_how_fast_it_came_even_without_its_content(meta: dict[str, Any], words: str) -> None:
    death = entry(Kind.DEATH, meta=meta)
    assert in_words(death, {}) == in_words(death, None, erased=True) == words


def test_every_kind_has_words_with_and_without_its_content() -> None:
    for kind in Kind:
        assert in_words(entry(kind), {})
        assert kind is Kind.DEATH or "(its content is not there)" in in_words(entry(kind), None, erased=True)
        assert kind is Kind.DEATH or without_content(entry(kind), "it is long").endswith("(it is long)")


def test_nothing_an_agent_writes_forges_a_line_or_hides_the_kind() -> None:
    nasty = "x\r\n12  start  started\x1b[2K\u202e" * 50
    said = in_words(entry(Kind.INTENT), {"tool": nasty, "arguments": {nasty: nasty}})
    assert said.startswith("asked to act: x 12 start started")
    assert not set(said) & {"\n", "\r", "\x1b", "\u202e"}
    assert len(said) <= LIMIT


def test_limit_is_the_callers() -> None:
    said = in_words(entry(Kind.INTENT), {"tool": "t" * 500}, limit=20)
    assert len(said) == 20
    assert said.endswith(text.ELLIPSIS)


def test_gigantic_arguments_cost_no_more_than_what_is_shown() -> None:
    arguments = {f"name{number}": number for number in range(100_000)}
    assert "name15=15" not in in_words(entry(Kind.INTENT), {"tool": "x", "arguments": arguments}, limit=60)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = [
    "tool", "arguments", "status", "result", "reason", "mode", "command", "ballot", "refused", "endpoints", "exit_code"
]  # fmt: skip


@given(st.sampled_from(Kind), st.dictionaries(st.sampled_from(names), json) | json)
def test_no_shape_of_content_breaks_a_sentence(kind: Kind, content: Any) -> None:
    said = in_words(entry(kind), content)
    assert said == text.clean(said)
    assert 0 < len(said) <= LIMIT


def test_erased_entry_says_where_that_is_on_record_and_why_in_one_harmless_line() -> None:
    asked = entry(Kind.INTENT)
    assert in_words(asked, None, erased=True, record=(12, {"reason": "her right"})) == (
        "asked to act (erased, on record in entry 12: her right)"
    )
    for said in (None, {}, [], "reason", {"reason": None}):
        assert in_words(asked, None, erased=True, record=(12, said)) == (
            "asked to act (erased, on record in entry 12)"
        )
    hostile = in_words(asked, None, erased=True, record=(12, {"reason": "\x1b[2J\n\u202e" + "x" * 9_999}))
    assert len(hostile) <= LIMIT
    assert hostile == text.clean(hostile)
