"""How long the guard's word is taken, and how late a death may come: the auditor's limits, and those of the guard.

A guard records the limits that it runs under, in public metadata, at its start and at every change (`config`). Where
the auditor names none of his own those are held against it, stricter or laxer than the defaults: but never laxer than
`CEILING`, for an operator must not grant himself a silence. Where he names some, the stricter of both holds. Older logs
record none: then his, or the defaults, hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from agent_guard.entry import Entry


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """How much may rest on the guard's word alone.

    Args:
        tail_entries: unanchored entries at the log's end.
        tail_seconds: from the oldest of them to the chain's clock.
        silence_seconds: how long the agent may act while nothing is anchored: a guard must allow nothing more once the
            oldest waiting entry is `max_unanchored_age` old.
        overrun_seconds: from a halt's block to the death that answers it. A guard with the shipped settings that is cut
            off from the chain kills after `max_block_age` + `unknown_grace` = 120 s (and a poll and a time-out: it
            records 124); whoever grants a `halt_grace` must allow for it.
        named: which of these the auditor asked for; the others are defaults, in whose place recorded ones are taken.
    """

    tail_entries: int = 10_000
    tail_seconds: float = 600.0
    silence_seconds: float = 600.0
    overrun_seconds: float = 120.0
    named: frozenset[str] = frozenset()

    def numbers(self) -> dict[str, float]:
        """The limits by their names."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "named"}


CEILING = AuditLimits(
    tail_entries=100_000, tail_seconds=3_600.0, silence_seconds=3_600.0, overrun_seconds=600.0
)
"""The laxest limits that a guard may record for itself. One beyond is not taken at all."""
LEAST_SECONDS = 60.0
"""No recorded time is taken for less: so far may the guard's clock and the chain's differ."""

RECORDED: Mapping[str, str] = {
    "max_unanchored_entries": "tail_entries",
    "max_unanchored_age_ms": "tail_seconds silence_seconds",
    "max_overrun_ms": "overrun_seconds",
}
"""The public metadata of a `config` entry (integers), and the limits that each stands for."""


@dataclass(slots=True)
class LimitsInForce:
    """The limits that hold at the entry seen last. `asked`: the auditor's.

    The attributes with the names of `AuditLimits` are those in force; `recorded` are the ones that the guard recorded
    last, of which `entry` is the index, and `refused` tells of the first that went beyond the ceiling.
    """

    asked: AuditLimits
    tail_entries: float = field(init=False)
    tail_seconds: float = field(init=False)
    silence_seconds: float = field(init=False)
    overrun_seconds: float = field(init=False)
    recorded: dict[str, float] = field(default_factory=dict)
    entry: int | None = None
    refused: str | None = None

    def __post_init__(self) -> None:
        self._take({})

    def see(self, entry: Entry) -> None:
        """Takes a config entry of the audited agent. One that records no limits is of an older guard."""
        found = {key: entry.meta[key] for key in RECORDED if key in entry.meta}
        taken: dict[str, float] = {}
        for key, value in found.items():
            for name in RECORDED[key].split():
                limit = _limit(key, value)
                if limit is None or limit > getattr(CEILING, name):
                    self.refused = self.refused or _absurd(entry.index, key, value, getattr(CEILING, name))
                else:
                    taken[name] = limit
        self.recorded, self.entry = taken, entry.index if found else None
        self._take(taken)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: those in force, which the auditor named, and what the guard recorded (None if it did not)."""
        recorded = None if self.entry is None else {"entry": self.entry, **self.recorded}
        asked = {name: value for name, value in self.asked.numbers().items() if name in self.asked.named}
        return {**self._in_force(), "named": asked, "recorded": recorded}

    def in_words(self) -> str:
        """Those in force, and whose they are."""
        said = (
            f"at most {self.tail_entries:,.0f} entries and {self.tail_seconds:g} s not anchored,"
            f" {self.silence_seconds:g} s of acting meanwhile, {self.overrun_seconds:g} s from a halt to the death"
        )
        return f"{said} ({self.whose()})"

    def whose(self) -> str:
        """Who asked for them, and what the guard recorded."""
        asked = {name: value for name, value in self.asked.numbers().items() if name in self.asked.named}
        own = "named: " + ", ".join(f"{name} {value:g}" for name, value in asked.items()) if asked else ""
        theirs = (
            f"recorded by the guard in entry {self.entry}: "
            + (
                ", ".join(f"{name} {value:g}" for name, value in self.recorded.items())
                or "none that can be taken"
            )
            if self.entry is not None
            else "the guard recorded none"
        )
        return f"{theirs}; {own}, the stricter holds" if own else theirs

    def _in_force(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.asked.numbers()}

    def _take(self, recorded: Mapping[str, float]) -> None:
        for name, asked in self.asked.numbers().items():
            theirs = recorded.get(name, asked)
            setattr(self, name, min(asked, theirs) if name in self.asked.named else theirs)


def _limit(key: str, value: object) -> float | None:
    """A recorded number as a limit; None if it is none."""
    if type(value) is not int or value < 0:
        return None
    return max(LEAST_SECONDS, value / 1000) if key.endswith("_ms") else value


def _absurd(index: int, key: str, value: object, most: float) -> str:
    unit = " s" if key.endswith("_ms") else ""
    return f"entry {index} records {key} {value!a}, which is no limit up to {most:g}{unit} and was not taken for one"
