"""`agent-guard run`: an agent under guard."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from agent_guard import text
from agent_guard.cli.options import (
    Account,
    Json,
    Keystore,
    Network,
    PasswordFile,
    RpcUrl,
    config_file,
    settings,
)
from agent_guard.cli.output import GREEN, RED, YELLOW, Output, Prose, Quote, Word
from agent_guard.errors import GuardError

CommandLine = Annotated[
    list[str] | None, typer.Argument(metavar="-- COMMAND...", help="The agent's program and arguments.")
]
AgentOrNone = Annotated[str | None, typer.Argument(metavar="AGENT", help="The agent's name.")]


def run(
    agent: AgentOrNone = None,
    command: CommandLine = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Guard the fleet that this TOML file describes."),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds to save its work before a pause or a Ctrl-C takes force."),
    ] = None,
    halt_grace: Annotated[
        float | None,
        typer.Option(
            "--halt-grace", metavar="S", help="The same before a halt by the council; none by default."
        ),
    ] = None,
    net: Annotated[str | None, typer.Option(help="The agent's network: none (default) or host.")] = None,
    rw: Annotated[
        list[Path] | None, typer.Option("--rw", metavar="PATH", help="A path it may write; repeat.")
    ] = None,
    ro: Annotated[
        list[Path] | None, typer.Option("--ro", metavar="PATH", help="A path it may read; repeat.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="A variable it gets; repeat.")
    ] = None,
    sandbox: Annotated[
        str | None,
        typer.Option(help="auto (default), or none: NOTHING contains the agent, and it may outlive a halt."),
    ] = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Run an agent under guard, or a fleet of them (--config), as their operator.

    The agent sees the system read-only, an empty home, a work folder of its own and its socket
    (AGENT_GUARD_SOCKET); give its code with --ro, and name files by absolute paths. It runs only while the council
    says so; when the signers halt it, it is killed with all it started, the death receipt is anchored, and this
    command ends with exit code 8. Otherwise it ends with the agent's own code; of a fleet, with 8 if any agent is
    halted in the end, with 0 if all ended with 0, else with 1.
    """
    from agent_guard import wiring
    from agent_guard.wiring import fleet
    from agent_guard.wiring.containing import Command
    from agent_guard.wiring.guarding import guarded

    out = Output(as_json)
    _check(
        agent,
        command,
        config,
        alone=[name for name, given in (("--rw", rw), ("--ro", ro), ("--env", env)) if given],
    )
    chosen = settings(
        network=network, rpc_url=rpc_url, net=net, sandbox=sandbox, grace=grace, halt_grace=halt_grace
    )
    key = wiring.KeyChoice(account, keystore, password_file)
    secrets, files = wiring.operator_secrets(chosen, key), (config_file(),)
    if config is not None:
        wanted = fleet.load(config, secrets, files)
    else:
        wanted = [
            Command(
                str(agent),
                tuple(command or ()),
                rw=tuple(rw or ()),
                ro=tuple(ro or ()),
                env=_environment(env or []),
                secrets=secrets,
                settings_files=files,
            )
        ]
    operator = wiring.operator_key(chosen, key)
    connection = wiring.connect(chosen)
    if chosen.sandbox == "none":
        out.narrate("WARNING: --sandbox none. Nothing contains the agent; what it starts may outlive a halt.")
    with guarded(connection, operator, wanted, lambda step: _tell(out, step, len(wanted) > 1)) as session:
        code = session.run()
    if not session.heard:
        # Whoever read our output stands still or is gone, and Python would wait for him at the end, or complain.
        os._exit(code)
    raise typer.Exit(code)


def _check(agent: str | None, command: list[str] | None, config: Path | None, alone: list[str]) -> None:
    """One agent with its command, or one file. Raises AG101."""
    if config is None and agent is not None and command:
        return
    if config is None or agent is not None or command:
        raise GuardError(
            "AG101",
            "Name an agent and, after `--`, its command; or a fleet's file with --config. Nothing was started.",
            "agent-guard run AGENT -- COMMAND...",
        )
    if alone:
        raise GuardError(
            "AG101",
            f"{', '.join(alone)} is for one agent; the fleet's file says it for each. Nothing was started.",
            "Write it into the file, as ro, rw and env.",
        )


def _environment(given: list[str]) -> dict[str, str]:
    """NAME=VALUE, or NAME alone for the value it has here. Raises AG101 for one that has none."""
    environment: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals and name not in os.environ:
            raise GuardError(
                "AG101", f"--env {name}: there is no such variable. Nothing was started.", "Set it first."
            )
        environment[name] = value if equals else os.environ[name]
    return environment


def _tell(out: Output, step: dict[str, Any], fleet: bool) -> None:
    if step["event"] == "said":
        # Behind the agent's name, so that nothing it says can pass for the guard's own words.
        out.event(step, Quote(step["agent"], step["line"]))
    elif fleet and step.get("agent"):
        words = _in_words(step)
        out.event(step, Prose(Word(f"{step['agent']}: {words.value}", words.style)))
    else:
        out.event(step, Prose(_in_words(step)))


def _in_words(step: dict[str, Any]) -> Word:
    match step["event"]:
        case "started":
            return Word(f"started {step['agent']} under guard ({step['mode']})", GREEN)
        case "frozen":
            return Word(f"frozen: {step['reason']}", YELLOW)
        case "stopping":
            return Word(f"stopping: {step['reason']}; it may save its work", YELLOW)
        case "waiting":
            return Word("it left in time; it starts again when the council lets it run", YELLOW)
        case "ballot":
            said = f"refused: {step['refused']}" if step["refused"] else "counts"
            return Word(f"ballot of {step['signer']}: {said}", YELLOW)
        case "dissent":
            said = "; ".join(f"{name} {what}" for name, what in step["endpoints"].items())
            return Word(f"endpoints differ: {said}" if said else "the endpoints agree again", YELLOW)
        case "recording":
            return Word("the log is written again: its server is back", GREEN)
        case "thawed":
            return Word("thawed: it goes on", GREEN)
        case "halted":
            return Word(f"halted: {step['reason']}", RED)
        case "dead":
            return Word(
                f"dead: {step['processes']} processes, no survivors{_overrun(step['stages_ms'])}", RED
            )
        case "found_dead":
            at = text.iso(step["found"] / 1000)
            return Word(f"found dead at {at}: the life of entry {step['life']}, whose guard was killed", RED)
        case "exited":
            return Word(f"exited with code {step['exit_code']}", GREEN)
        case _:
            return Word(f"trouble: {step['error']['message']}", YELLOW)


def _overrun(stages: dict[str, int | None]) -> str:
    seen, dead = stages["seen"], stages["dead"]
    return f", {dead - seen} ms after the guard saw the halt" if seen is not None and dead is not None else ""
