"""How long the guard's word is taken, and how late a death may come: the auditor's limits, and those of the guard.

A guard records the limits that it runs under, in public metadata, at its start (`config`). It is held to those where
they are stricter than the auditor's. Laxer ones change nothing: an operator must not grant himself a silence. Older
logs record none: then the auditor's hold.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
    """

    tail_entries: int = 10_000
    tail_seconds: float = 600.0
    silence_seconds: float = 600.0
    overrun_seconds: float = 120.0


LEAST_SECONDS = 60.0
"""No recorded time is taken for less: so far may the guard's clock and the chain's differ."""

RECORDED: Mapping[str, str] = {
    "max_unanchored_entries": "tail_entries",
    "max_unanchored_age_ms": "tail_seconds silence_seconds",
    "max_overrun_ms": "overrun_seconds",
}
"""The public metadata of a `config` entry (integers), and the limits that each stands for."""
WORDS: Mapping[str, str] = {
    "tail_entries": "{:,.0f} entries not anchored",
    "tail_seconds": "{:g} s until they are",
    "silence_seconds": "{:g} s of acting meanwhile",
    "overrun_seconds": "{:g} s from a halt to the death",
}
"""The limits for people."""


@dataclass(slots=True)
class LimitsInForce:
    """The limits that hold at the entry seen last. `asked`: the auditor's.

    The attributes with the names of `AuditLimits` are those in force; `recorded` are the ones that the guard recorded
    last, of which `entry` is the index.
    """

    asked: AuditLimits
    tail_entries: float = field(init=False)
    tail_seconds: float = field(init=False)
    silence_seconds: float = field(init=False)
    overrun_seconds: float = field(init=False)
    recorded: dict[str, float] = field(default_factory=dict)
    entry: int | None = None

    def __post_init__(self) -> None:
        self._take({})

    def see(self, entry: Entry) -> None:
        """Takes a config entry of the audited agent. One that records no limits is of an older guard."""
        found = {key: entry.meta[key] for key in RECORDED if key in entry.meta}
        self.recorded = {
            name: _limit(key, value)
            for key, value in found.items()
            if type(value) is int and value >= 0
            for name in RECORDED[key].split()
        }
        self.entry = entry.index if found else None
        self._take(self.recorded)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: those in force, the auditor's, and what the guard recorded (None if it did not)."""
        in_force = {name: getattr(self, name) for name in asdict(self.asked)}
        recorded = None if self.entry is None else {"entry": self.entry, **self.recorded}
        return {**in_force, "asked": asdict(self.asked), "recorded": recorded}

    def in_words(self) -> str:
        """Those in force, and whose they are."""
        said = ", ".join(words.format(getattr(self, name)) for name, words in WORDS.items())
        return f"at most {said} ({self.whose()})"

    def whose(self) -> str:
        """Whose they are: the auditor's, or, where those that the guard recorded are stricter, the guard's."""
        if self.entry is None:
            return "the auditor's; the guard recorded none"
        asked = asdict(self.asked)
        stricter = [
            words.format(self.recorded[name])
            for name, words in WORDS.items()
            if name in self.recorded and self.recorded[name] < asked[name]
        ]
        if not stricter:
            return f"the auditor's; those that the guard recorded in entry {self.entry} are no stricter"
        return f"the auditor's, but for what the guard recorded in entry {self.entry}: {', '.join(stricter)}"

    def _take(self, recorded: Mapping[str, float]) -> None:
        for name, asked in asdict(self.asked).items():
            setattr(self, name, min(asked, recorded.get(name, asked)))


def _limit(key: str, value: int) -> float:
    return max(LEAST_SECONDS, value / 1000) if key.endswith("_ms") else value
