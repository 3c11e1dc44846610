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
    "AG201": Explanation(
        Kind.INDETERMINATE,
        "The chain can't be reached",
        "The RPC endpoint did not answer in time, or not in a way that makes sense. Nothing was sent. A guard that"
        " can't read the chain freezes its agent, and kills it when the outage outlasts the grace.",
    ),
    "AG202": Explanation(
        Kind.FAILURE,
        "The wrong chain",
        "The endpoint serves another chain than the deployment record names (chain id or genesis block differ)."
        " Nothing was read from it or sent to it.",
    ),
    "AG203": Explanation(
        Kind.FAILURE,
        "No council at that address",
        "There is no code at the recorded address, or not the code that the record's hash names. Do not vote, run or"
        " audit against it until you know why.",
    ),
    "AG204": Explanation(
        Kind.FAILURE,
        "No usable deployment record",
        "deployments/<network>/Council.json is missing, unreadable or lacks a field.",
    ),
    "AG205": Explanation(
        Kind.FAILURE,
        "The transaction did not go through",
        "It was refused by the node, reverted, or not mined in time. The message names which; a transaction that was"
        " sent but not mined may still be, and its hash is in the message.",
    ),
    "AG206": Explanation(
        Kind.PERMISSION,
        "The account can't pay for gas",
        "The sending account holds less of the chain's coin than the transaction costs. Nothing was sent.",
    ),
    "AG207": Explanation(
        Kind.FAILURE,
        "Anvil can't be used",
        "`agent-guard devnet` needs Foundry's anvil, in PATH or in node_modules/.bin.",
    ),
    "AG208": Explanation(
        Kind.FAILURE,
        "The port is in use",
        "Another program listens on the port that was asked for. Nothing was started.",
    ),
    "AG301": Explanation(
        Kind.PERMISSION,
        "No such key",
        "The keystore named by --account, --keystore or ETH_KEYSTORE* does not exist.",
    ),
    "AG302": Explanation(
        Kind.PERMISSION,
        "The keystore can't be read",
        "The file is not a version 3 keystore, or this user may not read it.",
    ),
    "AG303": Explanation(
        Kind.PERMISSION,
        "Wrong password",
        "The password does not open the keystore. Nothing was signed.",
    ),
    "AG304": Explanation(
        Kind.PERMISSION,
        "No password given",
        "There is no terminal to ask on and no --password-file or *_FILE setting.",
    ),
    "AG305": Explanation(
        Kind.FAILURE,
        "The key exists already",
        "A keystore of that name is there; keys are never overwritten.",
    ),
    "AG306": Explanation(
        Kind.USAGE,
        "That is no private key",
        "An imported key is 32 bytes in hexadecimal, in the range of the curve. Nothing was written.",
    ),
    "AG310": Explanation(
        Kind.PERMISSION,
        "Not a signer",
        "The key is not in the council's present signer set. Nothing was signed or sent.",
    ),
    "AG311": Explanation(
        Kind.FAILURE,
        "Unknown agent",
        "No agent of that name is registered with this council.",
    ),
    "AG312": Explanation(
        Kind.FAILURE,
        "The state does not allow this vote",
        "The agent's state on chain does not admit the action (for instance, resuming an agent that runs).",
    ),
    "AG313": Explanation(
        Kind.FAILURE,
        "The ballot does not count",
        "The contract would refuse the ballot, for the reason named: another council, epoch, signer set or agent, a"
        " deadline passed, a bad signature, or a vote that stands already.",
    ),
    "AG314": Explanation(
        Kind.USAGE,
        "The ballot file can't be read",
        "It is not a file written by `vote ... --sign-only`, or was changed since.",
    ),
}
