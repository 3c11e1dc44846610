"""What a chain has to say of one head of a log: asked for making a proof, and for verifying one."""

from collections.abc import Callable, Iterable

from agent_guard.audit import Unreachable
from agent_guard.audit.terms import Change, Term, terms, why_not
from agent_guard.chain import deployment as records
from agent_guard.chain import history
from agent_guard.chain.deployment import Deployment
from agent_guard.chain.head_proof import head_slots, operator_slot
from agent_guard.chain.history import Event
from agent_guard.chain.lanes import Lanes
from agent_guard.errors import GuardError
from agent_guard.log.bundle import state_of
from agent_guard.settings import Settings
from agent_guard.tlog import StateProof
from agent_guard.types import Block, LogIdentity
from agent_guard.wiring import Connection, connect


def anchored_root(connection: Connection, operator: str, size: int, at: Block) -> bytes | None:
    """The root (32 bytes) that the contract holds at a block, or held before, for `size` entries of an operator's log.

    None if it never held a head of that size. Raises AG201.
    """
    head = connection.contract.head(operator, at)
    if head.size == size:
        return head.root
    with Lanes() as lanes:
        first = connection.deployment.deploy_block
        return _root_among(
            history.events(connection.contract, ["Extended"], first, at, [operator], lanes), size
        )


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
        past = _past(connection.patient(), agent, operator)
        held = list(terms(_changes(past, operator), operator))
    except GuardError as error:
        return Unreachable(error.message), None
    term = next((one for one in held if one.covers(index)), None)
    if term is None:
        return Unreachable(why_not(held, operator, index)), None
    return _root_among(past, size), term


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


def _past(connection: Connection, agent: bytes, operator: str) -> list[Event]:
    """Who was to guard an agent, and all anchors of an operator's log, oldest first."""
    kinds, first = ("Registered", "OperatorChanged", "Extended"), connection.deployment.deploy_block
    with Lanes() as lanes:
        last = connection.endpoint.block()
        return list(history.events(connection.contract, kinds, first, last, (agent, operator), lanes))


def _root_among(past: Iterable[Event], size: int) -> bytes | None:
    return next(
        (
            bytes(one.arguments["root"])
            for one in past
            if one.name == "Extended" and one.arguments["newSize"] == size
        ),
        None,
    )


def _changes(past: Iterable[Event], operator: str) -> list[Change]:
    """Who was to guard an agent, from its registration on; `size` is of the log of `operator`."""
    changes, size = [], 0
    for event in past:
        said = event.arguments
        if event.name == "Extended":
            size = said["newSize"]
            continue
        changes.append(
            Change(
                block=event.block_number,
                operator=said["newOperator"] if "newOperator" in said else said["operator"],
                size=size,
                former=said.get("oldOperator", ""),
                former_size=said.get("oldSize", 0),
            )
        )
    return changes
