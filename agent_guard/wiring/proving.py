"""What a chain has to say of one head of a log: asked for making a proof, and for verifying one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from agent_guard.audit import Unreachable
from agent_guard.audit.terms import Change, Term, terms, why_not
from agent_guard.chain import deployment as records
from agent_guard.chain import history
from agent_guard.chain.deployment import Deployment
from agent_guard.chain.head_proof import head_slots, operator_slot
from agent_guard.chain.history import Event
from agent_guard.errors import GuardError
from agent_guard.log.bundle import state_of
from agent_guard.settings import Settings
from agent_guard.tlog import StateProof
from agent_guard.types import Block, LogIdentity
from agent_guard.wiring import Connection, connect
from agent_guard.wiring.appointing import SizesAt, place


def anchored_root(connection: Connection, operator: str, size: int, at: Block) -> bytes | None:
    """The root (32 bytes) that the contract holds at a block, or held before, for `size` entries of an operator's log.

    None if it never held a head of that size. Raises AG201.
    """
    head = connection.contract.head(operator, at)
    return head.root if head.size == size else _root_among(_extensions(connection, operator, at), size)


def root_for(
    connection: Connection | Unreachable, agent: bytes, identity: LogIdentity, size: int, index: int
) -> tuple[bytes | Unreachable | None, Term | None]:
    """The root that this chain and council hold, or held, for a log that claims to be of one of the agent's operators.

    None if they never held a head of that size; why it is not known, where it is not: what stands at `index` in an
    operator's log counts only if it came onto the chain in a term of his, for he can write there before and after it as
    he likes. With it that term.
    """
    if isinstance(connection, Unreachable):
        return connection, None
    if other := _other(connection.deployment, identity):
        return other, None
    operator = identity.operator
    try:
        at = connection.endpoint.block()
        extensions = list(_extensions(connection, operator, at))
        held = list(terms(_changes(connection, agent, extensions, at), operator))
    except GuardError as error:
        return Unreachable(error.message), None
    term = next((one for one in held if one.covers(index)), None)
    if term is None:
        return Unreachable(why_not(held, operator, index)), None
    return _root_among(extensions, size), term


def asking_chain(settings: Settings) -> Callable[[LogIdentity, int], bytes | None]:
    """Asks the council of one's own deployment record for the root of a log at a size, as `anchored_root` gives it.

    Raises:
        GuardError: when asked: AG570 the log is under another council or chain; what `connect` raises.
    """

    def ask(identity: LogIdentity, size: int) -> bytes | None:
        connection = connect(settings)
        if other := _other(connection.deployment, identity):
            raise GuardError(
                "AG570",
                f"The log is not under this council: {other.why}. Nothing was copied.",
                "Name the deployment that it is under with --network, or leave the chain out with --no-chain.",
            )
        return anchored_root(connection, identity.operator, size, connection.endpoint.block())

    return ask


def other_council(settings: Settings, identity: LogIdentity) -> Unreachable | None:
    """Why a log is not under the council of one's own deployment record, without asking a node. Raises AG204."""
    return _other(records.load(settings.record_path), identity)


def _other(record: Deployment, identity: LogIdentity) -> Unreachable | None:
    if (record.chain_id, record.address) == (identity.chain_id, identity.council):
        return None
    return Unreachable(
        f"it names council {identity.council} on chain {identity.chain_id}, and the deployment record is of"
        f" {record.address} on chain {record.chain_id}"
    )


def state_proof(connection: Connection, operator: str, agent: bytes, at: Block) -> StateProof:
    """What shows, under the hash of block `at` alone, the head of the operator's log and that he guards the agent.

    Raises:
        GuardError: AG201 the node serves no `eth_getProof`, or not of that block any more.
    """
    _, header = connection.endpoint.header(at.hash)
    answer = connection.contract.proof([*head_slots(operator), operator_slot(agent)], at)
    with connection.endpoint.calling("read a state proof"):
        return state_of(header, answer)


def _extensions(connection: Connection, operator: str, at: Block) -> Iterator[Event]:
    """All anchors of an operator's log up to a block, oldest first."""
    return history.events(
        connection.contract, "Extended", connection.deployment.deploy_block, at, operator=operator
    )


def _root_among(extensions: Iterable[Event], size: int) -> bytes | None:
    return next(
        (bytes(one.arguments["root"]) for one in extensions if one.arguments["newSize"] == size), None
    )


def _changes(connection: Connection, agent: bytes, extensions: Sequence[Event], at: Block) -> list[Change]:
    """Who was to guard an agent, from its registration on; `size` is of the log whose anchors are given."""
    first = connection.deployment.deploy_block
    found = [
        event
        for name in ("Registered", "OperatorChanged")
        for event in history.events(connection.contract, name, first, at, agent=agent)
    ]
    found.sort(key=place)
    sizes = SizesAt([*map(place, found)])
    deque(sizes.watch(extensions), maxlen=0)
    return [
        Change(
            block=event.block_number,
            operator=said["newOperator"] if "newOperator" in said else said["operator"],
            size=size,
            former=said.get("oldOperator", ""),
            former_size=said.get("oldSize", 0),
        )
        for event, size in zip(found, sizes, strict=True)
        for said in [event.arguments]
    ]
