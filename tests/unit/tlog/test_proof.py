"""The `tlog-proof` file: one spelling, bounded, and worth what its checkpoint's signature is worth."""

import base64
import tracemalloc

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.checkpoint import Checkpoint, NoteError, Signer, sign_note
from agent_guard.merkle import Frontier, ProofError, inclusion_proof, leaf_hash, subtree_of
from agent_guard.tlog import FormatError, TlogProof, parse_proof
from agent_guard.tlog import proof as module

pytestmark = pytest.mark.unit

ORIGIN = "example.com/log"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
STRANGER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([2] * 32)))
LEAVES = [leaf_hash(b"%d" % number) for number in range(11)]


def root() -> bytes:
    tree = Frontier()
    tree.extend(LEAVES)
    return tree.root()


NOTE = sign_note(str(Checkpoint(ORIGIN, len(LEAVES), root())), [SIGNER])
PROOF = TlogProof(5, tuple(inclusion_proof(5, 11, subtree_of(LEAVES))), NOTE)
TEXT = str(PROOF)

proofs = st.builds(
    TlogProof,
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    st.just(NOTE),
    st.none() | st.binary(max_size=200),
)


def test_file_has_the_form_of_the_specification():
    heading, index, first, *_ = TEXT.split("\n")
    assert (heading, index) == ("c2sp.org/tlog-proof@v1", "index 5")
    assert base64.b64decode(first) == LEAVES[4]
    assert TEXT.endswith("\n\n" + NOTE)
    extra = str(TlogProof(0, (), NOTE, b"hello"))
    assert extra == f"c2sp.org/tlog-proof@v1\nextra aGVsbG8=\nindex 0\n\n{NOTE}"


@given(proofs)
def test_every_proof_is_read_back(proof):
    assert parse_proof(str(proof)) == proof


def test_true_proof_verifies_and_gives_the_checkpoint():
    assert parse_proof(TEXT).verify(LEAVES[5], [SIGNER.verifier], ORIGIN) == Checkpoint(ORIGIN, 11, root())


def test_another_leaf_index_key_or_log_does_not_verify():
    proof = parse_proof(TEXT)
    with pytest.raises(ProofError):
        proof.verify(LEAVES[6], [SIGNER.verifier], ORIGIN)
    with pytest.raises(ProofError):
        TlogProof(4, proof.hashes, NOTE).verify(LEAVES[5], [SIGNER.verifier], ORIGIN)
    with pytest.raises(NoteError):
        proof.verify(LEAVES[5], [STRANGER.verifier], ORIGIN)
    with pytest.raises(NoteError):
        proof.verify(LEAVES[5], [SIGNER.verifier], "example.com/other")


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("index 5\n", ""),
        TEXT.replace("index 5", "index 05"),
        TEXT.replace("index 5", "index -5"),
        TEXT.replace("index 5", "index 9223372036854775808"),
        TEXT.replace("index 5", "Index 5"),
        TEXT.replace("index 5", "index 5\nindex 5"),
        TEXT.replace("index 5", "index 5\nextra aGVsbG8="),
        TEXT.replace("index 5", "extra aGVsbG8\nindex 5"),
        TEXT.replace("index 5", "extra aGVsbG8=\nextra aGVsbG8=\nindex 5"),
        TEXT.replace("index 5", "index 5\nAAAA"),
        TEXT.replace("\n\n", "\n", 1),
        TEXT.replace("\n\n", "\n\n\n", 1),
        TEXT.rstrip("\n"),
        TEXT + "\n",
        TEXT.replace("\n", "\r\n"),
        str(Checkpoint(ORIGIN, 11, root())),
        TEXT[: TEXT.index(NOTE)] + str(Checkpoint(ORIGIN, 11, root())),
        str(TlogProof(5, (bytes(32),) * 64, NOTE)),
    ],
)
def test_whatever_else_is_refused(text):
    with pytest.raises(FormatError):
        parse_proof(text)


def test_sizes_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_EXTRA", 10)
    assert parse_proof(str(TlogProof(5, (), NOTE, bytes(10)))).extra == bytes(10)
    with pytest.raises(FormatError, match="at most 10 bytes"):
        parse_proof(str(TlogProof(5, (), NOTE, bytes(11))))
    with pytest.raises(FormatError, match="characters"):
        parse_proof("c2sp.org/tlog-proof@v1\n" + "A" * module.MAX_PROOF)


def test_a_million_lines_are_refused_without_being_told_apart():
    text = "c2sp.org/tlog-proof@v1\nindex 5\n" + "QUJD\n" * 1_000_000 + f"\n{NOTE}"
    assert len(text) < module.MAX_PROOF
    tracemalloc.start()
    with pytest.raises(FormatError):
        parse_proof(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(text)


@given(st.data())
def test_a_changed_character_is_refused_or_shows(data):
    """One spelling: whatever is accepted is written the same again."""
    at = data.draw(st.integers(0, len(TEXT) - 1))
    text = TEXT[:at] + data.draw(st.characters(codec="utf-8")) + TEXT[at + 1 :]
    try:
        proof = parse_proof(text)
    except FormatError:
        return
    assert str(proof) == text
