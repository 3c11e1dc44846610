"""Chooses the store: a file on this host, or a PostgreSQL server, whose driver is loaded only where one is named."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_guard.errors import GuardError
from agent_guard.settings import Settings
from agent_guard.store import Reader, SqliteStore, Store
from agent_guard.types import LogIdentity

if TYPE_CHECKING:
    from agent_guard.store.postgres import Address, ServerFacts

ON_A_SERVER = ("postgresql://", "postgres://")


def open_store(settings: Settings, path: Path, identity: LogIdentity) -> Store:
    """The writer of a log: at `path`, unless the settings name a server. Raises AG304, AG51x, AG55x."""
    if settings.store == "sqlite":
        return SqliteStore(path, identity)
    driver = _driver()
    store: Store = driver.PostgresStore(_address(settings.store, settings.store_password_file), identity)
    return store


def open_reader(address: str, password_file: Path | None) -> Reader:
    """A log on a server, to be read only. Raises AG304, AG510, AG518, AG55x."""
    reader: Reader = _driver().PostgresReader(_address(address, password_file))
    return reader


def of_operator(address: str, operator: str) -> str:
    """The address of this operator's log, if it names none yet."""
    return address if "#" in address else f"{address}#{operator.lower()}"


def server_facts(settings: Settings) -> "ServerFacts":
    """What the server that the settings name says of itself. Raises AG304, AG510, AG516, AG55x."""
    driver, address = _driver(), _address(settings.store, settings.store_password_file)
    facts: ServerFacts = driver.look_at(address)
    driver.check(facts, address)
    return facts


def store_secrets(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The files in which libpq or we find what opens the server: no agent may ever see them."""
    if settings.store == "sqlite":
        return ()
    given = _address(settings.store, None).parameters()
    named = [given.get("passfile"), given.get("sslkey"), environ.get("PGPASSFILE"), environ.get("PGSSLKEY")]
    files = [Path(name) for name in named if name]
    return (*files, *(() if settings.store_password_file is None else (settings.store_password_file,)))


def _address(text: str, password_file: Path | None) -> "Address":
    address: Address = _driver().Address.parse(
        text, None if password_file is None else _password(password_file)
    )
    return address


def _driver() -> Any:
    """The package that speaks to PostgreSQL. Raises AG554."""
    try:
        from agent_guard.store import postgres
    except ImportError as error:
        raise GuardError(
            "AG554",
            f"A log on a PostgreSQL server needs psycopg ({error}). Nothing was opened.",
            "Install it: pip install 'agent-guard[postgres]'",
        ) from error
    return postgres


def _password(path: Path) -> str:
    """The first line of the file. Raises AG304, which never repeats it."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _no_password(path, f"can't be read ({type(error).__name__})") from None
    if not lines or not lines[0]:
        raise _no_password(path, "is empty")
    return lines[0]


def _no_password(path: Path, why: str) -> GuardError:
    return GuardError(
        "AG304",
        f"The file {path}, which store_password_file names, {why}. Nothing was opened.",
        "Put the server's password on its first line, readable for this user alone.",
    )
