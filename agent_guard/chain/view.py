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
from agent_guard.types import FLEET, Block, Council, Scope, Sighting, Silence, Word

COUNCIL_SECONDS = 5.0
"""Between two readings of the signer set; only ballots that are handed to the guard itself need it."""
PROOF_RETRY_SECONDS = 60.0
"""Until an endpoint that gave no proof is asked for one again."""
PAUSE_SECONDS = 0.02
"""Between what stops and what takes time."""
COMPLETE_SECONDS = 1.0
"""However often a round is asked for, what takes time is done as often as this."""
SLOTS = 32
"""Agents in one proof; more are proven in turn. Each costs a path of hashes."""
ANSWERED = 16
"""Blocks that an endpoint has read and need not read again because another names them."""


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
                reader.offer(block, by)


class _Reader:
    """Reads one endpoint, on a thread of its own."""

    def __init__(self, contract: CouncilContract, view: ChainView) -> None:
        self._contract, self._view = contract, view
        self._name = contract.endpoint.name
        self._wake, self._poked, self._stopping = (threading.Event() for _ in range(3))
        self._settled = False
        self._latest: Block | None = None
        self._offered: dict[str, Block] = {}  # what each other endpoint named last, to be read here
        self._answered: deque[bytes] = deque(maxlen=ANSWERED)
        self._lock = threading.Lock()  # guards _offered
        self._council: tuple[Council | None, float] = (None, float("-inf"))
        self._completed_at = float("-inf")
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

    def offer(self, block: Block, by: str) -> None:
        with self._lock:
            self._offered[by] = block
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
                self._read_offers(next_round)
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
        self._view.hear(sighting)
        self._view.name(block, self._name)
        # What only takes time would take it from a kill under way: if the next round is asked for, it waits.
        recently = time.monotonic() - self._completed_at < COMPLETE_SECONDS
        if recently and self._poked.wait(PAUSE_SECONDS):
            return
        # From here on nothing that stops anybody waits for it.
        self._view.hear(self._completed(sighting, header))
        self._completed_at = time.monotonic()
        if self._view.wants_finality:
            with suppress(GuardError):  # what it does not show lifts no latch
                self._view.hear(self._sight(self._contract.endpoint.block("finalized"), Scope.FINALIZED))

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
            words = self._words(slots, sighting.block, header)
        except (GuardError, NoProof):  # it serves none, or for another kind of chain
            self._next_proof = time.monotonic() + PROOF_RETRY_SECONDS
            return frozenset()
        except ProofError:
            self._refuted |= frozenset(agents)
            return frozenset()
        time_of = sighting.block.timestamp  # of the header that `prove` has hashed
        shown = {
            agent
            for agent, word in zip(agents, words, strict=True)
            if shows(word, sighting.states[agent], time_of)
        }
        self._refuted = self._refuted - shown | (set(agents) - shown)
        return frozenset(shown)

    def _words(
        self, slots: Sequence[bytes], block: Block, header: Mapping[str, Any], tries: int = 2
    ) -> list[int]:
        """What the slots hold. A proof that fails is asked for once more: the node may have been mining just then, and
        have given that of its next block (Anvil 1.7.1 does, once in some twenty blocks under a constant reader)."""
        answer = self._contract.proof(slots, block)
        try:
            return prove(header, block.hash, self._contract.address, slots, answer)
        except ProofError:
            if tries == 1:
                raise
            return self._words(slots, block, header, tries - 1)

    def _in_turn(self) -> tuple[bytes, ...]:
        fleet, *others = self._view.agents
        if self._view.pace.prove == "all" or len(others) < SLOTS:
            return self._view.agents
        start, self._turn = self._turn, (self._turn + SLOTS - 1) % len(others)
        return (fleet, *(others + others)[start : start + SLOTS - 1])

    def _read_offers(self, next_round: float) -> None:
        """Reads what others named, in this endpoint's own words; one at least, then until a round is due.

        So whoever names block after block delays this endpoint's newest word by no more than one of them.
        """
        while self._offered:
            with self._lock:
                by, block = next(iter(self._offered.items()))
            try:
                asked = self._read_offer(block)
            finally:
                with self._lock:
                    if self._offered[by] == block:
                        del self._offered[by]
                    else:  # it named another meanwhile: that waits for its turn
                        self._offered[by] = self._offered.pop(by)
            if asked and (self._poked.is_set() or self._stopping.is_set() or time.monotonic() >= next_round):
                return

    def _read_offer(self, block: Block) -> bool:
        """Whether the endpoint had to be asked; it may not know the block, or not yet."""
        if block.hash in self._answered or self._latest is None or block.number > self._latest.number:
            return False
        with suppress(GuardError):  # no word on this block
            own, header = self._contract.endpoint.header(block.hash)
            sighting = self._sight(own, Scope.PINNED)
            self._answered.append(own.hash)
            if self._view.pace.prove == "all":
                sighting = replace(sighting, proven=self._prove(sighting, header), refuted=self._refuted)
            self._view.hear(sighting)
        return True
