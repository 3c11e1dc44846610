"""`log erase` without a guard: this command writes the log, and all that others checked before they check after."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_guard.log.reading import get
from agent_guard.store import SqliteReader
from agent_guard.typed_data import agent_id
from tests.chain.guard import AGENT, Guard

pytestmark = pytest.mark.chain
REASON = "a customer's right to be forgotten"


@pytest.fixture
def guard(town: Any) -> Iterator[Guard]:
    """A guard's log at its place on this host: 6 entries of an agent, anchored, and one of its guard's own."""
    # The command has the wall's clock alone; the chain's fell behind it with every test that was taken back.
    town.pass_time(max(1, int(time.time()) - town.connection.endpoint.block().timestamp))
    town.register(AGENT)
    operator = town.address("operator").lower()
    made = Guard(town, town.folder / f"home/devnet/logs/{operator}.sqlite")
    made.act(3)
    made.recorder.append(None, "dissent", {"endpoints": {"http://secret-host": "lags"}}).result()
    made.anchor.flush(60)
    yield made
    made.close()


def erase(guard: Guard, seq: int, *options: object, expect: int = 0) -> Any:
    command = ("log", "erase", AGENT, seq, "--reason", REASON, "--yes", "--json", *options)
    return guard.town.cli(*command, expect=expect).json


def audit(guard: Guard, *options: object, expect: int = 0) -> Any:
    return guard.town.cli("audit", AGENT, "--json", *options, expect=expect).json


def content(guard: Guard, seq: int) -> Any:
    with SqliteReader(guard.path) as reader:
        return get(reader, seq).content


def test_content_is_erased_on_record_and_every_proof_still_holds(guard, tmp_path):
    cli, before = guard.town.cli, tmp_path / "before.tlog-proof"
    cli("log", "prove", AGENT, 2, "-o", before)
    guard.close()
    done = erase(guard, 2)
    assert (done["target"], done["applied"], done["tx"]) == (AGENT, True, None)
    assert done["detail"] == {"seq": 2, "record": 7, "repeated": False, "by": "command"}

    found = audit(guard)
    assert (found["result"], found["erased"], found["entries"]) == ("VERIFIED", 1, 8)
    assert (
        "1 of 7 contents was erased on purpose, on record: entry 2 by entry 7" in found["openness"]["detail"]
    )
    after = tmp_path / "after.tlog-proof"
    cli("log", "prove", AGENT, 2, "-o", after)
    verified = cli("log", "verify", AGENT, after, "--json").json
    assert (verified["result"], verified["content"]) == ("VERIFIED", None)
    assert "not in the file" in cli("log", "verify", AGENT, after).stdout
    # What was handed on before is not reached, and still holds.
    assert cli("log", "verify", AGENT, before, "--json").json["content"] == {"n": 1}


def test_people_read_that_it_was_erased_and_why(guard):
    cli = guard.town.cli
    guard.close()
    erase(guard, 2)
    shown = cli("log", "show", AGENT, 2).stdout
    assert f"asked to act (erased, on record in entry 7: {REASON})" in shown
    assert REASON in cli("log", "list", AGENT).stdout
    row = cli.ask("log", "show", AGENT, 2)["rows"][0]
    assert (row["erased"], row["content"], row["erasure"]["seq"]) == (True, None, 7)
    assert row["erasure"]["content"] == {"reason": REASON}
    assert f"erased the content of entry 2; the reason given: {REASON}" in cli("log", "show", AGENT, 7).stdout
    report = guard.town.folder / "report.json"
    cli("audit", AGENT, "--report", report)
    written = report.read_text()
    assert "erased, on record in entry 7" in written
    json.loads(written)


def test_erased_again_it_says_so_and_changes_nothing(guard):
    guard.close()
    erase(guard, 2)
    again = erase(guard, 2)
    assert (again["applied"], again["detail"]["record"], again["detail"]["repeated"]) == (False, 7, True)
    assert audit(guard)["entries"] == 8


def test_guards_own_entry_is_erased_with_its_option_alone(guard):
    guard.close()
    assert erase(guard, 6, expect=1)["error"]["code"] == "AG540"
    erase(guard, 6, "--guard")
    assert content(guard, 6) is None
    assert audit(guard)["result"] == "VERIFIED"


def test_what_is_not_there_is_refused_and_nothing_is_written(guard):
    guard.close()
    for seq in (7, 2**53, 2**64):
        assert erase(guard, seq, expect=1)["error"]["code"] == "AG540"
    guard.town.register("other")
    outcome = guard.town.cli("log", "erase", "other", 2, "--reason", REASON, "--yes", "--json", expect=1)
    assert outcome.error["code"] == "AG540"
    assert audit(guard)["entries"] == 7
    assert content(guard, 2) == {"n": 1}


def test_it_says_what_goes_and_stays_and_asks_before(guard):
    guard.close()
    outcome = guard.town.cli("log", "erase", AGENT, 2, "--reason", REASON, expect=2)
    for said in ("asked to act", "goes", "its salt", "stays", "every proof", "backups", REASON):
        assert said in outcome.stderr
    assert "AG101" in outcome.stderr
    assert content(guard, 2) == {"n": 1}


def test_log_whose_guard_can_not_be_reached_stays_as_it_is(guard):
    error = erase(guard, 2, expect=1)["error"]  # the test itself is the writer, and has no socket
    assert error["code"] == "AG580"
    assert content(guard, 2) == {"n": 1}


def test_lost_content_stays_indeterminate_and_can_not_be_declared_erased(guard):
    guard.store.erase(2)
    guard.close()
    assert erase(guard, 2, expect=1)["error"]["code"] == "AG581"
    found = audit(guard, expect=6)
    assert "gone without an erasure on record, from entry 2 on" in found["openness"]["detail"]


def test_order_that_a_crash_cut_off_is_finished_by_the_next_one(guard):
    guard.recorder.append(
        AGENT, "erasure", {"reason": "cut off"}, refers_to=0, idempotency_key="erase:0"
    ).result()
    guard.close()
    assert "still holds 1 contents whose erasure is on record" in audit(guard)["openness"]["detail"]
    erase(guard, 2)
    assert (content(guard, 0), content(guard, 2)) == (None, None)
    assert audit(guard)["erased"] == 2


def test_published_copy_and_its_mirror_follow(guard):
    cli, site, copy = guard.town.cli, guard.town.folder / "site", guard.town.folder / "copy"
    publish = ("log", "export", AGENT, "--tiles", site, "--content")
    cli(*publish)
    cli("mirror", site, copy, "--once")
    guard.close()
    with SqliteReader(guard.path) as reader:
        salt = reader.row(2).content.salt
    assert all(_holding(folder, salt) for folder in (site, copy))
    erase(guard, 2)
    again = Guard(guard.town, guard.path)  # the next guard anchors the record
    again.anchor.flush(60)
    again.close()
    cli(*publish)
    cli("mirror", site, copy, "--once")
    for folder in (site, copy):
        assert _holding(folder, salt) == []
        found = audit(guard, "--log", folder)
        assert (found["result"], found["erased"]) == ("VERIFIED", 1)


def _holding(folder: Path, secret: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_forged_record_in_an_anchored_log_is_tampering_and_erases_nothing(guard):
    guard.recorder.append(
        AGENT, "erasure", {"reason": "spite"}, refers_to=6, idempotency_key="erase:6"
    ).result()
    guard.anchor.flush(60)
    guard.close()
    erase(guard, 2)
    found = audit(guard, expect=5)
    assert (found["first_bad"]["index"], found["openness"]["result"]) == (7, "TAMPERED")
    with SqliteReader(guard.path) as reader:
        own = reader.row(6)
        assert own is not None
        assert (own.content is None, own.agent == agent_id(AGENT)) == (False, False)
