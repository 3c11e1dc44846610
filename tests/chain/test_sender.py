"""Sending: simulated first, sent once, waited for; and the account that can't pay."""

import threading

import pytest

from agent_guard.chain.sender import Sender
from agent_guard.errors import GuardError

pytestmark = pytest.mark.chain

VOTE = ("vote", "halt", "indexer", "--account", "signer1", "--yes")


@pytest.fixture
def sender(town):
    from agent_guard import wiring

    choice = wiring.KeyChoice(None, town.keys.folder / "operator", town.keys.password_file)
    return Sender(town.connection.endpoint, wiring.unlock(town.connection.settings, choice), 0.5)


def extend(town, size):
    """The contract takes any node for a leaf."""
    return town.contract.contract.functions.extend(size, [], [bytes([size]) * 32])


def test_what_would_revert_is_not_sent_and_told_in_the_contracts_words(town, sender):
    before = town.sent()

    with pytest.raises(GuardError, match=r"AG205.*WrongNodeCount|AG205.*SizeNotGrown") as error:
        sender.send(extend(town, 0), "anchor nothing")

    assert "Nothing was sent" in error.value.message
    assert town.sent() == before


def test_what_is_not_mined_in_time_names_its_hash_and_is_not_sent_again(town, sender):
    before = town.sent()["operator"]
    town.rpc("evm_setAutomine", False)
    # Another of the account's own waits already: ours comes after it, and does not take its place.
    operator = town.address("operator")
    town.rpc("eth_sendTransaction", {"from": operator, "to": operator, "value": "0x0"})
    try:
        with pytest.raises(GuardError, match="AG205") as error:
            sender.send(extend(town, 1), "anchor")
    finally:
        town.rpc("evm_mine")
        town.rpc("evm_setAutomine", True)

    assert "was sent but not mined within 0.5 s; it may still be" in error.value.message
    tx = next(word for word in error.value.message.split() if word.startswith("0x"))
    assert town.rpc("eth_getTransactionReceipt", tx)["status"] == "0x1"
    assert town.sent()["operator"] == before + 2


def test_account_that_can_not_pay_is_told_and_sends_nothing(town, cli):
    town.register("indexer")
    town.rpc("anvil_setBalance", town.address("signer1"), "0x0")
    before = town.sent()

    error = cli.fails("AG206", 4, *VOTE)

    assert town.address("signer1") in error["message"]
    assert "Nothing was sent" in error["message"]
    assert (town.sent(), town.state("indexer").halt_votes) == (before, 0)


def test_threads_of_one_process_never_share_a_nonce(town, sender):
    sent = town.sent()["operator"]
    errors = []

    def send(size):
        try:
            sender.send(town.contract.contract.functions.extend(size, [], [bytes(32)] * size), "anchor")
        except GuardError as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(size,)) for size in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # One of them made the log's first entries; the others came too late, were simulated, and were not sent.
    assert len(errors) == 7
    assert all("Nothing was sent" in error.message for error in errors), errors
    assert town.sent()["operator"] == sent + 1
