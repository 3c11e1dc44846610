"""The catalogue agrees with the programs that carry it out."""

import pytest

from agent_guard.drill import weak
from agent_guard.drill.agent.__main__ import TACTICS
from agent_guard.drill.catalogue import CONTAINED, DRILLS, GUARD, PLACEMENTS, named, placed
from agent_guard.errors import GuardError
from agent_guard.session.scene import Scene

pytestmark = pytest.mark.unit


def test_every_drill_has_a_tactic_and_every_tactic_a_drill() -> None:
    assert sorted(drill.name for drill in DRILLS) == sorted(TACTICS)


def test_every_placement_is_a_weak_stop_or_a_container_of_ours() -> None:
    assert {placement.name for placement in PLACEMENTS} == {*weak.PLACES, *CONTAINED}
    assert GUARD in CONTAINED


def test_names_are_looked_up_and_keep_the_catalogues_order() -> None:
    assert [drill.name for drill in named(["fork-hop", "double-fork"])] == ["double-fork", "fork-hop"]
    assert [placement.name for placement in placed(["guard"])] == ["guard"]


@pytest.mark.parametrize("look", [lambda: named(["double-fork", "fly"]), lambda: placed(["fly"])])
def test_an_unknown_name_is_an_error_that_names_it(look: object) -> None:
    with pytest.raises(GuardError) as error:
        look()  # type: ignore[operator]
    assert error.value.code == "AG101"
    assert "fly" in error.value.message


def test_a_scene_is_read_as_it_was_written(tmp_path: object) -> None:
    from pathlib import Path

    scene = Scene("guard", ("a", "b"), {"A": "1\n2"}, Path("/h"), Path("/c"), Path("/g"), 61_200)
    assert Scene.decode(scene.encode()) == scene
    assert "\n" not in scene.encode()
