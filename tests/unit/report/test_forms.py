"""The three forms of a report: what they say, in which order, and what no agent's words can do to them."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import groupby
from typing import Any

import pytest
from markdown_it import MarkdownIt

from agent_guard.audit import Event, Unreachable
from agent_guard.merkle import Frontier, inclusion_proof, leaf_hash, verify_inclusion
from agent_guard.report import Chronicle, Form, render
from agent_guard.report.markdown import escape
from agent_guard.report.model import EntryProof
from agent_guard.store import SqliteReader, pages_of
from agent_guard.types import Action
from tests.unit.audit.conftest import ME
from tests.unit.report.conftest import NASTY

pytestmark = pytest.mark.unit

TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "p", "section", "strong", "b", "ul",
    "li", "div", "table", "thead", "tbody", "tr", "th", "td", "bdi", "code", "pre", "figure", "svg", "desc", "g",
    "rect", "path", "circle", "text", "defs", "pattern",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "aria-label", "aria-labelledby", "id", "scope",
    "tabindex", "viewbox", "role", "x", "y", "width", "height", "rx", "d", "cx", "cy", "r", "text-anchor", "fill",
    "patternunits", "data-label", "rowspan",
}  # fmt: skip


class Page(HTMLParser):
    """Tags, attributes and text of a page, and whether each tag was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def html(report: Any) -> str:
    return render(report, Form.HTML)


def markdown(report: Any) -> str:
    return render(report, Form.MARKDOWN)


# ------------------------------------------------------------------------------------------------------ what it says


def test_halted_agents_report_tells_the_whole_story(halted: Any) -> None:
    for told in ("".join(Page(html(halted.report())).words), markdown(halted.report())):
        for fact in (
            "VERIFIED",
            "nothing of it was left alive 23 ms after that block's time",
            "voted to halt the agent (1 of 2 votes)",
            "voted to halt the agent (2 of 2 votes)",
            "the council halted the agent",
            "frozen: 1 open vote to halt",
            "dead 23 ms after the halt's block",
            "set up in a container (bwrap)",
            "agent-guard audit walker --log /var/lib/agent-guard/log.sqlite --rpc-url URL",
            "agent-guard log prove walker 23 --log",
            halted.identity.operator,
            halted.identity.council,
            "0x" + halted.facts().head.root.hex(),
            "0x" + halted.facts().as_of.hash.hex(),
        ):
            assert fact in told.replace("&#35;", "#"), fact


@pytest.mark.parametrize("form", [html, markdown])
def test_verdict_comes_before_anything_else(halted: Any, form: Callable[[Any], str]) -> None:
    told = form(halted.report())
    assert told.index("VERIFIED") < told.index("Summary") < told.index("Timeline")


def test_tampered_log_is_called_so_with_every_fault(halted: Any) -> None:
    halted.forge("UPDATE content SET body = x'78' WHERE leaf_index IN (4, 7)")
    report = halted.report()
    told = "".join(Page(html(report)).words)
    assert "must not be relied on as it stands. The first fault is at entry 4 (content)" in told
    assert [fault["index"] for fault in json.loads(render(report, Form.JSON))["faults"]] == [4, 7]
    assert "may be false or incomplete" in told


def test_disobedience_is_not_called_a_changed_log(halted: Any) -> None:
    halted.record("intent", {"tool": "write"})
    halted.anchor()
    told = html(halted.report())
    assert "acted against the council&#x27;s word" in told
    assert "The log was changed" not in told


def test_unreachable_chain_is_said_first(halted: Any) -> None:
    told = "".join(Page(html(halted.report(Unreachable("no answer from the node")))).words)
    assert (
        "not everything could be checked: nothing is wrong within the log, but the chain could not be asked"
        in told
    )


def test_empty_log_makes_a_report_too(scene: Any) -> None:
    for form in Form:
        assert "never started" in render(scene.report(), form) or form is Form.JSON


def test_agent_that_was_never_halted_has_no_stages(scene: Any) -> None:
    scene.record("start", {})
    scene.anchor()
    assert "stage by stage" not in html(scene.report())


def test_pause_resume_veto_and_retirement_are_told(scene: Any) -> None:
    for event in Event:
        scene.happens(event, until=1_700_001_050, operator=scene.identity.operator)
        scene.now += 1
    scene.vote("c3", 1, Action.SET_OPERATOR)
    told = "".join(Page(html(scene.report())).words)
    for fact in (
        "was paused by one signer until",
        "was vetoed",
        "retired the agent for good",
        "voted to set operator",
    ):
        assert fact in told


def test_events_that_are_left_out_are_said_to_be(scene: Any) -> None:
    for _ in range(200):
        scene.happens(Event.PAUSED, until=0)
        scene.now += 1
    for form in (html, markdown):
        assert "51 events in between are left out." in form(scene.report())


def test_votes_that_could_not_be_read_are_said_to_be_unknown(halted: Any) -> None:
    report = halted.report()
    assert report.chain is not None
    blind = replace(report, chain=replace(report.chain, council=None, votes=None, unread="the node hung up"))
    assert "Not all of it could be read: the node hung up" in html(blind)
    assert json.loads(render(blind, Form.JSON))["chain"]["votes"] is None


@pytest.mark.parametrize("form", list(Form))
def test_same_report_gives_the_same_bytes(halted: Any, form: Form) -> None:
    assert render(halted.report(), form) == render(halted.report(), form)


def test_json_holds_the_audits_own_result_and_the_rows_of_the_timeline(halted: Any) -> None:
    report = halted.report()
    told = json.loads(render(report, Form.JSON))
    assert told["format"] == "agent-guard-report/1"
    assert report.result.as_dict().items() <= told.items()
    assert [vote["signer"] for vote in told["chain"]["votes"]] == ["0x" + "a1" * 20, "0x" + "b2" * 20]
    kinds = [moment["kind"] for moment in told["timeline"]["moments"]]
    assert kinds == ["registered", "config", "start", "vote", "freeze", "vote", "halted", "halt", "death"]
    assert sum(bar["actions"] for bar in told["timeline"]["bars"]) == 6


def test_hundred_thousand_entries_make_a_report_no_larger_than_a_page(
    scene: Any, row_maker: Callable[[int], Iterator[Any]]
) -> None:
    sizes = []
    for count in (2_000, 100_000):
        chronicle = Chronicle(ME, None)
        for _ in chronicle.watch(pages_of(row_maker(count))):
            pass
        report = replace(scene.report(), entries=chronicle.side())
        sizes.append(len(html(report)))
    assert sizes[1] < 1.2 * sizes[0]


@pytest.mark.parametrize("form", [html, markdown])
def test_proof_of_the_death_can_be_checked_by_hand_from_what_is_shown(
    halted: Any, form: Callable[[Any], str]
) -> None:
    report = halted.report()
    death = report.result.death
    with SqliteReader(halted.path) as reader:
        leaves = [row.leaf for row in reader.rows()]
        row = reader.row(death.index)
    assert row is not None
    hashes = inclusion_proof(death.index, len(leaves), lambda level, at: _subtree(leaves, level, at))
    head = report.result.head
    proof = EntryProof(death.index, row.body.decode(), row.leaf, tuple(hashes), head.size, head.root)
    told = form(replace(report, proof=proof))
    shown = unescape(" ".join(Page(told).words) if form is html else told)
    [body] = re.findall(r'\{"agent":.*?"time":\d+\}', shown)
    siblings = [bytes.fromhex(digits) for digits in re.findall(r"sibling \d+\W+0x([0-9a-f]{64})", shown)]
    verify_inclusion(leaf_hash(body.encode()), death.index, head.size, siblings, head.root)


def test_bytes_that_a_page_would_change_are_not_shown_as_if_they_were_whole(halted: Any) -> None:
    proof = EntryProof(1, "a  b\u202e", bytes(32), (), 2, bytes(32))
    for form in (html, markdown):
        assert "only the JSON form" in form(halted.report(proof=proof))


def _subtree(leaves: Sequence[bytes], level: int, at: int) -> bytes:
    tree = Frontier()
    tree.extend(leaves[at << level : (at + 1) << level])
    return tree.root()


# ------------------------------------------------------------------------------------------------------ hostile words


def test_page_has_our_tags_alone_each_closed_whatever_was_written(nasty: Any) -> None:
    page = Page(html(nasty.report(log=NASTY, unreachable=NASTY, version=NASTY)))
    assert set(page.tags) <= TAGS
    assert page.attributes <= ATTRIBUTES
    assert not page.open
    assert "<script>" in "".join(page.words)  # it is there, as words


def test_page_names_nothing_outside_itself(nasty: Any) -> None:
    text = html(nasty.report())
    assert not re.search(r"<[^>]*\b(?:src|href|action|url|on\w+)\s*=", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]


@pytest.mark.parametrize("form", list(Form))
def test_nothing_steers_a_terminal_or_turns_the_direction_of_writing(nasty: Any, form: Form) -> None:
    text = render(nasty.report(log=NASTY), form)
    assert not set(text) & {"\u202e", "\u200b", "\x1b", "\r", "\x9b"}


def test_markdown_shows_the_words_and_makes_nothing_of_them(nasty: Any) -> None:
    reader = MarkdownIt("gfm-like", {"linkify": False, "html": True}).enable("table")
    tokens = reader.parse(markdown(nasty.report(log=NASTY, unreachable=NASTY, version=NASTY)))
    flat = [token for outer in tokens for token in [outer, *(outer.children or [])]]
    kinds = {token.type for token in flat}
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "s_open", "em_open", "fence"}
    assert [token.tag for token in flat if token.type == "heading_open"].count("h1") == 1
    assert any("<script>" in token.content for token in flat if token.type == "text")


def test_markdown_rows_keep_their_columns(nasty: Any) -> None:
    tables = [
        [row.count("|") for row in rows]
        for in_table, rows in groupby(
            markdown(nasty.report()).splitlines(), lambda line: line.startswith("|")
        )
        if in_table
    ]
    assert len(tables) > 5
    assert all(len(set(columns)) == 1 for columns in tables)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("a|b", "a&#124;b"),
        ("12:30:05", "12:30:05"),
        ("https://evil.example", "https&#58;//evil.example"),
        ("mailto:a@b.c", "mailto&#58;a＠b.c"),
        ("WWW.evil.example", "WWW&#46;evil.example"),
        ("# heading", "&#35; heading"),
        ("- item", "&#45; item"),
        ("1. item", "&#49;. item"),
        ("===", "&#61;=="),
        ("a\\", "a&#92;"),
        ("plain words, 3 of 4.", "plain words, 3 of 4."),
    ],
)
def test_markdown_writes_as_an_entity_what_it_could_take_for_itself(words: str, shown: str) -> None:
    assert escape(words) == shown
