"""A run of drills: every drill in every placement, n trials each, several at once; what they found as one result.

Guarantees: nothing of it is left when it ends, also when it is interrupted. Trials of one cell go round among the users
that may be the guard here, so that n is what was asked for.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import agent_guard
from agent_guard.drill import trial
from agent_guard.drill.catalogue import Drill, Placement
from agent_guard.drill.host import Means, describe, find_means
from agent_guard.drill.result import Result, Skip, Trial
from agent_guard.drill.setting import Setting
from agent_guard.session.drilling import leftovers

PROGRAM = ("__init__.py", "drill/__init__.py", "drill/agent")


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: each drill in each placement, `n` times; `jobs` trials at once."""

    drills: Sequence[Drill]
    placements: Sequence[Placement]
    n: int
    jobs: int


def exercise(order: Order, advance: Callable[[Trial], None], post: tuple[str, ...] = trial.POST) -> Result:
    """Run them. `advance` hears of each trial as it ends.

    Raises GuardError: AG401 if a container can't be had at all, AG453 if something of a trial can't be ended.
    """
    host, means = describe(), find_means()
    trials, skips = _planned(order, means)
    done: dict[int, Trial] = {}
    with _folder() as folder:
        patience = trial.Patience(threading.Event())
        with ThreadPoolExecutor(order.jobs) as pool:
            try:
                waiting = {
                    pool.submit(
                        trial.run, Setting(means, *item, folder / str(place), folder / "code"), patience, post
                    ): place
                    for place, item in enumerate(trials)
                }
                for future in as_completed(waiting):
                    done[waiting[future]] = future.result()
                    advance(done[waiting[future]])
            except BaseException:
                patience.cancelled.set()
                pool.shutdown(cancel_futures=True)
                raise
    leftovers()
    return Result(int(time.time()), host, order.n, tuple(done[place] for place in sorted(done)), tuple(skips))


def _planned(order: Order, means: Means) -> tuple[list[tuple[Drill, Placement, str]], list[Skip]]:
    """The trials to take, and the drills that can't be run here."""
    trials, skips = [], []
    for drill in order.drills:
        for placement in order.placements:
            if why := means.obstacle(drill, placement):
                skips.append(Skip(drill.name, placement.name, why))
                continue
            users = means.users_of(placement)
            trials += [(drill, placement, users[number % len(users)]) for number in range(order.n)]
    return trials, skips


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, with the agents' program in it."""
    folder = Path(tempfile.mkdtemp(prefix="agent-guard-drill-"))
    try:
        folder.chmod(0o755)
        package = Path(agent_guard.__file__).parent
        for name in PROGRAM:
            source, target = package / name, folder / "code/agent_guard" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
