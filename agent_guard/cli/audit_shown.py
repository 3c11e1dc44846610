"""What `agent-guard audit` shows of one log: its JSON, and its lines for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_guard import text
from agent_guard.cli.cosigned import summed_up
from agent_guard.cli.output import RED, Block, Cell, Facts, Hash, Line, Moment, Prose, Table, Word
from agent_guard.cli.proof import STYLES

if TYPE_CHECKING:
    from agent_guard.audit import AuditResult
    from agent_guard.audit.witnesses import Cosigned
    from agent_guard.types import LogIdentity


@dataclass(frozen=True, slots=True)
class Audited:
    """A log that was audited: where it is, whose it says it is, what was found, and what witnesses say of its head."""

    where: str
    claimed: "LogIdentity"
    result: "AuditResult"
    cosigned: "Cosigned"

    def payload(self, agent: str) -> dict[str, Any]:
        """For JSON."""
        return {"agent": agent, "log": self.where, **self.result.as_dict(), **self.cosigned.as_dict()}

    def blocks(self, agent: str) -> Iterator[Block]:
        """For people: the verdict first."""
        from agent_guard.report.sentences import checks
        from agent_guard.report.sentences import verdict as in_a_sentence

        verdict, fault = self.result.result.value, self.result.first_bad
        yield Line(Word(f"{verdict}: {agent}", STYLES[verdict]))
        yield Prose(in_a_sentence(agent, self.result))
        yield Line("")
        if fault is not None:
            yield Prose(Word(f"first bad entry: {fault.index} ({fault.what}): {fault.why}", RED))
        rows = [
            (aspect.value, Word(check.result.value, STYLES[check.result.value]), check.detail)
            for aspect, check in checks(self.result)
        ]
        yield Table(("checked", "result", "what was found"), rows)
        yield Line("")
        yield Facts([(name, value) for name, value in self._facts() if value is not None])

    def _facts(self) -> list[tuple[str, Cell]]:
        result = self.result
        return [
            ("log", self.where),
            ("operator", Hash(self.claimed.operator)),
            ("entries", f"{result.entries:,}, {result.anchored:,} of them under a root on chain"),
            ("head on chain", text.amount(result.head.size, "entry", "entries") if result.head else None),
            ("root on chain", Hash(result.head.root) if result.head else None),
            ("halted", _halted(result)),
            ("overrun", _overrun(result)),
            ("death receipt", _receipt(result)),
            ("stages", in_words(result.death.stages) if result.death and result.death.dead else None),
            ("limits", result.limits.in_words() if result.limits else None),
            ("read at block", result.as_of.number if result.as_of else None),
            *summed_up(self.cosigned),
        ]


def in_words(stages: Mapping[str, Any]) -> str:
    """The stage times of a death, in ms from the first of them that the chain or the guard knows as the halt."""
    start = next(stages[name] for name in ("block", "quorum", "seen", "dead") if name in stages)
    named = [name for name in ("vote", "quorum", "block", "seen", "frozen", "dead") if name in stages]
    return " · ".join(f"{name} {stages[name] - start:+} ms" for name in named)


def _overrun(result: "AuditResult") -> Cell:
    if result.overrun_ms is not None:
        return f"{result.overrun_ms} ms after the halt's block"
    most = result.overrun_at_most_ms
    return None if most is None else f"at most {most} ms after the halt's block: found dead by the next guard"


def _receipt(result: "AuditResult") -> Cell:
    if result.death is None:
        return None
    other = result.halted_at is not None and not result.is_answered
    return f"entry {result.death.index}, signed by the operator{'; of another stop than the halt' if other else ''}"


def _halted(result: "AuditResult") -> Cell:
    if result.as_of is None:
        return "unknown"
    return Moment(result.halted_at.timestamp) if result.halted_at else "never"
