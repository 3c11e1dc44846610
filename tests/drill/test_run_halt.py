"""A real guard, a real container, a real chain: what the council says, happens to the agent."""

import time

import pytest

from agent_guard.types import State

pytestmark = pytest.mark.drill


def resume(town, until):
    town.vote("resume", "indexer", "signer1", "signer2")
    ready_at = town.state("indexer").resume_ready_at
    until("the end of the delay", lambda: town.connection.endpoint.block().timestamp >= ready_at)
    town.cli("vote", "resume", "indexer", "--account", "signer1", "--yes")
    resumed = town.state("indexer")
    assert resumed.state is State.RUNNING

    def final() -> bool:
        block = town.connection.endpoint.block("finalized")
        then = town.contract.snapshot([resumed.agent], block)[resumed.agent]
        return (then.state, then.epoch) == (State.RUNNING, resumed.epoch)

    # A guard that saw the halt believes nothing younger.
    until("the resume to be final", final)


def test_agent_that_ends_by_itself_gives_its_own_exit_code_and_an_audited_log(drill, guard):
    run = guard(drill, "sys.exit(7)")

    assert run.code() == 7
    assert run.events() == ["started", "exited"]
    assert run.told[-1] == {"event": "exited", "agent": "indexer", "exit_code": 7}
    assert run.alive() == []
    audited = drill.cli.ask("audit", "indexer")
    assert (audited["result"], audited["anchored"]) == ("VERIFIED", audited["entries"])
    assert (audited["death"], audited["halted_at"]) == (None, None)


def test_two_of_three_halt_and_nothing_of_an_agent_that_resists_is_left(drill, guard, until):
    run = guard(drill, "resist(); beat()")
    until("all its children", lambda: len(run.alive()) >= 6)

    drill.vote("halt", "indexer", "signer1")
    frozen = run.event("frozen")
    assert "1 open vote" in frozen["reason"]
    assert run.stands_still()
    assert run.alive()

    drill.vote("halt", "indexer", "signer3")
    dead = run.event("dead")
    assert run.code() == 8
    assert run.alive() == []
    assert run.events() == ["started", "frozen", "halted", "dead"]
    assert (dead["survivors"], dead["processes"] >= 6) == (0, True)
    assert set(dead) >= {"event", "reason", "mode", "processes", "survivors", "stages_ms"}
    assert set(run.told[0]) >= {"event", "agent", "mode"}
    assert set(frozen) >= {"event", "at_ms", "reason"}
    assert (run.told[-2]["event"], run.told[-2]["epoch"]) == ("halted", 1)
    stages = dead["stages_ms"]
    assert set(stages) == {"vote", "quorum", "block", "seen", "frozen", "dead"}
    assert stages["vote"] <= stages["quorum"] == stages["block"]
    assert stages["seen"] <= stages["dead"]

    audited = drill.cli.ask("audit", "indexer")
    assert set(audited) >= {
        *("result", "integrity", "completeness", "obedience", "openness", "entries", "anchored", "head"),
        *("halted_at", "death", "overrun_ms", "first_bad"),
    }
    for check in ("integrity", "completeness", "obedience", "openness"):
        assert set(audited[check]) >= {"result", "detail"}
    assert audited["result"] == "VERIFIED"
    assert audited["first_bad"] is None
    assert audited["death"] is not None
    assert (
        audited["head"]["size"]
        == audited["entries"]
        == audited["anchored"]
        == drill.state("indexer").head.size
    )
    assert audited["halted_at"] is not None

    command = ("run", "indexer", "--account", "operator", "--", "true")
    assert "halted by the council" in drill.cli.fails("AG421", 8, *command)["message"]
    resume(drill, until)
    assert guard(drill, "sys.exit(0)").code() == 0
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"


def test_first_vote_freezes_for_its_time_and_then_the_agent_goes_on(drill, guard):
    run = guard(drill, AGENT_GUARD_VOTE_FREEZE="5")

    drill.vote("halt", "indexer", "signer1")
    frozen = run.event("frozen")
    assert run.stands_still()
    thawed = run.event("thawed")

    assert thawed["at_ms"] - frozen["at_ms"] >= 4_000
    assert run.beats()
    assert drill.cli.ask("status", "indexer")["state"] == "voting"
    drill.vote("halt", "indexer", "signer2")
    assert run.code() == 8


def test_vote_freeze_switched_off_lets_the_agent_run_until_the_quorum(drill, guard, until):
    run = guard(drill, AGENT_GUARD_FREEZE_ON_VOTE="false")

    drill.vote("halt", "indexer", "signer1")
    time.sleep(1.2)
    assert run.beats()
    drill.vote("halt", "indexer", "signer2")

    assert run.code() == 8
    assert "frozen" not in run.events()
    assert run.alive() == []


def test_pause_freezes_and_the_agent_goes_on_when_it_is_over(drill, guard):
    run = guard(drill)

    drill.cli("vote", "pause", "indexer", "--account", "signer2", "--yes")
    assert "paused by a signer" in run.event("frozen")["reason"]
    assert run.stands_still()
    assert drill.cli.ask("status", "indexer", "--exit-status", expect=8)["state"] == "paused"
    refused = drill.cli.fails("AG421", 8, "run", "indexer", "--account", "operator", "--", "true")
    assert "paused" in refused["message"]
    run.event("thawed")

    assert run.beats()
    run.process.terminate()
    assert run.code() == 130


@pytest.mark.parametrize(
    ("action", "whom", "signers", "reason"),
    [
        ("halt", "--all", ("signer1", "signer2"), "the whole fleet is halted"),
        ("retire", "indexer", ("signer1", "signer2", "signer3"), "retired"),
    ],
    ids=["fleet halted", "retired"],
)
def test_halt_of_the_fleet_and_retirement_kill(drill, guard, action, whom, signers, reason):
    run = guard(drill)

    drill.vote(action, whom, *signers)

    assert run.code() == 8
    assert reason in run.event("dead")["reason"]
    assert run.alive() == []
    audited = drill.cli.ask("audit", "indexer")
    assert (audited["result"], audited["death"] is not None) == ("VERIFIED", True)


def test_agent_that_the_council_gives_to_another_operator_is_killed_and_its_end_is_in_order(
    drill, guard, until
):
    run = guard(drill, "resist(); beat()")
    new = bytes(12) + bytes.fromhex(drill.address("signer3")[2:])
    agent = drill.state("indexer").agent

    drill.vote("SET_OPERATOR", "indexer", "signer1", "signer2", param=new)
    voted = drill.connection.endpoint.block().timestamp
    until("the end of the delay", lambda: drill.connection.endpoint.block().timestamp > voted + 1)
    assert run.beats()
    change = drill.contract.contract.functions.finishOperator(agent, new)
    change.transact({"from": drill.address("signer1"), "gas": 500_000})

    dead = run.event("dead")
    assert run.code() == 8
    assert (dead["survivors"], run.alive()) == (0, [])
    assert dead["reason"] == "another operator's to guard, by the council's decision"
    assert drill.state("indexer").state is State.RUNNING
    drill.cli.fails("AG420", 4, "run", "indexer", "--account", "operator", "--", "true")
    (log,) = (drill.folder / "home/devnet/logs").glob("*.sqlite")
    audited = drill.cli("audit", "indexer", "--log", log, "--json", expect=6).json
    assert audited["obedience"]["result"] == "VERIFIED", audited
    assert "other operators held this agent" in audited["completeness"]["detail"]


def test_running_agents_status_shows_the_guard_and_what_is_not_anchored(drill, guard, until):
    guard(drill)
    until("a pulse", lambda: drill.cli.ask("status", "indexer")["guard"]["alive"])

    said = drill.cli.ask("status", "indexer")

    assert said["guard"]["verdict"] == "run"
    assert said["guard"]["pulse_age_s"] < 60
    assert said["guard"]["sandbox"] in ("cgroup+pidns", "pidns")
    assert set(said["anchor_lag"]) == {"entries", "seconds"}
    assert said["block"]["age_s"] < 60


def test_run_in_words_says_what_happened(drill):
    process = drill.cli.start("run", "indexer", "--account", "operator", "--", "/bin/sleep", "60")
    assert process.stdout.readline().startswith("started indexer under guard (")
    drill.vote("halt", "indexer", "signer1", "signer2")

    rest, said = process.communicate(timeout=120)

    assert process.returncode == 8, said
    assert "halted: halted by the council" in rest
    assert "no survivors" in rest
