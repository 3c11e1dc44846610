"""Which of the witnesses that somebody names have cosigned a head."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard.cli.output import YELLOW, Cell, Time, Word
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.audit.witnesses import Cosigned
    from agent_guard.checkpoint import CosignatureVerifier
    from agent_guard.settings import Settings

Witnesses = Annotated[
    list[str] | None,
    typer.Option(
        "--witness",
        metavar="VKEY",
        help="A witness's key: tells whether it cosigned the head; repeat. Default: the setting witnesses.",
    ),
]


def witnesses_of(vkeys: list[str] | None, chosen: "Settings") -> "list[CosignatureVerifier]":
    """The keys of `--witness`, else those of the setting `witnesses`. Raises AG101."""
    from agent_guard.checkpoint import CosignatureVerifier, NoteError

    if not vkeys:
        return [one.key for one in chosen.witness_addresses]
    try:
        found = [CosignatureVerifier.parse(vkey) for vkey in vkeys]
    except NoteError as error:
        raise GuardError(
            "AG101",
            f"--witness is no witness's key: {error}. Nothing was verified.",
            "Give the key that the witness tells when it starts serving.",
        ) from error
    if len({one.public_key for one in found}) < len(found):
        raise GuardError(
            "AG101",
            "--witness names one key twice; a witness that agrees with itself is no second one. Nothing was verified.",
            "Name each witness once.",
        )
    return found


def cosigned(note: str, witnesses: "list[CosignatureVerifier]") -> list[tuple[str, int | None]]:
    """Each of them, and when it cosigned the note (unix seconds), None if it did not.

    Raises:
        GuardError: AG544 the note bears a signature of one of them that is not its own.
    """
    from agent_guard.checkpoint import NoteError, cosignatures

    try:
        found = {one.witness: one.time for one in cosignatures(note, witnesses)}
    except NoteError as error:
        raise GuardError(
            "AG544",
            f"The head's signatures are not what they say: {error}. Nothing was verified.",
            "Ask for the proof again, from somebody else.",
        ) from error
    return [(each.name, found.get(each)) for each in witnesses]


def in_cells(times: Iterable[tuple[str, int | None]]) -> list[tuple[str, Cell]]:
    """A line for each witness."""
    return [(f"witness {name}", "did not cosign it" if time is None else Time(time)) for name, time in times]


def summed_up(said: "Cosigned") -> list[tuple[str, Cell]]:
    """A line for all of them, and one for each."""
    if not said.times:
        return []
    return [("witnesses", Word(said.detail, YELLOW) if said.doubt else said.detail), *in_cells(said.times)]
