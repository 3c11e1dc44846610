"""The text of a checkpoint: origin, size and root of a log, three lines and no more than that is needed (C2SP)."""

import re
from dataclasses import dataclass

from eth_utils.address import to_checksum_address

from agent_guard.checkpoint.form import NoteError, check_characters, check_text, from_base64, to_base64
from agent_guard.merkle import MAX_SIZE
from agent_guard.types import LogIdentity

MAX_TEXT = 65_536
"""Characters of the whole text, extension lines with it: the specification sets their number no bound."""
MAX_ORIGIN = 255
"""UTF-8 bytes: what a cosignature of the recommended kind has room for (tlog-cosignature, `log_origin`)."""
_TOO_LONG = f"a checkpoint has at most {MAX_TEXT} characters"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_ORIGIN = re.compile(r"agent-guard/(0|[1-9][0-9]{0,18})/(0x[0-9a-f]{40})/(0x[0-9a-f]{40})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head under the log's name. Raises `NoteError` for values that no checkpoint can hold.

    Args:
        origin: names the log; one line, not empty, at most `MAX_ORIGIN` bytes.
        size: entries, below 2^63.
        root: RFC 6962 root over them, 32 bytes.
        extensions: opaque further lines, none empty. Ours have none: they can't be audited.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.extensions, tuple):
            raise NoteError("a checkpoint's extension lines are a tuple")
        for line in (self.origin, *self.extensions):
            check_text(line, "a checkpoint's line")
            if not line or "\n" in line:
                raise NoteError("a checkpoint's lines are not empty and hold no newline")
            check_characters(line)
        if len(self.origin.encode()) > MAX_ORIGIN:
            raise NoteError(f"a checkpoint's origin has at most {MAX_ORIGIN} bytes")
        if type(self.size) is not int or not 0 <= self.size <= MAX_SIZE:
            raise NoteError("a checkpoint's size is an integer from 0 to 2^63 - 1")
        if (
            type(self.root) is not bytes
        ):  # nor a subclass, as web3's HexBytes: it could call itself equal to anything
            raise NoteError(f"a checkpoint's root is bytes, not {type(self.root).__name__}")
        if len(self.root) != 32:
            raise NoteError(f"a checkpoint's root has 32 bytes, not {len(self.root)}")
        if len(str(self)) > MAX_TEXT:
            raise NoteError(_TOO_LONG)

    def __str__(self) -> str:
        """The note's text: what is signed. `parse` reads it back."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(line + "\n" for line in lines)


def parse_body(text: str) -> Checkpoint:
    """The checkpoint of a note's text, each line ended by a newline, in its only spelling; else `NoteError`."""
    if len(text) > MAX_TEXT:
        raise NoteError(_TOO_LONG)
    *lines, end = text.split("\n")
    if end or len(lines) < 3:
        raise NoteError("a checkpoint has at least three lines, each ended by a newline")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size):
        raise NoteError("a checkpoint's size is a decimal number without sign or leading zeros")
    return Checkpoint(origin, int(size), from_base64(root, "the root"), tuple(extensions))


def log_origin(chain_id: int, council: str, operator: str) -> str:
    """The origin of a guard's log: `agent-guard/<chain id>/<council>/<operator>`, addresses in lower case.

    It names all that fixes where the head is anchored. Raises `NoteError` for what is no chain id or address.
    """
    addresses = (council.lower(), operator.lower())
    if type(chain_id) is not int or chain_id < 0 or not all(map(_ADDRESS.fullmatch, addresses)):
        raise NoteError("a log is named by a chain id and two addresses of 0x and 40 hexadecimal digits")
    return f"agent-guard/{chain_id}/{addresses[0]}/{addresses[1]}"


def identity_of(origin: str) -> LogIdentity:
    """Whose log an origin names: what `log_origin` was given, addresses checksummed. `NoteError` for other origins."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise NoteError(
            "the origin is not that of a guard's log: agent-guard/<chain id>/<council>/<operator>"
        )
    chain_id, *addresses = match.groups()
    return LogIdentity(int(chain_id), *map(to_checksum_address, addresses))
