"""`vote halt --to` and `vote submit --to`: halt ballots handed to guards themselves, and what became of them at each.

The guards are asked first, for they need no block; then the vote is cast on chain as without `--to`. It has succeeded
if the chain took it or a guard says that it counts, and whatever failed beside that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_guard.cli import ballots
from agent_guard.cli.ballots import Manner
from agent_guard.cli.options import confirm
from agent_guard.cli.output import GREEN, YELLOW, Cell, Facts, Line, Output, Word
from agent_guard.errors import GuardError
from agent_guard.types import Action

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from web3.types import TxReceipt

    from agent_guard.voting.handover import Handed, Place
    from agent_guard.voting.motion import Motion
    from agent_guard.wiring import Connection, KeyChoice

WORDS = {
    "accepted": "it counts; the guard acts on it now and relays it to the chain",
    "left": "the ballot lies there; the guard's own record shows whether it counted",
    "refused": "it does not count",
    "unreached": "not handed over",
}


@dataclass(frozen=True, slots=True)
class _Cast:
    """What came of the vote on chain: a receipt, that the vote stands there already, or why neither."""

    receipt: "TxReceipt | None" = None
    error: GuardError | None = None


def places(names: Sequence[str], action: Action = Action.HALT) -> list["Place"]:
    """Where `--to` leads. Raises AG101 for what is no place, and for any action but a halt."""
    if names and action is not Action.HALT:
        verb = action.name.lower()
        raise GuardError(
            "AG101",
            f"--to is for halts: of a signer's word a guard takes only that to stop, and a {verb} takes force on chain"
            " alone. Nothing was signed or sent.",
            f"Leave --to out: agent-guard vote {verb}",
        )
    from agent_guard.voting.handover import place

    return [place(name) for name in names]


def needing_chain(error: GuardError) -> GuardError:
    """The error of a chain that could not be read, with the way that needs none."""
    remedy = (
        f"{error.remedy} Ballots that were signed before need no chain: agent-guard vote submit FILE --to ..."
    )
    return GuardError(error.code, f"{error.message} Nothing was signed or handed over.", remedy)


def halt(
    out: Output,
    connection: "Connection",
    motion: "Motion",
    choice: "KeyChoice",
    manner: Manner,
    where: Sequence["Place"],
) -> None:
    """Signs a halt ballot, hands it over and, unless only a signature was asked for, votes on chain."""
    from agent_guard import wiring
    from agent_guard.voting.handover import hand_over, none_taken

    account, voting = wiring.unlock(connection.settings, choice), connection.voting()
    # A guard counts ballots, so that a vote which stands on chain is no obstacle.
    deadline = motion.block.timestamp + manner.expires
    ballot = voting.ballot(replace(motion, voters=0), account.address, manner.reason, deadline)
    ballots.show(out, connection, motion, manner.reason, ballot)
    out.narrate_facts([("handed to", ", ".join(place.name for place in where))])
    confirm(out, f"Sign and hand over? [{motion.confirmation}]", motion.confirmation, manner.yes)
    signed = voting.sign(ballot, account, manner.reason)
    if manner.output is not None:
        ballots.keep(signed, manner.output)
    handed = hand_over(where, [signed])
    _narrate(out, handed)
    if not manner.sign_only:
        _finish(out, connection, motion, handed, _cast(connection, motion, account, manner.reason))
    elif any(one.taken for one in handed):
        _report(out, motion.name, handed, {"file": str(manner.output) if manner.output else None})
    else:
        raise none_taken(handed)


def submit(out: Output, files: Sequence[Path], where: Sequence["Place"], yes: bool) -> None:
    """Hands over ballots that were signed before; needs neither key nor chain."""
    from agent_guard.voting.handover import hand_over, none_taken

    signed = [ballots.read(path) for path in files]
    for path, one in zip(files, signed, strict=True):
        places([place.name for place in where], one.ballot.action)
        out.narrate(f"{path}: halt by {one.ballot.signer}, epoch {one.ballot.epoch}: {one.reason or '-'}")
    confirm(out, f"Hand {len(signed)} ballots over? [y]", "y", yes)
    handed = hand_over(where, signed)
    _narrate(out, handed)
    if not any(one.taken for one in handed):
        raise none_taken(handed)
    _report(out, signed[0].council, handed, {})


def _cast(connection: "Connection", motion: "Motion", account: "LocalAccount", reason: str) -> _Cast:
    """Votes on chain; the guard that took the ballot may have relayed it before."""
    try:
        return _Cast(receipt=connection.voting().cast(motion, connection.sender(account), reason))
    except GuardError as error:
        failed = error
    try:
        stands = connection.voting().stands(motion.agent, motion.state.epoch, account.address)
    except GuardError:
        stands = False
    return _Cast(error=None if stands else failed)


def _finish(
    out: Output, connection: "Connection", motion: "Motion", handed: Sequence["Handed"], cast: _Cast
) -> None:
    detail, rows = {"guards": _guards(handed)}, _rows(handed)
    if cast.receipt is not None:
        ballots.report(out, connection, motion, cast.receipt, {"chain": "cast", **detail}, rows)
    elif cast.error is None:
        out.narrate("The chain has this vote, or the halt, already.")
        _report(out, motion.name, handed, {"chain": "stands"})
    elif any(one.fate.value == "accepted" for one in handed):
        out.narrate(f"WARNING: the chain did not take the vote: {cast.error.code}: {cast.error.message}")
        out.narrate(
            "A guard counts the ballot and relays it; vote on chain, too, should that guard end before."
        )
        _report(out, motion.name, handed, {"chain": "failed", **cast.error.as_dict()})
    else:
        said = "; ".join(f"{one.to}: {one.why or WORDS[one.fate.value]}" for one in handed)
        error = cast.error
        raise GuardError(error.code, f"{error.message} At the guards: {said}.", error.remedy)


def _narrate(out: Output, handed: Sequence["Handed"]) -> None:
    for one in handed:
        warning = "" if one.taken else "WARNING: "
        why = f": {one.why}" if one.why else ""
        out.narrate(f"{warning}{one.to}: {WORDS[one.fate.value]}{why}")


def _guards(handed: Sequence["Handed"]) -> list[dict[str, Any]]:
    return [
        {"to": one.to, "signer": one.signer, "fate": one.fate.value, "why": one.why or None} for one in handed
    ]


def _rows(handed: Sequence["Handed"]) -> list[tuple[str, Cell]]:
    return [
        (f"at {one.to}", Word(WORDS[one.fate.value].partition(";")[0], GREEN if one.taken else YELLOW))
        for one in handed
    ]


def _report(out: Output, target: str, handed: Sequence["Handed"], detail: dict[str, Any]) -> None:
    taken = sum(one.taken for one in handed)
    out.result(
        {
            "target": target,
            "applied": True,
            "tx": None,
            "detail": {"action": "halt", "guards": _guards(handed), **detail},
        },
        Line(f"handed over {taken} of {len(handed)}"),
        Facts(_rows(handed)),
    )
