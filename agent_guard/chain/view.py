"""What the guard watches: all its agents, read from every endpoint, each by a thread of its own.

An endpoint that hangs delays nobody but itself. A round reads the endpoint's newest block and all agents at that
block's hash, hands that on, and then adds what can wait: a state proof, the signer set, the finalised block where it is
asked for, and the blocks that other endpoints named, so that there is a block on which a quorum can agree. Believing is
not done here; `guard/evidence.py` weighs the sightings.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from agent_guard.chain.council import CouncilContract
from agent_guard.chain.proof import NoProof, ProofError, prove, shows, slot_of
from agent_guard.errors import GuardError
from agent_guard.types import FLEET, Block, Council, Scope, Sighting, Silence, State, Word

COUNCIL_SECONDS = 5.0
"""Between two readings of the signer set; only ballots that are handed to the guard itself need it."""
PROOF_RETRY_SECONDS = 60.0
"""Until an endpoint that gave no proof is asked for one again."""
PAUSE_SECONDS = 0.02
"""Between what stops and what takes time."""
SLOTS = 32
"""Agents in one proof; more are proven in turn. Each costs a path of hashes."""
OFFERS = 16
"""Blocks of others that are kept for an endpoint to read."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two rounds at the most, and what is to be proven of each: no agent, some in turn, or all."""

    poll: float
    prove: Literal["no", "some", "all"] = "some"


class ChainView:
    """Reads the same agents from every endpoint.

    Args:
        contracts: one council, seen through each endpoint; the endpoints' names differ.
        agents: ids; the fleet's is added.
    """

    def __init__(
        self,
        contracts: Sequence[CouncilContract],
        agents: Sequence[bytes],
        pace: Pace,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.agents = (FLEET, *agents)
        self.pace = pace
        self.monotonic = monotonic
        self.wants_finality = False
        # Not SimpleQueue: its wait becomes endless if a signal's handler outlasts the time-out (CPython 3.11).
        self._words: queue.Queue[Word | BaseException | None] = queue.Queue()
        self._readers = {contract.endpoint.name: _Reader(contract, self) for contract in contracts}

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(self._readers)

    def start(self) -> None:
        """Starts reading, every endpoint at once."""
        for reader in self._readers.values():
            reader.start()

    def stop(self) -> None:
        """Ends the readers; one that waits for its node ends when the node answers."""
        for reader in self._readers.values():
            reader.end()

    def poke(self, endpoint: str | None = None) -> None:
        """Have that endpoint, or every one, read now; any thread may ask."""
        for name, reader in self._readers.items():
            if endpoint in (None, name):
                reader.poke()

    def wake(self) -> None:
        """Have `read` return now; any thread may ask."""
        self._words.put(None)

    def read(self, timeout: float) -> list[Word]:
        """What has come since the last call; waits up to `timeout` seconds for the first.

        Raises whatever a reader met and did not foresee.
        """
        found: list[Word] = []
        try:
            word = self._words.get(timeout=timeout)
            while True:
                if isinstance(word, BaseException):
                    raise word
                if word is not None:
                    found.append(word)
                word = self._words.get_nowait()
        except queue.Empty:
            return found

    def settled(self) -> bool:
        """Whether every endpoint has finished at least one round, and read what others named."""
        return all(reader.settled for reader in self._readers.values())

    def hear(self, word: Word | BaseException) -> None:
        """What a reader found out."""
        self._words.put(word)

    def name(self, block: Block, by: str) -> None:
        """Has the other endpoints say what they know of a block, so that a quorum can agree on it."""
        for endpoint, reader in self._readers.items():
            if endpoint != by:
                reader.offer(block)


class _Reader:
    """Reads one endpoint, on a thread of its own."""

    def __init__(self, contract: CouncilContract, view: ChainView) -> None:
        self._contract, self._view = contract, view
        self._name = contract.endpoint.name
        self._wake, self._poked, self._stopping = (threading.Event() for _ in range(3))
        self._settled = False
        self._latest: Block | None = None
        self._offered: dict[bytes, Block] = {}  # blocks that others named, to be read here
        self._answered: deque[bytes] = deque(maxlen=OFFERS)
        self._lock = threading.Lock()  # guards _offered
        self._council: tuple[Council | None, float] = (None, float("-inf"))
        self._said: dict[bytes, tuple[State, int, int]] = {}
        self._refuted: frozenset[bytes] = frozenset()
        self._next_proof, self._turn = float("-inf"), 0
        # A daemon: a node that never answers must not keep the guard from ending.
        self._thread = threading.Thread(target=self._run, name=f"read {self._name}", daemon=True)

    @property
    def settled(self) -> bool:
        return self._settled and not self._offered

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stopping.set()
        self._wake.set()

    def poke(self) -> None:
        self._poked.set()
        self._wake.set()

    def offer(self, block: Block) -> None:
        with self._lock:
            if len(self._offered) < OFFERS:
                self._offered[block.hash] = block
        self._wake.set()

    def _run(self) -> None:
        poll = self._view.pace.poll
        next_round = float("-inf")
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                if self._poked.is_set() or time.monotonic() >= next_round:
                    self._poked.clear()
                    next_round = time.monotonic() + poll
                    self._round()
                self._read_offers()
            except GuardError as error:
                self._view.hear(Silence(self._name, error.message))
            except BaseException as error:  # noqa: BLE001 - raised in the guard's thread, which halts
                self._view.hear(error)
            if not self._settled:
                self._settled = True
                self._view.wake()
            self._wake.wait(max(0.0, next_round - time.monotonic()))

    def _round(self) -> None:
        block, header = self._contract.endpoint.header("latest")
        sighting = self._sight(block, Scope.LATEST)
        self._latest = block
        self._answered.append(block.hash)
        # Unproven it would take the place of a proven word that says the same, and where proofs are required stop all.
        if self._view.pace.prove != "all" or self._is_news(sighting):
            self._view.hear(sighting)
        self._view.name(block, self._name)
        if self._council[0] is not None and self._is_called_within(PAUSE_SECONDS):
            return
        # From here on nothing that stops anybody waits for it.
        self._view.hear(self._completed(sighting, header))
        if self._view.wants_finality:
            with suppress(GuardError):  # what it does not show lifts no latch
                self._view.hear(self._sight(self._contract.endpoint.block("finalized"), Scope.FINALIZED))

    def _is_news(self, sighting: Sighting) -> bool:
        """Whether it says something that may stop an agent, and that was not said before."""
        before, self._said = (
            self._said,
            {agent: (state.state, state.epoch, state.halt_votes) for agent, state in sighting.states.items()},
        )
        return self._said != before

    def _is_called_within(self, seconds: float) -> bool:
        """Whether the next round is asked for meanwhile. What only takes time would take it from a kill under way."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and not self._poked.is_set():
            self._wake.clear()
            if not self._poked.is_set():
                self._wake.wait(left)
        return self._poked.is_set()

    def _sight(self, block: Block, scope: Scope) -> Sighting:
        states = self._contract.snapshot(self._view.agents, block)
        return Sighting(
            self._name,
            block,
            states,
            self._view.monotonic(),
            scope,
            refuted=self._refuted,
            council=self._council[0],
        )

    def _completed(self, sighting: Sighting, header: Mapping[str, Any]) -> Sighting:
        """The sighting with its proof, and with the signer set where it is time to read that."""
        if time.monotonic() - self._council[1] >= COUNCIL_SECONDS:
            self._council = self._contract.council(sighting.block), time.monotonic()
        proven = self._prove(sighting, header)
        return replace(sighting, council=self._council[0], proven=proven, refuted=self._refuted)

    def _prove(self, sighting: Sighting, header: Mapping[str, Any]) -> frozenset[bytes]:
        """The agents whose state a proof shows; remembers those for which it shows another."""
        if self._view.pace.prove == "no" or time.monotonic() < self._next_proof:
            return frozenset()
        agents = self._in_turn()
        slots = [slot_of(agent) for agent in agents]
        try:
            answer = self._contract.proof(slots, sighting.block)
            words = prove(header, sighting.block.hash, self._contract.address, slots, answer)
        except (GuardError, NoProof):  # it serves none, or for another kind of chain
            self._next_proof = time.monotonic() + PROOF_RETRY_SECONDS
            return frozenset()
        except ProofError:
            self._refuted |= frozenset(agents)
            return frozenset()
        shown = {
            agent
            for agent, word in zip(agents, words, strict=True)
            if shows(word, sighting.states[agent], sighting.block.timestamp)
        }
        self._refuted = self._refuted - shown | (set(agents) - shown)
        return frozenset(shown)

    def _in_turn(self) -> tuple[bytes, ...]:
        fleet, *others = self._view.agents
        if self._view.pace.prove == "all" or len(others) < SLOTS:
            return self._view.agents
        start, self._turn = self._turn, (self._turn + SLOTS - 1) % len(others)
        return (fleet, *(others + others)[start : start + SLOTS - 1])

    def _read_offers(self) -> None:
        """Reads what others named, in this endpoint's own words; it may not know it, or not yet."""
        with self._lock:
            offered, self._offered = self._offered, {}
        for block in offered.values():
            if block.hash in self._answered or self._latest is None or block.number > self._latest.number:
                continue
            with suppress(GuardError):  # no word on this block
                own, header = self._contract.endpoint.header(block.hash)
                sighting = self._sight(own, Scope.PINNED)
                self._answered.append(own.hash)
                if self._view.pace.prove == "all":
                    sighting = replace(sighting, proven=self._prove(sighting, header), refuted=self._refuted)
                self._view.hear(sighting)
