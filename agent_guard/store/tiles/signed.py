"""The operator's signed head, which lies beside a checkpoint: the one half of a fork proof that a contract can check.

Guarantees: the `head` that is given was signed by the operator of the log that was named (ECDSA), for its council and
chain; a file of any other kind is AG547, and is no contradiction: it may be of another moment, kept in a cache, or made
by whoever runs the site. Trusts nobody. The signature of an operator that is a contract (ERC-1271) only the chain can
judge, so that none is given.
"""

from dataclasses import dataclass

from agent_guard.errors import GuardError
from agent_guard.store.tiles.source import Source, read
from agent_guard.typed_data import MalformedBallot, SignedHead
from agent_guard.typed_data.signed_head import MAX_FILE, SIGNED_HEAD
from agent_guard.types import LogIdentity


@dataclass(frozen=True, slots=True)
class Beside:
    """What lies beside a checkpoint: a head of this log that its operator signed, of whatever size; or why none is."""

    head: SignedHead | None
    trouble: GuardError | None = None


def beside(source: Source, who: LogIdentity) -> Beside:
    """What the source has of the log of `who`; neither head nor trouble where there is no such file."""
    try:
        return Beside(_checked(source, who, read(source, SIGNED_HEAD, MAX_FILE, no_signed_head)))
    except FileNotFoundError:
        return Beside(None)
    except GuardError as error:
        return Beside(None, error)


def no_signed_head(source: Source, path: str, why: str) -> GuardError:
    """A file that says nothing."""
    return GuardError(
        "AG547",
        f"{source.name}/{path} is no signed head of this checkpoint: {why}. It was left aside.",
        "Look again in a moment; if it stays so, ask whoever serves the log. The log itself does not depend on it.",
    )


def _checked(source: Source, who: LogIdentity, data: bytes) -> SignedHead:
    try:
        head = SignedHead.decode(data.decode())
    except (UnicodeDecodeError, MalformedBallot) as error:
        raise no_signed_head(source, SIGNED_HEAD, str(error)) from error
    if (head.chain_id, head.council, head.operator) != (who.chain_id, who.council, who.operator):
        raise no_signed_head(source, SIGNED_HEAD, "it is of another operator, council or chain")
    if (signer := head.signer()) != who.operator:
        raise no_signed_head(
            source, SIGNED_HEAD, f"it is signed by {signer or 'nobody'}, not by {who.operator}"
        )
    return head
