"""A guard's log on a real chain, written without an agent, and the forger who holds its file."""

import sqlite3
from base64 import b64encode
from pathlib import Path
from typing import Any

from agent_guard.chain.sender import Sender
from agent_guard.keys import keystore
from agent_guard.log.recorder import Recorder
from agent_guard.session.places import Places
from agent_guard.store import SqliteStore
from agent_guard.typed_data import agent_id, death_typed_data
from agent_guard.types import Block, LogIdentity
from agent_guard.wiring.recording import anchoring

AGENT = "walker"


class Guard:
    """What a guard leaves: a log, anchored, its heads signed. `act` acts on a block of one's choice."""

    def __init__(self, town: Any, path: Path, by: str = "operator") -> None:
        self.town, self.path = town, path
        contract = town.contract
        account = self.operator = keystore.unlock(town.keys.folder / by, "devnet")
        self.store = SqliteStore(path, LogIdentity(31_337, contract.address, account.address))
        places = Places(path.parent, "devnet", account.address, AGENT)
        places.create()
        sender = Sender(contract.endpoint, account, 60.0)
        self.anchor, self.vkey = anchoring(town.connection, account, sender, self.store, places)
        # The chain's clock, which these tests move, is the only one.
        now = lambda: contract.endpoint.block().timestamp * 1000  # noqa: E731
        self.recorder = Recorder(self.store, contract.endpoint.block, self.anchor.wake, now)
        self.anchor.start()

    def act(self, count: int = 1, block: Block | None = None) -> int:
        for number in range(count):
            intent = self.recorder.append(AGENT, "intent", {"n": number}, block=block).result()
            self.recorder.append(AGENT, "outcome", {"n": number}, refers_to=intent.index).result()
        return intent.index

    def die(self, late_ms: int = 250) -> None:
        halt = self.recorder.append(AGENT, "halt", {}).result()
        block = self.town.contract.endpoint.block()
        meta: dict[str, Any] = {"dead": block.timestamp * 1000 + late_ms, "epoch": 1}
        message = death_typed_data(agent_id(AGENT), meta, 31_337, self.town.contract.address)
        signed = self.operator.sign_typed_data(full_message=message).signature
        meta["signature"] = b64encode(signed).decode()
        self.recorder.append(AGENT, "death", {}, refers_to=halt.index, meta=meta).result()

    def close(self) -> None:
        self.recorder.close()
        self.anchor.close()
        self.store.close()

    def forge(self, *statements: str) -> None:
        self.close()
        with sqlite3.connect(self.path) as shell:
            for (name,) in shell.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                shell.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                shell.execute(statement)
        shell.close()
