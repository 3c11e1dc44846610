"""A deadman that stands still holds up no beat, for whoever beats watches for halts."""

import os
import signal
import subprocess
import threading
import time

import pytest

from agent_guard.errors import GuardError
from agent_guard.sandbox.deadman import Deadman

pytestmark = pytest.mark.drill


def test_beat_does_not_wait_while_something_is_handed_to_a_deadman_that_stands_still() -> None:
    deadman, refused = Deadman(10), []
    child = subprocess.Popen(["sleep", "20"])
    own = os.pidfd_open(child.pid)
    os.kill(deadman._process.pid, signal.SIGSTOP)

    def hold() -> None:
        try:
            deadman.hold(own, None)
        except GuardError as error:
            refused.append(error.code)

    thread = threading.Thread(target=hold)
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    deadman.beat()
    waited = time.monotonic() - began
    thread.join(10)
    deadman._process.kill()
    deadman.close()
    child.kill()
    child.wait()
    os.close(own)

    assert waited < 1
    assert refused == ["AG409"]
