"""Builds a witness: its key, its memory, the logs it knows, and the port it serves."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_guard.api import ConnectionLimits, Server, bind_tcp, parse_address, witness_app
from agent_guard.checkpoint import Checkpoint, Cosigner, NoteError, Verifier, identity_of
from agent_guard.errors import GuardError
from agent_guard.keys.ed25519 import load_or_make
from agent_guard.merkle import EMPTY_ROOT
from agent_guard.settings import Settings
from agent_guard.store import ledger
from agent_guard.store.ledger import Cosigned, Fork, Ledger
from agent_guard.wiring import Connection, connect
from agent_guard.witness import Witness, trusted_logs

LIMITS = ConnectionLimits(most=256, seconds=30.0, idle_seconds=30.0, backlog=128)


@dataclass(frozen=True, slots=True)
class Serving:
    """A witness that answers at `host` and `port`: its own `vkey`, and the origins of the logs it knows.

    `check` raises AG560 should it answer no longer.
    """

    host: str
    port: int
    vkey: str
    origins: tuple[str, ...]
    check: Callable[[], None]


@contextmanager
def witnessing(
    name: str, listen: str, key: Path, logs: Sequence[str], state: Path, chain: Settings | None = None
) -> Iterator[Serving]:
    """A witness at work until the block ends.

    Args:
        name: the witness's own, in its verifier key and its cosignatures.
        listen: `HOST:PORT`; port 0 is any that is free.
        key: its Ed25519 key's file, made at first use.
        logs: verifier keys of the logs that it cosigns; each log's origin is its key's name.
        state: the folder of its memory, made if it is not there.
        chain: where to read the logs' heads on chain; then nothing else is cosigned. None: no chain is asked.

    Raises:
        GuardError: AG302 the key, AG560 the address or a verifier key, AG562 the memory can't be used; AG2xx the chain.
    """
    host, port = _address(listen)
    known = trusted_logs([_log_key(vkey) for vkey in logs])
    on_chain = _heads_on_chain(chain, list(known)) if chain else None
    with ExitStack() as stack:
        cosigner = _cosigner(name, key)
        memory = stack.enter_context(Ledger(ledger_path(state)))
        witness = Witness(known, cosigner, memory, lambda: int(time.time()), on_chain)
        server = Server("witness")
        stack.callback(server.stop)
        server.start()
        try:
            bound = bind_tcp(host, port)
            served = bound.getsockname()[1]
            server.open(witness_app(witness.add_checkpoint), bound, limits=LIMITS)
        except GuardError as error:
            raise _unusable(f"{listen} can't be served ({error.__cause__ or error.message})") from error

        def check() -> None:
            if not server.alive:
                raise _unusable("its server ended unexpectedly")

        yield Serving(host, served, str(cosigner.verifier), tuple(known), check)


def ledger_path(state: Path) -> Path:
    return state / "witness.sqlite"


def seen(state: Path) -> tuple[list[Cosigned], list[Fork]]:
    """What the witness of this folder has cosigned, and the forks it was shown. Raises AG562."""
    return ledger.read(ledger_path(state))


def _heads_on_chain(settings: Settings, origins: Sequence[str]) -> Callable[[str], Checkpoint]:
    """Gives a log's head at the chain's newest block, one question at a time. Raises AG560, AG2xx."""
    connection = connect(settings)
    operators = {origin: _operator(connection, origin) for origin in origins}
    turn = threading.Lock()

    def head(origin: str) -> Checkpoint:
        with turn:
            found = connection.contract.head(operators[origin], connection.endpoint.block())
        return Checkpoint(origin, found.size, found.root if found.size else EMPTY_ROOT)

    return head


def _operator(connection: Connection, origin: str) -> str:
    council = (connection.deployment.chain_id, connection.contract.address)
    try:
        identity = identity_of(origin)
    except NoteError as error:
        raise _unusable(f"{origin!r} stands on no chain") from error
    if (identity.chain_id, identity.council) != council:
        raise _unusable(f"{origin} is not under the council {council[1]} on chain {council[0]}")
    return identity.operator


def _cosigner(name: str, key: Path) -> Cosigner:
    try:
        return Cosigner(name, load_or_make(key, "The witness's key"))
    except NoteError as error:
        raise _unusable(f"{name!r} is no name of a witness: {error}") from error


def _log_key(vkey: str) -> Verifier:
    try:
        return Verifier.parse(vkey)
    except NoteError as error:
        raise _unusable(f"{vkey[:200]!r} is no verifier key of a log: {error}") from error


def _address(listen: str) -> tuple[str, int]:
    if (found := parse_address(listen)) is None:
        raise _unusable(f"{listen[:200]!r} is no HOST:PORT")
    return found


def _unusable(why: str) -> GuardError:
    return GuardError(
        "AG560",
        f"The witness does not serve: {why}. Nothing was cosigned.",
        "A log's verifier key is the checkpoint_vkey of its guard's config entries: agent-guard log show AGENT 0",
    )
