"""The sentences of a report: the verdict first, in words for a reader who never saw the project. Pure."""

from collections.abc import Iterator

from agent_guard import text
from agent_guard.audit import Aspect, AuditResult, Check, Death, Result
from agent_guard.report.model import Report
from agent_guard.types import Block

QUESTIONS = {
    Aspect.INTEGRITY: (
        "Is each entry what it was when it was anchored?",
        "Every entry was hashed anew, its content too; the tree over all of them was rebuilt, and its root compared"
        " with each root that the operator ever wrote on the chain.",
    ),
    Aspect.COMPLETENESS: (
        "Is anything missing?",
        "Places in the log, and each agent's own counter, must run without a gap, up to the head that the chain holds;"
        " what no anchor covers yet must be short and young.",
    ),
    Aspect.OBEDIENCE: (
        "Did the agent act only while it was allowed to?",
        "The block that each action rests on was compared with the chain's own record of halts and pauses; each stop"
        " must be answered by a death receipt that the operator signed.",
    ),
    Aspect.OPENNESS: (
        "Is the content there?",
        "The log proves itself by hashes, even where a content was erased. This says whether the agent's is there, or"
        " was erased on purpose, which the log must record. It is hashed, and not read.",
    ),
}
DOUBT = "The audit did not end with VERIFIED: what follows lies in the log, and may be false or incomplete."
TRUST = (
    ("the agent", "All that it wrote is quoted here as data. It can't write the log."),
    (
        "the operator",
        "He wrote the log, so nothing was taken on his word: anchored entries can't be changed or left out unseen.",
    ),
    ("any one signer", "Votes are read from the chain, where each stands under the signer's own address."),
    (
        "whoever sent this report",
        "It is a copy for reading. The commands below make it anew, from the log and any node of the chain.",
    ),
)
LIMITS_OF_PROOF = (
    "That the agent did nothing besides what the log says: it proves what passed the guard. What an agent could do past"
    " the guard is a matter of the container it ran in.",
    "That what the guard and the agent wrote of the world is true. A guard that lies about its own inputs, before they"
    " are anchored, is not caught by hashes.",
    "That the chain's node told the truth. Ask several nodes, run by others, or your own.",
    "The exact moment of an entry: an entry's time is the guard's own clock. Blocks have the chain's, in seconds.",
    "That this file was not altered after it was made. Make it anew, and compare.",
)
KINDS = {
    "intent": "the agent asked to act",
    "outcome": "what came of it",
    "refused": "a request was answered with no",
    "decision": "what was decided on a request that had to wait",
    "start": "the agent was started",
    "freeze": "it was stopped where it stood",
    "stopping": "it was told of a planned stop",
    "thaw": "it went on after a freeze",
    "halt": "the guard's verdict to kill it",
    "death": "the death receipt",
    "resume": "the council let it run again",
    "exit": "it ended by itself",
    "ballot": "a signer's vote came to the guard itself",
    "dissent": "nodes of the chain differed",
    "config": "the settings it was guarded with",
    "erasure": "an earlier entry's content was erased on purpose",
}
WORDS = (
    (
        "VERIFIED",
        "checked, and so. TAMPERED: proven not so. INDETERMINATE: nothing is proven wrong, but something could not be"
        " checked",
    ),
    (
        "council",
        "people who share one switch in a contract on the chain; so many of them together can halt the agent",
    ),
    ("signer", "a member of the council; votes stand on the chain under a signer's own address (0x…)"),
    (
        "chain, block",
        "a public record that many computers keep together. It grows by blocks, each with a number, a time and a hash;"
        " a contract is a program that stands in it",
    ),
    (
        "guard",
        "the program that runs the agent in a container, records what it asks to do, and kills it when told to",
    ),
    ("operator", "who runs the guard; his key signs the log's heads and the death receipts"),
    (
        "container",
        "what keeps the agent, and all that it starts, apart from the rest of its machine, and lets it be killed whole;"
        " cgroup and pidns are the Linux kernel's names for its means",
    ),
    ("entry", "one record of the log, with its place, its time and the guard's newest block of the chain"),
    ("head, root", "the log's size, and one hash over all its entries; whoever has it can check every entry"),
    ("anchor", "a head written to the chain, which accepts only heads that extend the one before"),
    ("halt", "the council's decision to stop an agent; it dies with all it started"),
    ("freeze", "the agent is stopped where it stands, and may go on later"),
    (
        "lease",
        "leave to run for a limited time, where the council gives such: a signer must renew it again and again, and an"
        " agent without one may not act",
    ),
    ("death receipt", "the operator's signed word that nothing of the agent was left, and when"),
    (
        "found dead",
        "the guard itself was killed, which kills its agent too; the next guard looked, and found nothing of it alive",
    ),
)


def verdict(agent: str, result: AuditResult) -> str:
    """What an audit of this agent (its name) found, in a sentence or two."""
    if result.result is Result.TAMPERED:
        return _accusation(agent, result)
    if result.result is Result.INDETERMINATE:
        return f"Nothing was proven wrong, but not everything could be checked: {_first_doubt(result)}."
    checked = f"The log of {agent} is whole and unchanged"
    if result.halted_at is None:
        return (
            f"{checked}, and by it {agent} acted only while the council allowed it. It had never been halted."
        )
    until = f"until it was resumed in block {result.resumed_in}" if result.resumed_in else "after that"
    halted = f"It was halted in block {result.halted_at.number}. By this log it did nothing {until}"
    return f"{checked}. {halted}{_overrun(result)}."


def _accusation(agent: str, result: AuditResult) -> str:
    if result.integrity.result is Result.TAMPERED or result.completeness.result is Result.TAMPERED:
        return f"The log was changed, or parts of it are gone; it must not be relied on as it stands. {_first(result)}"
    return f"The log is whole, and it proves that {agent} acted against the council's word. {_first(result)}"


def _first(result: AuditResult) -> str:
    fault = result.first_bad
    return f"The first fault is at entry {fault.index} ({fault.what}): {fault.why}." if fault else ""


def _first_doubt(result: AuditResult) -> str:
    doubts = [check.detail for _, check in checks(result) if check.result is Result.INDETERMINATE]
    return doubts[0].rstrip(".") if doubts else "something is open"


def _overrun(result: AuditResult) -> str:
    overrun = result.overrun_ms
    if overrun is None and result.overrun_at_most_ms is not None:
        bound = text.duration(max(0, result.overrun_at_most_ms) / 1000)
        return f"; it was found dead by the next guard, at most {bound} after that block's time"
    if overrun is None:
        return ", and had ended before"
    if overrun < 0:
        return f"; ballots handed to the guard itself had killed it {text.duration(-overrun / 1000)} before"
    return f"; nothing of it was left alive {text.duration(overrun / 1000)} after that block's time"


def checks(result: AuditResult) -> Iterator[tuple[Aspect, Check]]:
    """The four aspects, each with what was found."""
    yield Aspect.INTEGRITY, result.integrity
    yield Aspect.COMPLETENESS, result.completeness
    yield Aspect.OBEDIENCE, result.obedience
    yield Aspect.OPENNESS, result.openness


def summary(report: Report) -> Iterator[str]:
    """What happened, in a few sentences."""
    kinds, agent = report.entries.kinds, report.agent
    asked, refused = kinds.get("intent", 0), kinds.get("refused", 0)
    yield (
        f"By this log, {agent} was {_times('started', kinds.get('start', 0))} and {_times('asked to act', asked)}."
        f" {text.amount(refused, 'request was', 'requests were') if refused else 'No request was'} refused, and"
        f" {text.amount(kinds.get('outcome', 0), 'outcome is', 'outcomes are')} on record."
    )
    yield (
        f"The guard's log holds {text.amount(report.result.entries, 'entry', 'entries')}, of all agents that it guards;"
        f" {text.amount(report.result.anchored, 'of them is', 'of them are')} proven by the log's root on the chain."
    )
    yield _tail(report)
    yield from _stops(report)
    yield from _leaseless(report)
    yield from _not_known(report)
    if odd := report.entries.odd_times:
        yield (
            f"{text.amount(odd, 'entry bears a time', 'entries bear times')} at which the agent can't have run; the"
            f" picture leaves {'it' if odd == 1 else 'them'} out."
        )


def _leaseless(report: Report) -> Iterator[str]:
    """How often the agent's lease ran out."""
    gaps = report.chain.leaseless if report.chain else ()
    if gaps:
        times = "once" if len(gaps) == 1 else f"{len(gaps):,} times"
        fatal = sum(gap.fatal is not None for gap in gaps)
        killed = (
            f"; {text.amount(fatal, 'time', 'times')} nobody renewed it within its grace" if fatal else ""
        )
        yield f"Its lease ran out {times}, and no action was allowed until it had one again{killed}."


def _not_known(report: Report) -> Iterator[str]:
    """The stretches in which nothing shows whether the agent lived."""
    gaps = report.entries.unknown
    lost = [gap.end - gap.start for gap in gaps if gap.end is not None]
    if lost:
        longest = text.duration(max(lost) / 1000)
        often = {1: "Once", 2: "Twice"}.get(len(lost), f"{len(lost):,} times")
        yield (
            f"{often} its guard went away without recording how its life ended."
            f" Whether it lived on is not known for {'' if len(lost) == 1 else 'up to '}{longest}"
            f"{'' if len(lost) == 1 else ' each time'} (from its last sign of life until it was found dead, or started"
            " anew)."
        )
    if gaps and gaps[-1].end is None:
        yield (
            f"No end of its latest life is on record: the last sign of it is of {clock(gaps[-1].start / 1000)} UTC. It"
            " may run still, or its guard was killed and nobody has looked."
        )


def _tail(report: Report) -> str:
    head = report.result.head
    if head is None:
        return "How much of the log is anchored on the chain is not known, for the chain could not be asked."
    tail = max(0, report.result.entries - head.size)
    if tail == 0:
        return "No entry rests on the guard's word alone: none lies beyond the head on the chain."
    if tail == 1:
        return "The newest entry is not anchored yet, and rests on the guard's word alone."
    return f"The newest {tail:,} entries are not anchored yet, and rest on the guard's word alone."


def _stops(report: Report) -> Iterator[str]:
    result = report.result
    if result.as_of is None:
        return
    if result.halted_at is None:
        yield f"The council had not halted {report.agent} when the chain was read."
    else:
        halted = f"{result.halted_at.number} ({clock(result.halted_at.timestamp)} UTC)"
        again = f"; the council let it run again in block {result.resumed_in}" if result.resumed_in else ""
        yield f"The latest halt stands in block {halted}{again}."
    if result.death is None:
        if result.halted_at is not None:
            yield "There is no death receipt for it."
    else:
        yield f"{_whose_receipt(result)} entry {_receipt(result.death)}"


def _whose_receipt(result: AuditResult) -> str:
    """Of which stop the receipt is, up to where it stands."""
    if result.is_answered:
        return "The death receipt for it is"
    if result.halted_at is not None:
        return "No death receipt answers it. The newest one, of another stop, is"
    return "Its newest death receipt is"


def _receipt(death: Death) -> str:
    """Where it stands, and what it says."""
    if death.dead is not None:
        return (
            f"{death.index}, signed by the operator: nothing of the agent was left at"
            f" {clock(death.dead / 1000)} UTC."
        )
    return (
        f"{death.index}, signed by the operator: the guard had been killed, and the next one found nothing of the agent"
        f" left. It was dead by {clock((death.dead_by or 0) / 1000)} UTC; since when is not known."
    )


def _times(verb: str, count: int) -> str:
    return (
        f"never {verb}" if count == 0 else f"{verb} " + {1: "once", 2: "twice"}.get(count, f"{count:,} times")
    )


def clock(unix: float) -> str:
    """Unix seconds as a reader likes them, in UTC: `2026-11-23 14:28:00.250`."""
    return text.iso(unix).replace("T", " ").removesuffix("Z")


def halt_in_words(result: AuditResult) -> str:
    """The latest halt's block."""
    if result.as_of is None:
        return "unknown"
    return block_in_words(result.halted_at) if result.halted_at else "never halted"


def block_in_words(block: Block | None) -> str:
    return f"{block.number}, {clock(block.timestamp)} UTC" if block else "unknown"
