"""What the guard watches: all its agents, read from every endpoint at once, each within one time limit.

An endpoint that hangs delays one reading, by the limit at the most: from then on nobody waits for it, and it is not
asked again before it has answered or failed. Believing is not done here; `guard/verdict.py` weighs the sightings.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait

from agent_guard.chain.council import CouncilContract
from agent_guard.errors import GuardError
from agent_guard.types import FLEET, Sighting


class ChainView:
    """Reads the same agents from every endpoint.

    Args:
        contracts: one council, seen through each endpoint.
        agents: ids; the fleet's is added.
        timeout: seconds for a whole reading.
    """

    def __init__(
        self,
        contracts: Sequence[CouncilContract],
        agents: Sequence[bytes],
        timeout: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.contracts = tuple(contracts)
        self.agents = (FLEET, *agents)
        self.timeout = timeout
        self._monotonic = monotonic
        self._under_way: dict[CouncilContract, Future[Sighting]] = {}

    def read(self) -> tuple[list[Sighting], list[GuardError]]:
        """One reading: what each endpoint said, and what went wrong with the others."""
        idle = [contract for contract in self.contracts if contract not in self._under_way]
        asked = {contract: self._ask(contract) for contract in idle}
        self._under_way |= asked
        wait(asked.values(), timeout=self.timeout)
        sightings: list[Sighting] = []
        failures: list[GuardError] = []
        for contract, future in list(self._under_way.items()):
            if not future.done():
                failures.append(_silent(contract, self.timeout))
                continue
            del self._under_way[contract]
            error = future.exception()
            if error is None:
                sightings.append(future.result())
            elif isinstance(error, GuardError):
                failures.append(error)
            else:
                raise error
        return sightings, failures

    def _ask(self, contract: CouncilContract) -> Future[Sighting]:
        future: Future[Sighting] = Future()

        def answer() -> None:
            try:
                future.set_result(self._sight(contract))
            except BaseException as error:  # noqa: BLE001 - handed to read(), which raises it in the guard's thread
                future.set_exception(error)

        # A daemon: a node that never answers must not keep the guard from ending.
        threading.Thread(target=answer, name=f"read {contract.endpoint.name}", daemon=True).start()
        return future

    def _sight(self, contract: CouncilContract) -> Sighting:
        block = contract.endpoint.block("latest")
        states = contract.snapshot(self.agents, block)
        return Sighting(contract.endpoint.name, block, states, self._monotonic())


def _silent(contract: CouncilContract, timeout: float) -> GuardError:
    return GuardError(
        "AG201",
        f"Could not read the council: {contract.endpoint.name} has not answered within {timeout:g} s.",
        "Check the node, or name another with --rpc-url.",
    )
