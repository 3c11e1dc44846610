"""Finds, after a kill, the block that held the halt: to be told with the death, which did not wait for it."""

import threading
import time
from concurrent.futures import Future

from agent_guard.chain.council import CouncilContract
from agent_guard.chain.history import HaltOnChain, latest_halt
from agent_guard.errors import GuardError
from agent_guard.types import Block

# A guard sees a halt within seconds; looking further back only costs time.
BLOCKS_LOOKED_BACK = 10_000
# The death receipt waits that long for the halt's own block: a node may answer a byte at a time.
HISTORY_SECONDS = 10.0
SILENT_SECONDS = 30.0


class HaltFinder:
    """Looks for halts of this council's agents.

    Args:
        deploy_block: where the council was deployed; nothing is looked for before.
    """

    def __init__(self, contract: CouncilContract, deploy_block: int) -> None:
        self._contract, self._deploy_block = contract, deploy_block
        self._silence: tuple[float, GuardError] | None = None
        self._found: tuple[tuple[bytes, int], HaltOnChain | None] | None = None

    def find(self, agent: bytes, last: Block) -> HaltOnChain | None:
        """The newest halt of an agent, or of the fleet (id 0), up to a block; asked twice in a row it looks once.

        Raises:
            GuardError: AG201 if the node gives no answer in time, AG209.
        """
        asked = agent, last.number
        if self._silence is not None and time.monotonic() - self._silence[0] < SILENT_SECONDS:
            raise self._silence[
                1
            ]  # of a fleet's many deaths only the first waits for a node that does not answer
        if self._found is None or self._found[0] != asked:
            try:
                self._found = asked, self._find(agent, last)
            except GuardError as error:
                self._silence = time.monotonic(), error
                raise
        return self._found[1]

    def _find(self, agent: bytes, last: Block) -> HaltOnChain | None:
        first = max(self._deploy_block, last.number - BLOCKS_LOOKED_BACK)
        found: Future[HaltOnChain | None] = Future()

        def look() -> None:
            try:
                found.set_result(latest_halt(self._contract, agent, first, last))
            except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
                found.set_exception(error)

        threading.Thread(target=look, name="history", daemon=True).start()
        try:
            return found.result(HISTORY_SECONDS)
        except TimeoutError as error:
            raise GuardError(
                "AG201",
                f"{self._contract.endpoint.name} did not say within {HISTORY_SECONDS:g} s in which block the halt"
                " stands. The death receipt names the newest block that was read instead.",
                "Check the node, or name another with --rpc-url.",
            ) from error
