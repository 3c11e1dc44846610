"""An entry of the log: public metadata and a commitment to content that lies elsewhere.

Guarantees: an `Entry` holds only values in range; its bytes are RFC 8785 canonical JSON, one spelling for one entry;
`decode` takes nothing else. Trusts nobody: the bytes may come from a log that someone rewrote.

What is public. Whoever has an entry's bytes sees whose it is, its place, its kind, when it was written, which block the
guard had read, and what it refers to. Everything else (tool, arguments, results, reasons, decisions) is content: only
SHA-256(salt || content) stands here, so that a short answer such as "deny" can't be guessed, and so that content can be
erased while every proof still holds. `meta` is for the guard's own entries alone and must survive such an erasure: the
numbers that an auditor needs for obedience (epoch, the stage times of a death), never anything that an agent, a model
or a person wrote.

As JSON, every key required but the last two, which are left out when they hold nothing:

    agent       "0x" + 64 hex   the agent's id; the fleet's id (zeros) for what concerns all agents of this guard
    block       null or {"hash": "0x" + 64 hex, "number": n}   the newest block the guard had read when it decided
    commitment  "0x" + 64 hex   SHA-256(salt || content), a salt of 32 random bytes
    counter     n               place among this agent's entries, from 0, without gaps
    format      "agent-guard/1"
    index       n               place in the log, from 0
    kind        see `Kind`
    time        n               the guard's clock, unix milliseconds
    meta        flat object     at most 16 members of the guard's own
    refers_to   n               index of the entry that this one answers, smaller than its own
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Self

from agent_guard import canonical
from agent_guard.merkle import leaf_hash

FORMAT = "agent-guard/1"
SALT_SIZE = 32
MAX_ENTRY = 8192
"""Bytes of an entry; C2SP entry bundles could hold 65,535."""
MAX_META = 16

_MAX = canonical.MAX_INTEGER


class MalformedEntry(ValueError):  # noqa: N818 - what it is, said of the bytes
    """Values or bytes that are no entry."""


class Kind(StrEnum):
    """What an entry says happened."""

    INTENT = "intent"
    """An agent asked to act and the guard may say yes; durable before it does. Content: the action."""
    OUTCOME = "outcome"
    """What came of an intent (`refers_to`). Content: status and result."""
    REFUSED = "refused"
    """A request that was answered with no. Content: the reason and what is known of the request."""
    DECISION = "decision"
    """What was decided on an intent that had to wait (`refers_to`). Content: who, what and why."""
    START = "start"
    """The agent was started in its container."""
    FREEZE = "freeze"
    """The agent was stopped where it stood, and may go on. Content: why."""
    STOPPING = "stopping"
    """The agent was told of a planned stop, and its grace began. Content: why."""
    THAW = "thaw"
    """A frozen agent goes on; `refers_to` the freeze."""
    HALT = "halt"
    """The guard's verdict to kill; `block` is the one that held the halt, if a block did. Content: why."""
    DEATH = "death"
    """The death receipt: nothing of the agent is left; `refers_to` the halt. `meta`: the stage times. Or a life that a
    later guard found dead; `refers_to` its start. `meta`: when it was found, and how that is known."""
    RESUME = "resume"
    """A local halt was left, on the council's word."""
    EXIT = "exit"
    """The agent ended by itself."""
    BALLOT = "ballot"
    """A ballot was handed to the guard itself. Content: the ballot, and why it did not count, if it did not."""
    DISSENT = "dissent"
    """Endpoints began, or ceased, to say something else than the quorum. Content: which, and what."""
    CONFIG = "config"
    """The settings that the guard runs with; written at its start."""
    ERASURE = "erasure"
    """The content and salt of an earlier entry of this agent (`refers_to`) are removed on purpose; durable before they
    are, and removed by then or soon after. Content: the reason, which can be erased in its turn."""


WITHOUT_META = frozenset({Kind.INTENT, Kind.OUTCOME, Kind.REFUSED, Kind.DECISION, Kind.ERASURE})
"""Kinds whose every word comes from, or is about, an agent's request, or from a person: all of it is content."""
ANSWERS = frozenset({Kind.OUTCOME, Kind.DECISION, Kind.ERASURE})
"""Kinds that are meaningless without `refers_to`."""
PERMITS = frozenset({Kind.INTENT, Kind.DECISION, Kind.START})
"""Kinds that let an agent act, and so must name the block that allowed it."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block's height and its 32-byte hash. Raises `MalformedEntry` for other values."""

    number: int
    hash: bytes

    def __post_init__(self) -> None:
        if type(self.number) is not int or not 0 <= self.number <= _MAX:
            raise MalformedEntry("a block's number is an integer from 0 to 2^53 - 1")
        if not isinstance(self.hash, bytes) or len(self.hash) != 32:
            raise MalformedEntry("a block's hash is 32 bytes")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; the module's docstring describes the fields. Raises `MalformedEntry` unless every value is in range.

    Integers are from 0 to 2^53 - 1. `agent` and `commitment` are 32 bytes. `meta` maps [a-z][a-z0-9_]* (at most 32
    characters) to an integer, a bool or at most 128 printable ASCII characters.
    """

    index: int
    agent: bytes
    counter: int
    kind: Kind
    time: int
    block: BlockRef | None
    commitment: bytes
    refers_to: int | None = None
    meta: Mapping[str, int | bool | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        index, counter, time, refers_to = self.index, self.counter, self.time, self.refers_to
        # Flat on purpose: this stands in the path of every action.
        if type(index) is not int or type(counter) is not int or not 0 <= counter <= index <= _MAX:
            raise MalformedEntry("index and counter are integers with 0 <= counter <= index < 2^53")
        if type(time) is not int or not 0 <= time <= _MAX:
            raise MalformedEntry("time is an integer from 0 to 2^53 - 1")
        if refers_to is not None and (type(refers_to) is not int or not 0 <= refers_to < index):
            raise MalformedEntry("refers_to is the index of an entry before this one")
        for value in (self.agent, self.commitment):
            if not isinstance(value, bytes) or len(value) != 32:
                raise MalformedEntry("agent and commitment are 32 bytes")
        _check_kind(self)

    def encode(self) -> bytes:
        """The entry's canonical JSON. Raises `MalformedEntry` if it is longer than `MAX_ENTRY`."""
        # Written out, for this stands in the path of every action; a test compares it with canonical.encode().
        block = self.block
        meta = f',"meta":{canonical.encode(dict(self.meta)).decode()}' if self.meta else ""
        refers_to = "" if self.refers_to is None else f',"refers_to":{self.refers_to}'
        where = "null" if block is None else f'{{"hash":"0x{block.hash.hex()}","number":{block.number}}}'
        data = (
            f'{{"agent":"0x{self.agent.hex()}","block":{where},"commitment":"0x{self.commitment.hex()}",'
            f'"counter":{self.counter},"format":"{FORMAT}","index":{self.index},"kind":"{self.kind.value}"'
            f'{meta}{refers_to},"time":{self.time}}}'
        ).encode()
        if len(data) > MAX_ENTRY:
            raise MalformedEntry(f"an entry of {len(data)} bytes; at most {MAX_ENTRY} are allowed")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The entry that `encode` gives these bytes for. Raises `MalformedEntry` for any other bytes."""
        # The pattern is the canonical form itself, so that nothing needs to be encoded again to compare (`meta` is).
        match = (
            _PATTERN.fullmatch(data.decode("ascii")) if len(data) <= MAX_ENTRY and data.isascii() else None
        )
        if match is None:
            raise MalformedEntry(_why_not(data))
        agent, block_hash, number, committed, counter, index, kind, meta, refers_to, time = match.groups()
        return cls(
            int(index),
            _bytes(agent),
            int(counter),
            _KINDS[kind],
            int(time),
            None if block_hash is None else _block(block_hash, number),
            bytes.fromhex(committed),
            None if refers_to is None else int(refers_to),
            {} if meta is None else _decode_meta(meta),
        )

    def leaf(self) -> bytes:
        """The entry's leaf in the log's tree: SHA-256(0x00 || bytes), RFC 6962."""
        return leaf_hash(self.encode())

    def commits_to(self, salt: bytes, content: bytes) -> bool:
        """Whether this is the content, and the salt, that the entry was written for."""
        return len(salt) == SALT_SIZE and commitment(salt, content) == self.commitment


def commitment(salt: bytes, content: bytes) -> bytes:
    """SHA-256(salt || content), 32 bytes. The salt's fixed length keeps the two apart; `ValueError` for any other."""
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt is {SALT_SIZE} bytes, not {len(salt)}")
    return sha256(salt + content).digest()


# ------------------------------------------------------------------------------------------------- the form of bytes

_HEX = r'"0x([0-9a-f]{64})"'
_INT = r"(0|[1-9][0-9]{0,15})"
_KINDS = {kind.value: kind for kind in Kind}
_PATTERN = re.compile(
    rf'\{{"agent":{_HEX},"block":(?:null|\{{"hash":{_HEX},"number":{_INT}\}}),"commitment":{_HEX},'
    rf'"counter":{_INT},"format":"{re.escape(FORMAT)}","index":{_INT},"kind":"({"|".join(_KINDS)})"'
    rf'(?:,"meta":(\{{.+\}}))?(?:,"refers_to":{_INT})?,"time":{_INT}\}}'
)
_META_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_META_TEXT = re.compile(r"[ -~]{0,128}")


@lru_cache(maxsize=1024)  # agents and blocks come again and again
def _bytes(digits: str) -> bytes:
    return bytes.fromhex(digits)


@lru_cache(maxsize=1024)
def _block(block_hash: str, number: str) -> BlockRef:
    return BlockRef(int(number), bytes.fromhex(block_hash))


def _decode_meta(text: str) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = canonical.decode(
            text.encode()
        )  # an object, not empty: the pattern saw to that
    except canonical.NotCanonical as error:
        raise MalformedEntry(f"meta: {error}") from error
    return meta


def _why_not(data: bytes) -> str:
    """What to tell of bytes that don't have the form; only words, for they were refused already."""
    if len(data) > MAX_ENTRY:
        return f"an entry of {len(data)} bytes; at most {MAX_ENTRY} are allowed"
    try:
        value = canonical.decode(data)
    except canonical.NotCanonical as error:
        return str(error)
    if not isinstance(value, dict):
        return "not an object"
    if value.get("format") != FORMAT:
        return f"the format is not {FORMAT}"
    return "keys are missing or unknown, or a value does not have its form"


# ------------------------------------------------------------------------------------------------ the range of values


def _check_kind(entry: Entry) -> None:
    kind = entry.kind
    if type(kind) is not Kind:
        raise MalformedEntry("the kind is unknown")
    if entry.refers_to is None and kind in ANSWERS:
        raise MalformedEntry(f"{kind.value} says nothing without what it refers to")
    if entry.block is None and kind in PERMITS:
        raise MalformedEntry(f"{kind.value} must name the block that the guard had read")
    if entry.meta:
        if kind in WITHOUT_META:
            raise MalformedEntry(f"{kind.value} has no public metadata: it belongs into the content")
        _check_meta(entry.meta)


def _check_meta(meta: Mapping[str, Any]) -> None:
    if len(meta) > MAX_META:
        raise MalformedEntry(f"meta has more than {MAX_META} members")
    for key, value in meta.items():
        if not isinstance(key, str) or not _META_KEY.fullmatch(key):
            raise MalformedEntry("a key of meta is not [a-z][a-z0-9_]* of at most 32 characters")
        whole = type(value) is int and abs(value) <= _MAX
        if not whole and type(value) is not bool and not (type(value) is str and _META_TEXT.fullmatch(value)):
            raise MalformedEntry(
                f"meta's {key} is no integer, bool or at most 128 printable ASCII characters"
            )
