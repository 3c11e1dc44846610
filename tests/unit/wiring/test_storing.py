"""Which store the settings mean, and what it takes to open it."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.settings import Settings, parse
from agent_guard.store import SqliteStore
from agent_guard.types import LogIdentity
from agent_guard.wiring import storing

pytestmark = pytest.mark.unit
IDENTITY = LogIdentity(1, "0x" + "aa" * 20, "0x" + "bb" * 20)
SECRET = "p4ssw0rd-in-the-file"


def settings(**values: object) -> Settings:
    return parse("", {}, {"store": "postgresql://db.invalid/logs", **values})


def test_a_file_is_the_default(tmp_path: Path) -> None:
    with storing.open_store(parse("", {}, {}), tmp_path / "log.sqlite", IDENTITY) as store:
        assert isinstance(store, SqliteStore)
    assert storing.store_secrets(parse("", {}, {}), {"PGPASSFILE": "/etc/pgpass"}) == ()


@pytest.mark.parametrize("content", [None, "", "\nsecret\n", b"\xff\xfe"])
def test_password_file_that_holds_none_is_refused(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GuardError, match="store_password_file") as caught:
        storing.open_store(settings(store_password_file=path), tmp_path / "log", IDENTITY)
    assert caught.value.code == "AG304"


def test_password_is_the_files_first_line(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\nnot this\n")
    assert storing._address("postgresql://db/logs", path).password == SECRET


def test_every_file_that_opens_the_server_is_kept_from_agents() -> None:
    made = settings(
        store="postgresql://db/logs?passfile=/a/pgpass&sslkey=/a/key", store_password_file=Path("/a/password")
    )
    found = storing.store_secrets(made, {"PGPASSFILE": "/b/pgpass", "PGSSLKEY": "/b/key"})
    assert set(found) == set(map(Path, ("/a/pgpass", "/a/key", "/b/pgpass", "/b/key", "/a/password")))


def test_operator_that_an_address_names_is_kept() -> None:
    assert storing.of_operator("postgresql://db/logs", "0xAB") == "postgresql://db/logs#0xab"
    assert storing.of_operator("postgresql://db/logs#0x12", "0xAB") == "postgresql://db/logs#0x12"


WITHOUT_DRIVER = """
import sys
from pathlib import Path
sys.modules["psycopg"] = None
from agent_guard.errors import GuardError
from agent_guard.settings import parse
from agent_guard.types import LogIdentity
from agent_guard.wiring import storing
storing.open_store(parse("", {}, {}), Path(sys.argv[1]), LogIdentity(1, "a", "b")).close()
try:
    storing.open_reader("postgresql://db/logs", None)
except GuardError as error:
    print(error.code, error.remedy)
"""


def test_without_the_driver_files_work_and_a_server_is_refused_with_the_extras_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DRIVER, tmp_path / "log"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "AG554 Install it: pip install 'agent-guard[postgres]'"
