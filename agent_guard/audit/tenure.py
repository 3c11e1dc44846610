"""Which of the agent's entries in this log speak of it: those that came onto the chain while its operator guarded it.

Every operator may write of any agent what he likes in his own log, before he guards it and after (terms.py). What he
wrote then makes no audit of the agent better or worse, but for one thing: an honest guard writes nothing of the kind,
so that an audit which meets it is not VERIFIED, and names it.

An honest handover leaves two things beyond a term, which do speak: what the guard wrote just before it was replaced,
anchored soon after; and what came of the agent then (its last outcomes, its exit or its death), as long as a stop may
take. Nothing of it lets the agent act on the block of the change or on a later one. Erasures are told apart: an
operator may erase his own contents whenever he is asked to.

Guarantees: judges by the chain's events and anchors, and by the guard's clock only to its disadvantage. Trusts the
chain's facts alone. Memory does not grow with the log.
"""

from collections.abc import Iterator, Sequence

from agent_guard.audit.facts import ChainFacts, Event, Happening, Unreachable, Written
from agent_guard.audit.limits import LimitsInForce
from agent_guard.audit.silence import CLOCK_SECONDS, unbroken
from agent_guard.audit.stops import NEVER, Stop
from agent_guard.audit.stretch import Stretch
from agent_guard.audit.terms import Change, Term, terms, why_not
from agent_guard.entry import PERMITS, Entry, Kind
from agent_guard.types import LogIdentity

_APPOINTING = frozenset({Event.REGISTERED, Event.OPERATOR_CHANGED})


def why_unknown(claimed: LogIdentity, chain: ChainFacts | Unreachable) -> str | None:
    """Why a log that claims to be `claimed` can't be held against this chain; None if it can."""
    if isinstance(chain, Unreachable):
        return f"the chain could not be asked: {chain.why}"
    asked = chain.identity
    if claimed == asked:
        return None
    if int(asked.operator, 16) == 0:
        return f"the council {asked.council} knows no agent of this name"
    pairs = (
        ("operator", claimed.operator, asked.operator),
        ("council", claimed.council, asked.council),
        ("chain", claimed.chain_id, asked.chain_id),
    )
    other = ", ".join(f"{name} {theirs}" for name, ours, theirs in pairs if ours != theirs)
    here = (claimed.chain_id, claimed.council) == (asked.chain_id, asked.council)
    never = (
        f"{claimed.operator} never guarded this agent, and nothing that he wrote speaks of it: "
        if here
        else ""
    )
    return (
        f"{never}the log is of operator {claimed.operator} under council {claimed.council} on chain {claimed.chain_id};"
        f" the chain was asked about {other}"
    )


def appointments(history: Sequence[Happening], agent: bytes) -> list[Happening]:
    """What made somebody the guard of an agent (32-byte id), oldest first."""
    return [one for one in history if one.agent == agent and one.event in _APPOINTING]


def handovers(chain: ChainFacts) -> Iterator[Stop]:
    """From when to when the log's operator did not guard the agent that he had guarded: a life must have ended then."""
    operator = chain.identity.operator
    changes = appointments(chain.history, chain.state.agent)
    for place, change in enumerate(changes):
        if change.former == operator and change.operator != operator:
            again = (later.block.number for later in changes[place:] if later.operator == operator)
            why = f"{change.operator} took over as its guard in block {change.block.number}"
            yield Stop(change.block.number, next(again, NEVER), why, change.block.timestamp)


class Tenure:
    """Sees the audited agent's entries in order. `limits` sees of them only what speaks, after this."""

    def __init__(self, chain: ChainFacts, limits: LimitsInForce) -> None:
        changes = appointments(chain.history, chain.state.agent)
        self._operator, self._limits = chain.identity.operator, limits
        self._terms = tuple(terms([*map(_change, changes)], self._operator))
        self._changed_at = {change.block.number: change.block.timestamp for change in changes}
        self._unknown = _untold(changes, chain) or _unplaced(changes, chain)
        self._stray: tuple[int, int, int, str] | None = (
            None  # first, last, how many, and why the first is one
        )

    def takes(self, entry: Entry, written: Written) -> bool:
        """Whether the agent's next entry speaks of it."""
        term = next((term for term in self._terms if term.covers(entry.index)), None)
        if not self._terms or (term is not None and not _is_older(entry, term)):
            return True
        why = self._astray(entry, written, term)
        if why is not None and entry.kind is not Kind.ERASURE:
            first, _, count, why = self._stray or (entry.index, 0, 0, why)
            self._stray = first, entry.index, count + 1, why
        # What came onto the chain in his term is his word as its guard, whichever block it names.
        return why is None or term is not None

    def fits(self, stretch: Stretch) -> bool:
        """Whether `takes` would find that each of its entries speaks, and none of them is odd."""
        return (
            not stretch.own
            or not self._terms
            or any(
                term.covers(stretch.start) and term.covers(stretch.end - 1) and term.since <= stretch.lowest
                for term in self._terms
            )
        )

    def doubt(self) -> str | None:
        """Why the agent's history can't be told from what else was written of it; None if it can."""
        if self._stray is None:
            return self._unknown
        first, last, count, why = self._stray
        if count == 1:
            return f"entry {first} is about this agent and does not speak of it: {why}"
        return f"{count:,} entries about this agent, from {first} to {last}, do not speak of it: {why}"

    def _astray(self, entry: Entry, written: Written, term: Term | None) -> str | None:
        """Why an entry from outside the terms, or of an older block than its `term`, does not speak of the agent."""
        earlier = [one for one in self._terms if one.end is not None and one.end <= entry.index]
        if earlier and not self._is_late(entry, written, earlier[-1]):
            return None
        if term is None:
            return why_not(self._terms, self._operator, entry.index)
        number = entry.block.number if entry.block else 0
        return f"entry {entry.index} names block {number}, in which {self._operator} did not guard it"

    def _is_late(self, entry: Entry, written: Written, term: Term) -> bool:
        """Whether an entry that was anchored after this term can't be an honest guard's of just before its end."""
        if term.until is None:
            return False
        changed, limit = self._changed_at[term.until], self._limits.overrun_seconds
        acts = entry.kind in PERMITS and entry.block is not None and entry.block.number >= term.until
        wrote = max(entry.time / 1000 - CLOCK_SECONDS, written.after)
        stuck = limit + self._limits.silence_seconds
        is_stuck = written.by is not None and written.by.timestamp - changed > stuck
        return acts or wrote - changed > limit or is_stuck


def _is_older(entry: Entry, term: Term) -> bool:
    return entry.block is not None and entry.block.number < term.since


def _change(happening: Happening) -> Change:
    return Change(
        happening.block.number, happening.operator, happening.size, happening.former, happening.former_size
    )


def _untold(changes: Sequence[Happening], chain: ChainFacts) -> str | None:
    """Why these changes can't be all there were, given who guards the agent now; None if they fit."""
    told, known = (changes[-1].operator if changes else "nobody"), chain.state.operator
    if told == known:
        return None
    return f"the node did not give every change of this agent's operator: by them it is {told}, and it is {known}"


def _unplaced(changes: Sequence[Happening], chain: ChainFacts) -> str | None:
    """Why it is not known how much of the log was on chain at each change; None if it is, or nothing hangs on it."""
    if len(changes) < 2 or not chain.head.size or unbroken(chain):
        return None
    return (
        "the node did not give every anchor, so that it is not known what of this log came onto the chain while"
        f" {chain.identity.operator} guarded the agent"
    )
