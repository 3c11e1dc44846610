"""State proofs: what a council's storage held under a block's hash, shown by hashes alone.

Guarantees: a word that `prove` returns stood in that slot of that contract in the state of the block with that hash,
if keccak256 holds; a slot never written is proven absent, and its word is 0. Says nothing of whether that block is the
chain's: a quorum must know its hash. Trusts nothing the node says. Sources: EIP-1186 (eth_getProof); the header's
fields up to Prague (EIP-7685); the yellow paper, appendix D, for the trie.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from agent_guard.types import AgentState, State

AGENTS_SLOT = 2
"""Where the mapping of agents lies (`contracts/README.md`)."""

_NUMBERS = """difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas"""
_FIELDS = """parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty number gasLimit
gasUsed timestamp extraData mixHash nonce baseFeePerGas withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot
requestsHash"""
HEADER = tuple(_FIELDS.split())
"""The fields that a block's hash covers, as JSON names them and in the order in which they are hashed."""
_NOT_HASHED = "hash size totalDifficulty transactions uncles withdrawals"
_MOST_NODES, _MOST_BYTES = 64, 4096  # a path has at most 64 nibbles, a node 17 short items


class ProofError(ValueError):
    """The proof does not show what it should."""


class NoProof(ValueError):  # noqa: N818 - what it is: nothing to judge by
    """The header can't be hashed again here: its chain has fields that this program does not know."""


def slot_of(agent: bytes) -> bytes:
    """The first storage slot of an agent, 32 bytes: keccak256(abi.encode(id, 2))."""
    return keccak(agent + AGENTS_SLOT.to_bytes(32, "big"))


def prove(
    header: Mapping[str, Any],
    block_hash: bytes,
    address: str,
    slots: Sequence[bytes],
    answer: Mapping[str, Any],
) -> list[int]:
    """The words in `slots` (each 32 bytes) of the contract at `address`, 0 for a slot that was never written.

    Args:
        header: as `eth_getBlockByHash` gives it.
        block_hash: of that block, 32 bytes: what everything is checked against.
        answer: of `eth_getProof` for these slots, in their order.

    Raises:
        ProofError: something does not hash to what it should. NoProof: the header can't be judged.
    """
    try:
        root = _state_root(header, block_hash)
        account = _value(root, bytes.fromhex(address[2:]), answer["accountProof"])
        if not account:
            return [0] * len(slots)  # no such contract, so nothing in it
        storage_root = rlp.decode(account)[2]
        proofs = [given["proof"] for given in answer["storageProof"]]
        words = [_value(storage_root, slot, proof) for slot, proof in zip(slots, proofs, strict=True)]
        return [int.from_bytes(rlp.decode(word), "big") if word else 0 for word in words]
    except (NoProof, ProofError):
        raise
    # trie and rlp raise all sorts of things for bytes of another shape, or deeper, than they thought. Whatever it is,
    # the node that sent them has shown nothing.
    except Exception as error:
        raise ProofError(f"senseless: {type(error).__name__}: {error}"[:200]) from error


def shows(word: int, state: AgentState, at: int) -> bool:
    """Whether an agent's first slot holds what a snapshot said of it at a block of that time (unix seconds).

    As the contract reads it (`CouncilState._stateOf`): PAUSED and LAPSED are RUNNING at a later second. HALTED may be
    a RESUMING that another signer set has voided, which this slot does not tell.
    """
    stored, epoch, paused_until, lease_until = (word >> shift & mask for shift, mask in _LAYOUT)
    runs = stored == State.RUNNING
    lapsed, paused = runs and 0 < lease_until <= at, runs and at < paused_until
    said = State.LAPSED if lapsed else State.PAUSED if paused else stored
    voided = state.state is State.HALTED and stored == State.RESUMING
    same = (epoch, lease_until) == (state.epoch, state.lease_until)
    return same and (state.state == said or voided) and (not runs or paused_until == state.paused_until)


_LAYOUT = ((0, 0xFF), (8, (1 << 40) - 1), (48, (1 << 40) - 1), (88, (1 << 40) - 1))


def _state_root(header: Mapping[str, Any], block_hash: bytes) -> bytes:
    present = [name for name in HEADER if name in header]
    encoded = rlp.encode([_field(name, header[name]) for name in present])
    if keccak(encoded) == block_hash and present == list(HEADER[: len(present)]):
        return bytes.fromhex(header["stateRoot"][2:])
    if header.keys() - {*HEADER, *_NOT_HASHED.split()}:
        raise NoProof("the header has fields that are unknown here")
    raise ProofError("the header does not hash to the block's hash")


def _field(name: str, value: str) -> bytes:
    if name not in _NUMBERS.split():
        return bytes.fromhex(value[2:])
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _value(root: bytes, key: bytes, nodes: Iterable[str]) -> bytes:
    """What stands under a key (hashed, as the state's tries have it), empty if it is proven that nothing does."""
    raw = [bytes.fromhex(node[2:]) for node in nodes]
    if len(raw) > _MOST_NODES or any(len(node) > _MOST_BYTES for node in raw):
        raise ProofError("larger than any proof")
    found = HexaryTrie.get_from_proof(root, keccak(key), [rlp.decode(node) for node in raw])  # type: ignore[no-untyped-call]
    return bytes(found)
