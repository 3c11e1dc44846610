"""A contract's logs over any number of blocks, in as few requests as the node takes and the memory bears.

How many blocks, and how many logs, an answer may span is each provider's own rule, and so is the error that says so:
-32602 "range 1000000 exceeds limit of 10000" (Infura), -32005 "query returned more than 10000 results" (geth's heirs),
-32600 "up to a 500 block range" (Alchemy), HTTP 413 (QuickNode), or a time-out. So no error's words are read: what is
refused is asked for half as many blocks, down to one, whose refusal is raised; what is taken soon for twice as many.
Some refuse nothing, and answer that there is nothing: so who knows a log that stands in the first block names it as a
`landmark`, and no logs of more blocks than any answer held before are believed only of a node that gives it, asked for
as many.

Guarantees: every block of the range is asked for once with success, in order; an error is never taken for no logs; a
node that says nothing at all is given up after `SILENCES` such answers in a row. Trusts no log that lies outside of
what was asked for. What a node leaves out can't be seen here; with a quorum, all are asked for the very same ranges.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from web3.exceptions import Web3RPCError

from agent_guard.chain.endpoint import Endpoint, TooLargeError
from agent_guard.chain.lanes import Lanes
from agent_guard.errors import GuardError

FIRST_BLOCKS = 8_192
"""What nearly all providers take."""
MOST_BLOCKS = 131_072
MANY_LOGS = 1_000
"""An answer with more makes the next ranges smaller: two megabytes or so are held for each lane."""
PATIENCE = 16
"""Rounds that must go well before more blocks are asked for than were once refused: a rule is seldom lifted."""
SILENCES = 3
_NOT_OF_SIZE = frozenset((401, 403, 404, 408, 425, 429))
"""HTTP errors of the client that no smaller range would mend."""

Log = Mapping[str, Any]
Wanted = Mapping[str, Any]
Answer = Sequence[Log] | GuardError


@dataclass(frozen=True, slots=True)
class Span:
    """Blocks from `start` to `end`, both with."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start + 1


def read_logs(
    endpoint: Endpoint, wanted: Wanted, whole: Span, lanes: Lanes, what: str, landmark: Wanted | None = None
) -> Iterator[tuple[Span, Sequence[Log]]]:
    """The logs that match, as the node gave them, span after span until all of `whole` was read.

    Args:
        wanted: address and topics, as `eth_getLogs` takes them.
        lanes: as many spans are read at once.
        what: is read, for an error's words.
        landmark: address and topics of a log that stands in the first block of `whole`.

    Raises:
        GuardError: AG201 the node refuses even one block, or says nothing; AG209.
    """

    reader = _Reader(endpoint, wanted, landmark, whole.start, what)
    pace, at = _Pace(lanes.count), whole.start
    while at <= whole.end:
        most = 0
        spans = pace.spans(at, whole.end)
        for span, answer in zip(spans, lanes.map(reader.ask, spans), strict=True):
            logs = reader.weigh(span, answer)
            if isinstance(logs, GuardError):
                pace.refused(span, logs)
                break
            most = max(most, len(logs))
            yield span, logs
            at = span.end + 1
        else:
            pace.taken(most)


def _within(span: Span, logs: Any) -> Sequence[Log]:
    """The logs, if they are a list and of these blocks. Raises what their nonsense raises."""
    if not isinstance(logs, list):
        raise TypeError("the logs are no list")
    if any(not span.start <= int(log["blockNumber"], 16) <= span.end for log in logs):
        raise ValueError("the node gave logs of other blocks than it was asked for")
    return logs


class HiddenError(ValueError):
    """A node gave no logs of so many blocks, among which there are some."""


class _Reader:
    """Asks for ranges of logs; `what` is read, for an error's words."""

    def __init__(
        self, endpoint: Endpoint, wanted: Wanted, landmark: Wanted | None, first: int, what: str
    ) -> None:
        self._endpoint, self._wanted, self._what = endpoint, wanted, what
        self._landmark, self._first = landmark, first
        self._shown = 1

    def ask(self, span: Span) -> Answer:
        """What the node says of a range; the error, if that is none."""
        try:
            return self._logs(self._wanted, span)
        except GuardError as error:
            return error

    def weigh(self, span: Span, logs: Answer) -> Answer:
        """What was answered, or the error that no logs of this range are, though the node did not say so."""
        if isinstance(logs, GuardError) or len(span) <= self._shown or self._landmark is None:
            return logs
        try:
            if not logs and self._hides(self._landmark, len(span)):
                with self._endpoint.calling(self._what):
                    raise HiddenError(f"it leaves out the events of {len(span)} blocks")
        except GuardError as error:
            return error
        self._shown = len(span)
        return logs

    def _hides(self, landmark: Wanted, blocks: int) -> bool:
        """Whether the landmark is left out among so many blocks. Where it is never given, by a node that has forgotten
        the first block, it is none.
        """
        if self._logs(landmark, Span(self._first, self._first + blocks - 1)):
            return False
        if self._logs(landmark, Span(self._first, self._first)):
            return True
        self._landmark = None
        return False

    def _logs(self, wanted: Wanted, span: Span) -> Sequence[Log]:
        limits = {"fromBlock": hex(span.start), "toBlock": hex(span.end)}
        with self._endpoint.calling(self._what):
            return _within(span, self._endpoint.ask("eth_getLogs", {**wanted, **limits}))


class _Pace:
    """How many blocks to ask for at once, and how many times side by side; learnt from what became of the last."""

    def __init__(self, most_lanes: int) -> None:
        self._most_lanes = most_lanes
        self._blocks, self._lanes = FIRST_BLOCKS, 1
        self._patience = self._silences = 0

    def spans(self, start: int, last: int) -> list[Span]:
        """The next to ask for, from `start` on."""
        starts = range(start, last + 1, self._blocks)[: self._lanes]
        return [Span(at, min(at + self._blocks - 1, last)) for at in starts]

    def taken(self, most: int) -> None:
        """All of them were answered, none with more than `most` logs."""
        self._silences, self._lanes = 0, min(2 * self._lanes, self._most_lanes)
        self._patience = max(self._patience - 1, 0)
        if most > MANY_LOGS:
            self._blocks = max(self._blocks // 2, 1)
        elif not self._patience and most <= MANY_LOGS // 4:
            self._blocks = min(2 * self._blocks, MOST_BLOCKS)

    def refused(self, span: Span, error: GuardError) -> None:
        """One of them was not. Raises its error if no smaller range is to be asked for."""
        if _is_silence(error):
            self._silences += 1
        elif not _is_refusal(error):
            raise error
        if len(span) == 1 or self._silences == SILENCES:
            raise error
        self._blocks, self._lanes, self._patience = len(span) // 2, 1, PATIENCE


def _is_refusal(error: GuardError) -> bool:
    """Whether the node, or a quorum, did say something: that it is too much, for all we know."""
    cause = error.__cause__
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        return 400 <= cause.response.status_code < 500 and cause.response.status_code not in _NOT_OF_SIZE
    return error.code == "AG209" or isinstance(cause, Web3RPCError | TooLargeError | HiddenError)


def _is_silence(error: GuardError) -> bool:
    return isinstance(error.__cause__, requests.RequestException) and not _is_refusal(error)
