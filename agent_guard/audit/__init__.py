"""The audit: VERIFIED, TAMPERED or INDETERMINATE, from the log's rows and the chain alone (start with examination.py).

Imports nothing of the guard that wrote the log but the formats (`entry`, `merkle`) and the shape of a row.
"""

from agent_guard.audit.anchors import Anchors
from agent_guard.audit.examination import Log, audit
from agent_guard.audit.facts import ChainFacts, Event, Extension, Happening, Lapse, Unreachable
from agent_guard.audit.limits import AuditLimits, LimitsInForce
from agent_guard.audit.result import Aspect, AuditResult, Check, Death, Fault, Result

__all__ = [
    "Anchors",
    "Aspect",
    "AuditLimits",
    "AuditResult",
    "ChainFacts",
    "Check",
    "Death",
    "Event",
    "Extension",
    "Fault",
    "Happening",
    "Lapse",
    "LimitsInForce",
    "Log",
    "Result",
    "Unreachable",
    "audit",
]
