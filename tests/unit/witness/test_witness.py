"""What a witness cosigns, what it refuses and how, and that it never goes back."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_guard.checkpoint import (
    Checkpoint,
    Cosigner,
    Signature,
    Submission,
    Verifier,
    cosignatures,
    merge_cosignatures,
    open_checkpoint,
    parse,
    parse_note,
    sign_note,
)
from agent_guard.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, subtree_of
from agent_guard.store import ledger
from agent_guard.store.ledger import MAX_FORKS, Ledger
from agent_guard.witness import Witness, trusted_logs
from tests.unit.witness.conftest import ORIGIN, Log, Stand, key

pytestmark = pytest.mark.unit

RACE = json.loads((Path(__file__).parents[2] / "vectors" / "cosignature.json").read_text())["race"]
LEAF = leaf_hash(b"leaf")


def vouches(stand: Stand, note: str, answer: str) -> int:
    """The time at which the witness cosigned this note, by its answer alone."""
    merged = merge_cosignatures(note, answer, [stand.cosigner.verifier])
    (found,) = cosignatures(merged, [stand.cosigner.verifier])
    return found.time


# ------------------------------------------------------------------------------------------------------------ cosigning


def test_a_growing_log_is_cosigned_step_by_step_also_after_restarts(stand: Stand) -> None:
    sizes = [0, 1, 2, 5, 5, 8, 13, 200]
    for old, size in zip([0, *sizes], sizes, strict=False):
        answer = stand.ask(stand.log.submit(old, size))
        assert (answer.status, stand.size()) == (200, size)
        assert vouches(stand, stand.log.note(size), answer.body) == stand.now
        stand.now += 60
        stand.reopen()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6).map(sorted))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_way_of_growing_is_cosigned(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    stand = Stand(tmp_path_factory.mktemp("witness") / "witness.sqlite")
    for old, size in zip([0, *sizes], sizes, strict=False):
        assert stand.ask(stand.log.submit(old, size)).status == 200
    stand.ledger.close()


def test_a_clock_that_goes_back_does_not_take_the_cosignatures_back(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 1))
    stand.now -= 1_000
    answer = stand.ask(stand.log.submit(1, 2))
    assert vouches(stand, stand.log.note(2), answer.body) == stand.now + 1_000


def test_logs_are_kept_apart(stand: Stand) -> None:
    assert stand.ask(stand.log.submit(0, 5)).status == 200
    assert stand.ask(stand.other.submit(0, 3)).status == 200
    assert stand.ask(stand.other.submit(3, 4)).status == 200
    assert stand.size() == 5


def test_signatures_of_unknown_keys_are_ignored_and_not_kept(stand: Stand) -> None:
    stranger = f"{Signature('someone.else', b'abcd', b'noise')}\n"
    same_name = f"{Signature(ORIGIN, b'abcd', b'noise')}\n"
    body = f"old 0\n\n{stand.log.note(3, extra=[stranger, same_name])}".encode()
    assert stand.ask(body).status == 200
    (kept,), _ = ledger.read(stand.path)
    assert [found.name for found in parse_note(kept.note).signatures] == [ORIGIN, "witness.example/w1"]
    assert open_checkpoint(kept.note, [stand.log.signer.verifier], ORIGIN).size == 3


def test_either_key_of_a_log_with_two_is_enough(tmp_path: Path) -> None:
    old, new, stranger = Log(number=1), Log(number=4), Log(number=5)
    with Ledger(tmp_path / "w.sqlite") as memory:
        logs = trusted_logs([old.signer.verifier, new.signer.verifier])
        witness = Witness(logs, Cosigner("w", key(9)), memory, lambda: 7)
        assert witness.add_checkpoint(old.submit(0, 2)).status == 200
        assert witness.add_checkpoint(new.submit(2, 3)).status == 200
        assert witness.add_checkpoint(stranger.submit(3, 4)).status == 403


# ------------------------------------------------------------------------------------------------------------- refusing


def test_an_unknown_log_is_404(stand: Stand) -> None:
    assert stand.ask(Log("example.com/unknown").submit(0, 1)).status == 404


def test_a_log_signed_by_no_key_of_its_own_is_403(stand: Stand) -> None:
    assert stand.ask(Log(number=3).submit(0, 1)).status == 403
    text = str(parse(stand.log.note(1)))
    foreign = sign_note(text, [stand.other.signer])  # a known key, of another log
    assert stand.ask(f"old 0\n\n{foreign}".encode()).status == 403
    witness_alone = f"{text}\n{stand.cosigner.sign(text, 5)}\n"
    assert stand.ask(f"old 0\n\n{witness_alone}".encode()).status == 403


def test_a_known_keys_wrong_signature_is_403_even_beside_a_right_one(stand: Stand) -> None:
    wrong = f"{stand.log.signer.sign('another' + chr(10))}\n"
    assert stand.ask(f"old 0\n\n{stand.log.note(1, extra=[wrong])}".encode()).status == 403
    assert stand.size() == 0


def test_an_old_size_beyond_the_new_is_400(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 5))
    assert stand.ask(stand.log.submit(5, 4)).status == 400
    assert stand.size() == 5


@pytest.mark.parametrize("body", [b"", b"old 0\n\n", b"old 0\n\nx\n", b"\xff" * 100, b"old 0\n" * 100_000])
def test_what_is_no_submission_is_400(stand: Stand, body: bytes) -> None:
    assert stand.ask(body).status == 400


def test_sixty_four_hashes_are_400(stand: Stand) -> None:
    body = str(Submission(0, (LEAF,) * 64, stand.log.note(1))).encode()
    assert stand.ask(body).status == 400


@pytest.mark.parametrize("old", [0, 3, 6, 7])
def test_another_old_size_is_409_with_the_right_one(stand: Stand, old: int) -> None:
    stand.ask(stand.log.submit(0, 5))
    answer = stand.ask(stand.log.submit(old, 8))
    assert (answer.status, answer.body, answer.media_type) == (409, "5\n", "text/x.tlog.size")
    assert stand.size() == 5


def test_a_never_seen_log_with_an_old_size_is_409_with_zero(stand: Stand) -> None:
    answer = stand.ask(stand.log.submit(3, 5))
    assert (answer.status, answer.body, answer.media_type) == (409, "0\n", "text/x.tlog.size")


def test_a_rolled_back_log_is_409_and_stays_where_it_was(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 8))
    for old in (0, 3, 5):
        assert stand.ask(stand.log.submit(old, 5)).body == "8\n"
    assert stand.size() == 8


@pytest.mark.parametrize("spoil", ["cut", "swap", "more", "none", "other"])
def test_a_proof_that_does_not_hold_is_422(stand: Stand, spoil: str) -> None:
    stand.ask(stand.log.submit(0, 5))
    proof = consistency_proof(5, 13, subtree_of(stand.log.tree(13)))
    spoiled = {
        "cut": proof[:-1],
        "swap": [proof[1], proof[0], *proof[2:]],
        "more": [*proof, LEAF],
        "none": [],
        "other": [LEAF, *proof[1:]],
    }[spoil]
    assert stand.ask(str(Submission(5, tuple(spoiled), stand.log.note(13))).encode()).status == 422
    assert stand.size() == 5


def test_a_history_rewritten_below_the_cosigned_size_is_422(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 5))
    assert stand.ask(stand.log.submit(5, 8, world="b", shared=4)).status == 422
    assert stand.ask(stand.log.submit(5, 8, world="b", shared=5)).status == 200


@pytest.mark.parametrize(
    ("known", "old", "new", "root", "proof", "status"),
    [
        (0, 0, 0, EMPTY_ROOT, (), 200),
        (0, 0, 0, LEAF, (), 422),
        (0, 0, 0, bytes(32), (), 422),
        (0, 0, 0, EMPTY_ROOT, (LEAF,), 422),
        (0, 0, 1, LEAF, (), 200),
        (0, 0, 1, LEAF, (LEAF,), 422),
        (1, 0, 1, LEAF, (LEAF,), 409),
        (1, 1, 0, EMPTY_ROOT, (), 400),
    ],
)
def test_sizes_of_zero_are_judged_as_the_reference_witness_judges_them(
    stand: Stand, known: int, old: int, new: int, root: bytes, proof: tuple[bytes, ...], status: int
) -> None:
    def submission(old: int, proof: tuple[bytes, ...], size: int, root: bytes) -> bytes:
        note = sign_note(str(Checkpoint(ORIGIN, size, root)), [stand.log.signer])
        return str(Submission(old, proof, note)).encode()

    if known:
        assert stand.ask(submission(0, (), 1, LEAF)).status == 200
    for _ in range(2):
        assert stand.ask(submission(old, proof, new, root)).status == status
        if status == 200 and new:
            old = new


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300))
def test_any_bytes_get_an_answer_and_change_nothing(stand: Stand, body: bytes) -> None:
    assert stand.ask(body).status in (400, 404, 403)
    assert stand.size() == 0


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_of_a_request_is_cosigned_only_as_the_log_signed_it(
    stand: Stand, data: st.DataObject
) -> None:
    body = bytearray(stand.log.submit(0, 3))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    answer = stand.ask(bytes(body))
    if answer.status == 200:
        assert vouches(stand, stand.log.note(3), answer.body) == stand.now
        assert stand.size() == 3


# ---------------------------------------------------------------------------------------------------------------- forks


def test_two_roots_of_one_size_are_409_and_both_are_kept_as_evidence(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 5))
    for old in (0, 3, 5):  # whatever it says it goes on from
        assert stand.ask(stand.log.submit(old, 5, world="b")).status == 409
        assert len(ledger.read(stand.path)[1]) == 1
    assert stand.ask(stand.log.submit(5, 5, world="c", shared=4)).status == 409
    stand.reopen()
    _, forks = ledger.read(stand.path)
    assert [(fork.origin, fork.size) for fork in forks] == [(ORIGIN, 5)] * 2
    keys = [stand.log.signer.verifier]
    roots = [open_checkpoint(note, keys, ORIGIN).root for fork in forks for note in (fork.ours, fork.theirs)]
    assert len(set(roots)) == 3
    assert roots[0] == roots[2] == open_checkpoint(stand.log.note(5), keys, ORIGIN).root


def test_a_conflicting_root_is_told_apart_from_an_old_size_that_differs(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 5))
    assert stand.ask(stand.log.submit(5, 5, world="b")).media_type.startswith("text/plain")


def test_the_right_log_goes_on_after_a_fork_was_shown(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 5))
    stand.ask(stand.log.submit(5, 5, world="b"))
    assert stand.ask(stand.log.submit(5, 6)).status == 200


def test_a_stranger_makes_no_evidence(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 5))
    stand.ask(Log(number=3).submit(5, 5, world="b"))
    assert ledger.read(stand.path)[1] == []


def test_evidence_is_bounded(stand: Stand) -> None:
    stand.ask(stand.log.submit(0, 1))
    for number in range(MAX_FORKS + 3):
        assert stand.ask(stand.log.submit(1, 1, world=f"{number}-")).status == 409
    assert len(ledger.read(stand.path)[1]) == MAX_FORKS


# ------------------------------------------------------------------------------------------------------------- on chain


def with_chain(stand: Stand, size: int, world: str = "") -> Witness:
    """The witness as one that reads the chain, which holds this head."""
    held = parse(stand.log.note(size, world))
    logs = trusted_logs([stand.log.signer.verifier])
    return Witness(logs, stand.cosigner, stand.ledger, lambda: stand.now, lambda origin: held)


def test_a_witness_that_reads_the_chain_cosigns_the_head_there(stand: Stand) -> None:
    assert with_chain(stand, 5).add_checkpoint(stand.log.submit(0, 5)).status == 200
    assert with_chain(stand, 8).add_checkpoint(stand.log.submit(5, 8)).status == 200


@pytest.mark.parametrize("size", [4, 6])
def test_a_head_of_another_size_than_the_chains_is_to_be_tried_again(stand: Stand, size: int) -> None:
    answer = with_chain(stand, 5).add_checkpoint(stand.log.submit(0, size))
    assert (answer.status, stand.size(), ledger.read(stand.path)[1]) == (503, 0, [])


def test_a_head_that_contradicts_the_chain_is_422_and_evidence(stand: Stand) -> None:
    for old in (0, 3):
        answer = with_chain(stand, 5).add_checkpoint(stand.log.submit(old, 5, world="b"))
        assert answer.status == (422 if old == 0 else 409)
    (fork,) = ledger.read(stand.path)[1]
    assert fork.ours == str(parse(stand.log.note(5)))  # as the chain holds it, signed by nobody
    assert open_checkpoint(fork.theirs, [stand.log.signer.verifier], ORIGIN).root != parse(fork.ours).root
    assert stand.size() == 0


def test_the_chain_is_asked_only_for_what_the_log_has_signed(stand: Stand) -> None:
    def unasked(origin: str) -> Checkpoint:
        raise AssertionError

    logs = trusted_logs([stand.log.signer.verifier])
    witness = Witness(logs, stand.cosigner, stand.ledger, lambda: 7, unasked)
    assert witness.add_checkpoint(Log(number=3).submit(0, 5)).status == 403
    assert witness.add_checkpoint(Log("b").submit(0, 5)).status == 404


# ---------------------------------------------------------------------------------------------------------- at one time


def test_requests_at_one_time_never_roll_the_log_back(stand: Stand) -> None:
    """Two witnesses on one memory, as two processes are, and many threads."""
    twin = Ledger(stand.path)
    logs = trusted_logs([stand.log.signer.verifier])
    second = Witness(logs, stand.cosigner, twin, lambda: stand.now)
    stand.ask(stand.log.submit(0, 1))
    old = 1
    for round_ in range(1, 8):
        wanted = [old + step for step in range(1, 9)]
        bodies = [stand.log.submit(old, size) for size in wanted]
        witnesses = [stand.witness, second] * 4
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(lambda pair: pair[0].add_checkpoint(pair[1]), zip(witnesses, bodies, strict=True))
            )
        cosigned = [size for size, answer in zip(wanted, answers, strict=True) if answer.status == 200]
        assert len(cosigned) == 1, round_
        assert {answer.body for answer in answers if answer.status == 409} == {f"{cosigned[0]}\n"}
        assert stand.size() == cosigned[0]
        old = cosigned[0]
    twin.close()


def test_the_published_race_is_won_by_one(tmp_path: Path) -> None:
    log = Verifier(RACE["origin"], bytes.fromhex(RACE["public_key"]))
    with Ledger(tmp_path / "w.sqlite") as memory:
        witness = Witness(trusted_logs([log]), Cosigner("example.com", key(9)), memory, lambda: 7)
        assert witness.add_checkpoint(RACE["first"].encode()).status == 200
        assert witness.add_checkpoint(RACE["to_5"].encode()).status == 200
        answer = witness.add_checkpoint(RACE["to_3"].encode())
        assert (answer.status, answer.body) == (409, "5\n")
        with memory.turn() as turn:
            latest = turn.latest(RACE["origin"])
        assert latest is not None
        assert latest.root.hex() == RACE["root_5"]
    with Ledger(tmp_path / "other.sqlite") as memory:
        witness = Witness(trusted_logs([log]), Cosigner("example.com", key(9)), memory, lambda: 7)
        statuses = [witness.add_checkpoint(RACE[name].encode()).status for name in ("first", "to_3", "to_5")]
        assert statuses == [200, 200, 409]
