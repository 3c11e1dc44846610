"""What a run tells while it goes on: values for the command line, and the entries of the guard's own for the log."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from agent_guard.chain.history import HaltOnChain
from agent_guard.guard.supervisor import DeathReceipt, Frozen, Stopping, Thawed, Trouble

Step = dict[str, Any]
"""One object of `run --json`: `event` is started, said, frozen, stopping, thawed, trouble, dissent, ballot, halted,
recording (again), dead, found_dead, exited or waiting."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The stage times of a death, unix ms: the first vote, the quorum and the halt's block, then the guard's own.

    The first three are as the chain has them, or, for ballots handed to the guard, when they came; None for a kill
    without either (a stale chain, a stopped guard).
    """

    vote: int | None
    quorum: int | None
    block: int | None
    seen: int
    frozen: int | None
    dead: int

    def facts(self, receipt: DeathReceipt) -> dict[str, int | str]:
        """What the operator signs, and the death entry's public metadata: all that an auditor needs, even after an
        erasure."""
        known = {name: time for name, time in self.as_dict().items() if time is not None}
        epoch = {} if receipt.epoch is None else {"epoch": receipt.epoch}
        return {**known, **epoch, "mode": receipt.mode, "processes": receipt.processes}

    def as_dict(self) -> dict[str, int | None]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def stages(receipt: DeathReceipt, halt: HaltOnChain | None, ballots: Sequence[float] = ()) -> Stages:
    """The stages of a death by a halt on chain, by ballots that came at these times (unix seconds), or by neither."""
    vote = halt.first_vote_at * 1000 if halt and halt.first_vote_at else None
    block = halt.block.timestamp * 1000 if halt else None
    quorum = block
    if ballots:
        vote, quorum = int(ballots[0] * 1000), int(ballots[-1] * 1000)
    return Stages(vote, quorum, block, receipt.seen_at, receipt.frozen_at, receipt.dead_at)


def said(stream: str, line: str) -> Step:
    """A line of the agent's own output: hostile text."""
    return {"event": "said", "stream": stream, "line": line}


def frozen(occurrence: Frozen) -> Step:
    return {"event": "frozen", "at_ms": occurrence.at, "reason": occurrence.reason}


def stopping(occurrence: Stopping) -> Step:
    return {"event": "stopping", "at_ms": occurrence.at, "reason": occurrence.reason}


def thawed(occurrence: Thawed) -> Step:
    return {"event": "thawed", "at_ms": occurrence.at}


def trouble(occurrence: Trouble) -> Step:
    return {"event": "trouble", "at_ms": occurrence.at, **occurrence.error.as_dict()}


def dead(receipt: DeathReceipt, times: Stages, signature: str) -> Step:
    return {
        "event": "dead",
        "reason": receipt.reason,
        "mode": receipt.mode,
        "processes": receipt.processes,
        "survivors": 0,
        "stages_ms": times.as_dict(),
        "signature": signature,
    }
