"""Names of agents: on chain an agent is only the hash of its name, so the names stand beside the deployment record.

`deployments/<network>/agents.json` is a public list that anyone can check, since each name must hash to its id.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET


def load(record: Path) -> dict[bytes, str]:
    """Names by id, from the list beside a deployment record; empty if there is none. Raises AG204 if it is no list."""
    path = record.with_name("agents.json")
    try:
        names = json.loads(path.read_text())
        return {FLEET: "the whole fleet"} | {agent_id(name): name for name in names}
    except FileNotFoundError:
        return {FLEET: "the whole fleet"}
    except (OSError, ValueError, TypeError, GuardError) as error:
        raise GuardError(
            "AG204", f"{path} is not a list of agents' names ({error}).", "Restore it, or move it away."
        ) from error


def add(record: Path, name: str) -> None:
    """Adds a name to the list, in one step. Raises AG204 if there is no usable list, AG104 if it can't be written."""
    names: Iterable[str] = sorted({*load(record).values(), name} - {"the whole fleet"})
    path = record.with_name("agents.json")
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(list(names), indent=2) + "\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise GuardError(
            "AG104",
            f"The name {name!r} could not be added to {path} ({error.strerror}). The vote or the ballot stands.",
            "Free some space; until then the agent is listed by its id, and is found by its name all the same.",
        ) from error


def shown(names: dict[bytes, str], agent: bytes) -> str:
    """The agent's name, or its id where the name isn't known."""
    return names.get(agent, "0x" + agent.hex())
