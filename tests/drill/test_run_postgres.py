"""A real guard whose log lies on a real PostgreSQL server: what it keeps there, and that no stop ever waits for it."""

import signal

import pytest

from tests.drill.conftest import ACT
from tests.postgres import Server

pytestmark = pytest.mark.drill
# Less than a server is waited for: 15 s for each answer.
AT_ONCE = 12.0
# Asks for one action after the other, and writes down what became of each; beside it, the beat.
WORK = (
    ACT
    + """
import threading
from agent_guard.sdk import Guard
def work():
    guard, answers = Guard(), open("answers", "a", buffering=1)
    for number in range(100_000):
        answers.write(act(guard, number=number).partition(":")[0] + "\\n")
        time.sleep(0.01)
threading.Thread(target=work, daemon=True).start()
beat()
"""
)


@pytest.fixture
def server():
    """A server that the test may stop and kill."""
    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.close()


def answers(run):
    path = run.work / "answers"
    return path.read_text().splitlines() if path.exists() else []


def test_log_on_a_server_is_written_read_anchored_and_audited(drill, guard, until, server):
    store = {"AGENT_GUARD_STORE": server.url()}
    run = guard(drill, WORK, **store)
    until("some actions", lambda: answers(run).count("done") >= 5)
    cli = drill.cli
    cli.fails("AG511", 1, "run", "indexer", "--account", "operator", "--", "true", **store)

    drill.vote("halt", "indexer", "signer1", "signer2")
    run.event("dead")
    assert run.code() == 8

    audited = cli.ask("audit", "indexer", **store)
    assert (audited["result"], audited["anchored"]) == ("VERIFIED", audited["entries"])
    assert audited["log"] == f"{server.url()}#{drill.address('operator').lower()}"
    assert cli.ask("audit", "indexer", "--log", audited["log"])["result"] == "VERIFIED"
    assert cli.ask("log", "list", "indexer", "--log", server.url())["rows"][-1]["kind"] == "death"
    assert not list((drill.folder / "home").glob("*/logs/*.sqlite"))
    assert "PostgreSQL" in str(cli("doctor", "--json", expect=None, **store).json["rows"])


@pytest.mark.parametrize("trouble", ["hangs", "is killed", "refuses"])
def test_halt_kills_at_once_and_nothing_is_allowed_while_the_server(drill, guard, until, server, trouble):
    run = guard(drill, WORK, AGENT_GUARD_STORE=server.url())
    until("some actions", lambda: answers(run).count("done") >= 5)

    if trouble == "hangs":
        server.freeze()
    elif trouble == "is killed":
        server.kill()
    else:
        server.stop()
    before = len(answers(run))
    until("an answer", lambda: len(answers(run)) >= before + 2)
    # One may have been decided before.
    assert "done" not in answers(run)[before + 1 :]
    assert run.beats()

    drill.vote("halt", "indexer", "signer1")
    until("it to stand still", lambda: run.stands_still(0.1), seconds=AT_ONCE)
    drill.vote("halt", "indexer", "signer2")
    until("its death", lambda: not run.alive(), seconds=AT_ONCE)
    assert "done" not in answers(run)[before + 1 :]
    assert run.event("dead", 60)["survivors"] == 0
    # Nobody waits for what can't be recorded but the guard's own last words.
    run.kill()


def test_guard_goes_on_by_itself_when_its_server_was_started_anew(drill, guard, until, server):
    store = {"AGENT_GUARD_STORE": server.url()}
    run = guard(drill, WORK, **store)
    until("some actions", lambda: answers(run).count("done") >= 5)

    server.kill()
    until("refusals", lambda: "done" not in answers(run)[-3:])
    trouble = run.event("trouble")
    assert trouble["error"]["code"] == "AG551"
    assert run.beats()
    refused = len(answers(run))
    server.start()
    run.event("recording")
    until("more actions", lambda: answers(run)[refused:].count("done") >= 5)

    drill.vote("halt", "indexer", "signer1", "signer2")
    run.event("dead")
    assert run.code() == 8
    audited = drill.cli.ask("audit", "indexer", **store)
    assert (audited["result"], audited["anchored"]) == ("VERIFIED", audited["entries"])
    rows = drill.cli.ask("log", "list", "indexer", "--last", 10_000, **store)["rows"]
    assert [row["kind"] for row in rows].count("outcome") >= answers(run).count("done")


def test_guard_that_ends_while_its_server_is_away_waits_a_few_seconds_and_the_next_finds_the_life_dead(
    drill, guard, until, server
):
    store = {"AGENT_GUARD_STORE": server.url()}
    run = guard(drill, WORK, **store)
    until("some actions", lambda: answers(run).count("done") >= 5)
    server.kill()
    run.event("trouble")

    run.kill(signal.SIGINT)

    run.event("dead", 60)
    assert run.code(55) == 130  # it was a minute for each record, and one more for the chain
    lost = [step for step in run.told if step.get("event") == "trouble"]
    assert any("lost if the guard ends before" in step["error"]["message"] for step in lost)
    server.start()
    run = guard(drill, "sys.exit(0)", **store)
    assert run.code() == 0
    assert run.events()[0] == "found_dead"
    assert drill.cli.ask("audit", "indexer", **store)["result"] == "VERIFIED"


def test_server_that_comes_back_has_all_that_was_acknowledged(drill, guard, until, server):
    store = {"AGENT_GUARD_STORE": server.url()}
    run = guard(drill, WORK, **store)
    until("some actions", lambda: answers(run).count("done") >= 5)
    server.kill()
    until("a refusal", lambda: answers(run)[-1] != "done")
    done = answers(run).count("done")
    run.kill(signal.SIGINT)
    run.event("dead", 60)
    run.code()
    server.start()

    run = guard(drill, "sys.exit(0)", **store)
    assert run.code() == 0
    kinds = [
        row["kind"] for row in drill.cli.ask("log", "list", "indexer", "--last", 10_000, **store)["rows"]
    ]
    assert kinds.count("intent") >= done
    audited = drill.cli("audit", "indexer", "--json", expect=None, **store).json
    assert audited["integrity"]["result"] == "VERIFIED"
