"""The supervisor over a container that the test controls.

The container is fake, because no real one fails on demand: real freezes and kills are the drills' affair (tests/drill).
"""

import threading
import time
from dataclasses import dataclass, field
from typing import cast

import pytest

from agent_guard.errors import GuardError
from agent_guard.guard.supervisor import (
    DeathReceipt,
    Frozen,
    Occurrence,
    Stopping,
    Supervisor,
    Thawed,
    Trouble,
)
from agent_guard.sandbox.container import Container, Death
from agent_guard.sandbox.mode import Mode
from agent_guard.types import AgentState, Block, Decision, Head, Standing, State, Verdict

pytestmark = pytest.mark.unit

BLOCK = Block(7, b"\x07" * 32, 1_700_000_000)
STATE = AgentState(
    b"a" * 32, State.RUNNING, True, 3, 0, 0, 0, 0, 0, 0, 0, "0x" + "Aa" * 20, Head(0, bytes(32)), 0
)


@dataclass
class FakeContainer:
    """Does as it is told, and fails as often as the test says."""

    failing_freezes: int = 0
    failing_kills: int = 0
    failing_terms: int = 0
    skip_freeze: bool = False
    exit_code: int | None = None
    frozen: bool = False
    calls: list[str] = field(default_factory=list)
    at_kill: list[int] = field(default_factory=list)

    def freeze(self) -> int:
        self.calls.append("freeze")
        self.frozen = True  # as the real one: it means to be frozen, whether or not all stood still in time
        if self.failing_freezes:
            self.failing_freezes -= 1
            raise GuardError("AG408", "it did not stand still.", "Halt it.")
        return time.monotonic_ns()

    def thaw(self) -> None:
        self.calls.append("thaw")
        self.frozen = False

    def terminate(self) -> None:
        self.calls.append("terminate")
        assert not self.frozen, "who stands still can save nothing"
        if self.failing_terms:
            self.failing_terms -= 1
            raise GuardError("AG408", "it can't be told.", "Halt it.")

    def kill(self) -> Death:
        self.calls.append("kill")
        asked = time.monotonic_ns()
        self.at_kill.append(time.time_ns() // 1_000_000)
        if self.failing_kills:
            self.failing_kills -= 1
            raise GuardError("AG406", "it is NOT dead.", "Kill again.")
        time.sleep(0.005)
        frozen_at = None if self.skip_freeze else asked + 1_000_000
        return Death(Mode.CGROUP, asked, frozen_at, asked + 2_000_000, time.monotonic_ns(), 5)

    def wait(self, timeout: float | None) -> int | None:
        return self.exit_code


@pytest.fixture
def container() -> FakeContainer:
    return FakeContainer()


@pytest.fixture
def told() -> list[Occurrence]:
    return []


@pytest.fixture
def supervisor(container: FakeContainer, told: list[Occurrence]) -> Supervisor:
    return Supervisor(cast(Container, container), told.append)


def standing(
    decision: Decision, reason: str = "because", epoch: bool = True, stopping: bool = False
) -> Standing:
    verdict = Verdict(decision, reason, stopping)
    return Standing("alice", verdict, BLOCK if epoch else None, STATE if epoch else None)


RUN, FREEZE, HALT = (standing(decision) for decision in (Decision.RUN, Decision.FREEZE, Decision.HALT))
PAUSING, HALTING = (standing(one, "planned", stopping=True) for one in (Decision.FREEZE, Decision.HALT))


def now() -> int:
    return time.time_ns() // 1_000_000


def test_running_verdicts_leave_a_running_agent_alone(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    for _ in range(3):
        supervisor.apply(RUN)
    assert (container.calls, told) == ([], [])


def test_it_freezes_once_for_many_freezing_verdicts_and_thaws_once(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    before = now()
    for verdict in (FREEZE, standing(Decision.FREEZE, "another reason"), FREEZE, RUN, RUN):
        supervisor.apply(verdict)
    assert container.calls == ["freeze", "thaw"]
    frozen, thawed = told
    assert isinstance(frozen, Frozen)
    assert isinstance(thawed, Thawed)
    assert (frozen.reason, frozen.block) == ("because", BLOCK)
    assert before <= frozen.at <= thawed.at <= now()


def test_it_freezes_again_after_a_thaw(supervisor: Supervisor, container: FakeContainer) -> None:
    for verdict in (FREEZE, RUN, FREEZE, RUN):
        supervisor.apply(verdict)
    assert container.calls == ["freeze", "thaw", "freeze", "thaw"]


def test_a_freeze_that_fails_is_told_and_tried_at_the_next_verdict(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    container.failing_freezes = 2
    for _ in range(4):
        supervisor.apply(FREEZE)
    assert container.calls == ["freeze"] * 3
    assert [type(event) for event in told] == [Trouble, Trouble, Frozen]
    assert isinstance(told[0], Trouble)
    assert told[0].error.code == "AG408"


def test_an_agent_whose_freeze_failed_half_way_is_thawed_when_it_may_run(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    container.failing_freezes = 1
    supervisor.apply(FREEZE)
    supervisor.apply(RUN)
    assert container.calls == ["freeze", "thaw"]
    assert not container.frozen


def test_it_kills_once_and_nothing_revives(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    for verdict in (HALT, RUN, FREEZE, HALT, RUN):
        supervisor.apply(verdict)
    assert container.calls == ["kill"]
    assert told == [supervisor.receipt]


def test_a_frozen_agent_is_killed_without_being_thawed(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    supervisor.apply(FREEZE)
    supervisor.apply(HALT)
    assert container.calls == ["freeze", "kill"]


def test_the_receipt_says_why_and_when_in_order(supervisor: Supervisor) -> None:
    before = now()
    supervisor.apply(HALT)
    receipt = supervisor.receipt
    assert isinstance(receipt, DeathReceipt)
    assert (receipt.reason, receipt.epoch, receipt.block) == ("because", 3, BLOCK)
    assert (receipt.mode, receipt.processes) == ("cgroup+pidns", 5)
    assert receipt.frozen_at is not None
    assert before <= receipt.seen_at <= receipt.frozen_at <= receipt.dead_at <= now() + 1
    assert receipt.dead_at - receipt.seen_at >= 4


def test_a_kill_that_could_not_freeze_first_has_no_time_of_freezing(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    container.skip_freeze = True
    supervisor.apply(HALT)
    assert supervisor.receipt is not None
    assert supervisor.receipt.frozen_at is None


def test_a_kill_without_a_word_from_the_chain_names_no_block_and_no_epoch(supervisor: Supervisor) -> None:
    supervisor.apply(standing(Decision.HALT, "silence", epoch=False))
    assert supervisor.receipt is not None
    assert (supervisor.receipt.block, supervisor.receipt.epoch) == (None, None)


@pytest.mark.parametrize("following", [RUN, FREEZE, HALT], ids=["run", "freeze", "halt"])
def test_a_kill_that_fails_is_told_and_tried_again_at_any_next_verdict(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence], following: Standing
) -> None:
    container.failing_kills = 2
    supervisor.apply(HALT)
    assert supervisor.receipt is None
    supervisor.apply(following)
    supervisor.apply(following)
    assert container.calls == ["kill"] * 3
    assert [type(event) for event in told] == [Trouble, Trouble, DeathReceipt]
    assert isinstance(told[0], Trouble)
    assert told[0].error.code == "AG406"


def test_the_receipt_of_a_repeated_kill_counts_from_when_the_halt_was_first_seen_and_gives_its_reason(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    container.failing_kills = 1
    supervisor.apply(standing(Decision.HALT, "the first reason"))
    time.sleep(0.03)
    supervisor.apply(standing(Decision.HALT, "a later reason"))
    receipt = supervisor.receipt
    assert receipt is not None
    assert receipt.reason == "the first reason"
    assert receipt.seen_at <= container.at_kill[0] < container.at_kill[1]
    assert receipt.dead_at - receipt.seen_at >= 30


def test_an_agent_that_ended_by_itself_is_not_held_but_a_halt_still_proves_it_dead(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    container.exit_code = 0
    supervisor.apply(FREEZE)
    supervisor.apply(RUN)
    assert container.calls == []
    supervisor.apply(HALT)
    assert supervisor.receipt is not None


def test_what_is_not_foreseen_is_raised_so_that_the_watcher_halts(
    supervisor: Supervisor, container: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise OSError("the cgroup is gone")

    monkeypatch.setattr(container, "freeze", broken)
    with pytest.raises(OSError, match="the cgroup is gone"):
        supervisor.apply(FREEZE)
    supervisor.apply(HALT)
    assert supervisor.receipt is not None


def test_verdicts_from_two_threads_are_carried_out_one_at_a_time(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    threads = [threading.Thread(target=supervisor.apply, args=(HALT,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert container.calls == ["kill"]


def test_the_receipt_counts_from_when_the_halt_was_handed_over_and_not_from_when_the_kill_began(
    supervisor: Supervisor,
) -> None:
    seen_at = time.time_ns() - 500_000_000
    supervisor.apply(HALT, seen_at)
    supervisor.apply(HALT)
    assert supervisor.receipt is not None
    assert supervisor.receipt.seen_at == seen_at // 1_000_000
    assert supervisor.receipt.dead_at - supervisor.receipt.seen_at >= 500


# --- planned stops ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planned", [PAUSING, HALTING], ids=["a pause", "a halt"])
def test_a_planned_stop_is_told_once_by_sigterm_and_the_agent_goes_on_meanwhile(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence], planned: Standing
) -> None:
    before = now()
    for _ in range(3):
        supervisor.apply(planned)
    assert container.calls == ["terminate"]
    (stopping,) = told
    assert isinstance(stopping, Stopping)
    assert (stopping.reason, stopping.block) == ("planned", BLOCK)
    assert before <= stopping.at <= now()
    assert supervisor.receipt is None


def test_a_frozen_agent_is_thawed_before_it_is_told(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    supervisor.apply(FREEZE)
    supervisor.apply(HALTING)
    assert container.calls == ["freeze", "thaw", "terminate"]
    assert [type(event) for event in told] == [Frozen, Thawed, Stopping]


def test_a_pause_freezes_when_its_grace_is_over_and_a_halt_kills(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    for one in (PAUSING, FREEZE, FREEZE):
        supervisor.apply(one)
    assert container.calls == ["terminate", "freeze"]
    for one in (HALTING, HALTING, HALT):
        supervisor.apply(one)
    assert container.calls == ["terminate", "freeze", "thaw", "kill"]
    assert [type(event) for event in told] == [Stopping, Frozen, Thawed, DeathReceipt]


def test_an_agent_frozen_in_its_grace_goes_on_saving_when_only_the_plan_is_left(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    """A vote froze it, and ended; the rest of the grace is still its own."""
    for one in (PAUSING, FREEZE, PAUSING):
        supervisor.apply(one)
    assert container.calls == ["terminate", "freeze", "thaw"]
    assert not container.frozen
    supervisor.apply(FREEZE)
    assert container.frozen


def test_an_agent_that_may_go_on_is_told_again_of_the_next_planned_stop(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    for one in (PAUSING, RUN, PAUSING, FREEZE, RUN, PAUSING):
        supervisor.apply(one)
    assert container.calls == ["terminate", "terminate", "freeze", "thaw", "terminate"]


def test_what_was_announced_does_not_soften_a_halt_that_is_in_force(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    for one in (HALTING, HALT, HALTING, PAUSING, RUN):
        supervisor.apply(one)
    assert container.calls == ["terminate", "kill"]


def test_a_condemned_agent_is_never_thawed_for_a_grace_though_its_kill_failed(
    supervisor: Supervisor, container: FakeContainer
) -> None:
    container.failing_kills = 1
    for one in (FREEZE, HALT, HALTING):
        supervisor.apply(one)
    assert container.calls == ["freeze", "kill", "kill"]


def test_telling_that_fails_is_reported_and_tried_again(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    container.failing_terms = 1
    supervisor.apply(HALTING)
    supervisor.apply(HALTING)
    supervisor.apply(HALTING)
    assert container.calls == ["terminate", "terminate"]
    assert [type(event) for event in told] == [Trouble, Stopping]


def test_an_agent_that_ended_in_its_grace_is_told_nothing_more(
    supervisor: Supervisor, container: FakeContainer, told: list[Occurrence]
) -> None:
    container.exit_code = 0
    for one in (HALTING, PAUSING, FREEZE):
        supervisor.apply(one)
    assert container.calls == []
    assert told == []
