"""The watcher: what it says when the chain fails, hangs, or says stop, in which order, and to whom."""

import threading
import time
from dataclasses import replace

import pytest

from agent_guard.guard.evidence import Limits
from agent_guard.types import FLEET, Decision, Scope, Silence, Standing, State
from tests.unit.guard.chain import AGENTS, ALICE, BOB, FedView, Watch, sighting, wait_until
from tests.unit.guard.words import LIMITS, TWO

pytestmark = pytest.mark.unit

RUN = {"alice": "run", "bob": "run"}


def collected(watch: Watch, *names: str) -> dict[str, list[Standing]]:
    """What is handed to each agent's carrier from now on."""
    applied: dict[str, list[Standing]] = {name: [] for name in names}
    for name in names:
        watch.watcher().attach(name, applied[name].append)
    return applied


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_before_the_first_look_every_agent_is_frozen(watch: Watch) -> None:
    assert watch.decisions() == {"alice": "freeze", "bob": "freeze"}


def test_each_agent_gets_its_own_verdict_from_one_sighting(watch: Watch) -> None:
    assert watch.look(sighting({BOB: State.PAUSED})) == {"alice": "run", "bob": "freeze"}


def test_a_halted_fleet_halts_every_agent(watch: Watch) -> None:
    assert watch.look(sighting({FLEET: State.HALTED})) == {"alice": "halt", "bob": "halt"}


def test_a_standing_names_block_state_and_how_many_endpoints_vouch_for_it(watch: Watch) -> None:
    watch.view = FedView(("one", "two", "three"))
    watch.limits = TWO
    watch.look(*(sighting(endpoint=node) for node in ("one", "two")), Silence("three", "refused"))
    standing = watch.watcher().standing("alice")
    assert standing.block == sighting().block
    assert standing.state == sighting().states[ALICE]
    assert standing.endpoints is not None
    assert (standing.endpoints.agree, standing.endpoints.needed, standing.endpoints.total) == (2, 2, 3)
    assert standing.endpoints.dissent == {"three": "has never answered"}


def test_a_standing_rests_on_the_agreed_block_and_not_on_one_that_a_single_endpoint_names(
    watch: Watch,
) -> None:
    watch.view, watch.limits = FedView(("one", "two", "three")), TWO
    liar = sighting({ALICE: State.PAUSED}, endpoint="three", number=2**40, fork=9, epoch=99)
    assert watch.look(sighting(endpoint="one"), sighting(endpoint="two"), liar)["alice"] == "freeze"
    standing = watch.watcher().standing("alice")
    assert standing.block == sighting().block
    assert standing.state is not None
    assert standing.state.epoch == 1
    fleet = watch.watcher().state(FLEET)
    assert fleet is not None
    assert fleet.epoch == 1


def test_endpoints_at_different_blocks_keep_the_agent_running(watch: Watch) -> None:
    watch.view, watch.limits = FedView(("one", "two")), TWO
    watch.look(sighting(endpoint="one"), sighting(endpoint="two"))
    for number in (8, 9, 10):  # one goes ahead, and the other follows later
        assert watch.look(sighting(endpoint="one", number=number, fork=number)) == RUN
    assert watch.look(sighting(endpoint="two", number=10, fork=10)) == RUN


@pytest.mark.parametrize("node", ["node", "one"])
def test_a_block_whose_proof_is_still_to_come_stops_nobody_where_the_former_was_proven(
    watch: Watch, node: str
) -> None:
    """A round's first word is unproven: the agent must not be frozen at every block."""
    watch.view = FedView((node,))
    watch.limits = replace(LIMITS, require_proof=True)
    assert watch.look(sighting(endpoint=node)) != RUN
    assert watch.look(sighting(endpoint=node, proven=True)) == RUN
    assert watch.look(sighting(endpoint=node, number=8, fork=8)) == RUN
    assert watch.look(sighting(endpoint=node, number=8, fork=8, proven=True)) == RUN
    assert watch.look(sighting(endpoint=node, number=8, fork=8)) == RUN


def test_silence_is_no_exception_but_doubt_that_freezes_then_halts(watch: Watch) -> None:
    watch.look(sighting())
    found = []
    for watch.clock.seconds in (
        0.0,
        59.0,
        61.0,
        90.0,
        91.0,
    ):  # blocks may be 60 s old, and doubt may last 30 s
        found.append(watch.look(Silence("node", "refused"))["alice"])
    assert found == ["run", "run", "freeze", "freeze", "halt"]


# --- halts that were seen --------------------------------------------------------------------------------------------


def test_a_halt_once_seen_outlasts_a_reorg_until_a_later_epoch_is_final(watch: Watch) -> None:
    halted = {"alice": "halt", "bob": "run"}
    assert watch.look(sighting({ALICE: State.HALTED})) == halted
    assert watch.look(sighting(number=8, fork=1)) == halted
    assert watch.look(sighting(number=9, epoch=2)) == halted
    assert watch.look(sighting(number=5, epoch=2, scope=Scope.FINALIZED)) == RUN


def test_finalised_blocks_are_asked_for_only_while_a_halt_is_to_be_left(watch: Watch) -> None:
    found = []
    for word in (
        sighting(),
        sighting({ALICE: State.HALTED}),
        sighting(number=9, epoch=2),
        sighting(epoch=2, scope=Scope.FINALIZED),
    ):
        watch.look(word)
        found.append(watch.view.wants_finality)
    assert found == [False, True, True, False]


def test_a_halt_that_was_loaded_holds_from_the_first_look_on_and_is_left_like_any_other(watch: Watch) -> None:
    watch.look(sighting({ALICE: State.HALTED}))
    _, latch = watch.kept[0]
    again = Watch(loaded={"alice": latch})
    assert again.look(sighting()) == {"alice": "halt", "bob": "run"}
    assert again.view.wants_finality
    assert again.look(sighting(number=9, epoch=2), sighting(epoch=2, scope=Scope.FINALIZED)) == RUN
    assert [(name, kept.holds) for name, kept in again.kept] == [("alice", False)]


def test_what_is_to_be_kept_is_handed_over_once_for_each_change(watch: Watch) -> None:
    for word in (sighting(), sighting({ALICE: State.HALTED}), sighting({ALICE: State.HALTED}), sighting()):
        watch.look(word)
    assert [(name, latch.agent_epoch) for name, latch in watch.kept] == [("alice", 1)]
    watch.look(sighting({FLEET: State.HALTED}, epoch=2))
    assert sorted(name for name, _ in watch.kept) == ["alice", "alice", "bob"]


def test_agents_are_stopped_before_anything_is_kept_on_disk(watch: Watch) -> None:
    watch.look(sighting())
    order: list[str] = []
    watch.watcher().attach("alice", lambda standing: order.append(standing.verdict.decision.value))
    watch.kept = type("Kept", (list,), {"append": lambda self, item: order.append("keep")})()
    watch.look(sighting({ALICE: State.HALTED}))
    assert order == ["run", "halt", "keep"]


def test_a_halt_that_an_exception_kept_from_the_disk_is_handed_over_at_the_next_look(watch: Watch) -> None:
    watch.look(sighting())

    def fails(standing: Standing) -> None:
        if standing.verdict.decision is Decision.HALT:
            raise OSError("no thread to be had")

    watch.watcher().attach("alice", fails)
    with pytest.raises(OSError, match="no thread"):
        watch.look(sighting({ALICE: State.HALTED}))
    watch.watcher().detach("alice")
    watch.look()
    assert [name for name, _ in watch.kept] == ["alice"]


# --- what fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), KeyError("x"), MemoryError(), OSError(24, "no file"), RecursionError()]
)
def test_an_exception_in_reading_halts_every_agent_and_says_why(watch: Watch, error: Exception) -> None:
    watch.look(sighting())
    applied = collected(watch, *AGENTS)
    watch.watcher().start()
    watch.view.say(error)
    wait_until(lambda: all(len(got) == 2 for got in applied.values()))
    for name in AGENTS:
        last = applied[name][-1]
        assert last.verdict.decision is Decision.HALT
        assert type(error).__name__ in last.verdict.reason
        assert watch.watcher().standing(name) == last


def test_what_failed_is_said_once_all_are_halted(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    watch.look(sighting())
    watch.watcher().attach(
        "alice", lambda standing: 1 / 0 if standing.verdict.decision is Decision.HALT else None
    )
    watch.watcher().start()
    watch.view.say(RuntimeError("boom"))
    wait_until(lambda: len(caplog.records) == 2)
    assert [record.message for record in caplog.records] == [
        "the guard failed (RuntimeError: boom); halting",
        "the guard failed (ZeroDivisionError: division by zero); halting",
    ]


def test_an_exception_in_deciding_halts_every_agent(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.look(sighting())
    applied = collected(watch, *AGENTS)
    monkeypatch.setattr("agent_guard.guard.watcher.decide", lambda *arguments: 1 / 0)
    watch.watcher().start()
    watch.view.say(sighting())
    wait_until(lambda: all(got[-1].verdict.decision is Decision.HALT for got in applied.values()))
    assert "ZeroDivisionError" in applied["bob"][-1].verdict.reason


def test_the_watching_goes_on_after_an_exception_and_who_was_halted_stays_so(watch: Watch) -> None:
    watch.look(sighting())
    applied = collected(watch, "alice")
    watch.watcher().start()
    watch.view.say(RuntimeError("boom"))
    wait_until(lambda: len(applied["alice"]) == 2)
    watch.view.say(sighting(number=8))
    wait_until(lambda: len(applied["alice"]) == 3)
    assert applied["alice"][-1].verdict == applied["alice"][-2].verdict
    assert watch.watcher().standing("bob").verdict.decision is Decision.RUN  # nobody's agent


def test_an_exception_while_killing_one_agent_halts_the_others_too_and_is_tried_again(watch: Watch) -> None:
    alice, bob = list[Standing](), list[Standing]()

    def fails(standing: Standing) -> None:
        alice.append(standing)
        if standing.verdict.decision is Decision.HALT:
            raise OSError("the cgroup is gone")

    watch.look(sighting())
    watcher = watch.watcher(poll=0.01)
    watcher.attach("alice", fails)
    watcher.attach("bob", bob.append)
    watcher.start()
    for number in range(8, 14):
        watch.view.say(sighting({ALICE: State.HALTED}, number=number))
        wait_until(lambda: watch.view._words.empty())
    wait_until(lambda: len(alice) > 4)
    assert bob[-1].verdict.decision is Decision.HALT
    assert {standing.verdict.decision for standing in alice[1:]} == {Decision.HALT}


# --- order -----------------------------------------------------------------------------------------------------------


def test_the_gate_sees_the_halt_of_every_agent_before_the_first_kill_begins(watch: Watch) -> None:
    seen = list[dict[str, str]]()
    watch.look(sighting())
    watch.watcher().attach("alice", lambda standing: seen.append(watch.decisions()))
    watch.look(sighting({FLEET: State.HALTED}))
    assert seen == [RUN, {"alice": "halt", "bob": "halt"}]


def test_the_gate_goes_on_answering_halt_while_a_kill_takes_its_time(watch: Watch) -> None:
    dying, dead = threading.Event(), threading.Event()

    def kill(standing: Standing) -> None:
        if standing.verdict.decision is Decision.HALT:
            dying.set()
            assert dead.wait(60)

    watch.look(sighting())
    watch.watcher().attach("alice", kill)
    watch.watcher().start()
    watch.view.say(sighting({ALICE: State.HALTED}))
    assert dying.wait(60)
    assert watch.watcher().standing("alice").verdict.decision is Decision.HALT
    dead.set()


def test_the_beat_comes_after_every_decision_and_not_after_a_look_that_failed(watch: Watch) -> None:
    beats: list[int] = []
    watch.look(sighting())
    watch.watcher().attach("alice", lambda standing: beats.append(watch.beats))
    watch.look(sighting({ALICE: State.HALTED}))
    assert (beats, watch.beats) == ([1, 1], 2)
    with pytest.raises(ValueError, match="boom"):
        watch.look(ValueError("boom"))
    assert watch.beats == 2


def test_without_words_it_decides_at_every_poll(watch: Watch) -> None:
    watch.watcher(poll=0.005).start()
    wait_until(lambda: watch.beats > 3)


def test_pokes_and_their_endpoint_reach_the_view(watch: Watch) -> None:
    watch.watcher().poke()
    watch.watcher().poke("node")
    assert watch.view.calls == [("poke", None), ("poke", "node")]


# --- beginning and ending --------------------------------------------------------------------------------------------


def test_beginning_starts_the_readers_and_decides_on_what_they_bring_without_a_thread_of_its_own(
    watch: Watch,
) -> None:
    watch.view.say(sighting())
    watch.watcher().begin(5.0)
    assert watch.view.calls == ["start"]
    assert watch.decisions() == RUN
    assert "watcher" not in {thread.name for thread in threading.enumerate()}


def test_beginning_waits_until_the_readers_have_settled_and_no_longer(watch: Watch) -> None:
    watch.view.is_settled = False

    def settle() -> None:
        watch.view.say(sighting())
        wait_until(lambda: watch.view._words.empty())
        watch.view.is_settled = True
        watch.view.wake()

    settling = threading.Timer(0.05, settle)
    settling.start()
    began = time.monotonic()
    watch.watcher().begin(30.0)
    assert 0.04 < time.monotonic() - began < 10.0
    assert watch.decisions() == RUN
    settling.join(60)


def test_beginning_gives_up_on_readers_that_never_settle(watch: Watch) -> None:
    watch.view.is_settled = False
    watch.view.say(sighting())
    began = time.monotonic()
    watch.watcher().begin(0.1)
    assert time.monotonic() - began < 10.0
    assert watch.decisions() == RUN


def test_what_the_first_look_meets_is_raised(watch: Watch) -> None:
    watch.view.say(RuntimeError("boom"))
    watch.view.is_settled = False
    with pytest.raises(RuntimeError, match="boom"):
        watch.watcher().begin(1.0)


def test_a_halt_from_an_earlier_run_has_finalised_blocks_asked_for_from_the_beginning(watch: Watch) -> None:
    watch.look(sighting({ALICE: State.HALTED}))
    again = Watch(loaded={"alice": watch.kept[0][1]})
    asked: list[bool] = []
    again.view.start = lambda: asked.append(again.view.wants_finality)  # type: ignore[method-assign]
    again.watcher().begin(0.0)
    assert asked == [True]


def test_stop_ends_thread_and_readers_at_once(watch: Watch) -> None:
    watch.watcher().start()
    wait_until(lambda: watch.view.reads == 1)
    began = time.monotonic()
    watch.watcher().stop()
    assert time.monotonic() - began < 5.0
    assert "stop" in watch.view.calls
    assert "watcher" not in {thread.name for thread in threading.enumerate()}


# --- a watcher that hangs --------------------------------------------------------------------------------------------


def test_a_watcher_that_hangs_is_no_reason_to_run_on(watch: Watch) -> None:
    watch.look(sighting())
    watcher = watch.watcher()
    found = []
    # No look any more: blocks may be 60 s old, doubt may last 30 s.
    for watch.clock.seconds in (60.0, 60.1, 90.0, 90.1):
        late = watcher.overdue("alice")
        assert late is None or late.verdict == watcher.standing("alice").verdict
        found.append(watch.decisions()["alice"])
    assert found == ["run", "freeze", "freeze", "halt"]


def test_a_watcher_that_hangs_does_not_hide_that_an_agent_is_halted(watch: Watch) -> None:
    watch.look(sighting({ALICE: State.HALTED}))
    watch.clock.seconds = 61.0
    assert watch.watcher().standing("alice").verdict.reason == "halted by the council"


def test_a_watcher_that_hangs_in_a_grace_ends_the_grace(watch: Watch) -> None:
    watch.limits = replace(LIMITS, halt_grace=1_000.0)
    watch.look(sighting({ALICE: State.HALTED}))
    assert watch.watcher().standing("alice").stopping
    watch.clock.seconds = 61.0
    assert not watch.watcher().standing("alice").stopping
    watch.clock.seconds = 91.0
    standing = watch.watcher().standing("alice")
    assert (standing.verdict.decision, standing.stopping) == (Decision.HALT, False)


# --- agents come and go ----------------------------------------------------------------------------------------------


def test_attaching_carries_out_the_present_standing(watch: Watch) -> None:
    watch.look(sighting({ALICE: State.PAUSED}))
    applied = collected(watch, "alice")
    assert [standing.verdict.decision for standing in applied["alice"]] == [Decision.FREEZE]


def test_a_condemned_agents_standing_never_gets_better_again(watch: Watch) -> None:
    """A halt for silence, whose kill failed, and then the chain is back: the gate must not open again."""
    watch.look(sighting())
    applied = collected(watch, "alice")
    for watch.clock.seconds in (61.0, 92.0):
        watch.look(Silence("node", "refused"))
    assert watch.look(sighting(at=92.0)) == {"alice": "halt", "bob": "run"}
    assert applied["alice"][-1].verdict == applied["alice"][-2].verdict
    assert applied["alice"][-1].block is not None


def test_who_is_condemned_from_outside_is_seen_halted_before_the_kill_and_stays_so(watch: Watch) -> None:
    seen_during_kill = list[Decision]()
    watch.look(sighting())
    watcher = watch.watcher()
    watcher.attach("alice", lambda _: seen_during_kill.append(watcher.standing("alice").verdict.decision))
    watcher.condemn("alice", "the guard was stopped")
    assert seen_during_kill == [Decision.RUN, Decision.HALT]
    watch.look(sighting())  # the chain still says that it may run
    assert watcher.standing("alice").verdict.reason == "the guard was stopped"
    watcher.condemn("alice", "something else")
    assert watcher.standing("alice").verdict.reason == "the guard was stopped"


def test_who_is_detached_has_its_next_life_judged_anew(watch: Watch) -> None:
    watch.look(sighting())
    applied = collected(watch, "alice", "bob")
    for name in AGENTS:
        watch.watcher().condemn(name, "it stood still")
    watch.watcher().detach("alice")
    assert watch.look(sighting()) == {"alice": "run", "bob": "halt"}
    assert [len(got) for got in applied.values()] == [2, 3]


def test_what_is_latched_binds_the_next_life_too(watch: Watch) -> None:
    watch.look(sighting())
    collected(watch, "alice")
    watch.look(sighting({ALICE: State.HALTED}))
    watch.watcher().detach("alice")
    assert watch.look(sighting(number=8))["alice"] == "halt"


def test_no_condemnation_is_lost_to_a_look_in_the_same_moment(watch: Watch) -> None:
    """A look that has judged, and is about to publish, meets one who condemns: the condemnation stays."""
    watch.look(sighting())
    watcher = watch.watcher()
    watcher.attach("alice", lambda standing: None)
    publishing, condemned = threading.Event(), threading.Event()

    class Standings(dict[str, Standing]):
        def __getitem__(self, name: str) -> Standing:
            found = super().__getitem__(name)
            if judged and threading.current_thread() is looking and not publishing.is_set():
                publishing.set()
                condemned.wait(0.5)  # as a thread that is not given the processor
            return found

    judged: list[str] = []
    judge = watcher._judge
    watcher._judge = lambda name, *given: (judge(name, *given), judged.append(name))[0]  # type: ignore
    watcher._standings = Standings(watcher._standings)
    looking = threading.Thread(target=watcher.look, args=(0.0,))
    looking.start()
    assert publishing.wait(60)
    watcher.condemn("alice", "the guard was stopped")
    condemned.set()
    looking.join(60)
    assert watcher.standing("alice").verdict.reason == "the guard was stopped"


def test_an_agent_that_goes_while_the_watcher_looks_disturbs_no_look(watch: Watch) -> None:
    """Its session lets it go on a thread of its own; a look that failed on that would halt them all."""
    watch.look(sighting())
    watcher = watch.watcher()
    stilled: list[str] = []
    for name in AGENTS:
        watcher.attach(name, lambda standing: None, lambda name=name: stilled.append(name))
    judge = watcher._judge

    def leaving(name: str, *given: object) -> Standing:
        watcher.detach("alice")
        return judge(name, *given)  # type: ignore[arg-type]

    watcher._judge = leaving  # type: ignore[method-assign]
    watch.look(sighting({FLEET: State.HALTED}, number=8))
    assert stilled == ["alice", "bob"]


# --- all stand still before one is killed ----------------------------------------------------------------------------


def test_all_that_a_stop_reaches_begin_to_stand_still_before_any_stop_is_carried_out(watch: Watch) -> None:
    watch.look(sighting())
    order: list[str] = []
    for name in AGENTS:
        watch.watcher().attach(
            name,
            lambda standing, name=name: order.append(f"{standing.verdict.decision.value} {name}"),
            lambda name=name: order.append(f"still {name}"),
        )
    order.clear()
    watch.look(sighting({FLEET: State.HALTED}, number=8))
    assert order == ["still alice", "still bob", "halt alice", "halt bob"]


def test_who_goes_on_or_stands_still_already_is_not_stilled_again(watch: Watch) -> None:
    watch.look(sighting())
    stilled: list[str] = []
    watch.watcher().attach("alice", lambda standing: None, lambda: stilled.append("alice"))
    for number, words in enumerate(
        ({}, {ALICE: State.PAUSED}, {ALICE: State.PAUSED}, {}, {ALICE: State.PAUSED}), 8
    ):
        watch.look(sighting(words, number=number))
    assert stilled == ["alice"] * 2


def test_an_agent_in_the_grace_of_a_planned_stop_is_stilled_when_the_grace_is_over(watch: Watch) -> None:
    watch.limits = limits_with_grace()
    watch.look(sighting())
    stilled: list[float] = []
    watch.watcher().attach("alice", lambda standing: None, lambda: stilled.append(watch.clock.seconds))
    for watch.clock.seconds in (1.0, 5.0, 11.0, 12.0):
        watch.look(sighting({ALICE: State.PAUSED}, at=watch.clock.seconds, number=8))
    assert stilled == [11.0]


# --- stops that the operator asks for --------------------------------------------------------------------------------


def limits_with_grace() -> Limits:
    return replace(LIMITS, grace=10.0)


def test_a_stop_that_is_asked_for_is_announced_and_in_force_when_its_grace_is_over(watch: Watch) -> None:
    watch.limits = limits_with_grace()
    watch.look(sighting())
    watch.watcher().ask("alice", "the guard was stopped")
    found = []
    for watch.clock.seconds in (0.0, 9.9, 10.0):
        watch.look(sighting(at=watch.clock.seconds))
        standing = watch.watcher().standing("alice")
        found.append((standing.verdict.decision.value, standing.stopping))
    assert found == [("halt", True), ("halt", True), ("halt", False)]
    assert watch.decisions()["bob"] == "run"


def test_asking_wakes_the_watcher_however_long_the_poll(watch: Watch) -> None:
    watch.look(sighting())
    watch.watcher().start()
    wait_until(lambda: watch.view.reads == 2)
    watch.watcher().ask("alice", "the guard was stopped")
    wait_until(lambda: watch.decisions()["alice"] == "halt")


def test_asking_again_and_again_gives_no_longer_grace(watch: Watch) -> None:
    watch.limits = limits_with_grace()
    watch.look(sighting())
    for watch.clock.seconds in (0.0, 5.0, 9.9):
        watch.watcher().ask("alice", "the guard was stopped")
        watch.look(sighting(at=watch.clock.seconds))
    assert watch.watcher().standing("alice").stopping
    watch.clock.seconds = 10.0
    watch.look(sighting(at=10.0))
    assert not watch.watcher().standing("alice").stopping
