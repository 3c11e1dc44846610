"""The one door that every action of an agent passes: no yes before the intent is on disk and the agent may still run.

Guarantees, in this order for each proposal:
  1. the agent's standing allows it and the log's unanchored tail is within its limits; else it is refused;
  2. the intent is durable; a store that fails or is slow refuses;
  3. the standing is asked again: a halt that came meanwhile wins, and the durable intent is closed as refused;
  4. only then is the answer ALLOW.
Each intent is closed once: by its outcome, or by the refusal that withdrew the yes.

Trusts the standing, the recorder and the history that wiring hands in. Trusts nothing of the agent: what it writes
goes into the log as data and into no decision. Used from one event loop; recorder and standing may use other threads.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from agent_guard.entry import Kind
from agent_guard.errors import GuardError
from agent_guard.gate.answers import Answer, Closing, Lag, Limits, Proposal, Recorded, Ruling
from agent_guard.gate.history import History
from agent_guard.gate.landings import Landing
from agent_guard.gate.records import Records, intent_key
from agent_guard.gate.refusals import RefusalLog, refusal_content
from agent_guard.gate.standing import doubt, refusal_of, tail_too_long
from agent_guard.log.batch import Appended
from agent_guard.log.recorder import Recorder
from agent_guard.types import Block, Standing

OPEN_REMEMBERED = 65_536

Known = TypeVar("Known")


class Gate:
    """The door of one agent.

    Args:
        agent: the agent's name, as its entries carry it.
        standing: where the agent stands at this moment; asked before and after each intent is recorded. What it
            raises counts as doubt.
        recorder: writes entries; its future resolves when the entry is on disk.
        lag: entries and seconds of the tail that no anchor covers.
        history: what the log holds of this agent already.
        limits: where the gate fails closed.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        agent: str,
        standing: Callable[[], Standing],
        recorder: Recorder,
        lag: Callable[[], tuple[int, float]],
        history: History,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.agent = agent
        self.limits = limits
        self._standing = standing
        self._lag = lag
        self._history = history
        self._records = Records(agent, recorder, limits.in_flight, limits.answer_seconds)
        self._refusals = RefusalLog(self._records, limits.refusal_burst, limits.refusal_refill, clock)
        # Intents that were allowed and not closed yet; the history is asked about those this forgot.
        self._open: dict[int, None] = {}
        self._withdrawn: set[int] = set()
        self._forgotten = 0  # withdrawals whose closing became durable
        self._reading, self._looking = asyncio.Lock(), asyncio.Lock()

    async def propose(
        self, tool: str, arguments: dict[str, Any], idempotency_key: str | None = None, critical: bool = False
    ) -> Answer:
        """Decides one action.

        Raises:
            GuardError: AG620 a stop was announced, AG602 halted, AG603 in doubt, AG604 tail too long, AG605 not
                recorded, AG606 too many at once, AG612 withdrawn before, AG613 key of another action. All mean *do not
                act*.
        """
        return await self.decide(Proposal(tool, arguments, idempotency_key, critical))

    async def batch(self, proposals: Sequence[Proposal]) -> list[Answer | GuardError]:
        """Decides several actions, each for itself; their intents share the recorder's fsync."""
        return await asyncio.gather(*map(self._answer_or_refusal, proposals))

    async def decide(self, proposal: Proposal) -> Answer:
        """`propose`, for a value; every refusal is recorded (as far as `RefusalLog` has room)."""
        try:
            standing = self._permission()
            intent = await self._intend(proposal, standing.block)
        except GuardError as error:
            await self.refuse(error, tool=proposal.tool)
            raise
        try:
            self._permission()
        except GuardError as error:
            # A repeated intent may have had its yes; whoever got that may still report the outcome.
            await (
                self.refuse(error, action=intent.index) if intent.duplicate else self._withdraw(intent, error)
            )
            raise
        self._remember_open(intent.index)
        return Answer(self._rule(proposal), intent.index, intent.leaf_hash, standing.block)

    async def outcome(self, seq: int, status: str, result: Any) -> Closing:
        """Records how an allowed action ended, whatever the agent's standing has become.

        Raises:
            GuardError: AG611 no intent of this agent, AG612 closed already, AG605 not recorded, AG606 too many at once.
        """
        try:
            if not self._forget_open(seq):
                await self._look(self._history.check_intent, seq)
            if seq in self._withdrawn:
                raise _closed(seq)
            closing = await self._close(seq, Kind.OUTCOME, {"status": status, "result": result})
            if closing.duplicate:
                raise _closed(seq)
        except GuardError as error:
            await self.refuse(error, action=seq)
            raise
        return Closing(seq, closing.index, closing.leaf_hash)

    async def get(self, seq: int) -> Recorded:
        """An intent of this agent, with its inclusion proof once a head that covers it is anchored (AG611 if none)."""
        async with self._reading:  # proofs are work: an agent gets one at a time
            return await asyncio.to_thread(self._history.recorded, seq)

    async def refuse(self, error: GuardError, **details: Any) -> None:
        """Records a refusal of whatever kind, if there is room; one that can't be recorded is refused all the same."""
        with suppress(GuardError):  # the store is in trouble, and the caller refuses in any case
            landing = self._refusals.note(error, **details)
            # Who waited for the disk in vain, or was not let to, does not wait for it a second time.
            if landing and error.code not in ("AG605", "AG606"):
                await self._records.landed(landing)

    def standing(self) -> Standing:
        """Where the agent stands. Raises AG603 when even that can't be said."""
        return _known(self._standing, "its standing")

    def lag(self) -> Lag:
        """The tail that no anchor covers. Raises AG603 when that can't be said."""
        return Lag(*_known(self._lag, "the log's tail"))

    def note_refusal(self, error: GuardError) -> None:
        """`refuse` without waiting, for a caller who can't."""
        with suppress(GuardError):  # the store is in trouble, and the caller refuses in any case
            self._refusals.note(error)

    @property
    def refusals_unrecorded(self) -> int:
        """Refusals counted, and not yet mentioned in any record."""
        return self._refusals.unrecorded

    def _permission(self) -> Standing:
        standing = self.standing()
        if refusal := refusal_of(standing) or tail_too_long(self.lag(), self.limits):
            raise refusal
        return standing

    def _rule(self, proposal: Proposal) -> Ruling:
        """The one place for a policy and for approvals. None is configured, and `answers.POLICY` says so."""
        return Ruling.ALLOW

    async def _answer_or_refusal(self, proposal: Proposal) -> Answer | GuardError:
        try:
            return await self.decide(proposal)
        except GuardError as error:
            return error

    async def _intend(self, proposal: Proposal, block: Block | None) -> Appended:
        key = None if proposal.idempotency_key is None else intent_key(proposal.idempotency_key)
        landing = self._records.append(
            Kind.INTENT, proposal.content(), idempotency_key=key, critical=proposal.critical, block=block
        )
        try:
            intent = await self._records.landed(landing)
        except (GuardError, asyncio.CancelledError):
            self._withdraw_when_landed(landing)
            raise
        if intent.conflict:
            raise _other_action()
        # Asked again before its outcome an action answers as it did; after it, one intent would cover two actions.
        if intent.duplicate and await self._is_closed(intent.index):
            raise _closed(intent.index)
        return intent

    async def _is_closed(self, seq: int) -> bool:
        while True:
            forgotten = self._forgotten
            closed_by = await self._look(self._history.closed_by, seq)
            if closed_by is not None or seq in self._withdrawn:
                return True
            if forgotten == self._forgotten:
                return False
            # Meanwhile a withdrawal became durable, perhaps this one's, and after the log was read: read again.

    async def _look(self, read: Callable[[int], Known], seq: int) -> Known:
        """Reads the log off the loop: a database that hangs delays this agent's question, and no other's."""
        async with self._looking:
            return await asyncio.to_thread(read, seq)

    def _withdraw_when_landed(self, landing: Landing) -> None:
        """The agent got no yes; should the intent land after all, the log must not show it as allowed."""
        late = GuardError(
            "AG605", "The intent was durable only after the agent had been refused.", "Ask again."
        )

        async def withdraw(intent: Appended) -> None:
            if not intent.duplicate:
                await self._withdraw(intent, late)

        self._records.when_landed(landing, withdraw)

    async def _withdraw(self, intent: Appended, error: GuardError) -> None:
        """Closes a durable intent as refused. Until that is durable too, this process remembers it."""
        self._withdrawn.add(intent.index)
        self._forget_open(intent.index)
        closing = self._records.close_at_last(intent.index, Kind.REFUSED, refusal_content(error))
        closing.add_done_callback(lambda done: self._forget_withdrawn(intent.index, done))
        await asyncio.wait((closing,), timeout=self.limits.answer_seconds)

    def _forget_withdrawn(self, seq: int, closing: asyncio.Task[bool]) -> None:
        if not closing.cancelled() and closing.result():
            self._withdrawn.discard(seq)
            self._forgotten += 1

    async def _close(self, seq: int, kind: Kind, content: dict[str, Any]) -> Appended:
        return await self._records.landed(self._records.close(seq, kind, content))

    def _remember_open(self, seq: int) -> None:
        self._open[seq] = None
        if len(self._open) > OPEN_REMEMBERED:
            del self._open[next(iter(self._open))]

    def _forget_open(self, seq: int) -> bool:
        return self._open.pop(seq, False) is None


def _known(ask: Callable[[], Known], what: str) -> Known:
    """What is not known is treated as stop, whatever the reason: no exception here may end in a yes."""
    try:
        return ask()
    except Exception as error:
        raise doubt(f"{what} can't be read ({type(error).__name__})") from error


def _closed(seq: int) -> GuardError:
    return GuardError(
        "AG612",
        f"Action {seq} is closed already: by its outcome, or because its yes was withdrawn. Nothing was recorded.",
        "Propose a new action, with a new idempotency key.",
    )


def _other_action() -> GuardError:
    return GuardError(
        "AG613",
        "The idempotency key stands for an action with another tool or arguments, or an erased one. This action must"
        " not happen.",
        "Use a new key for a new action.",
    )
