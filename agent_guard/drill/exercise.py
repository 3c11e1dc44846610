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
from agent_guard.drill.host import Means, describe, find_means, temporary_folder
from agent_guard.drill.result import Host, Result, Skip, Trial
from agent_guard.drill.setting import Setting
from agent_guard.session.drilling import tidy

PROGRAM = ("__init__.py", "drill/__init__.py", "drill/agent")


@dataclass(frozen=True, slots=True)
class Plan:
    """The trials to take, in order: drill, placement and whose guard; and the drills that can't be run here.

    `n` trials were asked for in each cell.
    """

    n: int
    host: Host
    means: Means
    trials: Sequence[tuple[Drill, Placement, str]]
    skips: Sequence[Skip]


def plan(drills: Sequence[Drill], placements: Sequence[Placement], n: int) -> Plan:
    """Look at the host, and plan each drill in each placement, `n` times.

    Raises GuardError AG401 if this guard's containers can't be had here.
    """
    host, means = describe(), find_means()
    trials: list[tuple[Drill, Placement, str]] = []
    skips = []
    for drill in drills:
        for placement in placements:
            if why := means.obstacle(drill, placement):
                skips.append(Skip(drill.name, placement.name, why))
                continue
            users = means.users_of(placement)
            trials += [(drill, placement, users[number % len(users)]) for number in range(n)]
    return Plan(n, host, means, trials, skips)


def exercise(
    plan: Plan, jobs: int, tell: Callable[[Trial], None], post: tuple[str, ...] = trial.POST
) -> Result:
    """Take the trials, `jobs` at once. `tell` hears of each as it ends, on the caller's thread.

    Raises GuardError AG453 if something of a trial can't be ended; then, and at any other exception, the rest is ended.
    """
    patience = trial.Patience(threading.Event())
    with _folder() as folder, ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [
                pool.submit(
                    trial.run,
                    Setting(plan.means, *item, folder / str(place), folder / "code"),
                    patience,
                    post,
                )
                for place, item in enumerate(plan.trials)
            ]
            for future in as_completed(futures):
                tell(future.result())
        except BaseException:
            patience.cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise
        trials = tuple(future.result() for future in futures)
    tidy()
    return Result(int(time.time()), plan.host, plan.n, trials, tuple(plan.skips))


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, with the agents' program in it."""
    folder = Path(tempfile.mkdtemp(prefix="agent-guard-drill-", dir=temporary_folder()))
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
        for path in (folder / "code", *(folder / "code").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # whatever our umask is
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
