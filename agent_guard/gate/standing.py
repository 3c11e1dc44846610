"""From where the agent and its log stand to the refusal that means for a new action, or to none. Pure."""

from agent_guard.errors import GuardError
from agent_guard.gate.answers import Lag, Limits
from agent_guard.types import Decision, Standing


def refusal_of(standing: Standing) -> GuardError | None:
    """Why the agent may not begin an action now; None only for a RUN verdict without an announced stop.

    While the grace of a planned stop runs, even of a halt, the agent is told to save its work.
    """
    verdict = standing.verdict
    if standing.stopping:
        return GuardError(
            "AG620",
            f"A stop was announced: {verdict.reason}. No new action begins; outcomes are still taken.",
            "Save the work, report the outcomes of what is under way, and exit.",
        )
    if verdict.decision is Decision.HALT:
        return GuardError(
            "AG602",
            f"The agent is halted: {verdict.reason}. The action must not happen.",
            "Stop. Only the council's signers can let the agent run again.",
        )
    if verdict.decision is not Decision.RUN:
        return doubt(verdict.reason)
    return None


def doubt(reason: str) -> GuardError:
    """The refusal of a guard that does not know (AG603)."""
    return GuardError(
        "AG603",
        f"The guard can't say that the agent may act: {reason}. The action must not happen.",
        "Wait and ask again; agent-guard status shows what the guard waits for.",
    )


def tail_too_long(lag: Lag, limits: Limits) -> GuardError | None:
    """The refusal while more of the log than allowed rests on the guard's word alone (AG604)."""
    if lag.entries <= limits.tail_entries and lag.seconds <= limits.tail_seconds:
        return None
    return GuardError(
        "AG604",
        f"{lag.entries} entries of the log, the oldest {lag.seconds:.0f} s old, are not anchored on chain (limits:"
        f" {limits.tail_entries} entries, {limits.tail_seconds:.0f} s). The action must not happen.",
        "Wait until the guard has anchored its log; agent-guard status shows why it has not.",
    )
