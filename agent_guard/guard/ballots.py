"""Halt ballots that signers hand to the guard itself: an urgent stop waits for no block, a censored one still works.

Guarantees: a ballot counts only if its signer belongs to the signer set last read from the chain, signed for this
council, this chain, that set and the present epoch, and it has not expired; each signer counts once. A ballot that is
refused changes nothing. Trusts whoever recovered the signer from the signature (`typed_data.recover`).
"""

import threading
from dataclasses import dataclass

from agent_guard.guard.evidence import BallotCount
from agent_guard.typed_data import SignedBallot
from agent_guard.types import Action, AgentState, Council


@dataclass(frozen=True, slots=True)
class Held:
    """A ballot that was admitted, and when (unix seconds)."""

    signed: SignedBallot
    at: float


class BallotBox:
    """The ballots of one council on one chain. Any thread may use it."""

    def __init__(self, chain_id: int, council: str) -> None:
        self._chain_id, self._council = chain_id, council.lower()
        self._held: dict[tuple[bytes, str], Held] = {}
        self._lock = threading.Lock()

    def admit(
        self,
        signed: SignedBallot,
        signer: str | None,
        council: Council | None,
        state: AgentState | None,
        now: float,
    ) -> str | None:
        """Why the ballot does not count, None if it now does.

        Args:
            signer: whose signature it is (checksummed address), None if nobody's.
            council: the signer set last read.
            state: of the ballot's agent, or of the fleet, as last read; None if this guard does not hold it.
            now: unix seconds.
        """
        refusal = self._refusal(signed, signer, council, state, now)
        if refusal is not None or council is None or state is None:
            return refusal
        with self._lock:
            key = signed.ballot.agent, signed.ballot.signer
            held = self._held.get(key)
            # One that is void by now (expired, of another set or epoch) keeps out no new one.
            if held is not None and _void(held.signed, council, state, now) is None:
                return "this signer's ballot is here already"
            self._held[key] = Held(signed, now)
            return None

    def count(self, agent: AgentState, fleet: AgentState, council: Council | None, now: float) -> BallotCount:
        """What counts at this moment, for an agent and for the fleet as last read."""
        if council is None or not self._held:
            return BallotCount()
        return BallotCount(
            agent=len(self.standing(agent, council, now)),
            fleet=len(self.standing(fleet, council, now)),
            needed=council.thresholds.halt,
            epochs=(agent.epoch, fleet.epoch),
        )

    def standing(self, state: AgentState, council: Council, now: float) -> list[Held]:
        """The ballots that count for this agent, or for the fleet; oldest first."""
        with self._lock:
            held = [one for (agent, _), one in self._held.items() if agent == state.agent]
        standing = [one for one in held if _void(one.signed, council, state, now) is None]
        return sorted(standing, key=lambda one: one.at)

    def _refusal(
        self,
        signed: SignedBallot,
        signer: str | None,
        council: Council | None,
        state: AgentState | None,
        now: float,
    ) -> str | None:
        ballot = signed.ballot
        if ballot.action is not Action.HALT:
            return f"it is a ballot to {ballot.action.name.lower()}; the guard itself takes halts alone"
        if signed.chain_id != self._chain_id or signed.council.lower() != self._council:
            return f"it is for the council {signed.council} of chain {signed.chain_id}"
        if state is None:
            return "this guard does not hold that agent"
        if council is None:
            return "the signer set was never read from the chain"
        if signer != ballot.signer:
            return "its signature is not its signer's own; a contract's (ERC-1271) only the chain can check"
        return _void(signed, council, state, now)


def _void(signed: SignedBallot, council: Council, state: AgentState, now: float) -> str | None:
    """Why a ballot of this council does not count now."""
    ballot = signed.ballot
    if ballot.signer not in council.signers:
        return "its signer is not in the present set"
    if ballot.set_version != council.set_version:
        return f"it is for signer set {ballot.set_version}; the present one is {council.set_version}"
    if ballot.epoch != state.epoch:
        return f"it is for epoch {ballot.epoch}; the agent is in epoch {state.epoch}"
    if now >= ballot.deadline:
        return f"it expired {now - ballot.deadline:.0f} s ago"
    if any(ballot.param):
        return "its param is not a halt's"
    return None
