"""A guard's report as Prometheus metrics, in the text format 0.0.4.

Guarantees: labels hold the names of agents and witnesses and endpoints' public names, nothing else that anybody
wrote, escaped; there is
no state between two renderings, and none that a process shares (`prometheus_client.REGISTRY` is not used).
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent_guard.telemetry.report import Report
from agent_guard.types import Decision

__all__ = ["CONTENT_TYPE", "render"]


def render(report: Report) -> bytes:
    """The metrics, for a scrape whose content type is `CONTENT_TYPE`."""
    registry = CollectorRegistry()
    registry.register(_Collector(report))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        yield from self._agents()
        yield from self._chain()
        yield from self._log()
        yield from self._witnesses()
        ballots = CounterMetricFamily(
            "agent_guard_ballots", "Ballots handed to this guard itself.", labels=["result"]
        )
        for result, count in self._report.ballots.items():
            ballots.add_metric([result], count)
        yield ballots

    def _agents(self) -> Iterator[Metric]:
        verdict = GaugeMetricFamily(
            "agent_guard_verdict",
            "1 for the decision in force on the agent, 0 for the others.",
            labels=["agent", "decision"],
        )
        deaths = CounterMetricFamily(
            "agent_guard_deaths", "Kills of the agent that left a death receipt.", labels=["agent"]
        )
        for agent in self._report.agents:
            name, decided = agent.standing.agent, agent.standing.verdict.decision
            for decision in Decision:
                verdict.add_metric([name, decision.value], decision is decided)
            deaths.add_metric([name], agent.deaths)
        yield verdict
        yield deaths

    def _chain(self) -> Iterator[Metric]:
        report = self._report
        agrees = GaugeMetricFamily(
            "agent_guard_endpoint_agrees", "1 if the endpoint says what the quorum says.", labels=["endpoint"]
        )
        dissents = CounterMetricFamily(
            "agent_guard_endpoint_dissents",
            "How often the endpoint began to say something else.",
            labels=["endpoint"],
        )
        for name, said in report.endpoints.items():
            agrees.add_metric([name], said is None)
            dissents.add_metric([name], report.dissents.get(name, 0))
        yield agrees
        yield dissents
        yield _gauge("agent_guard_endpoints_needed", "Endpoints that make a quorum.", report.needed)
        if block := report.block:
            yield _gauge("agent_guard_block_number", "Height of the newest block in use.", block.number)
            yield _gauge("agent_guard_block_age_seconds", "Its age.", report.at - block.timestamp)

    def _log(self) -> Iterator[Metric]:
        entries, seconds = self._report.lag
        yield _gauge("agent_guard_anchor_lag_entries", "Entries of the log that no anchor covers.", entries)
        yield _gauge("agent_guard_anchor_lag_seconds", "Age of the oldest of them.", seconds)

    def _witnesses(self) -> Iterator[Metric]:
        cosigned = GaugeMetricFamily(
            "agent_guard_witness_cosigned",
            "1 if the witness has cosigned the newest anchored head.",
            labels=["witness"],
        )
        contradicts = GaugeMetricFamily(
            "agent_guard_witness_contradicts",
            "1 if the witness holds another log than this one: rolled back, forked, or the witness lies.",
            labels=["witness"],
        )
        for one in self._report.witnesses:
            cosigned.add_metric([one.name], one.cosigned)
            contradicts.add_metric([one.name], one.contradicts)
        yield cosigned
        yield contradicts


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
