"""What a run tells while it goes on: values for the command line, and the entries of the guard's own for the log."""

from dataclasses import dataclass
from typing import Any

from agent_guard.chain.history import HaltOnChain
from agent_guard.guard.supervisor import DeathReceipt, Frozen, Thawed, Trouble

Step = dict[str, Any]
"""One object of `run --json`: `event` is started, said, frozen, thawed, trouble, halted, dead or exited."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The stage times of a death, unix ms: the first vote and the halt's block as the chain has them, then ours.

    `vote` and `block` are None for a kill without a halt on chain (a stale chain, a stopped guard).
    """

    vote: int | None
    block: int | None
    seen: int
    frozen: int | None
    dead: int

    def as_meta(self, receipt: DeathReceipt) -> dict[str, int | str | bool]:
        """The death entry's public metadata: what an auditor needs for obedience, even after an erasure."""
        times = {
            "vote": self.vote,
            "block": self.block,
            "seen": self.seen,
            "frozen": self.frozen,
            "dead": self.dead,
            "epoch": receipt.epoch,
        }
        known: dict[str, int | str | bool] = {name: time for name, time in times.items() if time is not None}
        return known | {"mode": receipt.mode, "processes": receipt.processes}


def stages(receipt: DeathReceipt, halt: HaltOnChain | None) -> Stages:
    return Stages(
        vote=halt.first_vote_at * 1000 if halt and halt.first_vote_at else None,
        block=halt.block.timestamp * 1000 if halt else None,
        seen=receipt.seen_at,
        frozen=receipt.frozen_at,
        dead=receipt.dead_at,
    )


def said(stream: str, line: str) -> Step:
    """A line of the agent's own output: hostile text."""
    return {"event": "said", "stream": stream, "line": line}


def frozen(occurrence: Frozen) -> Step:
    return {"event": "frozen", "at_ms": occurrence.at, "reason": occurrence.reason}


def thawed(occurrence: Thawed) -> Step:
    return {"event": "thawed", "at_ms": occurrence.at}


def trouble(occurrence: Trouble) -> Step:
    return {"event": "trouble", "at_ms": occurrence.at, **occurrence.error.as_dict()}


def dead(receipt: DeathReceipt, times: Stages) -> Step:
    return {
        "event": "dead",
        "reason": receipt.reason,
        "mode": receipt.mode,
        "processes": receipt.processes,
        "survivors": 0,
        "stages_ms": {
            "vote": times.vote,
            "block": times.block,
            "seen": times.seen,
            "frozen": times.frozen,
            "dead": times.dead,
        },
    }
