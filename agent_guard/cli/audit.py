"""`agent-guard audit`: an agent's log against the chain, without the operator's word."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from agent_guard.cli.audit_report import Reporting, reporting
from agent_guard.cli.audit_shown import Audited
from agent_guard.cli.cosigned import Witnesses, witnesses_of
from agent_guard.cli.options import Agent, Json, LogPlaces, Network, RpcUrl, settings
from agent_guard.cli.output import Block, Line, Output, Word
from agent_guard.cli.proof import EXIT_CODES, STYLES, proof_in, root_on_chain
from agent_guard.errors import GuardError

if TYPE_CHECKING:
    from agent_guard.audit import AuditLimits, ChainFacts, Unreachable
    from agent_guard.checkpoint import CosignatureVerifier
    from agent_guard.log.reading import AnyLog
    from agent_guard.types import LogIdentity
    from agent_guard.wiring import Connection


def audit(
    agent: Agent,
    log: LogPlaces = None,
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

    An agent that several operators guarded, one after the other, has its history in all their logs: give each one in
    a --log of its own. The result is then the worst of theirs.
    """
    from agent_guard.audit import AuditLimits
    from agent_guard.typed_data import agent_id
    from agent_guard.wiring.auditing import connect_or_say_why, find_log, open_log

    out, chosen = Output(as_json), settings(network=network, rpc_url=rpc_url)
    places: Sequence[str | None] = log or [None]
    wanted = reporting(report, agent, chosen.store_password_file)
    witnesses = witnesses_of(witness, chosen)
    if (proof := _lone_proof(places, wants_report=wanted is not None)) is not None:
        _audit_proof(out, agent, str(places[0]), proof, witnesses, network, rpc_url)
    connection, age = connect_or_say_why(chosen), chosen.max_unanchored_age
    limits = AuditLimits(chosen.max_unanchored_entries, age, age, max_overrun)
    found = [find_log(chosen, connection, agent_id(agent), place) for place in places]
    with ExitStack() as stack:
        readers: list[AnyLog] = []
        for where in found:
            readers.append(open_log(where, chosen.store_password_file))
            stack.callback(readers[-1].close)
        # Asked for once: what a log says here it is held to.
        claims = [reader.identity() for reader in readers]
        _refuse_twice(claims)
        examining = _Examining(out, agent, connection, limits, witnesses, claims, wanted)
        audited = [examining.look(*one) for one in zip(found, readers, claims, strict=True)]
    _conclude(out, agent, audited)


@dataclass(frozen=True, slots=True)
class _Examining:
    """What the audits of one agent's logs share; `claims`: whose each of them says it is."""

    out: Output
    agent: str
    connection: "Connection | Unreachable"
    limits: "AuditLimits"
    witnesses: "list[CosignatureVerifier]"
    claims: "Sequence[LogIdentity]"
    report: Reporting | None

    def look(self, where: str, reader: "AnyLog", claimed: "LogIdentity") -> Audited:
        """Audits one log, and writes the report if one was asked for."""
        from agent_guard.audit import Unreachable, audit
        from agent_guard.audit.witnesses import cosigned, root_on_chain
        from agent_guard.log.reading import pages_until_damage
        from agent_guard.typed_data import agent_id
        from agent_guard.wiring.auditing import checkpoint_of, log_of

        identity, asked, wanted = agent_id(self.agent), self.connection, self.report
        there = reader.size()
        facts = asked if isinstance(asked, Unreachable) else self._gather(asked, identity, claimed)
        beside = [claim.operator for claim in self.claims]
        with reader.snapshot():
            pages = pages_until_damage(reader)
            seen = wanted.watch(pages, identity, claimed, facts, self.limits) if wanted else pages
            with self.out.progress(f"auditing {self.agent}", reader.size()) as advance:
                held = log_of(reader, claimed, seen, there)
                result = audit(identity, held, facts, self.limits, advance, beside)
            note = checkpoint_of(reader, result.anchored) if self.witnesses else None
        root = root_on_chain(facts, result.anchored)
        said = cosigned(self.witnesses, note, claimed, result.anchored, root)
        if wanted:
            wanted.write(self.out, result, where, claimed, self.limits, asked, facts, said)
        return Audited(where, claimed, result, said)

    def _gather(
        self, connection: "Connection", identity: bytes, claimed: "LogIdentity"
    ) -> "ChainFacts | Unreachable":
        from agent_guard.wiring.auditing import gather

        with self.out.progress("reading the chain", None) as advance:
            return gather(connection, identity, claimed, advance)


def _lone_proof(places: Sequence[str | None], *, wants_report: bool) -> str | None:
    """The text of the one entry's proof that is to be audited; None if it is logs. Raises AG101."""
    proofs = [text for place in places if place is not None and (text := proof_in(place)) is not None]
    if wants_report and (proofs or len(places) > 1):
        what = "a report is of a whole log" if proofs else "a report is of one log"
        raise GuardError(
            "AG101",
            f"{what}, and --log names {'the proof of one entry' if proofs else 'several'}. Nothing was written.",
            "Leave --report." if proofs else "Leave --report, or have one made of each log.",
        )
    if proofs and len(places) > 1:
        raise GuardError(
            "AG101",
            "One of several logs is the proof of one entry, which has nothing to be beside. Nothing was audited.",
            "Give it alone: agent-guard audit AGENT --log FILE",
        )
    return proofs[0] if proofs else None


def _refuse_twice(claims: "Sequence[LogIdentity]") -> None:
    """Of each operator one log. Raises AG101."""
    twice = [claim.operator for place, claim in enumerate(claims) if claim in claims[:place]]
    if twice:
        raise GuardError(
            "AG101",
            f"Two of these logs are of operator {twice[0]}; one operator has one log. Nothing was audited.",
            "Give one log of each operator; audit two copies of one log apart from each other.",
        )


def _audit_proof(
    out: Output,
    agent: str,
    where: str,
    proof: str,
    witnesses: "list[CosignatureVerifier]",
    network: str | None,
    rpc_url: list[str] | None,
) -> NoReturn:
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
    _conclude(out, agent, [Audited(where, bundle.identity, result, said)])


def _conclude(out: Output, agent: str, audited: Sequence[Audited]) -> NoReturn:
    """Shows what was found, and ends with its exit code: that of the worst, if there are several logs."""
    from agent_guard.audit.result import worst_of

    worst = worst_of([one.result.result for one in audited]).value
    blocks: list[Block] = []
    if len(audited) > 1:
        several = f"{worst}: {agent}, by the logs of {len(audited)} operators"
        blocks = [Line(Word(several, STYLES[worst])), Line("")]
    for one in audited:
        blocks += one.blocks(agent)
    payloads = [one.payload(agent) for one in audited]
    out.result(
        payloads[0] if len(audited) == 1 else {"agent": agent, "result": worst, "logs": payloads}, *blocks
    )
    raise typer.Exit(EXIT_CODES[worst])
