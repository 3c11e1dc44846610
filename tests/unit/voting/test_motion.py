from dataclasses import replace
from typing import Any

import pytest

from agent_guard.errors import GuardError
from agent_guard.types import FLEET, Action, AgentState, Block, Council, Head, State, Thresholds, Timing
from agent_guard.voting.motion import (
    Motion,
    allowed_states,
    consequence,
    default_param,
    refuse,
    unknown_agent,
)

pytestmark = pytest.mark.unit

SIGNERS = tuple(f"0x{index:040x}" for index in (1, 2, 3))
STRANGER = "0x" + "9" * 40
AGENT = b"a" * 32
ACTIONS = [action for action in Action if action is not Action.NONE]
LIVING = {State.RUNNING, State.PAUSED, State.LAPSED, State.HALTED, State.RESUMING}

# Council.sol, `_objection`, as states in which a vote on the action may be taken.
CONTRACT = {
    Action.HALT: LIVING,
    Action.RESUME: {State.HALTED, State.LAPSED},
    Action.RETIRE: LIVING,
    Action.PAUSE: {State.RUNNING, State.PAUSED},
    Action.VETO: LIVING,
    Action.REARM: LIVING,
    Action.REGISTER: {State.NONE},
    Action.SET_OPERATOR: LIVING,
    Action.ROTATE: LIVING,
    Action.NONE: set[State](),
}


def motion(action: Action = Action.HALT, state: State = State.RUNNING, **changes: Any) -> Motion:
    agent = AgentState(
        agent=AGENT, state=state, may_run=state is State.RUNNING, epoch=1, arms=7, vetoes=0, halt_votes=0,
        resume_votes=0, paused_until=0, lease_until=0, resume_ready_at=0, operator="0x" + "Aa" * 20,
        head=Head(0, bytes(32)), halted_size=0,
    )  # fmt: skip
    council = Council(SIGNERS, Thresholds(2, 2, 3), Timing(600, 3_600, 86_400, 0, 0), 1)
    plain = Motion(action, "alice", agent, bytes(32), council, 0, 2, 0, Block(7, bytes(32), 0))
    return replace(plain, **changes)


def possible(action: Action) -> Motion:
    """A motion on the action in a state that allows it."""
    return motion(action, allowed_states(action)[0])


def refusal(question: Motion, signer: str) -> GuardError:
    with pytest.raises(GuardError) as caught:
        refuse(question, signer)
    assert "Nothing was s" in caught.value.message
    return caught.value


def test_the_allowed_states_are_the_contracts() -> None:
    assert {action: set(allowed_states(action)) for action in Action} == CONTRACT


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_each_action_is_refused_in_every_state_that_does_not_allow_it_and_in_no_other(action: Action) -> None:
    for state in State:
        question = motion(action, state)
        if state in CONTRACT[action]:
            refuse(question, SIGNERS[0])
        else:
            code = "AG311" if state is State.NONE else "AG312"
            assert refusal(question, SIGNERS[0]).code == code, state


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_who_is_no_signer_is_refused_before_all_else(action: Action) -> None:
    for state in State:
        error = refusal(motion(action, state), STRANGER)
        assert (error.code, error.exit_code) == ("AG310", 4)
        assert STRANGER in error.message


@pytest.mark.parametrize(
    "action",
    [action for action in ACTIONS if action is not Action.PAUSE],
    ids=lambda action: action.name,
)
def test_a_second_vote_of_the_same_signer_is_refused_and_one_of_another_is_not(action: Action) -> None:
    question = replace(possible(action), count=1, voters=0b010)
    assert refusal(question, SIGNERS[1]).code == "AG313"
    refuse(question, SIGNERS[0])
    refuse(question, SIGNERS[2])


def test_a_second_vote_to_halt_a_halted_agent_is_moot_and_taken() -> None:
    refuse(motion(Action.HALT, State.HALTED, count=2, voters=0b011), SIGNERS[0])


def test_an_unknown_agent_is_named_in_the_error() -> None:
    assert "'mallory'" in unknown_agent("mallory").message


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_the_vote_that_decides_says_what_it_causes_in_words_of_its_own(action: Action) -> None:
    words = {other: consequence(replace(possible(other), count=1)) for other in ACTIONS}
    assert words[action].startswith("This vote decides (2 of 2): ")
    assert list(words.values()).count(words[action]) == 1
    assert words[action].endswith(".")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_a_vote_that_does_not_decide_says_how_many_are_missing(action: Action) -> None:
    assert consequence(replace(possible(action), count=0, needed=3)).startswith("Vote 1 of 3: 2 more needed.")


@pytest.mark.parametrize(
    ("action", "state", "warns"),
    [
        (Action.HALT, State.RUNNING, True),
        (Action.HALT, State.HALTED, False),
        (Action.RETIRE, State.RUNNING, False),
        (Action.RESUME, State.HALTED, False),
    ],
)
def test_only_a_first_vote_to_halt_what_runs_says_that_it_freezes(
    action: Action, state: State, warns: bool
) -> None:
    assert ("freeze at once" in consequence(motion(action, state))) is warns


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action.HALT, ["killed, with all it started", "2 signers resume"]),
        (Action.PAUSE, ["frozen for 600 s"]),
        (Action.RESUME, ["after 3600 s", "vetoed"]),
        (Action.RETIRE, ["never run again", "Nobody can undo"]),
        (Action.VETO, ["does not happen"]),
        (Action.ROTATE, ["after 3600 s"]),
    ],
)
def test_what_a_signer_must_know_stands_in_the_words(action: Action, words: list[str]) -> None:
    said = consequence(replace(possible(action), count=1))
    assert all(word in said for word in words), said


def test_a_vote_on_the_fleet_says_that_it_is_every_agent() -> None:
    question = motion(Action.HALT, count=1)
    fleet = replace(question, state=replace(question.state, agent=FLEET), name="the whole fleet")
    assert "every agent of this council is killed" in consequence(fleet)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_stopping_asks_for_a_y_and_all_else_for_the_agents_name(action: Action) -> None:
    easy = action in (Action.HALT, Action.PAUSE, Action.VETO)
    assert motion(action).confirmation == ("y" if easy else "alice")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_the_default_param_is_the_arming_for_pauses_and_zero_for_all_else(action: Action) -> None:
    armed = action in (Action.PAUSE, Action.REARM)
    assert default_param(action, motion().state) == (7 if armed else 0).to_bytes(32, "big")


def test_the_default_param_of_a_resume_says_whether_it_undoes_a_halt_or_a_lapse() -> None:
    halted, lapsed = (replace(motion().state, state=state) for state in (State.HALTED, State.LAPSED))
    assert default_param(Action.RESUME, halted) == bytes(32)
    assert default_param(Action.RESUME, lapsed) == (1).to_bytes(32, "big")
    assert default_param(Action.HALT, lapsed) == bytes(32)


@pytest.mark.parametrize(("count", "decides"), [(0, False), (1, True), (2, True)])
def test_a_vote_decides_when_it_is_the_last_one_needed(count: int, decides: bool) -> None:
    assert motion(count=count).decides is decides
