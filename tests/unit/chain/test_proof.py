"""State proofs: those of a real node hold, forged ones never show anything else than what is there, and no nonsense
raises anything but that it proves nothing."""

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from agent_guard.chain.proof import NoProof, ProofError, prove, shows, slot_of
from agent_guard.types import AgentState, State
from tests.unit.guard.words import make_state

pytestmark = pytest.mark.unit

CAPTURED = json.loads((Path(__file__).parents[2] / "vectors/proofs.json").read_text())
_FIELDS = """parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty number gasLimit
gasUsed timestamp extraData mixHash nonce baseFeePerGas withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot
requestsHash"""
_NUMBERS = "difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas"
FIELDS, NUMBERS = _FIELDS.split(), _NUMBERS.split()
HASH_OF = {15: "before London", 16: "London", 17: "Shanghai", 20: "Cancun", 21: "Prague"}


def hashed(header: dict[str, str], *names: str) -> bytes:
    """keccak256 of the RLP of these fields: the block's hash, by the yellow paper, section 4.3."""
    raw = []
    for name in names:
        number = int(header[name], 16) if name in NUMBERS else 0
        length = (number.bit_length() + 7) // 8
        raw.append(number.to_bytes(length, "big") if name in NUMBERS else bytes.fromhex(header[name][2:]))
    return keccak(rlp.encode(raw))


class Case:
    """What a node answered, and what it stands for."""

    def __init__(self, captured: dict[str, Any]) -> None:
        captured = copy.deepcopy(captured)
        self.address, self.header, self.answer = (captured[name] for name in ("address", "header", "answer"))
        self.agents = [bytes.fromhex(agent["id"][2:]) for agent in captured["agents"]]
        self.states = [
            make_state(
                id_, State[said["state"]], epoch=said["epoch"], paused_until=said["paused_until"],
                lease_until=said["lease_until"],
            )
            for id_, said in zip(self.agents, captured["agents"], strict=True)
        ]  # fmt: skip
        self.slots = [slot_of(agent) for agent in self.agents]
        self.block_hash = bytes.fromhex(self.header["hash"][2:])

    def prove(self, **changes: Any) -> list[int]:
        given = {
            "header": self.header, "block_hash": self.block_hash, "address": self.address, "slots": self.slots,
            "answer": self.answer,
        } | changes  # fmt: skip
        return prove(**given)


@pytest.fixture(params=range(len(CAPTURED)), ids=["before", "after"])
def case(request: pytest.FixtureRequest) -> Case:
    return Case(CAPTURED[request.param])


@pytest.fixture
def first() -> Case:
    return Case(CAPTURED[0])


# --- what a real node answered ---------------------------------------------------------------------------------------


def test_what_a_real_node_proved_is_what_its_council_said(case: Case) -> None:
    at = int(case.header["timestamp"], 16)
    for word, state in zip(case.prove(), case.states, strict=True):
        assert shows(word, state, at), state


def test_the_captured_states_are_all_that_there_are() -> None:
    assert {state.state for captured in CAPTURED for state in Case(captured).states} == set(State)


def test_a_slot_never_written_is_proven_empty_and_may_not_run(case: Case) -> None:
    (index,) = (number for number, state in enumerate(case.states) if state.state is State.NONE)
    word, at = case.prove()[index], int(case.header["timestamp"], 16)
    assert word == 0
    for state in State:
        claimed = make_state(case.agents[index], state, epoch=0)
        assert shows(word, claimed, at) is (state is State.NONE)


def test_a_contract_that_does_not_exist_holds_nothing(first: Case) -> None:
    trie = HexaryTrie({})
    header = first.header | {"stateRoot": "0x" + trie.root_hash.hex()}
    answer = {"accountProof": ["0x80"], "storageProof": []}
    assert prove(header, hashed(header, *FIELDS), first.address, first.slots, answer) == [0] * len(
        first.slots
    )


def test_a_name_is_hashed_into_the_slot_that_solidity_gives_it() -> None:
    assert slot_of(b"\x01" * 32) == keccak(b"\x01" * 32 + (2).to_bytes(32, "big"))


# --- what proves nothing ---------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=150)
def test_one_changed_bit_anywhere_in_a_proof_makes_it_prove_nothing(data: st.DataObject) -> None:
    case = Case(CAPTURED[0])
    paths = [case.answer["accountProof"], *(one["proof"] for one in case.answer["storageProof"])]
    path = data.draw(st.sampled_from(paths))
    index = data.draw(st.integers(0, len(path) - 1))
    node = bytearray(bytes.fromhex(path[index][2:]))
    node[data.draw(st.integers(0, len(node) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path[index] = "0x" + node.hex()
    with pytest.raises(ProofError):
        case.prove()


@pytest.mark.parametrize("which", ["account", "storage"])
def test_a_path_that_lacks_any_of_its_nodes_proves_nothing(case: Case, which: str) -> None:
    whole = case.answer["accountProof"] if which == "account" else case.answer["storageProof"][0]["proof"]
    for index in range(len(whole)):
        left_out = whole.pop(index)
        with pytest.raises(ProofError):
            case.prove()
        whole.insert(index, left_out)
    assert case.prove()


def test_a_proof_for_another_slot_never_shows_that_slots_word(case: Case) -> None:
    truth = case.prove()
    for index, own in enumerate(case.answer["storageProof"]):
        for other in case.answer["storageProof"]:
            case.answer["storageProof"][index] = other
            try:
                assert case.prove() == truth
            except ProofError:
                continue
        case.answer["storageProof"][index] = own


def test_proofs_for_fewer_or_more_slots_than_were_asked_for_prove_nothing(case: Case) -> None:
    for change in (lambda given: given.pop(), lambda given: given.append(given[0])):
        answer = copy.deepcopy(case.answer)
        change(answer["storageProof"])
        with pytest.raises(ProofError):
            case.prove(answer=answer)


def test_what_the_node_says_of_the_values_beside_the_proof_is_not_believed(case: Case) -> None:
    truth = case.prove()
    for one in case.answer["storageProof"]:
        one |= {"value": "0x1", "key": "0x2"}
    case.answer |= {
        "storageHash": "0x" + "00" * 32,
        "codeHash": "0x" + "00" * 32,
        "address": "0x" + "00" * 20,
    }
    assert case.prove() == truth


def test_another_contracts_address_is_not_shown_by_this_ones_proof(case: Case) -> None:
    with pytest.raises(ProofError):
        case.prove(address="0x" + "77" * 20)


# --- the header ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIELDS)
def test_a_header_with_any_field_changed_is_not_the_blocks(first: Case, name: str) -> None:
    value = first.header[name]
    changed = hex(int(value, 16) + 1) if name in NUMBERS else value[:-1] + ("0" if value[-1:] != "0" else "1")
    if name == "extraData":
        changed = value + "00"
    with pytest.raises(ProofError):
        first.prove(header=first.header | {name: changed})


@pytest.mark.parametrize("name", FIELDS)
def test_a_header_that_lacks_a_field_is_not_the_blocks(first: Case, name: str) -> None:
    with pytest.raises(ProofError):
        first.prove(header={key: value for key, value in first.header.items() if key != name})


def test_another_blocks_hash_is_not_this_headers(first: Case) -> None:
    with pytest.raises(ProofError):
        first.prove(block_hash=b"\x11" * 32)


@pytest.mark.parametrize("count", HASH_OF, ids=HASH_OF.values())
def test_headers_of_former_forks_are_hashed_as_they_were(first: Case, count: int) -> None:
    """Their chains have fewer fields; nothing else about the proof is another."""
    names = FIELDS[:count]
    header = {name: first.header[name] for name in names}
    assert first.prove(header=header, block_hash=hashed(header, *names)) == first.prove()


def test_a_header_with_a_hole_in_its_fields_is_of_no_chain_that_is_known(first: Case) -> None:
    names = [name for name in FIELDS if name != "blobGasUsed"]
    header = {name: first.header[name] for name in names}
    with pytest.raises(ProofError):
        first.prove(header=header, block_hash=hashed(header, *names))


def test_a_header_with_a_field_that_is_unknown_here_can_not_be_judged(first: Case) -> None:
    """A fork to come, or another kind of chain: no reason to call its node a liar."""
    with pytest.raises(NoProof):
        first.prove(header=first.header | {"blockAccessListHash": "0x" + "11" * 32}, block_hash=b"\x11" * 32)


def test_a_field_that_some_chains_add_without_hashing_it_changes_nothing(first: Case) -> None:
    assert first.prove(header=first.header | {"l1BlockNumber": "0x5"}) == first.prove()


# --- nonsense --------------------------------------------------------------------------------------------------------


def nested(levels: int) -> bytes:
    """A list in a list in a list, as large as a node may be."""
    data = b"\xc0"
    for _ in range(levels):
        size = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
        data = (bytes([0xC0 + len(data)]) if len(data) < 56 else bytes([0xF7 + len(size)]) + size) + data
    return data


@pytest.fixture
def ordinary_recursion_limit() -> Iterator[None]:
    """Some libraries raise it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(before)


NODES: dict[str, Any] = {
    "nothing": None, "a number": 5, "a word": "zz", "an object": {}, "no nodes": [], "a node that is nothing": [None],
    "a node that is a number": [5], "an empty node": [""], "no bytes": ["0x"], "an odd digit": ["0x1"],
    "no hex": ["0xzz"], "an empty list": ["0xc0"], "an empty string": ["0x80"], "one byte": ["0x05"],
    "a list too short": ["0xc3"], "endless": ["0x" + "ff" * 9], "seventeen of nothing": ["0x" + "d1" + "80" * 17],
    "two of nothing": ["0xc28080"], "three": ["0xc3808080"], "a list for a key": ["0xc2c080"],
    "nested": ["0x" + nested(1_300).hex()], "too many": ["0x80"] * 65, "too large": ["0x" + "00" * 4097],
    "bytes": [b"\x80"], "text among nodes": ["0x80", "x"],
}  # fmt: skip


@pytest.mark.usefixtures("ordinary_recursion_limit")
@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("where", ["account", "storage"])
def test_nonsense_for_a_path_proves_nothing(first: Case, name: str, where: str) -> None:
    answer = copy.deepcopy(first.answer)
    if where == "account":
        answer["accountProof"] = NODES[name]
    else:
        answer["storageProof"][0]["proof"] = NODES[name]
    with pytest.raises(ProofError):
        first.prove(answer=answer)


@pytest.mark.parametrize("padding", [["0x80"] * 62, ["0x" + "b9ffff" + "00" * 65_535]], ids=["many", "large"])
def test_a_path_with_more_nodes_than_any_has_is_not_looked_at(first: Case, padding: list[str]) -> None:
    """It holds all that it takes; but what a node sends must not be work without end."""
    path = first.answer["accountProof"]
    assert (
        first.prove(answer=first.answer | {"accountProof": [*path, *["0x80"] * (64 - len(path))]})
        == first.prove()
    )
    with pytest.raises(ProofError):
        first.prove(answer=first.answer | {"accountProof": [*path, *padding]})


@pytest.mark.parametrize(
    "answer",
    [{}, {"accountProof": []}, {"storageProof": []}, {"accountProof": None, "storageProof": None}],
    ids=str,
)
def test_an_answer_without_its_parts_proves_nothing(first: Case, answer: dict[str, Any]) -> None:
    with pytest.raises(ProofError):
        first.prove(answer=answer)


@pytest.mark.parametrize("entries", [None, 5, [None], [[]], [{}], [{"proof": None}], "x"], ids=str)
def test_nonsense_for_the_storage_proves_nothing(first: Case, entries: Any) -> None:
    with pytest.raises(ProofError):
        first.prove(answer=first.answer | {"storageProof": entries})


@pytest.mark.parametrize("value", [None, 5, [], {}, "", "zz", "0x", "0xzz", True])
@pytest.mark.parametrize("name", ["number", "stateRoot", "logsBloom", "requestsHash"])
def test_nonsense_in_a_header_proves_nothing(first: Case, name: str, value: Any) -> None:
    with pytest.raises(ProofError):
        first.prove(header=first.header | {name: value})


# --- soundness, over tries of our own --------------------------------------------------------------------------------


@given(
    st.dictionaries(st.binary(min_size=32, max_size=32), st.integers(1, 2**256 - 1), min_size=1, max_size=12),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_whatever_nodes_are_given_a_word_that_is_proven_is_the_one_that_is_there(
    storage: dict[bytes, int], data: st.DataObject
) -> None:
    """Nodes left out, doubled, in another order, of other paths, or changed: the truth, or nothing."""
    contents, accounts = HexaryTrie({}), HexaryTrie({})
    for slot, word in storage.items():
        contents.set(keccak(slot), rlp.encode(word.to_bytes((word.bit_length() + 7) // 8, "big")))
    address = b"\x42" * 20
    accounts.set(keccak(address), rlp.encode([b"\x01", b"", contents.root_hash, keccak(b"code")]))
    accounts.set(keccak(b"\x43" * 20), rlp.encode([b"", b"", keccak(b""), keccak(b"")]))
    header = Case(CAPTURED[0]).header | {"stateRoot": "0x" + accounts.root_hash.hex()}
    slot = data.draw(st.sampled_from(sorted(storage)) | st.binary(min_size=32, max_size=32))
    own = ["0x" + rlp.encode(node).hex() for node in contents.get_proof(keccak(slot))]
    every = own + ["0x" + node.hex() for node in contents.db.values()]
    nodes = data.draw(st.just(own) | st.lists(st.sampled_from(every), max_size=12))
    account = ["0x" + rlp.encode(node).hex() for node in accounts.get_proof(keccak(address))]
    answer = {"accountProof": account, "storageProof": [{"proof": nodes}]}
    try:
        (word,) = prove(header, hashed(header, *FIELDS), "0x" + address.hex(), [slot], answer)
    except ProofError:
        assert nodes != own
        return
    assert word == storage.get(slot, 0)


# --- what a slot shows -----------------------------------------------------------------------------------------------


def stored(state: State, epoch: int = 3, paused_until: int = 0, lease_until: int = 0, rest: int = 0) -> int:
    return state | epoch << 8 | paused_until << 48 | lease_until << 88 | rest << 128


def said(state: State, **values: Any) -> AgentState:
    return make_state(state=state, **({"epoch": 3} | values))


@pytest.mark.parametrize("kept", [State.NONE, State.RUNNING, State.HALTED, State.RESUMING, State.RETIRED])
@pytest.mark.parametrize("state", State)
def test_a_slot_shows_the_state_that_it_holds_and_no_other(kept: State, state: State) -> None:
    voided = kept is State.RESUMING and state is State.HALTED  # by a rotation, which this slot does not tell
    assert shows(stored(kept), said(state), 100) is (state is kept or voided)


@pytest.mark.parametrize(
    ("paused_until", "lease_until", "state"),
    [
        (0, 0, State.RUNNING), (100, 0, State.RUNNING), (101, 0, State.PAUSED), (99, 0, State.RUNNING),
        (0, 100, State.LAPSED), (0, 101, State.RUNNING), (0, 1, State.LAPSED), (101, 101, State.PAUSED),
        (101, 100, State.LAPSED),
    ],
)  # fmt: skip
def test_a_running_slot_shows_a_pause_and_a_lapse_by_the_blocks_own_time(
    paused_until: int, lease_until: int, state: State
) -> None:
    """As `_stateOf` has it: what ends at T is over at T, and a lapse goes before a pause."""
    word = stored(State.RUNNING, paused_until=paused_until, lease_until=lease_until)
    for claimed in State:
        claim = said(claimed, paused_until=paused_until, lease_until=lease_until)
        assert shows(word, claim, 100) is (claimed is state)


@pytest.mark.parametrize("change", [{"epoch": 4}, {"lease_until": 7}, {"paused_until": 7}])
def test_a_slot_shows_no_other_epoch_lease_or_pause(change: dict[str, int]) -> None:
    word = stored(State.RUNNING, paused_until=90, lease_until=500)
    plain = {"epoch": 3, "paused_until": 90, "lease_until": 500}
    assert shows(word, said(State.RUNNING, **plain), 100)
    assert not shows(word, said(State.RUNNING, **(plain | change)), 100)


def test_what_is_left_of_a_pause_in_a_slot_that_does_not_run_means_nothing() -> None:
    """The contract leaves it there and does not report it."""
    assert shows(stored(State.HALTED, paused_until=900), said(State.HALTED), 100)


def test_the_rest_of_the_slot_is_no_part_of_what_is_shown() -> None:
    assert shows(stored(State.RUNNING, rest=2**128 - 1), said(State.RUNNING), 100)


@given(st.integers(0, 2**256 - 1), st.sampled_from(State), st.integers(0, 2**40 - 1))
def test_no_word_makes_it_raise(word: int, state: State, at: int) -> None:
    assert shows(word, said(state), at) in (True, False)
