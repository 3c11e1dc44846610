"""The auditor's limits: how long he takes the guard's word, and how late a death may come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """How much may rest on the guard's word alone.

    Args:
        tail_entries: unanchored entries at the log's end.
        tail_seconds: from the oldest of them to the chain's clock.
        silence_seconds: how long the agent may act while nothing is anchored: a guard must allow nothing more once the
            oldest waiting entry is `max_unanchored_age` old.
        overrun_seconds: from a halt's block to the death that answers it. A guard with the shipped settings that is cut
            off from the chain kills after `max_block_age` + `unknown_grace` = 120 s at the latest; whoever grants a
            `halt_grace` must allow for it.
    """

    tail_entries: int = 10_000
    tail_seconds: float = 600.0
    silence_seconds: float = 600.0
    overrun_seconds: float = 120.0
