"""When the council let an agent act, and when not, from its events alone. Heights of blocks, from (with) to (without).

A stop by halt, retirement or scheduled resume lasts until the resume; a block that holds the halt belongs to the stop,
for whoever had read that block had read the halt. A pause ends by the chain's clock.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent_guard.audit.facts import Event, Happening, Lapse
from agent_guard.types import FLEET, AgentState, Block, State

NEVER = 2**63
_OPENING = frozenset({Event.HALTED, Event.RETIRED, Event.RESUME_SCHEDULED, Event.VETOED})


@dataclass(frozen=True, slots=True)
class Stop:
    """Blocks [start, end) in which the agent was not to act, and why in words; `since` is the first one's time.

    `kills`: an agent that was alive then must have died of it.
    """

    start: int
    end: int
    why: str
    since: int = NEVER
    kills: bool = True


@dataclass(slots=True)
class Pause:
    """A pause in force from `block` on until the chain's clock says `until`, or a resume clears it at `end`.

    `inside` and `outside` remember the highest height known to lie within and the lowest known to lie after it, so
    that few blocks are looked up.
    """

    block: Block
    until: int
    end: int
    why: str
    inside: int = -1
    outside: int = NEVER

    def holds_at(self, number: int, block_at: Callable[[int], Block | None]) -> bool:
        """Whether the chain at this height was within the pause. Raises what `block_at` raises."""
        if not self.block.number <= number < self.end or number >= self.outside:
            return False
        if number <= self.inside:
            return True
        block = block_at(number)
        if block is not None and block.timestamp < self.until:
            self.inside = number
            return True
        self.outside = number
        return False


def stops(history: Sequence[Happening], state: AgentState, lapses: Sequence[Lapse] = ()) -> list[Stop]:
    """All stops of the agent and of the fleet, the times without a lease, and that before its registration."""
    agent = state.agent
    return [
        *_before_registration(history, state),
        *_of(history, agent, "the agent"),
        *_of(history, FLEET, "the fleet"),
        *map(_lapse, lapses),
    ]


def pauses(history: Sequence[Happening]) -> list[Pause]:
    """All pauses of the agent and of the fleet."""
    found = []
    for place, happening in enumerate(history):
        if happening.event is Event.PAUSED:
            # In the history's order: a resume before it in the same block clears nothing.
            end = _first(history[place:], happening.agent, Event.RESUMED)
            whose = "the fleet" if happening.agent == FLEET else "the agent"
            why = f"{whose} was paused in block {happening.block.number}"
            found.append(Pause(happening.block, happening.until, end, why))
    return found


def latest_halt(history: Iterable[Happening]) -> Happening | None:
    """The newest halt or retirement, of the agent or of the fleet."""
    halts = [happening for happening in history if happening.event in (Event.HALTED, Event.RETIRED)]
    return max(
        reversed(halts), key=lambda happening: happening.block.number, default=None
    )  # the last in its block


def resumed_in(history: Sequence[Happening], halt: Happening) -> int | None:
    """Height of the block in which whom this halt had stopped was let run again; None if that did not come."""
    place = max(at for at, happening in enumerate(history) if happening == halt)
    resumed = _first(history[place:], halt.agent, Event.RESUMED)
    return None if resumed == NEVER else resumed


def missing_history(history: Sequence[Happening], state: AgentState) -> str | None:
    """Why these events can't be all there were, given the state they must have led to; None if they fit."""
    if state.state is not State.NONE and not any(
        happening.event is Event.REGISTERED and happening.agent == state.agent for happening in history
    ):
        return "the node did not give the agent's registration"
    stopped = any(stop.end == NEVER for stop in _of(history, state.agent, ""))
    if state.state in (State.HALTED, State.RESUMING, State.RETIRED) and not stopped:
        return f"the agent is {state.state.name.lower()}, but the node gave no event that says so"
    return None


def _before_registration(history: Sequence[Happening], state: AgentState) -> list[Stop]:
    first = _first(history, state.agent, Event.REGISTERED)
    if first == NEVER and state.state is not State.NONE:
        return []  # it was registered, in an event that the node did not give: `missing_history` says so
    return [Stop(0, first, "the agent was not registered yet")]


def _of(history: Sequence[Happening], agent: bytes, whose: str) -> list[Stop]:
    found: list[Stop] = []
    opened: Happening | None = None
    for happening in history:
        if happening.agent != agent:
            continue
        if happening.event in _OPENING and opened is None:
            opened = happening
        elif happening.event is Event.RESUMED and opened is not None:
            found.append(_stop(opened, whose, happening.block.number))
            opened = None
    return [*found, _stop(opened, whose)] if opened else found


def _stop(opened: Happening, whose: str, end: int = NEVER) -> Stop:
    how = {Event.HALTED: "halted", Event.RETIRED: "retired"}.get(opened.event, "not yet resumed")
    why = f"{whose} was {how} in block {opened.block.number}{by_fork(opened)}"
    return Stop(opened.block.number, end, why, opened.block.timestamp)


def _lapse(lapse: Lapse) -> Stop:
    first = lapse.block
    why = f"the agent's lease had run out (the first block without one is {first.number})"
    return Stop(first.number, lapse.end, why, first.timestamp, kills=lapse.fatal is not None)


def by_fork(happening: Happening) -> str:
    """What is to be added where a halt is told that nobody voted for; nothing for any other."""
    return " by a fork proof (its operator signed two histories; no vote)" if happening.by_fork else ""


def _first(history: Sequence[Happening], agent: bytes, event: Event) -> int:
    """Height of the first such event, `NEVER` if there is none."""
    return next(
        (
            happening.block.number
            for happening in history
            if happening.event is event and happening.agent == agent
        ),
        NEVER,
    )
