"""The characters that notes are made of: one strict base64, lines without control characters, key names."""

import binascii
from base64 import b64decode, b64encode


class NoteError(ValueError):
    """Text that is no note or checkpoint, or a note that no trusted key vouches for."""


def to_base64(data: bytes) -> str:
    """RFC 4648 section 4, with padding."""
    return b64encode(data).decode()


def from_base64(text: str, what: str) -> bytes:
    """The bytes whose one base64 spelling is `text`; `NoteError` for any other spelling."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"{what} is not base64") from error
    if to_base64(data) != text:  # loose bits at the end would give one value many spellings
        raise NoteError(f"{what} is not canonical base64")
    return data


def check_text(value: object, what: str) -> None:
    """Refuses what is no `str`; bytes are for the caller to decode, who knows what they are."""
    if not isinstance(value, str):
        raise NoteError(f"{what} is text, not {type(value).__name__}")


def check_characters(text: str) -> None:
    """Refuses ASCII control characters other than the newline, and what has no UTF-8 (signed-note, "Format")."""
    if any(character < " " and character != "\n" for character in text):
        raise NoteError("a note holds no control characters other than newlines")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoteError("a note is valid UTF-8") from error


def check_name(name: str) -> None:
    """Refuses what is no key name: empty, or with a space of any kind or a plus."""
    if not name or "+" in name or any(character.isspace() for character in name):
        raise NoteError("a key's name is not empty and holds no spaces and no plus")
    check_characters(name)
