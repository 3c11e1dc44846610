"""Builds what a guard's log needs of its operator: the anchoring, its checkpoints, and the signatures of deaths."""

from base64 import b64encode
from collections.abc import Callable, Mapping

from eth_account import Account
from eth_account.signers.local import LocalAccount

from agent_guard import typed_data
from agent_guard.chain.anchoring import HeadWriter
from agent_guard.chain.sender import Sender
from agent_guard.checkpoint import Checkpoint, Signer, log_origin, sign_note
from agent_guard.keys.ed25519 import load_or_make
from agent_guard.log.anchor import Anchor, AnchorPolicy, HeadSigner
from agent_guard.session.places import Places
from agent_guard.store import Store
from agent_guard.types import LogIdentity
from agent_guard.wiring import Connection


def log_identity(connection: Connection, operator: str) -> LogIdentity:
    return LogIdentity(connection.deployment.chain_id, connection.contract.address, operator)


def anchoring(
    connection: Connection, operator: LocalAccount, sender: Sender, store: Store, places: Places
) -> tuple[Anchor, str]:
    """The anchoring loop, not started, and the verifier key of its checkpoints."""
    settings, chain_id = connection.settings, connection.deployment.chain_id
    council = connection.contract.address
    origin = log_origin(chain_id, council, operator.address)
    signer = Signer(origin, load_or_make(places.checkpoint_key, "The checkpoint key"))

    def note(size: int, root: bytes) -> str:
        return sign_note(str(Checkpoint(origin, size, root)), [signer])

    anchor = Anchor(
        store,
        HeadWriter(connection.contract, sender),
        HeadSigner(note, sign_heads(connection, operator)),
        AnchorPolicy(settings.anchor_entries, settings.anchor_age),
    )
    return anchor, str(signer.verifier)


def sign_heads(connection: Connection, operator: LocalAccount) -> Callable[[int, bytes], bytes]:
    """Signs heads of the operator's log, given as size and root: EIP-712, 65 bytes."""
    chain_id, council = connection.deployment.chain_id, connection.contract.address

    def sign(size: int, root: bytes) -> bytes:
        message = typed_data.head_typed_data(size, root, chain_id, council)
        return bytes(Account.sign_typed_data(operator.key, full_message=message).signature)

    return sign


def sign_death(
    connection: Connection, operator: LocalAccount, agent: bytes, facts: Mapping[str, int | str]
) -> str:
    """The operator's signature (EIP-712) of a death, base64 of 65 bytes: 88 characters, which public metadata holds."""
    message = typed_data.death_typed_data(
        agent, facts, connection.deployment.chain_id, connection.contract.address
    )
    return b64encode(Account.sign_typed_data(operator.key, full_message=message).signature).decode()
