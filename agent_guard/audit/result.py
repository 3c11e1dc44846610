"""What an audit says: three results, never two. Frozen values, and their JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from agent_guard.audit.limits import LimitsInForce
from agent_guard.types import Block, Head

MOST_FAULTS = 100
"""Faults that are named one by one; more are counted."""


class Result(Enum):
    """VERIFIED: checked and so. TAMPERED: proven not so. INDETERMINATE: could not be checked."""

    VERIFIED = "VERIFIED"
    TAMPERED = "TAMPERED"
    INDETERMINATE = "INDETERMINATE"


class Aspect(Enum):
    """What is checked apart from each other."""

    INTEGRITY = "integrity"
    COMPLETENESS = "completeness"
    OBEDIENCE = "obedience"
    OPENNESS = "openness"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one aspect, and in words what it rests on."""

    result: Result
    detail: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something proven wrong: the first entry it concerns, what is wrong with it, and why we say so."""

    aspect: Aspect
    index: int
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Death:
    """A death receipt: its entry, when nothing of the agent was left (unix ms), and all its stage times.

    Of a life that a later guard found dead `dead` is None, and `dead_by` when it was dead at the latest.
    """

    index: int
    dead: int | None
    stages: Mapping[str, int | bool | str]
    dead_by: int | None = None


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The outcome of an audit.

    Args:
        result: TAMPERED if any aspect is, else INDETERMINATE if any is, else VERIFIED.
        entries: entries read. `anchored`: those that an anchored root has proven.
        head: the operator's head on chain, None if the chain could not be asked.
        halted_at: the block of the latest halt or retirement, of the agent or of the fleet.
        resumed_in: the number of the block in which that was taken back, None if it stands.
        death: the receipt that answers it (else the newest one).
        overrun_ms: from the halt's block to that death; negative if ballots killed before the block. None too if it was
            found dead: then it is at most `overrun_at_most_ms`.
        first_bad: the fault with the lowest index.
        as_of: the block at which the chain was read.
        faults: the first `MOST_FAULTS` that were found, by index; `fault_count` is how many there were.
        limits: that were held against the log at its end; None where it took none.
        erased: contents of the agent that are not there and whose erasure is on record.
    """

    result: Result
    integrity: Check
    completeness: Check
    obedience: Check
    openness: Check
    entries: int
    anchored: int
    head: Head | None
    halted_at: Block | None
    death: Death | None
    overrun_ms: int | None
    first_bad: Fault | None
    as_of: Block | None
    faults: tuple[Fault, ...] = ()
    fault_count: int = 0
    erased: int = 0
    overrun_at_most_ms: int | None = None
    limits: LimitsInForce | None = None
    resumed_in: int | None = None

    @property
    def is_answered(self) -> bool:
        """Whether `death` answers the latest halt, and is not only the newest."""
        return self.overrun_ms is not None or self.overrun_at_most_ms is not None

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `audit --json`."""
        checks = {aspect.value: getattr(self, aspect.value) for aspect in Aspect}
        return {
            "result": self.result.value,
            **{
                name: {"result": check.result.value, "detail": check.detail} for name, check in checks.items()
            },
            "entries": self.entries,
            "anchored": self.anchored,
            "erased": self.erased,
            "head": self.head and {"size": self.head.size, "root": "0x" + self.head.root.hex()},
            "halted_at": _block(self.halted_at),
            "resumed_in": self.resumed_in,
            "death": self.death
            and {"index": self.death.index, "dead": self.death.dead, **dict(self.death.stages)},
            "overrun_ms": self.overrun_ms,
            "overrun_at_most_ms": self.overrun_at_most_ms,
            "limits": self.limits and self.limits.as_dict(),
            "first_bad": self.first_bad
            and {"index": self.first_bad.index, "what": self.first_bad.what, "why": self.first_bad.why},
            "as_of": _block(self.as_of),
        }


def worst(checks: Sequence[Check]) -> Result:
    """The result of several checks together."""
    return worst_of([check.result for check in checks])


def worst_of(results: Sequence[Result]) -> Result:
    """TAMPERED if any is, else INDETERMINATE if any is, else VERIFIED."""
    for result in (Result.TAMPERED, Result.INDETERMINATE):
        if result in results:
            return result
    return Result.VERIFIED


def _block(block: Block | None) -> dict[str, Any] | None:
    if block is None:
        return None
    return {
        "number": block.number,
        "hash": "0x" + block.hash.hex(),
        "timestamp": block.timestamp,
    }
