"""Tile paths, widths and bundles as `tlog-tiles` gives them, and proofs made from tiles alone."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from agent_guard.tlog import (
    FormatError,
    Tile,
    bundle_of,
    decode_bundle,
    decode_hashes,
    encode_bundle,
    parse_path,
    subtree_of_tiles,
    tile_of,
    tiles_of,
)

pytestmark = pytest.mark.unit

LEAVES = [leaf_hash(b"%d" % number) for number in range(70_000)]

tiles = st.builds(Tile, st.none() | st.integers(0, 7), st.integers(0, 2**63 - 1), st.integers(1, 256))


def hashes_of(tile: Tile) -> list[bytes]:
    """A tile computed the slow way: each hash is the root over its own leaves."""
    span, found = 256**tile.level, []
    for number in range(tile.width):
        at = (tile.index * 256 + number) * span
        tree = Frontier()
        tree.extend(LEAVES[at : at + span])
        found.append(tree.root())
    return found


# ---------------------------------------------------------------------------------------------- the specification


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(1, 5, 17), "tile/1/005.p/17"),
        (Tile(None, 1_000), "tile/entries/x001/000"),
        (Tile(None, 0, 255), "tile/entries/000.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(tile, path):
    assert tile.path == path
    assert parse_path(path) == tile


def test_log_of_70000_has_the_tiles_that_the_specification_counts():
    found = list(tiles_of(70_000))
    assert [sum(tile.level == level and tile.width == 256 for tile in found) for level in range(3)] == [
        273,
        1,
        0,
    ]
    partial = [(tile.level, tile.width) for tile in found if tile.width < 256]
    assert partial == [(0, 112), (None, 112), (1, 17), (2, 1)]
    assert sum(tile.level is None for tile in found) == 274


def test_log_of_256_has_a_full_tile_and_one_hash_above_it():
    assert list(tiles_of(256)) == [Tile(0, 0), Tile(None, 0), Tile(1, 0, 1)]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/64/000",
        "tile/100/000",
        "tile/-1/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/x000/000",
        "tile/0/x000/001",
        "tile/0/1000",
        "tile/0/x001/x234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/data/000",
        "tile/0/" + "x001/" * 100 + "000",
        "tile/0/" + "x999/" * 6 + "999",
        "checkpoint",
    ],
)
def test_no_other_spelling_is_a_path(path):
    with pytest.raises(FormatError):
        parse_path(path)


@given(tiles)
def test_every_path_is_read_back(tile):
    assert parse_path(tile.path) == tile


@given(st.text(alphabet="tile/0x123.pn", max_size=40))
def test_whatever_is_taken_for_a_path_is_spelled_like_that(text):
    try:
        tile = parse_path(text)
    except FormatError:
        return
    assert tile.path == text


# ----------------------------------------------------------------------------------------------------- what there is


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_tiles_since_a_size_are_those_that_it_did_not_have(one, other):
    old, new = sorted((one, other))
    before = set(tiles_of(old))
    assert list(tiles_of(new, old)) == [tile for tile in tiles_of(new) if tile not in before]


@given(st.data())
def test_each_entry_lies_in_a_tile_and_a_bundle_of_the_log(data):
    size = data.draw(st.integers(1, 2**40))
    index = data.draw(st.integers(0, size - 1))
    tile, bundle = tile_of(0, index, size), bundle_of(index, size)
    assert tile.index * 256 <= index < tile.index * 256 + tile.width
    assert (bundle.level, bundle.index, bundle.width) == (None, tile.index, tile.width)


@pytest.mark.parametrize(
    ("level", "index", "size"), [(0, 5, 5), (0, 0, 0), (1, 0, 255), (1, 1, 511), (0, -1, 9)]
)
def test_what_the_log_does_not_have_is_in_no_tile(level, index, size):
    with pytest.raises(FormatError, match="has no hash"):
        tile_of(level, index, size)


# ----------------------------------------------------------------------------------------------------------- bundles


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundle_is_read_back(entries):
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_bundle_prefixes_each_entry_with_its_length():
    assert encode_bundle([b"ab", b"", b"c"]) == b"\0\2ab\0\0\0\1c"


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0\1", b"\0\1a", b"\xff\xffa", b"\0\1a\0\1bc", b"\0\1a\0\1b\0"]
)
def test_bundle_of_another_shape_is_refused(data):
    with pytest.raises(FormatError, match="bundle"):
        decode_bundle(data, 2)


def test_entry_too_long_for_a_bundle_is_refused():
    encode_bundle([bytes(0xFFFF)])
    with pytest.raises(FormatError, match="65535"):
        encode_bundle([bytes(0x10000)])


@given(st.binary(max_size=2_000), st.integers(1, 256))
def test_any_bytes_make_a_bundle_or_a_clear_refusal(data, width):
    try:
        entries = decode_bundle(data, width)
    except FormatError:
        return
    assert encode_bundle(entries) == data
    assert len(entries) == width


@pytest.mark.parametrize("length", [0, 31, 32, 65, 96])
def test_tile_of_another_length_is_refused(length):
    with pytest.raises(FormatError, match="64 bytes"):
        decode_hashes(bytes(length), 2)


def test_hashes_are_cut_from_a_tile_in_order():
    assert decode_hashes(b"".join(LEAVES[:3]), 3) == LEAVES[:3]


# ------------------------------------------------------------------------------------------------------------ proofs


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 4_097, 65_535, 65_536, 65_537, 70_000])
def test_proofs_are_made_from_tiles_alone_and_hold(size):
    tree = Frontier()
    tree.extend(LEAVES[:size])
    root = tree.root()
    there = set(tiles_of(size))
    read: list[Tile] = []

    def hashes(tile: Tile) -> list[bytes]:
        assert tile in there
        read.append(tile)
        return hashes_of(tile)

    for index in {0, size // 2, size - 1}:
        read.clear()
        proof = inclusion_proof(index, size, subtree_of_tiles(hashes, size))
        verify_inclusion(LEAVES[index], index, size, proof, root)
        assert len(read) == len(set(read)) <= 2 * 3  # at most two tiles a level, each read once

    old = max(1, size // 3)
    older = Frontier()
    older.extend(LEAVES[:old])
    proof = consistency_proof(old, size, subtree_of_tiles(hashes, size))
    verify_consistency(old, size, older.root(), root, proof)


def test_subtree_that_the_log_does_not_have_is_refused():
    subtree = subtree_of_tiles(lambda tile: [sha256(b"%d" % n).digest() for n in range(tile.width)], 300)
    with pytest.raises(FormatError):
        subtree(2, 75)
    with pytest.raises(FormatError):
        subtree(3, 37)
