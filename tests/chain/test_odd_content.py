"""A content that hashes as its entry says and is no canonical JSON: every command tells the same of it.

No guard writes one, but whoever holds its key can: what he committed to is there, and nobody reads it loosely.
"""

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from agent_guard import canonical
from tests.chain.guard import AGENT, Guard
from tests.chain.test_proof_files import prove, verify

pytestmark = pytest.mark.chain
ODD = {
    "keys that are not sorted": b'{"b":1,"a":2}',
    "a key given twice": b'{"a":1,"a":2}',
    "no text": b"\xff\xfe",
}
SEQ = 4


@pytest.fixture(params=ODD)
def guard(town: Any, request: pytest.FixtureRequest) -> Iterator[Guard]:
    """A log of 8 entries, all on chain, of which number 4 commits to such a content."""
    town.register(AGENT)
    made = Guard(town, town.folder / "log.sqlite")
    made.act(2)
    encode, body = canonical.encode, ODD[request.param]
    odd = {"odd": True}
    with mock.patch(
        "agent_guard.log.batch.canonical.encode", lambda value: body if value == odd else encode(value)
    ):
        made.recorder.append(AGENT, "intent", odd).result()
    made.recorder.append(AGENT, "outcome", {}, refers_to=SEQ).result()
    made.act(1)
    made.anchor.flush(20)
    yield made
    made.close()


def test_every_command_tells_that_it_is_there_and_is_none(guard: Guard) -> None:
    cli, log = guard.town.cli, ("--log", guard.path)
    report = guard.town.folder / "report.json"
    found = cli("audit", AGENT, *log, "--report", report, "--json").json
    assert (found["result"], found["openness"]["result"]) == ("VERIFIED", "VERIFIED")
    assert found["openness"]["detail"] == "the content of all 8 entries of this agent is there"
    told = json.loads(report.read_text())
    (line,) = [line for line in told["last_actions"] if line["seq"] == SEQ]
    assert "its content is not canonical JSON" in line["words"]
    assert told["actions_by_tool"] == {"(not named)": 4}

    shown = cli("log", "show", AGENT, SEQ, *log)
    assert "its content is not canonical JSON" in shown.stdout
    assert "there, and not shown: " in shown.stdout
    (row,) = cli("log", "show", AGENT, SEQ, *log, "--json").json["rows"]
    assert (row["content"], row["erased"]) == (None, False)
    assert row["unreadable"]
    rows = cli("log", "list", AGENT, *log, "--json").json["rows"]
    assert [row["seq"] for row in rows if row["unreadable"]] == [SEQ]
    assert len(rows) == 8


def test_its_proof_is_verified_all_the_same(guard: Guard) -> None:
    found = verify(guard, prove(guard, SEQ), "VERIFIED")
    assert found["content"] is None
    stored = guard.store.reader().row(SEQ)
    assert stored is not None
    assert stored.content is not None
    is_text = stored.content.body != ODD["no text"]
    assert bool(found["unreadable"]) is is_text  # what is no text can't stand in the file
    assert verify(guard, prove(guard, 0), "VERIFIED")["unreadable"] is None


def test_a_copy_with_contents_holds_it_and_says_the_same(guard: Guard) -> None:
    tiles = guard.town.folder / "tiles"
    guard.town.cli("log", "export", AGENT, "--log", guard.path, "--tiles", tiles, "--content")
    found = guard.town.cli("audit", AGENT, "--log", tiles, "--json").json
    assert found["openness"]["detail"] == "the content of all 8 entries of this agent is there"
    (row,) = guard.town.cli("log", "show", AGENT, SEQ, "--log", tiles, "--json").json["rows"]
    assert (row["content"], row["erased"]) == (None, False)
    assert row["unreadable"]
