"""Which of the witnesses that somebody names have cosigned a head."""

from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard.cli.output import Cell, Time
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.checkpoint import CosignatureVerifier

Witnesses = Annotated[
    list[str] | None,
    typer.Option(
        "--witness", metavar="VKEY", help="A witness's key: tells whether it cosigned the head; repeat."
    ),
]


def witnesses_of(vkeys: list[str] | None) -> "list[CosignatureVerifier]":
    """The keys of `--witness`. Raises AG101."""
    from agent_guard.checkpoint import CosignatureVerifier, NoteError

    try:
        return [CosignatureVerifier.parse(vkey) for vkey in vkeys or ()]
    except NoteError as error:
        raise GuardError(
            "AG101",
            f"--witness is no witness's key: {error}. Nothing was verified.",
            "Give the key that the witness tells when it starts serving.",
        ) from error


def cosigned(note: str, witnesses: "list[CosignatureVerifier]") -> dict[str, int | None]:
    """When each of them cosigned the note (unix seconds), None if it did not.

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
    return {each.name: found.get(each) for each in witnesses}


def in_cells(times: dict[str, int | None]) -> list[tuple[str, Cell]]:
    """A line for each witness."""
    return [
        (f"witness {name}", "did not cosign it" if time is None else Time(time))
        for name, time in times.items()
    ]
