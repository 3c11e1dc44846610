"""All anchors of a log, held in 96 bytes each: a log of ten million entries has some forty thousand of them.

Guarantees: gives back the extensions it was given, in their order. Held as objects they would take four times as much,
and be most of what makes an audit's memory grow with the log.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import overload

from agent_guard.audit.facts import Extension
from agent_guard.types import Block

# Number, hash and time of the block; old size, new size and root. The chain's own integers are 64 bits.
_FORM = Struct(">Q32sQQQ32s")


class Anchors(Sequence[Extension]):
    """Extensions, oldest first. Raises `struct.error` for an integer that is not from 0 to 2^64 - 1."""

    __slots__ = ("_packed",)

    def __init__(self, extensions: Iterable[Extension]) -> None:
        self._packed = bytearray()
        for one in extensions:
            self.append(one)

    def append(self, one: Extension) -> None:
        """Takes one that is newer than all others."""
        block = one.block
        self._packed += _FORM.pack(
            block.number, block.hash, block.timestamp, one.old_size, one.new_size, one.root
        )

    def __len__(self) -> int:
        return len(self._packed) // _FORM.size

    @overload
    def __getitem__(self, place: int) -> Extension: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Extension]: ...

    def __getitem__(self, place: int | slice) -> Extension | Sequence[Extension]:
        places = range(len(self))[place]
        return self._at(places) if isinstance(places, int) else [self._at(at) for at in places]

    def _at(self, place: int) -> Extension:
        number, block_hash, timestamp, old, new, root = _FORM.unpack_from(self._packed, place * _FORM.size)
        return Extension(Block(number, block_hash, timestamp), old, new, root)
