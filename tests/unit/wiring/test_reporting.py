"""What a report gathers beside its audit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent_guard.audit import Check, Result
from agent_guard.cli.audit_report import reporting
from agent_guard.errors import GuardError
from agent_guard.types import Head
from agent_guard.wiring import reporting as wiring

pytestmark = pytest.mark.unit


def test_proof_of_a_death_is_read_with_the_password_that_the_log_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a report of a log on a server left the proof out, as if the receipt were not anchored."""
    asked: list[Any] = []

    def open_log(*where: Any) -> None:
        asked.append(where)
        raise GuardError("AG550", "no.", "Wait.")

    monkeypatch.setattr(wiring, "open_log", open_log)
    wanted = reporting(tmp_path / "report.md", "walker", tmp_path / "password")
    assert wanted is not None
    result: Any = SimpleNamespace(
        death=SimpleNamespace(index=3), head=Head(9, bytes(32)), integrity=Check(Result.VERIFIED, "")
    )
    assert wiring.death_proof("postgresql://h/db", bytes(32), result, wanted.password_file) is None
    assert asked == [("postgresql://h/db", tmp_path / "password")]
