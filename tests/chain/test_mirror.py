"""A mirror of a published log: what it follows, and what it does not let pass."""

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chain.guard import AGENT, Guard

pytestmark = pytest.mark.chain


@pytest.fixture
def guard(town: Any) -> Iterator[Guard]:
    """An agent that worked; 10 entries, anchored and published."""
    town.register(AGENT)
    made = Guard(town, town.folder / "log.sqlite")
    grow(made, town.folder / "site")
    yield made
    made.close()


def grow(guard: Guard, site: Path) -> None:
    guard.act(5)
    guard.anchor.flush(60)
    publish(guard, site)


def publish(guard: Guard, site: Path) -> None:
    guard.town.cli("log", "export", AGENT, "--log", guard.path, "--tiles", site, "--content")


def site(guard: Guard) -> Path:
    return Path(guard.town.folder / "site")


def copy(guard: Guard) -> Path:
    return Path(guard.town.folder / "copy")


def mirror(guard: Guard, *options: object, expect: int = 0, **environ: str) -> Any:
    command = ("mirror", site(guard), copy(guard), "--once", "--json", *options)
    return guard.town.cli(*command, expect=expect, **environ).json


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rewritten(guard: Guard, entries: int) -> Guard:
    """Another log of the same operator, published at the same place: it signs it, but can't anchor it."""
    guard.close()
    shutil.rmtree(site(guard))
    other = Guard(guard.town, guard.path.with_name("other.sqlite"))
    other.act(entries // 2)
    other.recorder.close()
    head = other.recorder.head()
    with other.store.reader() as reader:
        other.anchor._frontier.extend(reader.leaves(0, head.size))
    other.anchor._keep(head, "0x")
    other.store.close()
    publish(other, site(guard))
    return other


# -------------------------------------------------------------------------------------------------- what it follows


def test_mirror_takes_the_log_and_goes_on_with_it(guard):
    first = mirror(guard, "--vkey", guard.vkey)
    assert (first["event"], first["size"]) == ("grown", 10)
    assert mirror(guard)["event"] == "same"
    grow(guard, site(guard))
    assert (mirror(guard)["event"], mirror(guard)["size"]) == ("grown", 20)
    published = files(site(guard))
    assert {name: files(copy(guard))[name] for name in published} == published
    guard.town.cli("audit", AGENT, "--log", copy(guard))


def test_mirror_outlives_its_source(guard):
    mirror(guard)
    guard.close()
    guard.path.unlink()
    shutil.rmtree(site(guard))
    guard.town.cli("audit", AGENT, "--log", copy(guard))


def test_source_that_shows_an_older_head_of_the_same_log_is_behind(guard):
    before = files(site(guard))
    grow(guard, site(guard))
    mirror(guard)
    shutil.rmtree(site(guard))
    for name, data in before.items():
        (site(guard) / name).parent.mkdir(parents=True, exist_ok=True)
        (site(guard) / name).write_bytes(data)
    told = mirror(guard)
    assert (told["event"], told["size"]) == ("behind", 20)
    guard.town.cli("audit", AGENT, "--log", copy(guard))


def test_mirror_of_a_mirror_is_one(guard):
    mirror(guard)
    second = guard.town.folder / "second"
    guard.town.cli("mirror", copy(guard), second, "--once")
    assert files(second) == files(copy(guard))


# ------------------------------------------------------------------------------------------- what it does not let pass


@pytest.mark.parametrize("entries", [6, 10, 20])
def test_log_that_turned_on_its_past_is_a_fork_and_the_proof_is_kept(guard, entries):
    """Shorter, as long, and longer than what was seen; without a chain."""
    mirror(guard, "--no-chain")
    before = files(copy(guard))
    rewritten(guard, entries)
    assert mirror(guard, "--no-chain", expect=5)["error"]["code"] == "AG545"
    after = files(copy(guard))
    (note,) = [name for name in after.keys() - before.keys() if name.endswith(".note")]
    assert note.startswith(f"evidence/{entries}-")
    assert after[note] == (site(guard) / "checkpoint").read_bytes()
    assert after[note.replace(".note", ".json")] == (site(guard) / "head.json").read_bytes()
    assert {name: after[name] for name in before} == before


def test_fork_is_told_by_the_chain_to_one_who_never_saw_the_log(guard):
    rewritten(guard, 10)
    assert mirror(guard, expect=5)["error"]["code"] == "AG542"
    assert [name for name in files(copy(guard)) if not name.startswith("evidence/")] == []


def test_head_that_is_not_on_chain_is_not_taken(guard):
    mirror(guard)
    rewritten(guard, 20)
    (site(guard) / "head.json").unlink()  # whoever serves the log may have made this up
    assert mirror(guard, expect=1)["error"]["code"] == "AG541"
    assert not (copy(guard) / "evidence").exists()


def test_source_whose_files_do_not_fit_its_head_changes_nothing(guard):
    mirror(guard)
    before = files(copy(guard))
    grow(guard, site(guard))
    bundle = site(guard) / "tile/entries/000.p/20"
    data = bundle.read_bytes()
    at = data.index(b'"time":') + 9
    bundle.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert mirror(guard, expect=1)["error"]["code"] == "AG515"
    assert (copy(guard) / "checkpoint").read_bytes() == before["checkpoint"]
    guard.town.cli("audit", AGENT, "--log", copy(guard), expect=6)  # older than the chain's head, and whole


def test_another_log_another_key_and_another_council_are_not_the_log(guard, tmp_path):
    mirror(guard)
    other = guard.vkey.rsplit("+", 1)[0] + "+" + "A" * 44
    assert "no verifier key" in mirror(guard, "--vkey", other, expect=2)["error"]["message"]
    stranger = "agent-guard/31337+8b7b5f5b+AZsS6bl0O2Cm0yXVZ5Ho1EtC8S8F2XKP3HIcb2pPVYVF"
    assert mirror(guard, "--vkey", stranger, expect=2)["error"]["code"] == "AG101"
    origin = (site(guard) / "checkpoint").read_text().split("\n")[0]
    for old, new in ((origin[-42:], "0x" + "1" * 40), (origin[18:60], "0x" + "2" * 40)):
        moved = (site(guard) / "checkpoint").read_text().replace(old, new)
        folder = tmp_path / new
        shutil.copytree(site(guard), folder)
        (folder / "checkpoint").write_text(moved)
        said = guard.town.cli("mirror", folder, copy(guard), "--once", "--json", expect=1).json
        assert said["error"]["code"] == "AG570"


# --------------------------------------------------------------------------------------------------- as a process


def follow(guard: Guard, *options: object) -> Any:
    return guard.town.cli.start("mirror", site(guard), copy(guard), "--every", "0.5", "--json", *options)


def step(process: Any, event: str) -> Any:
    while (told := json.loads(process.stdout.readline()))["event"] != event:
        pass
    return told


def test_running_mirror_follows_lives_through_an_outage_and_ends_when_told(guard):
    process = follow(guard)
    assert step(process, "grown")["size"] == 10
    moved = site(guard).rename(guard.town.folder / "away")
    assert step(process, "trouble")["error"]["code"] == "AG510"
    moved.rename(site(guard))
    grow(guard, site(guard))
    assert step(process, "grown")["size"] == 20
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_running_mirror_ends_with_5_at_a_fork(guard):
    process = follow(guard, "--no-chain")
    step(process, "grown")
    rewritten(guard, 20)
    assert process.wait(60) == 5


def test_mirror_killed_while_it_copies_goes_on(guard):
    with sqlite3.connect(guard.path) as log:
        assert log.execute("SELECT count(*) FROM entry").fetchone() == (10,)
    guard.act(2_000)
    guard.anchor.flush(60)
    publish(guard, site(guard))
    sizes = []
    for delay in (0.7, 0.9, 1.1, 1.3):
        process = follow(guard)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        sizes.append(len(files(copy(guard))) if copy(guard).exists() else 0)
    assert mirror(guard)["size"] == 4_010
    guard.town.cli("audit", AGENT, "--log", copy(guard))
    published = files(site(guard))
    assert {name: files(copy(guard))[name] for name in published} == published


@pytest.mark.parametrize("chain", [(), ("--no-chain",)])
def test_site_whose_tiles_are_wrong_under_the_true_head_is_damaged_and_nobody_is_accused(guard, chain):
    mirror(guard)
    grow(guard, site(guard))
    tile = site(guard) / "tile/0/000.p/20"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    before = files(copy(guard))
    assert mirror(guard, *chain, expect=1)["error"]["code"] == "AG515"
    assert files(copy(guard)) == before


@pytest.mark.parametrize("grown", [False, True])
def test_copy_that_was_damaged_is_damaged_and_nobody_is_accused(guard, grown):
    mirror(guard)
    tile = copy(guard) / "tile/0/000.p/10"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    if grown:
        grow(guard, site(guard))
    before = files(copy(guard))
    assert mirror(guard, expect=1)["error"]["code"] == "AG515"
    assert files(copy(guard)) == before


def test_damaged_copy_accuses_nobody_of_an_older_head_either(guard):
    before = files(site(guard))
    grow(guard, site(guard))
    mirror(guard)
    tile = copy(guard) / "tile/0/000.p/20"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    shutil.rmtree(site(guard))
    for name, data in before.items():
        (site(guard) / name).parent.mkdir(parents=True, exist_ok=True)
        (site(guard) / name).write_bytes(data)
    assert mirror(guard, expect=1)["error"]["code"] == "AG515"
    assert not (copy(guard) / "evidence").exists()


def test_evidence_is_not_kept_without_end_nor_through_a_link(guard):
    mirror(guard, "--no-chain")
    rewritten(guard, 6)
    outside = guard.town.folder / "outside"
    outside.mkdir()
    (copy(guard) / "evidence").symlink_to(outside)
    assert mirror(guard, "--no-chain", expect=1)["error"]["code"] == "AG516"
    assert files(outside) == {}
    (copy(guard) / "evidence").unlink()
    (copy(guard) / "evidence").mkdir()
    for number in range(64):
        (copy(guard) / f"evidence/{number}.note").write_text("seen before")
    assert mirror(guard, "--no-chain", expect=5)["error"]["code"] == "AG545"
    kept = files(copy(guard) / "evidence")
    assert sum(name.endswith(".note") for name in kept) == 64
    assert (
        len([name for name in kept if name.endswith(".json")]) == 2
    )  # notes that anyone made keep no signature out
