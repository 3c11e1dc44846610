"""A witness killed with SIGKILL at every point of a request has kept all that it answered, and goes on by itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_guard.store import ledger
from tests.unit.witness.conftest import Stand

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
# Where a request to go from 1 to 5 dies, and which sizes the memory may then hold: what was not committed is gone,
# what was committed but not answered is there.
POINTS = {
    "before BEGIN": 1,
    "after BEGIN": 1,
    "after SELECT": 1,
    "before INSERT": 1,
    "after INSERT": 1,
    "before COMMIT": 1,
    "after COMMIT": 5,
}


def die(path: Path, point: str, requests: list[bytes]) -> tuple[list[str], int]:
    """The statuses that a dying witness answered, and how it ended."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.unit.witness.dying", str(path), point],
        input=b"".join(f"{len(body)}\n".encode() + body for body in requests),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    return process.stdout.decode().split(), process.returncode


@pytest.mark.parametrize(("point", "size"), POINTS.items())
def test_a_witness_killed_at_a_write_point_keeps_what_it_acknowledged(
    stand: Stand, tmp_path: Path, point: str, size: int
) -> None:
    path = tmp_path / "dying.sqlite"
    answered, code = die(path, point, [stand.log.submit(0, 1), stand.log.submit(1, 5)])
    assert (answered, code) == (["200"], -9)
    assert ledger.read(path)[0][0].size == size
    # The log, which got no answer, asks again: from where the witness is.
    stand.ledger.close()
    stand.path = path
    stand.open()
    if size == 1:
        assert stand.ask(stand.log.submit(1, 5)).status == 200
    else:
        assert stand.ask(stand.log.submit(1, 5)).body == "5\n"
        assert stand.ask(stand.log.submit(5, 5)).status == 200


@pytest.mark.parametrize(("point", "kept"), [("before COMMIT", 0), ("after COMMIT", 1)])
def test_evidence_is_on_disk_before_the_fork_is_refused(
    stand: Stand, tmp_path: Path, point: str, kept: int
) -> None:
    path = tmp_path / "dying.sqlite"
    assert die(path, point, [stand.log.submit(0, 5), stand.log.submit(5, 5, world="b")])[1] == -9
    assert len(ledger.read(path)[1]) == kept
