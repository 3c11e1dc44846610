"""Lives that an earlier guard left without an end: looked for by the next, and recorded where their death is proven.

Guarantees: a life is called dead only on the kernel's proof (`sandbox.remains`), only while it is its agent's newest
and has no end on record, and before anything else of that agent is; the record says when it was found, never when it
died. What can't be proven is told, and not claimed. Trusts the guard's own note of the life.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent_guard.entry import Kind
from agent_guard.errors import GuardError
from agent_guard.sandbox.remains import how_known
from agent_guard.session.events import Step
from agent_guard.session.life_note import Life, read_life
from agent_guard.store import Reader
from agent_guard.typed_data.death import HOW_KNOWN

REASON = "found dead by the next guard; the moment of its death is not known"


@dataclass(frozen=True, slots=True)
class Books:
    """What a finding is recorded with.

    `write` (agent's name, content, the life's start, public facts) returns once the death entry is on disk; `sign`
    gives the operator's signature of the facts; `keep` leaves them for `status`; `forget` removes the agent's note.
    """

    reader: Reader
    write: Callable[[str, dict[str, object], int, dict[str, int | str]], object]
    sign: Callable[[bytes, dict[str, int | str]], str]
    keep: Callable[[str, dict[str, object]], None]
    forget: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Looked:
    """A life for which an earlier guard left a note, and what was found of it.

    `found`: unix ms of the look; `known`: what proves that nothing of it is left, None if nothing does.
    """

    agent: str
    life: Life
    found: int
    known: str | None

    def facts(self) -> dict[str, int | str]:
        """What the operator signs, and the entry's public metadata."""
        known, mode = self.known or "", self.life.mark.mode
        return {"life": self.life.start, "found": self.found, "known": known, "mode": mode}


def look(agent: str, note: Path, now_ms: Callable[[], int]) -> Looked | None:
    """Looks for what is left of the life that is noted; None if none is. Kills nothing."""
    life = read_life(note)
    if life is None:
        return None
    try:
        known = how_known(life.mark)
    except (OSError, ValueError, OverflowError):  # the kernel can't be asked, or not about this: no proof
        known = None
    return Looked(agent, life, now_ms(), known)


def is_open(reader: Reader, agent_id: bytes, start: int) -> bool:
    """Whether the entry at `start` began a life of this agent that has no end, and after which no other began.

    Reads what began and ended lives, and nothing of what was done in them.
    """
    row = reader.row(start)
    if row is None or (row.agent, row.kind) != (agent_id, Kind.START.value):
        return False
    return next(reader.turns(agent_id, start + 1), None) is None


def record(looked: Looked, agent_id: bytes, books: Books) -> Step | None:
    """Records that a life was found dead; the step of a run that tells of it, or of what can't be proven.

    None if there is nothing to record: its end is in the log, or it is not the newest. Durable on return, and the note
    is gone.

    Raises:
        GuardError: what the store raises; AG521 if the entry is not on disk in time.
    """
    if not is_open(books.reader, agent_id, looked.life.start):
        books.forget(looked.agent)
        return None
    if looked.known is None:
        return {"event": "trouble", "agent": looked.agent, **_unproven(looked).as_dict()}
    facts = looked.facts()
    signed = {**facts, "signature": books.sign(agent_id, facts)}
    content: dict[str, object] = {"reason": REASON, "known": HOW_KNOWN[looked.known]}
    books.write(looked.agent, content, looked.life.start, signed)
    books.keep(looked.agent, {**signed, "reason": REASON})
    books.forget(looked.agent)
    return {"event": "found_dead", "agent": looked.agent, **signed}


def _unproven(looked: Looked) -> GuardError:
    return GuardError(
        "AG584",
        f"{looked.agent}'s life that began with entry {looked.life.start} of the log has no end on record: its guard"
        " was killed, and nothing on this host proves that all of it is dead. Nothing was recorded of it.",
        "An audit says so too. See that nothing of it runs; held in a container, or after a reboot, it can be proven.",
    )
