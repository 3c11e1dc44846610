"""A guard's report as Prometheus reads it."""

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from agent_guard.telemetry import AgentReport, Report, WitnessReport, render, summary
from agent_guard.types import Block, Decision, Standing, Verdict

pytestmark = pytest.mark.unit

BLOCK = Block(70, b"\x07" * 32, 1_000)


def agent(
    name: str, decision: Decision = Decision.RUN, deaths: int = 0, block: Block | None = BLOCK
) -> AgentReport:
    return AgentReport(Standing(name, Verdict(decision, "because"), block, None), "living", deaths)


WITNESSES = (
    WitnessReport("w/1", cosigned=True),
    WitnessReport("w/2", cosigned=False, trouble="it can't be reached"),
    WitnessReport("w/3", cosigned=False, trouble="another log", contradicts=True),
)


def report(
    *agents: AgentReport,
    endpoints: dict[str, str | None] | None = None,
    witnesses: tuple[WitnessReport, ...] = WITNESSES,
) -> Report:
    return Report(
        at=1_012.5,
        agents=agents or (agent("scout"),),
        endpoints=endpoints or {"http://a": None, "http://b": "says HALTED"},
        needed=2,
        dissents={"http://b": 3},
        lag=(7, 1.5),
        ballots={"accepted": 2, "refused": 1, "malformed": 0},
        witnesses=witnesses,
    )


def samples(told: Report) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample by its name and its labels' values."""
    families = text_string_to_metric_families(render(told).decode())
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_decision_in_force_is_1_and_the_others_are_0() -> None:
    found = samples(report(agent("scout", Decision.FREEZE), agent("walker", Decision.HALT, deaths=2)))
    for name, wanted in {"scout": "freeze", "walker": "halt"}.items():
        for decision in ("run", "freeze", "halt"):
            assert found["agent_guard_verdict", frozenset({name, decision})] == (decision == wanted)
    assert found["agent_guard_deaths_total", frozenset({"scout"})] == 0
    assert found["agent_guard_deaths_total", frozenset({"walker"})] == 2


def test_endpoints_block_log_and_ballots_are_told() -> None:
    none: frozenset[str] = frozenset()
    found = samples(report(agent("scout"), agent("walker", block=Block(71, b"\x08" * 32, 1_010))))
    assert found["agent_guard_endpoint_agrees", frozenset({"http://a"})] == 1
    assert found["agent_guard_endpoint_agrees", frozenset({"http://b"})] == 0
    assert found["agent_guard_endpoint_dissents_total", frozenset({"http://a"})] == 0
    assert found["agent_guard_endpoint_dissents_total", frozenset({"http://b"})] == 3
    assert found["agent_guard_endpoints_needed", none] == 2
    assert found["agent_guard_block_number", none] == 71
    assert found["agent_guard_block_age_seconds", none] == 2.5
    assert found["agent_guard_anchor_lag_entries", none] == 7
    assert found["agent_guard_anchor_lag_seconds", none] == 1.5
    assert [
        found["agent_guard_ballots_total", frozenset({result})]
        for result in ("accepted", "refused", "malformed")
    ] == [2, 1, 0]


def test_each_witness_is_told_with_whether_it_cosigned_and_whether_it_contradicts() -> None:
    found = samples(report())
    for name, cosigned, contradicts in (("w/1", 1, 0), ("w/2", 0, 0), ("w/3", 0, 1)):
        assert found["agent_guard_witness_cosigned", frozenset({name})] == cosigned
        assert found["agent_guard_witness_contradicts", frozenset({name})] == contradicts
    assert not any("witness" in name for name, _ in samples(report(witnesses=())))


def test_witnesses_are_counted_and_their_troubles_named() -> None:
    assert summary(WITNESSES) == {
        "cosigned": 1,
        "total": 3,
        "trouble": {"w/2": "it can't be reached", "w/3": "another log"},
    }


def test_a_guard_that_read_no_block_tells_of_none() -> None:
    assert not any("block" in name for name, _ in samples(report(agent("scout", block=None))))


@pytest.mark.parametrize(
    "name",
    ['a"} 1\nagent_guard_verdict{agent="scout",decision="run"} 1', "back\\slash", "\n", 'x="', "\u202e"],
)
def test_a_hostile_name_forges_no_sample(name: str) -> None:
    found = samples(report(endpoints={name: "lies"}))
    assert found["agent_guard_endpoint_agrees", frozenset({name})] == 0
    assert len(found) == len(samples(report(endpoints={"http://b": "lies"})))


def test_nothing_is_left_behind_in_the_library_or_between_two_renderings() -> None:
    before = {family.name for family in REGISTRY.collect()}
    assert render(report()) == render(report())
    assert {family.name for family in REGISTRY.collect()} == before
    assert not any(name.startswith("agent_guard") for name in before)
