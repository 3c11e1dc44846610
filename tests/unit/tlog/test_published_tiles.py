"""Tile paths of Tessera's suite, and those of Go's that are written as C2SP has them."""

import json
from pathlib import Path

import pytest

from agent_guard.tlog import WIDTH, FormatError, Tile, bundle_of, parse_path, tile_of

pytestmark = pytest.mark.unit

SUITE = json.loads((Path(__file__).parents[2] / "vectors" / "tiles.json").read_text())


@pytest.mark.parametrize(("index", "size", "path"), SUITE["bundle of an index"])
def test_entry_lies_in_the_bundle_of_that_path(index: int, size: int, path: str) -> None:
    assert bundle_of(index, size).path == path


@pytest.mark.parametrize(("at", "size", "path"), SUITE["bundle"])
def test_bundle_has_that_path(at: int, size: int, path: str) -> None:
    assert bundle_of(at * WIDTH, size).path == path


@pytest.mark.parametrize(("level", "at", "size", "path"), SUITE["tile"])
def test_tile_has_that_path(level: int, at: int, size: int, path: str) -> None:
    assert tile_of(level, at * WIDTH, size).path == path


@pytest.mark.parametrize(("path", "level", "index", "width"), SUITE["parsed"])
def test_path_is_that_of_the_tile_also_where_no_log_reaches(
    path: str, level: int, index: int, width: int
) -> None:
    assert parse_path(path) == Tile(level, index, width)
    assert Tile(level, index, width).is_covered(2**63 - 1) == (level < 5)


@pytest.mark.parametrize("path", SUITE["refused"])
def test_no_other_spelling_is_a_path(path: str) -> None:
    with pytest.raises(FormatError):
        parse_path(path)
