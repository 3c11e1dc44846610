#!/usr/bin/env python3
"""Audit a sample log in a process of its own: seconds, beside bare hashing by turns, and the memory it took.

Guarantees: what is told as memory is all that this process ever held, the interpreter and the chain's facts included,
up to the end of the audits; the audit verified. Trusts the sample (bench_log_sample.py). Opens no socket.

    python scripts/bench_growth_audit.py DATABASE ENTRIES ROUNDS
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

from bench_log_sample import ID, facts_of, hash_all, peak_memory

from agent_guard.audit import AuditLimits, ChainFacts, Log, Result, audit
from agent_guard.log.reading import pages_until_damage
from agent_guard.store import SqliteReader


def main() -> None:
    """Prints the figures as JSON, medians of the rounds."""
    path, entries, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with SqliteReader(path) as reader:
        facts = facts_of(reader, entries)
        audited, memory, hashed = [], 0.0, []
        for _ in range(rounds):
            audited.append(_audit(reader, facts))
            memory = memory or peak_memory()  # before the bare hashing, which is no part of it
            hashed.append(hash_all(reader))
    figures = {
        "root": facts.head.root.hex(),
        "audit_seconds": statistics.median(audited),
        "hash_seconds": statistics.median(hashed),
        "audit_mib": memory,
    }
    print(json.dumps(figures))


def _audit(reader: SqliteReader, facts: ChainFacts) -> float:
    """Seconds of one audit of the whole log."""
    started = time.perf_counter()
    found = audit(ID, Log(reader.identity(), pages_until_damage(reader)), facts, AuditLimits())
    taken = time.perf_counter() - started
    if found.result is not Result.VERIFIED or found.anchored != facts.head.size:
        raise SystemExit(f"the audit did not verify: {found}")
    return taken


if __name__ == "__main__":
    main()
