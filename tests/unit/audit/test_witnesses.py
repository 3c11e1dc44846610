"""Which witnesses have cosigned the head that was judged: who counts, and when nobody does."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.audit import ChainFacts, Extension, Unreachable
from agent_guard.audit.witnesses import NOBODY, cosigned, root_on_chain
from agent_guard.checkpoint import Checkpoint, Cosigner, Signer, log_origin, parse_note, sign_note
from agent_guard.types import Head
from tests.unit.audit.conftest import IDENTITY, World, block

pytestmark = pytest.mark.unit

ORIGIN = log_origin(IDENTITY.chain_id, IDENTITY.council, IDENTITY.operator)
SIZE, ROOT = 7, b"\7" * 32


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


LOG = Signer(ORIGIN, key(1))
ONE, TWO = Cosigner("one.example/w", key(2)), Cosigner("two.example/w", key(3))
KEYS = (ONE.verifier, TWO.verifier)


def note(*by: Cosigner, origin: str = ORIGIN, size: int = SIZE, root: bytes = ROOT) -> str:
    text = sign_note(str(Checkpoint(origin, size, root)), [Signer(origin, key(1))])
    return text + "".join(f"{each.sign(parse_note(text).text, 1_000 + n)}\n" for n, each in enumerate(by))


def judged(text: str | None, root: bytes | None = ROOT) -> tuple[list[int | None], str | None]:
    found = cosigned(KEYS, text, IDENTITY, SIZE, root)
    return [time for _, time in found.times], found.doubt


@pytest.mark.parametrize(
    ("by", "times"),
    [((), [None, None]), ((ONE,), [1_000, None]), ((TWO,), [None, 1_000]), ((TWO, ONE), [1_001, 1_000])],
)
def test_those_who_cosigned_are_told_in_the_order_in_which_they_were_named(by, times):
    assert judged(note(*by)) == (times, None)


def test_strangers_cosignatures_count_for_nobody():
    assert judged(note(Cosigner("one.example/w", key(9)))) == ([None, None], None)


def test_wrong_signature_of_a_named_witness_refuses_the_note_and_nobody_counts():
    forged = note(TWO) + f"{ONE.sign(parse_note(note(size=8)).text, 1_000)}\n"
    times, doubt = judged(forged)
    assert (times, "refused" in doubt) == ([None, None], True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "has no checkpoint of the 7 entries"),
        ("", "refused"),
        ("garbage\n", "refused"),
        (note(ONE, size=8), "of another head"),
        (note(ONE, root=b"\1" * 32), "of another head"),
        (note(ONE, origin=ORIGIN[:-1] + "0"), "of another head"),
    ],
)
def test_checkpoint_that_is_not_of_the_judged_head_counts_for_nobody(text, why):
    times, doubt = judged(text)
    assert (times, why in doubt) == ([None, None], True)


def test_without_a_proven_head_nobody_counts():
    assert judged(note(ONE, TWO), None) == ([None, None], "no head of the log was proven")


def test_what_is_said_is_a_count_and_each_by_name():
    found = cosigned(KEYS, note(ONE), IDENTITY, SIZE, ROOT)
    assert found.as_dict() == {
        "witnesses": [
            {"name": "one.example/w", "cosigned_at": 1_000},
            {"name": "two.example/w", "cosigned_at": None},
        ],
        "cosigned": {
            "count": 1,
            "total": 2,
            "size": 7,
            "detail": "1 of 2 cosigned the head of 7 entries",
        },
    }
    assert NOBODY.as_dict() == {"witnesses": [], "cosigned": None}


def test_root_is_that_of_the_chain_at_the_judged_size_and_of_no_other(tmp_path):
    world = World(tmp_path / "log.db")
    facts = world.facts()
    world.close()
    assert isinstance(facts, ChainFacts)
    made = replace(
        facts,
        head=Head(9, b"\x09" * 32),
        extensions=[Extension(block(1), 0, 7, ROOT), Extension(block(2), 7, 9, b"\x09" * 32)],
    )
    roots = [root_on_chain(made, size) for size in (0, 6, 7, 9, 10)]
    assert roots == [None, None, ROOT, b"\x09" * 32, None]
    assert root_on_chain(replace(made, head=Head(0, bytes(32)), extensions=[]), 0) is None
    assert root_on_chain(Unreachable("no node"), 7) is None
