"""Results of drills, made up: two guards, three drills."""

import pytest

from agent_guard.drill.result import Host, Result, Skip, Trial

HOST = Host("Linux 6.1 x86_64", 2, "root", "bubblewrap 0.12.0", "3.11.7", ("pidns: because",))


@pytest.fixture
def result() -> Result:
    """`signal` is outlived by a double fork, its guard is killed; this guard holds."""
    trials = [
        *(
            Trial("double-fork", "signal", user, True, alive=1, beats=9, mode="signal")
            for user in ("root", "user")
        ),
        *(Trial("double-fork", "guard", user, True, mode="pidns") for user in ("root", "user")),
        Trial("kill-guard", "signal", "root", True, alive=1, reached=True, mode="signal"),
        Trial("kill-guard", "signal", "user", failure="The agent | did not\nbeat."),
        *(Trial("kill-guard", "guard", user, True, reached=False, mode="pidns") for user in ("root", "user")),
    ]
    skips = tuple(Skip("docker", placement, "no Docker here") for placement in ("signal", "guard"))
    return Result(1_795_600_000, HOST, 2, tuple(trials), skips)
