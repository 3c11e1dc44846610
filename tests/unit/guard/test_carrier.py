"""The thread between watcher and supervisor: it blocks nobody, and skips no halt."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from agent_guard.guard.carrier import Carrier
from agent_guard.types import Decision, Standing, Verdict

pytestmark = pytest.mark.unit


def standing(decision: Decision, reason: str = "because", stopping: bool = False) -> Standing:
    return Standing("alice", Verdict(decision, reason, stopping), None, None)


RUN, FREEZE, HALT = (standing(decision) for decision in (Decision.RUN, Decision.FREEZE, Decision.HALT))


@dataclass
class Supervisor:
    """Notes what it is handed; holds the thread while `busy` is set, and fails if told so."""

    got: list[tuple[str, str]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    failing: bool = False
    idle: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def carry_out(self, standing: Standing, seen_at: int) -> None:
        self.got.append((standing.verdict.decision.value, standing.verdict.reason))
        self.times.append(seen_at)
        self.begun.release()
        assert self.idle.wait(60)
        if self.failing:
            raise OSError("the cgroup is gone")


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor()
    made.idle.set()
    yield made
    made.idle.set()


@pytest.fixture
def carrier(supervisor: Supervisor) -> Iterator[Carrier]:
    made = Carrier("alice", supervisor.carry_out, supervisor.failures.append)
    yield made
    supervisor.idle.set()
    made.close()


def busy(carrier: Carrier, supervisor: Supervisor) -> None:
    """Has the supervisor at work on a RUN, until `idle` is set."""
    supervisor.idle.clear()
    carrier.apply(RUN)
    assert supervisor.begun.acquire(timeout=60)


def test_a_standing_is_carried_out_by_a_thread_of_its_own(carrier: Carrier, supervisor: Supervisor) -> None:
    carrier.apply(FREEZE)
    assert carrier.settle(60)
    assert supervisor.got == [("freeze", "because")]


def test_handing_over_never_blocks_though_the_supervisor_stands_still(
    carrier: Carrier, supervisor: Supervisor
) -> None:
    busy(carrier, supervisor)
    began = time.monotonic()
    for one in (FREEZE, RUN, HALT, FREEZE):
        carrier.apply(one)
    assert time.monotonic() - began < 30.0
    assert not carrier.settle(0.01)


def test_of_what_waits_the_newest_is_carried_out(carrier: Carrier, supervisor: Supervisor) -> None:
    busy(carrier, supervisor)
    for one in (FREEZE, RUN, standing(Decision.FREEZE, "the last")):
        carrier.apply(one)
    supervisor.idle.set()
    assert carrier.settle(60)
    assert supervisor.got == [("run", "because"), ("freeze", "the last")]


@pytest.mark.parametrize(
    "following", [[RUN], [FREEZE, RUN], [standing(Decision.HALT, "planned", stopping=True)]]
)
def test_a_halt_once_handed_over_is_never_skipped_whatever_follows(
    carrier: Carrier, supervisor: Supervisor, following: list[Standing]
) -> None:
    busy(carrier, supervisor)
    for one in (FREEZE, HALT, *following):
        carrier.apply(one)
    supervisor.idle.set()
    assert carrier.settle(60)
    assert supervisor.got == [("run", "because"), ("halt", "because")]


def test_a_stop_that_is_only_announced_gives_way_to_what_is_newer(
    carrier: Carrier, supervisor: Supervisor
) -> None:
    busy(carrier, supervisor)
    for one in (standing(Decision.HALT, "planned", stopping=True), RUN):
        carrier.apply(one)
    supervisor.idle.set()
    assert carrier.settle(60)
    assert supervisor.got[-1] == ("run", "because")


def test_a_halt_that_waits_counts_from_when_it_was_first_seen(
    carrier: Carrier, supervisor: Supervisor
) -> None:
    busy(carrier, supervisor)
    carrier.apply(HALT)
    first = time.time_ns()
    time.sleep(0.02)
    carrier.apply(standing(Decision.HALT, "again"))
    supervisor.idle.set()
    assert carrier.settle(60)
    assert supervisor.times[-1] <= first


def test_what_is_no_halt_counts_from_when_it_was_handed_over(
    carrier: Carrier, supervisor: Supervisor
) -> None:
    busy(carrier, supervisor)
    carrier.apply(FREEZE)
    time.sleep(0.02)
    before = time.time_ns()
    carrier.apply(HALT)
    supervisor.idle.set()
    assert carrier.settle(60)
    assert supervisor.times[-1] >= before


def test_what_nobody_foresaw_is_reported_and_the_next_standing_carried_out(
    carrier: Carrier, supervisor: Supervisor
) -> None:
    supervisor.failing = True
    carrier.apply(FREEZE)
    assert carrier.settle(60)
    carrier.apply(HALT)
    assert carrier.settle(60)
    assert supervisor.got == [("freeze", "because"), ("halt", "because")]
    assert [str(error) for error in supervisor.failures] == ["the cgroup is gone"] * 2


def test_whoever_is_told_of_a_failure_may_hand_over_the_halt_that_follows_from_it(
    supervisor: Supervisor,
) -> None:
    carrier: list[Carrier] = []

    def failed(error: Exception) -> None:
        supervisor.failing = False
        carrier[0].apply(standing(Decision.HALT, f"the guard failed: {error}"))

    supervisor.failing = True
    carrier.append(Carrier("alice", supervisor.carry_out, failed))
    carrier[0].apply(RUN)
    assert carrier[0].settle(5)
    assert supervisor.got[-1] == ("halt", "the guard failed: the cgroup is gone")
    carrier[0].close()


def test_settle_waits_for_what_is_in_hand_and_for_what_waits(
    carrier: Carrier, supervisor: Supervisor
) -> None:
    busy(carrier, supervisor)
    assert not carrier.settle(0.01)
    carrier.apply(HALT)
    settled: list[bool] = []
    waiting = threading.Thread(target=lambda: settled.append(carrier.settle(10)))
    waiting.start()
    time.sleep(0.02)
    assert not settled
    supervisor.idle.set()
    waiting.join(60)
    assert settled == [True]
    assert len(supervisor.got) == 2


def test_closing_ends_the_thread_after_what_was_handed_over(supervisor: Supervisor) -> None:
    carrier = Carrier("bob", supervisor.carry_out, supervisor.failures.append)
    busy(carrier, supervisor)
    carrier.apply(HALT)
    carrier.close()
    supervisor.idle.set()
    _gone("carry bob")
    assert supervisor.got == [("run", "because"), ("halt", "because")]


def _gone(name: str) -> None:
    deadline = time.monotonic() + 5
    alive: Callable[[], bool] = lambda: name in {thread.name for thread in threading.enumerate()}  # noqa: E731
    while alive():
        assert time.monotonic() < deadline, f"{name} still lives"
        time.sleep(0.001)
