"""Passwords: from a file or from a prompt; never from the command line or the environment itself."""

import getpass
import sys
from pathlib import Path

from agent_guard.errors import GuardError


def from_file(path: Path) -> str:
    """The first line of a password file. Raises AG304 if it can't be read or is empty."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GuardError(
            "AG304",
            f"The password file {path} can't be read ({type(error).__name__}). Nothing was signed.",
            "Name a readable file with --password-file.",
        ) from None
    if not lines or not lines[0]:
        raise GuardError(
            "AG304",
            f"The password file {path} is empty. Nothing was signed.",
            "Put the password on its first line.",
        )
    return lines[0]


def ask(prompt: str, twice: bool = False) -> str:
    """Asks on the terminal, without echo; `twice` for a new password. Raises AG304 where there is no terminal."""
    if not sys.stdin.isatty():
        raise GuardError(
            "AG304",
            "A password is needed and there is no terminal to ask on. Nothing was signed.",
            "Give --password-file FILE.",
        )
    password = getpass.getpass(prompt)
    if twice and getpass.getpass("Again: ") != password:
        raise GuardError("AG103", "The two passwords differ. Nothing was written.", "Start again.")
    return password
