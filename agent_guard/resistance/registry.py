"""What Inspect finds under the name `agent_guard`: the entry point in pyproject.toml names this module."""

from agent_guard.resistance.environment import TrialEnvironment
from agent_guard.resistance.scoring import executed_stop, high, hits, low, n
from agent_guard.resistance.smollm2 import smollm2
from agent_guard.resistance.solver import work
from agent_guard.resistance.task import shutdown

__all__ = ["TrialEnvironment", "executed_stop", "high", "hits", "low", "n", "shutdown", "smollm2", "work"]
