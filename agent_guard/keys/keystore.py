"""Keystores, version 3 (scrypt), readable by Foundry's `cast` and by geth.

A private key leaves this module only inside an unlocked account, never as text, and never in an error. Files are
written with mode 0600 in one step, and an existing one is never overwritten.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from agent_guard.errors import GuardError

# log2 of the scrypt cost: what cast and geth write. Tests pass a smaller one.
SCRYPT_N = 262_144


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A keystore found on disk; `address` as the file claims it, None if the file does not say."""

    name: str
    path: Path
    address: str | None


def create(folder: Path, name: str, password: str, scrypt_n: int = SCRYPT_N) -> LocalAccount:
    """A new random key under `folder/name`. Raises AG305 if the name is taken."""
    account: LocalAccount = Account.create()
    _write(folder / _checked(name), account, password, scrypt_n)
    return account


def import_key(
    folder: Path, name: str, private_key: str, password: str, scrypt_n: int = SCRYPT_N
) -> LocalAccount:
    """Stores a given key (64 hexadecimal digits, with or without 0x). Raises AG305, or AG306 if it is none."""
    try:
        account: LocalAccount = Account.from_key(private_key.strip())
    except Exception:  # noqa: BLE001 - whatever the library says may quote the key, so nothing of it is passed on
        raise GuardError(
            "AG306",
            "What was given is no private key. Nothing was written.",
            "Give 32 bytes as 64 hexadecimal digits.",
        ) from None
    _write(folder / _checked(name), account, password, scrypt_n)
    return account


def listing(folder: Path) -> Iterator[KeyFile]:
    """The keystores of a folder by name; files that are none are passed over."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        try:
            content = _read(path)
        except GuardError:
            continue
        address = content.get("address")
        shown = "0x" + address.removeprefix("0x") if isinstance(address, str) else None
        yield KeyFile(path.name, path, shown)


def unlock(path: Path, password: str) -> LocalAccount:
    """Opens a keystore.

    Raises:
        GuardError: AG301 no such file, AG302 no keystore or not readable, AG303 wrong password.
    """
    content = _read(path)
    if not _affordable(content):
        raise _unreadable(path, "its key derivation would take hours")
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(content, password))
    except Exception as error:  # noqa: BLE001 - a malformed file can make the library raise anything; nothing is opened
        if "MAC mismatch" in str(error):
            raise GuardError(
                "AG303",
                f"The password does not open {path}. Nothing was signed.",
                "Try again with the right password.",
            ) from None
        raise _unreadable(path, type(error).__name__) from None
    # The file's checksum leaves the IV out: with another IV the same password opens another key.
    claimed = content.get("address")
    if isinstance(claimed, str) and claimed.lower().removeprefix("0x") != account.address.lower()[2:]:
        raise _unreadable(path, "the key in it is not that of its address")
    return account


def _affordable(content: dict[str, Any]) -> bool:
    """Whether the file's own parameters keep the key derivation within a minute or so (scrypt n, r, p; PBKDF2 c)."""
    crypto = content.get("crypto")
    parameters = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(parameters, dict):
        return True  # the library says what is missing
    return all(
        isinstance(parameters.get(name, 1), int) and parameters.get(name, 1) <= most
        for name, most in (("n", 1 << 22), ("r", 64), ("p", 16), ("c", 20_000_000))
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise GuardError(
            "AG301",
            f"There is no keystore {path}. Nothing was signed.",
            "List the keys with: agent-guard key list; make one with: agent-guard key new NAME",
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, type(error).__name__) from None
    if not isinstance(content, dict) or content.get("version") != 3:
        raise _unreadable(path, "it is not a version 3 keystore")
    return content


def _unreadable(path: Path, why: str) -> GuardError:
    return GuardError(
        "AG302",
        f"The keystore {path} can't be read ({why}). Nothing was signed.",
        "Name a version 3 keystore that this user may read, or restore the file from a copy.",
    )


def _checked(name: str) -> str:
    if not name or name.startswith(".") or any(not (c.isalnum() or c in "._-") for c in name):
        raise GuardError(
            "AG101",
            f"{name!r} can't name a key. Nothing was written.",
            "Use letters, digits, dots, dashes and underscores.",
        )
    return name


def _write(path: Path, account: LocalAccount, password: str, scrypt_n: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unwritable(path, error) from None
    content = json.dumps(Account.encrypt(account.key, password, kdf="scrypt", iterations=scrypt_n))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # fails if the name is taken, where a rename would overwrite
    except FileExistsError:
        raise GuardError(
            "AG305",
            f"{path} exists already; no key was written.",
            "Choose another name, or move the old key away.",
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> GuardError:
    return GuardError(
        "AG302",
        f"The keystore {path} can't be written ({error.strerror}). No key was kept.",
        "Check the folder's permissions and free space.",
    )
