"""Builds all that one guarded run needs, and takes it down again in order."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount

from agent_guard import typed_data
from agent_guard.api import serve
from agent_guard.chain.anchoring import HeadWriter
from agent_guard.chain.subscription import HeadSubscription, websocket_url
from agent_guard.chain.view import ChainView
from agent_guard.checkpoint import Checkpoint, Signer, log_origin, sign_note
from agent_guard.errors import GuardError
from agent_guard.gate import Gate, History
from agent_guard.gate import Limits as GateLimits
from agent_guard.guard.verdict import Limits
from agent_guard.guard.watcher import Watcher
from agent_guard.log.anchor import Anchor, AnchorPolicy, HeadSigner
from agent_guard.log.recorder import Recorder
from agent_guard.sandbox.cgroup import Cgroup, remove_stale
from agent_guard.sandbox.container import Container
from agent_guard.sandbox.mode import Choice, Mode, choose_mode
from agent_guard.sandbox.probe import probe
from agent_guard.sandbox.view import ContainerSpec, agent_uid
from agent_guard.session.events import Step
from agent_guard.session.places import Places
from agent_guard.session.pulse import Pulse
from agent_guard.session.session import Parts, Session, may_not_run
from agent_guard.settings import Settings
from agent_guard.store import Store
from agent_guard.types import Decision, LogIdentity, Standing, State, Verdict
from agent_guard.voting.motion import unknown_agent
from agent_guard.wiring import Connection

LEFTOVER_SECONDS = 10.0
SWITCH_SECONDS = 0.0005
"""The agent's API shares the interpreter with the kill path. While a hostile agent floods it, each step of a kill waits
for the interpreter; at Python's default of 5 ms a flood of 1 MiB bodies stretched a kill from 3 to 550 ms, at this to
40 ms."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and what it may see beyond its own folders.

    `secrets`: files it must never see, such as the operator's key; `settings_file`: one it must never change.
    """

    agent: str
    argv: tuple[str, ...]
    rw: tuple[Path, ...] = ()
    ro: tuple[Path, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    secrets: tuple[Path, ...] = ()
    settings_file: Path | None = None


@contextmanager
def guarded(
    connection: Connection, operator: LocalAccount, command: Command, tell: Callable[[Step], None]
) -> Iterator[Session]:
    """A run ready to start.

    Raises:
        GuardError: AG311 unknown agent, AG420 another operator's, AG421 may not run, AG4xx no container to be had,
            AG5xx the log can't be opened, or does not go on from its head on chain, AG2xx the chain can't be read.
            Nothing is started then.
    """
    settings, identity = connection.settings, typed_data.agent_id(command.agent)
    sys.setswitchinterval(SWITCH_SECONDS)
    watcher, subscription = _watching(connection, command.agent, identity)
    _refuse(watcher.standing(command.agent), operator.address)
    choice = choose_mode(settings.sandbox)
    if choice.mode is not Mode.NONE:  # said aloud by the command that was asked for it
        probe(choice, agent_uid(int.from_bytes(identity, "big")))
    _end_leftovers(choice)
    places = Places(settings.home, settings.network, operator.address, command.agent)
    places.create()
    with ExitStack() as stack:
        stack.callback(subscription.stop)
        store = stack.enter_context(Store(places.log, _identity(connection, operator.address)))
        anchor, vkey = _anchor(connection, operator, store, places)
        stack.callback(anchor.close)
        recorder = Recorder(store, lambda: watcher.standing(command.agent).block, anchor.wake)
        stack.callback(recorder.close)
        anchor.check()
        anchor.start()
        standing = _standing(watcher, command.agent, recorder, anchor)
        reader = stack.enter_context(store.reader())
        limits = GateLimits(settings.max_unanchored_entries, settings.max_unanchored_age)
        gate = Gate(command.agent, standing, recorder, anchor.lag, History(command.agent, reader), limits)
        server = serve(gate, places.socket)
        stack.callback(server.stop)
        pulse = Pulse(places.pulse)
        stack.callback(pulse.end)
        spec = _spec(settings, command, identity, places)
        parts = Parts(
            agent=command.agent,
            agent_id=identity,
            contract=connection.contract,
            deploy_block=connection.deployment.deploy_block,
            watcher=watcher,
            subscription=subscription,
            recorder=recorder,
            anchor=anchor,
            server=server,
            pulse=pulse,
            start_container=lambda out, err: Container.start(spec, choice, out, err),
            describe=_describe(settings, command, choice, vkey),
            mode=choice.mode.value,
        )
        yield Session(parts, tell)


def _watching(connection: Connection, agent: str, identity: bytes) -> tuple[Watcher, HeadSubscription]:
    """The watcher, after its first look, and what wakes it. Raises what the first look met."""
    settings = connection.settings
    view = ChainView([connection.contract], [identity], settings.rpc_timeout)
    timing = connection.contract.council(connection.endpoint.block()).timing
    limits = Limits(
        max_block_age=settings.max_block_age,
        unknown_grace=settings.unknown_grace,
        vote_freeze=settings.vote_freeze,
        freeze_on_vote=settings.freeze_on_vote,
        lease_grace=timing.lease_grace,
    )
    watcher = Watcher({agent: identity}, view.read, limits, settings.poll)
    watcher.look()
    url = settings.ws_url or websocket_url(connection.endpoint.url)
    return watcher, HeadSubscription(url, watcher.poke, settings.rpc_timeout)


def _refuse(standing: Standing, operator: str) -> None:
    """Refuses to start an agent that may not run, or that another operator guards."""
    if standing.state is not None and standing.state.state is State.NONE:
        raise unknown_agent(standing.agent)
    if standing.state is not None and standing.state.operator != operator:
        raise GuardError(
            "AG420",
            f"{standing.agent} is guarded by {standing.state.operator}, and this key is {operator}."
            " Nothing was started.",
            "Use the operator's key (--account), or have the signers change it: agent-guard agent register",
        )
    if standing.verdict.decision is not Decision.RUN:
        raise may_not_run(standing)


def _end_leftovers(choice: Choice) -> None:
    """Kills what guards that are gone left in their cgroups; nothing should be there, for an agent dies with its guard.

    Raises:
        GuardError: AG406 if something outlives even that; no agent is started beside it.
    """
    for path in remove_stale(choice.parent) if choice.parent else []:
        leaf = Cgroup(path)
        leaf.kill()
        if not leaf.wait_empty(LEFTOVER_SECONDS):
            raise GuardError(
                "AG406",
                f"{path} holds processes {leaf.pids()} of an earlier guard, and they do not die. Nothing was started.",
                "Look at these processes; a reboot ends what the kernel can't.",
            )
        leaf.remove()


def _identity(connection: Connection, operator: str) -> LogIdentity:
    return LogIdentity(connection.deployment.chain_id, connection.contract.address, operator)


def _anchor(
    connection: Connection, operator: LocalAccount, store: Store, places: Places
) -> tuple[Anchor, str]:
    """The anchoring loop, not started, and the verifier key of its checkpoints."""
    settings, chain_id = connection.settings, connection.deployment.chain_id
    council = connection.contract.address
    origin = log_origin(chain_id, council, operator.address)
    signer = Signer(origin, _checkpoint_key(places.checkpoint_key))

    def note(size: int, root: bytes) -> str:
        return sign_note(str(Checkpoint(origin, size, root)), [signer])

    def head(size: int, root: bytes) -> bytes:
        message = typed_data.head_typed_data(size, root, chain_id, council)
        return bytes(Account.sign_typed_data(operator.key, full_message=message).signature)

    anchor = Anchor(
        store,
        HeadWriter(connection.contract, connection.sender(operator)),
        HeadSigner(note, head),
        AnchorPolicy(settings.anchor_entries, settings.anchor_age),
    )
    return anchor, str(signer.verifier)


def _checkpoint_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs checkpoints, made at first use (mode 0600)."""
    if not path.exists():
        key = Ed25519PrivateKey.generate().private_bytes_raw()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.hex() + "\n")
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))
    except (OSError, ValueError) as error:
        raise GuardError(
            "AG302",
            f"The checkpoint key {path} can't be read ({type(error).__name__}). Nothing was started.",
            "Restore the file, or move it away to have a new one made.",
        ) from error


def _standing(watcher: Watcher, agent: str, recorder: Recorder, anchor: Anchor) -> Callable[[], Standing]:
    """What the gate asks: the watcher's word, unless the log itself has failed."""

    def standing() -> Standing:
        said = watcher.standing(agent)
        failure = recorder.failed or anchor.failed
        if failure is None or said.verdict.decision is Decision.HALT:
            return said
        return Standing(agent, Verdict(Decision.FREEZE, failure.message), said.block, said.state)

    return standing


def _spec(settings: Settings, command: Command, identity: bytes, places: Places) -> ContainerSpec:
    named = (settings.operator_keystore, settings.operator_password_file)
    private = [settings.home, settings.keystores, *command.secrets, *named]
    # Whoever writes these decides which council the next guard listens to, and whether it contains.
    fixed = [settings.deployments, command.settings_file]
    return ContainerSpec(
        argv=command.argv,
        work_dir=places.work.resolve(),
        socket_dir=places.socket.parent.resolve(),
        env=command.env,
        net=settings.net,
        rw=tuple(path.resolve() for path in command.rw),
        ro=tuple(path.resolve() for path in command.ro),
        private=tuple(path.resolve() for path in private if path is not None),
        fixed=tuple(path.resolve() for path in fixed if path is not None),
        uid=agent_uid(int.from_bytes(identity, "big")),
        name=command.agent,
    )


def _describe(settings: Settings, command: Command, choice: Choice, vkey: str) -> dict[str, object]:
    """The content of the config entry: what an auditor may want to know of how the agent was guarded."""
    return {
        "command": list(command.argv),
        "sandbox": choice.mode.value,
        "net": settings.net,
        "rw": [str(path) for path in command.rw],
        "ro": [str(path) for path in command.ro],
        "env": sorted(command.env),
        "checkpoint_vkey": vkey,
        "limits": {
            "poll": str(settings.poll),
            "max_block_age": str(settings.max_block_age),
            "unknown_grace": str(settings.unknown_grace),
            "freeze_on_vote": settings.freeze_on_vote,
            "anchor_entries": settings.anchor_entries,
            "anchor_age": str(settings.anchor_age),
        },
    }
