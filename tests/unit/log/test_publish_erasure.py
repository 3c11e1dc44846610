"""A published folder, and a mirror of it, follow erasures: no file of theirs holds what the log has erased."""

from pathlib import Path

import pytest

from agent_guard.entry import BlockRef, Entry, Kind, commitment
from agent_guard.log.publish import publish
from agent_guard.merkle import leaf_hash
from agent_guard.mirror import Mirror
from agent_guard.store import Content, Row
from agent_guard.store.tiles import Folder, TileLog
from agent_guard.tlog import Tile
from tests.unit.log.test_publish import SCOUT, WHO, Log, files, published

pytestmark = pytest.mark.unit


class Erasing(Log):
    """A log whose entries, all `secret-N.`, can be erased."""

    def record(self, index: int, done: bool = True) -> int:
        """Records the erasure of an entry, and does it; the record's index."""
        at = self.frontier.size
        agent = WHO[index % 3]
        counter, self.counters[agent] = self.counters[agent], self.counters[agent] + 1
        salt, body = bytes([7] * 32), b'{"reason":"asked for"}'
        entry = Entry(
            at, agent, counter, Kind.ERASURE, 1_700_000_000_000, None, commitment(salt, body), index
        )
        encoded = entry.encode()
        row = Row(
            at, agent, counter, entry.kind.value, encoded, leaf_hash(encoded), Content(salt, body), f"{at}"
        )
        self.store.append([row])
        self.frontier.append(row.leaf)
        if done:
            self.store.erase(index)
        return at

    def _row(self, index: int) -> Row:
        agent = WHO[index % 3]
        counter, self.counters[agent] = self.counters[agent], self.counters[agent] + 1
        salt, body = bytes([self.salt + 1] * 32), b'"secret-%d."' % index
        entry = Entry(
            index,
            agent,
            counter,
            Kind.CONFIG,
            1_700_000_000_000,
            BlockRef(7, bytes(32)),
            commitment(salt, body),
        )
        encoded = entry.encode()
        return Row(index, agent, counter, entry.kind.value, encoded, leaf_hash(encoded), Content(salt, body))


@pytest.fixture
def log(tmp_path: Path) -> Erasing:
    return Erasing(tmp_path / "log.sqlite")


def holding(root: Path, index: int) -> list[str]:
    return [name for name, data in files(root).items() if b'"secret-%d."' % index in data]


def everything(log: Log, root: Path) -> TileLog:
    return published(log, root, opens=lambda agent: True)


def test_content_erased_after_it_was_published_leaves_the_folder_and_all_else_stays(
    log: Erasing, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    log.grow(700)
    log.anchor()
    everything(log, site)
    before = files(site)
    assert holding(site, 3) == ["content/000"]
    for index in (3, 255, 256, 511):
        log.record(index)
    log.grow(720)
    log.anchor()
    tiles = everything(log, site)
    assert not [index for index in (3, 255, 256, 511) if holding(site, index)]
    with log.reader() as reader:
        assert list(tiles.rows()) == list(reader.rows())
    after = files(site)
    assert {name for name in before if after[name] != before[name]} == {
        "content/000",
        "content/001",
        "checkpoint",
    }


def test_partial_files_of_earlier_heads_lose_it_as_well(log: Erasing, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for size in (5, 9, 40):
        log.grow(size)
        log.anchor()
        everything(log, site)
    assert len(holding(site, 2)) == 3
    log.record(2)
    log.anchor()
    everything(log, site)
    assert (holding(site, 2), len(holding(site, 3))) == ([], 4)


def test_last_content_of_a_bundle_goes_too(log: Erasing, tmp_path: Path) -> None:
    log.grow(1)
    log.anchor()
    only = tmp_path / "site"
    published(log, only, opens=WHO[0].__eq__)
    assert holding(only, 0)
    log.record(0)
    log.anchor()
    published(log, only, opens=WHO[0].__eq__)
    assert not holding(only, 0)


def test_folder_follows_before_the_record_is_anchored_or_the_store_is_done(
    log: Erasing, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    everything(log, site)
    log.record(3)  # not anchored
    assert everything(log, site).size() == 300
    assert not holding(site, 3)
    log.record(4, done=False)  # the guard was killed in between
    log.record(299, done=False)
    log.anchor()
    everything(log, site)
    assert (holding(site, 4), holding(site, 299)) == ([], [])


def test_file_that_a_killed_publisher_left_half_written_goes(log: Erasing, tmp_path: Path) -> None:
    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    everything(log, site)
    half = (site / "content/000").read_bytes()[:300]
    (site / "content/000.p").mkdir()
    for left in ("content/000.new", "content/000.p/40.new"):
        (site / left).write_bytes(half)
    assert len(holding(site, 3)) == 3
    log.record(3)
    log.anchor()
    everything(log, site)
    assert not holding(site, 3)


def test_publication_cut_off_while_it_drops_goes_on(
    log: Erasing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_guard.errors import GuardError

    site = tmp_path / "site"
    log.grow(600)
    log.anchor()
    everything(log, site)
    for index in (3, 300):
        log.record(index)
    log.anchor()
    replace = Path.replace

    def cut(self: Path, target: Path) -> Path:
        if str(target).endswith("content/001"):
            raise OSError(5, "the power went")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(GuardError, match="content/001"):
        everything(log, site)
    assert TileLog(Folder(site)).size() == 600
    monkeypatch.undo()
    everything(log, site)
    assert (holding(site, 3), holding(site, 300)) == ([], [])


def test_erasure_in_a_folder_without_contents_changes_nothing_there(log: Erasing, tmp_path: Path) -> None:
    log.grow(300)
    log.anchor()
    published(log, tmp_path / "site")
    log.record(3)
    log.anchor()
    published(log, tmp_path / "site")
    assert not (tmp_path / "site/content").exists()


def test_content_file_of_no_shape_is_refused_and_the_head_stays(log: Erasing, tmp_path: Path) -> None:
    from agent_guard.errors import GuardError

    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    everything(log, site)
    whole = site / "content/000"
    whole.write_bytes(whole.read_bytes()[:100])
    log.record(0)
    log.anchor()
    with pytest.raises(GuardError) as caught:
        everything(log, site)
    assert (caught.value.code, TileLog(Folder(site)).size()) == ("AG515", 300)


def test_mirror_follows_and_keeps_what_its_source_no_longer_gives(log: Erasing, tmp_path: Path) -> None:
    site, copy = tmp_path / "site", tmp_path / "copy"
    log.grow(600)
    log.anchor()
    everything(log, site)
    mirror = Mirror(Folder(site), copy, None)
    mirror.look()
    assert holding(copy, 3) == ["content/000"]
    log.record(3)
    log.anchor()
    everything(log, site)
    (site / "content/000").unlink()  # and the site ceases to give the others
    mirror.look()
    assert (holding(copy, 3), holding(copy, 4)) == ([], ["content/000"])
    assert TileLog(Folder(copy)).row(3) is not None


def test_entry_that_only_looks_like_a_record_drops_nothing(log: Erasing, tmp_path: Path) -> None:
    site = tmp_path / "site"
    log.grow(300)
    log.anchor()
    everything(log, site)
    row = log._row(300)
    log.store.append([Row(300, row.agent, row.counter, "erasure", row.body, row.leaf, row.content)])
    log.frontier.append(row.leaf)
    log.anchor()
    with log.reader() as reader:
        publish(reader, site, SCOUT.__eq__)
    assert holding(site, 0) == [Tile(None, 0).path.replace("tile/entries", "content")]
