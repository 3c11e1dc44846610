"""The audit of one agent: its guard's whole log against the chain, trusting neither the guard nor its operator.

The steps, each tagged where it is done (2 to 6 in rows.py, 7 in tree.py, 8 in ending.py, 9 in obedience.py):

  1. Owner: the log's identity is the chain, council and operator that were asked; what he wrote of the agent while he
     did not guard it does not speak of it, and is no part of what follows (tenure.py).
  2. Place: indices run from 0 without a gap.
  3. Leaf: each entry's bytes hash to the leaf stored with them.
  4. Form: the bytes are an entry in its one canonical spelling, and say the same place, agent and kind as the database.
  5. Counters: each agent's run from 0 without a gap; what answers a request answers one that is open (answers.py).
  6. Content: what is there hashes, with its salt, to the commitment in its entry. Bytes, and not read: whoever shows
     one takes canonical JSON alone, and says of another that it is there and is none. (To parse each would cost more
     than to hash it, and show nothing: canonical JSON can be as empty as noise.)
  7. Tree: at each size that was ever anchored, the rebuilt root is the chain's.
  8. End: the log reaches the chain's head, and what lies beyond it is within the limits; before it the guard was never
     silent while the agent acted (silence.py).
  9. Obedience: no act on a block in which the council did not allow it (stops.py; lateness.py where the block that is
     named can't be relied on); each life that a halt ended is answered by a death, in time (lives.py).
 10. Openness: the agent's content is there, or erased on purpose and on record (openness.py).
 11. Verdict: TAMPERED if anything is proven wrong, INDETERMINATE if anything could not be checked, else VERIFIED.

Streams: memory does not grow with the log, and plain entries are checked together, by the same rules (stretch.py).
Trusts SHA-256, the chain facts it is handed, and nothing else.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from agent_guard import text
from agent_guard.audit.answers import Answers
from agent_guard.audit.ending import Ending
from agent_guard.audit.facts import ChainFacts, Unreachable, Written
from agent_guard.audit.faults import Faults, in_words, tampered
from agent_guard.audit.limits import AuditLimits, LimitsInForce
from agent_guard.audit.obedience import Obedience
from agent_guard.audit.openness import Openness
from agent_guard.audit.result import Aspect, AuditResult, Check, Fault, Result, worst
from agent_guard.audit.rows import RowChecks
from agent_guard.audit.silence import Silence
from agent_guard.audit.stretch import Stretch, stretch_of
from agent_guard.audit.tenure import Tenure, why_unknown
from agent_guard.audit.tree import AnchoredTree
from agent_guard.entry import Entry, Kind
from agent_guard.errors import GuardError
from agent_guard.store import Page, Row
from agent_guard.types import LogIdentity

PROGRESS_EVERY = 4096


@dataclass(frozen=True, slots=True)
class Log:
    """The log to audit: whose it says it is, and its rows in order. `pages` may raise `GuardError` (AG515: damaged).

    `is_copy`: it was published by its guard or mirrored, and so may honestly end before the chain's head. `there`: how
    many entries it had before the chain was asked, None if nobody looked; its guard may have written on since.
    """

    identity: LogIdentity
    pages: Iterator[Page]
    is_copy: bool = False
    there: int | None = None


def audit(
    agent: bytes,
    log: Log,
    chain: ChainFacts | Unreachable,
    limits: AuditLimits,
    progress: Callable[[int], None] = lambda entries: None,
    beside: Collection[str] = (),
) -> AuditResult:
    """Audits one agent (32-byte id). Never raises for what is wrong with the log or the chain: that is the result.

    Args:
        progress: told how many entries were read, now and then.
        beside: operators whose logs the caller audits, too, so that what they hold of the agent's history is not
            missing: his result is the worst of all.
    """
    examination = _Examination(agent, log, chain, limits, beside)
    told = 0
    for part in _parts(_pages(log, examination), examination):
        examination.take(part)
        if examination.entries - told >= PROGRESS_EVERY:
            told = examination.entries
            progress(told)
    progress(examination.entries)
    return examination.conclude()


def _pages(log: Log, examination: "_Examination") -> Iterator[Page]:
    """The pages, until the log can't be read any further; what stopped them is kept for step 8."""
    try:
        yield from log.pages
    except GuardError as error:
        examination.unreadable = error


def _parts(pages: Iterator[Page], examination: "_Examination") -> Iterator[Page]:
    """The pages, cut at the anchors, so that each part may be a stretch."""
    for page in pages:
        rest: Page | None = page
        while rest is not None:
            part, rest = rest.split(examination.room() or len(rest))
            yield part


class _Examination:
    """One pass over a log. Its chain is None where there is none to hold it against, for the reason `_unknown`."""

    def __init__(
        self,
        agent: bytes,
        log: Log,
        asked: ChainFacts | Unreachable,
        limits: AuditLimits,
        beside: Collection[str],
    ) -> None:
        # 1. Owner
        unknown = why_unknown(log.identity, asked)
        chain = None if isinstance(asked, Unreachable) or unknown else asked
        self._is_strangers = chain is None and not isinstance(asked, Unreachable)
        self._agent, self._chain, self._unknown = agent, chain, unknown
        self._checks = RowChecks()
        self._tree = AnchoredTree(chain)
        self._limits = LimitsInForce(limits)
        self._obedience = Obedience(chain, self._limits) if chain else None
        self._silence = Silence(chain, self._limits) if chain else None
        self._tenure = Tenure(chain, self._limits) if chain else None
        self._ending = Ending(chain, self._limits, log.is_copy, beside, log.there)
        self._answers = Answers()
        self._open = Openness(log.is_copy)
        self._faults = Faults()
        self._in_itself: Fault | None = None
        self._broken_at: int | None = None
        self._own = 0
        self.entries = 0
        self.unreadable: GuardError | None = None

    def room(self) -> int:
        """How many rows may be taken at once: as many as lead to the next anchor; 0: any."""
        return self._tree.room()

    def take(self, rows: Page) -> None:
        """Steps 2 to 7 and 9 for rows in order: at once if nothing about them is remarkable, else one by one."""
        stretch = stretch_of(rows, self._agent, self._checks.expected, self._checks.counters)
        if stretch is not None and self._fits(stretch):
            self._take_stretch(stretch)
            return
        for row in rows:
            self._take_row(row)

    def _fits(self, stretch: Stretch) -> bool:
        """Whether none of the steps would find anything in these entries, taken one by one."""
        silence, obedience = self._silence, self._obedience
        if silence is not None:
            silence.go_on_to(stretch.start, stretch.begun)
        written = silence.written if silence else Written()
        return (
            self._ending.fits(stretch)
            and (self._tenure is None or self._tenure.fits(stretch))
            and (silence is None or silence.fits(stretch))
            and self._answers.fits(stretch)
            and (obedience is None or obedience.fits(stretch, written))
        )

    def _take_stretch(self, stretch: Stretch) -> None:
        self.entries += len(stretch.leaves)
        self._own += len(stretch.own)
        self._open.take(stretch)
        self._checks.take(stretch)
        self._answers.take(stretch)
        if self._silence is not None and self._obedience is not None:
            self._silence.take(stretch)
            self._obedience.take(stretch, self._silence.written)
        if fault := self._tree.extend(stretch.leaves):
            self._note_segment(fault)

    def _take_row(self, row: Row) -> None:
        """Steps 2 to 7 and 9 for one row."""
        checked = self._checks.check(row)
        self.entries += 1
        if checked.fault is not None:
            self._note(checked.fault)
        if checked.breaks_tree and self._broken_at is None:
            self._broken_at = row.index
        # 7. Tree. The stored leaf is taken even where the bytes no longer fit it: if the root then agrees, it is proven
        # that this entry's bytes were changed, and all the others still count.
        if checked.gap:
            self._tree.break_off()
            self._answers.break_off()
            self._open.break_off()
        elif fault := self._tree.append(row.leaf):
            self._note_segment(fault)
        if checked.entry is not None:
            self._take_entry(checked.entry, row)
        else:
            self._answers.doubt(row.index)
            self._open.doubt(row.index)

    def conclude(self) -> AuditResult:
        """Steps 8 to 11."""
        completeness, obedience = self._completeness(), self._obey()
        integrity, openness = self._integrity(), self._openness()
        judged = self._obedience
        return AuditResult(
            result=worst([integrity, completeness, obedience, openness]),
            integrity=integrity,
            completeness=completeness,
            obedience=obedience,
            openness=openness,
            entries=self.entries,
            anchored=self._tree.proven,
            head=self._chain.head if self._chain else None,
            halted_at=judged.halted_at if judged else None,
            death=judged.death if judged else None,
            overrun_ms=judged.overrun_ms if judged else None,
            first_bad=self._faults.first,
            as_of=self._chain.as_of if self._chain else None,
            faults=self._faults.listed,
            fault_count=self._faults.count,
            erased=self._open.erased,
            limits=self._limits,
            resumed_in=judged.resumed_in if judged else None,
            overrun_at_most_ms=judged.overrun_at_most_ms if judged else None,
        )

    def _take_entry(self, entry: Entry, row: Row) -> None:
        self._ending.see(entry)
        is_about = entry.agent == self._agent
        speaks = is_about and self._speaks(entry)
        if speaks and entry.kind is Kind.CONFIG:
            self._limits.see(entry)
        if self._silence is not None:
            self._silence.see(entry, speaks)
        if speaks:
            self._take_own(entry, row)
        elif is_about:
            self._answers.doubt(entry.index)
            self._open.pass_by(entry)

    def _speaks(self, entry: Entry) -> bool:
        """1. Owner: whether an entry about the agent speaks of it."""
        if self._tenure is None or self._silence is None:
            return True
        self._silence.go_on_to(entry.index, entry.time)
        return self._tenure.takes(entry, self._silence.written)

    def _take_own(self, entry: Entry, row: Row) -> None:
        self._own += 1
        if fault := self._answers.see(entry):
            self._note(fault)
        if fault := self._open.see(entry, row.content is not None):
            self._note(fault)
        if self._obedience is not None:
            self._obedience.see(entry, self._silence.written if self._silence else Written())

    def _note(self, fault: Fault) -> None:
        """Keeps it; but a stranger's log proves nothing of the agent, whole or not."""
        if not self._is_strangers:
            self._faults.note(fault)
        elif self._in_itself is None:
            self._in_itself = fault
            self._unknown = f"{self._unknown}; nor is it whole: {in_words(fault)}"

    def _note_segment(self, fault: Fault) -> None:
        """A root that differs says nothing new where an entry in the segment was found out already."""
        if self._broken_at is None or self._broken_at < fault.index:
            self._note(fault)

    def _integrity(self) -> Check:
        if fault := self._faults.of(Aspect.INTEGRITY):
            return tampered(fault)
        if self._chain is None:
            return Check(Result.INDETERMINATE, f"nothing is wrong within the log, but {self._unknown}")
        proven, head = self._tree.proven, self._chain.head
        if head.size == 0:
            return Check(Result.INDETERMINATE, "nothing of this log is anchored yet, so nothing is proven")
        if proven < head.size:
            return Check(
                Result.INDETERMINATE, f"{proven:,} of {head.size:,} anchored entries are proven by their root"
            )
        return Check(Result.VERIFIED, f"all {proven:,} anchored entries hash to the root on chain")

    def _completeness(self) -> Check:
        """8. End."""
        end = self._checks.expected
        if fault := self._ending.fault(end, self._tree.proven, self.unreadable):
            self._note(fault)
        if fault := self._faults.of(Aspect.COMPLETENESS):
            return tampered(fault)
        silent = self._silence.doubt() if self._silence else None
        stray = self._tenure.doubt() if self._tenure else None
        doubt = self._unknown or self._ending.doubt(end, self.unreadable) or stray or silent
        if doubt:
            return Check(Result.INDETERMINATE, doubt)
        tail = self._ending.tail(end)
        said = [f"{text.amount(self.entries, 'entry', 'entries')} without a gap, {self._own:,} of this agent"]
        said += [f"the newest {text.amount(tail, 'is', 'are')} not anchored yet"] if tail else []
        return Check(Result.VERIFIED, "; ".join([*said, *self._remarks()]))

    def _remarks(self) -> list[str]:
        """What is no fault, and is said."""
        unanswered = self._answers.unanswered
        said = (
            [f"{text.amount(unanswered, 'of its requests has', 'of its requests have')} no outcome on record"]
            if unanswered
            else []
        )
        return [*said, *self._silence.remarks()] if self._silence else said

    def _obey(self) -> Check:
        """9. Obedience."""
        if self._obedience is None:
            return Check(Result.INDETERMINATE, str(self._unknown))
        check, fault = self._obedience.verdict()
        if fault is not None:
            self._note(fault)
        elif check.result is Result.VERIFIED and not self._all_proven():
            why = "not all anchored entries are proven" if self._broken_at is None else "the log was changed"
            return Check(Result.INDETERMINATE, f"nothing speaks against it, but {why}")
        return check

    def _all_proven(self) -> bool:
        head = self._chain.head.size if self._chain else 0
        return self._tree.proven == head and self._broken_at is None and self.unreadable is None

    def _openness(self) -> Check:
        """10. Openness."""
        fault = self._faults.of(Aspect.OPENNESS)
        return self._open.check() if fault is None else tampered(fault)
