"""Is a death receipt the operator's word? From the entry's public facts alone, so that it holds after an erasure."""

import binascii
from base64 import b64decode

from agent_guard.entry import Entry
from agent_guard.typed_data import MalformedBallot, death_digest
from agent_guard.typed_data.recover import recover_signer
from agent_guard.types import LogIdentity


def is_signed(entry: Entry, identity: LogIdentity) -> bool:
    """Whether a death entry's facts bear the signature of the log's operator (EIP-712, `typed_data.death`)."""
    facts = {name: fact for name, fact in entry.meta.items() if name != "signature"}
    try:
        signature = b64decode(str(entry.meta.get("signature", "")), validate=True)
        digest = death_digest(entry.agent, facts, identity.chain_id, identity.council)
    except (binascii.Error, MalformedBallot):
        return False
    return recover_signer(digest, signature) == identity.operator
