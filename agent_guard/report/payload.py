"""The report for programs: `audit --json` with the timeline's rows, under a version of its own. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from agent_guard.report.model import EntryProof, Leaseless, Line, Report, Vote
from agent_guard.report.standing import Band
from agent_guard.report.timeline import timeline

FORMAT = "agent-guard-report/1"


def payload(report: Report) -> str:
    """JSON in ASCII, so that no character in it can mislead; strings are as the log holds them."""
    return json.dumps(_payload(report), indent=2, ensure_ascii=True) + "\n"


def _payload(report: Report) -> dict[str, Any]:
    line = timeline(report)
    return {
        "format": FORMAT,
        "version": report.version,
        "made_at": report.made_at,
        "agent": report.agent,
        "agent_id": "0x" + report.agent_id.hex(),
        "log": report.log,
        **report.result.as_dict(),
        **report.cosigned.as_dict(),
        "faults": [
            {"aspect": fault.aspect.value, "index": fault.index, "what": fault.what, "why": fault.why}
            for fault in report.result.faults
        ],
        "fault_count": report.result.fault_count,
        "chain": _chain(report),
        "proof": _proof(report.proof),
        "entries_by_kind": dict(report.entries.kinds),
        "actions_by_tool": dict(report.entries.tools),
        "notable": [*map(_line, report.entries.notable)],
        "notable_omitted": report.entries.omitted,
        "last_actions": [*map(_line, report.entries.last_actions)],
        "timeline": {
            "moments": [
                {"number": moment.number, "time_ms": moment.time, "kind": moment.kind, "words": moment.words}
                | {"source": moment.source}
                for moment in line.moments
            ],
            "moments_omitted": line.untold,
            "council": _bands(line.council),
            "agent": _bands(line.agent),
            "bars": [
                {
                    "time_ms": bar.start,
                    "width_ms": bar.width,
                    "actions": bar.actions,
                    "refusals": bar.refusals,
                }
                for bar in line.bars
            ],
            "odd_times": report.entries.odd_times,
        },
    }


def _chain(report: Report) -> dict[str, Any]:
    identity, chain = report.identity, report.chain
    council = chain.council if chain else None
    return {
        "chain_id": identity.chain_id,
        "council": identity.council,
        "operator": identity.operator,
        "unreachable": report.unreachable,
        "state": chain.state.state.name.lower() if chain else None,
        "signers": list(council.signers) if council else None,
        "thresholds": {"halt": council.thresholds.halt, "resume": council.thresholds.resume}
        | {"retire": council.thresholds.retire}
        if council
        else None,
        "without_lease": None if chain is None else [*map(_without_lease, chain.leaseless)],
        "votes": None if chain is None or chain.votes is None else [*map(_vote, chain.votes)],
    }


def _proof(proof: EntryProof | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    return {
        "seq": proof.seq,
        "entry": proof.body,
        "leaf_hash": "0x" + proof.leaf.hex(),
        "size": proof.size,
        "root": "0x" + proof.root.hex(),
        "hashes": ["0x" + sibling.hex() for sibling in proof.hashes],
    }


def _without_lease(gap: Leaseless) -> dict[str, Any]:
    return {
        "from_block": gap.start.number,
        "from_ms": gap.since,
        "to_block": gap.end and gap.end.number,
        "to_ms": gap.end and gap.end.timestamp * 1000,
        "grace_over_ms": None if gap.fatal is None else gap.fatal * 1000,
    }


def _vote(vote: Vote) -> dict[str, Any]:
    return {
        "block": vote.block.number,
        "time_ms": vote.block.timestamp * 1000,
        "action": vote.action.name.lower(),
        "signer": vote.signer,
        "agent": "0x" + vote.agent.hex(),
        "epoch": vote.epoch,
        "votes": vote.votes,
        "needed": vote.needed,
        "tx": "0x" + vote.transaction.hex(),
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "seq": line.seq,
        "time_ms": line.time,
        "kind": line.kind,
        "words": line.words,
        "block": line.block,
        "leaf_hash": "0x" + line.leaf.hex(),
        "of_guard": line.of_guard,
    }


def _bands(bands: Sequence[Band]) -> list[dict[str, Any]]:
    return [
        {"from_ms": band.start, "to_ms": band.end, "what": band.what}
        | ({"why": band.why} if band.why else {})
        for band in bands
    ]
