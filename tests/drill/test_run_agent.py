"""What an agent sees and can do inside: its socket by SDK and by curl, its folder, and nothing else."""

import json
import shutil
from dataclasses import replace

import pytest
from eth_account import Account

from agent_guard.keys import keystore
from agent_guard.typed_data import SignedHead, head_typed_data

pytestmark = pytest.mark.drill

SDK = """
import json
from agent_guard.sdk import Guard
guard = Guard()
with guard.action("fs.write", path="out.txt") as action:
    open("out.txt", "w").write("work")
    action.result = {"bytes": 4}
print(guard.status(), file=open("status.txt", "w"))
"""
RECEIPT = """
from agent_guard.sdk import Guard
guard = Guard()
with guard.action("fs.write", path="out.txt") as action:
    pass
open("receipt", "w").write(action.receipt().head.encode())
"""
CURL = """
curl -sS --unix-socket "$AGENT_GUARD_SOCKET" --json '{"tool":"curl.step","arguments":{"n":1}}' \\
  http://guard/v1/actions > answer.json
curl -sS --unix-socket "$AGENT_GUARD_SOCKET" http://guard/health > health.json
"""


TASK = """
import os, signal
from agent_guard.sdk import Guard
guard = Guard()
with guard.checkpoint("work.json", {"next": 0}) as state:
    first = state["next"]
    while state["next"] < 6:
        with guard.action("work.step", number=state["next"]):
            print(state["next"], file=open("steps", "a"))
            state["next"] += 1
            if first == 0 and state["next"] == 3:
                os.kill(os.getpid(), signal.SIGTERM)
"""


def rows(town):
    return town.cli.ask("log", "list", "indexer", "--last", "1000")["rows"]


def test_sdk_acts_inside_the_container_and_the_log_holds_it(drill, guard):
    run = guard(drill, SDK)

    assert run.code() == 0, run.told
    assert (run.work / "out.txt").read_text() == "work"
    kinds = [row["kind"] for row in rows(drill)]
    assert kinds == ["config", "start", "intent", "outcome", "exit"]
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"
    shown = drill.cli.ask("log", "show", "indexer", "2")
    assert "fs.write" in json.dumps(shown)


def test_agent_keeps_signed_receipts_that_stand_against_its_operator(drill, guard):
    """Of an honest operator they prove nothing; of one that signs another history for that size, they halt."""
    run = guard(drill, RECEIPT)

    assert run.code() == 0, run.told
    head = SignedHead.decode((run.work / "receipt").read_text())
    assert head.signer() == head.operator == drill.address("operator")
    proven = drill.cli.fails("AG433", 1, "log", "accuse", "indexer", run.work / "receipt", "--dry-run")
    assert "Nothing is proven" in proven["message"]

    operator = keystore.unlock(drill.keys.folder / "operator", "devnet")
    message = head_typed_data(head.size, bytes(32), head.chain_id, head.council)
    lie = replace(
        head,
        root=bytes(32),
        signature=bytes(Account.sign_typed_data(operator.key, full_message=message).signature),
    )
    (drill.folder / "lie").write_text(lie.encode())
    command = ("log", "accuse", "indexer", run.work / "receipt", drill.folder / "lie")
    done = drill.cli.ask(*command, "--account", "signer3", "--yes")
    assert (done["applied"], done["detail"]["state"]) == (True, "halted")


def test_a_task_told_to_stop_in_its_container_goes_on_in_the_next_run(drill, guard):
    run = guard(drill, TASK)
    assert run.code() == 75, run.told
    assert json.loads((run.work / "work.json").read_text())["state"] == {"next": 3}

    assert guard(drill, TASK).code() == 0

    assert (run.work / "steps").read_text().split() == list("012345")
    assert sorted(path.name for path in run.work.iterdir()) == ["steps"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this host")
def test_curl_acts_inside_the_container_as_well(drill, guard):
    run = guard(drill, command=("/bin/sh", "-c", CURL))

    assert run.code() == 0, run.told
    answer = json.loads((run.work / "answer.json").read_text())
    assert answer["decision"] == "allow"
    assert {"seq", "leaf_hash", "observed_block"} <= set(answer)
    assert "intent" in [row["kind"] for row in rows(drill)]


def test_agent_sees_no_keys_no_log_no_network_and_cannot_write_its_code(drill, guard):
    secret = drill.keys.folder / "signer1"
    code = f"""
import socket
seen = [path for path in ({str(secret)!r}, {str(drill.folder / "home/devnet/logs")!r}) if os.path.exists(path)]
try:
    socket.create_connection(("127.0.0.1", {drill.anvil.port}), timeout=1); seen.append("the chain")
except OSError: pass
try:
    open(os.__file__, "ab"); seen.append("its interpreter, to write")
except OSError: pass
for pid in filter(str.isdigit, os.listdir("/proc")):
    if b"\\0run\\0indexer\\0" in open(f"/proc/{{pid}}/cmdline", "rb").read():
        seen.append("the guard's process")
open("seen", "w").write(repr(seen))
"""

    run = guard(drill, code)

    assert run.code() == 0, run.told
    assert (run.work / "seen").read_text() == "[]"


def test_agent_gets_what_it_is_given_and_only_to_read(drill, guard):
    inbox = drill.folder / "inbox"
    inbox.mkdir()
    (inbox / "text").write_text("hello")
    code = f"""
try:
    open({str(inbox / "new")!r}, "w"); written = True
except OSError:
    written = False
open("got", "w").write(open({str(inbox / "text")!r}).read() + str(written) + os.environ["GREETING"])
"""

    run = guard(drill, code, "--ro", inbox, "--env", "GREETING=hi")

    assert run.code() == 0, run.told
    assert (run.work / "got").read_text() == "helloFalsehi"
    assert not (inbox / "new").exists()


def test_hostile_output_and_hostile_names_forge_no_row(drill, guard):
    code = (
        "from agent_guard.sdk import Guard\n"
        "with Guard().action('work\\x1b[2J\\u202e\\n99 death', note='x\\ny'): pass\n"
        "print('no event', flush=True)"
    )

    run = guard(drill, code)

    run.code()
    listed = drill.cli("log", "list", "indexer", "--last", "100").stdout
    assert "\x1b" not in listed
    assert "\u202e" not in listed
    assert not [line for line in listed.splitlines() if line.startswith("99")]
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"
