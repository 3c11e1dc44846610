"""Where a log lies on a server: libpq's URL, and after a `#` the operator whose log it is.

Guarantees: an address never holds a password in what it prints, for a URL with one is refused, and its own text is then
not repeated; only settings that say where the server is and how to trust it are let through.
Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
"""

import re
from dataclasses import dataclass, field, replace

import psycopg
from psycopg.conninfo import conninfo_to_dict

from agent_guard.errors import GuardError

LONGEST = 2048
_ALLOWED = {
    "channel_binding", "dbname", "gssencmode", "host", "hostaddr", "krbsrvname", "passfile", "port", "require_auth",
    "requirepeer", "service", "sslcert", "sslcrl", "sslcrldir", "sslkey", "sslmode", "sslnegotiation", "sslrootcert",
    "target_session_attrs", "user",
}  # fmt: skip
_OPERATOR = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and whose log in it.

    `url` is libpq's; `operator` an address in hex, None for the only log that is there; `password` None where libpq
    finds one itself (PGPASSFILE, ~/.pgpass) or none is needed.
    """

    url: str
    operator: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str, password: str | None = None) -> "Address":
        """An address as people write it. Raises `GuardError` AG550."""
        url, hash_, operator = text.partition("#")
        if len(text) > LONGEST:
            raise _unusable(f"it is longer than {LONGEST} characters")
        if hash_ and not _OPERATOR.fullmatch(operator):
            raise _unusable("what stands after # is no operator's address (0x and 40 hex digits)")
        address = cls(url, operator.lower() or None, password)
        given = address.parameters()
        if "password" in given:
            raise _unusable("it holds a password, and who sees the settings or a process list would see that")
        if unknown := sorted(given.keys() - _ALLOWED):
            raise _unusable(f"it sets {', '.join(unknown)}, which the guard sets itself or must not be set")
        return address

    def parameters(self) -> dict[str, str]:
        """libpq's parameters that the URL names. Raises AG550 without libpq's words, which may repeat a secret."""
        try:
            return {name: str(value) for name, value in conninfo_to_dict(self.url).items()}
        except psycopg.ProgrammingError:
            raise _unusable("libpq can't read it") from None

    def of(self, operator: str) -> "Address":
        """The log of this operator in the same database."""
        return replace(self, operator=operator.lower())

    @property
    def schema(self) -> str:
        """The schema in which the operator's log lies."""
        if self.operator is None:
            raise ValueError("this address names no operator")
        return schema_of(self.operator)

    def __str__(self) -> str:
        return self.url if self.operator is None else f"{self.url}#{self.operator}"


def schema_of(operator: str) -> str:
    """The name of an operator's schema: fits PostgreSQL's 63 bytes, and says whose it is."""
    return f"agent_guard_{operator.lower().removeprefix('0x')}"


def _unusable(why: str) -> GuardError:
    return GuardError(
        "AG550",
        f"The store's address can't be used: {why}. Nothing was opened.",
        "Write it as postgresql://USER@HOST:PORT/DATABASE, and the password into the file that store_password_file"
        " names, or into PGPASSFILE.",
    )
