"""What the formats have in common: the one error, and numbers in their only spelling."""

import re

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class FormatError(ValueError):
    """Bytes or text that are no tile, path, entry bundle or proof."""


def parse_number(text: str, what: str) -> int:
    """A decimal number below 2^63 without sign or leading zeros, else `FormatError`."""
    if not _NUMBER.fullmatch(text) or int(text) >= 2**63:
        raise FormatError(f"{what} is a decimal number below 2^63 without sign or leading zeros")
    return int(text)
