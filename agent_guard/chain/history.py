"""What happened on chain, from the council's events: for auditors, and for the times of a death receipt.

All kinds of events that are wanted are read in one pass over the blocks, up to one pinned block, so that all of an
answer belongs to one history. Trusts the node to leave none out; one that it gives twice, and one of another contract,
of a kind, an agent or an operator that was not asked for, is no answer (AG201).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from eth_abi.abi import encode
from hexbytes import HexBytes
from web3.contract.contract import ContractEvent

from agent_guard.chain.council import CouncilContract
from agent_guard.chain.lanes import Lanes
from agent_guard.chain.ranges import Log, Span, read_logs
from agent_guard.types import Action, Block


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the council: its name, its arguments by name, and where it stands in the chain.

    `timestamp`: its block's, in unix seconds, where the node said it; to be believed as chain/dating.py does.
    """

    name: str
    arguments: Mapping[str, Any]
    block_number: int
    block_hash: bytes
    log_index: int
    transaction_hash: bytes
    timestamp: int | None = None

    @property
    def place(self) -> tuple[int, int]:
        """What events are ordered by."""
        return self.block_number, self.log_index


def events(
    council: CouncilContract,
    names: Collection[str],
    first_block: int,
    last: Block,
    about: Collection[bytes | str] = (),
    lanes: Lanes | None = None,
    progress: Callable[[int, int], None] = lambda blocks, total: None,
    *,
    from_deployment: bool = True,
) -> Iterator[Event]:
    """All events of these names from `first_block` to `last`, oldest first.

    Args:
        about: only those whose first indexed argument is one of these agents (32-byte ids) or operators (addresses);
            empty: all.
        lanes: reads several ranges at once; by default one after another, in the caller's thread.
        progress: told how many blocks have been read, and of how many, now and then.
        from_deployment: `first_block` is the one that the council was deployed in, where its signers are named.

    Raises:
        GuardError: AG201 no answer, or one that is none; AG209.
    """
    kinds = {
        bytes(HexBytes(kind.topic)): kind for kind in (council.contract.events[name]() for name in names)
    }
    wanted: dict[str, Any] = {"address": council.address, "topics": [_words(kinds)]}
    subjects = {_word(whom) for whom in about}
    if subjects:
        wanted["topics"].append(_words(subjects))
    what = f"read the council's {' and '.join(names) if len(names) < 3 else 'past'} events"
    whole = Span(first_block, last.number)
    landmark = _landmark(council) if from_deployment else None
    for span, logs in read_logs(council.endpoint, wanted, whole, lanes or Lanes(1), what, landmark):
        with council.endpoint.calling(what):
            found = _in_order(_event(council, kinds, subjects, log) for log in logs)
        for event in found:
            progress(event.block_number - first_block, len(whole))
            yield event
        progress(span.end + 1 - first_block, len(whole))


def _landmark(council: CouncilContract) -> dict[str, Any]:
    """The event of the council's constructor."""
    return {"address": council.address, "topics": [council.contract.events["Rotated"]().topic]}


def _in_order(given: Iterable[Event]) -> list[Event]:
    found = sorted(given, key=lambda one: one.place)
    if any(one.place == following.place for one, following in pairwise(found)):
        raise ValueError("the node gave an event twice")
    return found


def _words(words: Iterable[bytes]) -> list[str]:
    return ["0x" + word.hex() for word in sorted(words)]


def _word(whom: bytes | str) -> bytes:
    """An agent's id or an operator's address as a topic."""
    return bytes(encode(["address"], [whom])) if isinstance(whom, str) else whom


def _event(
    council: CouncilContract, kinds: Mapping[bytes, ContractEvent], subjects: Collection[bytes], log: Log
) -> Event:
    """An event from a log of a node. Raises what its nonsense raises."""
    topics = [HexBytes(topic) for topic in log["topics"]]
    if str(log["address"]).lower() != council.address.lower() or log.get("removed"):
        raise ValueError("the node gave a log that is not the council's")
    if bytes(topics[0]) not in kinds or (subjects and bytes(topics[1]) not in subjects):
        raise ValueError("the node gave another event than was asked for")
    number, index = int(log["blockNumber"], 16), int(log["logIndex"], 16)
    block_hash, transaction = (bytes(HexBytes(log[name])) for name in ("blockHash", "transactionHash"))
    if not (len(block_hash) == len(transaction) == 32 and 0 <= index < 1 << 64):
        raise ValueError("the place of an event is out of range")
    plain: Any = {**log, "topics": topics, "data": HexBytes(log["data"])}
    decoded = kinds[bytes(topics[0])].process_log(plain)
    arguments, time = dict(decoded["args"]), _time(log.get("blockTimestamp"))
    return Event(decoded["event"], arguments, number, block_hash, index, transaction, time)


def _time(said: object) -> int | None:
    """When a log says that its block was. Some nodes leave it out, and some say 0: then it is not known."""
    time = int(said, 16) if isinstance(said, str) else 0
    return time if 0 < time < 1 << 64 else None


def registered_agents(council: CouncilContract, first_block: int, last: Block) -> list[bytes]:
    """Ids of all agents ever registered, oldest first."""
    with Lanes() as lanes:
        found = list(events(council, ["Registered"], first_block, last, lanes=lanes))
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
    """The newest `Halted` or `Retired` event of an agent, or of the fleet (id 0), up to `last`.

    Asks in the caller's thread alone: a guard's death receipt waits for it.
    """
    kinds = ["Halted", "Retired", "Voted"]
    found = list(events(council, kinds, first_block, last, [agent], from_deployment=False))
    stop = next((event for event in reversed(found) if event.name != "Voted"), None)
    if stop is None:
        return None
    return HaltOnChain(
        block=council.endpoint.block(stop.block_number),
        epoch=stop.arguments["epoch"],
        first_vote_at=_first_vote_at(council, stop, found) if stop.arguments["voters"] else 0,
    )


def _first_vote_at(council: CouncilContract, stop: Event, found: Iterable[Event]) -> int:
    action, epoch = Action.HALT if stop.name == "Halted" else Action.RETIRE, stop.arguments["epoch"]
    for event in found:
        if event.name == "Voted" and (event.arguments["action"], event.arguments["epoch"]) == (action, epoch):
            return council.endpoint.block(event.block_number).timestamp
    return 0
