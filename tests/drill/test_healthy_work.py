"""Settings at their strictest, and a chain that is well: nothing stops healthy work."""

import time

import pytest

pytestmark = pytest.mark.drill


def test_where_proofs_are_required_an_agent_with_a_true_node_is_not_frozen_at_each_reading(drill, guard):
    running = guard(drill, "beat()", AGENT_GUARD_STATE_PROOFS="require", AGENT_GUARD_POLL="0.3")

    time.sleep(4)

    # Some 13 readings. Anvil on a busy host may have proven another block's state, of one of them at the most.
    assert running.events_so_far().count("frozen") <= 1, running.told


def test_poll_slower_than_the_hang_limit_lets_no_deadman_strike(drill, guard):
    silent = {"AGENT_GUARD_WS_URL": "ws://127.0.0.1:9"}
    running = guard(drill, "beat()", AGENT_GUARD_HANG_LIMIT="3", AGENT_GUARD_POLL="9", **silent)

    time.sleep(11)

    assert set(running.events_so_far()) == {"started"}, running.told
    assert running.beats()
