"""Whose signature it is: ECDSA recovery, with the rules of the contract (low s, v of 27 or 28; EIP-2, EIP-712)."""

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

_HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2


def recover_signer(digest: bytes, signature: bytes) -> str | None:
    """The checksummed address whose key signed `digest` (32 bytes), None if `signature` is nobody's 65 bytes of ECDSA.

    None, too, for what a contract signer (ERC-1271) would accept: that only the chain can say.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    if not 0 < int.from_bytes(signature[32:64], "big") <= _HALF_ORDER:
        return None
    try:
        plain = Signature(signature[:64] + bytes([signature[64] - 27]))
        return str(plain.recover_public_key_from_msg_hash(digest).to_checksum_address())
    except (BadSignature, ValidationError, ValueError):
        return None
