"""What signers and the operator sign: EIP-712 typed data for ballots and log heads, and the ids behind them.

Guarantees: the digests are those of the contract (`ICouncil.ballotDigest`) and of every wallet that follows EIP-712,
computed without a wallet library, so that a test can hold both against each other. Trusts nobody: values out of range
raise `MalformedBallot` instead of being cut to fit. Signatures are neither made nor checked here. Pure, without I/O.
"""

from agent_guard.typed_data.death import death_digest, death_typed_data
from agent_guard.typed_data.messages import (
    MalformedBallot,
    agent_id,
    ballot_digest,
    ballot_typed_data,
    checksum_address,
    domain_separator,
    head_digest,
    head_typed_data,
    reason_hash,
    struct_hash,
)
from agent_guard.typed_data.signed_ballot import SignedBallot
from agent_guard.typed_data.signed_head import SignedHead

__all__ = [
    "MalformedBallot",
    "SignedBallot",
    "SignedHead",
    "agent_id",
    "ballot_digest",
    "ballot_typed_data",
    "checksum_address",
    "death_digest",
    "death_typed_data",
    "domain_separator",
    "head_digest",
    "head_typed_data",
    "reason_hash",
    "struct_hash",
]
