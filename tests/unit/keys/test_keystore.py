import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from agent_guard.errors import GuardError
from agent_guard.keys import keystore

pytestmark = pytest.mark.unit

KEY = "0x" + "ab" * 31 + "cd"
ADDRESS = str(Account.from_key(KEY).address)
PASSWORD = "correct horse"
CHEAP = 2
CAST = Path(__file__).parents[3] / "node_modules" / ".bin" / "cast"
DIGITS = KEY[2:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keystores"


@pytest.fixture
def stored(folder: Path) -> Path:
    keystore.import_key(folder, "alice", KEY, PASSWORD, CHEAP)
    return folder / "alice"


def refusal(action: Callable[[], Any], code: str) -> GuardError:
    """The one error, which holds nothing of key or password in any form."""
    with pytest.raises(GuardError) as caught:
        action()
    error = caught.value
    assert error.code == code
    for secret in (DIGITS, DIGITS.upper(), DIGITS[:16], DIGITS[-16:], PASSWORD, str(int(KEY, 16))):
        assert secret not in f"{error} {error.as_dict()} {error.__cause__}"
    assert error.__cause__ is None  # a traceback would print what the library said
    return error


# --- writing and reading ---------------------------------------------------------------------------------------------


def test_an_imported_key_is_the_same_when_unlocked(stored: Path) -> None:
    account = keystore.unlock(stored, PASSWORD)
    assert (str(account.address), "0x" + bytes(account.key).hex()) == (ADDRESS, KEY)


@pytest.mark.parametrize("password", ["", " ", "päßwörd 🔑", "x" * 1000, "a\tb"])
def test_any_password_locks_and_unlocks(folder: Path, password: str) -> None:
    made = keystore.create(folder, "bob", password, CHEAP)
    assert keystore.unlock(folder / "bob", password).address == made.address


def test_two_new_keys_differ(folder: Path) -> None:
    assert (
        keystore.create(folder, "a", PASSWORD, CHEAP).address
        != keystore.create(folder, "b", PASSWORD, CHEAP).address
    )


def test_the_default_cost_of_scrypt_is_the_one_of_cast_and_geth() -> None:
    assert keystore.SCRYPT_N == 2**18


def test_a_keystore_is_readable_by_its_owner_only_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        keystore.create(folder, "alice", PASSWORD, CHEAP)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "alice").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_keystore_holds_neither_key_nor_password(stored: Path) -> None:
    content = stored.read_text().lower()
    assert DIGITS not in content
    assert PASSWORD not in content
    assert json.loads(content)["version"] == 3


def test_nothing_but_the_keystore_is_left_in_the_folder(stored: Path) -> None:
    assert [path.name for path in stored.parent.iterdir()] == ["alice"]


# --- never overwriting -----------------------------------------------------------------------------------------------


def test_a_key_is_never_overwritten(stored: Path) -> None:
    before = stored.read_bytes()
    for action in (
        lambda: keystore.create(stored.parent, "alice", "another", CHEAP),
        lambda: keystore.import_key(stored.parent, "alice", KEY, "another", CHEAP),
    ):
        refusal(action, "AG305")
    assert stored.read_bytes() == before
    assert [path.name for path in stored.parent.iterdir()] == ["alice"]


def test_not_even_a_dangling_link_is_overwritten(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "alice").symlink_to(tmp_path / "elsewhere")
    refusal(lambda: keystore.create(folder, "alice", PASSWORD, CHEAP), "AG305")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../a", "a b", "a\x00", "a\n", "a\x1b[2J"])
def test_a_name_that_is_no_plain_file_name_is_refused(folder: Path, name: str) -> None:
    refusal(lambda: keystore.create(folder, name, PASSWORD, CHEAP), "AG101")
    assert not folder.exists()


@pytest.mark.parametrize("under", ["blocked", "blocked/deeper"])
def test_a_folder_that_can_not_be_made_keeps_no_key(tmp_path: Path, under: str) -> None:
    (tmp_path / "blocked").write_text("a file")
    error = refusal(lambda: keystore.create(tmp_path / under, "alice", PASSWORD, CHEAP), "AG302")
    assert "No key was kept" in error.message


def test_a_full_disk_keeps_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = refusal(lambda: keystore.create(folder, "alice", PASSWORD, CHEAP), "AG302")
    assert "No space left" in error.message
    assert list(folder.iterdir()) == []


# --- bad keys and bad files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "", "0x", DIGITS[:-2], DIGITS + "ab", "zz" * 32, "00" * 32, "ff" * 32, "0x" + "é" * 64,
        "five words of a seed phrase",
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
    ],
)  # fmt: skip
def test_what_is_no_private_key_is_refused_without_being_repeated(folder: Path, given: str) -> None:
    error = refusal(lambda: keystore.import_key(folder, "alice", given, PASSWORD, CHEAP), "AG306")
    assert len(given) < 3 or given not in str(error)
    assert not folder.exists()


@pytest.mark.parametrize("given", [KEY, DIGITS, KEY + "\n", f"  {DIGITS.upper()}  "])
def test_a_key_is_taken_with_or_without_prefix_and_spaces(folder: Path, given: str) -> None:
    assert str(keystore.import_key(folder, "alice", given, PASSWORD, CHEAP).address) == ADDRESS


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", PASSWORD.upper()])
def test_a_wrong_password_says_so_and_signs_nothing(stored: Path, password: str) -> None:
    error = refusal(lambda: keystore.unlock(stored, password), "AG303")
    assert error.exit_code == 4
    assert "Nothing was signed" in error.message


def test_a_missing_keystore_says_how_to_list_and_make_keys(folder: Path) -> None:
    assert "key list" in refusal(lambda: keystore.unlock(folder / "nobody", PASSWORD), "AG301").remedy


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"{", b"[]", b"3", b'{"version": 1}', b'{"version": "3"}']
)
def test_a_file_that_is_no_version_3_keystore_is_refused(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "alice").write_bytes(content)
    refusal(lambda: keystore.unlock(folder / "alice", PASSWORD), "AG302")


def test_a_folder_in_the_place_of_a_keystore_is_refused(folder: Path) -> None:
    (folder / "alice").mkdir(parents=True)
    refusal(lambda: keystore.unlock(folder / "alice", PASSWORD), "AG302")


PLACES = [
    ("crypto",), ("crypto", "cipher"), ("crypto", "cipherparams"), ("crypto", "cipherparams", "iv"),
    ("crypto", "ciphertext"), ("crypto", "kdf"), ("crypto", "kdfparams"), ("crypto", "kdfparams", "dklen"),
    ("crypto", "kdfparams", "n"), ("crypto", "kdfparams", "p"), ("crypto", "kdfparams", "r"),
    ("crypto", "kdfparams", "salt"), ("crypto", "mac"),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids="/".join)
def test_whatever_is_wrong_in_a_keystore_it_opens_as_itself_or_not_at_all(
    stored: Path, place: tuple[str, ...]
) -> None:
    whole = stored.read_text()
    for value in (None, 0, -1, 1.5, "", "zz", "0x", [], {}, True, "rot13", "é", [1, 2]):
        content = json.loads(whole)
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        stored.write_text(json.dumps(content))
        try:
            code = None if str(keystore.unlock(stored, PASSWORD).address) == ADDRESS else "another key"
        except GuardError as error:
            code = error.code
        assert code in (None, "AG302", "AG303"), value


def test_a_keystore_whose_iv_was_changed_does_not_open_as_another_key(stored: Path) -> None:
    content = json.loads(stored.read_text())
    content["crypto"]["cipherparams"]["iv"] = "00" * 16  # which the file's own checksum does not cover
    stored.write_text(json.dumps(content))
    assert "address" in refusal(lambda: keystore.unlock(stored, PASSWORD), "AG302").message


# --- listing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("n", 1 << 40), ("r", 1 << 20), ("p", 1 << 20)])
def test_a_keystore_whose_derivation_would_take_hours_is_refused_at_once(
    stored: Path, name: str, value: int
) -> None:
    content = json.loads(stored.read_text())
    content["crypto"]["kdfparams"][name] = value
    stored.write_text(json.dumps(content))
    with pytest.raises(GuardError, match="would take hours") as refused:
        keystore.unlock(stored, PASSWORD)
    assert refused.value.code == "AG302"


def test_listing_shows_names_and_addresses_and_passes_over_the_rest(stored: Path) -> None:
    folder = stored.parent
    keystore.create(folder, "bob", PASSWORD, CHEAP)
    (folder / "notes.txt").write_text("not a key")
    (folder / "sub").mkdir()
    (folder / "image").write_bytes(bytes(range(256)))
    anonymous = json.loads(stored.read_text())
    del anonymous["address"]
    (folder / "carol").write_text(json.dumps(anonymous))
    found = {key.name: key.address for key in keystore.listing(folder)}
    assert set(found) == {"alice", "bob", "carol"}
    assert found["alice"] == ADDRESS
    assert found["carol"] is None


def test_listing_a_folder_that_is_not_there_is_empty(folder: Path) -> None:
    assert list(keystore.listing(folder)) == []


# --- Foundry ---------------------------------------------------------------------------------------------------------


def cast(*arguments: str) -> str:
    done = subprocess.run([CAST, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(not CAST.exists(), reason="cast is not installed; `make install` puts it there")
def test_cast_reads_our_keystore(stored: Path) -> None:
    shown = cast("wallet", "address", "--keystore", str(stored), "--password", PASSWORD)
    assert shown == ADDRESS


@pytest.mark.skipif(not CAST.exists(), reason="cast is not installed; `make install` puts it there")
def test_we_read_the_keystore_of_cast(folder: Path) -> None:
    folder.mkdir()
    cast(
        "wallet",
        "import",
        "theirs",
        "--keystore-dir",
        str(folder),
        "--private-key",
        KEY,
        "--unsafe-password",
        PASSWORD,
    )
    assert str(keystore.unlock(folder / "theirs", PASSWORD).address) == ADDRESS
    assert [key.name for key in keystore.listing(folder)] == ["theirs"]
