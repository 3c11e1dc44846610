import json
import os
import time
from pathlib import Path

import pytest

from agent_guard.session.places import Places
from agent_guard.session.pulse import Pulse, listen
from agent_guard.types import Block, Decision, Standing, Verdict

pytestmark = pytest.mark.unit

STANDING = Standing("alice", Verdict(Decision.FREEZE, "1 open vote"), Block(7, bytes(32), 1), None)
LAG = (3, 1.5)
WHOLE = {
    "at": 1_000.0, "pid": os.getpid(), "verdict": "run", "reason": "", "block": 7, "mode": "pidns",
    "anchor_lag": {"entries": 0, "seconds": 0.0},
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pulse.json"


def test_a_beat_is_heard_with_what_it_says(path: Path) -> None:
    Pulse(path).beat(STANDING, LAG, "pidns")
    heard = listen(path, time.time())
    assert heard is not None
    assert heard.alive
    assert heard.age < 5
    assert heard.content | {"at": 0} == {
        "at": 0, "pid": os.getpid(), "verdict": "freeze", "reason": "1 open vote", "block": 7,
        "anchor_lag": {"entries": 3, "seconds": 1.5}, "mode": "pidns",
    }  # fmt: skip


def test_it_says_where_witnesses_stand_at_each_beat(path: Path) -> None:
    counts = [0]
    pulse = Pulse(path, witnesses=lambda: {"cosigned": counts[0]})
    counts[0] = 2
    pulse.beat(STANDING, LAG, "pidns")
    assert json.loads(path.read_text())["witnesses"] == {"cosigned": 2}


def test_it_beats_at_most_once_a_second(path: Path) -> None:
    now = [100.0]
    pulse = Pulse(path, lambda: now[0])
    written = []
    for now[0] in (100.0, 100.5, 100.99, 101.0, 101.5):
        path.unlink(missing_ok=True)
        pulse.beat(STANDING, LAG, "pidns")
        written.append(path.exists())
    assert written == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("age", "alive"), [(0.0, True), (4.9, True), (5.1, False), (3_600.0, False), (-10.0, True)]
)
def test_a_guard_is_alive_while_its_last_beat_is_young(path: Path, age: float, alive: bool) -> None:
    path.write_text(json.dumps(WHOLE))
    heard = listen(path, 1_000.0 + age)
    assert heard is not None
    assert heard.alive is alive
    assert heard.age >= 0


def test_a_guard_whose_process_is_gone_is_dead_however_young_its_beat(path: Path) -> None:
    path.write_text(json.dumps(WHOLE | {"pid": 2**22 + 1}))
    heard = listen(path, 1_000.0)
    assert heard is not None
    assert not heard.alive


@pytest.mark.parametrize("missing", sorted(WHOLE.keys() - {"block"}))
def test_a_pulse_that_leaves_out_what_status_shows_is_none(path: Path, missing: str) -> None:
    path.write_text(json.dumps({name: value for name, value in WHOLE.items() if name != missing}))
    assert listen(path, 1_000.0) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"at": "soon", "pid": 1}', '{"at": 1}', "\ud800"]
)
def test_a_file_that_is_no_pulse_is_none(path: Path, content: str) -> None:
    path.write_text(content, errors="surrogatepass")
    assert listen(path, 1_000.0) is None


def test_a_disk_that_fails_does_not_stop_the_guard_and_is_tried_again_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    pulse = Pulse(folder / "pulse.json", lambda: 100.0)
    pulse.beat(STANDING, LAG, "pidns")
    folder.mkdir()
    pulse.beat(STANDING, LAG, "pidns")
    assert (folder / "pulse.json").exists()


def test_the_end_takes_the_pulse_away(path: Path) -> None:
    pulse = Pulse(path)
    pulse.beat(STANDING, LAG, "pidns")
    pulse.end()
    pulse.end()
    assert listen(path, time.time()) is None


def test_places_of_two_operators_networks_and_agents_never_meet(tmp_path: Path) -> None:
    one = Places(tmp_path, "devnet", "0xAa", "alice")
    for other in (Places(tmp_path, "mainnet", "0xAa", "alice"), Places(tmp_path, "devnet", "0xBb", "bob")):
        for name in ("log", "checkpoint_key", "work", "socket", "pulse"):
            assert getattr(one, name) != getattr(other, name)
    assert (
        one.log == Places(tmp_path, "devnet", "0xAA", "bob").log
    )  # one operator, one log, however it is spelled


def test_the_guards_home_is_its_owners_alone(tmp_path: Path) -> None:
    places = Places(tmp_path / "home", "devnet", "0xAa", "alice")
    places.create()
    places.create()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert places.work.is_dir()
    assert places.socket.parent.is_dir()
    assert places.log.parent.is_dir()
