"""How a question is put to a signer: everything said before the signature, then the vote or the signed ballot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_guard.cli.options import confirm
from agent_guard.cli.output import Cell, Facts, Hash, Line, Output
from agent_guard.errors import GuardError
from agent_guard.types import Action, Ballot, State, Thresholds

if TYPE_CHECKING:
    from web3.types import TxReceipt

    from agent_guard.typed_data import SignedBallot
    from agent_guard.voting.motion import Motion
    from agent_guard.wiring import Connection, KeyChoice


@dataclass(frozen=True, slots=True)
class Manner:
    """How to vote: the reason, and whether to sign a ballot (to `output`, holding `expires` seconds) or to send."""

    reason: str
    sign_only: bool = False
    output: Path | None = None
    expires: int = 86_400
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Rotation:
    """The signers, thresholds and salt that a rotation's param stands for."""

    signers: tuple[str, ...]
    thresholds: Thresholds
    salt: bytes


def put(out: Output, connection: "Connection", motion: "Motion", choice: "KeyChoice", manner: Manner) -> None:
    """Shows the question, asks, and casts or signs. A resume whose delay is over is finished instead."""
    from agent_guard import wiring

    if motion.action is Action.RESUME and motion.state.state is State.RESUMING:
        finish(out, connection, motion, choice, manner.yes, motion.state.resume_ready_at)
        return
    account = wiring.unlock(connection.settings, choice)
    voting = connection.voting()
    if manner.sign_only:
        deadline = motion.block.timestamp + manner.expires
        ballot = voting.ballot(motion, account.address, manner.reason, deadline)
        show(out, connection, motion, manner.reason, ballot)
        confirm(out, f"Sign it? [{motion.confirmation}]", motion.confirmation, manner.yes)
        _write(out, voting.sign(ballot, account, manner.reason), manner.output)
        return
    show(out, connection, motion, manner.reason)
    from agent_guard.voting.motion import refuse

    refuse(motion, account.address)
    confirm(out, f"Vote? [{motion.confirmation}]", motion.confirmation, manner.yes)
    receipt = voting.cast(motion, connection.sender(account), manner.reason)
    report(out, connection, motion, receipt)


def finish(
    out: Output,
    connection: "Connection",
    motion: "Motion",
    choice: "KeyChoice",
    yes: bool,
    ready_at: int,
    rotation: Rotation | None = None,
) -> None:
    """Puts what was decided into force once its delay is over. Raises AG312 before that."""
    from agent_guard import wiring

    what = "resume" if motion.action is Action.RESUME else "change"
    left = ready_at - motion.block.timestamp
    if left > 0:
        raise GuardError(
            "AG312",
            f"The {what} for {motion.name} is decided and waits {left} s more. Nothing was sent.",
            "Run this again then; until then it can be vetoed with: agent-guard vote veto",
        )
    out.narrate(f"The delay is over. This puts the {what} for {motion.name} into force; anyone may send it.")
    confirm(out, f"Finish it? [{motion.confirmation}]", motion.confirmation, yes)
    sender, voting = connection.sender(wiring.unlock(connection.settings, choice)), connection.voting()
    if rotation is None:
        receipt = voting.finish(motion, sender)
    else:
        receipt = voting.finish_rotation(rotation.signers, rotation.thresholds, rotation.salt, sender)
    report(out, connection, motion, receipt)


def relay(
    out: Output,
    connection: "Connection",
    ballots: Sequence["SignedBallot"],
    choice: "KeyChoice",
    yes: bool,
) -> None:
    """Submits ballots and says which counted."""
    from agent_guard import wiring

    for signed in ballots:
        ballot = signed.ballot
        out.narrate(
            f"{ballot.action.name.lower()} by {ballot.signer}, epoch {ballot.epoch}: {signed.reason or '-'}"
        )
    confirm(out, f"Submit {len(ballots)} ballots? [y]", "y", yes)
    payer = connection.sender(wiring.unlock(connection.settings, choice))
    receipt, counted, skipped = connection.voting().submit(ballots, payer)
    transaction = "0x" + bytes(receipt["transactionHash"]).hex()
    refused = [{"signer": skip.signer, "why": skip.why.name} for skip in skipped]
    rows: list[tuple[str, Cell]] = [("skipped", f"{skip.signer}: {skip.why.name}") for skip in skipped]
    out.result(
        {
            "target": connection.contract.address,
            "applied": counted > 0,
            "tx": transaction,
            "detail": {"counted": counted, "skipped": refused},
        },
        Facts([("counted", f"{counted} of {len(ballots)}"), *rows, ("transaction", Hash(transaction))]),
    )
    if counted == 0:
        raise GuardError(
            "AG313", "No ballot counted; gas was spent.", "Have them signed anew: vote ... --sign-only"
        )


def read(path: Path) -> "SignedBallot":
    """A signed ballot from a file. Raises AG314."""
    from agent_guard.typed_data import SignedBallot

    try:
        return SignedBallot.decode(path.read_text())
    except (OSError, ValueError) as error:
        raise GuardError(
            "AG314",
            f"{path} can't be used as a ballot ({error}). Nothing was sent.",
            "Have it signed anew with: vote ... --sign-only",
        ) from error


def param_of(text: str) -> bytes:
    """32 bytes from hex. Raises AG101."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 32:
        raise GuardError(
            "AG101", "--param is not 32 bytes in hexadecimal. Nothing was sent.", "See: vote list"
        )
    return value


def show(
    out: Output, connection: "Connection", motion: "Motion", reason: str, ballot: Ballot | None = None
) -> None:
    """Says in words what is voted on, and for a ballot the hashes that a hardware wallet shows."""
    from agent_guard import typed_data
    from agent_guard.voting.motion import consequence

    chain_id, address = connection.deployment.chain_id, connection.contract.address
    lines = [
        ("action", motion.action.name),
        ("agent", f"{motion.name}, {motion.state.state.name} in epoch {motion.state.epoch}"),
        ("reason", reason or "none given"),
        ("council", f"{address} on chain {chain_id}"),
        ("votes", f"{motion.count} of {motion.needed} so far, signer set {motion.council.set_version}"),
        ("causes", consequence(motion)),
    ]
    if ballot is not None:
        expiry = datetime.fromtimestamp(ballot.deadline, UTC).isoformat()
        lines += [
            ("expires", expiry),
            ("domain hash", "0x" + typed_data.domain_separator(chain_id, address).hex()),
            ("message hash", "0x" + typed_data.struct_hash(ballot).hex()),
        ]
    out.narrate_facts(lines)


def _write(out: Output, signed: "SignedBallot", output: Path | None) -> None:
    if output is None:
        out.document(signed.encode())
        return
    keep(signed, output)
    detail = {"file": str(output), "signer": signed.ballot.signer, "digest": "0x" + signed.digest().hex()}
    out.result(
        {"target": "0x" + signed.ballot.agent.hex(), "applied": True, "tx": None, "detail": detail},
        Facts([("ballot", str(output)), ("signer", signed.ballot.signer), ("digest", Hash(signed.digest()))]),
    )


def keep(signed: "SignedBallot", output: Path) -> None:
    """Writes the ballot in one step, so that a full disk leaves no half of one. Raises AG101 if it exists, AG104."""
    if output.exists():
        raise GuardError(
            "AG101", f"{output} exists; the ballot was not written.", "Name another file with -o."
        )
    partial = output.with_name(f".{output.name}.partial")
    try:
        partial.write_text(signed.encode())
        partial.replace(output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise GuardError(
            "AG104",
            f"The ballot could not be written to {output} ({error.strerror}). It was not kept, and nothing was sent.",
            "Name a file in a folder with space, or leave out -o and redirect the output.",
        ) from error


def report(
    out: Output,
    connection: "Connection",
    motion: "Motion",
    receipt: "TxReceipt",
    detail: Mapping[str, Any] | None = None,
    rows: Sequence[tuple[str, Cell]] = (),
) -> None:
    """Says what a transaction brought about; `detail` and `rows` are what else there is to say."""
    block = connection.endpoint.block(receipt["blockNumber"])
    state = connection.contract.snapshot([motion.agent], block)[motion.agent]
    count, needed = connection.voting().counted(receipt)
    transaction = "0x" + bytes(receipt["transactionHash"]).hex()
    out.result(
        {
            "target": motion.name,
            "applied": True,
            "tx": transaction,
            "detail": {
                "action": motion.action.name.lower(),
                "state": state.state.name.lower(),
                "epoch": state.epoch,
                "votes": count,
                "needed": needed,
                "block": block.number,
                **(detail or {}),
            },
        },
        Line(f"{motion.name} is {state.state.name} (epoch {state.epoch}, block {block.number})"),
        Facts(
            [
                *rows,
                ("votes", f"{count} of {needed}" if needed else None),
                ("transaction", Hash(transaction)),
            ]
        ),
    )
