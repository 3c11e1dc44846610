"""The operator's signed head beside a published checkpoint: when it is there, and what a reader makes of any other."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from agent_guard.errors import GuardError
from agent_guard.log.publish import publish
from agent_guard.mirror import Mirror, News
from agent_guard.store import SavedCheckpoint
from agent_guard.store.tiles import Folder, TileLog
from agent_guard.typed_data import SignedHead, head_typed_data
from agent_guard.typed_data.signed_head import MAX_FILE
from tests.unit.log.test_publish import COUNCIL, IDENTITY, OPERATOR, Log, files, published

pytestmark = pytest.mark.unit

# Anvil's first key, whose address the log's operator is; and somebody else's.
KEY, STRANGER = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", "0x" + "11" * 32


def signature(size: int, root: bytes, key: str = KEY) -> bytes:
    message = head_typed_data(size, root, IDENTITY.chain_id, COUNCIL)
    return bytes(Account.sign_typed_data(key, full_message=message).signature)


def head(size: int, root: bytes, key: str = KEY) -> SignedHead:
    return SignedHead(IDENTITY.chain_id, COUNCIL, OPERATOR, size, root, signature(size, root, key))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A log of 300 entries, its head anchored and signed by its operator."""
    made = Log(tmp_path / "log.sqlite")
    made.sign = signature
    made.grow(300)
    made.anchor()
    return made


def grow(log: Log, size: int, sign: Callable[[int, bytes], bytes] = signature) -> None:
    log.sign = sign
    log.grow(size)
    log.anchor()


# ------------------------------------------------------------------------------------------------- when it is there


def test_signed_head_is_of_the_very_head_that_the_checkpoint_has(log, tmp_path):
    for size in (300, 301, 512):
        grow(log, size)
        tiles = published(log, tmp_path / "site")
        made = head(size, log.frontier.root())
        assert (tmp_path / "site/head.json").read_text() == made.encode()
        assert (tiles.signed_head(), tiles.beside.trouble) == (made, None)
        assert tiles.checkpoint_at_most(size).signature == made.signature


@pytest.mark.parametrize(
    "sign",
    [
        lambda size, root: b"",
        lambda size, root: bytes(65),
        lambda size, root: b"\1" * 9_000,
        lambda size, root: signature(size, root, STRANGER),
        lambda size, root: signature(size + 1, root),
    ],
)
def test_log_without_the_operators_signature_leaves_none_and_no_stale_one(log, tmp_path, sign):
    published(log, tmp_path / "site")
    grow(log, 310, sign)
    tiles = published(log, tmp_path / "site")
    assert (tiles.size(), tiles.signed_head()) == (310, None)
    assert not (tmp_path / "site/head.json").exists()
    with log.reader() as reader:
        assert publish(reader, tmp_path / "site").signature == b""


def test_same_head_keeps_a_signature_that_the_source_no_longer_gives(log, tmp_path):
    published(log, tmp_path / "site")
    with log.reader() as reader:
        saved = reader.checkpoint_at_most(300)
    log.store.save_checkpoint(SavedCheckpoint(saved.size, saved.frontier, saved.root, saved.note, b"", None))
    assert published(log, tmp_path / "site").signed_head() == head(300, saved.root)


def test_forged_signature_in_the_folder_is_not_kept(log, tmp_path):
    log.sign = lambda size, root: b""
    grow(log, 310, log.sign)
    published(log, tmp_path / "site")
    (tmp_path / "site/head.json").write_text(head(310, log.frontier.root(), STRANGER).encode())
    published(log, tmp_path / "site")
    assert not (tmp_path / "site/head.json").exists()


def test_link_in_its_place_is_replaced_and_not_followed(log, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("somebody else's")
    published(log, tmp_path / "site")
    (tmp_path / "site/head.json").unlink()
    (tmp_path / "site/head.json").symlink_to(outside)
    assert published(log, tmp_path / "site").signed_head() is not None
    assert (outside.read_text(), (tmp_path / "site/head.json").is_symlink()) == ("somebody else's", False)


def changes(monkeypatch: pytest.MonkeyPatch, see: Callable[[], None]) -> None:
    """Calls `see` after each change of a name in the file system."""

    def seen(act: Any) -> Any:
        def instead(*arguments: Any, **options: Any) -> Any:
            done = act(*arguments, **options)
            see()
            return done

        return instead

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, seen(getattr(Path, name)))


def test_at_no_moment_is_there_a_signed_head_of_another_checkpoint(log, tmp_path, monkeypatch):
    site, seen = tmp_path / "site", []
    published(log, site)

    def see() -> None:
        tiles = TileLog(Folder(site))
        seen.append(tiles.size())
        assert tiles.beside.head is None or tiles.signed_head() is not None

    changes(monkeypatch, see)
    grow(log, 800)
    published(log, site)
    assert set(seen) == {300, 800}


def test_publication_cut_off_anywhere_leaves_no_signed_head_of_another_checkpoint(log, tmp_path, monkeypatch):
    site, ends = tmp_path / "site", set()
    published(log, site)
    grow(log, 302)
    for allowed in range(10):
        left = [allowed]

        def cut() -> None:
            left[0] -= 1  # noqa: B023 - called within this very round
            if left[0] < 0:  # noqa: B023
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            changes(patch, cut)
            try:
                published(log, site)
            except KeyboardInterrupt:
                ends.add("cut")
            else:
                ends.add("done")
        tiles = TileLog(Folder(site))
        assert tiles.beside.head is None or tiles.signed_head() is not None
    assert ends == {"cut", "done"}
    assert published(log, site).signed_head() is not None


def test_publishing_what_is_there_already_leaves_the_signed_head_where_it_is(log, tmp_path, monkeypatch):
    site = tmp_path / "site"
    published(log, site)
    changes(monkeypatch, lambda: TileLog(Folder(site)).signed_head() or pytest.fail("it was gone"))
    published(log, site)


# ------------------------------------------------------------------------------------ what a reader makes of any other


def rogue(size: int, root: bytes) -> Iterator[tuple[str, str]]:
    """What a site may have in its place, and a part of why it is left aside."""
    true = head(size, root).fields()
    yield "", "can't be read"
    yield "[]", "exactly the keys"
    yield '{"size":' * 4_000, "can't be read"
    yield json.dumps(true) + " " * MAX_FILE, "longer than"
    yield json.dumps(true | {"size": 2**64}), "no signed head"
    yield json.dumps(true | {"more": 1}), "exactly the keys"
    yield json.dumps(true | {"operator": "0x" + "22" * 20}), "another operator"
    yield json.dumps(true | {"council": "0x" + "22" * 20}), "another operator"
    yield json.dumps(true | {"chain_id": 1}), "another operator"
    yield json.dumps(true | {"size": size + 1}), "is signed by"
    yield json.dumps(true | {"root": "0x" + "22" * 32}), "is signed by"
    yield json.dumps(true | {"signature": "0x" + "22" * 64}), "signed by nobody"
    yield head(size, root, STRANGER).encode(), "is signed by"
    yield head(size, bytes(32), STRANGER).encode(), "is signed by"


@pytest.mark.parametrize("number", range(14))
def test_rogue_head_is_left_aside_the_log_is_taken_and_nobody_accused(log, tmp_path, number):
    site, copy, root = tmp_path / "site", tmp_path / "copy", log.frontier.root()
    published(log, site)
    text, why = list(rogue(300, root))[number]
    (site / "head.json").write_text(text)
    tiles = TileLog(Folder(site))
    assert (tiles.beside.head, tiles.signed_head(), tiles.beside.trouble.code) == (None, None, "AG547")
    assert why in tiles.beside.trouble.message
    assert tiles.checkpoint_at_most(300).signature == b""
    taken = Mirror(Folder(site), copy, lambda who, size: root).look()
    assert (taken.news, taken.size, taken.signed) == (News.GROWN, 300, False)
    assert taken.unsigned.code == "AG547"
    assert {name for name in files(copy) if not name.startswith("tile/")} == {"checkpoint"}


def test_every_rogue_is_tried_by_the_test_before():
    assert len(list(rogue(300, bytes(32)))) == 14


def test_bytes_that_are_no_text_are_left_aside(log, tmp_path):
    tiles = published(log, tmp_path / "site")
    (tmp_path / "site/head.json").write_bytes(b"\xff\xfe")
    assert TileLog(Folder(tmp_path / "site")).beside.trouble.code == "AG547"
    assert tiles.beside.trouble.code == "AG547"  # asked for no sooner than it is needed


@pytest.mark.parametrize("size", [1, 299, 301])
def test_signed_head_of_another_size_is_no_contradiction(log, tmp_path, size):
    """Of whatever root: a cache may give an old one, and a site be a moment ahead."""
    site, copy = tmp_path / "site", tmp_path / "copy"
    published(log, site)
    (site / "head.json").write_text(head(size, b"\1" * 32).encode())
    tiles = TileLog(Folder(site))
    assert (tiles.signed_head(), tiles.beside.head.size, tiles.beside.trouble) == (None, size, None)
    root = log.frontier.root()
    taken = Mirror(Folder(site), copy, lambda who, size: root).look()
    assert (taken.size, taken.signed, taken.unsigned) == (300, False, None)
    assert not (copy / "head.json").exists()
    assert not (copy / "evidence").exists()


@pytest.mark.parametrize(("others", "said"), [(63, "lies in"), (64, "was not kept")])
def test_a_mirror_says_of_a_head_that_it_lies_in_the_evidence_only_if_it_does(log, tmp_path, others, said):
    grow(log, 300, lambda size, root: b"")
    published(log, tmp_path / "site")
    kept = tmp_path / "copy/evidence"
    kept.mkdir(parents=True)
    for number in range(others):
        (kept / f"{number}.note").touch()
    with pytest.raises(GuardError) as caught:
        Mirror(Folder(tmp_path / "site"), tmp_path / "copy", lambda who, size: b"\1" * 32).look()
    assert caught.value.code == "AG542"
    assert f"That head {said}" in caught.value.remedy
    assert len(list(kept.iterdir())) == 64


def test_another_root_of_the_checkpoints_size_is_not_the_checkpoints_head(log, tmp_path):
    published(log, tmp_path / "site")
    (tmp_path / "site/head.json").write_text(head(300, b"\1" * 32).encode())
    tiles = TileLog(Folder(tmp_path / "site"))
    assert (tiles.signed_head(), tiles.beside.head.root) == (None, b"\1" * 32)


def test_no_more_of_it_is_read_than_a_signed_head_may_have(log, tmp_path):
    published(log, tmp_path / "site")

    class Endless(Moving):
        def chunks(self, path: str) -> Iterator[bytes]:
            if path != "head.json":
                yield from super().chunks(path)
            while path == "head.json":
                self.asked.append(path)
                assert len(self.asked) < 100
                yield b" " * 1_000

    tiles = TileLog(Endless(tmp_path / "site", lambda: None))
    assert "longer than" in tiles.beside.trouble.message


class Moving:
    """A site that publishes its next head between one's question for the checkpoint and that for the signed head."""

    def __init__(self, folder: Path, move: Callable[[], None]) -> None:
        self.name, self._folder, self._move, self.asked = "site", Folder(folder), move, []

    def chunks(self, path: str) -> Iterator[bytes]:
        self.asked.append(path)
        if path == "head.json" and self.asked.count(path) == 1:
            self._move()
        return self._folder.chunks(path)


def test_site_that_moves_on_meanwhile_is_asked_once_more(log, tmp_path):
    site = tmp_path / "site"
    published(log, site)

    def move() -> None:
        grow(log, 310)
        published(log, site)

    source = Moving(site, move)
    taken = Mirror(source, tmp_path / "copy", None).look()
    assert (taken.size, taken.signed) == (310, True)
    assert source.asked.count("head.json") == 2


def test_site_that_never_has_both_of_one_head_is_asked_twice_and_taken_without(log, tmp_path):
    site = tmp_path / "site"
    published(log, site)
    (site / "head.json").write_text(head(7, b"\1" * 32).encode())
    source = Moving(site, lambda: None)
    taken = Mirror(source, tmp_path / "copy", None).look()
    assert (taken.size, taken.signed) == (300, False)
    assert source.asked.count("head.json") == 2


def test_site_that_fails_for_the_signed_head_alone_is_followed(log, tmp_path):
    published(log, tmp_path / "site")

    class Failing(Moving):
        def chunks(self, path: str) -> Iterator[bytes]:
            if path == "head.json":
                raise GuardError("AG543", "HTTP status 403.", "Try again.")
            return super().chunks(path)

    taken = Mirror(Failing(tmp_path / "site", lambda: None), tmp_path / "copy", None).look()
    assert (taken.size, taken.signed, taken.unsigned.code) == (300, False, "AG543")


def test_mirror_gains_the_signature_later_and_keeps_it_when_the_site_takes_it_back(log, tmp_path):
    site, copy = tmp_path / "site", tmp_path / "copy"
    published(log, site)
    signed = (site / "head.json").rename(tmp_path / "away")
    mirror = Mirror(Folder(site), copy, None)
    assert not mirror.look().signed
    (site / "head.json").write_bytes(signed.read_bytes())
    assert mirror.look().signed
    (site / "head.json").unlink()
    assert mirror.look().signed
    assert (copy / "head.json").read_bytes() == signed.read_bytes()
