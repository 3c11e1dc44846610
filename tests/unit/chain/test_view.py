"""The endpoints' readers, each a real thread: who hangs, lies, fails or lags delays and misleads nobody but itself.

The contracts are fake, because no real node hangs, lies or forks on demand; the same readers over real nodes are tried
by tests/chain and by the drills.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from agent_guard.chain import view as module
from agent_guard.chain.proof import NoProof, ProofError
from agent_guard.chain.view import SLOTS, ChainView, Pace
from agent_guard.errors import GuardError
from agent_guard.guard.evidence import Clock, agreed
from agent_guard.guard.sightings import PAST, Sightings
from agent_guard.types import (
    FLEET,
    AgentState,
    Block,
    Council,
    Scope,
    Sighting,
    Silence,
    State,
    Thresholds,
    Timing,
    Word,
)
from tests.unit.guard.words import NOW, TWO, make_block, make_state

pytestmark = pytest.mark.unit

ALICE, BOB = b"a" * 32, b"b" * 32
NEVER = 3_600.0
COUNCIL = Council(("0x" + "Aa" * 20,), Thresholds(1, 1, 1), Timing(60, 2, 3600, 0, 0), 1)


def unknown() -> GuardError:
    return GuardError("AG201", "the node does not know that block.", "Wait.")


@dataclass
class Node:
    """A council behind an endpoint, which the test makes hang, lie or fail. It is its own endpoint and contract."""

    name: str
    chain: list[Block]
    height: int = 7
    says: dict[bytes, State] = field(default_factory=dict)
    finalized: int = 3
    claims: dict[bytes, Block] = field(default_factory=dict)  # what it says of a hash
    errors: dict[str, BaseException] = field(default_factory=dict)
    asked: list[object] = field(default_factory=list)
    named: Callable[[], Block] | None = None
    proofs: dict[bytes, Any] = field(default_factory=dict)
    slow: float = 0.0
    answering: threading.Event = field(default_factory=threading.Event)
    address: str = "0x" + "11" * 20

    def __post_init__(self) -> None:
        self.answering.set()

    @property
    def endpoint(self) -> "Node":
        return self

    def _ask(self, what: object) -> None:
        self.asked.append(what)
        time.sleep(self.slow)
        assert self.answering.wait(30)
        kind = what[0] if isinstance(what, tuple) else what
        if error := self.errors.get(str(kind)):
            raise error

    def block(self, which: str | bytes) -> Block:
        return self.header(which)[0]

    def header(self, which: str | bytes) -> tuple[Block, dict[str, Any]]:
        self._ask(("header", which))
        if which == "latest":
            block = self.named() if self.named else self.chain[self.height]
        elif which == "finalized":
            block = self.chain[self.finalized]
        else:
            known = {block.hash: block for block in self.chain[: self.height + 1]}
            if not isinstance(which, bytes) or which not in known | self.claims:
                raise unknown()
            block = (known | self.claims)[which]
        return self.claims.get(block.hash, block), {"of": block.hash}

    def snapshot(self, agents: Sequence[bytes], block: Block) -> dict[bytes, AgentState]:
        self._ask(("snapshot", block.hash))
        return {agent: make_state(agent, self.says.get(agent, State.RUNNING)) for agent in agents}

    def council(self, block: Block) -> Council:
        self._ask("council")
        return COUNCIL

    def proof(self, slots: Sequence[bytes], block: Block) -> dict[str, Any]:
        self._ask(("proof", len(slots)))
        return {"node": self}


CHAIN = [make_block(number, NOW + number) for number in range(10)]


@pytest.fixture
def nodes() -> Iterator[Callable[..., tuple[Node, ...]]]:
    made: list[Node] = []

    def make(count: int = 2, **values: Any) -> tuple[Node, ...]:
        made.extend(Node(f"node{number}", list(CHAIN), **values) for number in range(count))
        return tuple(made[-count:])

    yield make
    for node in made:
        node.answering.set()


@pytest.fixture
def view_of() -> Iterator[Callable[..., ChainView]]:
    views: list[ChainView] = []

    def make(
        *nodes: Node,
        poll: float = NEVER,
        prove: Literal["no", "some", "all"] = "no",
        agents: Sequence[bytes] = (ALICE, BOB),
    ) -> ChainView:
        views.append(ChainView(nodes, agents, Pace(poll, prove)))  # type: ignore[arg-type]
        return views[-1]

    yield make
    for view in views:
        view.stop()


def heard(view: ChainView, enough: Callable[[list[Word]], object], seconds: float = 10.0) -> list[Word]:
    """All words until there are enough of them."""
    words: list[Word] = []
    deadline = time.monotonic() + seconds
    while not enough(words):
        assert time.monotonic() < deadline, words
        words += view.read(0.05)
    return words


def sightings(words: Sequence[Word], node: str | None = None, scope: Scope | None = None) -> list[Sighting]:
    return [
        word
        for word in words
        if isinstance(word, Sighting) and node in (None, word.endpoint) and scope in (None, word.scope)
    ]


def settled(view: ChainView) -> Callable[[list[Word]], bool]:
    return lambda words: view.settled()


def everything(view: ChainView) -> list[Word]:
    """What has been said when all have settled."""
    return heard(view, settled(view)) + view.read(0.02)


# --- a round ---------------------------------------------------------------------------------------------------------


def test_every_endpoint_says_what_it_knows_of_all_agents_and_the_fleet_at_its_own_block(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    one, two = nodes()
    two.says = {BOB: State.HALTED}
    view = view_of(one, two)
    assert view.endpoints == ("node0", "node1")
    assert not view.settled()
    view.start()
    words = everything(view)
    for node in (one, two):
        newest = sightings(words, node.name, Scope.LATEST)[-1]
        assert newest.block == CHAIN[7]
        assert newest.states.keys() == {ALICE, BOB, FLEET}
    assert sightings(words, "node1")[-1].states[BOB].state is State.HALTED


def test_the_newest_word_is_handed_on_before_anything_else_is_asked(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    stuck = threading.Event()
    node.council = lambda block: stuck.wait(10) and COUNCIL  # type: ignore[method-assign, assignment]
    view = view_of(node)
    view.start()
    (first,) = sightings(heard(view, sightings))
    assert (first.scope, first.council) == (Scope.LATEST, None)
    stuck.set()
    (completed,) = sightings(heard(view, sightings))
    assert completed.council == COUNCIL


def test_the_signer_set_is_read_at_intervals_and_told_with_every_word(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    view = view_of(node, poll=0.005)
    view.start()
    words = heard(view, lambda words: len(sightings(words)) > 8)
    assert node.asked.count("council") == 1
    assert all(word.council == COUNCIL for word in sightings(words)[1:])


def test_finalised_blocks_are_read_only_while_they_are_wanted(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    view = view_of(node)
    view.start()
    assert not sightings(everything(view), scope=Scope.FINALIZED)
    view.wants_finality = True
    view.poke()
    (final,) = sightings(
        heard(view, lambda words: sightings(words, scope=Scope.FINALIZED)), scope=Scope.FINALIZED
    )
    assert final.block == CHAIN[3]


def test_an_endpoint_without_finalised_blocks_is_heard_all_the_same(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    view = view_of(node)
    view.wants_finality = True
    header = node.header
    node.header = lambda which: header(which) if which != "finalized" else _raise(unknown())  # type: ignore
    view.start()
    words = everything(view)
    assert sightings(words, scope=Scope.LATEST)
    assert not [word for word in words if isinstance(word, Silence)]


def test_what_takes_time_waits_for_the_next_round_if_that_is_asked_for_but_not_for_ever(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    """A node that announces block after block must not keep the signer set, the proofs and the finality from us."""
    (node,) = nodes(1)
    view = view_of(node)
    node.named = lambda: (view.poke(), CHAIN[7])[1]  # each round asks for the next one
    view.wants_finality = True
    view.start()
    words = heard(view, lambda words: len(sightings(words, scope=Scope.FINALIZED)) == 2)
    assert len(sightings(words, scope=Scope.LATEST)) > 4  # most rounds were cut short meanwhile


def _raise(error: BaseException) -> Any:
    raise error


# --- who hangs and who fails -----------------------------------------------------------------------------------------


def test_an_endpoint_that_hangs_delays_no_other(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    hanging, healthy = nodes()
    hanging.answering.clear()
    view = view_of(hanging, healthy, poll=0.01)
    view.start()
    words = heard(view, lambda words: len(sightings(words, "node1")) > 10)
    assert not sightings(words, "node0")
    assert not view.settled()
    assert len(hanging.asked) == 1
    hanging.answering.set()
    heard(view, lambda words: sightings(words, "node0"))


def test_a_halt_is_heard_from_the_healthy_endpoint_while_another_hangs(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    hanging, healthy = nodes()
    hanging.answering.clear()
    view = view_of(hanging, healthy)
    view.start()
    heard(view, sightings)
    healthy.says = {ALICE: State.HALTED}
    view.poke("node1")
    heard(view, lambda words: any(word.states[ALICE].state is State.HALTED for word in sightings(words)))


def test_an_endpoint_that_gives_no_answer_is_silent_and_asked_again_at_the_next_round(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    node.errors = {"header": unknown()}
    view = view_of(node, poll=0.01)
    view.start()
    (silence, *_) = heard(view, lambda words: words)
    assert silence == Silence("node0", "the node does not know that block.")
    node.errors = {}
    heard(view, sightings)


@pytest.mark.parametrize("error", [ZeroDivisionError("boom"), MemoryError(), RecursionError(), SystemExit(1)])
@pytest.mark.parametrize("where", ["header", "snapshot", "council"])
def test_what_nobody_foresaw_is_raised_to_whoever_reads(
    nodes: Callable[..., tuple[Node, ...]],
    view_of: Callable[..., ChainView],
    error: BaseException,
    where: str,
) -> None:
    one, two = nodes()
    one.errors = {where: error}
    view = view_of(one, two)
    view.start()
    with pytest.raises(type(error)):
        heard(view, lambda words: False)


def test_the_readers_go_on_after_what_nobody_foresaw(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    node.errors = {"snapshot": ZeroDivisionError("boom")}
    view = view_of(node, poll=0.01)
    view.start()
    with pytest.raises(ZeroDivisionError):
        heard(view, lambda words: False)
    node.errors = {}
    deadline = time.monotonic() + 10
    while True:  # more of them may have been said meanwhile
        assert time.monotonic() < deadline
        try:
            heard(view, sightings)
            return
        except ZeroDivisionError:
            continue


# --- poked, woken, ended ---------------------------------------------------------------------------------------------


def test_a_poke_reads_at_once_however_long_the_poll_and_only_the_endpoint_that_is_named(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    one, two = nodes()
    view = view_of(one, two)
    view.start()
    everything(view)
    before = len(two.asked)
    view.poke("node0")
    assert {word.endpoint for word in sightings(heard(view, sightings))} == {"node0"}
    assert len(two.asked) == before
    view.poke()
    heard(view, lambda words: {word.endpoint for word in sightings(words)} == {"node0", "node1"})


@pytest.mark.parametrize("where", ["header", "snapshot", "council"])
def test_a_poke_during_a_round_is_not_lost(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView], where: str
) -> None:
    (node,) = nodes(1)
    view, poked = view_of(node), threading.Event()
    ask = node._ask

    def asked(what: object) -> None:
        ask(what)
        if where in str(what) and not poked.is_set():
            poked.set()
            view.poke()

    node._ask = asked  # type: ignore[method-assign]
    view.start()
    heard(view, lambda words: len([one for one in node.asked if one == ("header", "latest")]) == 2)


def test_without_pokes_every_endpoint_is_read_at_every_poll(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    one, two = nodes()
    view = view_of(one, two, poll=0.01)
    view.start()
    heard(view, lambda words: min(len(sightings(words, name, Scope.LATEST)) for name in view.endpoints) > 5)


def test_readers_that_wait_take_no_processor(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    view = view_of(*nodes())
    view.start()
    view.poke()
    everything(view)
    before = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - before < 0.2


def test_reading_returns_when_woken_and_when_the_time_is_over(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    view = view_of(*nodes(1))
    began = time.monotonic()
    assert view.read(0.05) == []
    threading.Timer(0.05, view.wake).start()
    assert view.read(30.0) == []
    assert 0.09 < time.monotonic() - began < 20.0


def test_stopping_ends_the_readers_and_one_that_hangs_ends_when_its_node_answers(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    hanging, healthy = nodes()
    hanging.answering.clear()
    view = view_of(hanging, healthy)
    view.start()
    heard(view, sightings)
    view.stop()
    _gone("read node1")
    hanging.answering.set()
    _gone("read node0")


def _gone(name: str) -> None:
    deadline = time.monotonic() + 5
    while name in {thread.name for thread in threading.enumerate()}:
        assert time.monotonic() < deadline, f"{name} still lives"
        time.sleep(0.001)


# --- agreement on a block that both know -----------------------------------------------------------------------------


def agreed_block(words: Sequence[Word]) -> Block | None:
    """On which the guard would agree, with two that must."""
    kept = Sightings(PAST)
    for word in words:
        kept.take(word)
    group = agreed(kept.readings(ALICE), Clock(time.monotonic(), float(NOW + 7)), TWO)
    return group[0].block if group else None


def test_endpoints_at_different_heights_agree_on_the_older_block(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    ahead, behind = nodes()
    ahead.height, behind.height = 9, 7
    view = view_of(ahead, behind)
    view.start()
    words = everything(view)
    assert agreed_block(words) == CHAIN[7]
    assert [word.block for word in sightings(words, "node0", Scope.PINNED)] == [CHAIN[7]]
    assert ("header", CHAIN[9].hash) not in behind.asked  # it does not know the newer block yet


def test_it_is_settled_only_when_what_others_named_has_been_read(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    """Else a guard would begin without a block on which its endpoints agree, and refuse to start."""
    ahead, behind = nodes()
    ahead.height = 9
    reading, go_on = threading.Event(), threading.Event()
    snapshot = ahead.snapshot

    def pinned(agents: Sequence[bytes], block: Block) -> dict[bytes, AgentState]:
        if block == CHAIN[7]:
            reading.set()
            assert go_on.wait(60)
        return snapshot(agents, block)

    ahead.snapshot = pinned  # type: ignore[method-assign]
    behind.answering.clear()
    view = view_of(ahead, behind)
    view.start()
    heard(view, lambda words: view._readers["node0"].settled)
    behind.answering.set()
    assert reading.wait(60)
    words = heard(view, lambda words: view._readers["node1"].settled)
    assert not view.settled()
    go_on.set()
    assert agreed_block(words + everything(view)) == CHAIN[7]


def test_a_block_is_not_read_again_because_another_endpoint_names_it(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    ahead, behind = nodes()
    ahead.height = 9
    view = view_of(ahead, behind)
    view.start()
    everything(view)
    for _ in range(3):
        view.poke("node1")
        heard(view, lambda words: sightings(words, "node1"))
    everything(view)
    assert ahead.asked.count(("header", CHAIN[7].hash)) == 1


def test_each_endpoint_answers_in_its_own_words_and_a_liars_time_for_anothers_block_is_not_believed(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    """An old block with a new timestamp would look fresh; the honest node says how old it is."""
    liar, honest = nodes()
    made_up = replace(CHAIN[2], timestamp=NOW + 7)
    liar.named, liar.claims = (lambda: CHAIN[2]), {CHAIN[2].hash: made_up}
    view = view_of(liar, honest)
    view.start()
    words = everything(view)
    assert sightings(words, "node0", Scope.LATEST)[-1].block == made_up
    assert [word.block for word in sightings(words, "node1", Scope.PINNED)] == [CHAIN[2]]
    assert agreed_block(words) != made_up


def test_an_endpoint_that_says_something_else_of_anothers_block_makes_no_agreement(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    liar, honest = nodes()
    honest.says = {ALICE: State.PAUSED}
    liar.height = 9
    view = view_of(liar, honest)
    view.start()
    assert agreed_block(everything(view)) is None


def test_a_block_that_an_endpoint_does_not_know_is_no_silence(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    forked, honest = nodes()
    forked.chain[7] = make_block(7, NOW + 7, fork=1)
    view = view_of(forked, honest)
    view.start()
    words = everything(view)
    assert not [word for word in words if isinstance(word, Silence)]
    assert ("header", forked.chain[7].hash) in honest.asked


def test_whoever_names_block_after_block_delays_no_others_newest_word(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    """A flood must not slow the hearing of a halt at the honest endpoint, whose every call takes its time."""
    liar, honest = nodes()
    fork = iter(range(1, 10**9))
    liar.named = lambda: Block(5, next(fork).to_bytes(32, "big"), NOW)
    view = view_of(liar, honest)
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            view.poke("node0")
            time.sleep(0.0005)

    view.start()
    everything(view)
    flooding = threading.Thread(target=flood)
    flooding.start()
    honest.slow = 0.02
    heard(view, lambda words: len(sightings(words, "node0")) > 50)  # many blocks wait to be read by now
    honest.asked.clear()
    view.poke("node1")
    heard(view, lambda words: sightings(words, "node1", Scope.LATEST))
    over.set()
    flooding.join(60)
    before = honest.asked.index(("header", "latest"))
    assert before <= 2, honest.asked[: before + 1]


def test_a_flood_of_one_endpoint_keeps_no_others_block_from_being_read(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    liar, ahead, behind = nodes(3)
    fork = iter(range(1, 10**9))
    liar.named = lambda: Block(5, next(fork).to_bytes(32, "big"), NOW)
    ahead.height, ahead.slow = 9, 0.01
    view = view_of(liar, ahead, behind)
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            view.poke("node0")
            time.sleep(0.0005)

    flooding = threading.Thread(target=flood)
    view.start()
    flooding.start()
    try:
        heard(view, lambda words: sightings(words, "node1", Scope.PINNED))
    finally:
        over.set()
        flooding.join(60)


# --- proofs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def proving(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a proof shows is said by the node's `proofs`; how one is checked has tests of its own (test_proof.py)."""

    def prove(
        header: Any, block_hash: bytes, address: str, slots: Sequence[bytes], answer: Any
    ) -> list[bytes]:
        assert header["of"] == block_hash
        node = answer["node"]
        if isinstance(node.proofs.get("error"), BaseException):
            raise node.proofs["error"]
        if node.proofs.get("wrong", 0):
            node.proofs["wrong"] -= 1
            raise ProofError("it is that of another block")
        return list(slots)

    def shows(word: bytes, state: AgentState, at: int) -> bool:
        assert at in {block.timestamp for block in CHAIN}
        return state.agent not in disproven

    disproven: set[bytes] = set()
    monkeypatch.setattr(module, "prove", prove)
    monkeypatch.setattr(module, "slot_of", lambda agent: agent)
    monkeypatch.setattr(module, "shows", shows)
    monkeypatch.setattr(Node, "disproven", disproven, raising=False)


def last(words: Sequence[Word], node: str = "node0", scope: Scope = Scope.LATEST) -> Sighting:
    return sightings(words, node, scope)[-1]


@pytest.mark.usefixtures("proving")
def test_a_word_is_handed_on_unproven_first_and_proven_afterwards(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    view = view_of(*nodes(1), prove="some")
    view.start()
    first, second = sightings(everything(view))
    assert (first.proven, first.refuted) == (frozenset(), frozenset())
    assert (second.proven, second.refuted) == (frozenset({ALICE, BOB, FLEET}), frozenset())
    assert first.block == second.block


@pytest.mark.usefixtures("proving")
def test_where_no_proofs_are_wanted_none_is_asked_for(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    view = view_of(node, prove="no")
    view.start()
    everything(view)
    assert not [one for one in node.asked if one[0] == "proof"]


@pytest.mark.usefixtures("proving")
def test_an_agent_whose_proof_shows_something_else_is_refuted_until_a_proof_shows_it(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1)
    view = view_of(node, prove="some")
    node.disproven.add(BOB)  # type: ignore[attr-defined]
    view.start()
    word = last(everything(view))
    assert (word.proven, word.refuted) == ({ALICE, FLEET}, {BOB})
    view.poke()
    first, second = sightings(heard(view, lambda words: len(sightings(words)) == 2))
    assert first.refuted == second.refuted == {BOB}  # its next words are refuted from the first on
    node.disproven.clear()  # type: ignore[attr-defined]
    view.poke()
    assert last(heard(view, lambda words: len(sightings(words)) == 2)).refuted == frozenset()


@pytest.mark.usefixtures("proving")
def test_a_proof_that_does_not_hold_refutes_all_that_it_was_to_show(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    (node,) = nodes(1, proofs={"error": ProofError("it does not hash")})
    view = view_of(node, prove="some")
    view.start()
    word = last(everything(view))
    assert (word.proven, word.refuted) == (frozenset(), {ALICE, BOB, FLEET})


@pytest.mark.usefixtures("proving")
@pytest.mark.parametrize(("wrong", "refuted"), [(1, frozenset()), (2, frozenset({ALICE, BOB, FLEET}))])
def test_a_proof_that_fails_is_asked_for_once_more_and_no_oftener(
    nodes: Callable[..., tuple[Node, ...]],
    view_of: Callable[..., ChainView],
    wrong: int,
    refuted: frozenset[bytes],
) -> None:
    (node,) = nodes(1, proofs={"wrong": wrong})
    view = view_of(node, prove="some")
    view.start()
    assert last(everything(view)).refuted == refuted
    assert len([one for one in node.asked if one[0] == "proof"]) == 2


@pytest.mark.usefixtures("proving")
@pytest.mark.parametrize("error", [NoProof("unknown fields"), unknown()])
def test_an_endpoint_that_serves_no_proof_is_not_refuted_and_not_asked_at_every_round(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView], error: Exception
) -> None:
    (node,) = nodes(1)
    if isinstance(error, NoProof):
        node.proofs = {"error": error}
    else:
        node.errors = {"proof": error}
    view = view_of(node, prove="all", poll=0.01)
    view.start()
    words = heard(view, lambda words: len(sightings(words)) > 8)
    assert not any(word.refuted or word.proven for word in sightings(words))
    assert len([one for one in node.asked if one[0] == "proof"]) == 1


@pytest.mark.usefixtures("proving")
def test_many_agents_are_proven_in_turn_a_bounded_number_at_once_and_the_fleet_each_time(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    agents = [bytes([1, number]) * 16 for number in range(100)]
    (node,) = nodes(1)
    view = view_of(node, prove="some", agents=agents, poll=0.001)
    view.start()
    proven: set[bytes] = set()
    rounds = [
        word.proven
        for word in sightings(heard(view, lambda words: len(sightings(words)) > 10))
        if word.proven
    ]
    for one in rounds:
        assert len(one) == SLOTS
        assert FLEET in one
        proven |= one
    assert proven == {FLEET, *agents}


@pytest.mark.usefixtures("proving")
def test_where_proofs_are_required_all_agents_are_proven_at_once_also_on_blocks_that_others_named(
    nodes: Callable[..., tuple[Node, ...]], view_of: Callable[..., ChainView]
) -> None:
    agents = [bytes([1, number]) * 16 for number in range(100)]
    ahead, behind = nodes()
    ahead.height = 9
    view = view_of(ahead, behind, prove="all", agents=agents)
    view.start()
    words = everything(view)
    assert last(words, "node1").proven == {FLEET, *agents}
    assert last(words, "node0", Scope.PINNED).proven == {FLEET, *agents}
