"""Gathers the chain's side of an audit, all of it at one block, and finds the log to hold against it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from eth_utils.address import is_checksum_address

from agent_guard.audit import (
    Anchors,
    ChainFacts,
    Event,
    Extension,
    Happening,
    Lapse,
    Log,
    Unreachable,
)
from agent_guard.audit.leases import Grant, grants, lapses
from agent_guard.chain import history
from agent_guard.chain.dating import dated
from agent_guard.chain.lanes import Lanes
from agent_guard.errors import GuardError
from agent_guard.log.reading import AnyLog
from agent_guard.session.places import Places
from agent_guard.settings import Settings
from agent_guard.store import Page, SqliteReader
from agent_guard.store.tiles import TileLog
from agent_guard.types import FLEET, AgentState, Block, Council, LogIdentity
from agent_guard.wiring import Connection, connect
from agent_guard.wiring.publishing import is_url, source_of
from agent_guard.wiring.storing import ON_A_SERVER, of_operator, open_reader

# What makes the chain's side unknown, where an audit still can look at the log alone.
UNKNOWN = ("AG201", "AG202", "AG203")
BLOCKS_KEPT = 1_024
"""Of those looked up one by one, the latest."""
_HAPPENINGS = {kind.value: kind for kind in Event}


def connect_or_say_why(settings: Settings) -> Connection | Unreachable:
    """The council, or why it can't be asked. Raises AG204: without a record there is nothing to ask for."""
    try:
        return connect(settings)
    except GuardError as error:
        if error.code not in UNKNOWN:
            raise
        return Unreachable(error.message)


def gather(
    connection: Connection,
    agent: bytes,
    claimed: LogIdentity,
    progress: Callable[[int, int], None] = lambda blocks, total: None,
) -> ChainFacts | Unreachable:
    """The chain's facts about an agent, for the log that claims to be `claimed`.

    Args:
        progress: told how many blocks of the council's life have been read, and of how many, now and then.
    """
    try:
        return _gather(connection.patient(), agent, claimed, progress)
    except GuardError as error:
        if error.code not in UNKNOWN:
            raise
        return Unreachable(error.message)


def open_log(where: str, password_file: Path | None = None) -> AnyLog:
    """A log, to be read only: a guard's database (it may be writing it), a folder of tiles, or the URL of either.

    Raises:
        GuardError: AG510 there is none, AG515 it is damaged, AG518 it is another program's, AG543 the site fails, AG55x
            the database's server does.
    """
    if where.startswith(ON_A_SERVER):
        return open_reader(where, password_file)
    tiled = is_url(where) or Path(where).is_dir()
    return TileLog(source_of(where)) if tiled else SqliteReader(Path(where))


def log_of(reader: AnyLog, claimed: LogIdentity, pages: Iterator[Page], there: int) -> Log:
    """The log as an audit takes it: whose it said it is; `pages` are the reader's, as somebody watches them pass.

    `there`: how many entries it had before the chain was asked.
    """
    return Log(claimed, pages, is_copy=isinstance(reader, TileLog), there=there)


def checkpoint_of(reader: AnyLog, size: int) -> str | None:
    """The note that a log has of its head of `size` entries; None if it has none, or none that can be read."""
    if isinstance(reader, TileLog):
        return reader.note if reader.size() == size else None
    try:
        saved = reader.checkpoint_at_most(size)
    except GuardError:  # a damaged database: the audit has said so
        return None
    return saved.note if saved is not None and saved.size == size else None


def _gather(
    connection: Connection, agent: bytes, claimed: LogIdentity, progress: Callable[[int, int], None]
) -> ChainFacts:
    contract, last = connection.contract, connection.endpoint.block()
    state, council = contract.snapshot([agent], last)[agent], contract.council(last)
    block_at = lru_cache(BLOCKS_KEPT)(connection.endpoint.block)
    past = _Past(agent)
    past.read(connection, _operators(state, claimed), last, progress)
    operator = _operator(state, past.told, claimed)
    facts = ChainFacts(
        identity=LogIdentity(connection.deployment.chain_id, contract.address, operator),
        as_of=last,
        head=contract.head(operator, last),
        state=state,
        history=past.beside(operator),
        extensions=past.extensions.get(operator, Anchors(())),
        block_at=lambda number: block_at(number) if number <= last.number else None,
        lapses=_lapses(past, council, last, block_at),
    )
    _check_kept(connection, last)
    return facts


def _check_kept(connection: Connection, last: Block) -> None:
    """Raises AG201 if the chain took this block back: what was read since may be of another history than it."""
    if connection.endpoint.block(last.number) != last:
        raise GuardError(
            "AG201",
            f"The chain took back block {last.number}, up to which it was read, before all of it was.",
            "Run the command again.",
        )


@dataclass(frozen=True, slots=True)
class _Past:
    """What the council's events tell of an agent, and of the logs that may be its operator's; oldest first.

    `sizes`: beside each of `told`, how many entries each operator's log had on chain then; `size_of`: has so far.
    """

    agent: bytes
    told: list[Happening] = field(default_factory=list)
    sizes: list[dict[str, int]] = field(default_factory=list)
    renewals: list[history.Event] = field(default_factory=list)
    extensions: dict[str, Anchors] = field(default_factory=dict)
    size_of: dict[str, int] = field(default_factory=dict)

    def read(
        self,
        connection: Connection,
        operators: Iterable[str],
        last: Block,
        progress: Callable[[int, int], None],
    ) -> None:
        """Reads all of it in one pass, since whose log it is the pass has yet to tell. Raises AG201, AG209."""
        contract, first = connection.contract, connection.deployment.deploy_block
        kinds = (*_HAPPENINGS, "Renewed", "Extended")
        about: list[bytes | str] = [self.agent, FLEET, *operators]
        with Lanes() as lanes:
            found = history.events(contract, kinds, first, last, about, lanes, progress)
            for event, block in dated(connection.endpoint, found, lanes):
                self._take(event, block)

    def _take(self, event: history.Event, block: Block) -> None:
        if event.name == "Extended":
            anchors = self.extensions.setdefault(event.arguments["operator"], Anchors(()))
            anchors.append(_extension(event, block))
            self.size_of[event.arguments["operator"]] = event.arguments["newSize"]
        elif event.name != "Renewed":
            for happening in _happening(event, block):
                self.told.append(happening)
                self.sizes.append(dict(self.size_of))
        elif event.arguments["agent"] == self.agent:
            self.renewals.append(event)

    def beside(self, operator: str) -> list[Happening]:
        """What was told, each with the size of this operator's log then."""
        return [
            replace(one, size=sizes.get(operator, 0))
            for one, sizes in zip(self.told, self.sizes, strict=True)
        ]


def _extension(event: history.Event, block: Block) -> Extension:
    said = event.arguments
    return Extension(block, said["oldSize"], said["newSize"], bytes(said["root"]))


def _happening(event: history.Event, block: Block) -> Iterator[Happening]:
    """An event that bears on the agent or the fleet; none for the veto of anything but a resume."""
    kind, said = _HAPPENINGS[event.name], event.arguments
    if kind is Event.VETOED and any(said["param"]):
        return
    yield Happening(
        event=kind,
        agent=bytes(said["agent"]),
        block=block,
        epoch=said.get("epoch", 0),
        until=said.get("until", 0),
        operator=said.get("newOperator", said.get("operator", "")),
        by_fork=kind is Event.HALTED and said["voters"] == 0,
        former=said.get("oldOperator", ""),
        former_size=said.get("oldSize", 0),
    )


def _lapses(past: _Past, council: Council, last: Block, block_at: Callable[[int], Block]) -> list[Lapse]:
    """When the agent had no lease. A renewal's own time is the end of its lease less its length."""
    timing = council.timing
    if not timing.lease:
        return []
    renewals = [
        Grant(event.block_number, event.arguments["leaseUntil"] - timing.lease, event.arguments["leaseUntil"])
        for event in past.renewals
    ]
    granted = grants(past.told, renewals, past.agent, timing.lease)
    return list(lapses(granted, timing.lease_grace, last, block_at))


def _operators(state: AgentState, claimed: LogIdentity) -> set[str]:
    """Whose anchors to read. What a database says of itself may be any text."""
    return {state.operator, *filter(is_checksum_address, [claimed.operator])}


def _operator(state: AgentState, told: list[Happening], claimed: LogIdentity) -> str:
    """Whose head to read: the present operator's, or an earlier one's if the log says it is his."""
    held = {happening.operator for happening in told if happening.operator}
    return claimed.operator if claimed.operator in held else state.operator


def find_log(
    settings: Settings, connection: Connection | Unreachable, agent: bytes, given: str | None
) -> str:
    """Where the log is: as given, else this host's for the agent's operator, else the only one there is.

    Raises:
        GuardError: AG510 if none can be told, AG311 if the council knows no such agent.
    """
    if given is None and settings.store != "sqlite":
        given = settings.store
    if given is not None and given.startswith(ON_A_SERVER) and isinstance(connection, Connection):
        return of_operator(given, _operator_of(connection, agent))
    if given is not None:
        return given
    logs = Places(settings.home, settings.network, "", "").logs
    if isinstance(connection, Connection):
        return str(Places(settings.home, settings.network, _operator_of(connection, agent), "").log)
    found = sorted(logs.glob("*.sqlite"))
    if len(found) == 1:
        return str(found[0])
    raise GuardError(
        "AG510",
        f"{len(found)} logs lie in {logs}, and the chain can't be asked whose is meant. Nothing was audited.",
        "Name the log with --log.",
    )


def _operator_of(connection: Connection, agent: bytes) -> str:
    """Whose log an agent's is. Raises AG311 for one that was never registered."""
    operator = connection.contract.snapshot([agent], connection.endpoint.block())[agent].operator
    if int(operator, 16) == 0:
        raise GuardError(
            "AG311",
            "No agent of this name is registered with this council, so nobody keeps a log of it. Nothing was read.",
            "List the agents with: agent-guard agent list; or name the log with --log.",
        )
    return operator
