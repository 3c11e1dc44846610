"""`vote submit --to` against what answers in a guard's place: nobody, somebody else, somebody who means harm."""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from agent_guard.typed_data import SignedBallot, agent_id, ballot_typed_data, reason_hash
from agent_guard.types import Action, Ballot
from agent_guard.voting import handover
from tests.conftest import Cli

pytestmark = pytest.mark.drill

KEY = Account.from_key(b"\x07" * 32)
YES = json.dumps({"accepted": True, "signer": KEY.address}).encode()
Answer = Callable[[socket.socket], None]


def ballot_file(folder: Path, action: Action = Action.HALT) -> Path:
    council = "0x" + "11" * 20
    ballot = Ballot(agent_id("scout"), action, bytes(32), 1, 1, KEY.address, 1 << 33, reason_hash("late"))
    message = ballot_typed_data(ballot, 1, council)
    signature = bytes(Account.sign_typed_data(KEY.key, full_message=message).signature)
    path = folder / f"{action.name}.ballot"
    path.write_text(SignedBallot(1, council, ballot, signature, "late").encode())
    return path


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The program where there is neither a record, nor a key, nor a chain."""
    made = Cli(
        tmp_path, {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ETH_RPC_URL": "http://127.0.0.1:9"}
    )
    yield made
    made.clear()


class Impostor:
    """Listens in a guard's place on TCP, and on a Unix socket; `requests` holds what came."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path, self.answer = path, answer
        self.requests: list[bytes] = []
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        with contextlib.chdir(path.parent):
            self.unix.bind(path.name)
        self.unix.listen()
        self.over = threading.Event()
        for listening in (self.tcp, self.unix):
            threading.Thread(target=self._serve, args=(listening,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.tcp.getsockname()[1]}"

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self.over.is_set():
                client, _ = listening.accept()
                threading.Thread(target=self._speak, args=(client,), daemon=True).start()

    def _speak(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.settimeout(10)
            request = b""
            while b"\r\n\r\n" not in request or not request.rstrip().endswith(b"}"):
                request += client.recv(65_536)
            self.requests.append(request)
            self.answer(client)

    def close(self) -> None:
        self.over.set()
        self.tcp.close()
        self.unix.close()


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Callable[..., Impostor]]:
    made: list[Impostor] = []

    def make(answer: Answer, path: Path | None = None) -> Impostor:
        made.append(Impostor(path or tmp_path / "guard.sock", answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def says(status: int, body: bytes, head: str = "") -> Answer:
    def answer(client: socket.socket) -> None:
        client.sendall(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{head}connection: close\r\n\r\n".encode()
            + body
        )

    return answer


def drip(piece: bytes, seconds: float, for_seconds: float = 60) -> Answer:
    """A byte at a time, so that no single wait is long."""

    def answer(client: socket.socket) -> None:
        ends = time.monotonic() + for_seconds
        client.sendall(piece[:-1])
        while time.monotonic() < ends:
            client.sendall(piece[-1:])
            time.sleep(seconds)

    return answer


def test_yes_of_a_guard_is_told_and_takes_neither_key_nor_chain(cli, impostor, tmp_path):
    guard = impostor(says(200, YES))
    file = ballot_file(tmp_path)

    said = cli.ask("vote", "submit", file, "--to", guard.url, "--to", guard.path, "--yes")

    assert (said["applied"], said["tx"], said["target"]) == (True, None, "0x" + "11" * 20)
    assert [(one["fate"], one["signer"]) for one in said["detail"]["guards"]] == [
        ("accepted", KEY.address)
    ] * 2
    for request in guard.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v1/ballots HTTP/1.1\r\n")
        assert SignedBallot.decode(body.decode()).signature
    shown = cli("vote", "submit", file, "--to", guard.url, "--yes")
    assert "it counts" in shown.stderr
    assert "handed over 1 of 1" in shown.stdout


@pytest.mark.parametrize(
    "answer",
    [
        says(200, YES.replace(b"true", b"false")),
        says(200, YES.replace(KEY.address.encode(), b"0x" + b"22" * 20)),
        says(302, b"", "location: http://127.0.0.1:9/\r\n"),
        says(404, b"<html>"),
        says(200, b"[" * 60_000),
        says(101, b""),
        lambda client: client.sendall(b"SSH-2.0-OpenSSH\r\n"),
        lambda client: client.close(),
        says(200, b"\x1f\x8b\x08" + bytes(100), "content-encoding: gzip\r\n"),
    ],
    ids=[
        *(
            "no",
            "another signer",
            "a redirect",
            "another server",
            "brackets",
            "an upgrade",
            "no HTTP",
            "nothing",
        ),
        "compressed",
    ],
)
def test_anything_but_a_clear_yes_is_no_yes(cli, impostor, tmp_path, answer):
    guard = impostor(answer)
    error = cli.fails("AG317", 1, "vote", "submit", ballot_file(tmp_path), "--to", guard.url, "--yes")
    assert guard.url in error["message"]
    assert len(guard.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda client: time.sleep(60),
        drip(b"HTTP/1.1 200 OK\r\nx-a: a", 0.05),
        drip(b"HTTP/1.1 200 OK\r\n\r\n ", 0.05),
    ],
    ids=["never", "a head without end", "a body without end"],
)
def test_one_that_does_not_come_to_an_end_holds_up_no_other(cli, impostor, tmp_path, answer, monkeypatch):
    monkeypatch.setattr(handover, "SECONDS", 4.0)  # the good one answers in this time
    bad, good = impostor(answer), impostor(says(200, YES), tmp_path / "other.sock")

    began = time.monotonic()
    said = cli.ask("vote", "submit", ballot_file(tmp_path), "--to", bad.url, "--to", good.path, "--yes")

    assert time.monotonic() - began < 40
    assert [one["fate"] for one in said["detail"]["guards"]] == ["unreached", "accepted"]


def test_program_ends_though_a_guard_never_does(cli, impostor, tmp_path):
    forever = drip(b"HTTP/1.1 200 OK\r\nx-a: a", 0.5, for_seconds=240)
    bad, good = impostor(forever), impostor(says(200, YES), tmp_path / "other.sock")
    cli.environ["PYTHONPATH"] = str(Path(handover.__file__).parents[2])
    process = cli.start("vote", "submit", ballot_file(tmp_path), "--to", bad.path, "--to", good.url, "--yes")
    assert process.wait(timeout=180) == 0, process.stderr.read()
    assert sys.executable in process.args


def test_answer_without_end_is_not_read_to_its_end(cli, impostor, tmp_path):
    sent: list[int] = []

    def flood(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(1_000):
            client.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            sent.append(0x10000)

    guard = impostor(flood)
    error = cli.fails("AG317", 1, "vote", "submit", ballot_file(tmp_path), "--to", guard.url, "--yes")

    assert "longer than any of a guard" in error["message"]
    assert sum(sent) < 32 << 20


def test_refusal_is_told_with_its_reason_and_nothing_that_steers_a_terminal(cli, impostor, tmp_path):
    why = "it is late\x1b[2J\n0x00: it counts"
    body = json.dumps({"error": {"code": "AG315", "kind": "usage", "message": why, "remedy": "x"}}).encode()
    guard = impostor(says(409, body))

    outcome = cli("vote", "submit", ballot_file(tmp_path), "--to", guard.path, "--yes", expect=2)

    assert "it is late" in outcome.stderr
    assert "\x1b" not in outcome.stderr
    assert not any(line.startswith("0x00") for line in outcome.stderr.splitlines())


def test_door_that_is_flooded_is_tried_again_and_not_for_ever(cli, impostor, tmp_path):
    busy = json.dumps({"error": {"code": "AG606", "message": "too many"}}).encode()
    answers: list[Answer] = [says(503, busy), says(503, busy), says(200, YES)]
    guard = impostor(lambda client: (answers.pop(0) if answers else says(503, busy))(client))
    file = ballot_file(tmp_path)

    assert cli.ask("vote", "submit", file, "--to", guard.path, "--yes")["applied"] is True
    assert len(guard.requests) == 3
    cli.fails("AG317", 1, "vote", "submit", file, "--to", guard.path, "--yes")
    assert len(guard.requests) == 3 + handover.ATTEMPTS


def test_proxy_of_the_environment_gets_nothing(cli, impostor, tmp_path):
    proxy, guard = impostor(says(200, YES)), impostor(says(200, YES), tmp_path / "other.sock")
    environ = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy.url)

    cli("vote", "submit", ballot_file(tmp_path), "--to", guard.url, "--yes", **environ)

    assert (len(proxy.requests), len(guard.requests)) == (0, 1)


def test_socket_whose_path_is_longer_than_the_kernel_takes_is_reached(cli, impostor, tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    guard = impostor(says(200, YES), deep / "guard.sock")

    assert cli.ask("vote", "submit", ballot_file(tmp_path), "--to", guard.path, "--yes")["applied"] is True


def test_folder_gets_the_ballot_and_the_record_is_named(cli, tmp_path):
    folder = tmp_path / "ballots"
    folder.mkdir()

    outcome = cli("vote", "submit", ballot_file(tmp_path), "--to", folder, "--yes")

    assert "the guard's own record shows whether it counted" in outcome.stderr
    (file,) = folder.iterdir()
    assert SignedBallot.decode(file.read_text()).reason == "late"


def test_what_a_guard_does_not_take_is_refused_before_anything_is_handed_over(cli, impostor, tmp_path):
    guard = impostor(says(200, YES))
    halt, resume = ballot_file(tmp_path), ballot_file(tmp_path, Action.RESUME)

    def refused(code: str, *arguments: Any) -> str:
        return cli.fails(code, 2, "vote", *arguments, "--to", guard.url, "--yes")["message"]

    assert "a resume takes force on chain alone" in refused("AG101", "submit", halt, resume)
    assert "no key pays" in refused("AG101", "submit", halt, "--account", "operator")
    assert "can't be used as a ballot" in refused("AG314", "submit", tmp_path / "none")
    for verb in ("resume", "retire", "pause", "veto"):
        assert f"a {verb} takes force on chain alone" in refused("AG101", verb, "scout")
    assert "neither a socket nor a folder" in refused("AG101", "submit", halt, "--to", halt)
    assert (
        "needs a confirmation" in cli.fails("AG101", 2, "vote", "submit", halt, "--to", guard.url)["message"]
    )
    assert guard.requests == []
