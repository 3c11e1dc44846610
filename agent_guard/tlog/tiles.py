"""Tiles: a log's tree and its entries as static files of 256 hashes or entries each (C2SP `tlog-tiles`).

A tile at level L holds the roots over 256^L leaves each; level 0 holds leaf hashes. An entry bundle holds the entries
themselves, each after its length (big-endian uint16). Only the last tile of a level may be partial.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agent_guard.merkle import Subtree, node_hash
from agent_guard.tlog.form import FormatError

WIDTH = 256
HASH_SIZE = 32
CHECKPOINT = "checkpoint"
"""The path of the newest signed head."""

MAX_LEVEL = 7
"""A log below 2^63 entries has no tile above this level, though C2SP gives names to those up to 63."""

_HEIGHT = 8  # levels of the binary tree in one tile
_PATH = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)
_MAX_PATH = 64


@dataclass(frozen=True, slots=True)
class Tile:
    """The name of one tile: `level` (None for an entry bundle), `index` in the level, `width` 1 to 256."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's prefix: `tile/<level>/<index>[.p/<width>]`, the index in groups of three digits."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        named = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        level = "entries" if self.level is None else self.level
        return f"tile/{level}/{named}" + ("" if self.width == WIDTH else f".p/{self.width}")

    @property
    def whole(self) -> "Tile":
        """The full tile of the same place."""
        return Tile(self.level, self.index)

    def is_covered(self, size: int) -> bool:
        """Whether a log of `size` entries has all that the tile holds."""
        return self.index * WIDTH + self.width <= size >> (_HEIGHT * (self.level or 0))


def parse_path(path: str) -> Tile:
    """The tile with exactly this `path`; `FormatError` for any other spelling."""
    match = _PATH.fullmatch(path) if len(path) <= _MAX_PATH else None
    if match is None:
        raise FormatError("a tile's path is tile/<level>/<index>[.p/<width>]")
    level, high, low, width = match.groups()
    tile = Tile(
        level=None if level == "entries" else int(level),
        index=int(high.replace("x", "").replace("/", "") + low),
        width=WIDTH if width is None else int(width),
    )
    if tile.path != path or tile.width > WIDTH or tile.index >= 2**63:
        raise FormatError("a tile's path has no empty groups, no index beyond 2^63 and no width beyond 255")
    return tile


def tile_of(level: int, index: int, size: int) -> Tile:
    """The tile that holds hash `index` of a level, as a log of `size` entries has it; `FormatError` if it has none."""
    count = size >> (_HEIGHT * level)
    if not 0 <= index < count:
        raise FormatError(f"a log of {size} entries has no hash {index} at level {level}")
    at = index // WIDTH
    return Tile(level, at, min(WIDTH, count - at * WIDTH))


def bundle_of(index: int, size: int) -> Tile:
    """The entry bundle that holds entry `index` of a log of `size` entries."""
    tile = tile_of(0, index, size)
    return Tile(None, tile.index, tile.width)


def tiles_of(size: int, since: int = 0) -> Iterator[Tile]:
    """All tiles and entry bundles of a log of `size` entries that one of `since` entries does not have.

    Level by level from 0, each level in order; bundles come with level 0, after the tile of the same entries.
    """
    for level in range(MAX_LEVEL + 1):
        count, known = size >> (_HEIGHT * level), since >> (_HEIGHT * level)
        for index in range(known // WIDTH, -(-count // WIDTH)):
            width = min(WIDTH, count - index * WIDTH)
            if width <= known - index * WIDTH:
                continue
            yield Tile(level, index, width)
            if level == 0:
                yield Tile(None, index, width)


def decode_hashes(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile; `FormatError` unless there are `width` of 32 bytes."""
    if len(data) != width * HASH_SIZE:
        raise FormatError(f"a tile of {width} hashes has {width * HASH_SIZE} bytes, not {len(data)}")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each after its length. `FormatError` for one beyond 65,535 bytes."""
    if any(len(entry) > 0xFFFF for entry in entries):
        raise FormatError("an entry in a bundle has at most 65535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle; `FormatError` unless there are exactly `width` and no byte more."""
    entries: list[bytes] = []
    at = 0
    while len(entries) < width:
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise FormatError(f"the bundle ends within entry {len(entries)} of {width}")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise FormatError(f"{len(data) - at} bytes follow the {width} entries of the bundle")
    return entries


def subtree_of_tiles(read: Callable[[Tile], list[bytes]], size: int) -> Subtree:
    """Perfect-subtree roots of a log of `size` entries from its tiles, for `merkle.inclusion_proof` and the like.

    `read` gives a tile's hashes and raises what it likes. A root at a binary level between two tile levels is hashed
    from the tile below it, so that a proof reads one tile per level and no entry.
    """
    cached = lru_cache(maxsize=64)(read)

    def subtree(level: int, index: int) -> bytes:
        tile_level, above = divmod(level, _HEIGHT)
        start = index << above
        tile = tile_of(tile_level, start, size)
        first = start - tile.index * WIDTH
        hashes = cached(tile)[first : first + (1 << above)]
        if len(hashes) != 1 << above:
            raise FormatError(f"a log of {size} entries has no subtree {index} at level {level}")
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    return subtree
