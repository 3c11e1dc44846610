"""When an operator guarded an agent, by the chain's own history: whose log it is in which an entry of the agent stands.

Every operator has one log, and may write there what he likes, before he guards an agent and after. Of the agent speaks
only what came onto the chain in his term: between the sizes that his log had there when he was appointed and when he
was replaced. Guarantees: what is said follows from the events that are handed in. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """An agent got an operator (`Registered`, `OperatorChanged`).

    Args:
        block: the number of the block in which.
        operator: who guards it from then on (checksummed). `size`: entries that his log had on chain then.
        former: who guarded it before, "" if nobody. `former_size`: entries that the former one's log had on chain then.
    """

    block: int
    operator: str
    size: int
    former: str = ""
    former_size: int = 0


@dataclass(frozen=True, slots=True)
class Term:
    """One operator's guarding of an agent, from one block to another, and from one size of his log to another.

    `until`, `end` and `successor` are None while he guards it.
    """

    since: int
    start: int
    until: int | None = None
    end: int | None = None
    successor: str | None = None

    def covers(self, index: int) -> bool:
        """Whether the entry at `index` of his log came onto the chain in this term."""
        return self.start <= index and (self.end is None or index < self.end)

    def __str__(self) -> str:
        if self.until is None:
            return f"who guards this agent since block {self.since}"
        return (
            f"who guarded this agent from block {self.since} to {self.until}, when {self.successor} took over"
        )


def terms(changes: Sequence[Change], operator: str) -> Iterator[Term]:
    """The terms of an operator, oldest first, from all changes of an agent's operator in order."""
    begun: Change | None = None
    for change in changes:
        if begun is not None and change.former == operator:
            yield Term(begun.block, begun.size, change.block, change.former_size, change.operator)
            begun = None
        if change.operator == operator:
            begun = change
    if begun is not None:
        yield Term(begun.block, begun.size)


def why_not(held: Sequence[Term], operator: str, index: int) -> str:
    """Why the entry at `index` of an operator's log, which none of his terms covers, does not speak of the agent."""
    if not held:
        return f"{operator} never guarded this agent"
    ended = [term for term in held if term.end is not None and term.end <= index]
    if not ended:
        return (
            f"{operator} became this agent's guard when {held[0].start} entries of his log were on chain (block"
            f" {held[0].since}), and entry {index} is one of them: it was there before"
        )
    return (
        f"{operator} was replaced as this agent's guard when {ended[-1].end} entries of his log were on chain (block"
        f" {ended[-1].until}), and entry {index} came there later"
    )
