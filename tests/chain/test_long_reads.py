"""An audit's reading of the chain: few requests, the very same facts, and nothing believed that was not before."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from agent_guard.audit import ChainFacts, Event, Extension, Happening, Unreachable
from agent_guard.chain import dating, patience, ranges
from agent_guard.chain.endpoint import Endpoint
from agent_guard.chain.history import latest_halt
from agent_guard.chain.patience import PatientEndpoint
from agent_guard.errors import GuardError
from agent_guard.merkle import Frontier
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET, LogIdentity, State
from agent_guard.wiring import Connection, connect
from agent_guard.wiring.auditing import gather

pytestmark = pytest.mark.chain

AGENT = "walker"
ANCHORS = 12


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.02, 0.03, 0.04))
    monkeypatch.setattr(ranges, "FIRST_BLOCKS", 16)


@pytest.fixture
def past(found: Callable[..., Any], anvil: Any) -> Iterator[Any]:
    """A town with a past: an agent that ran, paused, lapsed, was renewed and halted, and logs that others anchored."""
    town = found(anvil, lease=3600, lease_grace=3600)
    before = town.rpc("evm_snapshot")
    town.register(AGENT)
    town.register("other", town.address("signer3"))
    anchor(town, "operator", ANCHORS // 2)
    anchor(town, "signer3", 2)
    town.vote("pause", AGENT, "signer1")
    town.rpc("anvil_mine", hex(20))
    town.pass_time(4000)
    town.contract.contract.functions.renew(agent_id(AGENT)).transact({"from": town.address("signer1")})
    town.vote("pause", "--all", "signer2")
    town.rpc("anvil_mine", hex(15))
    anchor(town, "operator", ANCHORS // 2)
    town.vote("halt", "other", "signer1", "signer2")
    town.vote("halt", AGENT, "signer1", "signer2")
    town.rpc("anvil_mine", hex(10))
    yield town
    town.rpc("evm_revert", before)


def anchor(town: Any, by: str, times: int) -> None:
    """Extends an address's own log, an entry and a block at a time."""
    head = town.contract.head(town.address(by), town.connection.endpoint.block())
    tree = Frontier()
    for number in range(head.size + times):
        before, leaf = tree.copy(), number.to_bytes(32, "big")
        tree.append(leaf)
        if number >= head.size:
            call = town.contract.contract.functions.extend(tree.size, list(before.nodes), [leaf])
            call.transact({"from": town.address(by), "gas": 300_000})


def log_of(town: Any, by: str = "operator") -> LogIdentity:
    return LogIdentity(31_337, town.contract.address, town.address(by))


def at(town: Any, *urls: str, quorum: int | None = None, timeout: float = 3.0) -> Connection:
    """The town's council as seen at these nodes."""
    changed = {"rpc_url": urls, "quorum": quorum, "rpc_timeout": timeout}
    return connect(town.connection.settings.model_copy(update=changed))


def facts(town: Any, connection: Connection, by: str = "operator") -> ChainFacts:
    """What an audit reads, which must be there."""
    read = gather(connection, agent_id(AGENT), log_of(town, by))
    assert isinstance(read, ChainFacts), read
    return read


def why_not(town: Any, connection: Connection) -> str:
    """Why an audit could not read the chain."""
    read = gather(connection, agent_id(AGENT), log_of(town))
    assert isinstance(read, Unreachable)
    return read.why


def comparable(read: ChainFacts) -> ChainFacts:
    """The facts as plain values."""
    return replace(read, extensions=list(read.extensions), block_at=None)  # type: ignore[arg-type]


def one_by_one(town: Any) -> tuple[list[Extension], list[Happening]]:
    """Anchors and history by the plain way: an event's kind and whom it is about at a time, a header for each."""
    contract, endpoint = town.contract.contract, town.connection.endpoint
    block_at = cache(endpoint.block)

    def logs(name: str, **whose: object) -> list[Any]:
        return list(contract.events[name]().get_logs(argument_filters=whose, from_block=0))

    extended = logs("Extended", operator=town.address("operator"))
    anchors = [
        Extension(block_at(log["blockNumber"]), said["oldSize"], said["newSize"], said["root"])
        for log in extended
        for said in [log["args"]]
    ]
    told = [
        (
            _place(log),
            _happening(kind, whom, log["args"], block_at(log["blockNumber"]), before(extended, log)),
        )
        for whom in (agent_id(AGENT), FLEET)
        for kind in Event
        for log in logs(kind.value, agent=whom)
    ]
    return anchors, [happening for _, happening in sorted(told, key=lambda pair: pair[0])]


def before(extended: list[Any], log: Any) -> int:
    """The size of the log whose anchors these are, when another event took place."""
    return max((one["args"]["newSize"] for one in extended if _place(one) < _place(log)), default=0)


def _place(log: Any) -> tuple[int, int]:
    return log["blockNumber"], log["logIndex"]


def _happening(kind: Event, whom: bytes, said: Any, block: Any, size: int) -> Happening:
    operator, epoch, until = said.get("operator", ""), said.get("epoch", 0), said.get("until", 0)
    return Happening(kind, whom, block, epoch, until, operator, by_fork=False, size=size)


# --- the same facts, in fewer requests -------------------------------------------------------------------------------


def test_facts_are_those_of_asking_one_by_one(past: Any) -> None:
    read = facts(past, past.connection)

    assert (list(read.extensions), read.history) == one_by_one(past)
    assert (len(read.extensions), read.head.size) == (ANCHORS, ANCHORS)
    assert [happening.event.value for happening in read.history] == [
        "Registered",
        "Paused",
        "Paused",
        "Halted",
    ]
    assert len(read.lapses) == 1


def test_progress_grows_to_the_number_of_blocks(past: Any) -> None:
    told: list[tuple[int, int]] = []
    read = gather(
        past.connection, agent_id(AGENT), log_of(past), lambda done, total: told.append((done, total))
    )

    assert isinstance(read, ChainFacts)
    total = read.as_of.number - past.connection.deployment.deploy_block + 1
    assert told == sorted(told)
    assert (told[-1], {of for _, of in told}) == ((total, total), {total})


@pytest.mark.parametrize(
    ("first", "most", "many"), [(1, 1, 2000), (3, 8, 2000), (16, 64, 1), (9999, 9999, 2000)]
)
def test_facts_are_the_same_however_many_blocks_and_events_an_answer_holds(
    past, monkeypatch, first, most, many
):
    monkeypatch.setattr(ranges, "FIRST_BLOCKS", first)
    monkeypatch.setattr(ranges, "MOST_BLOCKS", most)
    monkeypatch.setattr(ranges, "MANY_LOGS", many)

    read = facts(past, past.connection)

    assert (list(read.extensions), read.history) == one_by_one(past)


def test_all_kinds_of_events_are_asked_for_at_once_and_few_headers(past, rpc_proxy):
    node = rpc_proxy(past.anvil.url)
    connection = at(past, node.url)
    node.forget()

    read = facts(past, connection)

    asked = node.asked("eth_getLogs")
    blocks = [range(int(one["fromBlock"], 16), int(one["toBlock"], 16) + 1) for (one,) in asked]
    assert sorted(number for some in blocks for number in some) == list(
        range(past.connection.deployment.deploy_block, read.as_of.number + 1)
    )
    assert len(asked) <= 5
    # The newest, the first that an event stands in, twice, and those by which a lapse is found.
    assert node.calls["eth_getBlockByNumber"] <= 3 + 8


def test_headers_are_read_where_a_node_does_not_say_the_time_beside_an_event(past, rpc_proxy):
    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", logs_with(blockTimestamp=lambda log: None))
    connection = at(past, node.url)

    assert comparable(facts(past, connection)) == comparable(facts(past, past.connection))
    assert node.calls["eth_getBlockByNumber"] >= ANCHORS


@pytest.mark.parametrize("wrong", ["0x0", "0x7fffffff", "soon", 7])
def test_times_beside_events_that_are_not_the_headers_are_not_taken(past, rpc_proxy, wrong):
    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", logs_with(blockTimestamp=lambda log: wrong))
    connection = at(past, node.url)
    if wrong == "soon":
        assert "invalid literal" in why_not(past, connection)
    else:
        assert comparable(facts(past, connection)) == comparable(facts(past, past.connection))


def test_node_that_tells_a_true_time_first_and_a_false_one_later_is_caught_by_a_header(
    past, rpc_proxy, monkeypatch
):
    monkeypatch.setattr(dating, "CHECKED_EVERY", 4)
    first = past.connection.deployment.deploy_block + 4
    node = rpc_proxy(past.anvil.url)
    lie = lambda log: log["blockTimestamp"] if int(log["blockNumber"], 16) < first else "0x7fffffff"  # noqa: E731
    node.on("eth_getLogs", logs_with(blockTimestamp=lie))

    assert "two times for block" in why_not(past, at(past, node.url))


def test_former_operators_log_is_read_where_it_says_it_is_his(past: Any) -> None:
    assert facts(past, past.connection, "signer3").identity == log_of(past)
    param = bytes(12) + bytes.fromhex(past.address("signer3")[2:])
    past.vote("SET_OPERATOR", AGENT, "signer1", "signer2", param=param)
    past.pass_time(3)
    call = past.contract.contract.functions.finishOperator(agent_id(AGENT), param)
    call.transact({"from": past.address("signer1")})

    for by, count in (("operator", ANCHORS), ("signer3", 2)):
        read = facts(past, past.connection, by)
        assert (read.identity, len(read.extensions)) == (log_of(past, by), count)


def test_log_that_names_no_address_as_its_operator_is_held_against_the_agents(past: Any) -> None:
    claimed = LogIdentity(31_337, past.contract.address, "nobody; DROP TABLE")
    read = gather(past.connection, agent_id(AGENT), claimed)
    assert isinstance(read, ChainFacts)
    assert read.identity == log_of(past)


def test_agent_that_was_never_registered_with_a_council_of_leases_has_facts(past: Any) -> None:
    read = gather(past.connection, agent_id("nobody"), log_of(past))
    assert isinstance(read, ChainFacts)
    assert (read.state.state, read.lapses) == (State.NONE, [])


# --- providers with limits -------------------------------------------------------------------------------------------


def span(request: dict[str, Any]) -> int:
    (wanted,) = request["params"]
    return int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1


REFUSALS = {
    "Infura": {"code": -32602, "message": "range 1000000 exceeds limit of 10000"},
    "Alchemy": {"code": -32600, "message": "You can make eth_getLogs requests with up to a 500 block range."},
    "too many results": {"code": -32005, "message": "query returned more than 10000 results"},
    "revert": {"code": 3, "message": "no", "data": "0x"},
}


@pytest.mark.parametrize(
    ("name", "limit"), [("Infura", 1), ("Alchemy", 7), ("too many results", 10), ("revert", 10)]
)
def test_provider_that_refuses_large_ranges_is_asked_for_smaller_ones(past, rpc_proxy, name, limit):
    node = rpc_proxy(past.anvil.url)
    node.on(
        "eth_getLogs",
        lambda request, forward: forward() if span(request) <= limit else {"error": REFUSALS[name]},
    )
    blocks = past.height() - past.connection.deployment.deploy_block + 1

    assert comparable(facts(past, at(past, node.url))) == comparable(facts(past, past.connection))
    assert node.calls["eth_getLogs"] <= blocks / max(limit // 2, 1) * 1.5 + 10


def test_provider_that_refuses_by_the_count_of_events_is_asked_for_fewer_blocks(past, rpc_proxy):
    def three(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
        answer = forward()
        return answer if len(answer["result"]) <= 3 else {"error": REFUSALS["too many results"]}

    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", three)

    assert comparable(facts(past, at(past, node.url))) == comparable(facts(past, past.connection))


def test_answer_that_is_too_large_is_asked_for_in_parts(past, rpc_proxy):
    padding = "00" * (3 << 20)

    def stuffed(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
        answer = forward()
        return answer if span(request) <= 4 else {"result": answer["result"], "padding": padding}

    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", stuffed)

    assert comparable(facts(past, at(past, node.url))) == comparable(facts(past, past.connection))
    assert node.calls["eth_getLogs"] > 10


@pytest.mark.parametrize(("quick", "asked"), [(4, None), (0, 3)])
def test_ranges_that_take_the_node_too_long_are_halved_and_a_silent_node_is_asked_thrice(
    past, rpc_proxy, quick, asked
):
    def answer(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
        if span(request) > quick:
            time.sleep(1.5)
        return forward()

    node = rpc_proxy(past.anvil.url)
    connection = at(past, node.url, timeout=1.0)
    node.on("eth_getLogs", answer)

    if asked is None:
        assert comparable(facts(past, connection)) == comparable(facts(past, past.connection))
    else:
        assert "Timeout" in why_not(past, connection)
        assert node.calls["eth_getLogs"] == asked


def test_provider_that_refuses_every_range_is_given_up_with_its_words(past, rpc_proxy):
    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", lambda request, forward: {"error": {"code": -32601, "message": "no logs here"}})

    assert "no logs here" in why_not(past, at(past, node.url))
    assert node.calls["eth_getLogs"] == 5  # 16, 8, 4, 2 blocks and 1


@pytest.mark.parametrize("limit", [1, 5, 16])
def test_provider_that_gives_no_events_of_large_ranges_in_place_of_refusing_them_is_found_out(
    past, rpc_proxy, limit
):
    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", lambda request, forward: forward() if span(request) <= limit else {"result": []})

    assert comparable(facts(past, at(past, node.url))) == comparable(facts(past, past.connection))


def test_node_that_has_forgotten_the_deployment_is_read_as_far_as_it_goes(past, rpc_proxy):
    known = past.connection.deployment.deploy_block + 1

    def forgetful(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
        return {"result": [log for log in forward()["result"] if int(log["blockNumber"], 16) >= known]}

    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", forgetful)

    assert comparable(facts(past, at(past, node.url))) == comparable(facts(past, past.connection))


def test_guard_that_looks_for_a_halt_asks_for_each_block_once_though_there_is_none(past, rpc_proxy):
    node = rpc_proxy(past.anvil.url)
    contract, last = at(past, node.url).contract, past.connection.endpoint.block()
    node.forget()

    assert latest_halt(contract, agent_id("nobody"), past.connection.deployment.deploy_block, last) is None
    blocks = last.number - past.connection.deployment.deploy_block + 1
    assert sum(span({"params": asked}) for asked in node.asked("eth_getLogs")) == blocks


# --- nodes that fail in passing --------------------------------------------------------------------------------------


def busy(times: int) -> Callable[..., Any]:
    left = [times]

    def answer(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
        left[0] -= 1
        return {"error": {"code": 429, "message": "too fast"}} if left[0] >= 0 else forward()

    return answer


@pytest.mark.parametrize("method", ["eth_getLogs", "eth_getBlockByNumber", "eth_call"])
def test_node_that_was_asked_too_fast_twice_is_asked_again(past, rpc_proxy, method):
    node = rpc_proxy(past.anvil.url)
    connection = at(past, node.url)
    node.on(method, busy(2))

    assert comparable(facts(past, connection)) == comparable(facts(past, past.connection))


@pytest.mark.parametrize("method", ["eth_getLogs", "eth_getBlockByNumber", "eth_call"])
def test_node_that_says_nothing_else_than_too_fast_is_given_up(past, rpc_proxy, method):
    node = rpc_proxy(past.anvil.url)
    connection = at(past, node.url)
    node.on(method, busy(10**9))
    node.forget()

    assert "too fast" in why_not(past, connection)
    assert node.calls[method] <= 5 * (5 if method == "eth_getLogs" else 1)


@pytest.mark.parametrize("how", ["429", "503", "cut", "gone"])
def test_endpoint_that_failed_twice_is_asked_a_third_time_after_growing_pauses(past, rpc_proxy, how):
    node, pauses = rpc_proxy(past.anvil.url), list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            node.ok()

    patient = PatientEndpoint(Endpoint(node.url, 2.0), sleep)
    if how in ("cut", "gone"):
        node.down(reset=how == "cut")
    else:
        node.refuse(int(how))

    assert patient.block(0) == past.connection.endpoint.block(0)
    assert pauses == [0.01, 0.02]


def test_endpoint_that_stays_busy_is_asked_five_times(past, rpc_proxy):
    node, pauses = rpc_proxy(past.anvil.url), list[float]()
    node.refuse(503)

    with pytest.raises(GuardError, match="HTTPError"):
        PatientEndpoint(Endpoint(node.url, 2.0), pauses.append).block(0)
    assert (node.requests, pauses) == (5, [0.01, 0.02, 0.03, 0.04])


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_endpoint_that_refuses_for_good_is_asked_once(past, rpc_proxy, status):
    node, pauses = rpc_proxy(past.anvil.url), list[float]()
    node.refuse(status)

    with pytest.raises(GuardError):
        PatientEndpoint(Endpoint(node.url, 2.0), pauses.append).block(0)
    assert (node.requests, pauses) == (1, [])


def test_transaction_is_handed_over_once_even_by_a_patient_endpoint(past, rpc_proxy):
    node, pauses = rpc_proxy(past.anvil.url), list[float]()
    node.refuse(503)
    patient = PatientEndpoint(Endpoint(node.url, 2.0), pauses.append)

    with pytest.raises(GuardError), patient.calling("send"):
        patient.ask("eth_sendRawTransaction", "0x00")
    assert (node.requests, pauses) == (1, [])


def test_guards_own_endpoint_asks_once(past, rpc_proxy):
    node = rpc_proxy(past.anvil.url)
    connection = at(past, node.url)
    node.refuse(503)
    node.forget()

    with pytest.raises(GuardError):
        connection.endpoint.block(0)
    assert node.requests == 1


# --- nodes that lie --------------------------------------------------------------------------------------------------


def logs_with(**changes: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """The true logs with these fields made from each; a field made None is left out."""

    def change(log: dict[str, Any]) -> dict[str, Any]:
        changed = log | {name: make(log) for name, make in changes.items()}
        return {name: value for name, value in changed.items() if value is not None}

    return lambda request, forward: {"result": list(map(change, forward()["result"]))}


LIES: dict[str, Callable[..., Any]] = {
    "another contract": logs_with(address=lambda log: "0x" + "11" * 20),
    "a block not asked for": logs_with(blockNumber=lambda log: hex(int(log["blockNumber"], 16) + 10**6)),
    "the block before": logs_with(blockNumber=lambda log: hex(int(log["blockNumber"], 16) - 1)),
    "another hash": logs_with(blockHash=lambda log: "0x" + "22" * 32),
    "a hash too short": logs_with(blockHash=lambda log: "0x22"),
    "another kind": logs_with(topics=lambda log: ["0x" + "33" * 32, *log["topics"][1:]]),
    "another agent": logs_with(topics=lambda log: [log["topics"][0], "0x" + "44" * 32, *log["topics"][2:]]),
    "no topics": logs_with(topics=lambda log: []),
    "taken back": logs_with(removed=lambda log: True),
    "no data": logs_with(data=lambda log: "0x"),
    "a place that is none": logs_with(logIndex=lambda log: "-0x1"),
    "one twice": lambda request, forward: {"result": (logs := forward()["result"]) + logs[:1]},
    "no list": lambda request, forward: {"result": {}},
    "nothing": lambda request, forward: {"result": None},
    "numbers": lambda request, forward: {"result": [1, 2]},
}


@pytest.mark.parametrize("name", LIES)
def test_logs_that_were_not_asked_for_or_make_no_sense_are_no_answer(past, rpc_proxy, name):
    node = rpc_proxy(past.anvil.url)
    node.on("eth_getLogs", LIES[name])

    assert "no usable answer" in why_not(past, at(past, node.url))


@pytest.mark.parametrize("name", ["a block not asked for", "another agent", "another kind", "taken back"])
def test_halt_that_was_not_asked_for_is_none(past, rpc_proxy, name):
    node = rpc_proxy(past.anvil.url)
    contract = at(past, node.url).contract
    node.on("eth_getLogs", LIES[name])

    with pytest.raises(GuardError, match="no usable answer"):
        latest_halt(contract, agent_id(AGENT), 0, past.connection.endpoint.block())


def test_chain_that_took_back_its_newest_block_meanwhile_gives_no_facts(past, rpc_proxy):
    """As of a node that still answers for the block by its hash, as geth does; Anvil does not."""
    newest = past.connection.endpoint.block()

    def replaced(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
        answer = forward()
        if request["params"][0] == hex(newest.number):
            answer["result"] |= {"hash": "0x" + "55" * 32}
        return answer

    node = rpc_proxy(past.anvil.url)
    node.on("eth_getBlockByNumber", replaced)

    assert f"took back block {newest.number}" in why_not(past, at(past, node.url))


def truncated(request: dict[str, Any], forward: Callable[..., Any]) -> Any:
    return {"result": forward()["result"][:-1]}


def test_one_node_of_three_that_leaves_events_out_changes_nothing(past, rpc_proxy):
    nodes = [rpc_proxy(past.anvil.url) for _ in range(3)]
    nodes[0].on("eth_getLogs", truncated)
    nodes[1].slow(0.05)

    read = facts(past, at(past, *(node.url for node in nodes), quorum=2))

    assert comparable(read) == comparable(facts(past, past.connection))


def test_two_nodes_of_which_one_leaves_events_out_give_no_facts(past, rpc_proxy):
    nodes = [rpc_proxy(past.anvil.url) for _ in range(2)]
    nodes[0].on("eth_getLogs", truncated)

    with pytest.raises(GuardError) as caught:
        gather(at(past, *(node.url for node in nodes), quorum=2), agent_id(AGENT), log_of(past))
    assert caught.value.code == "AG209"
    assert nodes[0].calls["eth_getLogs"] == nodes[1].calls["eth_getLogs"] <= 40


@pytest.mark.parametrize("limits", [(10, 16, 16), (16, 5, 3)], ids=str)
def test_nodes_of_which_each_has_a_limit_of_its_own_agree_on_ranges_that_enough_take(past, rpc_proxy, limits):
    nodes = [rpc_proxy(past.anvil.url) for _ in limits]
    for number, (node, limit) in enumerate(zip(nodes, limits, strict=True)):

        def answer(
            request: dict[str, Any], forward: Callable[..., Any], limit: int = limit, number: int = number
        ) -> Any:
            return (
                forward() if span(request) <= limit else {"error": {"code": -32000 - number, "message": "no"}}
            )

        node.on("eth_getLogs", answer)

    read = facts(past, at(past, *(node.url for node in nodes), quorum=2))

    assert comparable(read) == comparable(facts(past, past.connection))


def test_time_beside_an_event_counts_only_if_a_quorum_says_it(past, rpc_proxy):
    first = past.connection.deployment.deploy_block + 4
    lie = lambda log: log["blockTimestamp"] if int(log["blockNumber"], 16) < first else "0x7fffffff"  # noqa: E731
    nodes = [rpc_proxy(past.anvil.url) for _ in range(3)]
    nodes[1].on("eth_getLogs", logs_with(blockTimestamp=lie))
    nodes[1].slow(0.1)  # the liar's word is the one that makes the quorum
    nodes[2].slow(0.3)

    read = facts(past, at(past, *(node.url for node in nodes), quorum=2))

    assert comparable(read) == comparable(facts(past, past.connection))


def test_nodes_of_which_one_says_no_time_beside_an_event_are_a_quorum(past, rpc_proxy):
    nodes = [rpc_proxy(past.anvil.url) for _ in range(2)]
    nodes[0].on("eth_getLogs", logs_with(blockTimestamp=lambda log: None))

    read = facts(past, at(past, *(node.url for node in nodes), quorum=2))

    assert comparable(read) == comparable(facts(past, past.connection))
