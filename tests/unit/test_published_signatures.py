"""Wycheproof's Ed25519 signatures and those of ed25519-speccheck, by the one function that verifies ours."""

import json
from pathlib import Path

import pytest

from agent_guard.checkpoint import NoteError, Verifier
from agent_guard.checkpoint.note import check_ed25519

pytestmark = pytest.mark.unit

SUITES = json.loads((Path(__file__).parents[1] / "vectors" / "ed25519.json").read_text())


def verifies(key: str, message: str, signature: str) -> bool:
    try:
        check_ed25519("key", bytes.fromhex(key), bytes.fromhex(signature), bytes.fromhex(message))
    except NoteError:
        return False
    return True


@pytest.mark.parametrize("wanted", ["valid", "invalid"])
def test_wycheproofs_signatures_are_judged_alike(wanted: str) -> None:
    cases = [case for case in SUITES["wycheproof"] if case[5] == wanted]
    assert len(cases) > 60
    for number, kind, key, message, signature, _ in cases:
        assert verifies(key, message, signature) == (wanted == "valid"), f"{number}: {kind}"


def test_signatures_that_wycheproof_leaves_open_verify_as_with_gos_crypto() -> None:
    """Without the cofactor (RFC 8032 allows either): what a witness in Go accepts is accepted here."""
    for number, kind, key, message, signature, wanted in SUITES["wycheproof"]:
        if wanted == "acceptable":
            assert verifies(key, message, signature), f"{number}: {kind}"


def test_speccheck_cases_have_the_answers_of_go_and_openssl() -> None:
    for name, key, message, signature, wanted in SUITES["speccheck"]:
        assert verifies(key, message, signature) == wanted, name


def test_keys_of_small_order_in_both_suites_are_no_verifiers_keys() -> None:
    found = {key for _, kind, key, *_ in SUITES["wycheproof"] if kind == "SmallOrderPublicKey"}
    found |= {key for name, key, *_ in SUITES["speccheck"] if name.startswith("small order A")}
    assert len(found) > 5
    for key in found:
        with pytest.raises(NoteError, match="small order"):
            Verifier("example.com/log", bytes.fromhex(key))


def test_all_other_keys_of_both_suites_can_be_named() -> None:
    for _, kind, key, *_ in SUITES["wycheproof"]:
        if kind != "SmallOrderPublicKey":
            assert Verifier("example.com/log", bytes.fromhex(key)).public_key.hex() == key
