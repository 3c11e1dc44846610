"""For the code of an agent that runs under guard. Imports httpx and the core, and nothing heavier."""

from agent_guard.sdk.checkpoint import Checkpoint
from agent_guard.sdk.guard import Action, Guard
from agent_guard.sdk.refusals import Denied, Halted, Stopping, Unreachable, Unrecorded

__all__ = [
    "Action",
    "Checkpoint",
    "Denied",
    "Guard",
    "Halted",
    "Stopping",
    "Unreachable",
    "Unrecorded",
]
