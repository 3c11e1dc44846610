"""Builds all that one guarded run needs, and takes it down again in order."""

import logging
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount

from agent_guard import typed_data
from agent_guard.api import (
    ConnectionLimits,
    Server,
    bind_socket,
    bind_tcp,
    create_app,
    door,
    signers_app,
)
from agent_guard.chain.anchoring import HeadWriter
from agent_guard.chain.sender import Sender
from agent_guard.chain.subscription import HeadSubscription, websocket_url
from agent_guard.chain.view import ChainView, Pace
from agent_guard.checkpoint import Checkpoint, Signer, log_origin, sign_note
from agent_guard.errors import GuardError
from agent_guard.gate import Gate, History
from agent_guard.gate import Limits as GateLimits
from agent_guard.guard.ballots import BallotBox
from agent_guard.guard.evidence import Limits
from agent_guard.guard.latches import Latches
from agent_guard.guard.watcher import Keeping, Watcher
from agent_guard.log.anchor import Anchor, AnchorPolicy, HeadSigner
from agent_guard.log.recorder import Recorder
from agent_guard.sandbox.cgroup import Cgroup, remove_stale
from agent_guard.sandbox.container import Container
from agent_guard.sandbox.deadman import Deadman
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import Choice, Mode, choose_mode
from agent_guard.sandbox.probe import probe
from agent_guard.sandbox.view import ContainerSpec, agent_uid
from agent_guard.sandbox.view import Limits as ContainerLimits
from agent_guard.session.desk import BallotDesk
from agent_guard.session.events import Step
from agent_guard.session.finding import HaltFinder
from agent_guard.session.places import Places
from agent_guard.session.pulse import Pulse, keep_death
from agent_guard.session.session import Parts, Session
from agent_guard.session.ward import STOOD_STILL, WardParts, may_not_run
from agent_guard.settings import Settings
from agent_guard.store import Store
from agent_guard.types import Decision, LogIdentity, Standing, State, Verdict
from agent_guard.voting.motion import unknown_agent
from agent_guard.wiring import Connection

logger = logging.getLogger(__name__)

LEFTOVER_SECONDS = 10.0
LATCH_SECONDS = 5.0
SIGNERS_LIMITS = ConnectionLimits(most=64, seconds=10.0, backlog=64)
SWITCH_SECONDS = 0.0005
"""The agent's API shares the interpreter with the kill path. While a hostile agent floods it, each step of a kill waits
for the interpreter; at Python's default of 5 ms a flood of 1 MiB bodies stretched a kill from 3 to 550 ms, at this to
40 ms."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and what it may see beyond its own folders.

    `net` None is what the settings say. `secrets`: files it must never see, such as the operator's key;
    `settings_files`: those it must never change.
    """

    agent: str
    argv: tuple[str, ...]
    rw: tuple[Path, ...] = ()
    ro: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    net: Literal["none", "host"] | None = None
    secrets: tuple[Path, ...] = ()
    settings_files: tuple[Path, ...] = ()


@contextmanager
def guarded(
    connection: Connection,
    operator: LocalAccount,
    commands: Sequence[Command],
    tell: Callable[[Step], None],
) -> Iterator[Session]:
    """A run of one agent, or of a fleet, ready to start.

    Raises:
        GuardError: AG311 unknown agent, AG420 another operator's, AG421 none may run, AG422 a kept halt can't be read,
            AG4xx no container to be had, AG5xx the log can't be opened, or does not go on from its head on chain, AG2xx
            the chain can't be read. Nothing is started then.
    """
    settings = connection.settings
    sys.setswitchinterval(SWITCH_SECONDS)
    agents = {command.agent: typed_data.agent_id(command.agent) for command in commands}
    places = {name: Places(settings.home, settings.network, operator.address, name) for name in agents}
    shared = places[commands[0].agent]
    with ExitStack() as stack:
        latches = Latches(shared.latches, _council_name(connection), _warn)
        stack.callback(latches.close, LATCH_SECONDS)
        deadman = Deadman(settings.hang_limit)
        stack.callback(deadman.close)
        watcher, subscriptions = _watching(connection, agents, latches, deadman)
        stack.callback(watcher.stop)
        _refuse([watcher.standing(name) for name in agents], operator.address)
        choice = choose_mode(settings.sandbox)
        if choice.mode is not Mode.NONE:  # said aloud by the command that was asked for it
            probe(choice, agent_uid(int.from_bytes(agents[shared.agent], "big")))
        _end_leftovers(choice)
        for place in places.values():
            place.create()
        for subscription in subscriptions:
            stack.callback(subscription.stop)
        store = stack.enter_context(Store(shared.log, _identity(connection, operator.address)))
        sender = connection.sender(operator)
        anchor, vkey = _anchor(connection, operator, sender, store, shared)
        stack.callback(anchor.close)
        recorder = Recorder(store, lambda: watcher.standing(shared.agent).block, anchor.wake)
        stack.callback(recorder.close)
        anchor.check()
        anchor.start()
        server = Server()
        stack.callback(server.stop)
        server.start()
        app = create_app()
        reader = stack.enter_context(store.reader())
        wards = []
        for command in commands:
            standing = _standing(watcher, command.agent, recorder, anchor)
            limits = GateLimits(settings.max_unanchored_entries, settings.max_unanchored_age)
            gate = Gate(command.agent, standing, recorder, anchor.lag, History(command.agent, reader), limits)
            place = places[command.agent]
            server.open(door(app, gate), bind_socket(place.socket), gate.note_refusal)
            spec = _spec(settings, command, agents[command.agent], place)
            wards.append(
                WardParts(
                    agent=command.agent,
                    agent_id=agents[command.agent],
                    pulse=Pulse(place.pulse),
                    start_container=partial(_start, spec, choice, deadman),
                    sign_death=partial(_sign_death, connection, operator),
                    keep_death=partial(keep_death, place.death),
                    describe=_describe(settings, command, choice, vkey),
                    mode=choice.mode.value,
                    was_struck=deadman.has_struck_since,
                )
            )
        voting = connection.voting()
        desk = BallotDesk(
            watcher,
            lambda ballots: voting.relay(ballots, sender),
            shared.ballots,
            {identity: name for name, identity in agents.items()},
        )
        session = Session(
            Parts(
                watcher=watcher,
                subscriptions=subscriptions,
                recorder=recorder,
                anchor=anchor,
                server=server,
                finder=HaltFinder(connection.contract, connection.deployment.deploy_block),
                desk=desk,
                wards=wards,
                endpoints=[member.endpoint.name for member in connection.members],
                grace=settings.grace,
            ),
            tell,
        )
        stack.callback(_open_to_signers(settings, shared, desk, session).stop)
        yield session


def _open_to_signers(settings: Settings, places: Places, desk: BallotDesk, session: Session) -> Server:
    """The signers' doors: a Unix socket for this user alone, and a TCP port if one is set. Raises AG616.

    Their server has a thread of its own, so that no agent's flood of requests delays a ballot.
    """
    server = Server("signers-api")
    server.start()
    try:
        app = signers_app(desk.take, session.report)
        server.open(app, bind_socket(places.signers_socket, 0o600), limits=SIGNERS_LIMITS)
        if settings.signers_address is not None:
            host, port = settings.signers_address
            app = signers_app(desk.take, session.report, host)
            server.open(app, bind_tcp(host, port), limits=SIGNERS_LIMITS)
    except GuardError:
        server.stop()
        raise
    return server


def _start(spec: ContainerSpec, choice: Choice, deadman: Deadman, stdout: int, stderr: int) -> Container:
    return launch(spec, choice, stdout, stderr, deadman)


def _sign_death(
    connection: Connection, operator: LocalAccount, agent: bytes, facts: Mapping[str, int | str]
) -> str:
    """The operator's signature (EIP-712) of a death, base64 of 65 bytes: 88 characters, which public metadata holds."""
    message = typed_data.death_typed_data(
        agent, facts, connection.deployment.chain_id, connection.contract.address
    )
    return b64encode(Account.sign_typed_data(operator.key, full_message=message).signature).decode()


def _council_name(connection: Connection) -> str:
    """Which council on which chain a kept halt is of."""
    deployment = connection.deployment
    return f"{deployment.chain_id} {deployment.genesis_hash} {deployment.address}"


def _warn(error: GuardError) -> None:
    logger.error("%s", error.message)


def _watching(
    connection: Connection, agents: Mapping[str, bytes], latches: Latches, deadman: Deadman
) -> tuple[Watcher, list[HeadSubscription]]:
    """The watcher, after its first look, and what wakes it. Raises what the first look met, AG422."""
    settings = connection.settings
    proofs: dict[str, Literal["no", "some", "all"]] = {"off": "no", "auto": "some", "require": "all"}
    view = ChainView(
        connection.members, list(agents.values()), Pace(settings.poll, proofs[settings.state_proofs])
    )
    timing = connection.contract.council(connection.endpoint.block()).timing
    limits = Limits(
        max_block_age=settings.max_block_age,
        unknown_grace=settings.unknown_grace,
        vote_freeze=settings.vote_freeze,
        freeze_on_vote=settings.freeze_on_vote,
        lease_grace=timing.lease_grace,
        quorum=settings.needed_endpoints,
        require_proof=settings.state_proofs == "require",
        grace=settings.grace,
        halt_grace=settings.halt_grace,
    )
    keeping = Keeping(
        {name: latches.load(identity) for name, identity in agents.items()},
        lambda name, latch: latches.keep(agents[name], latch),
    )
    box = BallotBox(connection.deployment.chain_id, connection.contract.address)
    # However seldom the chain is read: who has nothing to decide still beats, or the deadman takes him for hung.
    pace = min(settings.poll, settings.hang_limit / 4, settings.max_block_age / 4)
    watcher = Watcher(agents, view, limits, pace, box, keeping, beat=lambda: _beat(watcher, agents, deadman))
    watcher.begin(2 * settings.rpc_timeout)
    urls = settings.ws_url or tuple(websocket_url(url) for url in settings.rpc_url)
    return watcher, [
        HeadSubscription(url, partial(watcher.poke, member.endpoint.name), settings.rpc_timeout)
        for url, member in zip(urls, connection.members, strict=True)
    ]


def _beat(watcher: Watcher, agents: Iterable[str], deadman: Deadman) -> None:
    """Says that the watching goes on. If it stood still for too long, the agents are dead by now: that is recorded."""
    if deadman.beat():
        for name in agents:
            watcher.condemn(name, STOOD_STILL)


def _refuse(standings: Sequence[Standing], operator: str) -> None:
    """Refuses agents that are unknown or another operator's, and to start where none may run."""
    for standing in standings:
        if standing.state is not None and standing.state.state is State.NONE:
            raise unknown_agent(standing.agent)
        if standing.state is not None and standing.state.operator != operator:
            raise GuardError(
                "AG420",
                f"{standing.agent} is guarded by {standing.state.operator}, and this key is {operator}."
                " Nothing was started.",
                "Use the operator's key (--account), or have the signers change it: agent-guard agent register",
            )
    if all(standing.verdict.decision is not Decision.RUN for standing in standings):
        raise may_not_run(standings[0])


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
    connection: Connection, operator: LocalAccount, sender: Sender, store: Store, places: Places
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
        HeadWriter(connection.contract, sender),
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
    fixed = [settings.deployments, *command.settings_files]
    return ContainerSpec(
        argv=command.argv,
        work_dir=places.work.resolve(),
        socket_dir=places.socket.parent.resolve(),
        env=command.env,
        net=command.net or settings.net,
        rw=tuple(path.resolve() for path in command.rw),
        ro=tuple(path.resolve() for path in command.ro),
        private=tuple(path.resolve() for path in private if path is not None),
        fixed=tuple(path.resolve() for path in fixed),
        uid=agent_uid(int.from_bytes(identity, "big")),
        limits=ContainerLimits(settings.pids_max, settings.memory_max << 20),
        name=command.agent,
    )


def _describe(settings: Settings, command: Command, choice: Choice, vkey: str) -> dict[str, object]:
    """The content of the config entry: what an auditor may want to know of how the agent was guarded."""
    return {
        "command": list(command.argv),
        "sandbox": choice.mode.value,
        "net": command.net or settings.net,
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
