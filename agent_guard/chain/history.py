"""What happened on chain, from the council's events: for auditors, and for the times of a death receipt.

Events are read in ranges of blocks up to one pinned block, so that all of an answer belongs to one history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from web3.contract.contract import ContractEvent

from agent_guard.chain.council import CouncilContract
from agent_guard.types import Block

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
