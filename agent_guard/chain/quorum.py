"""Several endpoints read as one: an answer counts when a quorum of them gives the very same.

For the commands of signers, operators and auditors; the guard's own watching weighs each endpoint's word by itself
(`chain/view.py`). Guarantees: no answer about the chain's state rests on fewer than `quorum` endpoints; what they name
as newest is a block whose hash so many of them know. What only concerns our own transaction (its nonce, gas and fee) is
the median of what they say, and a transaction is handed to all. A slow one is not waited for once enough agree.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from contextlib import suppress
from typing import Any

from web3 import Web3
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.proof import HEADER
from agent_guard.errors import GuardError

_QUANTITIES = frozenset(
    ("eth_estimateGas", "eth_gasPrice", "eth_getTransactionCount", "eth_maxPriorityFeePerGas")
)
"""What an answer decides about nothing but our own transaction. The median: one node can't make us pay too much."""
_BY_TAG = frozenset(("latest", "finalized"))
_LOG = (
    "address",
    "topics",
    "data",
    "blockNumber",
    "blockHash",
    "transactionHash",
    "transactionIndex",
    "logIndex",
    "removed",
)
"""Of a log, what all nodes give; the block's time, too, but only some."""
_BLOCKS = frozenset(("eth_getBlockByHash", "eth_getBlockByNumber"))
OWED = 16
"""Answers that an endpoint may owe; until it gives one it is asked nothing more."""


class QuorumEndpoint(Endpoint):
    """Endpoints that are asked together.

    Args:
        members: at least two, with different names.
        quorum: how many must give the same answer.
    """

    def __init__(self, members: Sequence[Endpoint], quorum: int) -> None:
        self.members, self.quorum = tuple(members), quorum
        self.url, self.timeout = members[0].url, members[0].timeout
        self.name = f"{quorum} of {len(members)} endpoints ({', '.join(member.name for member in members)})"
        self.web3 = Web3(_QuorumProvider(self.members, quorum))


class _QuorumProvider(JSONBaseProvider):
    def __init__(self, members: Sequence[Endpoint], quorum: int) -> None:
        super().__init__()
        self._members, self._quorum = members, quorum
        self._seconds = max(member.timeout for member in members)
        self._owed = {member.name: threading.BoundedSemaphore(OWED) for member in members}

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if method in _QUANTITIES:
            return self._median(method, params)
        if method == "eth_sendRawTransaction":
            return self._taken(method, params)
        if method == "eth_getBlockByNumber" and params[0] in _BY_TAG:
            return self._newest(method, params)
        return self._same(method, params)

    def _median(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        found: list[tuple[int, RPCResponse]] = []
        refusals: list[RPCResponse] = []
        for _, answer in self._answers(method, params):
            try:
                found.append((int(answer["result"], 16), answer))
            except (LookupError, TypeError, ValueError):
                refusals.append(answer)
        if len(found) >= self._quorum:
            return sorted(found, key=lambda one: one[0])[(len(found) - 1) // 2][1]
        # That it would revert is what most say, or nobody knows.
        refused = [answer for answer in refusals if isinstance(answer.get("error"), dict)]
        return refused[0] if len(refused) >= self._quorum else self._none(method, {})

    def _taken(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Hands our transaction to all. It is refused only if all say so: whoever said nothing may have taken it."""
        answers = [answer for _, answer in self._answers(method, params)]
        refused = [answer for answer in answers if isinstance(answer.get("error"), dict)]
        if len(refused) == len(self._members):
            return refused[0]
        return {"jsonrpc": "2.0", "id": 0, "result": Web3.to_hex(Web3.keccak(hexstr=params[0]))}

    def _same(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        said: dict[str, str] = {}
        agreeing: dict[str, list[RPCResponse]] = {}
        for name, answer in self._answers(method, params):
            said[name] = word = _word(method, answer)
            same = agreeing.setdefault(word, [])
            same.append(answer)
            if len(same) >= self._quorum:
                return _with_times(same) if method == "eth_getLogs" else answer
        if (
            method == "eth_getTransactionReceipt"
        ):  # some have it and some not yet: whoever waits for it asks again
            return {"jsonrpc": "2.0", "id": 0, "result": None}
        return self._none(method, said)

    def _newest(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """The highest block that enough endpoints have, for endpoints are seldom at the same one."""
        heads: dict[str, tuple[int, str]] = {}
        votes: Counter[str] = Counter()
        for name, answer in self._answers(method, params):
            with suppress(ValueError, TypeError, LookupError):  # who answers nonsense is at no block
                heads[name] = int(answer["result"]["number"], 16), str(answer["result"]["hash"])
                votes[word := _word(method, answer)] += 1
                if votes[word] >= self._quorum:
                    return answer
        for number in sorted({number for number, _ in heads.values()}, reverse=True):
            if sum(number <= height for height, _ in heads.values()) >= self._quorum:
                with suppress(GuardError):
                    answer = self._same(method, [hex(number), *params[1:]])
                    if answer.get("result") is not None:
                        return answer
        return self._none(
            method, {name: f"block {number} {block}" for name, (number, block) in heads.items()}
        )

    def _answers(self, method: RPCEndpoint, params: Any) -> Iterator[tuple[str, RPCResponse]]:
        """Each endpoint's answer as it comes, of those that give one in time."""
        asked = {self._ask(member, method, params): member.name for member in self._members}
        try:
            for done in as_completed(asked, self._seconds):
                if done.exception() is None and (answer := _plain(done.result())) is not None:
                    yield asked[done], answer
        except TimeoutError:
            return

    def _ask(self, member: Endpoint, method: RPCEndpoint, params: Any) -> "Future[RPCResponse]":
        """Asks on a daemon thread of its own: an answer without end holds up nothing, not even the process's end."""
        found: Future[RPCResponse] = Future()
        owed = self._owed[member.name]

        def ask() -> None:
            try:
                found.set_result(member.web3.provider.make_request(method, params))
            except BaseException as error:  # noqa: BLE001 - no answer, which makes no quorum
                found.set_exception(error)
            finally:
                owed.release()

        if owed.acquire(blocking=False):
            threading.Thread(target=ask, name=f"ask {member.name}", daemon=True).start()
        else:
            found.set_exception(TimeoutError("it owes too many answers"))
        return found

    def _none(self, method: str, said: dict[str, str]) -> RPCResponse:
        words = "; ".join(f"{name}: {word[:120]}" for name, word in said.items()) or "none answered"
        raise GuardError(
            "AG209",
            f"No {self._quorum} of {len(self._members)} endpoints give the same answer to {method} ({words})."
            " Nothing was taken for true, and nothing was sent.",
            "See which endpoint is wrong or behind, and leave it out of --rpc-url.",
        )


def _plain(answer: object) -> RPCResponse | None:
    """The answer and nothing besides, for only that is compared; None if it is none."""
    if not isinstance(answer, Mapping):
        return None
    if error := answer.get("error"):
        return {"jsonrpc": "2.0", "id": 0, "error": error}
    return {"jsonrpc": "2.0", "id": 0, "result": answer["result"]} if "result" in answer else None


def _word(method: str, answer: RPCResponse) -> str:
    """What is compared: the result, or the error without the words in which it is put.

    Of a block, what its hash covers, of a log, what it says and where it stands; the rest (a block's size, say) nodes
    give or leave out as they please.
    """
    if "result" in answer:
        result: Any = answer["result"]
        if method in _BLOCKS and isinstance(result, dict):
            result = {name: result.get(name) for name in ("hash", *HEADER)}
        elif method == "eth_getLogs" and isinstance(result, list):
            result = [_of_log(log) if isinstance(log, dict) else log for log in result]
        return json.dumps(result, sort_keys=True, default=str)
    error = answer.get("error")
    named = {key: error.get(key) for key in ("code", "data")} if isinstance(error, dict) else {}
    return json.dumps({"error": named}, sort_keys=True, default=str)


def _of_log(log: dict[str, Any]) -> dict[str, Any]:
    return {name: log.get(name) for name in _LOG}


def _with_times(same: Sequence[RPCResponse]) -> RPCResponse:
    """Of answers with the same logs, one with the times of their blocks if all say the same; else without."""
    first: Any = same[0]
    logs = first.get("result")
    if not isinstance(logs, list) or all(answer == first for answer in same):
        return first  # type: ignore[no-any-return]
    return {
        "jsonrpc": "2.0",
        "id": 0,
        "result": [_of_log(log) if isinstance(log, dict) else log for log in logs],
    }
