"""What the tests against a real chain share: one Anvil, a fresh council for each test, keys, and the command line.

Every test gets a folder, a deployment record, keystores and a council of its own, so that none sees another's agents.
The command line runs inside this process (`Cli`), for importing web3 takes a second; what needs a process of its own
starts one (`Cli.start`).
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import pytest

# A time limit for an example, or for making ten of them, says more of the machine's load than of the code.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

ROOT = Path(__file__).parents[1]
ANVIL_PATH = ROOT / "node_modules/.bin"
SIGNERS = ("signer1", "signer2", "signer3")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: exit code and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.stdout))

    @property
    def error(self) -> dict[str, str]:
        """The one error of a command with --json."""
        return dict(self.json["error"])


@dataclass
class Cli:
    """`agent-guard` as a user has it in `folder`, with these variables and no others of its own."""

    folder: Path
    environ: dict[str, str]
    running: list["subprocess.Popen[str]"] = field(default_factory=list)
    python: str = sys.executable

    def __call__(
        self, *arguments: object, expect: int | None = 0, stdin: str = "", **environ: str
    ) -> Outcome:
        """Runs a command in this process. `environ` adds variables; "" takes one away."""
        from agent_guard.cli.main import main

        out, err, code = io.StringIO(), io.StringIO(), 0
        variables = {name: value for name, value in (self.environ | environ).items() if value}
        with (
            mock.patch.dict(os.environ, variables, clear=True),
            mock.patch.object(sys, "argv", ["agent-guard", *map(str, arguments)]),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        outcome = Outcome(code, out.getvalue(), err.getvalue())
        assert expect is None or code == expect, f"{arguments}: exit code {code}, {outcome}"
        return outcome

    def ask(self, *arguments: object, **environ: str) -> dict[str, Any]:
        """What a command says with --json."""
        return self(*arguments, "--json", **environ).json

    def fails(self, code: str, exit_code: int, *arguments: object, **environ: str) -> dict[str, str]:
        """Runs a command that must fail in this one way, with one error, one remedy and no other output."""
        # What follows "--" is the agent's own command line.
        before = arguments.index("--") if "--" in arguments else len(arguments)
        command = (*arguments[:before], "--json", *arguments[before:])
        outcome = self(*command, expect=exit_code, **environ)
        error = outcome.error
        assert (error["code"], set(error)) == (code, {"code", "kind", "message", "remedy"}), error
        assert error["message"]
        assert error["remedy"]
        assert outcome.stderr == ""
        return error

    def start(self, *arguments: object, **environ: str) -> "subprocess.Popen[str]":
        """Starts a command in a process of its own; whatever still runs at the test's end is ended by its pid."""
        process = subprocess.Popen(
            [self.python, "-m", "agent_guard", *map(str, arguments)],
            cwd=self.folder,
            env={name: value for name, value in (self.environ | environ).items() if value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that runs the tests in the background has them ignore SIGINT; a person's Ctrl-C is not ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.running.append(process)
        return process

    def clear(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@dataclass
class Town:
    """A chain with a council on it, 2 of 3 to halt and to resume, 3 to retire, and all that its people need."""

    anvil: Any
    folder: Path
    cli: Cli
    connection: Any
    keys: Any

    @property
    def contract(self) -> Any:
        return self.connection.contract

    def address(self, name: str) -> str:
        return str(self.keys.addresses[name])

    def rpc(self, method: str, *parameters: object) -> Any:
        answer = self.connection.endpoint.web3.provider.make_request(method, list(parameters))
        assert "error" not in answer, answer
        return answer.get("result")

    def pass_time(self, seconds: int) -> None:
        """Lets chain time pass, and mines the block that shows it."""
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    def height(self) -> int:
        return int(self.connection.endpoint.block().number)

    def sent(self) -> dict[str, int]:
        """Transactions of each account so far, those that wait included."""
        count = self.connection.endpoint.web3.eth.get_transaction_count
        return {name: count(address, "pending") for name, address in self.keys.addresses.items()}

    def state(self, agent: str) -> Any:
        from agent_guard.typed_data import agent_id

        identity = bytes(32) if agent == "--all" else agent_id(agent)
        return self.contract.snapshot([identity], self.connection.endpoint.block())[identity]

    def register(self, agent: str, operator: str | None = None) -> None:
        """Registers by two votes that Anvil signs itself: the quick way, where the command is not what is tested."""
        param = bytes(12) + bytes.fromhex((operator or self.address("operator"))[2:])
        self.vote("REGISTER", agent, *SIGNERS[:2], param=param)

    def vote(self, action: str, agent: str, *signers: str, param: bytes = bytes(32)) -> None:
        """Votes that Anvil signs itself."""
        from agent_guard.types import Action

        state, number = self.state(agent), int(Action[action.upper()])
        call = self.contract.contract.functions.vote(state.agent, number, param, state.epoch, bytes(32))
        eth = self.connection.endpoint.web3.eth
        for signer in signers:
            sent = call.transact({"from": self.address(signer), "gas": 500_000})
            receipt = eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.02)
            assert receipt["status"] == 1

    def prove_fork(self, agent: str) -> None:
        """Anyone shows two heads of one size that the devnet's operator signed, and so halts its agent."""
        from agent_guard.keys import keystore
        from agent_guard.typed_data import agent_id, head_typed_data

        operator, heads = keystore.unlock(self.keys.folder / "operator", "devnet"), []
        for root in (b"\x01" * 32, b"\x02" * 32):
            message = head_typed_data(7, root, self.connection.deployment.chain_id, self.contract.address)
            signed = operator.sign_typed_data(full_message=message).signature
            heads.append((7, root, bytes(signed)))
        call = self.contract.contract.functions.proveFork(operator.address, [agent_id(agent)], *heads, [], [])
        eth = self.connection.endpoint.web3.eth
        sent = call.transact({"from": self.address("signer3"), "gas": 500_000})
        assert eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.02)["status"] == 1

    def ballot(self, action: str, agent: str, signer: str, *options: object) -> Path:
        """A signed ballot in a file."""
        path = self.folder / f"{action}-{agent}-{signer}-{time.monotonic_ns()}.ballot"
        command = ("vote", action, agent, "--account", signer, "--sign-only", "-o", path, "--yes")
        self.cli(*command, *options)
        return path


@pytest.fixture(scope="session")
def anvil() -> Iterator[Any]:
    """One Anvil that mines a block for each transaction and whose time the tests may move."""
    from agent_guard.devnet.anvil import Anvil

    with _path_of_anvil(), Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def young_anvil() -> Iterator[Any]:
    """One Anvil for a module that makes twins: a dump holds every state that ever was, also of tests taken back."""
    from agent_guard.devnet.anvil import Anvil

    with _path_of_anvil(), Anvil() as running:
        yield running


@pytest.fixture(scope="session")
def ticking_anvil() -> Iterator[Any]:
    """One Anvil with a block each second as well, for guards: its time is the wall clock's."""
    from agent_guard.devnet.anvil import Anvil

    with _path_of_anvil(), Anvil(block_time=1) as running:
        yield running


def _path_of_anvil() -> Any:
    return mock.patch.dict(os.environ, PATH=f"{ANVIL_PATH}:{os.environ['PATH']}")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The devnet's keystores, made once and copied for each test: deriving the keys is slow."""
    from agent_guard.wiring.devnet import write_keys

    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def found(tmp_path: Path, keys: Any) -> Iterator[Callable[..., Town]]:
    """Founds a town: a fresh council on a running chain. Timing by keyword; seconds."""
    clis: list[Cli] = []

    def make(anvil: Any, **timing: int) -> Town:
        town = _found(anvil, tmp_path, keys, timing)
        clis.append(town.cli)
        return town

    yield make
    for cli in clis:
        cli.clear()


def _found(anvil: Any, folder: Path, keys: Any, timing: dict[str, int]) -> Town:
    from agent_guard import wiring
    from agent_guard.chain import deployment as records
    from agent_guard.settings import parse
    from agent_guard.types import Thresholds, Timing

    network = folder / "deployments/devnet"
    shutil.copytree(keys.folder.parent, network)
    keys = replace(keys, folder=network / "keystores", password_file=network / "password")
    # How long a guard waits for a node is the tests' affair where they say so; here the chain is asked, however slow.
    given = {"rpc_url": (anvil.url,), "deployments": folder / "deployments", "rpc_timeout": 30.0}
    settings = parse("", {}, given)
    endpoint = wiring.endpoint(settings)
    payer = wiring.unlock(settings, wiring.KeyChoice(None, keys.folder / "operator", keys.password_file))
    made = records.create(
        endpoint,
        wiring.sender(endpoint, payer, settings),
        "devnet",
        [keys.addresses[name] for name in SIGNERS],
        Thresholds(2, 2, 3),
        Timing(
            **{"pause": 60, "resume_delay": 2, "ballot_window": 3600, "lease": 0, "lease_grace": 0} | timing
        ),
    )
    records.save(made, settings.record_path)
    environ = {
        "PATH": f"{ANVIL_PATH}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "ETH_RPC_URL": anvil.url,
        "AGENT_GUARD_HOME": str(folder / "home"),
        "AGENT_GUARD_KEYSTORES": str(keys.folder),
        "ETH_PASSWORD": str(keys.password_file),
    }
    return Town(anvil, folder, Cli(folder, environ), wiring.connect(settings), keys)


@pytest.fixture
def town(anvil: Any, found: Callable[..., Town]) -> Iterator[Town]:
    """A town whose chain goes back to where it was after the test, in time too."""
    made = found(anvil)
    before = made.rpc("evm_snapshot")
    yield made
    made.rpc("evm_revert", before)


@pytest.fixture
def cli(town: Town) -> Cli:
    return town.cli


@pytest.fixture
def rpc_proxy() -> Iterator[Callable[[str], Any]]:
    """Puts a programmable node (`tests/proxy`) in front of the chain at a URL. It is honest until told otherwise."""
    from tests.proxy import Proxy

    with contextlib.ExitStack() as proxies:
        yield lambda url: proxies.enter_context(Proxy(url))


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts a second Anvil with all the blocks of the one at a URL; then they part. `block_time` as Anvil's.

    For a young chain only: from one that has served a session's tests the dump takes minutes.
    """
    from agent_guard.devnet.anvil import Anvil
    from tests.proxy import dump

    with _path_of_anvil(), contextlib.ExitStack() as chains:

        def start(url: str, block_time: float | None = None) -> Any:
            state = dump(url, tmp_path / f"twin-{time.monotonic_ns()}.json")
            return chains.enter_context(Anvil(block_time=block_time, state=state))

        yield start


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """One PostgreSQL server for all tests; each makes a database of its own in it."""
    from tests.postgres import Server

    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def database(postgres: Any) -> Iterator[str]:
    """The name of a fresh database on the server."""
    name = f"test_{time.monotonic_ns()}"
    with postgres.connect() as shell:
        shell.execute(f"CREATE DATABASE {name}")
    yield name
    with postgres.connect() as shell:
        shell.execute(f"DROP DATABASE {name} WITH (FORCE)")
