"""`agent-guard council`: who the signers are, and changing them."""

from typing import Annotated

import typer

from agent_guard.cli import ballots
from agent_guard.cli.options import (
    Account,
    Json,
    Keystore,
    Network,
    OutFile,
    PasswordFile,
    Reason,
    RpcUrl,
    SignOnly,
    Yes,
    settings,
)
from agent_guard.cli.output import Cell, Facts, Output
from agent_guard.types import Action

app = typer.Typer(help="Show the signers and their thresholds; rotate them.", no_args_is_help=True)


@app.command("show")
def show(network: Network = None, rpc_url: RpcUrl = None, as_json: Json = False) -> None:
    """Show the signers, thresholds and delays in force."""
    from agent_guard import wiring

    connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
    block = connection.endpoint.block()
    council = connection.contract.council(block)
    thresholds, timing = council.thresholds, council.timing
    row = {
        "address": connection.contract.address,
        "chain_id": connection.deployment.chain_id,
        "signers": list(council.signers),
        "thresholds": {"halt": thresholds.halt, "resume": thresholds.resume, "retire": thresholds.retire},
        "timing": {
            "pause": timing.pause,
            "resume_delay": timing.resume_delay,
            "ballot_window": timing.ballot_window,
            "lease": timing.lease,
            "lease_grace": timing.lease_grace,
        },
        "set_version": council.set_version,
    }
    signers: list[tuple[str, Cell]] = [
        (f"signer {i + 1}", signer) for i, signer in enumerate(council.signers)
    ]
    Output(as_json).result(
        {"as_of": block.timestamp, "block": block.number, "rows": [row], "truncated": False},
        Facts(
            [
                ("council", f"{connection.contract.address} on chain {connection.deployment.chain_id}"),
                *signers,
                ("signer set", council.set_version),
                ("to halt", f"{thresholds.halt} of {len(council.signers)}"),
                ("to resume", f"{thresholds.resume} of {len(council.signers)}, then {timing.resume_delay} s"),
                ("to retire", f"{thresholds.retire} of {len(council.signers)}"),
                ("a pause", f"{timing.pause} s"),
                ("a vote counts", f"{timing.ballot_window} s"),
                ("a lease", f"{timing.lease} s, {timing.lease_grace} s of grace" if timing.lease else "none"),
            ]
        ),
    )


@app.command("rotate")
def rotate(
    signer: Annotated[
        list[str], typer.Option("--signer", metavar="ADDRESS", help="A new signer; repeat for each.")
    ],
    halt: Annotated[int, typer.Option("--halt", metavar="H", help="Votes to halt.")],
    resume: Annotated[int, typer.Option("--resume", metavar="R", help="Votes to resume and to configure.")],
    retire: Annotated[int, typer.Option("--retire", metavar="D", help="Votes to retire for ever.")],
    salt: Annotated[
        int,
        typer.Option(
            "--salt", min=0, max=2**63 - 1, help="Another number proposes the same set again after a veto."
        ),
    ] = 0,
    reason: Reason = "",
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    sign_only: SignOnly = False,
    output: OutFile = None,
    expires: Annotated[
        int, typer.Option("--expires", metavar="S", help="Seconds a signed ballot holds.")
    ] = 86_400,
    network: Network = None,
    rpc_url: RpcUrl = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Vote, as a signer, to replace the whole signer set and its thresholds.

    Takes R votes and the resume delay; run the same command once more after the delay to put it into force.
    """
    from agent_guard import wiring
    from agent_guard.types import Thresholds
    from agent_guard.voting.motion import refuse_set

    connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
    out, choice = Output(as_json), wiring.KeyChoice(account, keystore, password_file)
    signers, thresholds = (
        [wiring.checksummed(address) for address in signer],
        Thresholds(halt, resume, retire),
    )
    refuse_set(signers, thresholds)
    word = salt.to_bytes(32, "big")
    param = connection.voting().rotation_param(signers, thresholds, word)
    motion = connection.voting().motion(Action.ROTATE, None, param)
    out.narrate(f"New set: {', '.join(signers)}; {halt} halt, {resume} resume, {retire} retire.")
    ready_at = connection.contract.scheduled_at(motion.agent, motion.action, param, motion.block)
    if ready_at:
        rotation = ballots.Rotation(tuple(signers), thresholds, word)
        ballots.finish(out, connection, motion, choice, yes, ready_at, rotation)
        return
    ballots.put(out, connection, motion, choice, ballots.Manner(reason, sign_only, output, expires, yes))
