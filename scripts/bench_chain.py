#!/usr/bin/env python3
"""Measure what an audit asks of a node that is 30 ms away, beside asking it for one thing after another.

Guarantees: a real council on a real Anvil, which anchored a log in as many transactions as asked for, among many
blocks in which nothing happened; all ways give the very same facts, or it exits with 1. *One after another* is the
plain way: the events of one kind and one agent by 2,000 blocks, and the header of each block that holds one. *No times*
is an audit at a node that does not say beside an event when its block was: then the headers are read, several at once.
Opens sockets on 127.0.0.1 only, is bounded in count, and ends by process id what it started.

    python scripts/bench_chain.py [--anchors 2000] [--blocks 20000] [--delay 0.03] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench_chain_node import FarNode, far_node
from bench_gas import BASE, Bench, running_anvil

from agent_guard.audit import ChainFacts, Event, Extension
from agent_guard.chain.council import CouncilContract
from agent_guard.chain.deployment import Deployment
from agent_guard.chain.endpoint import Endpoint
from agent_guard.merkle import Frontier
from agent_guard.settings import parse
from agent_guard.types import FLEET, Block, LogIdentity
from agent_guard.wiring import Connection
from agent_guard.wiring.auditing import gather

PLAIN_RANGE = 2_000
TOGETHER = 20
"""Anchors in a row, nearly each in a block of its own, before the blocks without any."""
CHAIN = 31_337
_SENT = {"gas": hex(200_000)}


@dataclass(frozen=True, slots=True)
class Measured:
    """One way of reading: `events` requests for logs, `blocks` for headers, all `requests`, and the seconds."""

    way: str
    requests: int
    events: int
    blocks: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.way:<20} {self.requests:>7,} requests ({self.events:,} for events, {self.blocks:,} for blocks)"
            f" {self.seconds:>8.2f} s"
        )


def main() -> int:
    """Measures and shows; 1 if the ways differ in what they found."""
    given = _arguments()
    # Of 20,000 states Anvil would write nearly all to the disk; they are read at the newest block only.
    with running_anvil("--prune-history") as web3:
        bench = Bench(web3)
        log, url = _anchor(bench, given.anchors, given.blocks), str(web3.provider.endpoint_uri)  # type: ignore[attr-defined]
        with far_node(url, given.delay) as node:
            connection = _connection(bench, node.url)
            facts, new = _measured("an audit", node, lambda: _facts(connection, bench.agent, log))
            node.tells_times = False
            timeless, third = _measured(
                "an audit, no times", node, lambda: _facts(connection, bench.agent, log)
            )
            plain, old = _measured(
                "one after another", node, lambda: _plain(connection, bench.agent, log, facts.as_of)
            )
    for one in (old, third, new):
        print(one)
    print(
        f"ratio: {old.requests / new.requests:.0f} times the requests, {old.seconds / new.seconds:.0f} times the time"
    )
    if given.json:
        given.json.write_text(
            json.dumps([asdict(one) for one in (old, third, new)], indent=2) + "\n", "utf-8"
        )
    if not plain == _found(facts) == _found(timeless):
        print("missed: the three ways did not find the same", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--anchors", type=int, default=2_000, help="each in a transaction of its own")
    parser.add_argument("--blocks", type=int, default=20_000, help="of the chain, these included")
    parser.add_argument("--delay", type=float, default=0.03, help="seconds that each request takes longer")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


def _measured(way: str, node: FarNode, read: Callable[[], Any]) -> tuple[Any, Measured]:
    node.calls.clear()
    began = time.perf_counter()
    found = read()
    seconds, calls = time.perf_counter() - began, node.calls
    measured = Measured(way, calls.total(), calls["eth_getLogs"], calls["eth_getBlockByNumber"], seconds)
    return found, measured


def _anchor(bench: Bench, anchors: int, blocks: int) -> LogIdentity:
    """Anchors a log on, one entry at a time, with empty blocks in between."""
    tree = Frontier.from_nodes(BASE, bench.peaks)
    for number in range(anchors):
        before, leaf = tree.copy(), number.to_bytes(32, "big")
        tree.append(leaf)
        call = bench.council.encode_abi("extend", [tree.size, list(before.nodes), [leaf]])
        _ask(
            bench,
            "eth_sendTransaction",
            {**_SENT, "from": bench.operator, "to": bench.council.address, "data": call},
        )
        if (number + 1) % TOGETHER == 0:
            _ask(bench, "anvil_mine", hex(TOGETHER * max(blocks // anchors - 1, 0)))
    if bench.council.functions.headOf(bench.operator).call()[0] != tree.size:
        raise SystemExit("not all anchors went through")
    return LogIdentity(CHAIN, bench.council.address, bench.operator)


def _ask(bench: Bench, method: str, *parameters: object) -> Any:
    answer: Any = bench.web3.provider.make_request(method, list(parameters))  # type: ignore[attr-defined]
    if "error" in answer:
        raise SystemExit(f"{method}: {answer['error']}")
    return answer.get("result")


def _connection(bench: Bench, url: str) -> Connection:
    """As the commands make one, without a record on disk."""
    address, endpoint = bench.council.address, Endpoint(url, 10.0)
    contract = CouncilContract(endpoint, address)
    record = Deployment("bench", address, CHAIN, "", 0, "", "", [], {})
    return Connection(parse("", {}, {"rpc_url": (url,)}), record, endpoint, contract, (contract,))


def _facts(connection: Connection, agent: bytes, log: LogIdentity) -> ChainFacts:
    facts = gather(connection, agent, log)
    if not isinstance(facts, ChainFacts):
        raise SystemExit(facts.why)
    return facts


def _found(facts: ChainFacts) -> tuple[list[Extension], list[Block]]:
    return list(facts.extensions), [happening.block for happening in facts.history]


def _plain(
    connection: Connection, agent: bytes, log: LogIdentity, last: Block
) -> tuple[list[Extension], list[Block]]:
    """The anchors and the blocks of the agent's history, by asking for one thing after another."""
    block_at = cache(connection.endpoint.block)
    anchors = [
        Extension(block_at(log_["blockNumber"]), said["oldSize"], said["newSize"], bytes(said["root"]))
        for log_ in _logs(connection, "Extended", last, operator=log.operator)
        for said in [log_["args"]]
    ]
    told = [
        (found["blockNumber"], found["logIndex"])
        for whom in (agent, FLEET)
        for kind in Event
        for found in _logs(connection, kind.value, last, agent=whom)
    ]
    list(_logs(connection, "Renewed", last, agent=agent))
    return anchors, [block_at(number) for number, _ in sorted(told)]


def _logs(connection: Connection, name: str, last: Block, **filters: object) -> Iterator[Any]:
    event = connection.contract.contract.events[name]()
    for start in range(0, last.number + 1, PLAIN_RANGE):
        end = min(start + PLAIN_RANGE - 1, last.number)
        yield from event.get_logs(argument_filters=filters, from_block=start, to_block=end)


if __name__ == "__main__":
    sys.exit(main())
