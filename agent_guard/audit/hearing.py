"""Which of an agent's entries speak of it, for whoever reads a log beside its audit: by the audit's own rules."""

from agent_guard.audit.facts import ChainFacts
from agent_guard.audit.limits import AuditLimits, LimitsInForce
from agent_guard.audit.silence import Silence
from agent_guard.audit.tenure import Tenure
from agent_guard.entry import Entry, Kind


class Hearing:
    """Sees the audited agent's entries in order, of a log that is held against `chain`."""

    def __init__(self, chain: ChainFacts, limits: AuditLimits) -> None:
        self._limits = LimitsInForce(limits)
        self._silence = Silence(chain, self._limits)
        self._tenure = Tenure(chain, self._limits)

    def takes(self, entry: Entry) -> bool:
        """Whether the agent's next entry speaks of it (tenure.py)."""
        self._silence.go_on_to(entry.index, entry.time)
        speaks = self._tenure.takes(entry, self._silence.written)
        if speaks and entry.kind is Kind.CONFIG:
            self._limits.see(entry)
        return speaks
