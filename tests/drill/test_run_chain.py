"""The chain goes away, comes back, or never mines: the agent stands still, then dies; the log goes on correctly."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

pytestmark = pytest.mark.drill

HASTY = {
    "AGENT_GUARD_RPC_TIMEOUT": "1",
    "AGENT_GUARD_POLL": "0.2",
    "AGENT_GUARD_MAX_BLOCK_AGE": "3",
    "AGENT_GUARD_UNKNOWN_GRACE": "2",
}


class Chain:
    """An Anvil of the test's own, which it may stop and end by its process id."""

    def __init__(self, anvil: Any) -> None:
        self.anvil = anvil

    def signal(self, number: int) -> None:
        os.kill(self.anvil.pid, number)


@pytest.fixture
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    from agent_guard.devnet.anvil import Anvil

    path = f"{request.config.rootpath}/node_modules/.bin:{os.environ['PATH']}"
    with mock.patch.dict(os.environ, PATH=path):
        anvil = Anvil(block_time=getattr(request, "param", 1))
        anvil.start()
    yield Chain(anvil)
    if not anvil.ended():
        os.kill(anvil.pid, signal.SIGCONT)
    anvil.stop()


@pytest.fixture
def town(chain: Chain, found: Callable[..., Any]) -> Any:
    made = found(chain.anvil, resume_delay=1)
    made.register("indexer")
    return made


def test_chain_that_goes_silent_freezes_then_kills_within_the_grace(town, chain, guard):
    run = guard(town, "resist(); beat()", **HASTY)

    chain.signal(signal.SIGSTOP)
    began = time.monotonic()
    frozen = run.event("frozen")
    assert "no fresh word from the chain" in frozen["reason"]
    assert run.stands_still()
    assert "no fresh word from the chain for 2 s" in run.event("dead")["reason"]

    # By its own settings, not by those that hold without them, of 60 + 60 s.
    assert time.monotonic() - began < 3 + 2 + 30
    assert run.alive() == []
    # What the chain could not take then it takes now: the run does not end before the death receipt is anchored.
    time.sleep(2)
    assert run.process.poll() is None
    chain.signal(signal.SIGCONT)
    assert run.code() == 8
    audited = town.cli.ask("audit", "indexer")
    assert (audited["result"], audited["death"] is not None, audited["halted_at"]) == ("VERIFIED", True, None)
    assert audited["anchored"] == audited["entries"]


def test_chain_that_comes_back_within_the_grace_thaws_the_agent(town, chain, guard):
    run = guard(town, **HASTY | {"AGENT_GUARD_UNKNOWN_GRACE": "60"})

    chain.signal(signal.SIGSTOP)
    run.event("frozen")
    chain.signal(signal.SIGCONT)
    run.event("thawed")

    assert run.beats()
    run.process.terminate()
    assert run.code() == 130


def test_chain_that_is_killed_kills_the_agent(town, chain, guard):
    run = guard(town, **HASTY)

    chain.signal(signal.SIGKILL)
    run.event("dead")

    assert run.alive() == []


def test_chain_that_answers_but_mines_nothing_is_no_word(town, chain, guard):
    run = guard(town, **HASTY)

    town.rpc("evm_setIntervalMining", 0)
    assert "no fresh word" in run.event("frozen")["reason"]
    town.rpc("evm_setIntervalMining", 1)

    run.event("thawed")


# A few actions now, so that there is something to anchor, and a beat for ever.
BUSY = """
from agent_guard.sdk import Guard
guard = Guard()
for n in range(8):
    with guard.action("work.step", n=n):
        pass
beat()
"""


@pytest.mark.parametrize("chain", [None], indirect=True, ids=["mines when told"])
@pytest.mark.parametrize("lands", [True, False], ids=["the anchor lands", "the anchor is lost"])
def test_guard_killed_with_an_anchor_under_way_goes_on_from_the_chains_size(town, guard, until, lands):
    operator = town.address("operator")
    nonce = town.connection.endpoint.web3.eth.get_transaction_count

    def waiting() -> bool:
        return bool(nonce(operator, "pending") > nonce(operator, "latest"))

    town.rpc("evm_setAutomine", False)
    run = guard(town, BUSY, AGENT_GUARD_ANCHOR_AGE="0.2")
    until("an anchor on its way", waiting)
    run.kill()
    until("the agent's end", lambda: run.alive() == [])
    if not lands:
        town.rpc("anvil_dropAllTransactions")
    town.rpc("evm_mine")
    town.rpc("evm_setAutomine", True)
    assert (town.state("indexer").head.size > 0) is lands

    again = guard(town, "sys.exit(5)", AGENT_GUARD_ANCHOR_AGE="0.2")

    assert again.code() == 5
    audited = town.cli.ask("audit", "indexer")
    assert audited["result"] == "VERIFIED", audited
    assert audited["entries"] == audited["anchored"] == town.state("indexer").head.size
    kinds = [row["kind"] for row in town.cli.ask("log", "list", "indexer", "--last", "1000")["rows"]]
    assert kinds.count("start") == 2
    assert kinds.count("intent") >= 1
