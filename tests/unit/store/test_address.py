"""Addresses of logs on a server: what they may say, and that no password comes out of one."""

import pytest

from agent_guard.errors import GuardError
from agent_guard.store.postgres import Address

pytestmark = pytest.mark.unit
SECRET = "Tr0ub4dor-and-3"
OPERATOR = "0x" + "aB" * 20


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://",
        "postgresql:///logs",
        "postgres://guard@db.example:5433/logs?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://a,b:5433/logs?target_session_attrs=read-write",
        "postgresql:///logs?host=/var/run/postgresql&passfile=/etc/guard/pgpass",
    ],
)
def test_address_is_kept_as_written(text: str) -> None:
    assert str(Address.parse(text)) == text
    assert Address.parse(text).operator is None


def test_operator_behind_the_address_names_the_log_and_its_schema() -> None:
    address = Address.parse(f"postgresql://db/logs#{OPERATOR}")
    assert address.operator == OPERATOR.lower()
    assert address.schema == "agent_guard_" + "ab" * 20
    assert len(address.schema) < 63
    assert address.parameters() == {"host": "db", "dbname": "logs"}
    assert str(address) == f"postgresql://db/logs#{OPERATOR.lower()}"
    assert address == Address.parse("postgresql://db/logs").of(OPERATOR)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"postgresql://guard:{SECRET}@db/logs", "password"),
        (f"postgresql://db/logs?password={SECRET}", "password"),
        (f"postgresql://db/logs?user=a&passwrd={SECRET}", "can't read"),
        (f"postgresql://db/logs?sslpassword={SECRET}", "sslpassword"),
        ("postgresql://db/logs?options=-csynchronous_commit%3Doff", "options"),
        ("postgresql://db/logs?application_name=x&connect_timeout=0", "application_name, connect_timeout"),
        ("postgresql://db/logs#0x12", "no operator"),
        ("postgresql://db/logs#", "no operator"),
        (f"postgresql://db/logs#{OPERATOR}00", "no operator"),
        ("postgresql://db/lo%gs", "can't read"),
        ("postgresql://[::1/logs", "can't read"),
        ("postgresql://db/" + "x" * 3_000, "longer"),
    ],
)
def test_address_that_can_not_be_used_is_refused_without_repeating_it(text: str, why: str) -> None:
    with pytest.raises(GuardError, match=why) as caught:
        Address.parse(text)
    assert caught.value.code == "AG550"
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_password_is_shown_by_nothing() -> None:
    address = Address.parse("postgresql://db/logs", SECRET)
    assert address.password == SECRET
    assert SECRET not in f"{address} {address!r} {address.of(OPERATOR)!r} {address.parameters()}"
