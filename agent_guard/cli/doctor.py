"""`agent-guard doctor`: every check with its remedy, a real timed kill among them."""

import typer

from agent_guard.cli.options import Json, Network, RpcUrl, settings
from agent_guard.cli.output import GREEN, RED, YELLOW, Line, Output, Table, Word

STYLES = {"ok": GREEN, "warn": YELLOW, "fail": RED}


def doctor(network: Network = None, rpc_url: RpcUrl = None, as_json: Json = False) -> None:
    """Check this host: container (by a real, timed kill), chain, council, clock, keys. Exit 1 if anything fails."""
    from agent_guard.wiring.checks import findings

    out, chosen = Output(as_json), settings(network=network, rpc_url=rpc_url)
    found = list(findings(chosen))
    rows = [
        {
            "check": item.name,
            "for": item.for_whom,
            "level": item.level,
            "detail": item.detail,
            "remedy": item.remedy or None,
        }
        for item in found
    ]
    remedies = [Line(f"{item.name}: {item.remedy}") for item in found if item.remedy]
    out.result(
        {"rows": rows, "truncated": False},
        Table(
            ("check", "for", "", "found"),
            [(item.name, item.for_whom, Word(item.level, STYLES[item.level]), item.detail) for item in found],
        ),
        *([Line(""), Line("what to do:"), *remedies] if remedies else []),
    )
    if any(item.level == "fail" for item in found):
        raise typer.Exit(1)
