"""The host fails the guard: a full disk, a locked log, no cgroup, a home that can't be written."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

RUN = ("run", "indexer", "--account", "operator", "--", "true")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this host lets nobody mount a file system")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 1024)
    assert os.statvfs(disk).f_bavail == 0
    return filler


def test_full_disk_starts_nothing_and_works_again_with_space(drill, small_disk):
    filler, sent = fill(small_disk), drill.sent()

    error = drill.cli.fails("AG513", 1, *RUN, AGENT_GUARD_HOME=str(small_disk / "home"))

    assert "space" in error["remedy"]
    assert drill.sent() == sent
    filler.unlink()
    assert drill.cli(*RUN, AGENT_GUARD_HOME=str(small_disk / "home")).code == 0


ASKING = """
import time
from agent_guard.sdk import Guard
guard = Guard()
while True:
    try:
        with guard.action("work.step", filler="x" * 2000):
            word = "done"
    except Exception as error:
        word = f"{type(error).__name__}"
    print(word, file=open("/dev/shm/word", "w"))
    open("beat", "ab").close()
    time.sleep(0.01)
"""


def test_disk_that_fills_up_stops_the_actions_and_not_the_kill(drill, small_disk, guard, until):
    home = small_disk / "home"
    code = ASKING.replace("/dev/shm/word", str(drill.folder / "shown/word"))
    (drill.folder / "shown").mkdir(mode=0o777)
    (drill.folder / "shown").chmod(0o777)
    run = guard(drill, code, "--rw", drill.folder / "shown", AGENT_GUARD_HOME=str(home))
    word = drill.folder / "shown/word"
    until("a first action", lambda: word.exists() and word.read_text() == "done\n")

    filler = fill(small_disk)
    until("a refused action", lambda: word.read_text() not in ("done\n", ""))
    drill.vote("halt", "indexer", "signer1", "signer2")

    run.event("dead")
    assert run.alive() == []
    # The guard tries to record and anchor its death for a while; with space again it need not try for long.
    filler.unlink()
    assert run.code() == 8
    assert "trouble" in run.events()
    # What was acknowledged is there, in order and unbroken.
    audited = drill.cli("audit", "indexer", "--json", expect=None, AGENT_GUARD_HOME=str(home)).json
    assert audited["result"] in ("VERIFIED", "INDETERMINATE"), audited
    assert audited["integrity"]["result"] == "VERIFIED"


def test_key_ballot_and_record_are_not_half_written_on_a_full_disk(drill, small_disk):
    fill(small_disk)
    before, cli, sent = set(small_disk.rglob("*")), drill.cli, drill.sent()

    cli.fails(
        *("AG302", 4, "key", "new", "fresh", "--password-file", drill.keys.password_file),
        AGENT_GUARD_KEYSTORES=str(small_disk),
    )
    ballot = ("vote", "halt", "indexer", "--account", "signer1", "--sign-only", "--yes")
    cli.fails("AG104", 1, *ballot, "-o", small_disk / "a.ballot")
    signers = [word for i in (1, 2, 3) for word in ("--signer", drill.address(f"signer{i}"))]
    error = cli.fails(
        *("AG104", 1, "deployment", "create", *signers, "--halt", 2, "--resume", 2, "--retire", 3),
        *("--account", "operator", "--yes"),
        AGENT_GUARD_DEPLOYMENTS=str(small_disk / "deployments"),
    )

    assert "Nothing was deployed" in error["message"]
    assert drill.sent() == sent
    assert {path for path in small_disk.rglob("*") if path.is_file()} <= before


def test_locked_log_starts_nothing_and_is_left_as_it_was(drill):
    assert drill.cli(*RUN).code == 0
    (path,) = (drill.folder / "home").glob("*/logs/*.sqlite")
    with sqlite3.connect(path) as other:
        count = other.execute("SELECT count(*) FROM entry").fetchone()
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()

        error = drill.cli.fails("AG514", 1, *RUN)

        assert time.monotonic() - began < 30
        assert "Close whatever has the file open" in error["remedy"]
        assert other.execute("SELECT count(*) FROM entry").fetchone() == count
    other.close()
    assert drill.cli(*RUN).code == 0
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"


def test_log_that_is_no_database_starts_nothing_and_is_kept(drill):
    assert drill.cli(*RUN).code == 0
    (path,) = (drill.folder / "home").glob("*/logs/*.sqlite")
    for other in path.parent.glob("*.sqlite-*"):
        other.unlink()
    path.write_bytes(b"no database " * 1000)

    outcome = drill.cli(*RUN[:-2], "--json", *RUN[-2:], expect=1)

    assert outcome.error["code"] in ("AG510", "AG518")
    assert path.read_bytes() == b"no database " * 1000


@pytest.mark.parametrize("home", ["/proc/agent-guard", "a-file/home"])
def test_home_that_can_not_be_made_starts_nothing(drill, home):
    (drill.folder / "a-file").write_text("")
    sent = drill.sent()

    error = drill.cli.fails("AG104", 1, *RUN, AGENT_GUARD_HOME=home)

    assert "Nothing was started" in error["message"]
    assert drill.sent() == sent


def test_without_a_cgroup_the_weaker_mode_is_said_aloud_and_still_kills(drill, guard, until, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root takes the cgroups away")
    python = tmp_path / "python"
    # The same commands in a mount namespace of their own that has no cgroup file system.
    python.write_text(
        "#!/bin/sh\n"
        f'exec unshare --mount sh -c \'umount -l -R /sys/fs/cgroup && exec "$@"\' sh {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    drill.cli.python = str(python)

    doctor = json.loads(drill.cli.start("doctor", "--json").communicate(timeout=120)[0])
    checks = {row["check"]: row for row in doctor["rows"]}
    assert checks["trial kill"]["level"] == "warn"
    assert checks["trial kill"]["detail"].startswith("pidns (")
    assert "systemd-run" in checks["trial kill"]["remedy"]

    run = guard(drill, "resist(); beat()")
    assert run.told[0]["mode"] == "pidns"
    until("all its children", lambda: len(run.alive()) >= 6)
    until("a pulse", lambda: drill.cli.ask("status", "indexer")["guard"]["sandbox"] == "pidns")
    drill.vote("halt", "indexer", "signer1")
    run.event("frozen")
    assert run.stands_still()
    drill.vote("halt", "indexer", "signer2")
    assert run.code() == 8
    assert run.alive() == []
    assert run.events()[-1] == "dead"
    assert run.told[-1]["mode"] == "pidns"
