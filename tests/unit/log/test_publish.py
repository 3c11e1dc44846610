"""A log published as tiles: what is read back, how a folder grows, and what is refused."""

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent_guard.checkpoint import Checkpoint, Signer, log_origin, sign_note
from agent_guard.entry import BlockRef, Entry, Kind, commitment
from agent_guard.errors import GuardError
from agent_guard.log.publish import publish
from agent_guard.merkle import Frontier, leaf_hash
from agent_guard.store import Content, Reader, Row, SavedCheckpoint, SqliteReader, SqliteStore
from agent_guard.store.tiles import Folder, TileLog
from agent_guard.tlog import tiles_of
from agent_guard.typed_data import agent_id
from agent_guard.types import FLEET, LogIdentity

pytestmark = pytest.mark.unit

COUNCIL, OPERATOR = "0x5FbDB2315678afecb367f032d93F642f64180aa3", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
IDENTITY = LogIdentity(31337, COUNCIL, OPERATOR)
ORIGIN = log_origin(31337, COUNCIL, OPERATOR)
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
SCOUT, CLERK = agent_id("scout"), agent_id("clerk")
WHO = (SCOUT, CLERK, FLEET)


class Log:
    """A guard's log, and the heads that it anchored."""

    def __init__(self, path: Path, salt: int = 0) -> None:
        self.store = SqliteStore(path, IDENTITY)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # durability is tested elsewhere
        self.frontier, self.counters, self.salt = Frontier(), dict.fromkeys(WHO, 0), salt
        self.sign: Callable[[int, bytes], bytes] = lambda size, root: bytes(65)

    def grow(self, size: int) -> None:
        rows = [self._row(index) for index in range(self.frontier.size, size)]
        self.store.append(rows)
        self.frontier.extend(row.leaf for row in rows)

    def anchor(self) -> None:
        size, root = self.frontier.size, self.frontier.root()
        note = sign_note(str(Checkpoint(ORIGIN, size, root)), [SIGNER])
        self.store.save_checkpoint(
            SavedCheckpoint(size, self.frontier.nodes, root, note, self.sign(size, root), "0x" + "11" * 32)
        )

    def reader(self) -> Reader:
        return self.store.reader()

    def _row(self, index: int) -> Row:
        agent = WHO[index % 3]
        counter, self.counters[agent] = self.counters[agent], self.counters[agent] + 1
        salt, body = bytes([self.salt + 1] * 32), b'{"number":%d}' % index
        block = BlockRef(7, bytes(32))
        entry = Entry(index, agent, counter, Kind.INTENT, 1_700_000_000_000, block, commitment(salt, body))
        encoded = entry.encode()
        return Row(index, agent, counter, entry.kind.value, encoded, leaf_hash(encoded), Content(salt, body))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log.sqlite")


def published(log: Log, root: Path, **options: object) -> TileLog:
    with log.reader() as reader:
        publish(reader, root, **options)
    return TileLog(Folder(root))


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------- what is read back


def test_published_log_is_the_log_without_its_contents(log, tmp_path):
    log.grow(700)
    log.anchor()
    tiles = published(log, tmp_path / "site")
    with log.reader() as reader:
        expected = list(reader.rows())
    assert [(row.index, row.agent, row.counter, row.kind, row.body, row.leaf) for row in tiles.rows()] == [
        (row.index, row.agent, row.counter, row.kind, row.body, row.leaf) for row in expected
    ]
    assert not any(row.content for row in tiles.rows())
    assert not (tmp_path / "site/content").exists()
    assert (tiles.identity(), tiles.size(), tiles.root()) == (IDENTITY, 700, log.frontier.root())


def test_contents_are_published_for_whom_it_is_said(log, tmp_path):
    log.grow(600)
    log.anchor()
    tiles = published(log, tmp_path / "site", opens={SCOUT, FLEET}.__contains__)
    with log.reader() as reader:
        for row, true in zip(tiles.rows(), reader.rows(), strict=True):
            assert row.content == (None if row.agent == CLERK else true.content)


def test_only_what_is_anchored_is_published(log, tmp_path):
    log.grow(300)
    log.anchor()
    log.grow(310)
    tiles = published(log, tmp_path / "site")
    assert (tiles.size(), len(list(tiles.rows()))) == (300, 300)


def test_there_are_the_files_of_the_specification_and_no_others(log, tmp_path):
    log.grow(700)
    log.anchor()
    published(log, tmp_path / "site")
    assert set(files(tmp_path / "site")) == {"checkpoint"} | {tile.path for tile in tiles_of(700)}


def test_rows_leaves_and_looks_from_the_end_are_those_of_the_database(log, tmp_path):
    log.grow(700)
    log.anchor()
    tiles = published(log, tmp_path / "site", opens=lambda agent: True)
    chosen = random.Random(4)
    with log.reader() as reader:
        for _ in range(30):
            start, end = sorted((chosen.randrange(720), chosen.randrange(720)))
            agent = chosen.choice([None, SCOUT, CLERK])
            assert list(tiles.rows(start, end, agent)) == list(reader.rows(start, end, agent))
            assert tiles.row(start) == reader.row(start)
            assert tiles.last_rows(end, agent) == reader.last_rows(end, agent)
            assert list(tiles.leaves(min(start, 700), min(end, 700))) == list(
                reader.leaves(min(start, 700), min(end, 700))
            )
        assert tiles.row(-1) is None
        saved, held = reader.checkpoint_at_most(700), tiles.checkpoint_at_most(700)
    assert (held.size, held.frontier, held.root, held.note) == (700, saved.frontier, saved.root, saved.note)
    assert tiles.checkpoint_at_most(699) is None


# --------------------------------------------------------------------------------------------------- how it grows


def test_folder_that_grew_has_the_files_of_one_made_at_once(log, tmp_path):
    for size in (1, 2, 255, 256, 257, 300, 511, 512, 700, 1_030):
        log.grow(size)
        log.anchor()
        tiles = published(log, tmp_path / "grown", opens=SCOUT.__eq__)
        assert tiles.root() == log.frontier.root()
    published(log, tmp_path / "once", opens=SCOUT.__eq__)
    grown, once = files(tmp_path / "grown"), files(tmp_path / "once")
    # Partial files of heads that were published stay until the full one is there (C2SP).
    assert {name: grown[name] for name in once} == once
    assert all(".p/" in name for name in grown.keys() - once.keys())
    assert not [
        name for name in grown if name.startswith(("tile/0/000.p", "tile/entries/002.p", "content/000.p"))
    ]


def test_second_level_is_reached_from_a_folder_that_had_none(log, tmp_path):
    log.grow(65_500)
    log.anchor()
    published(log, tmp_path / "site")
    log.grow(65_800)
    log.anchor()
    tiles = published(log, tmp_path / "site")
    assert tiles.root() == log.frontier.root()
    assert set(files(tmp_path / "site")) >= {"checkpoint"} | {tile.path for tile in tiles_of(65_800)}


def test_same_head_with_more_signatures_is_published_again(log, tmp_path):
    log.grow(10)
    log.anchor()
    published(log, tmp_path / "site")
    with log.reader() as reader:
        saved = reader.checkpoint_at_most(10)
    witness = Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([2] * 32)))
    note = saved.note + f"{witness.sign(str(Checkpoint(ORIGIN, 10, saved.root)))}\n"
    log.store.save_checkpoint(
        SavedCheckpoint(saved.size, saved.frontier, saved.root, note, saved.signature, None)
    )
    assert published(log, tmp_path / "site").note == note


@pytest.mark.parametrize("failing", range(11))
def test_publication_cut_off_at_any_write_leaves_the_head_before_and_goes_on(
    log, tmp_path, monkeypatch, failing
):
    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    published(log, site, opens=SCOUT.__eq__)
    log.grow(800)
    log.anchor()
    before, writes, replace = TileLog(Folder(site)), [0], Path.replace

    def cut(self: Path, target: Path) -> Path:
        writes[0] += 1
        if writes[0] > failing:
            raise OSError(5, "the power went")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(GuardError) as refused:
        published(log, site, opens=SCOUT.__eq__)
    assert refused.value.code == "AG516"
    between = TileLog(Folder(site))
    assert (between.note, between.root()) == (before.note, before.checkpoint.root)
    assert len(list(between.rows())) == 300
    monkeypatch.undo()
    assert published(log, site, opens=SCOUT.__eq__).root() == log.frontier.root()
    published(log, tmp_path / "once", opens=SCOUT.__eq__)
    grown, once = files(site), files(tmp_path / "once")
    assert {name: grown[name] for name in once} == once


@pytest.mark.parametrize("survived", range(7))
def test_publication_cut_off_while_it_sweeps_leaves_a_log_that_is_served_whole_and_goes_on(
    log, tmp_path, monkeypatch, survived
):
    """Three partial files and their three folders go; the first of a folder may be gone when the process is."""
    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    published(log, site, opens=SCOUT.__eq__)
    log.grow(800)
    log.anchor()
    count, unlink, rmdir = [0], Path.unlink, Path.rmdir

    def cut(act):
        def instead(self: Path, *arguments: object, **options: object) -> None:
            if ".p" in f"{self.parent.suffix}{self.suffix}" and not self.name.endswith(".new"):
                count[0] += 1
                if count[0] > survived:
                    raise KeyboardInterrupt
            act(self, *arguments, **options)

        return instead

    monkeypatch.setattr(Path, "unlink", cut(unlink))
    monkeypatch.setattr(Path, "rmdir", cut(rmdir))
    with contextlib.suppress(KeyboardInterrupt):
        published(log, site, opens=SCOUT.__eq__)
    monkeypatch.undo()
    assert count[0] == min(survived + 1, 6)
    # Read as the site serves it: nothing that the checkpoint does not cover.
    between = TileLog(Folder(site))
    assert len(list(between.rows())) == between.size()
    for tile in tiles_of(between.size()):
        assert tile.is_covered(between.size())
        assert (site / tile.path).is_file(), tile.path
    assert published(log, site, opens=SCOUT.__eq__).size() == 800
    published(log, tmp_path / "once", opens=SCOUT.__eq__)
    grown, once = files(site), files(tmp_path / "once")
    assert {name: grown[name] for name in once} == once
    assert all(
        ".p/" in name for name in grown.keys() - once.keys()
    )  # what the process left, which does no harm


def test_every_write_is_tried_by_the_test_before(log, tmp_path, monkeypatch):
    """Keeps the range above honest: 500 more entries with contents are ten files and a checkpoint."""
    log.grow(300)
    log.anchor()
    published(log, tmp_path / "site", opens=SCOUT.__eq__)
    log.grow(800)
    log.anchor()
    written: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda self, target: written.append(str(target)) or replace(self, target)
    )
    published(log, tmp_path / "site", opens=SCOUT.__eq__)
    assert len(written) == 11
    assert written[-1].endswith("site/checkpoint")


# ------------------------------------------------------------------------------------------------- what is refused


def refusal(log: Log, root: Path) -> str:
    before = files(root) if root.exists() else {}
    with log.reader() as reader, pytest.raises(GuardError) as refused:
        publish(reader, root)
    assert (files(root) if root.exists() else {}).get("checkpoint") == before.get("checkpoint")
    return refused.value.code


def test_nothing_anchored_is_nothing_published(log, tmp_path):
    log.grow(5)
    assert refusal(log, tmp_path / "site") == "AG541"
    assert not (tmp_path / "site").exists()


def test_folder_of_another_log_is_left_alone(log, tmp_path):
    log.grow(20)
    log.anchor()
    published(log, tmp_path / "site")
    note = (tmp_path / "site/checkpoint").read_text()
    other = note.replace(OPERATOR.lower(), COUNCIL.lower())
    (tmp_path / "site/checkpoint").write_text(other)
    assert refusal(log, tmp_path / "site") == "AG545"


@pytest.mark.parametrize("size", [10, 20])
def test_folder_with_another_history_of_this_log_is_left_alone(log, tmp_path, size):
    log.grow(20)
    log.anchor()
    rewritten = Log(tmp_path / "other.sqlite", salt=1)
    rewritten.grow(size)
    rewritten.anchor()
    published(rewritten, tmp_path / "site")
    assert refusal(log, tmp_path / "site") == "AG545"


def test_folder_that_is_ahead_is_left_alone(log, tmp_path):
    log.grow(20)
    log.anchor()
    shutil.copy(tmp_path / "log.sqlite", tmp_path / "old.sqlite")
    with SqliteReader(tmp_path / "log.sqlite") as reader:
        publish(reader, tmp_path / "ahead")
    log.grow(30)
    log.anchor()
    published(log, tmp_path / "site")
    shorter = Log(tmp_path / "shorter.sqlite")
    shorter.grow(20)
    shorter.anchor()
    assert refusal(shorter, tmp_path / "site") == "AG545"


def test_folder_whose_tiles_were_changed_is_not_built_upon(log, tmp_path):
    log.grow(300)
    log.anchor()
    published(log, tmp_path / "site")
    tile = tmp_path / "site/tile/1/000.p/1"
    tile.write_bytes(bytes(32))
    log.grow(600)
    log.anchor()
    assert refusal(log, tmp_path / "site") == "AG515"


@pytest.mark.parametrize("published_before", [False, True])
def test_log_that_does_not_hash_to_its_anchor_is_not_published(log, tmp_path, published_before):
    log.grow(20)
    log.anchor()
    if (
        published_before
    ):  # the entry that is changed lies in the folder already, in a bundle that is written anew
        published(log, tmp_path / "site")
        log.grow(30)
        log.anchor()
    with sqlite3.connect(tmp_path / "log.sqlite") as forger:
        forger.execute("DROP TRIGGER entry_update")
        forger.execute(
            "UPDATE entry SET body = CAST(replace(body, ':17', ':18') AS BLOB) WHERE leaf_index = 3"
        )
    assert refusal(log, tmp_path / "site") == "AG515"


def test_content_that_its_entry_does_not_commit_to_is_not_published(log, tmp_path):
    log.grow(20)
    log.anchor()
    with sqlite3.connect(tmp_path / "log.sqlite") as forger:
        forger.execute("DROP TRIGGER content_update")
        forger.execute("UPDATE content SET body = CAST('{}' AS BLOB) WHERE leaf_index = 3")
    with log.reader() as reader, pytest.raises(GuardError, match="content of entry 3") as refused:
        publish(reader, tmp_path / "site", lambda agent: True)
    assert refused.value.code == "AG515"
    assert published(log, tmp_path / "closed").size() == 20


def test_log_with_a_hole_is_not_published(log, tmp_path):
    log.grow(20)
    log.anchor()
    with sqlite3.connect(tmp_path / "log.sqlite") as forger:
        forger.execute("DROP TRIGGER entry_delete")
        forger.execute("DELETE FROM entry WHERE leaf_index = 3")
    assert refusal(log, tmp_path / "site") == "AG515"


def test_folder_that_cannot_be_written_is_said(log, tmp_path):
    log.grow(20)
    log.anchor()
    (tmp_path / "site").write_text("a file where the folder should be")
    with log.reader() as reader, pytest.raises(GuardError) as refused:
        publish(reader, tmp_path / "site")
    assert refused.value.code == "AG516"


# ------------------------------------------------------------------------------------ files that are no files of a log


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("checkpoint", lambda data: b"", "empty line"),
        ("checkpoint", lambda data: b"\xff" + data, "UTF-8"),
        ("checkpoint", lambda data: data.replace(b"agent-guard/", b"example/"), "not that of a guard's log"),
        ("checkpoint", lambda data: data.split(b"\n\n")[0] + b"\n", "empty line"),
        ("checkpoint", lambda data: data + bytes(1_000_001), "longer than 1000000"),
        ("tile/entries/000", lambda data: data[:-1], "ends within entry 255"),
        ("tile/entries/000", lambda data: data + b"\0", "follow"),
        ("tile/entries/000", lambda data: b"\xff" * 3_000_000, "longer than"),
        ("tile/entries/001.p/44", lambda data: data[:100], "ends within entry"),
        ("tile/0/000", lambda data: data[:-1], "8192 bytes"),
        ("tile/0/000", lambda data: data + b"\0", "longer than 8192"),
        ("content/000", lambda data: b"\xff\xff\xff\xff", "length"),
        ("content/000", lambda data: b"\0\0\0\1a", "length"),
        ("content/000", lambda data: data[:-1], "ends within"),
        ("content/000", lambda data: b"\0\0", "length"),
    ],
)
def test_file_of_another_shape_is_named(log, tmp_path, name, change, says):
    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    published(log, site, opens=lambda agent: True)
    (site / name).write_bytes(change((site / name).read_bytes()))
    with pytest.raises(GuardError, match=says) as refused:
        list(TileLog(Folder(site)).rows())
    assert refused.value.code == "AG515"
    assert name in refused.value.message


def test_missing_tile_is_named_and_a_full_one_stands_in_for_a_partial(log, tmp_path):
    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    note = published(log, site, opens=lambda agent: True).note
    expected = list(TileLog(Folder(site)).rows())
    log.grow(600)
    log.anchor()
    published(log, site, opens=lambda agent: True)
    assert not (site / "tile/0/001.p").exists()
    (site / "checkpoint").write_text(note)  # who still has the head before
    assert list(TileLog(Folder(site)).rows()) == expected
    (site / "tile/entries/001").unlink()
    with pytest.raises(GuardError, match=r"tile/entries/001.p/44 is no file of a log: it is not there"):
        list(TileLog(Folder(site)).rows())


def test_folder_without_a_checkpoint_holds_no_log(tmp_path):
    with pytest.raises(GuardError, match="holds no log") as refused:
        TileLog(Folder(tmp_path))
    assert refused.value.code == "AG510"


# ------------------------------------------------------------------- sources that lie, and folders that lead elsewhere


def swapped(bundle: Path) -> None:
    """Entries that are well-formed, and not those that were anchored."""
    bundle.write_bytes(bundle.read_bytes().replace(b'"kind":"intent"', b'"kind":"outage"'))


@pytest.mark.parametrize(("before", "after"), [(300, 600), (300, 301), (300, 512), (256, 300), (100, 70_000)])
def test_source_that_swaps_entries_leaves_the_copy_as_it_was(log, tmp_path, before, after):
    theirs, copy = tmp_path / "theirs", tmp_path / "copy"
    log.grow(before)
    log.anchor()
    published(log, copy, opens=lambda agent: True)
    held = files(copy)
    log.grow(after)
    log.anchor()
    published(log, theirs, opens=lambda agent: True)
    shutil.copytree(theirs, tmp_path / "true")
    for bundle in (theirs / "tile/entries").rglob("*"):
        if bundle.is_file():
            swapped(bundle)

    with pytest.raises(GuardError, match=r"do not hash|another entry") as refused:
        publish(TileLog(Folder(theirs)), copy)
    assert refused.value.code == "AG515"
    assert {name: data for name, data in files(copy).items() if name in held} == held
    assert TileLog(Folder(copy)).root() == TileLog(Folder(copy)).checkpoint.root

    publish(TileLog(Folder(tmp_path / "true")), copy)
    assert TileLog(Folder(copy)).size() == after
    assert files(copy)["tile/entries/000"] == files(tmp_path / "true")["tile/entries/000"]


def test_source_that_swaps_entries_of_the_very_head_of_the_copy_changes_nothing(log, tmp_path):
    log.grow(300)
    log.anchor()
    published(log, tmp_path / "copy")
    published(log, tmp_path / "theirs")
    held = files(tmp_path / "copy")
    swapped(tmp_path / "theirs/tile/entries/001.p/44")
    with pytest.raises(GuardError, match="another entry 25") as refused:
        publish(TileLog(Folder(tmp_path / "theirs")), tmp_path / "copy")
    assert refused.value.code == "AG515"
    assert files(tmp_path / "copy") == held


def test_link_in_the_place_of_a_file_is_replaced_and_not_followed(log, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("checkpoint", "checkpoint.new", "tile/entries/000.new", "tile/0/000.new"):
        link = tmp_path / "site" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(victim)
    (tmp_path / "site/checkpoint").unlink()
    log.grow(300)
    log.anchor()
    assert published(log, tmp_path / "site").size() == 300
    assert victim.read_text() == "mine"
    assert not [path for path in (tmp_path / "site").rglob("*") if path.is_symlink()]


@pytest.mark.parametrize(
    "name", ["tile", "tile/0", "tile/entries", "content", "tile/0/000.p", "content/000.p"]
)
def test_link_in_the_place_of_a_folder_is_refused(log, tmp_path, name):
    outside, link = tmp_path / "outside", tmp_path / "site" / name
    outside.mkdir()
    (outside / "mine").write_text("mine")
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    log.grow(300)
    log.anchor()
    with log.reader() as reader, pytest.raises(GuardError) as refused:
        publish(reader, tmp_path / "site", lambda agent: True)
    assert refused.value.code == "AG545"
    assert files(outside) == {"mine": b"mine"}
    assert not (tmp_path / "site/checkpoint").exists()


def test_the_named_folder_itself_may_be_a_link(log, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "site").symlink_to(tmp_path / "disk")
    log.grow(300)
    log.anchor()
    assert published(log, tmp_path / "site").size() == 300


def test_folder_in_the_place_of_a_partial_file_is_said(log, tmp_path):
    (tmp_path / "site/tile/0/000.p/9").mkdir(parents=True)
    log.grow(300)
    log.anchor()
    assert refusal(log, tmp_path / "site") == "AG516"
    assert not (tmp_path / "site/checkpoint").exists()


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "content/000"])
def test_what_is_no_file_is_not_waited_for(log, tmp_path, name):
    log.grow(300)
    log.anchor()
    published(log, tmp_path / "site", opens=lambda agent: True)
    (tmp_path / "site" / name).unlink()
    os.mkfifo(tmp_path / "site" / name)
    with pytest.raises(GuardError) as refused:
        list(TileLog(Folder(tmp_path / "site")).rows())
    assert refused.value.code == "AG510"


def test_contents_of_one_bundle_are_bounded_together(log, tmp_path, monkeypatch):
    log.grow(20)
    log.anchor()
    published(log, tmp_path / "site", opens=lambda agent: True)
    size = (tmp_path / "site/content/000.p/20").stat().st_size
    monkeypatch.setattr("agent_guard.store.tiles.log.MAX_CONTENTS", size)
    assert len(list(TileLog(Folder(tmp_path / "site")).rows())) == 20
    monkeypatch.setattr("agent_guard.store.tiles.log.MAX_CONTENTS", size - 1)
    with pytest.raises(GuardError, match="longer than") as refused:
        list(TileLog(Folder(tmp_path / "site")).rows())
    assert refused.value.code == "AG515"


def test_two_writers_in_one_folder_do_not_mix_their_files(log, tmp_path, monkeypatch):
    """The second would take the half-written file of the first for its own, and put it in place."""
    log.grow(300)
    log.anchor()
    monkeypatch.setattr("agent_guard.store.tiles.folder.WAIT_SECONDS", 0.0)
    site, replace, refused = tmp_path / "site", Path.replace, []

    def meanwhile(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        refused.append(refusal(log, site))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", meanwhile)
    assert published(log, site).size() == 300
    assert refused == ["AG514"]
    assert published(log, site).size() == 300  # the lock goes with its holder


def test_log_of_which_nothing_is_anchored_leaves_no_folder(log, tmp_path):
    log.grow(3)
    assert refusal(log, tmp_path / "site") == "AG541"
    assert not (tmp_path / "site").exists()
