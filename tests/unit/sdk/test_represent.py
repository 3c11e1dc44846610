"""Any Python value becomes JSON that the guard takes."""

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard import canonical
from agent_guard.sdk.represent import REPR_LIMIT, SIZE_LIMIT, represent, text_of

pytestmark = pytest.mark.unit


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: bytes


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**60), "-1152921504606846976"),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1e17, "1e+17"),
        (1e300, 1e300),
        ("a\udc80b", "a\\udc80b"),
        (Path("/tmp/a"), "/tmp/a"),
        (Colour.RED, "red"),
        (b"abc", {"bytes": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}),
        ((1, [2]), [1, [2]]),
        ({2, 1}, [1, 2]),
        ({1: "a", "b": 2}, {"1": "a", "b": 2}),
        (Unshowable(), {"type": "Unshowable", "repr": "<no repr: RuntimeError>"}),
    ],
)
def test_each_kind_of_value_is_shown_by_the_table(value, shown):
    assert represent(value) == shown


def test_a_dataclass_is_an_object_of_its_fields():
    assert represent(Point(1, b""))["x"] == 1
    assert represent(Point(1, b""))["y"]["bytes"] == 0


def test_a_long_repr_is_cut():
    assert len(represent(type("Long", (), {"__repr__": lambda _: "r" * 10_000})())["repr"]) == REPR_LIMIT


def test_a_value_that_holds_itself_ends():
    cyclic: list[Any] = []
    cyclic += [cyclic, cyclic]

    assert len(json.dumps(represent(cyclic))) < SIZE_LIMIT + 200


def test_a_wide_value_ends():
    shared: Any = 1
    for _ in range(20):
        shared = [shared] * 10

    assert len(json.dumps(represent(shared))) < SIZE_LIMIT + 200


def test_what_is_too_large_is_named_by_its_hash():
    shown = represent("x" * SIZE_LIMIT)

    assert shown["omitted"] == "too large"
    assert shown["bytes"] == SIZE_LIMIT + 2
    assert represent("x" * (SIZE_LIMIT - 2)) == "x" * (SIZE_LIMIT - 2)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.complex_numbers()
anything = st.recursive(
    leaves | st.text(st.characters()),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=30,
)


@given(anything)
def test_whatever_it_is_the_guard_can_record_it(value):
    canonical.encode(represent(value))


def test_an_exception_without_a_text_is_named():
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(MuteError()) == "<no text: RuntimeError>"
    assert len(text_of(ValueError("x" * 10_000))) == 2_000
