"""What a guard says of itself to those who watch over it: a report, and its form for Prometheus. Opens no socket."""

from agent_guard.telemetry.metrics import CONTENT_TYPE, render
from agent_guard.telemetry.report import AgentReport, Report, WitnessReport, summary

__all__ = ["CONTENT_TYPE", "AgentReport", "Report", "WitnessReport", "render", "summary"]
