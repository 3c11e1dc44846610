"""A guarded run whose log two witnesses cosign, anchored on a real chain; and witnesses that lie to it."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent_guard.checkpoint import Cosignature, CosignatureVerifier, cosignatures, open_checkpoint, parse
from agent_guard.checkpoint import Verifier as LogVerifier
from agent_guard.store import SavedCheckpoint, SqliteReader
from tests.witness_process import Process

pytestmark = pytest.mark.drill

BRISK = {"AGENT_GUARD_ANCHOR_AGE": "0.5"}
ACT = """
from agent_guard.sdk import Guard
import time
guard = Guard()
while True:
    with guard.action("work.step"):
        time.sleep(0.2)
"""
STRANGER = "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv"


def newest(town: Any) -> SavedCheckpoint:
    (path,) = (town.folder / "home/devnet/logs").glob("*.sqlite")
    with SqliteReader(path) as reader:
        saved = reader.checkpoint_at_most(2**63 - 1)
    assert saved is not None
    return saved


@pytest.fixture
def vkey(drill: Any, guard: Callable[..., Any]) -> str:
    """The verifier key of the log, as the operator finds it after a first run."""
    run = guard(drill, command=("/bin/true",), wait="")
    assert run.code() == 0
    shown = drill.cli.ask("log", "list", "indexer")["rows"]
    (config,) = [row["content"] for row in shown if row["kind"] == "config"]
    return str(config["checkpoint_vkey"])


def cosigned(town: Any, vkey: str, *keys: CosignatureVerifier) -> tuple[Cosignature, ...]:
    """Which of the witnesses have cosigned the head that the chain holds, as an auditor checks it."""
    saved, key = newest(town), LogVerifier.parse(vkey)
    assert open_checkpoint(saved.note, [key], key.name).size == saved.size
    assert (
        town.contract.head(town.address("operator"), town.connection.endpoint.block()).root
        == parse(saved.note).root
    )
    return cosignatures(saved.note, keys)


def test_every_anchored_head_is_cosigned_by_two_witnesses_to_the_last(
    drill: Any, guard: Callable[..., Any], until: Callable[..., None], vkey: str, tmp_path: Path
) -> None:
    one, two = (Process(drill.cli, tmp_path / n, vkey, name=f"witness.example/{n}") for n in ("1", "2"))
    configured = ",".join(f"{witness.url} {witness.ready['vkey']}" for witness in (one, two))
    run = guard(drill, ACT, AGENT_GUARD_WITNESSES=configured, **BRISK)

    def said() -> Any:
        return drill.cli.ask("status", "indexer")["witnesses"]

    until("both have cosigned", lambda: said() == {"cosigned": 2, "total": 2, "trouble": {}})
    assert "2 of 2 have cosigned the newest anchored head" in drill.cli("status", "indexer").stdout
    one.end()  # and one of them goes away
    until("its absence is told", lambda: "witness.example/1" in said()["trouble"])
    assert run.event("trouble")["error"]["code"] == "AG563"
    until("the other goes on", lambda: said()["cosigned"] == 1)
    Process(drill.cli, tmp_path / "1", vkey, name="witness.example/1", port=one.port)
    until("it is back", lambda: said()["cosigned"] == 2)

    run.process.send_signal(signal.SIGTERM)
    assert run.code() == 130
    found = cosigned(drill, vkey, one.key, two.key)
    assert [one_.witness for one_ in found] == [one.key, two.key]  # the death receipt's head among them
    listed = drill.cli.ask("witness", "list", "--state", tmp_path / "2")
    assert [(row["origin"], row["size"]) for row in listed["rows"]] == [
        (vkey.partition("+")[0], newest(drill).size)
    ]
    assert listed["forks"] == []
    assert drill.cli.ask("audit", "indexer")["result"] == "VERIFIED"


def test_a_log_that_was_rolled_back_under_a_witness_is_told_aloud(
    drill: Any, guard: Callable[..., Any], vkey: str, tmp_path: Path
) -> None:
    """Told by the witness alone: here the chain was rolled back as well."""
    witness = Process(drill.cli, tmp_path / "w", vkey)
    configured = f"{witness.url} {witness.ready['vkey']}"
    before = drill.rpc("evm_snapshot")
    (path,) = (drill.folder / "home/devnet/logs").glob("*.sqlite")
    old = path.read_bytes()
    run = guard(drill, command=("/bin/true",), wait="", AGENT_GUARD_WITNESSES=configured, **BRISK)
    assert run.code() == 0
    assert cosigned(drill, vkey, witness.key)
    drill.rpc("evm_revert", before)
    path.write_bytes(old)

    run = guard(drill, command=("/bin/true",), wait="", AGENT_GUARD_WITNESSES=configured, **BRISK)
    assert run.event("trouble")["error"]["code"] == "AG564"
    assert run.code() == 0


@pytest.fixture
def liars() -> Iterator[Callable[[int, bytes, str], str]]:
    """HTTP servers that answer everything alike; their URLs."""
    servers: list[ThreadingHTTPServer] = []

    def make(status: int, body: bytes, media_type: str = "text/plain") -> str:
        class Liar(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response(status)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Liar))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def test_lying_witnesses_keep_no_agent_from_working_and_no_halt_from_killing(
    drill: Any, guard: Callable[..., Any], liars: Callable[..., str], tmp_path: Path
) -> None:
    remembered = json.loads((Path(__file__).parents[1] / "vectors/cosignature.json").read_text())["live"]
    urls = [
        liars(409, b"9223372036854775807\n", "text/x.tlog.size"),
        liars(200, b"x" * 10_000_000),
        liars(200, remembered["note"].rpartition("\n\n")[2].encode()),
    ]
    keys = [STRANGER, *remembered["witnesses"][:2]]
    configured = ",".join(f"{url} {key}" for url, key in zip(urls, keys, strict=True))
    run = guard(drill, "resist(); beat()", AGENT_GUARD_WITNESSES=configured, **BRISK)
    codes: set[str] = set()
    while codes != {"AG563", "AG564"}:  # each liar is asked again and again
        codes.add(run.event("trouble")["error"]["code"])
    assert run.beats()
    drill.vote("HALT", "indexer", "signer1", "signer2")
    run.event("dead")
    assert run.code() == 8
    assert run.alive() == []
    assert newest(drill).note.count("— ") == 1
    audited = drill.cli.ask("audit", "indexer")
    assert (audited["result"], audited["anchored"]) == ("VERIFIED", audited["entries"])
