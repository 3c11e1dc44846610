"""A task that stops where it was told to, and goes on from there: within one process."""

import asyncio
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_guard.errors import GuardError
from agent_guard.sdk import Denied, Guard, Halted, Stopping, Unreachable

pytestmark = pytest.mark.unit

FILE = Path("work.json")
CONTINUE = 75


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def handler_of_sigterm() -> Any:
    """SIGTERM's handler is what it was when the test is over, whatever a block did."""
    before = signal.getsignal(signal.SIGTERM)
    yield before
    after = signal.signal(signal.SIGTERM, before)
    assert after is before


def announce(answers) -> None:
    answers.asked = answers.refusal(403, "AG620")


def withdraw(answers) -> None:
    answers.asked = None


def saved() -> Any:
    return json.loads(FILE.read_text())["state"]


def save(state: Any) -> bytes:
    FILE.write_text(json.dumps({"agent_guard_checkpoint": 1, "state": state}))
    return FILE.read_bytes()


def files() -> list[str]:
    return sorted(entry.name for entry in Path().iterdir())


def stop_with(guard: Guard, change: Any) -> None:
    """A task that is told to stop right after this change of its state."""
    with guard.checkpoint(FILE, {"next": 0}) as state:
        change(state)
        signal.raise_signal(signal.SIGTERM)
        guard.pause_point()
        raise AssertionError("went on")


def count(guard: Guard, upto: int, stop: Any = lambda n: None) -> list[int]:
    """A task of `upto` steps; `stop` is called in the middle of each. Gives the steps that this run did."""
    done = []
    with guard.checkpoint(FILE, {"next": 0}) as state:
        while state["next"] < upto:
            with guard.action("count", number=state["next"]):
                stop(state["next"])
                done.append(state["next"])
                state["next"] += 1
    return done


def interrupted(run: Any, code: int = CONTINUE) -> BaseException | None:
    """Runs what must end the process, and gives the cause."""
    with pytest.raises(SystemExit) as caught:
        run()
    assert caught.value.code == code
    return caught.value.__cause__


# -- a stop, and the next start -------------------------------------------------------------------------------------


def test_a_task_without_a_stop_gets_a_copy_of_its_initial_state_and_leaves_nothing(guard):
    initial = {"next": 0, "found": []}

    with guard.checkpoint(FILE, initial) as state:
        assert state == initial
        state["found"].append(1)

    assert initial == {"next": 0, "found": []}
    assert files() == []
    assert not guard.stopping


def test_a_refused_task_is_saved_and_the_process_ends_to_be_continued_from_there(guard, answers):
    cause = interrupted(lambda: count(guard, 5, lambda n: n == 2 and announce(answers)))

    assert isinstance(cause, Stopping)
    assert guard.stopping
    assert saved() == {"next": 3}
    assert files() == ["work.json"]
    withdraw(answers)
    assert count(Guard(transport=answers), 5) == [3, 4]


def test_a_task_that_was_resumed_and_ended_begins_anew_the_next_time(guard):
    save({"next": 3})
    Path(".work.json.partial").write_text("a save that was killed")

    assert count(guard, 5) == [3, 4]

    assert files() == []
    assert count(guard, 2) == [0, 1]


def test_sigterm_leaves_the_action_under_way_alone_and_the_next_is_not_even_asked_for(guard, answers):
    def stop(n: int) -> None:
        if n == 2:
            signal.raise_signal(signal.SIGTERM)
            assert guard.stopping
            signal.raise_signal(signal.SIGTERM)

    interrupted(lambda: count(guard, 5, stop))

    assert saved() == {"next": 3}
    assert [body["arguments"]["number"] for path, body in answers.requests if path == "/v1/actions"] == [
        0,
        1,
        2,
    ]
    assert [outcome["status"] for outcome in answers.outcomes] == ["ok", "ok", "ok"]


def test_sigterm_while_a_stopped_task_is_being_saved_does_no_harm(guard, monkeypatch: Any):
    sync = os.fsync

    def sync_and_signal(descriptor: int) -> None:
        signal.raise_signal(signal.SIGTERM)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_and_signal)

    interrupted(lambda: count(guard, 5, lambda n: n == 2 and signal.raise_signal(signal.SIGTERM)))

    assert saved() == {"next": 3}


def test_a_pause_point_raises_only_once_a_stop_was_announced(guard):
    def change(state: dict[str, Any]) -> None:
        guard.pause_point()
        state["next"] = 2

    interrupted(lambda: stop_with(guard, change))

    assert saved() == {"next": 2}


def test_a_body_that_ends_while_it_is_told_to_stop_is_not_taken_as_done(guard, answers):
    def run(guard: Guard) -> list[int]:
        done = []
        with guard.checkpoint(FILE, {"next": 0}) as state:
            while state["next"] < 5 and not guard.stopping:
                with guard.action("count"):
                    done.append(state["next"])
                    state["next"] += 1
                    if state["next"] == 3:
                        signal.raise_signal(signal.SIGTERM)
        return done

    assert interrupted(lambda: run(guard)) is None
    assert saved() == {"next": 3}
    assert run(Guard(transport=answers)) == [3, 4]
    assert files() == []


def test_a_stop_that_comes_with_the_last_step_has_the_next_start_find_nothing_left_to_do(guard, answers):
    interrupted(lambda: count(guard, 3, lambda n: n == 2 and signal.raise_signal(signal.SIGTERM)))

    assert count(Guard(transport=answers), 3) == []
    assert files() == []


def test_an_asynchronous_task_is_saved_and_continued(guard, answers):
    async def task(guard: Guard) -> list[int]:
        done = []
        async with guard.checkpoint(FILE, {"next": 0}) as state:
            while state["next"] < 5:
                async with guard.action("count"):
                    await asyncio.sleep(0)
                    done.append(state["next"])
                    state["next"] += 1
                    if done == [0, 1, 2]:
                        os.kill(os.getpid(), signal.SIGTERM)
        return done

    interrupted(lambda: asyncio.run(task(guard)))

    assert [outcome["status"] for outcome in answers.outcomes] == ["ok", "ok", "ok"]
    assert saved() == {"next": 3}
    assert asyncio.run(task(Guard(transport=answers))) == [3, 4]
    assert files() == []


@pytest.mark.parametrize("also", [None, ValueError("broken")])
def test_a_stop_out_of_a_task_group_is_a_stop_unless_something_else_broke_with_it(guard, answers, also):
    async def stop() -> None:
        async with guard.action("count"):
            raise AssertionError("acted without a yes")

    async def fail() -> None:
        if also:
            raise also

    async def run() -> None:
        async with guard.checkpoint(FILE, {"next": 0}) as state:
            announce(answers)
            state["next"] = 1
            async with asyncio.TaskGroup() as group:
                group.create_task(stop())
                group.create_task(fail())

    if also:
        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(run())
        assert caught.value.subgroup(ValueError)
    else:
        interrupted(lambda: asyncio.run(run()))
    assert saved() == {"next": 1}


def test_tasks_that_each_return_on_a_stop_all_finish_what_they_do(guard, answers):
    async def worker(state: dict[str, Any]) -> None:
        while not guard.stopping:
            try:
                async with guard.action("count"):
                    await asyncio.sleep(0.01)
                    state["done"] += 1
                    if state["done"] == 10:
                        announce(answers)
            except Stopping:
                return

    async def run() -> None:
        async with guard.checkpoint(FILE, {"done": 0}) as state, asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(worker(state))

    interrupted(lambda: asyncio.run(run()))

    assert {outcome["status"] for outcome in answers.outcomes} == {"ok"}
    assert saved() == {"done": len(answers.outcomes)}


# -- other endings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_a_task_that_fails_is_saved_as_well_and_fails_with_its_own_error(guard, error):
    def run() -> None:
        with guard.checkpoint(FILE, {"next": 0}) as state:
            state["next"] = 1
            raise error

    with pytest.raises(type(error)) as caught:
        run()

    assert caught.value is error
    assert saved() == {"next": 1}


@pytest.mark.parametrize(("status", "code", "kind"), [(423, "AG602", Halted), (503, "AG603", Denied)])
def test_another_refusal_is_no_announced_stop(guard, answers, status, code, kind):
    def refuse(n: int) -> None:
        answers.asked = answers.refusal(status, code)

    with pytest.raises(kind):
        count(guard, 5, refuse)

    assert not guard.stopping
    assert saved() == {"next": 1}


def test_no_answer_is_no_announced_stop(guard, answers):
    answers.asked = TimeoutError("slow")

    with pytest.raises(Unreachable):
        count(guard, 5)
    assert not guard.stopping


def test_a_task_that_fails_before_its_state_changed_leaves_no_file(guard):
    with pytest.raises(ValueError), guard.checkpoint(FILE, {"next": 0}):
        raise ValueError

    assert files() == []


def test_a_block_within_another_saves_both(guard):
    def run() -> None:
        with guard.checkpoint("outer.json", {"n": 0}) as outer, guard.checkpoint(FILE, {"n": 0}) as inner:
            outer["n"], inner["n"] = 1, 2
            signal.raise_signal(signal.SIGTERM)
            guard.pause_point()

    interrupted(run)

    assert saved() == {"n": 2}
    assert json.loads(Path("outer.json").read_text())["state"] == {"n": 1}


def test_a_state_saved_by_hand_is_there_after_an_end_that_nobody_announced(guard):
    checkpoint = guard.checkpoint(FILE, {"next": 0})
    with checkpoint as state:
        state["next"] = 4
        checkpoint.save()
        assert saved() == {"next": 4}
    assert files() == []


def test_without_a_checkpoint_a_stop_is_a_refusal_that_may_be_taken_back(guard, answers):
    announce(answers)
    with pytest.raises(Stopping), guard.action("count"):
        raise AssertionError("acted without a yes")
    withdraw(answers)

    with guard.action("count") as action:
        pass

    assert action.seq is not None
    assert guard.stopping


# -- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 40, "torn"),
        (b"\xff\xfe", "torn"),
        (b"[" * 100_000, "torn"),
        (b'{"agent_guard_checkpoint": 1, "state": {"next": NaN}}', "no JSON"),
        (b"[]", "something else"),
        (b'{"next": 3}', "something else"),
        (b'{"agent_guard_checkpoint": 2, "state": {}}', "another version"),
        (b'{"agent_guard_checkpoint": 1, "state": []}', "another version"),
        (b'{"agent_guard_checkpoint": 1, "state": {}, "more": 1}', "another version"),
        (b'{"agent_guard_checkpoint": 1}', "another version"),
    ],
)
def test_what_is_no_whole_checkpoint_is_refused_and_left_as_it_is(guard, content, reason):
    FILE.write_bytes(content)

    with pytest.raises(GuardError, match=f"AG621.*{reason}"):
        count(guard, 5)

    assert FILE.read_bytes() == content


def test_a_checkpoint_cut_anywhere_is_never_taken_for_one(guard):
    whole = save({"next": 3, "found": ["a", {"b": 1.5}]})

    for length in range(len(whole)):
        FILE.write_bytes(whole[:length])
        with pytest.raises(GuardError, match="AG621"):
            count(guard, 5)


def test_a_folder_or_a_pipe_in_its_place_is_refused(guard):
    FILE.mkdir()
    with pytest.raises(GuardError, match=r"AG621.*no file"):
        count(guard, 5)
    FILE.rmdir()
    os.mkfifo(FILE)
    with pytest.raises(GuardError, match=r"AG621.*no file"):
        count(guard, 5)


def test_a_folder_that_is_not_there_is_said_before_any_work(guard, answers):
    with pytest.raises(GuardError, match=r"AG622.*folder"), guard.checkpoint("missing/work.json", {}):
        raise AssertionError("began")


UNSUITABLE: list[Any] = [
    {1},
    (1, 2),
    {1: "a"},
    {None: 1},
    float("nan"),
    float("inf"),
    b"a",
    10**5000,
    object(),
]


@pytest.mark.parametrize("value", UNSUITABLE, ids=lambda value: type(value).__name__)
def test_an_initial_state_that_json_would_change_is_refused_before_any_work(guard, value):
    for exists in (False, True):
        with pytest.raises(GuardError, match="AG622"), guard.checkpoint(FILE, {"next": value}):
            raise AssertionError("began")
        assert FILE.exists() is exists
        before = save({"next": 3})
    assert FILE.read_bytes() == before


@pytest.mark.parametrize("value", UNSUITABLE, ids=lambda value: type(value).__name__)
def test_a_state_that_json_would_change_is_not_saved_and_the_last_one_is_kept(guard, answers, value):
    before = save({"next": 3})

    with pytest.raises(GuardError, match="AG622"):
        stop_with(guard, lambda state: state.update(next=value))
    assert FILE.read_bytes() == before


def test_a_failing_task_whose_state_can_not_be_saved_fails_with_its_own_error_and_a_note(guard):
    before = save({"next": 3})

    def change(state: dict[str, Any]) -> None:
        state["next"] = {1}
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        stop_with(guard, change)

    assert "AG622" in caught.value.__notes__[0]
    assert FILE.read_bytes() == before


def test_a_state_without_a_bottom_or_with_one_too_deep_to_be_read_back_is_refused():
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    for change in (lambda state: state.update(next=state), lambda state: state.update(next=deep)):
        with pytest.raises(GuardError, match="AG622"):
            stop_with(Guard(), change)


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_save_that_fails_is_said_and_the_last_one_is_kept(guard, monkeypatch: Any, failing):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = save({"next": 3})
    if failing == "write":
        Path(".work.json.partial").mkdir()
    else:
        monkeypatch.setattr(*((os, "fsync", fail) if failing == "fsync" else (Path, "replace", fail)))

    with pytest.raises(GuardError, match="AG622") as caught:
        count(guard, 9, lambda n: n == 5 and signal.raise_signal(signal.SIGTERM))

    assert "was saved before" in caught.value.message
    assert FILE.read_bytes() == before


def test_a_checkpoint_that_can_not_be_removed_is_said_for_the_next_run_would_repeat_work(guard, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    save({"next": 3})
    monkeypatch.setattr(Path, "unlink", fail)

    with pytest.raises(GuardError, match=r"AG622.*can't be removed"):
        count(guard, 5)


def test_a_body_that_changes_its_folder_is_saved_where_it_began(guard, work_folder):
    def change(state: dict[str, Any]) -> None:
        state["next"] = 1
        elsewhere = work_folder / "elsewhere"
        elsewhere.mkdir()
        os.chdir(elsewhere)

    interrupted(lambda: stop_with(guard, change))

    assert (work_folder / FILE).exists()


scalars = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(), max_size=8), values, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_any_state_of_json_comes_back_as_it_was(answers, state):
    with mock.patch.object(os, "fsync"):  # its time, and nothing of what it is for
        interrupted(lambda: stop_with(Guard(transport=answers), lambda begun: begun.update(state)))
        with Guard(transport=answers).checkpoint(FILE, {"next": 0}) as found:
            assert found == {"next": 0} | state


def test_a_process_killed_while_it_saves_leaves_a_whole_state(guard):
    def save_for_ever() -> None:
        checkpoint = guard.checkpoint(FILE, {"n": 0, "bulk": ["x" * 1_000] * 500})
        with checkpoint as state:
            while True:
                state["n"] += 1
                checkpoint.save()

    chance, last = random.Random(7), 0
    for _ in range(20):
        saving = multiprocessing.get_context("fork").Process(target=save_for_ever)
        saving.start()
        time.sleep(0.02 + chance.random() / 50)
        saving.kill()
        saving.join(60)
        if FILE.exists():
            assert saved()["n"] >= last
            last = saved()["n"]
    assert last > 0


# -- threads --------------------------------------------------------------------------------------------------------


def test_a_block_in_another_thread_is_stopped_by_the_refusal_and_sets_no_handler(
    guard, answers, handler_of_sigterm
):
    seen = []

    def stop(n: int) -> None:
        seen.append(signal.getsignal(signal.SIGTERM))
        if n == 2:
            announce(answers)

    thread = threading.Thread(target=lambda: interrupted(lambda: count(guard, 5, stop)))
    thread.start()
    thread.join(60)

    assert seen == [handler_of_sigterm] * 3
    assert saved() == {"next": 3}
    assert guard.stopping


def test_a_handler_that_the_program_had_is_back_after_every_ending(guard):
    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        count(guard, 5)
        assert signal.getsignal(signal.SIGTERM) is mine
        interrupted(lambda: stop_with(guard, lambda state: None))
        assert signal.getsignal(signal.SIGTERM) is mine
        FILE.write_bytes(b"")
        with pytest.raises(GuardError):
            count(guard, 5)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
