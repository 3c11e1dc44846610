"""An endpoint that is asked again when it only failed once in a while: for reads that take minutes, as an audit's.

A shared node answers 429 to who asks too fast, a proxy before it 503, and connections drop; none of it is a reason to
lose a long audit. Guarantees: only reads are asked again, a bounded number of times, after growing pauses; what a node
does say is taken or not as without it. Not for the guard, to which silence is news: nor for what sends transactions.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from web3 import Web3
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from agent_guard.chain.endpoint import Endpoint
from agent_guard.errors import GuardError

PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds before asking again. What is refused by then is refused: nearly all limits of rate are by the second."""
BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
"""HTTP's words for "not now"."""
RATE_LIMITED = 429
"""The code that Alchemy and others put into an answer in place of HTTP's."""
LIMIT_EXCEEDED = -32005
"""EIP-1474: too fast, or, for `eth_getLogs`, too much, which asking again does not mend."""
LOGS = "eth_getLogs"
_READS = frozenset(
    (
        LOGS,
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getProof",
    )
)


class PatientEndpoint(Endpoint):
    """Another endpoint, or several read as one, asked again where it failed in passing.

    Args:
        sleep: waits so many seconds.
    """

    def __init__(self, endpoint: Endpoint, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url, self.name, self.timeout = endpoint.url, endpoint.name, endpoint.timeout
        self.web3 = Web3(_PatientProvider(endpoint, sleep))


class _PatientProvider(JSONBaseProvider):
    def __init__(self, endpoint: Endpoint, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._endpoint, self._sleep = endpoint, sleep

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        for pause in PAUSES if method in _READS else ():
            try:
                answer = self._once(method, params)
            except (requests.RequestException, GuardError) as error:
                if not _passes(method, error):
                    raise
            else:
                if not _says_busy(method, answer):
                    return answer
            self._sleep(pause)
        return self._once(method, params)

    def _once(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        return self._endpoint.web3.provider.make_request(method, params)


def _passes(method: str, error: requests.RequestException | GuardError) -> bool:
    """Whether asking again may help. A quorum does not say why it did not come about (AG209)."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in BUSY
    # Of logs, a smaller range may help where a slow answer, or two that differ, were for a large one: chain/ranges.py.
    return method != LOGS or isinstance(error, requests.ConnectionError)


def _says_busy(method: str, answer: object) -> bool:
    error = answer.get("error") if isinstance(answer, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code == RATE_LIMITED or (code == LIMIT_EXCEEDED and method != LOGS)
