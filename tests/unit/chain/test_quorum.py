"""Several endpoints read as one, by the commands: no answer rests on fewer than the quorum, and one that lies, hangs or
answers nonsense stops nobody."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.providers.base import BaseProvider

from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.quorum import QuorumEndpoint
from agent_guard.errors import GuardError
from agent_guard.types import Block

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parents[2] / "vectors/proofs.json"
HEADER: dict[str, Any] = json.loads(VECTORS.read_text())[0]["header"]


def header(number: int, fork: int = 0, **changes: Any) -> dict[str, Any]:
    """A header as a node gives it; its hash is made up, for nobody here hashes it again."""
    digest = "0x" + bytes([fork, *number.to_bytes(31, "big")]).hex()
    return (
        HEADER | {"number": hex(number), "hash": digest, "timestamp": hex(1_700_000_000 + number)} | changes
    )


@dataclass
class Node(BaseProvider):
    """A node that answers as the test says: by method, or by its chain of headers."""

    name: str
    height: int = 7
    fork: int = 0
    answers: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__()
        self.answering.set()

    def make_request(self, method: Any, params: Any) -> Any:
        self.asked.append(method)
        assert self.answering.wait(30)
        if method in self.answers:
            answer = self.answers[method]
            if isinstance(answer, Exception):
                raise answer
            return answer
        if method == "eth_getBlockByNumber":
            number = self.height if params[0] == "latest" else int(params[0], 16)
            known = header(number, self.fork, **self.changes) if number <= self.height else None
            return result(known)
        return result("0x1")


def result(value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": time.monotonic_ns(), "result": value}


def error(code: int = -32000, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, **more}}


@pytest.fixture
def together() -> Iterator[Callable[..., QuorumEndpoint]]:
    """Endpoints that are asked as one: `quorum` of the nodes given."""
    made: list[Node] = []

    def make(*nodes: Node, quorum: int = 2, timeout: float = 1.0) -> QuorumEndpoint:
        made.extend(nodes)
        members = []
        for node in nodes:
            member = Endpoint(f"http://{node.name}.example", timeout)
            member.web3 = Web3(node)
            members.append(member)
        return QuorumEndpoint(members, quorum)

    yield make
    for node in made:
        node.answering.set()


def nodes(*heights: int) -> list[Node]:
    return [Node(f"node{number}", height) for number, height in enumerate(heights)]


def ask(endpoint: QuorumEndpoint, method: str = "eth_call", *parameters: object) -> Any:
    return endpoint.ask(method, *parameters)


def no_quorum(endpoint: QuorumEndpoint, method: str = "eth_call", *parameters: object) -> GuardError:
    with pytest.raises(GuardError) as caught, endpoint.calling("read"):
        ask(endpoint, method, *parameters)
    assert (caught.value.code, caught.value.exit_code) == ("AG209", 7)
    return caught.value


# --- the very same answer --------------------------------------------------------------------------------------------


def test_it_is_named_by_its_members_and_how_many_of_them_must_agree(
    together: Callable[..., QuorumEndpoint],
) -> None:
    name = together(*nodes(7, 7, 7)).name
    assert name == "2 of 3 endpoints (http://node0.example, http://node1.example, http://node2.example)"


@pytest.mark.parametrize(
    ("said", "quorum", "agreed"),
    [
        (["a", "a"], 2, "a"),
        (["a", "b"], 2, None),
        (["b", "a", "a"], 2, "a"),
        (["a", "b", "c"], 2, None),
        (["a", "a", "b"], 3, None),
        (["a", "b", "b", "b"], 3, "b"),
        (["a", "b"], 1, "ab"),
    ],
)
def test_an_answer_counts_when_as_many_as_must_give_the_very_same(
    together: Callable[..., QuorumEndpoint], said: list[str], quorum: int, agreed: str | None
) -> None:
    made = nodes(*[7] * len(said))
    for node, word in zip(made, said, strict=True):
        node.answers["eth_call"] = result(word)
    endpoint = together(*made, quorum=quorum)
    if agreed is None:
        no_quorum(endpoint)
    else:
        assert ask(endpoint) in agreed


def test_who_says_what_is_told_and_nothing_secret_of_a_url(together: Callable[..., QuorumEndpoint]) -> None:
    one, two = nodes(7, 7)
    one.answers["eth_call"], two.answers["eth_call"] = result("0xaa"), result("0xbb" * 500)
    message = no_quorum(together(one, two)).message
    assert 'http://node0.example: "0xaa"' in message
    assert "http://node1.example" in message
    assert len(message) < 700


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        "x",
        5,
        {},
        {"result": None},
        error(),
        ConnectionError("refused"),
        TimeoutError(),
        {"error": 5},
    ],
    ids=str,
)
def test_one_that_gives_no_sound_answer_is_outvoted(
    together: Callable[..., QuorumEndpoint], bad: Any
) -> None:
    made = nodes(7, 7, 7)
    made[0].answers["eth_call"] = bad
    assert ask(together(*made)) == "0x1"


def test_where_nobody_answers_there_is_no_quorum(together: Callable[..., QuorumEndpoint]) -> None:
    made = nodes(7, 7)
    for node in made:
        node.answers["eth_call"] = ConnectionError("refused")
    assert "none answered" in no_quorum(together(*made)).message


def test_errors_are_the_same_if_their_codes_and_data_are_whatever_their_words(
    together: Callable[..., QuorumEndpoint],
) -> None:
    made = nodes(7, 7, 7)
    made[0].answers["eth_call"] = error(3, "execution reverted", data="0x01")
    made[1].answers["eth_call"] = error(3, "VM Exception: revert", data="0x01")
    with pytest.raises(Exception, match="revert"):
        ask(together(*made, quorum=2))
    made[1].answers["eth_call"] = error(3, "execution reverted", data="0x02")
    made[2].answers["eth_call"] = error(-32000, "execution reverted", data="0x01")
    no_quorum(together(*made, quorum=2))


# --- who is slow -----------------------------------------------------------------------------------------------------


def test_a_slow_one_is_not_waited_for_once_enough_agree(together: Callable[..., QuorumEndpoint]) -> None:
    made = nodes(7, 7, 7)
    made[0].answering.clear()
    endpoint = together(*made, timeout=60.0)
    began = time.monotonic()
    assert ask(endpoint) == "0x1"
    assert endpoint.block() == Block(7, bytes.fromhex(header(7)["hash"][2:]), 1_700_000_007)
    assert time.monotonic() - began < 20.0


def test_one_that_hangs_for_good_slows_no_later_question(together: Callable[..., QuorumEndpoint]) -> None:
    """Its unanswered questions must not use up the threads that ask the others."""
    made = nodes(7, 7, 7)
    made[0].answering.clear()
    endpoint = together(*made, timeout=60.0)
    began = time.monotonic()
    for _ in range(60):
        assert ask(endpoint) == "0x1"
    assert time.monotonic() - began < 25.0
    made[0].answering.set()
    time.sleep(0.05)
    assert len(made[0].asked) < 20  # what nobody waits for any more was not asked


# --- blocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heights", "quorum", "number"),
    [
        ((7, 7), 2, 7), ((7, 8), 2, 7), ((9, 7, 8), 2, 8), ((9, 7, 8), 3, 7), ((5, 9, 9), 2, 9), ((9, 9, 2), 2, 9),
        ((7, 8, 9, 10), 3, 8),
    ],
)  # fmt: skip
def test_the_newest_block_is_the_highest_that_enough_endpoints_have(
    together: Callable[..., QuorumEndpoint], heights: tuple[int, ...], quorum: int, number: int
) -> None:
    assert together(*nodes(*heights), quorum=quorum).block().number == number


def test_one_that_names_a_block_far_ahead_is_not_believed_and_hides_nothing(
    together: Callable[..., QuorumEndpoint],
) -> None:
    """Nor is it agreed that there is no such block, where some have it and others not yet."""
    made = [*nodes(8, 7), Node("liar", 2**40, answers={"eth_getBlockByNumber": result(header(2**40))})]
    assert together(*made).block().number == 7


@dataclass
class Boaster(Node):
    """Names a block far ahead, and then knows of none."""

    def make_request(self, method: Any, params: Any) -> Any:
        return result(header(2**40) if params[:1] == ["latest"] else None)


def test_that_there_is_no_such_block_is_never_what_is_agreed_to_be_the_newest(
    together: Callable[..., QuorumEndpoint],
) -> None:
    """One has block 8, and two have not: the one that is behind, and the one that lies."""
    assert together(*nodes(8, 7), Boaster("boaster")).block().number == 7


def test_nodes_on_two_forks_of_a_height_agree_on_nothing_newer_than_the_fork(
    together: Callable[..., QuorumEndpoint],
) -> None:
    made = nodes(7, 7)
    made[1].fork = 1
    with pytest.raises(GuardError) as caught:
        together(*made).block()
    assert caught.value.code == "AG209"
    assert "block 7" in caught.value.message


@pytest.mark.parametrize(
    "changed", [{"timestamp": "0x5"}, {"number": "0x8"}, {"stateRoot": "0x" + "00" * 32}], ids=str
)
@pytest.mark.parametrize("first", [True, False])
def test_one_that_names_the_others_hash_with_other_values_is_not_the_one_that_is_taken(
    together: Callable[..., QuorumEndpoint], changed: dict[str, str], first: bool
) -> None:
    """Whichever answers last completes the quorum: it must not bring a time or a height of its own along."""
    liar, one, two = Node("liar", changes=changed), Node("one"), Node("two")
    slow = one if first else liar
    slow.answering.clear()
    endpoint = together(liar, one, two)
    threading.Timer(0.1, slow.answering.set).start()
    assert endpoint.block() == Block(7, bytes.fromhex(header(7)["hash"][2:]), 1_700_000_007)


@pytest.mark.parametrize(
    "unhashed", [{"size": "0x5"}, {"totalDifficulty": None}, {"uncles": ["0x1"]}, {"new": 1}], ids=str
)
@pytest.mark.parametrize("which", ["latest", 7])
def test_what_a_blocks_hash_does_not_cover_may_differ(
    together: Callable[..., QuorumEndpoint], unhashed: dict[str, Any], which: str | int
) -> None:
    made = nodes(7, 7)
    made[0].changes = unhashed
    assert together(*made).block(which).number == 7


@pytest.mark.parametrize(
    "nonsense",
    [
        None, [], "x", {}, {"number": None}, {"number": "zz", "hash": "0x1"}, {"hash": "0x1"}, {"number": 7},
        {"number": ["0x7"], "hash": {}}, {"number": "0x7"},
    ],
    ids=str,
)  # fmt: skip
def test_one_that_answers_nonsense_for_its_newest_block_stops_nobody(
    together: Callable[..., QuorumEndpoint], nonsense: Any
) -> None:
    made = [Node("mad", answers={"eth_getBlockByNumber": result(nonsense)}), *nodes(8, 7)]
    assert together(*made).block().number == 7


def test_a_block_by_its_height_is_asked_of_all_and_agreed_on(together: Callable[..., QuorumEndpoint]) -> None:
    made = nodes(7, 7, 7)
    made[0].fork = 1
    assert together(*made).block(5).hash == bytes.fromhex(header(5)["hash"][2:])


# --- what concerns our own transaction alone -------------------------------------------------------------------------

QUANTITIES = ["eth_gasPrice", "eth_estimateGas", "eth_getTransactionCount", "eth_maxPriorityFeePerGas"]


@pytest.mark.parametrize("method", QUANTITIES)
@pytest.mark.parametrize(
    ("said", "median"),
    [
        (("0x5", "0x5", "0x5"), "0x5"), (("0x1", "0xffffff", "0x5"), "0x5"), (("0x0", "0x4", "0x5"), "0x4"),
        (("0x5", "0x9"), "0x5"), (("0x9", "0x5", "zz"), "0x5"), (("0x9", None, "0x5"), "0x5"),
    ],
)  # fmt: skip
def test_one_node_can_not_make_our_transaction_cost_or_weigh_more_than_others_say(
    together: Callable[..., QuorumEndpoint], method: str, said: tuple[str | None, ...], median: str
) -> None:
    made = nodes(*[7] * len(said))
    for node, word in zip(made, said, strict=True):
        node.answers[method] = result(word)
    assert ask(together(*made), method) == median


def test_a_quantity_that_fewer_than_the_quorum_know_is_not_known(
    together: Callable[..., QuorumEndpoint],
) -> None:
    made = nodes(7, 7, 7)
    for node in made[1:]:
        node.answers["eth_gasPrice"] = ConnectionError()
    no_quorum(together(*made), "eth_gasPrice")


def test_that_it_would_revert_is_taken_from_a_quorum_only(together: Callable[..., QuorumEndpoint]) -> None:
    made = nodes(7, 7, 7)
    made[0].answers["eth_estimateGas"] = error(3, "execution reverted", data="0x")
    assert ask(together(*made), "eth_estimateGas") == "0x1"
    made[1].answers["eth_estimateGas"] = error(3, "VM Exception", data="0x")
    with pytest.raises(Exception, match=r"execution reverted|VM Exception"):
        ask(together(*made), "eth_estimateGas")


RAW = "0x02aabb"


@pytest.mark.parametrize(
    "answers",
    [
        (error(message="already known"), result("0xabc"), ConnectionError()),
        (error(), error(), ConnectionError()),
        (ConnectionError(), ConnectionError(), ConnectionError()),
        (result("0x1"), result("0x2"), result("0x3")),
    ],
    ids=["taken by one", "refused by two, and one may have it", "nobody answers", "hashes of their own"],
)
def test_a_transaction_is_handed_to_all_and_is_taken_for_sent_unless_all_refuse_it(
    together: Callable[..., QuorumEndpoint], answers: tuple[Any, ...]
) -> None:
    made = nodes(7, 7, 7)
    for node, answer in zip(made, answers, strict=True):
        node.answers["eth_sendRawTransaction"] = answer
    assert ask(together(*made), "eth_sendRawTransaction", RAW) == Web3.to_hex(Web3.keccak(hexstr=RAW))
    assert [node.asked for node in made] == [["eth_sendRawTransaction"]] * 3


def test_a_transaction_that_all_refuse_is_refused(together: Callable[..., QuorumEndpoint]) -> None:
    made = nodes(7, 7)
    for node in made:
        node.answers["eth_sendRawTransaction"] = error(message="nonce too low")
    with pytest.raises(Exception, match="nonce too low"):
        ask(together(*made), "eth_sendRawTransaction", RAW)


# --- receipts --------------------------------------------------------------------------------------------------------

RECEIPT = {"transactionHash": "0x1", "status": "0x1", "blockHash": "0x7"}


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        ([RECEIPT, RECEIPT, None], RECEIPT),
        ([RECEIPT, None, None], None),
        ([RECEIPT, None, RECEIPT | {"blockHash": "0x8"}], None),
        ([RECEIPT, RECEIPT | {"status": "0x0"}, RECEIPT | {"blockHash": "0x9"}], None),
    ],
)
def test_a_receipt_that_not_enough_have_yet_is_none_yet_for_whoever_waits_asks_again(
    together: Callable[..., QuorumEndpoint], said: list[Any], agreed: Any
) -> None:
    made = nodes(7, 7, 7)
    for node, receipt in zip(made, said, strict=True):
        node.answers["eth_getTransactionReceipt"] = result(receipt)
    assert ask(together(*made), "eth_getTransactionReceipt", "0x1") == agreed
