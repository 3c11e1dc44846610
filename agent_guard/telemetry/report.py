"""What one guard says of itself at one moment: values alone, for whoever renders them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent_guard.types import Block, Standing


@dataclass(frozen=True, slots=True)
class AgentReport:
    """One agent: where it stands, where it is in its lives (`session.ward.Phase`), and how often it was killed."""

    standing: Standing
    phase: str
    deaths: int


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """One witness: whether it has cosigned the newest anchored head, and what is wrong if it has not.

    `contradicts`: it holds another log than ours under our key.
    """

    name: str
    cosigned: bool
    trouble: str | None = None
    contradicts: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """One guard.

    Attributes:
        at: unix seconds.
        endpoints: public names of all endpoints; for each that does not say what the quorum says of some agent, what it
            says instead, else None.
        needed: how many endpoints must agree.
        dissents: how often each endpoint began to differ, and did so for long enough to be recorded.
        lag: entries that no anchor covers, and the age of the oldest in seconds.
        ballots: how many that were handed to the guard were `accepted`, `refused`, or `malformed`: no ballots at all.
        witnesses: those that the settings name.
    """

    at: float
    agents: Sequence[AgentReport]
    endpoints: Mapping[str, str | None]
    needed: int
    dissents: Mapping[str, int]
    lag: tuple[int, float]
    ballots: Mapping[str, int]
    witnesses: Sequence[WitnessReport] = ()

    @property
    def block(self) -> Block | None:
        """The newest block that any agent's standing rests on."""
        blocks = [agent.standing.block for agent in self.agents if agent.standing.block]
        return max(blocks, key=lambda block: block.number, default=None)

    @property
    def dissent(self) -> dict[str, str]:
        """The endpoints that differ, and what they say."""
        return {name: said for name, said in self.endpoints.items() if said is not None}


def summary(witnesses: Sequence[WitnessReport]) -> dict[str, object]:
    """How many witnesses have cosigned the newest anchored head, of how many, and what is wrong with the others."""
    return {
        "cosigned": sum(one.cosigned for one in witnesses),
        "total": len(witnesses),
        "trouble": {one.name: one.trouble for one in witnesses if one.trouble is not None},
    }
