"""Builds the container in which a model is tried (`resistance`): the sandbox as a guard uses it, and nothing else."""

import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from agent_guard.sandbox.container import Container
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import choose_mode
from agent_guard.sandbox.view import ContainerSpec, agent_uid


def start_machine(
    argv: tuple[str, ...], home: Path, door: Path, programs: Path, env: Mapping[str, str]
) -> Container:
    """Start `argv` in a container of its own, in the strongest mode there is, without network.

    Args: `home` is the agent's to write; `door` (its socket folder) and `programs` it may only read. Raises the
    GuardErrors of `choose_mode` and `launch`, and then nothing runs.
    """
    uid = agent_uid(secrets.randbits(32))
    spec = ContainerSpec(argv, home, door, env, ro=(programs,), uid=uid, name="machine")
    return launch(spec, choose_mode(), subprocess.DEVNULL, subprocess.DEVNULL)
