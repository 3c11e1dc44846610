"""What is heard on the pipe: the agents' own programs write there, and a hostile one could."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from agent_guard.drill.ear import Ear

pytestmark = pytest.mark.unit


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_words_and_beats_are_told_apart_however_they_are_cut(ear: Ear) -> None:
    for part in (b"beat\nbe", b"at\natt", b"empted twice\nreached", b" it\nbeat\n", b"attempted again\n"):
        os.write(ear.write_end, part)
        time.sleep(0.01)
    until(lambda: len(ear.all_words("attempted")) == 2)
    assert ear.beats == 3
    assert ear.all_words("attempted") == ["twice", "again"]
    assert ear.all_words("reached") == ["it"]
    assert ear.all_words("unable") == []


def test_a_flood_of_words_is_kept_in_bounds_and_hides_no_other_kind(ear: Ear) -> None:
    for _ in range(200):
        os.write(ear.write_end, b"reached " + b"x" * 5000 + b"\n")
    os.write(ear.write_end, b"\xff\xfe\x00" * 50_000 + b"\nattempted late\n")
    until(lambda: bool(ear.all_words("attempted")))
    assert len(ear.all_words("reached")) < 200
    assert max(map(len, ear.all_words("reached"))) < 1000


def test_whoever_writes_after_the_closing_gets_an_error(ear: Ear) -> None:
    ear.close()
    with pytest.raises(BrokenPipeError):
        os.write(ear.write_end, b"beat\n")
    ear.leave()
