"""`agent-guard audit`: an agent's log against the chain, without the operator's word."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_guard import text
from agent_guard.cli.audit_report import reporting
from agent_guard.cli.cosigned import Witnesses, summed_up, witnesses_of
from agent_guard.cli.options import Agent, Json, LogPlace, Network, RpcUrl, settings
from agent_guard.cli.output import (
    RED,
    Block,
    Cell,
    Facts,
    Hash,
    Line,
    Moment,
    Output,
    Prose,
    Table,
    Word,
)
from agent_guard.cli.proof import EXIT_CODES, STYLES, proof_in, root_on_chain
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.audit import AuditResult
    from agent_guard.audit.witnesses import Cosigned
    from agent_guard.checkpoint import CosignatureVerifier
    from agent_guard.types import LogIdentity


def audit(
    agent: Agent,
    log: LogPlace = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="A new file to hand on: .html, .md or .json."),
    ] = None,
    max_overrun: Annotated[
        float,
        typer.Option(
            "--max-overrun", metavar="SECONDS", min=0, help="The latest a death may follow its halt's block."
        ),
    ] = 120.0,
    witness: Witnesses = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Re-hash an agent's whole log, rebuild its tree, and hold it against the contract.

    VERIFIED (exit 0): checked, and so. TAMPERED (5): proven not so, with the first bad entry and why. INDETERMINATE
    (6): something could not be checked, and what. Needs the log and any node of the chain; believes no one. Who of
    the named witnesses cosigned the proven head is said beside it, and changes no result.
    """
    from agent_guard.audit import AuditLimits, ChainFacts, Unreachable
    from agent_guard.audit import audit as examine
    from agent_guard.audit.witnesses import cosigned, root_on_chain
    from agent_guard.log.reading import pages_until_damage
    from agent_guard.typed_data import agent_id
    from agent_guard.wiring.auditing import (
        checkpoint_of,
        connect_or_say_why,
        find_log,
        gather,
        log_of,
        open_log,
    )

    out, chosen, identity = Output(as_json), settings(network=network, rpc_url=rpc_url), agent_id(agent)
    wanted = reporting(report, agent, chosen.store_password_file)
    witnesses = witnesses_of(witness, chosen)
    if log is not None and (proof := proof_in(log)) is not None:
        if wanted:
            raise GuardError(
                "AG101",
                f"{log} proves one entry; a report is of a whole log. Nothing was written.",
                "Leave --report.",
            )
        _audit_proof(out, agent, log, proof, witnesses, network, rpc_url)
    connection = connect_or_say_why(chosen)
    where = find_log(chosen, connection, identity, log)
    with open_log(where, chosen.store_password_file) as reader, reader.snapshot():
        claimed = reader.identity()
        facts: ChainFacts | Unreachable
        if isinstance(connection, Unreachable):
            facts = connection
        else:
            with out.progress("reading the chain", None) as advance:
                facts = gather(connection, identity, claimed, advance)
        age = chosen.max_unanchored_age
        limits = AuditLimits(chosen.max_unanchored_entries, age, age, max_overrun)
        pages = pages_until_damage(reader)
        seen = wanted.watch(pages, identity, facts) if wanted else pages
        with out.progress(f"auditing {agent}", reader.size()) as advance:
            result = examine(identity, log_of(reader, seen), facts, limits, advance)
        size, root = result.anchored, root_on_chain(facts, result.anchored)
        note = checkpoint_of(reader, size) if witnesses else None
        said = cosigned(witnesses, note, claimed, size, root)
    _report(out, agent, where, claimed, result, said)
    if wanted:
        wanted.write(out, result, where, claimed, limits, connection, facts, said)
    raise typer.Exit(EXIT_CODES[result.result.value])


def _audit_proof(
    out: Output,
    agent: str,
    where: str,
    proof: str,
    witnesses: "list[CosignatureVerifier]",
    network: str | None,
    rpc_url: list[str] | None,
) -> None:
    """One entry, in a file that `log prove -o` made."""
    from agent_guard.audit import Result
    from agent_guard.audit.bundle import as_audit, open_bundle, verify
    from agent_guard.audit.witnesses import cosigned
    from agent_guard.typed_data import agent_id

    bundle = open_bundle(proof)
    root, term = root_on_chain(bundle, agent_id(agent), None, network, rpc_url)
    result = as_audit(bundle, verify(bundle, agent_id(agent), root, term))
    held, proven = bundle.checkpoint, result.integrity.result is Result.VERIFIED
    judged = held.root if proven else None
    said = cosigned(witnesses, bundle.proof.note, bundle.identity, held.size, judged)
    _report(out, agent, where, bundle.identity, result, said)
    raise typer.Exit(EXIT_CODES[result.result.value])


def _report(
    out: Output, agent: str, where: str, claimed: "LogIdentity", result: "AuditResult", said: "Cosigned"
) -> None:
    from agent_guard.report.sentences import verdict as in_a_sentence

    verdict = result.result.value
    payload = {"agent": agent, "log": where, **result.as_dict(), **said.as_dict()}
    bad: list[Block] = []
    if result.first_bad is not None:
        fault = result.first_bad
        bad = [Prose(Word(f"first bad entry: {fault.index} ({fault.what}): {fault.why}", RED))]
    checks = (
        ("integrity", result.integrity),
        ("completeness", result.completeness),
        ("obedience", result.obedience),
        ("openness", result.openness),
    )
    facts: list[tuple[str, Cell]] = [
        ("log", where),
        ("operator", Hash(claimed.operator)),
        ("entries", f"{result.entries:,}, {result.anchored:,} of them proven by a root on chain"),
        ("head on chain", text.amount(result.head.size, "entry", "entries") if result.head else None),
        ("root on chain", Hash(result.head.root) if result.head else None),
        ("halted", _halted(result)),
        ("overrun", _overrun(result)),
        ("death receipt", f"entry {result.death.index}, signed by the operator" if result.death else None),
        ("stages", in_words(result.death.stages) if result.death and result.death.dead else None),
        ("limits", result.limits.in_words() if result.limits else None),
        ("read at block", result.as_of.number if result.as_of else None),
        *summed_up(said),
    ]
    out.result(
        payload,
        Line(Word(f"{verdict}: {agent}", STYLES[verdict])),
        Prose(in_a_sentence(agent, result)),
        Line(""),
        *bad,
        Table(
            ("checked", "result", "what was found"),
            [
                (name, Word(check.result.value, STYLES[check.result.value]), check.detail)
                for name, check in checks
            ],
        ),
        Line(""),
        Facts([(name, value) for name, value in facts if value is not None]),
    )


def in_words(stages: Mapping[str, Any]) -> str:
    """The stage times of a death, in ms from the first of them that the chain or the guard knows as the halt."""
    start = next(stages[name] for name in ("block", "quorum", "seen", "dead") if name in stages)
    named = [name for name in ("vote", "quorum", "block", "seen", "frozen", "dead") if name in stages]
    return " · ".join(f"{name} {stages[name] - start:+} ms" for name in named)


def _overrun(result: "AuditResult") -> Cell:
    if result.overrun_ms is not None:
        return f"{result.overrun_ms} ms after the halt's block"
    most = result.overrun_at_most_ms
    return None if most is None else f"at most {most} ms after the halt's block: found dead by the next guard"


def _halted(result: "AuditResult") -> Cell:
    if result.as_of is None:
        return "unknown"
    return Moment(result.halted_at.timestamp) if result.halted_at else "never"
