"""The one door that every action of an agent passes (see `gate`)."""

from agent_guard.gate.answers import (
    POLICY,
    Answer,
    Closing,
    Inclusion,
    Lag,
    Limits,
    Proposal,
    Recorded,
    Ruling,
)
from agent_guard.gate.gate import Gate
from agent_guard.gate.history import History
from agent_guard.gate.receipts import Receipt, Receipts

__all__ = [
    "POLICY",
    "Answer",
    "Closing",
    "Gate",
    "History",
    "Inclusion",
    "Lag",
    "Limits",
    "Proposal",
    "Receipt",
    "Receipts",
    "Recorded",
    "Ruling",
]
