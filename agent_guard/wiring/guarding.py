"""Builds all that one guarded run needs, and takes it down again in order."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eth_account.signers.local import LocalAccount
from fastapi import FastAPI

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
from agent_guard.errors import GuardError
from agent_guard.gate import Gate, History, Receipts
from agent_guard.gate import Limits as GateLimits
from agent_guard.guard.latches import Latches
from agent_guard.guard.watcher import Watcher
from agent_guard.log.anchor import Anchor
from agent_guard.log.cosigning import Cosigning
from agent_guard.log.erasure import Eraser
from agent_guard.log.recorder import Recorder
from agent_guard.sandbox.cgroup import Cgroup
from agent_guard.sandbox.deadman import Deadman
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.leftovers import remove_stale
from agent_guard.sandbox.mode import Choice, Mode, choose_mode
from agent_guard.sandbox.probe import probe
from agent_guard.sandbox.view import agent_uid
from agent_guard.session.desk import BallotDesk
from agent_guard.session.events import Step
from agent_guard.session.finding import HaltFinder
from agent_guard.session.journal import FLUSH_SECONDS
from agent_guard.session.life_note import LifeNote
from agent_guard.session.places import Places
from agent_guard.session.pulse import Pulse, keep_death
from agent_guard.session.session import Parts, Session
from agent_guard.session.ward import WardParts, may_not_run
from agent_guard.settings import Settings
from agent_guard.store import Reader, Store
from agent_guard.telemetry import summary
from agent_guard.types import Decision, LogIdentity, Standing, State, Verdict
from agent_guard.voting.motion import unknown_agent
from agent_guard.wiring import Connection
from agent_guard.wiring.burying import look_for_lives, record_lives
from agent_guard.wiring.containing import Command, container_spec, described, recorded_limits
from agent_guard.wiring.recording import anchoring, log_identity, sign_death, sign_heads
from agent_guard.wiring.storing import open_store
from agent_guard.wiring.watching import council_name, watching

logger = logging.getLogger(__name__)

LEFTOVER_SECONDS = 10.0
LATCH_SECONDS = 5.0
SIGNERS_LIMITS = ConnectionLimits(most=64, seconds=10.0, backlog=64)
SWITCH_SECONDS = 0.0005
"""The agent's API shares the interpreter with the kill path. While a hostile agent floods it, each step of a kill waits
for the interpreter; at Python's default of 5 ms a flood of 1 MiB bodies stretched a kill from 3 to 550 ms, at this to
40 ms."""


@contextmanager
def guarded(
    connection: Connection,
    operator: LocalAccount,
    commands: Sequence[Command],
    tell: Callable[[Step], None],
) -> Iterator[Session]:
    """A run of one agent, or of a fleet, ready to start. What an earlier guard left of them is recorded first.

    Raises:
        GuardError: AG311 unknown agent, AG420 another operator's, AG421 none may run, AG422 a kept halt can't be read,
            AG4xx no container to be had, AG5xx the log can't be opened, or does not go on from its head on chain, AG2xx
            the chain can't be read. Nothing is started then; but what an earlier guard left of a life without an end is
            killed, and the life recorded and anchored, even where none may run.
    """
    settings = connection.settings
    sys.setswitchinterval(SWITCH_SECONDS)
    agents = {command.agent: typed_data.agent_id(command.agent) for command in commands}
    places = {name: Places(settings.home, settings.network, operator.address, name) for name in agents}
    shared = places[commands[0].agent]
    with ExitStack() as stack:
        latches = Latches(shared.latches, council_name(connection), _warn)
        stack.callback(latches.close, LATCH_SECONDS)
        deadman = Deadman(settings.hang_limit)
        stack.callback(deadman.close)
        watcher, subscriptions = watching(connection, operator.address, agents, latches, deadman)
        stack.callback(watcher.stop)
        standings = [watcher.standing(name) for name in agents]
        _refuse_strangers(standings, operator.address)
        none_may_run = all(standing.verdict.decision is not Decision.RUN for standing in standings)
        refusal = may_not_run(standings[0]) if none_may_run else None
        if refusal is not None and not look_for_lives(places):
            raise refusal
        choice = choose_mode(settings.sandbox)
        if choice.mode is not Mode.NONE:  # said aloud by the command that was asked for it
            probe(choice, agent_uid(int.from_bytes(agents[shared.agent], "big")))
        _end_leftovers(choice)
        for place in places.values():
            place.create()
        for subscription in subscriptions:
            stack.callback(subscription.stop)
        identity = log_identity(connection, operator.address)
        store = stack.enter_context(_open_log(settings, shared.log, identity, refusal))
        sender = connection.sender(operator)
        anchor, vkey = anchoring(connection, operator, sender, store, shared)
        stack.callback(anchor.close)
        recorder = Recorder(store, lambda: watcher.standing(shared.agent).block, anchor.wake)
        stack.callback(recorder.close)
        anchor.check()
        anchor.start()
        reader = stack.enter_context(store.reader())
        # Only now: this guard alone writes the log and its notes, and what was left in cgroups has been ended.
        before = record_lives(look_for_lives(places), places, connection, operator, recorder, reader)
        if refusal is not None:
            _leave(before, anchor, tell)
            raise refusal
        eraser = Eraser(store, recorder, _warn)
        stack.callback(eraser.close)
        eraser.start()
        cosigning = Cosigning(store, settings.witness_addresses)
        stack.callback(cosigning.close)
        server = Server()
        stack.callback(server.stop)
        server.start()
        app = create_app()
        receipts = Receipts(
            log_identity(connection, operator.address),
            sign_heads(connection, operator),
            lambda: recorder.head().size,
        )
        guard = _Guard(
            connection=connection,
            operator=operator,
            watcher=watcher,
            recorder=recorder,
            anchor=anchor,
            cosigning=cosigning,
            reader=reader,
            receipts=receipts,
            server=server,
            choice=choice,
            deadman=deadman,
            vkey=vkey,
        )
        wards = [_ward(guard, app, command, places[command.agent]) for command in commands]
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
                cosigning=cosigning,
                wards=wards,
                endpoints=[member.endpoint.name for member in connection.members],
                grace=settings.grace,
                before=before,
            ),
            tell,
        )
        stack.callback(_open_to_signers(settings, shared, desk, session, eraser).stop)
        yield session


@dataclass(frozen=True, slots=True)
class _Guard:
    """What all agents of one guard share."""

    connection: Connection
    operator: LocalAccount
    watcher: Watcher
    recorder: Recorder
    anchor: Anchor
    cosigning: Cosigning
    reader: Reader
    receipts: Receipts
    server: Server
    choice: Choice
    deadman: Deadman
    vkey: str


def _ward(guard: _Guard, app: FastAPI, command: Command, places: Places) -> WardParts:
    """One agent's own parts; its door is open when this returns. Raises AG616."""
    name, settings, identity = command.agent, guard.connection.settings, typed_data.agent_id(command.agent)
    standing = _standing(guard.watcher, name, guard.recorder, guard.anchor)
    limits = GateLimits(settings.max_unanchored_entries, settings.max_unanchored_age)
    history = History(name, guard.reader, guard.receipts)
    gate = Gate(name, standing, guard.recorder, guard.anchor.lag, history, limits)
    guard.server.open(door(app, gate), bind_socket(places.socket), gate.note_refusal)
    spec = container_spec(settings, command, identity, places, guard.operator.address)
    note = LifeNote(places.life, guard.choice.mode)
    return WardParts(
        agent=name,
        agent_id=identity,
        pulse=Pulse(places.pulse, witnesses=lambda: summary(guard.cosigning.report())),
        start_container=lambda out, err: launch(spec, guard.choice, out, err, guard.deadman),
        sign_death=partial(sign_death, guard.connection, guard.operator),
        keep_death=partial(keep_death, places.death),
        describe=described(settings, command, guard.choice, guard.vkey),
        mode=guard.choice.mode.value,
        was_struck=guard.deadman.has_struck_since,
        limits=recorded_limits(settings),
        note_life=note.write,
        forget_life=note.remove,
    )


def _open_to_signers(
    settings: Settings, places: Places, desk: BallotDesk, session: Session, eraser: Eraser
) -> Server:
    """The signers' doors: a Unix socket for this user alone, who may also erase there, and a TCP port if one is set.

    Their server has a thread of its own, so that no agent's flood of requests delays a ballot. Raises AG616.
    """
    server = Server("signers-api")
    server.start()
    try:
        app = signers_app(desk.take, session.report, erase=eraser.erase)
        server.open(app, bind_socket(places.signers_socket, 0o600), limits=SIGNERS_LIMITS)
        if settings.signers_address is not None:
            host, port = settings.signers_address
            app = signers_app(desk.take, session.report, host)
            server.open(app, bind_tcp(host, port), limits=SIGNERS_LIMITS)
    except GuardError:
        server.stop()
        raise
    return server


def _warn(error: GuardError) -> None:
    logger.error("%s", error.message)


def _refuse_strangers(standings: Sequence[Standing], operator: str) -> None:
    """Refuses agents that are unknown or another operator's."""
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


def _open_log(settings: Settings, log: Path, identity: LogIdentity, refusal: GuardError | None) -> Store:
    """The log, of which this guard is the writer. Raises `refusal`, where there is one, if another guard is: it is the
    one whose lives were noted."""
    try:
        return open_store(settings, log, identity)
    except GuardError as error:
        if refusal is not None and error.code == "AG511":
            raise refusal from error
        raise


def _leave(before: Sequence[Step], anchor: Anchor, tell: Callable[[Step], None]) -> None:
    """Has anchored what was recorded of earlier lives, where nothing is to be started."""
    for step in before:
        tell(step)
    try:
        anchor.flush(FLUSH_SECONDS)
    except GuardError as error:
        _warn(error)


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


def _standing(watcher: Watcher, agent: str, recorder: Recorder, anchor: Anchor) -> Callable[[], Standing]:
    """What the gate asks: the watcher's word, unless the log itself has failed, or its server is out of reach."""

    def standing() -> Standing:
        said = watcher.standing(agent)
        failure = recorder.failed or recorder.trouble or anchor.failed
        if failure is None or said.verdict.decision is Decision.HALT:
            return said
        return Standing(agent, Verdict(Decision.FREEZE, failure.message), said.block, said.state)

    return standing
