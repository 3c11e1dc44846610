"""A witness in a process of its own, as chain tests and drills start it."""

import json
import signal
from pathlib import Path

import httpx

from agent_guard.checkpoint import CosignatureVerifier
from tests.conftest import Cli
from tests.ports import free_port


class Process:
    """`agent-guard witness serve` in a process of its own."""

    def __init__(
        self,
        cli: Cli,
        state: Path,
        *logs: str,
        port: int | None = None,
        name: str = "witness.example/w",
        options: tuple[object, ...] = (),
    ) -> None:
        given = [option for vkey in logs for option in ("--log", vkey)]
        self.state = state
        self.process = cli.start(
            "witness",
            "serve",
            "--name",
            name,
            "--state",
            state,
            "--listen",
            f"127.0.0.1:{free_port() if port is None else port}",
            "--json",
            *given,
            *options,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr and self.process.stderr.read()
        self.ready = json.loads(line)
        self.url = str(self.ready["url"])
        self.key = CosignatureVerifier.parse(self.ready["vkey"])

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(self, body: bytes) -> httpx.Response:
        return httpx.post(f"{self.url}/add-checkpoint", content=body, timeout=60, trust_env=False)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)
