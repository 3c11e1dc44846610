import json
from pathlib import Path

import pytest

from agent_guard.chain import roster
from agent_guard.errors import GuardError
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET

pytestmark = pytest.mark.unit


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "Council.json"


def test_without_a_list_only_the_fleet_has_a_name(record: Path) -> None:
    assert roster.load(record) == {FLEET: "the whole fleet"}


def test_names_are_found_by_the_id_they_hash_to(record: Path) -> None:
    roster.add(record, "bob")
    roster.add(record, "alice")
    roster.add(record, "bob")
    assert json.loads(record.with_name("agents.json").read_text()) == ["alice", "bob"]
    names = roster.load(record)
    assert roster.shown(names, agent_id("alice")) == "alice"
    assert roster.shown(names, b"\x01" * 32) == "0x" + "01" * 32


@pytest.mark.parametrize("content", ["{", '{"a": 1', "3", "null", "[1]", '[""]', '["a", null]', "[[]]"])
def test_a_file_that_is_no_list_of_names_is_ag204(record: Path, content: str) -> None:
    record.with_name("agents.json").write_text(content)
    with pytest.raises(GuardError) as caught:
        roster.load(record)
    assert caught.value.code == "AG204"
