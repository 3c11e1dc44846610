"""The council contract, read through one endpoint. Every read names its block.

Trusts the endpoint for what it answers; who believes an answer, and when, is decided in `guard/verdict.py`.
"""

from collections.abc import Sequence
from typing import Any

from eth_typing import Hash32
from web3.exceptions import ContractLogicError

from agent_guard.chain.artifact import council_artifact
from agent_guard.chain.endpoint import Endpoint
from agent_guard.errors import GuardError
from agent_guard.types import (
    Action,
    AgentState,
    Block,
    Council,
    Head,
    State,
    Thresholds,
    Timing,
)


class CouncilContract:
    """Typed reads of one council. `address` is checksummed.

    Every method raises `GuardError` AG201 when the endpoint gives no usable answer.
    """

    def __init__(self, endpoint: Endpoint, address: str) -> None:
        self.endpoint = endpoint
        self.address = endpoint.web3.to_checksum_address(address)
        self.contract = endpoint.web3.eth.contract(address=self.address, abi=council_artifact()["abi"])

    def call(self, name: str, *arguments: object, block: Block) -> Any:
        """One `eth_call`. A revert is AG203: none of the council's views reverts."""
        try:
            with self.endpoint.calling(f"read {name}() of the council"):
                return self.contract.functions[name](*arguments).call(block_identifier=Hash32(block.hash))
        except ContractLogicError as error:
            raise GuardError(
                "AG203",
                f"{name}() of {self.address} reverted, as no view of a council does. Nothing was read.",
                "Check the record with: agent-guard deployment check",
            ) from error

    def council(self, block: Block) -> Council:
        signers, thresholds, timing, set_version = self.call("council", block=block)
        return Council(tuple(signers), Thresholds(*thresholds), Timing(*timing), set_version)

    def snapshot(self, agents: Sequence[bytes], block: Block) -> dict[bytes, AgentState]:
        """All these agents (id 0 for the fleet) at one block, in one call."""
        rows = self.call("snapshot", list(agents), block=block)
        with self.endpoint.calling("read snapshot() of the council"):
            states = {state.agent: state for state in map(_to_agent_state, rows)}
            if not states.keys() >= set(agents):
                raise ValueError("the answer leaves agents out")
            return states

    def votes(self, agent: bytes, action: Action, param: bytes, block: Block) -> tuple[int, int, int]:
        """Votes that count at this block, votes needed, and who: a bitmap over the present signers."""
        count, needed, voters = self.call("votes", agent, int(action), param, block=block)
        return count, needed, voters

    def scheduled_at(self, agent: bytes, action: Action, param: bytes, block: Block) -> int:
        return int(self.call("scheduledAt", agent, int(action), param, block=block))

    def head(self, operator: str, block: Block) -> Head:
        return Head(*self.call("headOf", operator, block=block))


def _to_agent_state(row: Sequence[Any]) -> AgentState:
    (agent, state, may_run, epoch, arms, vetoes, halt_votes, resume_votes, *rest) = row
    (paused_until, lease_until, resume_ready_at, operator, size, root, anchored_at, halted_size) = rest
    return AgentState(
        agent=bytes(agent),
        state=State(state),
        may_run=may_run,
        epoch=epoch,
        arms=arms,
        vetoes=vetoes,
        halt_votes=halt_votes,
        resume_votes=resume_votes,
        paused_until=paused_until,
        lease_until=lease_until,
        resume_ready_at=resume_ready_at,
        operator=operator,
        head=Head(size, bytes(root), anchored_at),
        halted_size=halted_size,
    )
