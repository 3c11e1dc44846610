"""What comes from strangers, changed at random: each parser takes its one spelling, or refuses with its one error.

Whatever is accepted is written the same again, so that no two texts stand for one thing.
"""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent_guard.audit import Result
from agent_guard.audit.bundle import Bundle, as_audit, open_bundle, root_in_state, verify
from agent_guard.audit.facts import Unreachable
from agent_guard.checkpoint import (
    Checkpoint,
    CosignatureVerifier,
    NoteError,
    Signer,
    Submission,
    Verifier,
    cosignatures,
    log_origin,
    open_note,
    parse,
    parse_note,
    parse_submission,
    sign_note,
)
from agent_guard.entry import BlockRef, Entry, Kind, commitment
from agent_guard.errors import GuardError
from agent_guard.log.publish import publish
from agent_guard.merkle import (
    ProofError,
    inclusion_proof,
    leaf_hash,
    subtree_of,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from agent_guard.store.tiles import Folder, TileFolder, TileLog
from agent_guard.tlog import (
    Evidence,
    FormatError,
    OpenContent,
    StateProof,
    TlogProof,
    decode_evidence,
    parse_proof,
    tiles_of,
)
from agent_guard.typed_data import MalformedBallot, SignedHead, agent_id, head_typed_data

pytestmark = pytest.mark.unit

SCOUT, SALT, CONTENT = agent_id("scout"), bytes([7] * 32), b'{"n":1}'
COUNCIL = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
OPERATOR = Account.from_key(bytes([9] * 32))
ORIGIN = log_origin(31337, COUNCIL, OPERATOR.address)
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
WITNESS = CosignatureVerifier("w", SIGNER.verifier.public_key)
SIZE = 5


def entry(index: int) -> Entry:
    block = BlockRef(7, bytes(32))
    return Entry(index, SCOUT, index, Kind.INTENT, 1_700_000_000_000, block, commitment(SALT, CONTENT))


BODIES = [entry(index).encode() for index in range(SIZE)]
SUBTREE = subtree_of([leaf_hash(body) for body in BODIES])
ROOT = tree_root(SIZE, SUBTREE)
NOTE = sign_note(str(Checkpoint(ORIGIN, SIZE, ROOT)), [SIGNER])
SIGNATURE = bytes(
    Account.sign_typed_data(OPERATOR.key, full_message=head_typed_data(SIZE, ROOT, 31337, COUNCIL)).signature
)
HEADER = {"parentHash": "0x" + "11" * 32, "stateRoot": "0x" + "22" * 32, "number": "0x7"}
STATE = StateProof(
    account=("0xf8",), header=HEADER, operator=("0x" + "80" * 40,), root=("0xc0", "0x00"), size=()
)
EVIDENCE = Evidence(
    entry=BODIES[3].decode(),
    content=OpenContent(body=CONTENT.decode(), salt="0x" + SALT.hex()),
    signature="0x" + SIGNATURE.hex(),
    state=STATE,
)
HASHES = tuple(inclusion_proof(3, SIZE, SUBTREE))
BUNDLE = str(TlogProof(3, HASHES, NOTE, EVIDENCE.encode()))
HEAD = SignedHead(31337, COUNCIL, OPERATOR.address, SIZE, ROOT, SIGNATURE).encode()
SUBMISSION = str(Submission(3, HASHES, NOTE))

anything = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "=",
        "0",
        "9" * 400,
        "\u2014 ",
        "\u202e",
        "\ud800",
        "\x00",
        "\r\n",
        "{",
        "[",
        '"',
        "+",
        "1" * 19,
    ]
)


@st.composite
def changed(draw: Any, text: str) -> str:
    """The text with up to three stretches of it cut out, doubled, or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = text[:start] + draw(anything | st.just(text[start:end] * 2)) + text[end:]
    return text


def outcome(parse: Callable[[], Any], refused: type[Exception]) -> Any:
    """What a parser makes of its input; None if it refuses it as it should. Any other error is the test's failure."""
    try:
        return parse()
    except refused:
        return None


@given(changed(BUNDLE))
@example("")
@example("c2sp.org/tlog-proof@v1\n" * 100)
def test_proof(text):
    proof = outcome(lambda: parse_proof(text), FormatError)
    assert proof is None or str(proof) == text


@given(changed(EVIDENCE.encode().decode()))
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example("9" * 100_000)
@example('{"entry":"","entry":"","format":"agent-guard/proof/1"}')
def test_evidence(text):
    data = text.encode(errors="surrogatepass")
    evidence = outcome(lambda: decode_evidence(data), FormatError)
    assert evidence is None or evidence.encode() == data


@given(changed(NOTE))
def test_checkpoint_and_note(text):
    note = outcome(lambda: parse_note(text), NoteError)
    assert note is None or str(note) == text
    outcome(lambda: parse(text), NoteError)
    opened = outcome(lambda: open_note(text, [SIGNER.verifier]), NoteError)
    assert opened is None or opened.text == str(Checkpoint(ORIGIN, SIZE, ROOT))
    outcome(lambda: cosignatures(text, [WITNESS]), NoteError)


@given(changed(str(Checkpoint(ORIGIN, SIZE, ROOT))))
def test_checkpoint_alone(text):
    checkpoint = outcome(lambda: parse(text), NoteError)
    assert checkpoint is None or str(checkpoint) == text or "\n\n" in text


@given(changed(str(SIGNER.verifier)))
def test_verifier_key(text):
    key = outcome(lambda: Verifier.parse(text), NoteError)
    assert key is None or str(key) == text


@given(changed(SUBMISSION))
def test_submission(text):
    data = text.encode(errors="surrogatepass")
    submission = outcome(lambda: parse_submission(data), NoteError)
    assert submission is None or str(submission).encode() == data


@given(changed(HEAD))
@example('{"size": 1e400}')
@example(HEAD.replace('"size": 5', '"size": 5.0'))
@example(HEAD.replace('"size": 5', '"size": true'))
def test_signed_head(text):
    head = outcome(lambda: SignedHead.decode(text), MalformedBallot)
    if head is not None:
        assert SignedHead.decode(head.encode()) == head
        assert head.signer() in (None, OPERATOR.address) or head.encode() != HEAD


# ------------------------------------------------------------------------------------------------- a bundle's verdict


def judged(bundle: Bundle, agent: bytes = SCOUT) -> Result:
    """An auditor's whole way, which nothing in the file may end otherwise than with a verdict."""
    for root in (ROOT, None, Unreachable("no node"), root_in_state(bundle, agent, bytes(32))):
        shown = verify(bundle, agent, root)
        json.dumps(shown.content)
        assert as_audit(bundle, shown).integrity == shown.check
    return verify(bundle, agent, ROOT).check.result


def test_true_bundle_is_verified():
    assert judged(open_bundle(BUNDLE)) is Result.VERIFIED


@given(changed(BUNDLE))
def test_changed_bundle_gets_a_verdict_and_is_never_better_than_it_was(text):
    bundle = outcome(lambda: open_bundle(text), GuardError)
    if bundle is not None and judged(bundle) is Result.VERIFIED:
        assert bundle.body == BODIES[3]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.sampled_from(["0x", "0x0", "0xc0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "entry": st.sampled_from([body.decode() for body in BODIES]) | values,
        "content": st.fixed_dictionaries({"body": values, "salt": st.just("0x" + SALT.hex()) | values})
        | values,
        "signature": st.just("0x" + "00" * 65) | values,
        "state": values,
    },
)
nodes = st.lists(st.binary(min_size=1, max_size=80).map(lambda data: "0x" + data.hex()), max_size=3)


@given(fields)
def test_evidence_of_any_shape_gets_a_verdict_or_a_refusal(parts):
    from agent_guard import canonical

    whole = json.loads(EVIDENCE.encode()) | parts
    data = outcome(lambda: canonical.encode(whole), canonical.NotCanonical)
    if data is not None:
        bundle = outcome(lambda: open_bundle(str(TlogProof(3, HASHES, NOTE, data))), GuardError)
        assert bundle is None or judged(bundle) in Result


@given(
    nodes, nodes, nodes, nodes, st.dictionaries(st.sampled_from([*HEADER, "gasUsed", "odd"]), st.just("0x0"))
)
def test_state_of_any_nodes_shows_nothing(account, operator, root, size, header):
    state = {"account": account, "operator": operator, "root": root, "size": size, "header": HEADER | header}
    evidence = Evidence.model_validate(json.loads(EVIDENCE.encode()) | {"state": state})
    bundle = open_bundle(str(TlogProof(3, HASHES, NOTE, evidence.encode())))
    assert isinstance(root_in_state(bundle, SCOUT, bytes(32)), Unreachable)


def test_word_that_no_contract_can_hold_shows_nothing(monkeypatch):
    """Under the hash of a chain of the forger's own, which an auditor was told to trust."""
    monkeypatch.setattr(
        "agent_guard.audit.bundle.prove", lambda *_: [1 << 256, SIZE, int(OPERATOR.address, 16)]
    )
    assert isinstance(root_in_state(open_bundle(BUNDLE), SCOUT, bytes(32)), Unreachable)


# -------------------------------------------------------------------------------------------------- a folder of tiles


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = TileFolder(tmp_path / "site")
    for tile in tiles_of(SIZE):
        if tile.level is None:
            folder.write_bundle(tile, BODIES, [None] * SIZE)
        else:
            folder.write_hashes(tile, [leaf_hash(body) for body in BODIES])
    folder.write_checkpoint(NOTE)
    return tmp_path / "site"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["checkpoint", "head.json", "tile/0/000.p/5", "tile/entries/000.p/5", "content/000.p/5"]),
    st.data(),
)
def test_folder_of_any_bytes_is_read_or_refused(site, tmp_path, name, data):
    path = site / name
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else None
    text = (before or bytes(20)).decode("latin-1")
    path.write_bytes(data.draw(changed(text) | st.text(max_size=300)).encode("utf-8", "surrogatepass"))
    try:
        log = outcome(lambda: TileLog(Folder(site)), GuardError)
        if log is not None:
            for look in (
                log.root,
                lambda: list(log.rows()),
                lambda: log.last_rows(2),
                lambda: list(log.leaves(0, 5)),
            ):
                outcome(look, GuardError)
            outcome(lambda: publish(log, tmp_path / "copy", lambda agent: True), GuardError)
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)


def test_folder_of_a_gigantic_log_takes_no_time(site):
    size = 2**63 - 1
    note = sign_note(str(Checkpoint(ORIGIN, size, ROOT)), [SIGNER])
    (site / "checkpoint").write_text(note)
    log = TileLog(Folder(site))
    for look in (log.root, lambda: list(log.rows()), lambda: log.last_rows(9), lambda: log.row(size - 1)):
        with pytest.raises(GuardError) as refused:
            look()
        assert refused.value.code == "AG515"


# ------------------------------------------------------------------------------------------------- proofs as arguments


class Sized(Sequence[bytes]):
    """A sequence that says what length it likes, and gives hashes for ever."""

    def __init__(self, length: int) -> None:
        self.length, self.given = length, 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, at: Any) -> Any:
        self.given += 1
        assert self.given < 1_000, "it is read for ever"
        return bytes(32)


class Broken(Sequence[bytes]):
    def __len__(self) -> int:
        raise OSError("no length")

    def __getitem__(self, at: Any) -> Any:
        raise OSError("no hashes")


class Equal(bytes):
    """Bytes that are like any others."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = bytes.__hash__


@pytest.mark.parametrize("proof", [Sized(0), Sized(3), Sized(2**62), Broken()])
def test_sequence_that_lies_about_itself_proves_nothing(proof):
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(b""), 0, 8, proof, ROOT)
    with pytest.raises(ProofError):
        verify_consistency(3, 8, ROOT, ROOT, proof)


def test_bytes_that_call_themselves_equal_prove_nothing():
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(b"x"), 0, 1, [], Equal(ROOT))
    with pytest.raises(ProofError):
        verify_consistency(1, 1, ROOT, Equal(sha256(b"").digest()), [])


sizes: st.SearchStrategy[Any] = (
    st.integers(-1, 9) | st.integers(2**53, 2**64) | st.booleans() | st.none() | st.floats()
)
hashes: st.SearchStrategy[Any] = st.sampled_from(
    [ROOT, *HASHES, b"", bytes(31), "x" * 32, None, bytearray(32)]
)


@given(hashes, sizes, sizes, st.lists(hashes, max_size=70) | hashes | st.just(iter(HASHES)), hashes)
def test_proofs_of_any_arguments_hold_or_are_refused(leaf, index, size, proof, root):
    outcome(lambda: verify_inclusion(leaf, index, size, proof, root), ProofError)
    outcome(lambda: verify_consistency(index, size, leaf, root, proof), ProofError)
