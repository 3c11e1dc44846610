"""Contents erased while a real guard runs: by its own user over its socket and by nobody else; no stop waits for it."""

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from agent_guard.log.reading import get
from agent_guard.log.recorder import Recorder
from agent_guard.store import SqliteReader, SqliteStore
from agent_guard.store.rows import erasure_key
from tests.drill.conftest import ACT
from tests.ports import free_port
from tests.postgres import Server

pytestmark = pytest.mark.drill
BRISK = {"AGENT_GUARD_ANCHOR_AGE": "0.5"}
WORK = (
    ACT
    + """
import threading
from agent_guard.sdk import Guard
def work():
    guard, answers = Guard(), open("answers", "a", buffering=1)
    for number in range(100_000):
        answers.write(act(guard, secret=f"secret-{number}.").partition(":")[0] + "\\n")
        time.sleep(0.05)
threading.Thread(target=work, daemon=True).start()
beat()
"""
)
# Orders the guard to erase, as only its user may, at the only door that an agent has.
REBEL = (
    ACT
    + """
import http.client, json, os, socket
from agent_guard.sdk import Guard
act(Guard(), secret="secret-0.")
answers = []
for path in ("/v1/erasures", "/v1/erasures/", "/v1/actions/0/erasure", "/v1/../v1/erasures"):
    for method in ("POST", "PUT", "DELETE"):
        connection = http.client.HTTPConnection("guard")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(os.environ["AGENT_GUARD_SOCKET"])
        order = json.dumps({"agent": "indexer", "seq": 2, "reason": "mine"})
        connection.request(method, path, order, {"content-type": "application/json"})
        answers.append(connection.getresponse().status)
open("statuses", "w").write(json.dumps(answers))
with open("beat", "a") as file:
    file.write(".")
beat()
"""
)


def path_of(town: Any) -> Path:
    (path,) = (town.folder / "home/devnet/logs").glob("*.sqlite")
    return Path(path)


def on_disk(town: Any) -> bytes:
    path = path_of(town)
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def first_intent(town: Any, **environ: str) -> int:
    rows = town.cli.ask(
        "log", "list", "indexer", "--from", "0", "--kind", "intent", "--last", "1000", **environ
    )
    return int(rows["rows"][0]["seq"])


def erase(town: Any, seq: int, expect: int = 0, **environ: str) -> Any:
    return town.cli(
        "log", "erase", "indexer", seq, "--reason", "asked for", "--yes", "--json", expect=expect, **environ
    ).json


def worked(run: Any) -> bool:
    path = run.work / "answers"
    return path.exists() and len(path.read_text().splitlines()) >= 5


def test_running_guard_erases_for_its_own_user_and_goes_on(drill, guard, until):
    run = guard(drill, WORK, **BRISK)
    until("some actions", lambda: worked(run))
    seq = first_intent(drill)
    assert b"secret-0." in on_disk(drill)
    done = erase(drill, seq)
    assert (done["applied"], done["detail"]["by"]) == (True, "guard")
    assert b'"secret":"secret-0."' not in on_disk(drill)
    assert erase(drill, seq)["detail"] == {**done["detail"], "repeated": True}
    assert erase(drill, 10**9, expect=1)["error"]["code"] == "AG540"

    drill.vote("halt", "indexer", "signer1", "signer2")
    run.event("dead")
    assert run.code() == 8
    found = drill.cli.ask("audit", "indexer")
    assert (found["result"], found["erased"]) == ("VERIFIED", 1)
    assert f"entry {seq} by entry {done['detail']['record']}" in found["openness"]["detail"]


def test_port_for_signers_takes_no_erasure(drill, guard, until):
    port = free_port()
    run = guard(drill, WORK, AGENT_GUARD_SIGNERS_LISTEN=f"127.0.0.1:{port}", **BRISK)
    until("some actions", lambda: worked(run))
    seq = first_intent(drill)
    order = json.dumps({"agent": "indexer", "seq": seq, "reason": "a stranger's"})
    for path in ("/v1/erasures", "/v1/erasures/", "/v1/ballots/../erasures", "//v1/erasures"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", path, order, {"content-type": "application/json"})
        assert connection.getresponse().status in (404, 405)
    with SqliteReader(path_of(drill)) as reader:
        assert get(reader, seq).content["arguments"] == {"secret": "secret-0."}
        assert list(reader.erasures()) == []
    (sock,) = (drill.folder / "home/devnet/guards").glob("*/guard.sock")
    assert sock.stat().st_mode & 0o777 == 0o600


def test_agent_can_not_erase_by_any_path_or_method_of_its_own_door(drill, guard, until):
    run = guard(drill, REBEL, **BRISK)
    until("it has tried", lambda: (run.work / "statuses").exists())
    assert set(json.loads((run.work / "statuses").read_text())) <= {404, 405}
    with SqliteReader(path_of(drill)) as reader:
        assert list(reader.erasures()) == []
        assert not [row for row in reader.rows() if row.content is None]


def test_guard_finishes_at_its_start_what_one_that_was_killed_had_only_recorded(drill, guard, until):
    run = guard(drill, WORK, **BRISK)
    until("some actions", lambda: worked(run))
    run.kill()
    run.process.wait()
    seq = first_intent(drill)
    with SqliteReader(path_of(drill)) as reader:
        identity = reader.identity()
    with SqliteStore(path_of(drill), identity) as store:
        recorder = Recorder(store, block=lambda: None)
        done = recorder.append("indexer", "erasure", {}, refers_to=seq, idempotency_key=erasure_key(seq))
        done.result()
        recorder.close()
    assert b'"secret":"secret-0."' in on_disk(drill)
    run = guard(drill, WORK, **BRISK)
    until("it is erased", lambda: b'"secret":"secret-0."' not in on_disk(drill))
    drill.vote("halt", "indexer", "signer1", "signer2")
    assert run.code() == 8
    found = drill.cli(
        "audit", "indexer", "--json", expect=None
    ).json  # no death is on record of the one that was killed
    assert (found["openness"]["result"], found["erased"]) == ("VERIFIED", 1)


def test_halt_kills_while_an_erasure_waits_for_a_reader(drill, guard, until):
    run = guard(drill, WORK, **BRISK)
    until("some actions", lambda: worked(run))
    seq = first_intent(drill)
    with SqliteReader(path_of(drill)) as reader, reader.snapshot():
        assert reader.size() > 0
        orders = [
            drill.cli.start("log", "erase", "indexer", seq + n, "--reason", "asked for", "--yes", "--json")
            for n in range(2)
        ]
        drill.vote("halt", "indexer", "signer1", "signer2")
        until("its death", lambda: not run.alive(), seconds=15)  # an order waits for 20
        codes = {json.loads(order.communicate(timeout=60)[0])["error"]["code"] for order in orders}
        # On record and held up by the reader; or the guard had ended before it could answer.
        assert codes <= {"AG582", "AG580", "AG521"}
    assert run.code() == 8
    erase(drill, seq)
    assert b'"secret":"secret-0."' not in on_disk(drill)


def test_guard_whose_log_lies_on_a_server_erases_the_same_way(drill, guard, until):
    server = Server()
    server.start()
    try:
        store = {"AGENT_GUARD_STORE": server.url()}
        run = guard(drill, WORK, **BRISK, **store)
        until("some actions", lambda: worked(run))
        seq = first_intent(drill, **store)
        done = erase(drill, seq, **store)
        assert (done["applied"], done["detail"]["by"]) == (True, "guard")
        drill.vote("halt", "indexer", "signer1", "signer2")
        assert run.code() == 8
        after = erase(drill, seq + 1, **store)
        assert after["detail"]["by"] == "command"
        found = drill.cli.ask("audit", "indexer", **store)
        assert (found["result"], found["erased"]) == ("VERIFIED", 2)
        shown = drill.cli.ask("log", "show", "indexer", seq, **store)["rows"][0]
        assert (shown["content"], shown["erasure"]["content"]) == (None, {"reason": "asked for"})
    finally:
        server.close()
