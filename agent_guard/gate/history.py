"""What the log holds of one agent already: its intents, and how each was closed.

An agent sees its own intents only: any other index answers as one that does not exist. Trusts the guard's own log.
"""

import json
import threading
from typing import Any

from agent_guard.entry import Kind
from agent_guard.errors import GuardError
from agent_guard.gate.answers import Inclusion, Recorded
from agent_guard.gate.receipts import Receipts
from agent_guard.gate.records import closing_key
from agent_guard.log import reading
from agent_guard.log.tree import Subtrees
from agent_guard.store import Reader, Row
from agent_guard.typed_data import agent_id


class History:
    """One agent's part of the log. Its methods read a database that may hang: call them off the event loop.

    Args:
        agent: the agent's name.
        reader: a connection of its own to the guard's log.
        receipts: the operator's signed heads; without it there are none.
    """

    def __init__(self, agent: str, reader: Reader, receipts: Receipts | None = None) -> None:
        self._agent = agent_id(agent)
        self._reader = reader
        self._lock = threading.Lock()  # who was cancelled while a thread reads for him leaves it reading
        self._receipts = receipts
        self._subtrees = receipts.subtrees if receipts else Subtrees()

    def check_intent(self, seq: int) -> None:
        """Raises AG611 when `seq` is no intent of this agent."""
        with self._lock:
            _intent(self._reader, self._agent, seq)

    def closed_by(self, seq: int) -> int | None:
        """Index of the entry that closed intent `seq`: its outcome, or the refusal that withdrew the yes."""
        with self._lock:
            return self._reader.index_of_key(self._agent, closing_key(seq))

    def recorded(self, seq: int) -> Recorded:
        """An intent with what became of it, its proof and its receipt.

        Opens a connection of its own: may run on any thread. Reads a few hundred leaves, and once older ones which
        no proof needed before. Raises AG611 when there is no such intent, AG515 for a damaged log.
        """
        with self._reader.another() as reader:
            row = _intent(reader, self._agent, seq)
            content: dict[str, Any] = {} if row.content is None else json.loads(row.content.body)
            return Recorded(
                seq=seq,
                tool=content.get("tool"),
                arguments=content.get("arguments"),
                entry=row.body,
                leaf_hash=row.leaf,
                closed_by=reader.index_of_key(self._agent, closing_key(seq)),
                proof=_inclusion(reader, seq, self._subtrees),
                receipt=self._receipts.of(reader, row) if self._receipts else None,
            )


def _intent(reader: Reader, agent: bytes, seq: int) -> Row:
    row = reader.row(seq)
    if row is not None and row.agent == agent and row.kind == Kind.INTENT:
        return row
    raise GuardError(
        "AG611", f"There is no action {seq} of this agent. Nothing was done.", "Use the seq you were given."
    )


def _inclusion(reader: Reader, seq: int, subtrees: Subtrees) -> Inclusion | None:
    """The proof under the newest anchored head; None while none covers the entry (AG541)."""
    try:
        proof = reading.prove(reader, seq, subtrees=subtrees)
    except GuardError as error:
        if error.code == "AG541":
            return None
        raise
    head = proof.checkpoint
    return Inclusion(seq, head.size, head.root, proof.hashes, head.note, head.tx)
