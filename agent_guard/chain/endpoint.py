"""One JSON-RPC endpoint, with time limits of our own and every foreign error translated here.

Trusts nothing the node says beyond its shape. web3's defaults (30 s, five tries, and sending transactions among what
is retried) would hide a halt for minutes, so nothing is retried and every call has one time limit. Nor does it bound an
answer: one without end would take all memory, and brackets without end overflow the parser's stack and end the process
(a library raises Python's recursion limit). Here both are refused before anything is parsed.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from eth_abi.exceptions import DecodingError
from eth_typing import URI
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, Web3Exception, Web3RPCError
from web3.types import RPCEndpoint

from agent_guard.canonical import check_depth
from agent_guard.errors import GuardError
from agent_guard.types import Block

REVERTED = 3
"""The code of an error that carries a revert's data, as geth and all others give it."""
ANSWER_LIMIT = 16 << 20
"""Bytes of one answer."""
LOGS_LIMIT = 4 << 20
"""Of `eth_getLogs`, whose answers are as large as the range asked for (chain/ranges.py), several of them at once."""


class TooLargeError(ValueError):
    """An answer had more bytes than its limit."""


class _BoundedProvider(HTTPProvider):
    """web3's provider with a limit to how long, how large and how deep an answer may be; follows no redirect.

    Args: `timeout`, in seconds, is for each wait for the node, and for the whole body.
    """

    def __init__(self, url: str, timeout: float) -> None:
        # Compressed, a small answer may be a large one.
        headers = {**self.get_request_headers(), "Accept-Encoding": "identity"}
        kwargs = {"timeout": timeout, "stream": True, "allow_redirects": False, "headers": headers}
        super().__init__(url, request_kwargs=kwargs, exception_retry_configuration=None)
        self._url, self._seconds = URI(url), timeout

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:
        ends = time.monotonic() + self._seconds
        with self._request_session_manager.get_response_from_post_request(
            self._url, data=request_data, **self.get_request_kwargs()
        ) as response:
            response.raise_for_status()
            try:
                body = _read(response.raw, ends, LOGS_LIMIT if method == "eth_getLogs" else ANSWER_LIMIT)
            except urllib3.exceptions.HTTPError as error:
                raise requests.ConnectionError(error) from error
        check_depth(body)
        return body


def _read(raw: urllib3.HTTPResponse, ends: float, limit: int) -> bytes:
    body = bytearray()
    while part := raw.read1(1 << 16):
        body += part
        if time.monotonic() > ends:
            raise requests.Timeout("the answer came too slowly")
        if len(body) > limit:
            raise TooLargeError(f"the answer is larger than {limit} bytes")
    return bytes(body)


class Endpoint:
    """A node behind a URL.

    Args:
        url: http or https URL of the JSON-RPC service.
        timeout: seconds for one call, from connecting to the last byte (a node that sends its headers byte by byte
            may take longer: who must not wait for that asks from another thread).
    """

    def __init__(self, url: str, timeout: float) -> None:
        if not _is_http(url):
            raise GuardError(
                "AG102",
                f"{public_name(url)} is not an http or https URL. Nothing was started.",
                "Give a JSON-RPC URL such as http://127.0.0.1:8545 with --rpc-url or ETH_RPC_URL.",
            )
        self.url = url
        self.name = public_name(url)
        self.timeout = timeout
        self.web3 = Web3(_BoundedProvider(url, timeout))

    def block(self, which: str | int | bytes = "latest") -> Block:
        """A block, by tag, height or 32-byte hash."""
        return self.header(which)[0]

    def header(self, which: str | int | bytes = "latest") -> tuple[Block, Mapping[str, Any]]:
        """A block, by tag, height or 32-byte hash, and its header as the node gave it."""
        by_hash = isinstance(which, bytes)
        method = "eth_getBlockByHash" if by_hash else "eth_getBlockByNumber"
        name = (
            "0x" + which.hex()
            if isinstance(which, bytes)
            else hex(which)
            if isinstance(which, int)
            else which
        )
        with self.calling("read a block"):
            data = self.ask(method, name, False)
            block = to_block(data)
            if by_hash and block.hash != which:
                raise ValueError("the node gave another block")
            return block, data

    def ask(self, method: str, *parameters: object) -> Any:
        """The result of one call, as the node gave it.

        web3's own calls ask for more (the chain id, each time) and pin less: `call(block_identifier=HASH)` asks for
        that hash's height, and then for whatever block has it.

        Raises:
            ContractLogicError: an `eth_call` reverted; nothing else does, whatever the node says.
            Web3RPCError: the node answered with another error; what else comes of a senseless answer. To be called
                within `calling`.
        """
        answer = self.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        if error := answer.get("error"):
            if error.get("code") == REVERTED and method == "eth_call":
                raise ContractLogicError(str(error.get("message")), data=error.get("data"))
            raise Web3RPCError(str(error.get("message"))[:200], rpc_response=answer)
        return answer["result"]

    def chain_id(self) -> int:
        with self.calling("read the chain id"):
            return int(self.web3.eth.chain_id)

    @contextmanager
    def calling(self, what: str) -> Iterator[None]:
        """Translates whatever goes wrong while doing `what` into AG201 (no or senseless answer).

        A revert (`ContractLogicError`) passes through: what it means is for the caller to say.
        """
        try:
            yield
        except ContractLogicError:
            raise
        except (requests.RequestException, OSError) as error:
            raise self._unreachable(what, type(error).__name__) from error
        # What web3 and its decoder raise when an answer has another shape than they thought.
        except (
            Web3Exception,
            DecodingError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            ArithmeticError,
        ) as error:
            raise self._unreachable(what, f"{type(error).__name__}: {str(error)[:200]}") from error

    def _unreachable(self, what: str, why: str) -> GuardError:
        return GuardError(
            "AG201",
            f"Could not {what}: {self.name} gave no usable answer within {self.timeout:g} s ({why}).",
            "Start the node (for a local one: agent-guard devnet) or name another with --rpc-url.",
        )


def to_block(data: Mapping[str, Any]) -> Block:
    """A block from its header in JSON. Raises what its nonsense raises."""
    number, timestamp = (int(data[name], 16) for name in ("number", "timestamp"))
    block = Block(number=number, hash=bytes.fromhex(data["hash"].removeprefix("0x")), timestamp=timestamp)
    if len(block.hash) != 32 or not (0 <= block.number < 1 << 64 and 0 <= block.timestamp < 1 << 64):
        raise ValueError("the block's hash, number or time is out of range")
    return block


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False


def public_name(url: str) -> str:
    """Scheme, host and port only: paths and user names of RPC URLs are often secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "what was given"
    return f"{parts.scheme}://{parts.hostname or '?'}{port}"
