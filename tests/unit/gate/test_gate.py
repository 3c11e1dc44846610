"""The one door: nothing gets a yes that is not recorded and allowed at that moment."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from agent_guard.entry import Entry
from agent_guard.errors import GuardError
from agent_guard.gate import Gate, Proposal, Ruling
from agent_guard.log.batch import Appended
from agent_guard.store import Row
from agent_guard.types import Decision

pytestmark = pytest.mark.unit

RUN, FREEZE, HALT = Decision.RUN, Decision.FREEZE, Decision.HALT


def ask(gate: Gate, tool: str = "fs.write", key: str | None = None, **arguments: Any) -> Any:
    return asyncio.run(gate.propose(tool, arguments, key))


def refusal(gate: Gate, **details: Any) -> GuardError:
    with pytest.raises(GuardError) as caught:
        ask(gate, **details)
    return caught.value


async def rows_of(log: Any, count: int) -> None:
    while len(log.rows()) < count:  # noqa: ASYNC110 - the log has no event to wait for
        await asyncio.sleep(0.01)


def content(row: Row) -> Any:
    assert row.content is not None
    return json.loads(row.content.body)


def test_an_action_while_the_agent_runs_is_recorded_with_its_block_and_allowed(gate, log):
    answer = ask(gate, path="a.txt")

    (intent,) = log.rows()
    assert (answer.ruling, answer.seq, answer.leaf_hash) == (Ruling.ALLOW, intent.index, intent.leaf)
    assert answer.observed_block.number == Entry.decode(intent.body).block.number == 7
    assert (intent.kind, content(intent)) == ("intent", {"tool": "fs.write", "arguments": {"path": "a.txt"}})


@pytest.mark.parametrize(
    ("decision", "stopping", "code"),
    [(HALT, False, "AG602"), (HALT, True, "AG620"), (FREEZE, False, "AG603"), (RUN, True, "AG620")],
)
def test_an_agent_that_may_not_act_gets_no_and_only_the_no_is_recorded(
    gate, log, situation, decision, stopping, code
):
    situation.decision, situation.stopping = decision, stopping

    assert refusal(gate).code == code
    assert [(row.kind, content(row)["code"]) for row in log.rows()] == [("refused", code)]


@pytest.mark.parametrize(("after", "code"), [(HALT, "AG602"), (FREEZE, "AG603")])
def test_a_stop_between_the_intent_and_the_answer_wins_and_closes_the_intent(
    gate, log, situation, after, code
):
    situation.verdicts = [RUN, after]

    assert refusal(gate).code == code
    intent, refused = log.rows()
    assert (intent.kind, refused.kind) == ("intent", "refused")
    assert Entry.decode(refused.body).refers_to == intent.index
    situation.verdicts = []
    with pytest.raises(GuardError, match="AG612"):
        asyncio.run(gate.outcome(intent.index, "ok", None))


def test_a_standing_that_can_not_be_read_is_doubt(make_gate, situation):
    gate = make_gate()
    gate._standing = lambda: 1 // 0

    assert refusal(gate).code == "AG603"


def test_a_tail_that_can_not_be_read_is_doubt(make_gate):
    gate = make_gate()
    gate._lag = lambda: 1 // 0

    assert refusal(gate).code == "AG603"


@pytest.mark.parametrize(
    ("lag", "allowed"), [((10, 60.0), True), ((11, 60.0), False), ((10, 60.1), False), ((0, 0.0), True)]
)
def test_the_gate_closes_when_the_unanchored_tail_passes_a_limit(make_gate, situation, lag, allowed):
    situation.lag = lag
    gate = make_gate(tail_entries=10, tail_seconds=60.0)

    if allowed:
        assert ask(gate).ruling is Ruling.ALLOW
    else:
        assert refusal(gate).code == "AG604"


def test_without_a_block_there_is_no_intent_and_no_yes(gate, log, situation):
    situation.block = None
    log.recorder._block = lambda: None

    assert refusal(gate).code == "AG605"
    assert log.rows("intent") == []


# -- a store in trouble ---------------------------------------------------------------------------------------------


class SlowRecorder:
    """Takes entries, and makes them durable in the real log only when told to."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.waiting: list[tuple[Future[Appended], tuple[Any, ...], dict[str, Any]]] = []
        self.slow = True

    def append(self, *args: Any, **details: Any) -> Future[Appended]:
        if not self.slow:
            return self._real.append(*args, **details)
        self.waiting.append((Future(), args, details))
        return self.waiting[-1][0]

    def catch_up(self) -> None:
        self.slow = False
        for future, args, details in self.waiting:
            future.set_result(self._real.append(*args, **details).result(60))


def test_an_intent_that_is_durable_too_late_was_refused_and_is_closed_as_such(make_gate, log):
    recorder = SlowRecorder(log.recorder)
    gate = make_gate(recorder=recorder, answer_seconds=0.05)

    async def scene() -> None:
        with pytest.raises(GuardError, match="AG605"):
            await gate.propose("fs.write", {})
        recorder.waiting = recorder.waiting[
            :1
        ]  # the note of the refusal is late as well; not of interest here
        recorder.catch_up()
        await rows_of(log, 2)

    asyncio.run(asyncio.wait_for(scene(), 5))
    intent, refused = log.rows()
    assert Entry.decode(refused.body).refers_to == intent.index
    with pytest.raises(GuardError, match="AG612"):
        asyncio.run(gate.outcome(intent.index, "ok", None))


def test_an_agent_that_hangs_up_while_its_intent_is_written_leaves_it_closed(make_gate, log):
    recorder = SlowRecorder(log.recorder)
    gate = make_gate(recorder=recorder)

    async def scene() -> None:
        asking = asyncio.create_task(gate.propose("fs.write", {}))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.sleep(0.01)
        recorder.catch_up()
        await rows_of(log, 2)

    asyncio.run(asyncio.wait_for(scene(), 5))
    assert [row.kind for row in log.rows()] == ["intent", "refused"]


def test_a_hung_store_holds_a_bounded_number_of_intents(make_gate, log):
    recorder = SlowRecorder(log.recorder)
    gate = make_gate(recorder=recorder, answer_seconds=0.05, in_flight=3)

    async def scene() -> list[Any]:
        return await gate.batch([Proposal("fs.write", {})] * 10)

    codes = [result.code for result in asyncio.run(scene())]
    assert sorted(codes) == ["AG605"] * 3 + ["AG606"] * 7
    assert len(recorder.waiting) == 3


def test_a_store_that_fails_refuses_and_names_the_cause(gate, log):
    log.recorder.close()

    assert "the recorder was closed" in refusal(gate).message


# -- outcomes -------------------------------------------------------------------------------------------------------


def test_an_outcome_closes_its_intent_whatever_the_standing_has_become(gate, log, situation):
    answer = ask(gate)
    situation.decision = HALT

    closing = asyncio.run(gate.outcome(answer.seq, "ok", {"bytes": 3}))

    (outcome,) = log.rows("outcome")
    assert (closing.seq, closing.outcome_seq, closing.leaf_hash) == (answer.seq, outcome.index, outcome.leaf)
    assert Entry.decode(outcome.body).refers_to == answer.seq
    assert content(outcome) == {"status": "ok", "result": {"bytes": 3}}


@pytest.mark.parametrize("second", [("ok", 1), ("error", 2)])
def test_a_second_outcome_is_refused_whether_it_agrees_or_not(gate, log, second):
    seq = ask(gate).seq
    asyncio.run(gate.outcome(seq, "ok", 1))

    with pytest.raises(GuardError, match="AG612"):
        asyncio.run(gate.outcome(seq, *second))
    assert len(log.rows("outcome")) == 1


def test_a_second_outcome_is_refused_after_a_restart(gate, make_gate, log):
    seq = ask(gate).seq
    asyncio.run(gate.outcome(seq, "ok", 1))

    with pytest.raises(GuardError, match="AG612"):
        asyncio.run(make_gate().outcome(seq, "ok", 1))


def test_an_outcome_is_taken_after_a_restart(gate, make_gate, log):
    seq = ask(gate).seq

    assert asyncio.run(make_gate().outcome(seq, "ok", 1)).seq == seq


def test_two_outcomes_at_once_leave_one(gate, log):
    seq = ask(gate).seq

    async def scene() -> list[Any]:
        return await asyncio.gather(
            gate.outcome(seq, "ok", 1), gate.outcome(seq, "error", 2), return_exceptions=True
        )

    results = asyncio.run(scene())
    assert sum(isinstance(result, GuardError) for result in results) == 1
    assert len(log.rows("outcome")) == 1


@pytest.mark.parametrize("seq", [1, 10**15, -1])
def test_an_outcome_for_an_action_that_never_was_is_refused_and_recorded(gate, log, seq):
    ask(gate)

    with pytest.raises(GuardError, match="AG611"):
        asyncio.run(gate.outcome(seq, "ok", None))
    assert [content(row)["action"] for row in log.rows("refused")] == [seq]


def test_an_agent_can_not_close_or_see_what_another_agent_did(gate, make_gate, log):
    seq = ask(gate).seq
    other = make_gate("bob")

    for attempt in (other.outcome(seq, "ok", None), other.get(seq)):
        with pytest.raises(GuardError, match="AG611"):
            asyncio.run(attempt)
    assert log.rows("outcome") == []


def test_an_outcome_of_an_outcome_is_refused(gate, log):
    seq = ask(gate).seq
    closing = asyncio.run(gate.outcome(seq, "ok", None))

    with pytest.raises(GuardError, match="AG611"):
        asyncio.run(gate.outcome(closing.outcome_seq, "ok", None))


# -- idempotency ----------------------------------------------------------------------------------------------------


def test_the_same_key_with_the_same_action_answers_as_the_first_time(gate, log):
    first, again = ask(gate, key="k", path="a"), ask(gate, key="k", path="a")

    assert (first.seq, first.leaf_hash) == (again.seq, again.leaf_hash)
    assert len(log.rows("intent")) == 1


@pytest.mark.parametrize(
    "change", [{"path": "b"}, {"path": "a", "tool": "fs.delete"}, {"path": "a", "more": 1}]
)
def test_the_same_key_with_another_action_is_refused(gate, log, change):
    ask(gate, key="k", path="a")

    assert refusal(gate, key="k", **change).code == "AG613"
    assert len(log.rows("intent")) == 1


def test_a_key_is_no_second_permission_once_the_action_is_closed(gate):
    seq = ask(gate, key="k").seq
    asyncio.run(gate.outcome(seq, "ok", None))

    assert refusal(gate, key="k").code == "AG612"


def test_a_key_whose_yes_was_withdrawn_stays_refused_when_the_agent_may_run_again(gate, make_gate, situation):
    situation.verdicts = [RUN, HALT]
    refusal(gate, key="k")
    situation.verdicts = []

    assert refusal(gate, key="k").code == "AG612"
    assert refusal(make_gate(), key="k").code == "AG612"


def test_a_repeated_key_that_is_refused_does_not_withdraw_the_yes_it_had(gate, situation):
    seq = ask(gate, key="k").seq
    situation.verdicts = [RUN, FREEZE]
    assert refusal(gate, key="k").code == "AG603"
    situation.verdicts = []

    assert asyncio.run(gate.outcome(seq, "ok", None)).seq == seq


def test_an_agents_key_can_not_close_an_intent(gate, log):
    seq = ask(gate).seq
    ask(gate, key=f"close:{seq}")

    assert asyncio.run(gate.outcome(seq, "ok", None)).seq == seq


def test_two_agents_may_use_the_same_key(gate, make_gate):
    assert ask(gate, key="k").seq != ask(make_gate("bob"), key="k").seq


# -- batches and reading --------------------------------------------------------------------------------------------


def test_a_batch_decides_each_action_for_itself_and_in_order(gate, log):
    ask(gate, key="taken", tool="first")

    async def scene() -> list[Any]:
        return await gate.batch(
            [
                Proposal("fs.write", {"n": 0}),
                Proposal("fs.write", {"n": 1}, "taken"),
                Proposal("fs.write", {"n": 2}),
            ]
        )

    first, refused, last = asyncio.run(scene())
    assert (first.ruling, refused.code, last.ruling) == (Ruling.ALLOW, "AG613", Ruling.ALLOW)
    assert first.seq < last.seq


def test_an_intent_can_be_read_back_with_what_closed_it(gate):
    answer = ask(gate, path="a")
    before = asyncio.run(gate.get(answer.seq))
    closing = asyncio.run(gate.outcome(answer.seq, "ok", None))
    after = asyncio.run(gate.get(answer.seq))

    assert (before.tool, before.arguments, before.leaf_hash) == ("fs.write", {"path": "a"}, answer.leaf_hash)
    assert (before.closed_by, after.closed_by) == (None, closing.outcome_seq)


def test_the_gate_forgets_old_open_intents_and_still_takes_their_outcomes(gate, monkeypatch: Any):
    monkeypatch.setattr("agent_guard.gate.gate.OPEN_REMEMBERED", 2)
    seqs = [ask(gate, n=n).seq for n in range(4)]

    assert len(gate._open) == 2
    assert [asyncio.run(gate.outcome(seq, "ok", None)).seq for seq in seqs] == seqs


def test_no_verdict_but_run_is_ever_allowed(make_gate: Callable[..., Gate], situation):
    gate = make_gate(refusal_burst=0)
    for before in Decision:
        for after in Decision:
            for stopping in (False, True):
                situation.verdicts, situation.stopping = [before, after], stopping
                if before is after is RUN and not stopping:
                    assert ask(gate).ruling is Ruling.ALLOW
                else:
                    refusal(gate)
                situation.stopping = False
