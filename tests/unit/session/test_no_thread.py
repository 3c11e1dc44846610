"""A host without room for one more thread: no agent lives that nobody could kill. The container is a stand-in."""

from typing import Any, cast

import pytest

from agent_guard.guard.verdict import Verdict
from agent_guard.session import ward as wards
from agent_guard.session.ward import Ward, WardParts
from agent_guard.types import Decision, Standing

pytestmark = pytest.mark.unit


class _Container:
    closed = False

    def close(self) -> None:
        self.closed = True


class _Watcher:
    def standing(self, agent: str) -> Standing:
        return Standing(agent, Verdict(Decision.RUN, "running"), None, None)


class _Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **more: None


def test_agent_whose_carrier_gets_no_thread_is_ended_before_the_error_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wards, "Carrier", no_thread)
    container, silent = _Container(), cast(Any, _Silent())
    parts = WardParts(
        agent="indexer",
        agent_id=b"a" * 32,
        pulse=silent,
        start_container=lambda stdout, stderr: cast(Any, container),
        sign_death=lambda agent, facts: "",
        keep_death=lambda facts: None,
        describe={},
        mode="cgroup+pidns",
    )
    ward = Ward(parts, cast(Any, _Watcher()), silent, silent, silent.tell, silent.say, silent.occurred)

    with pytest.raises(RuntimeError):
        ward.begin()

    assert container.closed
