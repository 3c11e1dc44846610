"""`log accuse` on a real chain: true forks halt, and nothing else does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from agent_guard.keys import keystore
from agent_guard.merkle import Frontier
from agent_guard.store import SqliteReader
from agent_guard.typed_data import SignedHead, head_typed_data
from tests.chain.test_audit import AGENT, Guard

pytestmark = pytest.mark.chain
PAID_BY = ("--account", "signer3", "--yes")


@pytest.fixture
def guard(town: Any) -> Iterator[Guard]:
    """A running agent whose log has 22 entries, of which 20 are anchored."""
    town.register(AGENT)
    made = Guard(town, town.folder / "log.sqlite")
    made.act(10)
    made.anchor.flush(60)
    made.act(1)
    yield made
    made.close()


def head(
    guard: Guard, size: int, root: bytes, by: str = "operator", changes: dict[str, Any] | None = None
) -> Path:
    """A head in a file, signed by the key of that name; `changes` are made after signing."""
    account = keystore.unlock(guard.town.keys.folder / by, "devnet")
    here = (31_337, guard.town.contract.address)
    signed = Account.sign_typed_data(account.key, full_message=head_typed_data(size, root, *here))
    made = SignedHead(*here, guard.town.address("operator"), size, root, bytes(signed.signature))
    path = guard.town.folder / f"{size}-{root.hex()[:8]}-{by}.head"
    path.write_text(json.dumps(made.fields() | (changes or {})))
    return path


def true_root(guard: Guard, size: int) -> bytes:
    with SqliteReader(guard.path) as reader:
        tree = Frontier()
        tree.extend(reader.leaves(0, size))
    return tree.root()


def other_log(guard: Guard, size: int) -> tuple[Path, bytes]:
    """Another history of the same operator, in a file, with its root at that size."""
    path = guard.town.folder / "other.sqlite"
    other = Guard(guard.town, path)
    for number in range(size):
        other.recorder.append(AGENT, "intent", {"other": number}).result()
    other.close()
    with SqliteReader(path) as reader:
        tree = Frontier()
        tree.extend(reader.leaves(0, size))
    return path, tree.root()


def accuse(guard: Guard, *arguments: object) -> dict[str, Any]:
    return dict(guard.town.cli.ask("log", "accuse", AGENT, *arguments, "--log", guard.path, *PAID_BY))


def refused(guard: Guard, code: str, exit_code: int, *arguments: object) -> str:
    """The message of the refusal; nothing was sent, and the agent runs."""
    sent = guard.town.sent()
    command = ("log", "accuse", AGENT, *arguments, "--log", guard.path, *PAID_BY)
    error = guard.town.cli.fails(code, exit_code, *command)
    assert (guard.town.sent(), guard.town.state(AGENT).may_run) == (sent, True)
    return str(error["message"])


def test_two_roots_of_one_size_halt_a_running_agent(guard: Guard) -> None:
    heads = head(guard, 7, b"\1" * 32), head(guard, 7, b"\2" * 32)
    done = accuse(guard, *heads)
    assert (done["applied"], done["detail"]["state"], done["detail"]["epoch"]) == (True, "halted", 1)
    assert done["detail"]["older"]["source"] == done["detail"]["newer"]["source"] == "signed"
    assert not guard.town.state(AGENT).may_run
    assert guard.town.state(AGENT).halted_size == 20


@pytest.mark.parametrize("size", [0, 1, 13, 19, 20])
def test_head_that_contradicts_the_anchored_one_halts(guard: Guard, size: int) -> None:
    done = accuse(guard, head(guard, size, b"\1" * 32))
    assert (done["detail"]["newer"]["source"], done["detail"]["state"]) == ("chain", "halted")


@pytest.mark.parametrize("size", [20, 21, 27])
def test_newer_head_of_another_history_halts_once_its_log_opens_it(guard: Guard, size: int) -> None:
    path, root = other_log(guard, size)
    file = head(guard, size, root)
    if size > 20:
        assert "does not open" in refused(guard, "AG434", 6, file)
    done = guard.town.cli.ask("log", "accuse", AGENT, file, "--log", path, *PAID_BY)
    assert done["detail"]["state"] == "halted"


def test_heads_of_two_sizes_halt_by_the_log_of_the_newer_one(guard: Guard) -> None:
    done = accuse(guard, head(guard, 22, true_root(guard, 22)), head(guard, 9, b"\1" * 32))
    assert (done["detail"]["older"]["size"], done["detail"]["newer"]["size"]) == (9, 22)
    assert done["detail"]["state"] == "halted"


def test_copy_as_tiles_opens_the_chains_head_as_well(guard: Guard) -> None:
    copy = guard.town.folder / "tiles"
    guard.town.cli("log", "export", AGENT, "--tiles", copy, "--log", guard.path)
    command = ("log", "accuse", AGENT, head(guard, 13, b"\1" * 32), "--log", copy, *PAID_BY)
    assert guard.town.cli.ask(*command)["detail"]["state"] == "halted"


@pytest.mark.parametrize("sizes", [(5,), (20,), (22,), (0,), (5, 22), (20, 20), (0, 1)])
def test_honest_heads_prove_nothing(guard: Guard, sizes: tuple[int, ...]) -> None:
    heads = [head(guard, size, true_root(guard, size)) for size in sizes]
    assert "Nothing is proven" in refused(guard, "AG433", 1, *heads)


def test_head_of_a_strangers_key_proves_nothing(guard: Guard) -> None:
    honest, forged = head(guard, 7, true_root(guard, 7)), head(guard, 7, b"\1" * 32, by="signer1")
    message = refused(guard, "AG433", 1, honest, forged)
    assert f"is signed by {guard.town.address('signer1')}, not by" in message


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"root": "0x" + "03" * 32}, "is signed by"),
        ({"size": 8}, "is signed by"),
        ({"signature": "0x" + "11" * 64}, "is signed by nobody"),
        ({"signature": "0x" + "00" * 65}, "is signed by nobody"),
        ({"chain_id": 1}, "on chain 1; asked was"),
        ({"council": "0x" + "11" * 20}, "a head is of council 0x1111"),
        ({"operator": "0x" + "11" * 20}, "a head is of operator 0x1111"),
    ],
)
def test_head_that_was_changed_proves_nothing(guard: Guard, change: dict[str, Any], why: str) -> None:
    assert why in refused(guard, "AG433", 1, head(guard, 7, b"\1" * 32, changes=change))


def test_former_operators_heads_prove_nothing_of_the_present_one(guard: Guard) -> None:
    guard.town.register("other", guard.town.address("signer1"))
    command = ("log", "accuse", "other", head(guard, 7, b"\1" * 32), *PAID_BY)
    assert "is guarded by" in guard.town.cli.fails("AG433", 1, *command)["message"]
    guard.town.cli.fails("AG433", 1, "log", "accuse", "nobody", head(guard, 7, b"\1" * 32), *PAID_BY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        '"' + "x" * 100_000 + '"',
        '{"size": 1, "size": 2}',
        "\x00",
    ],
)
def test_garbage_is_no_head(guard: Guard, text: str) -> None:
    path = guard.town.folder / "garbage"
    path.write_text(text)
    assert "no signed head" in refused(guard, "AG432", 2, path)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 2**64},
        {"size": -1},
        {"size": True},
        {"size": "7"},
        {"size": 7.0},
        {"root": "0x00"},
        {"root": None},
        {"signature": "0x"},
        {"signature": "0x" + "11" * 8193},
        {"signature": "0X11"},
        {"operator": "0x11"},
        {"council": 7},
        {"chain_id": None},
        {"extra": 1},
    ],
)
def test_head_with_a_value_of_another_kind_is_no_head(guard: Guard, change: dict[str, Any]) -> None:
    assert "no signed head" in refused(guard, "AG432", 2, head(guard, 7, b"\1" * 32, changes=change))


def test_missing_file_binary_and_a_third_head_are_refused(guard: Guard) -> None:
    assert "no signed head" in refused(guard, "AG432", 2, guard.town.folder / "missing")
    binary = guard.town.folder / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "no signed head" in refused(guard, "AG432", 2, binary)
    refused(guard, "AG101", 2, *[head(guard, 7, b"\1" * 32)] * 3)


def test_dry_run_says_what_would_happen_and_sends_nothing(guard: Guard) -> None:
    sent, file = guard.town.sent(), head(guard, 13, b"\1" * 32)
    command = ("log", "accuse", AGENT, file, "--log", guard.path, "--dry-run")
    said = guard.town.cli(*command)
    assert f"The proof halts {AGENT} (RUNNING, epoch 1) without a vote" in said.stderr
    done = guard.town.cli.ask(*command)
    assert (done["applied"], done["tx"], done["detail"]["state"]) == (False, None, "running")
    assert (guard.town.sent(), guard.town.state(AGENT).may_run) == (sent, True)


def test_proof_against_a_halted_agent_goes_on_record(guard: Guard) -> None:
    guard.town.vote("halt", AGENT, "signer1", "signer2")
    said = guard.town.cli("log", "accuse", AGENT, head(guard, 13, b"\1" * 32), "--log", guard.path, *PAID_BY)
    assert "is HALTED already: the proof goes on record" in said.stderr
    proven = guard.town.contract.contract.events.ForkProven().get_logs(from_block=0)
    assert [event["args"]["operator"] for event in proven] == [guard.town.address("operator")]


def test_without_a_log_of_this_host_heads_of_two_sizes_are_refused(guard: Guard) -> None:
    command = ("log", "accuse", AGENT, head(guard, 13, b"\1" * 32), *PAID_BY)
    guard.town.cli.fails("AG510", 1, *command)


def test_contract_operators_heads_are_for_its_own_code_to_judge(guard: Guard) -> None:
    town, wallet = guard.town, "0x" + "Aa" * 20
    wallet = town.connection.endpoint.web3.to_checksum_address(wallet)
    town.register("other", wallet)
    files = []
    for root in ("0x" + "01" * 32, "0x" + "02" * 32):
        files.append(town.folder / f"{root}.head")
        here = {"chain_id": 31_337, "council": town.contract.address, "operator": wallet}
        files[-1].write_text(json.dumps({**here, "size": 4, "root": root, "signature": "0x01"}))
    command = ("log", "accuse", "other", *files, *PAID_BY)
    assert "is signed by nobody" in town.cli.fails("AG433", 1, *command)["message"]
    town.rpc("anvil_setCode", wallet, "0x63ffffffff60e01b60005260206000f3")  # answers every call with no
    assert "NotSignedBy" in town.cli.fails("AG433", 1, *command)["message"]
    town.rpc("anvil_setCode", wallet, "0x631626ba7e60e01b60005260206000f3")  # ERC-1271's yes
    assert town.cli.ask(*command)["detail"]["state"] == "halted"
