"""What a senseless or lying node can answer, handed to web3 without a socket: always AG201, never something else."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from web3.exceptions import ContractLogicError
from web3.providers.base import BaseProvider

from agent_guard.chain.council import CouncilContract
from agent_guard.chain.endpoint import Endpoint, public_name
from agent_guard.chain.subscription import websocket_url
from agent_guard.errors import GuardError
from agent_guard.types import FLEET, Block

pytestmark = pytest.mark.unit

HASH = "0x" + "11" * 32
BLOCK = Block(1, b"\x11" * 32, 1)
HEADER = {"hash": HASH, "number": "0x1", "timestamp": "0x1"}
WORD = "00" * 32


class Script(BaseProvider):
    """Answers one method with what the test says, and the others soundly."""

    def __init__(self, method: str, answer: Any) -> None:
        super().__init__()
        self.method, self.answer = method, answer

    def make_request(self, method: Any, params: Any) -> Any:
        if not method.startswith(self.method):
            return result("0x1" if method == "eth_chainId" else HEADER)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def council(answer: Any, method: str = "eth_") -> CouncilContract:
    endpoint = Endpoint("http://user:secret@node.example:8545/key-in-the-path", 1.0)
    endpoint.web3.provider = Script(method, answer)
    return CouncilContract(endpoint, "0x" + "11" * 20)


def result(value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": value}


SENSELESS: dict[str, Any] = {
    "nothing": None, "a list": [], "a string": "x", "a number": 5, "an empty object": {},
    "no result": result(None), "a result of another type": result([]), "a word": result("zz"), "an int": result(5),
    "an empty result": result({}), "nested": result([[[]]]), "an error without code": {"error": "no"},
    "an error of another type": {"jsonrpc": "2.0", "id": 1, "error": []},
    "an error": {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}},
    "an error without words": {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": None}},
    "a time-out": requests.Timeout("read timed out"), "no connection": requests.ConnectionError("refused"),
    "no JSON": requests.exceptions.JSONDecodeError("x", "x", 0), "a reset": ConnectionResetError(104, "reset"),
}  # fmt: skip


def assert_no_word(caught: pytest.ExceptionInfo[GuardError]) -> None:
    assert caught.value.code == "AG201"
    assert caught.value.exit_code == 6
    for secret in ("secret", "user", "key-in-the-path"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("name", SENSELESS)
def test_a_senseless_answer_to_a_read_of_the_block_is_no_word(name: str) -> None:
    with pytest.raises(GuardError) as caught:
        council(SENSELESS[name]).endpoint.block()
    assert_no_word(caught)


@pytest.mark.parametrize("name", SENSELESS)
def test_a_senseless_answer_to_a_read_of_the_council_is_no_word(name: str) -> None:
    with pytest.raises(GuardError) as caught:
        council(SENSELESS[name], "eth_call").snapshot([FLEET], BLOCK)
    assert_no_word(caught)


@pytest.mark.parametrize("name", [name for name in SENSELESS if name != "an int"])
def test_a_senseless_answer_to_a_read_of_the_chain_id_is_no_word(name: str) -> None:
    with pytest.raises(GuardError) as caught:
        council(SENSELESS[name]).endpoint.chain_id()
    assert_no_word(caught)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hash": "0x11"},
        {"hash": None},
        {"number": "-0x5"},
        {"number": "0x1" + "0" * 16},
        {"timestamp": "0x" + "f" * 600},
        {"timestamp": "soon"},
        {"timestamp": None},
    ],
    ids=str,
)
def test_a_block_with_a_value_out_of_range_is_no_word(wrong: dict[str, Any]) -> None:
    with pytest.raises(GuardError) as caught:
        council(result(HEADER | wrong)).endpoint.block()
    assert_no_word(caught)


def test_a_sound_block_is_read() -> None:
    assert council(result(HEADER)).endpoint.block() == BLOCK


def snapshot_row(agent: str = WORD, state: int = 1) -> str:
    words = [
        agent,
        f"{state:064x}",
        f"{1:064x}",
        f"{1:064x}",
        *[WORD] * 7,
        "00" * 12 + "aa" * 20,
        *[WORD] * 4,
    ]
    return "".join(words)


def rows(*snapshots: str) -> dict[str, Any]:
    return result("0x" + f"{32:064x}" + f"{len(snapshots):064x}" + "".join(snapshots))


def test_a_sound_snapshot_is_read() -> None:
    (state,) = council(rows(snapshot_row()), "eth_call").snapshot([FLEET], BLOCK).values()
    assert (state.state.name, state.may_run, state.operator.lower()) == ("RUNNING", True, "0x" + "aa" * 20)


@pytest.mark.parametrize(
    "answer",
    [
        rows(),
        rows(snapshot_row("77" * 32)),
        rows(snapshot_row(state=7)),
        rows(snapshot_row(state=255)),
        rows(snapshot_row(state=256)),
        result("0x"),
        result("0x" + "ff" * 64),
        result("0x" + f"{2**255:064x}"),
    ],
    ids=[
        "no rows", "another agent", "an unknown state", "the largest state", "a state beyond its type", "no data",
        "offsets beyond the data", "an endless offset",
    ],
)  # fmt: skip
def test_a_snapshot_that_does_not_answer_what_was_asked_is_no_word(answer: dict[str, Any]) -> None:
    with pytest.raises(GuardError) as caught:
        council(answer, "eth_call").snapshot([FLEET], BLOCK)
    assert_no_word(caught)


words = st.sampled_from((0, 1, 32, 64, 2**255, 2**256 - 1)) | st.integers(0, 2**256 - 1)
answers = st.lists(words, max_size=30).map(lambda some: b"".join(word.to_bytes(32, "big") for word in some))


@given(st.binary(max_size=600) | answers)
@example(bytes(64))
@example(bytes(31) + b"\x20" + bytes(31) + b"\x01" + bytes(16 * 32))
def test_whatever_bytes_a_node_answers_with_they_are_read_or_are_no_word(data: bytes) -> None:
    """What is raised otherwise halts every agent: one node alone must not be able to do that."""
    node = council(result("0x" + data.hex()), "eth_call")
    reads: list[Callable[[], object]] = [
        lambda: node.snapshot([FLEET], BLOCK),
        lambda: node.council(BLOCK),
        lambda: node.head(node.address, BLOCK),
    ]
    for read in reads:
        with suppress(GuardError):
            read()


def test_a_revert_of_a_view_is_another_contract() -> None:
    revert = {"jsonrpc": "2.0", "id": 1, "error": {"code": 3, "message": "execution reverted", "data": "0x"}}
    with pytest.raises(GuardError) as caught:
        council(revert, "eth_call").snapshot([FLEET], BLOCK)
    assert caught.value.code == "AG203"


def test_a_revert_passes_the_endpoints_edge_so_that_its_meaning_can_be_told() -> None:
    with pytest.raises(ContractLogicError), council(None).endpoint.calling("vote"):
        raise ContractLogicError("reverted")


@pytest.mark.parametrize("url", ["ftp://x", "node:8545", "", "ws://x", "file:///etc/passwd"])
def test_a_url_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(GuardError) as caught:
        Endpoint(url, 1.0)
    assert caught.value.code == "AG102"


def test_nothing_secret_of_a_url_is_shown() -> None:
    assert public_name("https://user:secret@node.example:8545/v2/key?k=1#x") == "https://node.example:8545"


def test_nothing_is_retried_and_the_time_limit_is_ours() -> None:
    provider = Endpoint("http://node.example", 2.5).web3.provider
    assert provider.exception_retry_configuration is None  # type: ignore[attr-defined]
    assert provider._request_kwargs["timeout"] == 2.5  # type: ignore[attr-defined]


@pytest.mark.parametrize(("http", "ws"), [("http://a:1/x", "ws://a:1/x"), ("https://a", "wss://a")])
def test_the_subscription_stands_beside_the_calls(http: str, ws: str) -> None:
    assert websocket_url(http) == ws
