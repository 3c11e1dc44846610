"""What a chain has to say of one head of a log: asked for making a proof, and for verifying one."""

from collections.abc import Callable
from math import inf

from agent_guard.audit import Unreachable
from agent_guard.chain import deployment as records
from agent_guard.chain import history
from agent_guard.chain.deployment import Deployment
from agent_guard.chain.head_proof import head_slots, operator_slot
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
    contract = connection.contract
    head = contract.head(operator, at)
    if head.size == size:
        return head.root
    first = connection.deployment.deploy_block
    extensions = history.events(contract, "Extended", first, at, operator=operator)
    return next(
        (bytes(one.arguments["root"]) for one in extensions if one.arguments["newSize"] == size), None
    )


def root_for(
    connection: Connection | Unreachable, agent: bytes, identity: LogIdentity, size: int, index: int
) -> bytes | Unreachable | None:
    """The root that this chain and council hold, or held, for a log that claims to be of one of the agent's operators.

    None if they never held a head of that size; why it is not known, where it is not: what stands at `index` in the log
    of a former operator counts only if it was anchored before he was replaced, for he can go on with his log for ever.
    """
    if isinstance(connection, Unreachable):
        return connection
    if other := _other(connection.deployment, identity):
        return other
    try:
        at = connection.endpoint.block()
        end = _end_of_term(connection, agent, identity.operator, at)
        if index >= end:
            return Unreachable(_not_his(identity.operator, end, index))
        return anchored_root(connection, identity.operator, size, at)
    except GuardError as error:
        return Unreachable(error.message)


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


def _end_of_term(connection: Connection, agent: bytes, operator: str, at: Block) -> float:
    """Entries that an operator's log had on chain when he was last replaced as this agent's guard.

    Infinite if he guards it, 0 if he never did.
    """
    contract, first = connection.contract, connection.deployment.deploy_block
    if contract.snapshot([agent], at)[agent].operator == operator:
        return inf
    changed = history.events(contract, "OperatorChanged", first, at, agent=agent)
    ends = [one.arguments["oldSize"] for one in changed if one.arguments["oldOperator"] == operator]
    return int(max(ends, default=0))


def _not_his(operator: str, end: float, index: int) -> str:
    if end == 0:
        return f"{operator} never guarded this agent, or had nothing on chain when he was replaced"
    return (
        f"{operator} was replaced as this agent's guard when {end} entries of his log were on chain, and entry {index}"
        " came there later"
    )
