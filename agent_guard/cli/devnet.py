"""`agent-guard devnet`: a local chain with a council on it, until Ctrl-C."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard.cli.options import Json, settings
from agent_guard.cli.output import Facts, Line, Output, Table
from agent_guard.cli.signals import told_to_end
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.settings import Settings


def devnet(
    block_time: Annotated[float, typer.Option(metavar="S", help="Seconds between blocks.")] = 1.0,
    port: Annotated[int, typer.Option(metavar="P", min=1, max=65535, help="TCP port on 127.0.0.1.")] = 8545,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the chain in this file.")] = None,
    as_json: Json = False,
) -> None:
    """Start a local Anvil with a 2-of-3 council and funded keystores; ends with Ctrl-C.

    The keys are Anvil's published ones, written to deployments/devnet/ under the password "devnet". Never use them
    on another chain.
    """
    from agent_guard.devnet.anvil import Anvil

    out, chosen = Output(as_json), settings(network="devnet", rpc_url=[f"http://127.0.0.1:{port}"])
    with told_to_end() as told, Anvil(port, block_time, state) as anvil:
        _ready(out, chosen, fresh=state is None or not state.exists() or not chosen.record_path.exists())
        out.narrate(f"Anvil runs as process {anvil.pid}. Ctrl-C ends it.")
        while not told():
            if anvil.ended():
                raise GuardError("AG207", "Anvil ended by itself. The chain is gone.", "Start it again.")
            time.sleep(0.1)


def _ready(out: Output, chosen: "Settings", fresh: bool) -> None:
    from agent_guard import wiring
    from agent_guard.chain import deployment as records
    from agent_guard.types import Thresholds, Timing
    from agent_guard.wiring.devnet import OPERATOR, PASSWORD, SIGNERS, write_keys

    folder = chosen.record_path.parent
    keys = write_keys(folder)
    if fresh:
        # A fresh chain knows nothing of an old record, and the address is the same every time.
        for path in (chosen.record_path, chosen.verifier_path):
            path.unlink(missing_ok=True)
        endpoint = wiring.endpoint(chosen)
        payer = wiring.unlock(chosen, wiring.KeyChoice(None, keys.folder / OPERATOR, keys.password_file))
        sender = wiring.sender(endpoint, payer, chosen)
        made = records.create(
            endpoint,
            sender,
            chosen.network,
            [keys.addresses[name] for name in SIGNERS],
            Thresholds(halt=2, resume=2, retire=3),
            Timing(pause=60, resume_delay=10, ballot_window=86_400, lease=0, lease_grace=0),
        )
        records.save(made, chosen.record_path)
        records.save(records.create_verifier(endpoint, sender, chosen.network), chosen.verifier_path)
    connection = wiring.connect(chosen)
    rows = [{"name": name, "address": address} for name, address in keys.addresses.items()]
    out.event(
        {
            "event": "ready",
            "rpc_url": connection.endpoint.url,
            "council": connection.contract.address,
            "record": str(chosen.record_path),
            "keystores": str(keys.folder),
            "password_file": str(keys.password_file),
            "accounts": rows,
        },
        Facts(
            [
                ("chain", f"{connection.deployment.chain_id} at {connection.endpoint.url}"),
                ("council", f"{connection.contract.address}, 2 of 3 halt, 2 resume, 3 retire"),
                ("record", str(chosen.record_path)),
                ("keystores", f"{keys.folder} (password: {PASSWORD}, in {keys.password_file})"),
            ]
        ),
        Table(("key", "address"), [(row["name"], row["address"]) for row in rows]),
        Line(f"next: export ETH_RPC_URL={connection.endpoint.url} AGENT_GUARD_KEYSTORES={keys.folder}"),
    )
