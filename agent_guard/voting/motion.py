"""A question put to the council, and what a vote on it would cause. Pure.

Everything a signer is told before signing is made here from what was read at one block. The contract decides; this
only refuses early, with better words, what the contract would refuse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from agent_guard.errors import GuardError
from agent_guard.types import FLEET, Action, AgentState, Block, Council, State, Thresholds

# The answer a person must type: stopping is easy, starting is hard.
_EASY = (Action.HALT, Action.PAUSE, Action.VETO)


@dataclass(frozen=True, slots=True)
class Motion:
    """One question at one block. `count` votes stand of `needed`; `name` is the agent's, or "the whole fleet"."""

    action: Action
    name: str
    state: AgentState
    param: bytes
    council: Council
    count: int
    needed: int
    voters: int
    block: Block

    @property
    def agent(self) -> bytes:
        return self.state.agent

    @property
    def decides(self) -> bool:
        """Whether one more vote decides."""
        return self.count + 1 >= self.needed

    @property
    def confirmation(self) -> str:
        """What a person types to go on."""
        return "y" if self.action in _EASY else self.name


def refuse(motion: Motion, signer: str) -> None:
    """Refuses what the contract would refuse.

    Raises:
        GuardError: AG310 not a signer, AG311 unknown agent, AG312 the state does not allow it, AG313 voted already.
    """
    if signer not in motion.council.signers:
        raise GuardError(
            "AG310",
            f"{signer} is not one of this council's {len(motion.council.signers)} signers. Nothing was signed or sent.",
            "Choose a signer's key with --account; the signers: agent-guard council show",
        )
    if motion.state.state is State.NONE and motion.action is not Action.REGISTER:
        raise unknown_agent(motion.name)
    if motion.state.state not in allowed_states(motion.action):
        raise GuardError(
            "AG312",
            f"{motion.name} is {motion.state.state.name}; {motion.action.name} is not possible then. Nothing was sent.",
            "See where things stand with: agent-guard status",
        )
    voted = motion.voters >> motion.council.signers.index(signer) & 1
    # A signer's halt vote on a halted agent is moot, not wrong: the contract takes it.
    moot = motion.action is Action.HALT and motion.state.state is State.HALTED
    if voted and motion.action is not Action.PAUSE and not moot:
        raise GuardError(
            "AG313",
            f"{signer} has voted on this already, and the vote stands ({motion.count} of {motion.needed})."
            " Nothing was sent.",
            "Another signer has to vote; see: agent-guard vote list",
        )


def refuse_set(signers: Sequence[str], thresholds: Thresholds) -> None:
    """Refuses a signer set that the contract would refuse only after the votes and the delay. Raises AG101."""
    count, halt, resume, retire = len(signers), thresholds.halt, thresholds.resume, thresholds.retire
    if len(set(signers)) == count and 1 <= halt <= resume <= retire <= count and halt <= count - resume + 1:
        return
    raise GuardError(
        "AG101",
        f"{count} signers ({len(set(signers))} of them different) with {halt} to halt, {resume} to resume and {retire}"
        " to retire is no council that the contract takes. Nothing was signed or sent.",
        "The rules: 1 <= H <= R <= D <= signers, H <= signers - R + 1, and no signer twice.",
    )


def unknown_agent(name: str) -> GuardError:
    return GuardError(
        "AG311",
        f"No agent {name!r} is registered with this council. Nothing was signed or sent.",
        "List the agents with: agent-guard agent list; add one with: agent-guard agent register",
    )


def allowed_states(action: Action) -> tuple[State, ...]:
    """The states in which the contract takes a vote on this action (contracts/interfaces/ICouncil.sol)."""
    living = (State.RUNNING, State.PAUSED, State.LAPSED, State.HALTED, State.RESUMING)
    match action:
        case Action.REGISTER:
            return (State.NONE,)
        case Action.RESUME:
            return (State.HALTED, State.LAPSED)
        case Action.PAUSE:
            return (State.RUNNING, State.PAUSED)
        case Action.HALT | Action.RETIRE | Action.VETO | Action.REARM | Action.SET_OPERATOR | Action.ROTATE:
            return living
        case Action.NONE:
            return ()
    assert_never(action)


def default_param(action: Action, state: AgentState) -> bytes:
    """The `param` of an action that needs no choice of its own (`ICouncil.Action`)."""
    if action in (Action.PAUSE, Action.REARM):
        return state.arms.to_bytes(32, "big")
    # Votes to undo a lapse must not undo a halt that comes after them.
    undoes_a_lapse = action is Action.RESUME and state.state is State.LAPSED
    return int(undoes_a_lapse).to_bytes(32, "big")


def consequence(motion: Motion) -> str:
    """What one more vote causes, in words."""
    if not motion.decides:
        left = motion.needed - motion.count - 1
        return (
            f"Vote {motion.count + 1} of {motion.needed}: {left} more needed. {_first_vote(motion)}".rstrip()
        )
    return f"This vote decides ({motion.needed} of {motion.needed}): {_effect(motion)}"


def _first_vote(motion: Motion) -> str:
    if motion.action is Action.HALT and motion.state.may_run:
        return "Guards that freeze on open votes (the default) freeze at once."
    return ""


def _effect(motion: Motion) -> str:
    whom = "every agent of this council" if motion.agent == FLEET else motion.name
    timing = motion.council.timing
    match motion.action:
        case Action.HALT:
            return f"{whom} is killed, with all it started, and stays halted until {_resume_votes(motion)} resume it."
        case Action.PAUSE:
            return (
                f"{whom} is frozen for {timing.pause} s and then goes on. You have one pause until re-armed."
            )
        case Action.RESUME:
            return f"{whom} may run again after {timing.resume_delay} s, unless that is vetoed."
        case Action.RETIRE:
            return f"{whom} is killed and can never run again. Nobody can undo this."
        case Action.VETO:
            return "the resume or change that was scheduled does not happen."
        case Action.REARM:
            return f"every signer may pause {whom} once more."
        case Action.REGISTER:
            return f"{whom} may run, guarded by that operator."
        case Action.SET_OPERATOR:
            return f"{whom} gets that operator after {timing.resume_delay} s, unless that is vetoed."
        case Action.ROTATE:
            return (
                f"the council gets those signers and thresholds after {timing.resume_delay} s, unless vetoed."
            )
        case Action.NONE:
            return "nothing."
    assert_never(motion.action)


def _resume_votes(motion: Motion) -> str:
    return f"{motion.council.thresholds.resume} signers"
