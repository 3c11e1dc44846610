"""Builds what watches the chain for a guard: a reader for each endpoint, the watcher, and what wakes it."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Literal

from agent_guard.chain.subscription import HeadSubscription, websocket_url
from agent_guard.chain.view import ChainView, Pace
from agent_guard.guard.ballots import BallotBox
from agent_guard.guard.evidence import Limits
from agent_guard.guard.latches import Latches
from agent_guard.guard.watcher import Keeping, Watcher
from agent_guard.sandbox.deadman import Deadman
from agent_guard.session.ward import STOOD_STILL
from agent_guard.wiring import Connection


def watching(
    connection: Connection, operator: str, agents: Mapping[str, bytes], latches: Latches, deadman: Deadman
) -> tuple[Watcher, list[HeadSubscription]]:
    """The watcher of an operator's agents, after its first look, and what wakes it. Raises what that met, AG422."""
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
        operator=operator,
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


def council_name(connection: Connection) -> str:
    """Which council on which chain a kept halt is of."""
    deployment = connection.deployment
    return f"{deployment.chain_id} {deployment.genesis_hash} {deployment.address}"
