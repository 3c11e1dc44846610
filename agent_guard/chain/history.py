"""What happened on chain, from the council's events: for auditors, and for the times of a death receipt.

Events are read in ranges of blocks up to one pinned block, so that all of an answer belongs to one history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from web3.contract.contract import ContractEvent

from agent_guard.chain.council import CouncilContract
from agent_guard.types import Action, Block

# Most providers refuse larger ranges.
BLOCKS_PER_QUERY = 2_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the council: its name, its arguments by name, and where it stands in the chain."""

    name: str
    arguments: dict[str, Any]
    block_number: int
    block_hash: bytes
    log_index: int
    transaction_hash: bytes


def events(
    council: CouncilContract, name: str, first_block: int, last: Block, **filters: object
) -> Iterator[Event]:
    """All events `name` from `first_block` to `last`, oldest first. `filters` match indexed arguments."""
    event: ContractEvent = council.contract.events[name]()
    for start in range(first_block, last.number + 1, BLOCKS_PER_QUERY):
        end = min(start + BLOCKS_PER_QUERY - 1, last.number)
        with council.endpoint.calling(f"read the council's {name} events"):
            found = event.get_logs(argument_filters=dict(filters), from_block=start, to_block=end)
        for log in sorted(found, key=lambda entry: (entry["blockNumber"], entry["logIndex"])):
            yield Event(
                name=name,
                arguments=dict(log["args"]),
                block_number=log["blockNumber"],
                block_hash=bytes(log["blockHash"]),
                log_index=log["logIndex"],
                transaction_hash=bytes(log["transactionHash"]),
            )


def registered_agents(council: CouncilContract, first_block: int, last: Block) -> list[bytes]:
    """Ids of all agents ever registered, oldest first."""
    found = events(council, "Registered", first_block, last)
    return list(dict.fromkeys(bytes(event.arguments["agent"]) for event in found))


@dataclass(frozen=True, slots=True)
class HaltOnChain:
    """The newest halt of an agent: its block, and when the first vote of that epoch was cast.

    `first_vote_at` is unix seconds, 0 if unknown, or if nobody voted: a fork proof halts without votes.
    """

    block: Block
    epoch: int
    first_vote_at: int


def latest_halt(council: CouncilContract, agent: bytes, first_block: int, last: Block) -> HaltOnChain | None:
    """The newest `Halted` or `Retired` event of an agent, or of the fleet (id 0), up to `last`."""
    stops = [
        event
        for name in ("Halted", "Retired")
        for event in events(council, name, first_block, last, agent=agent)
    ]
    if not stops:
        return None
    stop = max(stops, key=lambda event: (event.block_number, event.log_index))
    return HaltOnChain(
        block=council.endpoint.block(stop.block_number),
        epoch=stop.arguments["epoch"],
        first_vote_at=_first_vote_at(council, stop, first_block, last) if stop.arguments["voters"] else 0,
    )


def _first_vote_at(council: CouncilContract, stop: Event, first_block: int, last: Block) -> int:
    agent, epoch = stop.arguments["agent"], stop.arguments["epoch"]
    action = Action.HALT if stop.name == "Halted" else Action.RETIRE
    votes = events(council, "Voted", first_block, last, agent=agent, action=int(action))
    first = next((vote for vote in votes if vote.arguments["epoch"] == epoch), None)
    return council.endpoint.block(first.block_number).timestamp if first else 0
