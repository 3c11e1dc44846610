"""A ready-made council on a local chain: three signers, an operator, their keystores, one registered agent's place.

All keys are Anvil's published ones, under one published password: fit for a local chain and nothing else.
"""

from dataclasses import dataclass
from pathlib import Path

from agent_guard.devnet.anvil import private_key
from agent_guard.keys import keystore

PASSWORD = "devnet"  # noqa: S105 - published on purpose, like the keys it locks
OPERATOR = "operator"
SIGNERS = ("signer1", "signer2", "signer3")
# Cheap to unlock: the keys are public anyway.
SCRYPT_N = 2


@dataclass(frozen=True, slots=True)
class DevnetKeys:
    """Where the keystores and their password lie, and whose they are (name to address)."""

    folder: Path
    password_file: Path
    addresses: dict[str, str]


def write_keys(folder: Path) -> DevnetKeys:
    """Keystores `operator`, `signer1` to `signer3` under `folder`, and `password` beside them; those there are kept."""
    keys = folder / "keystores"
    keys.mkdir(parents=True, exist_ok=True)
    password_file = folder / "password"
    password_file.write_text(PASSWORD + "\n")
    for index, name in enumerate((OPERATOR, *SIGNERS)):
        if not (keys / name).exists():
            keystore.import_key(keys, name, private_key(index), PASSWORD, SCRYPT_N)
    addresses = {name: str(keystore.unlock(keys / name, PASSWORD).address) for name in (OPERATOR, *SIGNERS)}
    return DevnetKeys(keys, password_file, addresses)
