"""The one error that leaves any part of agent_guard, and the catalogue of its codes.

Every failure a user can meet is a `GuardError`: a code that `agent-guard help CODE` explains, a message that says
what failed, why, and what did not happen, and a remedy that says what to run next. Adapters translate the errors of
foreign libraries once, at their own edge. The kind of a code fixes the program's exit code, so that scripts can rely
on it.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """A closed set of failure kinds. The value is the process exit code (interface contract, tested)."""

    FAILURE = 1
    USAGE = 2
    CANCELLED = 3
    PERMISSION = 4
    TAMPERED = 5
    INDETERMINATE = 6
    NO_QUORUM = 7
    HALTED = 8
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `agent-guard help CODE` prints: the kind, a title and a paragraph."""

    kind: Kind
    title: str
    text: str


class GuardError(Exception):
    """A failure that a person can act on.

    Args:
        code: a key of `CATALOGUE`, such as "AG201"; an unknown one raises `KeyError` at once.
        message: what failed, why, and what did not happen. Never holds a key or a password.
        remedy: what to do or to run next.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        self.kind = CATALOGUE[code].kind
        self.code = code
        self.message = message
        self.remedy = remedy
        super().__init__(f"{code}: {message} {remedy}")

    @property
    def exit_code(self) -> int:
        return self.kind.value

    def as_dict(self) -> dict[str, dict[str, str]]:
        """The error shape of the command line and of the HTTP API."""
        return {
            "error": {
                "code": self.code,
                "kind": self.kind.name.lower(),
                "message": self.message,
                "remedy": self.remedy,
            }
        }


# AG1xx usage and settings · AG2xx chain · AG3xx keys and votes · AG4xx guard and sandbox · AG5xx log and audit ·
# AG6xx the agent's API.
CATALOGUE: dict[str, Explanation] = {
    "AG100": Explanation(
        Kind.FAILURE,
        "Unexpected failure",
        "The program met a condition that nobody foresaw. Nothing it did not report as done was done. The message"
        " names the exception; run again with AGENT_GUARD_DEBUG=1 for the traceback, and report it.",
    ),
    "AG101": Explanation(
        Kind.USAGE,
        "The command line makes no sense",
        "An argument or option is missing, unknown or malformed. Nothing was done. Every command has --help.",
    ),
    "AG102": Explanation(
        Kind.USAGE,
        "The settings make no sense",
        "agent_guard.toml or an AGENT_GUARD_* variable holds values that can't be used. All problems are listed at"
        " once. Flags win over the environment, the environment over the file.",
    ),
    "AG103": Explanation(
        Kind.CANCELLED,
        "Cancelled",
        "The question was answered with something other than what it asked for. Nothing was signed or sent.",
    ),
}
