"""Is a death receipt the operator's word? From the entry's public facts alone, so that it holds after an erasure."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from agent_guard.entry import Entry
from agent_guard.typed_data import death_digest
from agent_guard.typed_data.death import is_found_dead
from agent_guard.typed_data.recover import recover_signer
from agent_guard.types import LogIdentity


def is_signed(entry: Entry, identity: LogIdentity) -> bool:
    """Whether a death entry's facts bear the signature of the log's operator (EIP-712, `typed_data.death`)."""
    return vouches(entry.meta, entry.agent, identity)


def vouches(facts: Mapping[str, Any], agent: bytes, identity: LogIdentity) -> bool:
    """Whether the `signature` among a death's facts (base64) is the operator's, of that agent's death."""
    if is_found_dead(facts) and "dead" in facts:  # who found it dead does not know when it died
        return False
    try:
        signature = b64decode(str(facts.get("signature", "")), validate=True)
        digest = death_digest(agent, facts, identity.chain_id, identity.council)
    except ValueError:  # no base64, or MalformedBallot
        return False
    return recover_signer(digest, signature) == identity.operator
