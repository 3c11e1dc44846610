"""What the log holds of one agent already: its intents, and how each was closed.

An agent sees its own entries only: another's index answers as one that does not exist. Trusts the guard's own log.
"""

import json
from typing import Any

from agent_guard.entry import Kind
from agent_guard.errors import GuardError
from agent_guard.gate.answers import Recorded
from agent_guard.gate.records import closing_key
from agent_guard.store import Reader, Row
from agent_guard.typed_data import agent_id


class History:
    """One agent's part of the log. Used from one event loop; each read is one or two index lookups.

    Args:
        agent: the agent's name.
        reader: a connection of its own to the guard's log.
    """

    def __init__(self, agent: str, reader: Reader) -> None:
        self._agent = agent_id(agent)
        self._reader = reader

    def intent(self, seq: int) -> Row:
        """The row of an intent. Raises AG611 when `seq` is none of this agent's."""
        row = self._reader.row(seq)
        if row is None or row.agent != self._agent or row.kind != Kind.INTENT:
            raise GuardError(
                "AG611",
                f"There is no action {seq} of this agent. Nothing was done.",
                "Use the seq you were given.",
            )
        return row

    def closed_by(self, seq: int) -> int | None:
        """Index of the entry that closed intent `seq`: its outcome, or the refusal that withdrew the yes."""
        return self._reader.index_of_key(self._agent, closing_key(seq))

    def recorded(self, seq: int) -> Recorded:
        """An intent with what became of it. Raises AG611."""
        row = self.intent(seq)
        content: dict[str, Any] = {} if row.content is None else json.loads(row.content.body)
        return Recorded(seq, content.get("tool"), content.get("arguments"), row.leaf, self.closed_by(seq))
