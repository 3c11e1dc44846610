"""The words of all endpoints as the guard holds them: the newest of each, some earlier ones, the newest finalised."""

import logging
from collections import Counter
from collections.abc import Container
from dataclasses import replace

from agent_guard.guard.evidence import Clock, Limits, Reading, agreed, needed
from agent_guard.types import FLEET, AgentState, Council, Scope, Sighting, Word

logger = logging.getLogger(__name__)

PAST = 4
"""Earlier sightings of each endpoint that are kept: nodes are seldom at the same block in the same moment."""


class Sightings:
    """Written by one thread; any may read.

    Args: `keep`: earlier sightings of each endpoint.
    """

    def __init__(self, keep: int) -> None:
        self._latest: dict[str, Sighting] = {}
        self._final: dict[str, Sighting] = {}
        self._past: dict[str, dict[bytes, Sighting]] = {}  # by the block's hash, oldest first
        self._keep = keep

    def take(self, word: Word) -> None:
        """Keeps a word; silence leaves what was said before, which grows old."""
        if not isinstance(word, Sighting):
            logger.debug("%s: %s", word.endpoint, word.why)
        elif word.scope is Scope.FINALIZED:
            self._final = {**self._final, word.endpoint: word}
        elif word.scope is Scope.PINNED:
            self._remember(word)
        else:
            before = self._latest.get(word.endpoint)
            # A block that is read again is not proven again at once: what was proven of it stays so.
            if before is not None and (before.block.hash != word.block.hash or before.proven):
                self._remember(replace(before, scope=Scope.PINNED))
            self._latest = {**self._latest, word.endpoint: word}

    def _remember(self, sighting: Sighting) -> None:
        past = dict(self._past.get(sighting.endpoint, {}))
        past.pop(sighting.block.hash, None)
        past[sighting.block.hash] = sighting
        while len(past) > self._keep:
            del past[next(iter(past))]
        self._past = {**self._past, sighting.endpoint: past}

    def readings(self, agent: bytes) -> list[Reading]:
        """All that is kept, of one agent (its id). Of an endpoint that its last proof refuted nothing is sound."""
        sightings = [*self._latest.values(), *self._final.values()]
        sightings += [sighting for past in self._past.values() for sighting in past.values()]
        both = {agent, FLEET}
        refuted = {sighting.endpoint for sighting in self._latest.values() if both & sighting.refuted}
        return [_reading(sighting, agent, refuted) for sighting in sightings]

    def council(self, limits: Limits) -> Council | None:
        """The signer set that enough endpoints reported last."""
        said = Counter(sighting.council for sighting in self._latest.values() if sighting.council)
        return next((council for council, times in said.most_common(1) if times >= needed(limits)), None)

    def fleet(self, clock: Clock, limits: Limits) -> AgentState | None:
        """The fleet's state as a quorum has it, else of the newest reading; None before the first."""
        readings = self.readings(FLEET)
        group = agreed(readings, clock, limits) or readings
        return max(group, key=lambda reading: reading.block.number).fleet if group else None


def _reading(sighting: Sighting, agent: bytes, refuted: Container[str]) -> Reading:
    both = {agent, FLEET}
    return Reading(
        endpoint=sighting.endpoint,
        block=sighting.block,
        agent=sighting.states[agent],
        fleet=sighting.states[FLEET],
        read_at=sighting.read_at,
        scope=sighting.scope,
        proven=both <= sighting.proven,
        refuted=sighting.endpoint in refuted or bool(both & sighting.refuted),
    )
