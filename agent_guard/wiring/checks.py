"""What `doctor` checks: everything a signer, an operator or an auditor needs on this host, each with its remedy.

A check passes, fails with an error's own words, or warns; none changes anything but the trial kill's own processes.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_guard.devnet.anvil import find_anvil
from agent_guard.errors import GuardError
from agent_guard.keys import keystore
from agent_guard.sandbox.mode import Mode, choose_mode
from agent_guard.sandbox.probe import probe
from agent_guard.settings import Settings
from agent_guard.wiring import Connection, connect
from agent_guard.wiring.storing import server_facts

MIN_FREE_BYTES = 1 << 30
# bubblewrap fixed CVE-2026-87766 in 0.12.0; Debian carries the fix back to its 0.8.0.
FIXED_BUBBLEWRAP = (0, 12, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `level` is ok, warn or fail; `for_whom` says who needs it."""

    name: str
    for_whom: str
    level: str
    detail: str
    remedy: str = ""


Check = Callable[[Settings], Finding]


def findings(settings: Settings) -> Iterator[Finding]:
    """All checks, one after the other; what one raises becomes its finding."""
    for name, for_whom, level, check in CHECKS:
        try:
            yield check(settings)
        except GuardError as error:
            yield Finding(name, for_whom, level, f"{error.code}: {error.message}", error.remedy)


def _python(settings: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "all", "ok", f"{version} at {sys.executable}")


def _home(settings: Settings) -> Finding:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Finding("home", "operator", "fail", f"{folder} is not writable", "Set AGENT_GUARD_HOME.")
    if free < MIN_FREE_BYTES:
        return Finding(
            "home", "operator", "warn", f"{free >> 20} MiB free under {folder}", "Free some space."
        )
    return Finding("home", "operator", "ok", f"{settings.home}, {free >> 30} GiB free")


def _sandbox(settings: Settings) -> Finding:
    choice = choose_mode("auto")
    result = probe(choice)
    detail = (
        f"{result.mode.value} ({choice.why}): {result.processes} resisting processes, frozen in {result.freeze_ms:.1f}"
        f" ms, killed in {result.kill_ms:.1f} ms, {result.survivors} survivors"
    )
    if result.mode is Mode.PIDNS:
        remedy = "For a cgroup run as root, or under: systemd-run --user --scope -p Delegate=yes"
        return Finding("trial kill", "operator", "warn", detail, remedy)
    return Finding("trial kill", "operator", "ok", detail)


def _bubblewrap(settings: Settings) -> Finding:
    from agent_guard.sandbox.probe import bubblewrap_version

    if shutil.which("bwrap") is None:
        return Finding(
            "bubblewrap", "operator", "fail", "bwrap is not in PATH", "Install it: apt-get install bubblewrap"
        )
    said = bubblewrap_version()
    numbers = tuple(int(part) for part in said.split()[-1].split(".") if part.isdigit())
    if numbers < FIXED_BUBBLEWRAP:
        remedy = "Update it, or make sure that your distribution has the fix (Debian 12 has)."
        return Finding("bubblewrap", "operator", "warn", f"{said}; CVE-2026-87766 is fixed in 0.12.0", remedy)
    return Finding("bubblewrap", "operator", "ok", said)


def _anvil(settings: Settings) -> Finding:
    return Finding("anvil", "devnet", "ok", find_anvil())


def _council(settings: Settings) -> Finding:
    connection = connect(settings)
    detail = f"{connection.deployment.address} on chain {connection.deployment.chain_id}, code and genesis as recorded"
    return Finding("council", "all", "ok", f"{detail}, at {connection.endpoint.name}")


def _clock(settings: Settings) -> Finding:
    connection: Connection = connect(settings)
    age = time.time() - connection.endpoint.block().timestamp
    detail = f"the newest block is {age:.0f} s old (limit {settings.max_block_age:g} s)"
    if abs(age) > settings.max_block_age:
        remedy = "Check this host's clock and the node; a guard treats an old block as no word, and freezes."
        return Finding("clock", "operator", "fail", detail, remedy)
    return Finding("clock", "operator", "ok", detail)


def _keys(settings: Settings) -> Finding:
    found = [key.name for key in keystore.listing(settings.keystores)]
    if not found:
        return Finding(
            "keys", "signer", "warn", f"none in {settings.keystores}", "Make one: agent-guard key new NAME"
        )
    loose = [name for name in found if Path(settings.keystores / name).stat().st_mode & 0o077]
    if loose:
        remedy = f"chmod 600 in {settings.keystores}"
        return Finding("keys", "signer", "warn", f"readable by others: {', '.join(loose)}", remedy)
    return Finding("keys", "signer", "ok", f"{', '.join(found)} in {settings.keystores}")


def _store(settings: Settings) -> Finding:
    if settings.store == "sqlite":
        return Finding("store", "operator", "ok", "SQLite, in the guard's home")
    facts = server_facts(settings)
    detail = f"PostgreSQL {facts.version} at {settings.store}: fsync on, {len(facts.logs)} logs"
    if not (facts.may_create or facts.logs):
        remedy = "GRANT CREATE ON DATABASE … to this user, or make the log's schema as in agent_guard/store/README.md."
        return Finding("store", "operator", "warn", f"{detail}, and this user may not make one", remedy)
    return Finding("store", "operator", "ok", detail)


CHECKS: tuple[tuple[str, str, str, Check], ...] = (
    ("python", "all", "fail", _python),
    ("home", "operator", "fail", _home),
    ("store", "operator", "fail", _store),
    ("bubblewrap", "operator", "fail", _bubblewrap),
    ("trial kill", "operator", "fail", _sandbox),
    ("council", "all", "fail", _council),
    ("clock", "operator", "fail", _clock),
    ("keys", "signer", "warn", _keys),
    ("anvil", "devnet", "warn", _anvil),
)
