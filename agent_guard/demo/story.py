"""The story, step by step. Each step is one command of `agent-guard`, shown as it is typed."""

import itertools
import json
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent_guard.cli.output import Facts, Output
from agent_guard.demo import texts
from agent_guard.demo.stage import Stage

AGENT = "indexer"
KEYS = "deployments/devnet/keystores"
PASSWORD = "deployments/devnet/password"  # noqa: S105 - the path of a published one
REASON = "it read what it should not"


def tell(out: Output) -> None:
    """Tells the story.

    Raises:
        GuardError: AG100 if a step did not go as it should; what had been started is ended.
    """
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="agent-guard-demo-"))
    port = _free_port()
    environ = {
        "ETH_RPC_URL": f"http://127.0.0.1:{port}",
        "AGENT_GUARD_HOME": str(folder / "home"),
        "AGENT_GUARD_KEYSTORES": KEYS,
        "ETH_PASSWORD": PASSWORD,
        "PYTHONUNBUFFERED": "1",
    }
    stage = Stage(folder, environ, lambda line: out.relay(line, indent=3))
    try:
        rows = _play(stage, out.narrate, port)
    finally:
        stage.clear()
        shutil.rmtree(folder)
    out.narrate("")
    out.result(
        {"steps": dict(rows), "seconds": round(time.monotonic() - began, 1)},
        Facts([*rows, ("the whole story", f"{time.monotonic() - began:.0f} s")]),
    )


def _play(stage: Stage, say: Callable[[str], None], port: int) -> list[tuple[str, str]]:
    step = _steps(say)
    step("A local chain, and on it a council: 2 of 3 signers halt.")
    chain = stage.start("devnet", "--port", str(port), "--json")
    stage.await_event(chain, "ready")
    operator = _operator(stage)
    step("Two signers register an agent and name the operator who guards it.")
    for signer in ("signer1", "signer2"):
        stage.run("agent", "register", AGENT, "--operator", operator, "--account", signer, "--yes")
    step("The operator runs it: a program that indexes texts, and starts children that no signal ends.")
    texts.write(stage.folder / "inbox", 500)
    command = (sys.executable, "-m", "agent_guard.demo.agent", str(stage.folder / "inbox"))
    guard = stage.start("run", AGENT, "--account", "operator", "--ro", "inbox", "--json", "--", *command)
    stage.await_event(guard, "started")
    stage.until("some actions", lambda: len(_entries(stage)) > 20)
    stage.run("status", AGENT)
    stage.run("log", "list", AGENT, "--last", "4")
    step("A signer votes to halt. The first vote freezes the agent.")
    stage.run("vote", "halt", AGENT, "--account", "signer1", "--reason", REASON, "--yes")
    frozen = stage.await_event(guard, "frozen")
    stage.show(f"the guard: frozen, {frozen['reason']}")
    step("A second signer votes, and nothing of the agent is left.")
    stage.run("vote", "halt", AGENT, "--account", "signer3", "--reason", REASON, "--yes")
    dead = stage.await_event(guard, "dead")
    code = guard.wait(timeout=120)
    alive = _processes_of(str(stage.folder / "inbox"))
    stage.show(f"the guard: dead, {dead['processes']} processes killed; it ended with exit code {code}")
    stage.show(f"the host: {alive} processes of the agent are alive")
    stage.run("run", AGENT, "--account", "operator", "--", "true", expect=8)
    step("An auditor checks the log against the chain.")
    verified = stage.run("audit", AGENT)
    step("Someone changes one byte of the log. The auditor checks again.")
    _change_a_byte(stage)
    tampered = stage.run("audit", AGENT, expect=5)
    stages = dead["stages_ms"]
    return [
        ("first vote to freeze", _milliseconds(stages["vote"], frozen["at_ms"])),
        ("halt seen to dead", _milliseconds(stages["seen"], stages["dead"])),
        ("processes killed", str(dead["processes"])),
        ("processes alive", str(alive)),
        ("exit code of the run", str(code)),
        ("audit", verified.splitlines()[0]),
        ("audit after the change", tampered.splitlines()[0]),
    ]


def _steps(say: Callable[[str], None]) -> Callable[[str], None]:
    """Says a step with its number, apart from the one before."""
    numbers = itertools.count(1)

    def step(what: str) -> None:
        say("")
        say(f"{next(numbers)}. {what}")

    return step


def _operator(stage: Stage) -> str:
    keys = stage.ask("key", "list")["rows"]
    return str(next(key["address"] for key in keys if key["name"] == "operator"))


def _entries(stage: Stage) -> list[object]:
    rows = stage.ask("log", "list", AGENT, "--last", "100").get("rows", [])
    return list(rows)


def _milliseconds(start: int | None, end: int | None) -> str:
    return "-" if start is None or end is None else f"{end - start} ms"


def _processes_of(marker: str) -> int:
    """Living processes whose command line names the agent's own folder, counted without the guard's help."""
    count = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended while we looked
        count += marker.encode() in words and b"agent_guard.demo.agent" in words
    return count


def _change_a_byte(stage: Stage) -> None:
    """What someone with root on the guard's host could do: one digit of one entry, past the append-only triggers."""
    path = next((stage.folder / "home").glob("*/logs/*.sqlite"))
    stage.show(f"$ sqlite3 {path.name} ...  # one digit of entry 12")
    with sqlite3.connect(path) as log:
        for (name,) in log.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            log.execute(f'DROP TRIGGER "{name}"')
        (body,) = log.execute("SELECT body FROM entry WHERE leaf_index = 12").fetchone()
        entry = json.loads(body)
        entry["time"] += 1
        changed = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()
        log.execute("UPDATE entry SET body = ? WHERE leaf_index = 12", (changed,))
    log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
