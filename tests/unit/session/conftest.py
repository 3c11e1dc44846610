import signal
from collections.abc import Iterator

import pytest

from tests.unit.guard.chain import sighting
from tests.unit.session.world import World


@pytest.fixture
def world() -> Iterator[World]:
    before = signal.getsignal(signal.SIGTERM)
    made = World()
    made.view.say(sighting())
    yield made
    assert signal.getsignal(signal.SIGTERM) is before  # the run gave the signals back
