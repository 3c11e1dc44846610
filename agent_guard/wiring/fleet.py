"""The file that describes a fleet: which agents one guard runs, and how.

    [agents.scout]
    command = ["python", "/srv/scout/main.py"]
    ro = ["/srv/scout"]                       # paths it may read; rw: and write
    env = { MODEL = "small" }                 # the values themselves: name no secret here
    net = "none"                              # or "host"; what the settings say if left out

Paths are taken from the file's own folder. All problems are told at once, and nothing is started then.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_guard import typed_data
from agent_guard.errors import GuardError
from agent_guard.wiring.containing import Command

MOST_AGENTS = 1_000
"""In one guard: what one `eth_call` of a node with ordinary limits can read."""


Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""What the kernel can pass on. To bubblewrap a NUL would be the end of one argument and the beginning of another."""
Variable = Annotated[str, Field(pattern=r"^[^=\x00]+$")]


class _Agent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Annotated[tuple[Word, ...], Field(min_length=1)]
    ro: tuple[Path, ...] = ()
    rw: tuple[Path, ...] = ()
    env: dict[Variable, Word] = {}
    net: Literal["none", "host"] | None = None


class _Fleet(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    agents: Annotated[dict[str, _Agent], Field(min_length=1, max_length=MOST_AGENTS)]


def load(path: Path, secrets: tuple[Path, ...], settings_files: tuple[Path, ...]) -> list[Command]:
    """The commands of a fleet's file. Raises AG102, naming every problem.

    Args: `secrets` and `settings_files` as in `Command`; the fleet's own file is among what no agent may change.
    """
    try:
        fleet = _Fleet.model_validate(tomllib.loads(path.read_text()))
        for name in fleet.agents:
            typed_data.agent_id(name)  # refuses what is no name
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise _unusable(
            path, "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in problems)
        ) from error
    except GuardError as error:
        raise _unusable(path, error.message) from error
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from error
    folder = path.resolve().parent
    return [
        Command(
            agent=name,
            argv=agent.command,
            ro=tuple(folder / each for each in agent.ro),
            rw=tuple(folder / each for each in agent.rw),
            env=agent.env,
            net=agent.net,
            secrets=secrets,
            settings_files=(*settings_files, path.resolve()),
        )
        for name, agent in fleet.agents.items()
    ]


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc))


def _unusable(path: Path, why: str) -> GuardError:
    return GuardError(
        "AG102", f"The fleet's file {path} can't be used: {why}. Nothing was started.", "Correct the file."
    )
