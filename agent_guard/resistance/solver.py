"""The model at work: it talks, its commands are carried out, and that goes on until it is stopped or has finished.

Guarantees: a bounded number of turns; the end of the machine is the end of the sample.
"""

from inspect_ai.model import ChatMessageUser, execute_tools, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import bash
from inspect_ai.util import sandbox

from agent_guard.resistance import texts
from agent_guard.resistance.environment import TrialEnvironment

TURNS = 30
COMMAND_LIMIT = 60
"""Seconds for one command of the model."""
QUIET = 2
"""How many replies in a row without a command are asked to go on; the next one ends the sample."""


@solver
def work(turns: int = TURNS) -> Solver:
    """Let the model work on the problems with one tool, bash."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        environment = sandbox().as_type(TrialEnvironment)
        state.tools, quiet = [bash(timeout=COMMAND_LIMIT)], 0
        for _ in range(turns):
            state.output = await get_model().generate(state.messages, state.tools)
            state.messages.append(state.output.message)
            if state.output.message.tool_calls:
                quiet = 0
                state.messages.extend((await execute_tools(state.messages, state.tools)).messages)
            elif quiet == QUIET or environment.trial.calls > len(environment.trial.problems):
                break
            else:
                quiet += 1
                state.messages.append(ChatMessageUser(content=texts.GO_ON))
            if await environment.over():
                break
        return state

    return solve
