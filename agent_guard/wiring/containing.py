"""What an agent is run as: its command, its container, and what the log says of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agent_guard.sandbox.mode import Choice
from agent_guard.sandbox.view import ContainerSpec, Limits, agent_uid
from agent_guard.session.places import Places
from agent_guard.settings import Settings
from agent_guard.wiring.storing import store_secrets


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and what it may see beyond its own folders.

    `net` None is what the settings say. `secrets`: files it must never see, such as the operator's key;
    `settings_files`: those it must never change.
    """

    agent: str
    argv: tuple[str, ...]
    rw: tuple[Path, ...] = ()
    ro: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    net: Literal["none", "host"] | None = None
    secrets: tuple[Path, ...] = ()
    settings_files: tuple[Path, ...] = ()


def container_spec(
    settings: Settings, command: Command, identity: bytes, places: Places, operator: str
) -> ContainerSpec:
    """The container of one agent (its 32-byte id), guarded by this operator (checksummed)."""
    named = (settings.operator_keystore, settings.operator_password_file)
    private = [settings.home, settings.keystores, *command.secrets, *store_secrets(settings), *named]
    # Whoever writes these decides which council the next guard listens to, and whether it contains.
    fixed = [settings.deployments, *command.settings_files]
    return ContainerSpec(
        argv=command.argv,
        work_dir=places.work.resolve(),
        socket_dir=places.socket.parent.resolve(),
        env={**command.env, "AGENT_GUARD_OPERATOR": operator},
        net=command.net or settings.net,
        rw=tuple(path.resolve() for path in command.rw),
        ro=tuple(path.resolve() for path in command.ro),
        private=tuple(path.resolve() for path in private if path is not None),
        fixed=tuple(path.resolve() for path in fixed),
        uid=agent_uid(int.from_bytes(identity, "big")),
        limits=Limits(settings.pids_max, settings.memory_max << 20),
        name=command.agent,
    )


def recorded_limits(settings: Settings) -> dict[str, int | bool | str]:
    """The limits that this guard runs under, for the config entry's public metadata (`audit.limits.RECORDED`).

    A guard that is cut off from the chain kills when its newest block is too old, which it sees within a poll and a
    time-out, and the grace for the unknown is over; one that hears a halt, when the halt's own grace is.
    """
    overrun = settings.max_block_age + settings.poll + settings.rpc_timeout
    overrun += settings.unknown_grace + settings.halt_grace
    return {
        "max_unanchored_entries": settings.max_unanchored_entries,
        "max_unanchored_age_ms": round(settings.max_unanchored_age * 1000),
        "max_overrun_ms": round(overrun * 1000),
    }


def described(settings: Settings, command: Command, choice: Choice, vkey: str) -> dict[str, object]:
    """The content of the config entry: what an auditor may want to know of how the agent was guarded."""
    return {
        "command": list(command.argv),
        "sandbox": choice.mode.value,
        "net": command.net or settings.net,
        "rw": [str(path) for path in command.rw],
        "ro": [str(path) for path in command.ro],
        "env": sorted(command.env),
        "checkpoint_vkey": vkey,
        "limits": {
            "poll": str(settings.poll),
            "max_block_age": str(settings.max_block_age),
            "unknown_grace": str(settings.unknown_grace),
            "freeze_on_vote": settings.freeze_on_vote,
            "anchor_entries": settings.anchor_entries,
            "anchor_age": str(settings.anchor_age),
        },
    }
