"""What a report says, section by section; the verdict comes first. Pure."""

import shlex
from collections.abc import Iterator, Sequence

from agent_guard import text
from agent_guard.audit import Aspect, LimitsInForce, Result
from agent_guard.report import sentences
from agent_guard.report.course import stages_blocks, timeline_blocks
from agent_guard.report.document import (
    LONGEST_CODE,
    Block,
    Bullets,
    Cell,
    Code,
    Commands,
    Document,
    Facts,
    Grid,
    Paragraph,
    Section,
    Verdict,
)
from agent_guard.report.model import Line, Report
from agent_guard.report.sentences import clock
from agent_guard.report.timeline import Timeline, timeline
from agent_guard.types import Block as ChainBlock

MOST_TOOLS_SHOWN = 12


def document(report: Report) -> Document:
    """A report as a document."""
    line = timeline(report)
    return Document(
        title=f"Audit of the agent {report.agent}",
        subtitle=f"Made {clock(report.made_at)} UTC by agent-guard {report.version}. All times are UTC. The last"
        " section explains the words used.",
        result=report.result.result,
        sentence=sentences.verdict(report.agent, report.result),
        sections=[section for section in _sections(report, line) if section.blocks],
    )


def _sections(report: Report, line: Timeline) -> Iterator[Section]:
    yield Section("Summary", [Bullets(list(sentences.summary(report)))])
    yield Section("What was checked", _checked(report))
    yield Section("Faults found", _faults(report))
    yield Section("Timeline", timeline_blocks(report, line))
    yield Section("The stop, stage by stage", stages_blocks(report))
    yield Section("What the agent did", _did(report))
    yield Section("Entries of note", _notable(report))
    yield Section("The chain and the log", _origin(report))
    yield Section("Proof of the death receipt", _proof(report))
    yield Section("Who decides, and how they voted", _council(report))
    yield Section("Whom you need not trust", [Facts(list(sentences.TRUST))])
    yield Section("How to check this yourself", _yourself(report))
    yield Section("What this report does not prove", [Bullets(sentences.LIMITS_OF_PROOF)])
    yield Section("Words used here", [Facts(list(sentences.WORDS))])


def _checked(report: Report) -> list[Block]:
    rows: list[Sequence[Cell]] = []
    for aspect, check in sentences.checks(report.result):
        question, _ = sentences.QUESTIONS[aspect]
        rows.append((aspect.value, question, Verdict(check.result), check.detail))
    how = [f"{aspect.value}: {sentences.QUESTIONS[aspect][1]}" for aspect in Aspect]
    held = report.result.limits or LimitsInForce(report.limits)
    limits = (
        f"Limits used: at most {held.tail_entries:,.0f} entries, and {text.duration(held.tail_seconds)}, may rest on"
        f" the guard's word alone; it may let the agent act for {text.duration(held.silence_seconds)} while nothing is"
        f" anchored; a death may follow its halt by {text.duration(held.overrun_seconds)}. Whose they are:"
        f" {held.whose()}."
    )
    return [
        Grid(("Checked", "Question", "Result", "What was found"), rows, tight={0, 2}),
        Bullets([*how, limits]),
    ]


def _faults(report: Report) -> list[Block]:
    faults = report.result.faults
    if not faults:
        return []
    rows = [(str(fault.index), fault.aspect.value, fault.what, fault.why) for fault in faults]
    more = report.result.fault_count - len(faults)
    blocks: list[Block] = [Grid(("Entry", "Aspect", "What", "Why"), rows, {0}, {1, 2})]
    return [*blocks, Paragraph(f"{more:,} more faults are not listed.")] if more > 0 else blocks


# --------------------------------------------------------------------------------------------------------- what it did


def _did(report: Report) -> list[Block]:
    entries = report.entries
    if not entries.kinds:
        return [Paragraph("Nothing in this log speaks of this agent.")]
    kinds = [(kind, sentences.KINDS.get(kind, ""), f"{count:,}") for kind, count in entries.kinds.items()]
    blocks: list[Block] = [Paragraph(sentences.DOUBT)] if report.result.result is not Result.VERIFIED else []
    blocks += [Grid(("Kind of entry", "What it means", "Count"), kinds, {2}, {0})]
    tools = list(entries.tools.items())
    rows = [(tool, f"{count:,}") for tool, count in tools[:MOST_TOOLS_SHOWN]]
    if rest := sum(count for _, count in tools[MOST_TOOLS_SHOWN:]):
        rows.append((f"{len(tools) - MOST_TOOLS_SHOWN:,} other tools", f"{rest:,}"))
    if rows:
        blocks.append(Grid(("Tool, in the agent's words", "Times asked for"), rows, {1}))
    if entries.last_actions:
        blocks.append(Paragraph("The newest requests and answers, in the agent's own words:"))
        blocks.append(_entries(entries.last_actions))
    return blocks


def _notable(report: Report) -> list[Block]:
    if not report.entries.notable:
        return []
    blocks: list[Block] = [_entries(report.entries.notable)]
    if report.entries.omitted:
        blocks.append(
            Paragraph(f"{report.entries.omitted:,} entries of kinds that came often are left out in between.")
        )
    return blocks


def _entries(lines: Sequence[Line]) -> Grid:
    rows = [
        (
            str(line.seq),
            clock(line.time / 1000),
            f"{line.kind} (guard)" if line.of_guard else line.kind,
            line.words,
            "-" if line.block is None else str(line.block),
        )
        for line in lines
    ]
    return Grid(("Entry", "Time (UTC)", "Kind", "What it says", "Chain at block"), rows, {0, 4}, {1, 2})


# ------------------------------------------------------------------------------------------------------------- origins


def _origin(report: Report) -> list[Block]:
    result, identity = report.result, report.identity
    rows: list[tuple[str, Cell]] = [
        ("agent", f"{report.agent}, on the chain as its hash:"),
        ("", Code("0x" + report.agent_id.hex())),
        ("chain id", str(identity.chain_id)),
        ("council's contract", Code(identity.council)),
        ("operator, by the log", Code(identity.operator)),
        ("read at block", sentences.block_in_words(result.as_of)),
        ("", _hash(result.as_of)),
        ("head on the chain", f"{result.head.size:,} entries, with the root:" if result.head else "unknown"),
        ("", Code("0x" + result.head.root.hex()) if result.head else "-"),
        ("halted in block", sentences.halt_in_words(result)),
        ("", _hash(result.halted_at)),
        ("state on the chain", report.chain.state.state.name.lower() if report.chain else "unknown"),
        ("log read from", report.log),
        *_witnesses(report),
    ]
    if report.unreachable:
        rows.append(("the chain", report.unreachable))
    return [Facts([row for row in rows if row != ("", "-")])]


def _witnesses(report: Report) -> list[tuple[str, Cell]]:
    said = report.cosigned
    if not said.times:
        return []
    times = [("not cosigned by it" if time is None else f"at {clock(time)}") for _, time in said.times]
    each: list[tuple[str, Cell]] = [
        (f"witness {name}", time) for (name, _), time in zip(said.times, times, strict=True)
    ]
    return [("witnesses", said.detail), *each]


def _hash(block: ChainBlock | None) -> Cell:
    return Code("0x" + block.hash.hex()) if block else "-"


def _proof(report: Report) -> list[Block]:
    proof = report.proof
    if proof is None:
        return []
    rows: list[tuple[str, Cell]] = [
        ("entry", f"{proof.seq} of {proof.size:,}"),
        ("its bytes", _bytes(proof.body)),
        ("leaf hash", Code("0x" + proof.leaf.hex())),
    ]
    rows += [(f"sibling {level}", Code("0x" + sibling.hex())) for level, sibling in enumerate(proof.hashes)]
    rows.append(("root on the chain", Code("0x" + proof.root.hex())))
    how = (
        "The leaf hash is SHA-256 of a zero byte and the entry's bytes. From it and the siblings any tool that checks"
        " RFC 9162 inclusion proofs (2.1.3.2) computes the root that stands in the contract. The signature in the entry"
        " is the operator's (EIP-712, Death)."
    )
    return [Paragraph(how), Facts(rows)]


def _bytes(body: str) -> Cell:
    """An entry's bytes, where this form shows them exactly."""
    if text.clean(body, LONGEST_CODE) == body:
        return Code(body)
    return "they hold characters that only the JSON form of this report can show"


def _council(report: Report) -> list[Block]:
    chain = report.chain
    if chain is None:
        return []
    blocks: list[Block] = [Paragraph(f"Not all of it could be read: {chain.unread}")] if chain.unread else []
    if council := chain.council:
        needed = council.thresholds
        blocks.append(
            Paragraph(
                f"{len(council.signers)} signers; {needed.halt} of them halt, {needed.resume} resume, {needed.retire}"
                " retire. Their addresses:"
            )
        )
        blocks.append(Grid(("Signer",), [(Code(signer),) for signer in council.signers]))
    if chain.votes:
        rows = [
            (
                clock(vote.block.timestamp),
                Code(vote.signer),
                vote.action.name.lower().replace("_", " "),
                f"{vote.votes} of {vote.needed}",
                str(vote.block.number),
                Code("0x" + vote.transaction.hex()),
            )
            for vote in chain.votes
        ]
        blocks.append(
            Grid(("Time (UTC)", "Signer", "Voted to", "Votes", "Block", "Transaction"), rows, {4}, {0, 2, 3})
        )
    elif chain.votes is not None:
        blocks.append(Paragraph("No votes about this agent, or the whole fleet, are on the chain."))
    return blocks


def _yourself(report: Report) -> list[Block]:
    agent, log = shlex.quote(report.agent), shlex.quote(text.clean(report.log))
    steps = [
        (
            f"agent-guard audit {agent} --log {log} --rpc-url URL",
            "This repeats the audit: exit code 0 is VERIFIED, 5 TAMPERED, 6 INDETERMINATE.",
        ),
        (
            f"agent-guard log list {agent} --log {log}",
            "This lists the newest entries, each in a sentence; any other with --from and --to.",
        ),
    ]
    marked = _provable(report)
    if marked is not None:
        prove = f"agent-guard log prove {agent} {marked} --log {log} --rpc-url URL"
        proven = (
            "This proves one entry: its hash leads to the root above, which any tool that checks RFC 9162"
        )
        steps.insert(1, (prove, f"{proven} inclusion proofs can confirm."))
    return [
        Paragraph(
            "You need the program (pip install agent-guard, or its source), a copy of the log, and a node of the chain"
            " that you trust; none of them from whoever sent you this report. Of several nodes most must agree. Put"
            " the node's address in the place of URL, and your copy's in that of the path after --log."
        ),
        *(block for command, words in steps for block in (Commands([command]), Paragraph(words))),
        Paragraph(
            "The root can be read from the contract by anyone: headOf(operator), at the block named above."
        ),
    ]


def _provable(report: Report) -> int | None:
    """An entry of the agent's own under the head on chain, to try a proof on: its death receipt, if that is one."""
    head, death = report.result.head, report.result.death
    size = head.size if head else 0
    if death is not None and death.index < size:
        return death.index
    lines = [*report.entries.notable, *report.entries.last_actions]
    return next((line.seq for line in lines if line.seq < size and not line.of_guard), None)
