"""`agent-guard deployment`: councils, where they stand, and whether it is really them."""

from typing import TYPE_CHECKING, Annotated

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
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.chain.endpoint import Endpoint
    from agent_guard.chain.sender import Sender
    from agent_guard.settings import Settings

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
    """Deploy a new council, and a log verifier beside it; write their records to deployments/NETWORK/.

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
    for path in (chosen.record_path, chosen.verifier_path):
        records.make_room(path)
    signers = [wiring.checksummed(address) for address in signer]
    out.narrate(f"A council of {len(signers)} signers on chain {chain_id} ({endpoint.name}):")
    out.narrate(f"  {halt} halt, {resume} resume and configure, {retire} retire; {', '.join(signers)}")
    out.narrate(
        f"  pause {pause} s, resume delay {resume_delay} s, votes count {ballot_window} s, lease {lease} s"
    )
    confirm(out, "Deploy it? [y]", "y", yes)
    payer = wiring.unlock(chosen, wiring.KeyChoice(account, keystore, password_file))
    sender = wiring.sender(endpoint, payer, chosen)
    made = records.create(
        endpoint,
        sender,
        chosen.network,
        signers,
        Thresholds(halt, resume, retire),
        Timing(pause, resume_delay, ballot_window, lease, lease_grace),
    )
    records.save(made, chosen.record_path)
    verifier = _add_verifier(out, endpoint, sender, chosen)
    detail = {"network": made.network, "chain_id": chain_id, "record": str(chosen.record_path)}
    out.result(
        {
            "target": made.address,
            "applied": True,
            "tx": made.transaction_hash,
            "detail": {**detail, "log_verifier": verifier},
        },
        Facts(
            [
                ("council", made.address),
                ("chain", made.chain_id),
                ("block", made.deploy_block),
                ("transaction", Hash(made.transaction_hash)),
                ("log verifier", verifier),
                ("record", str(chosen.record_path)),
            ]
        ),
    )


def _add_verifier(out: Output, endpoint: "Endpoint", sender: "Sender", chosen: "Settings") -> str | None:
    """Deploys a log verifier; None, and says so, if that fails: the council stands and is recorded all the same."""
    from agent_guard.chain import deployment as records

    try:
        made = records.create_verifier(endpoint, sender, chosen.network)
        records.save(made, chosen.verifier_path)
        return made.address
    except GuardError as error:
        out.narrate(f"The council is deployed and recorded, but no log verifier: {error.message}")
        out.narrate("Add one with: agent-guard deployment verifier --account NAME")
        return None


@app.command("verifier")
def verifier(
    network: Network = None,
    rpc_url: RpcUrl = None,
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Deploy a log verifier beside a council that has none; anyone may, the account only pays.

    It has no state and no owner. `log prove --on-chain` asks it.
    """
    from agent_guard import wiring
    from agent_guard.chain import deployment as records

    out, chosen = Output(as_json), settings(network=network, rpc_url=rpc_url)
    connection = wiring.connect(chosen)
    records.make_room(chosen.verifier_path)
    out.narrate(f"A log verifier on chain {connection.deployment.chain_id} ({connection.endpoint.name}).")
    confirm(out, "Deploy it? [y]", "y", yes)
    payer = wiring.unlock(chosen, wiring.KeyChoice(account, keystore, password_file))
    made = records.create_verifier(connection.endpoint, connection.sender(payer), chosen.network)
    records.save(made, chosen.verifier_path)
    out.result(
        {
            "target": made.address,
            "applied": True,
            "tx": made.transaction_hash,
            "detail": {"network": made.network, "record": str(chosen.verifier_path)},
        },
        Facts(
            [
                ("log verifier", made.address),
                ("transaction", Hash(made.transaction_hash)),
                ("record", str(chosen.verifier_path)),
            ]
        ),
    )


@app.command("check")
def check(network: Network = None, rpc_url: RpcUrl = None, as_json: Json = False) -> None:
    """Check that the record's chain, genesis block and code are what the endpoint serves."""
    from agent_guard import wiring

    chosen = settings(network=network, rpc_url=rpc_url)
    found = wiring.connect(chosen)
    record, block = found.deployment, found.endpoint.block()
    verifier = wiring.log_verifier(found).address if chosen.verifier_path.exists() else None
    Output(as_json).result(
        {
            "as_of": block.timestamp,
            "block": block.number,
            "rows": [
                {
                    "network": record.network,
                    "address": record.address,
                    "chain_id": record.chain_id,
                    "log_verifier": verifier,
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
                ("log verifier", verifier or "none; add one with: agent-guard deployment verifier"),
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
