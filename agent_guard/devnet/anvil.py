"""Runs Anvil as a child of this process, and ends it by its process id.

Anvil's accounts are published keys: whoever uses them outside a local chain loses what they hold.
"""

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from eth_account import Account

from agent_guard.errors import GuardError

MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 31_337
START_SECONDS = 20.0
STATES_ON_DISK = 500
"""Old blocks whose state can be asked for besides those that Anvil has in memory (its own choice is 3,600)."""


def private_key(index: int) -> str:
    """ "0x" hex of Anvil's published account `index` (BIP-44 path m/44'/60'/0'/0/index)."""
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return "0x" + bytes(account.key).hex()


def find_anvil() -> str:
    """Path of anvil, from PATH or the working folder's node_modules. Raises AG207."""
    found = shutil.which("anvil") or shutil.which("anvil", path=str(Path("node_modules/.bin").resolve()))
    if found is None:
        raise GuardError(
            "AG207",
            "Foundry's anvil is neither in PATH nor in node_modules/.bin. No chain was started.",
            "Install it: npm install @foundry-rs/anvil",
        )
    return _program_of(found)


def _program_of(found: str) -> str:
    """The program itself, where npm put a script of Node before it: a signal must reach the chain, not the script."""
    script = Path(found).resolve()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    program = script.parents[1] / f"anvil-{sys.platform}-{machine}/bin/anvil"
    return str(program) if script.name == "bin.mjs" and os.access(program, os.X_OK) else found


class Anvil:
    """One Anvil process on 127.0.0.1.

    Args:
        port: TCP port; 0 takes a free one.
        block_time: seconds between blocks; None mines a block per transaction.
        state: file that keeps the chain between runs, or None.
    """

    def __init__(self, port: int = 0, block_time: float | None = None, state: Path | None = None) -> None:
        self.port = port or _free_port()
        self.block_time = block_time
        self.state = state
        self._process: subprocess.Popen[bytes] | None = None
        self._states: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts Anvil and returns when it listens. Raises AG207, or AG208 if the port is in use."""
        if _listens(self.port):
            raise GuardError(
                "AG208",
                f"Port {self.port} of 127.0.0.1 is in use. No chain was started.",
                "Choose another with --port, or stop the program that listens there.",
            )
        command = [find_anvil(), "--host", "127.0.0.1", "--port", str(self.port), "--silent"]
        command += ["--mnemonic", MNEMONIC, "--chain-id", str(CHAIN_ID)]
        # Two blocks are final: a guard that saw a halt believes a resume only then, and Anvil's own 64 take long.
        command += ["--slots-in-an-epoch", "1"]
        if self.block_time is not None:
            # Both: a block every interval, and one at once for every transaction.
            command += ["--block-time", f"{self.block_time:g}", "--mixed-mining"]
        if self.state is not None:
            command += ["--state", str(self.state)]
        # Old states go to disk, gigabytes in a long run; at Anvil's own place a killed one would leave them for ever.
        self._states = tempfile.TemporaryDirectory(prefix="agent-guard-anvil-", ignore_cleanup_errors=True)
        command += ["--cache-path", self._states.name, "--max-persisted-states", str(STATES_ON_DISK)]
        # Its own session, so that Ctrl-C reaches us first and we decide when the chain goes.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._await_listening(self._process)

    def _await_listening(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                said = (process.stderr.read() if process.stderr else b"").decode(errors="replace")
                self.stop()
                raise GuardError(
                    "AG207",
                    f"Anvil ended at once with exit code {process.returncode}: {said.strip()[:300]}",
                    "Try it by hand: anvil --version",
                )
            if _listens(self.port):
                return
            time.sleep(0.02)
        self.stop()
        raise GuardError(
            "AG207",
            f"Anvil did not listen within {START_SECONDS:g} s. It was stopped.",
            "Try: anvil --version",
        )

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def stop(self) -> None:
        """Ends Anvil: SIGTERM, so that it can save its state, and SIGKILL if it won't."""
        process, self._process = self._process, None
        states, self._states = self._states, None
        if process is not None:
            _end(process)
        if states is not None:
            states.cleanup()

    def __enter__(self) -> "Anvil":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stderr:
        process.stderr.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
