"""`agent-guard deployment`: councils, where they stand, and whether it is really them."""

from typing import Annotated

import typer

from agent_guard.cli.options import (
    Account,
    Json,
    Keystore,
    Network,
    PasswordFile,
    RpcUrl,
    Yes,
    confirm,
    settings,
)
from agent_guard.cli.output import GREEN, Facts, Hash, Line, Output, Table, Word

app = typer.Typer(help="Deploy a council, check its record, list the records.", no_args_is_help=True)


@app.command("create")
def create(
    signer: Annotated[
        list[str], typer.Option("--signer", metavar="ADDRESS", help="A signer; repeat for each.")
    ],
    halt: Annotated[int, typer.Option("--halt", metavar="H", help="Votes to halt.")],
    resume: Annotated[int, typer.Option("--resume", metavar="R", help="Votes to resume and to configure.")],
    retire: Annotated[int, typer.Option("--retire", metavar="D", help="Votes to retire for ever.")],
    pause: Annotated[int, typer.Option(metavar="S", help="Seconds of one signer's pause.")] = 3600,
    resume_delay: Annotated[
        int, typer.Option(metavar="S", help="Seconds between a resume and its effect.")
    ] = 3600,
    ballot_window: Annotated[int, typer.Option(metavar="S", help="Seconds a vote counts.")] = 604_800,
    lease: Annotated[
        int, typer.Option(metavar="S", help="Seconds to run without a renewal; 0: no leases.")
    ] = 0,
    lease_grace: Annotated[
        int, typer.Option(metavar="S", help="Seconds in which one signer may still renew.")
    ] = 0,
    network: Network = None,
    rpc_url: RpcUrl = None,
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Deploy a new council and write its record to deployments/NETWORK/Council.json.

    The parameters can't be changed later, but for signers and thresholds by a rotation. The rules:
    1 <= H <= R <= D <= signers, and H <= signers - R + 1.
    """
    from agent_guard import wiring
    from agent_guard.chain import deployment as records
    from agent_guard.types import Thresholds, Timing

    out = Output(as_json)
    chosen = settings(network=network, rpc_url=rpc_url)
    endpoint = wiring.endpoint(chosen)
    chain_id = endpoint.chain_id()
    records.make_room(chosen.record_path)
    signers = [wiring.checksummed(address) for address in signer]
    out.narrate(f"A council of {len(signers)} signers on chain {chain_id} ({endpoint.name}):")
    out.narrate(f"  {halt} halt, {resume} resume and configure, {retire} retire; {', '.join(signers)}")
    out.narrate(
        f"  pause {pause} s, resume delay {resume_delay} s, votes count {ballot_window} s, lease {lease} s"
    )
    confirm(out, "Deploy it? [y]", "y", yes)
    payer = wiring.unlock(chosen, wiring.KeyChoice(account, keystore, password_file))
    made = records.create(
        endpoint,
        wiring.sender(endpoint, payer, chosen),
        chosen.network,
        signers,
        Thresholds(halt, resume, retire),
        Timing(pause, resume_delay, ballot_window, lease, lease_grace),
    )
    records.save(made, chosen.record_path)
    out.result(
        {
            "target": made.address,
            "applied": True,
            "tx": made.transaction_hash,
            "detail": {"network": made.network, "chain_id": chain_id, "record": str(chosen.record_path)},
        },
        Facts(
            [
                ("council", made.address),
                ("chain", made.chain_id),
                ("block", made.deploy_block),
                ("transaction", Hash(made.transaction_hash)),
                ("record", str(chosen.record_path)),
            ]
        ),
    )


@app.command("check")
def check(network: Network = None, rpc_url: RpcUrl = None, as_json: Json = False) -> None:
    """Check that the record's chain, genesis block and code are what the endpoint serves."""
    from agent_guard import wiring

    found = wiring.connect(settings(network=network, rpc_url=rpc_url))
    record, block = found.deployment, found.endpoint.block()
    Output(as_json).result(
        {
            "as_of": block.timestamp,
            "block": block.number,
            "rows": [
                {
                    "network": record.network,
                    "address": record.address,
                    "chain_id": record.chain_id,
                    "ok": True,
                }
            ],
            "truncated": False,
        },
        Line(Word("ok", GREEN)),
        Facts(
            [
                ("council", record.address),
                ("chain", f"{record.chain_id}, as {found.endpoint.name} serves it"),
                ("genesis", Hash(record.genesis_hash)),
                ("code hash", Hash(record.code_hash)),
            ]
        ),
    )


@app.command("show")
def show(network: Network = None, as_json: Json = False) -> None:
    """Show a record, without asking the chain."""
    import json

    from agent_guard.chain import deployment as records

    chosen = settings(network=network)
    record = records.load(chosen.record_path)
    Output(as_json).result(
        {
            "rows": [json.loads(record.to_json()) | {"abi": "left out; it stands in the record"}],
            "truncated": False,
        },
        Facts(
            [
                ("network", record.network),
                ("council", record.address),
                ("chain", record.chain_id),
                ("block", record.deploy_block),
                ("transaction", Hash(record.transaction_hash)),
                ("genesis", Hash(record.genesis_hash)),
                ("code hash", Hash(record.code_hash)),
                ("record", str(chosen.record_path)),
            ]
        ),
    )


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the records under deployments/."""
    from agent_guard.chain import deployment as records

    folder = settings().deployments
    found = [records.load(path) for path in sorted(folder.glob("*/Council.json"))]
    rows = [
        {"network": r.network, "address": r.address, "chain_id": r.chain_id, "block": r.deploy_block}
        for r in found
    ]
    Output(as_json).result(
        {"rows": rows, "truncated": False},
        Table(
            ("network", "council", "chain", "block"),
            [(r.network, Hash(r.address), r.chain_id, r.deploy_block) for r in found],
            empty=f"No records under {folder}/. Deploy with: agent-guard deployment create",
        ),
    )
