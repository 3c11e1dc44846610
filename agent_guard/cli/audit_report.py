"""`agent-guard audit --report`: a report beside the audit's own words; result and exit code stay the same."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import agent_guard
from agent_guard.cli.output import Output

if TYPE_CHECKING:
    from agent_guard.audit import AuditLimits, AuditResult, ChainFacts, Unreachable
    from agent_guard.audit.witnesses import Cosigned
    from agent_guard.report import Chronicle, Form
    from agent_guard.store import Page
    from agent_guard.types import LogIdentity
    from agent_guard.wiring import Connection


@dataclass(slots=True)
class Reporting:
    """The report that was asked for, in the making."""

    path: Path
    form: "Form"
    agent: str
    password_file: Path | None = None
    """For a log on a server."""
    chronicle: "Chronicle | None" = None

    def watch(
        self,
        pages: "Iterator[Page]",
        identity: bytes,
        claimed: "LogIdentity",
        facts: "ChainFacts | Unreachable",
        limits: "AuditLimits",
    ) -> "Iterator[Page]":
        """The log for the audit, seen in passing."""
        from agent_guard.report import Chronicle
        from agent_guard.wiring.reporting import hearing, window

        self.chronicle = Chronicle(identity, window(facts), hearing(claimed, facts, limits))
        return self.chronicle.watch(pages)

    def write(
        self,
        out: Output,
        result: "AuditResult",
        log: str,
        claimed: "LogIdentity",
        limits: "AuditLimits",
        connection: "Connection | Unreachable",
        facts: "ChainFacts | Unreachable",
        cosigned: "Cosigned",
    ) -> None:
        """Writes the report. Raises AG461, AG462."""
        from agent_guard.report import Report, render, write
        from agent_guard.report.model import LogSide
        from agent_guard.typed_data import agent_id
        from agent_guard.wiring.reporting import chain_side, death_proof

        report = Report(
            agent=self.agent,
            agent_id=agent_id(self.agent),
            made_at=int(time.time()),
            version=agent_guard.__version__,
            log=log,
            identity=claimed,
            result=result,
            limits=limits,
            entries=self.chronicle.side() if self.chronicle else LogSide(),
            chain=chain_side(connection, agent_id(self.agent), facts),
            unreachable=getattr(facts, "why", None),
            proof=death_proof(log, agent_id(self.agent), result, self.password_file),
            cosigned=cosigned,
        )
        write(self.path, render(report, self.form))
        out.narrate(f"report: {self.path}")


def reporting(path: Path | None, agent: str, password_file: Path | None = None) -> Reporting | None:
    """What `--report` asks for, checked before anything is audited. Raises AG460, AG461, AG462."""
    if path is None:
        return None
    from agent_guard.report import form_of

    return Reporting(path, form_of(path), agent, password_file)
