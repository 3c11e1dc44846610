"""agent_guard: an off-switch for AI agents that no agent can reach and no single person can take away."""

__version__ = "0.1.0"
