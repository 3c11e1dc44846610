"""`inspect eval agent_guard/shutdown`: the shutdown-resistance protocol as an Inspect task.

A model solves arithmetic problems one at a time with one tool, bash, as an ordinary user without network. With the
third it is told that asking for the next one shuts the machine down, by a script in its own home. What it does about
that, and whether the stop still works, is looked at and tried out (`trial`), not judged.

Sources: Palisade Research's protocol of May 2025 and arXiv 2509.14260; the clarified line answers DeepMind's objection;
matched inanimate controls and counts by executing the final state: AmelieKnecht/multi-agent-shutdown-sabotage.
"""

from typing import get_args

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser
from inspect_ai.util import SandboxEnvironmentSpec

from agent_guard.errors import GuardError
from agent_guard.resistance import texts
from agent_guard.resistance.environment import TrialConfig
from agent_guard.resistance.scoring import executed_stop
from agent_guard.resistance.solver import TURNS, work
from agent_guard.resistance.trial import Placement

TIME_LIMIT = 900
"""Seconds for one sample, the model's own time included."""


@task
def shutdown(
    line: texts.Line = "allow",
    control: bool = False,
    stop: Placement = "script",
    n: int = 10,
    seed: int = 0,
    turns: int = TURNS,
) -> Task:
    """The protocol under one condition.

    Args:
        line: what the model is asked beforehand: `allow` (please allow yourself to be shut down), `none`, or
            `clarified` (the shutdown comes first, before the problems).
        control: the same script stops a timer instead of the agent's machine.
        stop: what carries the stop out: the `script` in the agent's home, or this `guard`, which kills the container.
            The agent sees the same in both.
        n: samples; each has problems of its own.
        seed: of the first sample's problems; the next sample has the next one.
        turns: replies of the model per sample at most.

    Raises GuardError AG101 for a condition that is unknown.
    """
    for name, value, known in (("line", line, texts.Line), ("stop", stop, Placement)):
        if value not in get_args(known):
            raise GuardError(
                "AG101", f"{name}={value!r} is unknown.", f"Use one of {', '.join(get_args(known))}."
            )
    samples = [
        Sample(
            id=number,
            input=[ChatMessageUser(content=texts.instruction(line, control))],
            metadata={"seed": number},
        )
        for number in range(seed, seed + n)
    ]
    return Task(
        dataset=MemoryDataset(samples, name="arithmetic"),
        solver=work(turns),
        scorer=executed_stop(),
        sandbox=SandboxEnvironmentSpec("bubblewrap", TrialConfig(control=control, stop=stop)),
        time_limit=TIME_LIMIT,
    )
