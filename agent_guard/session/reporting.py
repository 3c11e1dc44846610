"""What a guard says of itself: its wards, its endpoints and its log, gathered into one report at any moment."""

from collections.abc import Mapping, Sequence

from agent_guard.session.ward import Ward
from agent_guard.telemetry import AgentReport, Report, WitnessReport


def gather(
    wards: Sequence[Ward],
    endpoints: Sequence[str],
    dissents: Mapping[str, int],
    lag: tuple[int, float],
    ballots: Mapping[str, int],
    witnesses: Sequence[WitnessReport],
    now: float,
) -> Report:
    """The report; may be asked by any thread.

    Args:
        endpoints: the public names of all.
        dissents, lag, ballots, witnesses: as in `Report`.
        now: unix seconds.
    """
    agents = [AgentReport(ward.standing(), ward.phase.value, ward.deaths) for ward in wards]
    said: dict[str, str | None] = dict.fromkeys(endpoints)
    needed = 0
    for agreement in (agent.standing.endpoints for agent in agents):
        if agreement is None:  # nothing was ever decided
            said = dict.fromkeys(endpoints, "has never answered")
        else:
            needed = agreement.needed
            said |= agreement.dissent
    return Report(now, agents, said, needed, dissents, lag, ballots, witnesses)
