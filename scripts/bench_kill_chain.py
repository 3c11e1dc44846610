"""The chain's side of the kill benchmark: an Anvil with a council, votes, and a process that hears of each block."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from eth_account import Account

from agent_guard import typed_data
from agent_guard.chain import deployment as records
from agent_guard.chain.council import CouncilContract
from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.proof import slot_of
from agent_guard.chain.sender import Sender
from agent_guard.devnet.anvil import Anvil, private_key
from agent_guard.typed_data import SignedBallot
from agent_guard.types import Action, Ballot, Thresholds, Timing

ROOT = Path(__file__).resolve().parents[1]
SIGNERS = 3
NO_PARAM = bytes(32)


class Chain:
    """One Anvil that mines a block for each transaction; 2 of 3 signers halt. Agents are registered by name."""

    def __init__(self, folder: Path) -> None:
        os.environ["PATH"] = f"{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}"
        self._folder = folder
        self._anvil = Anvil()

    def __enter__(self) -> Chain:
        self._anvil.start()
        self.url = self._anvil.url
        endpoint = Endpoint(self.url, 10.0)
        self._keys = [Account.from_key(private_key(number)) for number in range(SIGNERS + 1)]
        made = records.create(
            endpoint,
            Sender(endpoint, self._keys[0], 30.0),
            "bench",
            [key.address for key in self._keys[1:]],
            Thresholds(2, 2, 3),
            Timing(pause=60, resume_delay=60, ballot_window=86_400, lease=0, lease_grace=0),
        )
        self.chain_id = made.chain_id
        self.contract = CouncilContract(endpoint, made.address)
        # The voter's own connection, apart from the guard's.
        self._voter = CouncilContract(Endpoint(self.url, 10.0), made.address)
        self._heard, far = multiprocessing.get_context("spawn").Pipe()
        self._observer = multiprocessing.get_context("spawn").Process(
            target=_observe, args=(self.url.replace("http", "ws"), far), daemon=True
        )
        self._observer.start()
        self._heard.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observer.terminate()
        self._observer.join()
        self._anvil.stop()

    def register(self, label: str, count: int) -> dict[str, bytes]:
        """Agents `label-0` to `label-N`, registered by two votes each; ids by name."""
        names = [f"{label}-{number}" for number in range(count)]
        operator = bytes(12) + bytes.fromhex(self._keys[0].address[2:])
        agents = {name: typed_data.agent_id(name) for name in names}
        for identity in agents.values():
            for signer in (0, 1):
                self._send(signer, identity, Action.REGISTER, operator, 0)
        self._forget()
        return agents

    def fake(self, count: int) -> dict[str, bytes]:
        """So many registered agents, written into the contract's storage: state 1 and epoch 1, no lease."""
        agents = {f"fake-{number}": typed_data.agent_id(f"fake-{number}") for number in range(count)}
        word = "0x" + ((1 << 8) | 1).to_bytes(32, "big").hex()
        for identity in agents.values():
            self._voter.endpoint.ask(
                "anvil_setStorageAt", self._voter.address, "0x" + slot_of(identity).hex(), word
            )
        self._voter.endpoint.ask("evm_mine")
        self._forget()
        return agents

    def vote(self, agent: bytes, signer: int) -> None:
        """A vote to halt; returns when it is sent."""
        self._forget()
        self._send(signer, agent, Action.HALT, NO_PARAM, 1)

    def seen_at(self) -> int:
        """When the node announced the block of the last vote: nanoseconds of the monotonic clock."""
        if not self._heard.poll(10):
            raise SystemExit("the node announced no block")
        return int(self._heard.recv())

    def ballot(self, agent: bytes, signer: int) -> SignedBallot:
        key = self._keys[signer + 1]
        ballot = Ballot(
            agent,
            Action.HALT,
            NO_PARAM,
            1,
            1,
            str(key.address),
            int(time.time()) + 3600,
            typed_data.reason_hash(""),
        )
        message = typed_data.ballot_typed_data(ballot, self.chain_id, self.contract.address)
        signature = bytes(Account.sign_typed_data(key.key, full_message=message).signature)
        return SignedBallot(self.chain_id, self.contract.address, ballot, signature, "")

    def _send(self, signer: int, agent: bytes, action: Action, param: bytes, epoch: int) -> None:
        data = self._voter.contract.encode_abi("vote", (agent, int(action), param, epoch, NO_PARAM))
        call = {
            "from": self._keys[signer + 1].address,
            "to": self._voter.address,
            "data": data,
            "gas": hex(500_000),
        }
        self._voter.endpoint.ask("eth_sendTransaction", call)

    def _forget(self) -> None:
        while self._heard.poll(0.05):
            self._heard.recv()


def _observe(url: str, told: Connection) -> None:
    """Its own process: tells when the node announces a block, with the clock that all processes share."""
    from websockets.sync.client import connect

    with connect(url) as socket:
        socket.send(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        )
        socket.recv()
        told.send(0)
        for _ in socket:
            told.send(time.monotonic_ns())
