"""When an operator guarded an agent, and which entries of his log speak of it."""

import pytest

from agent_guard.audit.terms import Change, Term, terms, why_not

pytestmark = pytest.mark.unit

# A registers in block 10; B takes over in 20, A again in 30, C in 40.
HISTORY = {
    "A": [Change(10, "A", 3), Change(20, "B", 9, "A", 9), Change(30, "A", 12, "B", 7), Change(40, "C", 15, "A", 15)],
    "B": [Change(10, "A", 0), Change(20, "B", 4, "A", 9), Change(30, "A", 7, "B", 7), Change(40, "C", 7, "A", 15)],
    "C": [Change(10, "A", 0), Change(20, "B", 0, "A", 9), Change(30, "A", 0, "B", 7), Change(40, "C", 2, "A", 15)],
    "D": [Change(10, "A", 0), Change(20, "B", 0, "A", 9), Change(30, "A", 0, "B", 7), Change(40, "C", 0, "A", 15)],
}  # fmt: skip
"""The same changes, with the sizes of each one's log."""


@pytest.mark.parametrize(
    ("operator", "held"),
    [
        ("A", [Term(10, 3, 20, 9, "B"), Term(30, 12, 40, 15, "C")]),
        ("B", [Term(20, 4, 30, 7, "A")]),
        ("C", [Term(40, 2)]),
        ("D", []),
    ],
)
def test_terms_run_from_an_appointment_to_the_next(operator, held):
    assert list(terms(HISTORY[operator], operator)) == held


def test_operator_who_is_followed_by_himself_begins_anew():
    changes = [Change(10, "A", 3), Change(20, "A", 9, "A", 9)]
    assert list(terms(changes, "A")) == [Term(10, 3, 20, 9, "A"), Term(20, 9)]


@pytest.mark.parametrize(
    ("operator", "his"),
    [("A", {*range(3, 9), *range(12, 15)}), ("B", {4, 5, 6}), ("C", set(range(2, 20))), ("D", set())],
)
def test_entries_speak_of_the_agent_where_they_came_onto_the_chain_in_a_term(operator, his):
    held = list(terms(HISTORY[operator], operator))
    assert {index for index in range(20) if any(term.covers(index) for term in held)} == his


@pytest.mark.parametrize(
    ("operator", "index", "why"),
    [
        ("D", 0, "never guarded this agent"),
        ("A", 2, "became this agent's guard when 3 entries of his log were on chain (block 10)"),
        ("A", 9, "was replaced as this agent's guard when 9 entries of his log were on chain (block 20)"),
        ("A", 15, "was replaced as this agent's guard when 15 entries of his log were on chain (block 40)"),
        ("B", 3, "entry 3 is one of them: it was there before"),
        ("B", 7, "entry 7 came there later"),
        ("C", 1, "became this agent's guard when 2 entries"),
    ],
)
def test_why_an_entry_does_not_is_said(operator, index, why):
    assert why in why_not(list(terms(HISTORY[operator], operator)), operator, index)


def test_term_says_who_guards_and_who_followed():
    assert str(Term(40, 2)) == "who guards this agent since block 40"
    assert str(Term(20, 4, 30, 7, "A")) == "who guarded this agent from block 20 to 30, when A took over"
