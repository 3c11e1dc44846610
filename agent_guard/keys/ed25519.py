"""Ed25519 keys in files of their own: those that sign a log's checkpoints, and a witness's cosignatures."""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.errors import GuardError


def load_or_make(path: Path, what: str) -> Ed25519PrivateKey:
    """The key in the file (32 bytes in hex), which is made at first use, with mode 0600.

    A file appears whole or not at all, and is on disk before the key is used. `what` names the key in an error.

    Raises:
        GuardError: AG302 if it can't be read or made.
    """
    try:
        if not path.exists():
            _make(path)
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))
    except (OSError, ValueError) as error:
        raise GuardError(
            "AG302",
            f"{what} {path} can't be read ({type(error).__name__}). Nothing was started.",
            "Restore the file, or move it away to have a new one made.",
        ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    key = Ed25519PrivateKey.generate().private_bytes_raw()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)  # unlike a rename it never replaces a key that another process made meanwhile
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
