"""Verifies one entry's proof bundle, offline but for the chain's word on the head.

The steps, each tagged where it is done:

  1. Form: a `tlog-proof` with our evidence, and a checkpoint of a guard's log.
  2. Entry: its bytes are an entry, of the agent that was asked for and of the index that is proven.
  3. Inclusion: its leaf leads to the checkpoint's root (RFC 9162).
  4. Content: what is there hashes, with its salt, to the commitment in the entry.
  5. Operator: the signature over size and root, if there is one, is that of the operator whom the origin names.
  6. Chain: the council that was asked for is that of the origin, and holds, or held, that root for that size in the log
     of an operator of this agent: by a proof under a block's hash that the auditor knows, or by a node that he asks.
     The node tells, too, when he guarded the agent; before that no entry of his speaks of it (terms.py).
  7. Verdict: TAMPERED if anything is proven wrong, INDETERMINATE if the chain could not be asked, else VERIFIED.

Trusts SHA-256, keccak256, the block hash or the node that the auditor chose, and nothing else.
"""

from dataclasses import dataclass
from typing import Any

from agent_guard import canonical
from agent_guard.audit.facts import Unreachable
from agent_guard.audit.result import Aspect, AuditResult, Check, Fault, Result, worst
from agent_guard.audit.terms import Term
from agent_guard.chain.head_proof import head_slots, operator_in, operator_slot, size_in
from agent_guard.chain.proof import NoProof, prove
from agent_guard.chain.proof import ProofError as StateProofError
from agent_guard.checkpoint import Checkpoint, NoteError, identity_of
from agent_guard.entry import Entry, MalformedEntry
from agent_guard.errors import GuardError
from agent_guard.merkle import ProofError, leaf_hash, verify_inclusion
from agent_guard.tlog import Evidence, FormatError, TlogProof, decode_evidence, parse_proof
from agent_guard.typed_data import head_digest
from agent_guard.typed_data.recover import recover_signer
from agent_guard.types import LogIdentity


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle of the right form: claims, until `verify` has checked them."""

    proof: TlogProof
    evidence: Evidence
    checkpoint: Checkpoint
    identity: LogIdentity

    @property
    def body(self) -> bytes:
        """The entry's bytes."""
        return self.evidence.entry.encode()


@dataclass(frozen=True, slots=True)
class Shown:
    """What a bundle shows. `entry` is None where its bytes are none; `content` its JSON value, None where not given.

    `unreadable`: why a content that hashes as it must is not shown: no canonical JSON. That changes no verdict, as in
    an audit of the whole log: these bytes are what the entry commits to.
    """

    check: Check
    entry: Entry | None
    content: Any = None
    unreadable: str | None = None


def open_bundle(text: str) -> Bundle:
    """1. Form. Raises `GuardError` AG544 if it is no bundle of ours."""
    try:
        proof = parse_proof(text)
        if proof.extra is None:
            raise FormatError("it carries no entry (there is no line of extra data)")
        checkpoint = proof.checkpoint
        return Bundle(proof, decode_evidence(proof.extra), checkpoint, identity_of(checkpoint.origin))
    except (FormatError, NoteError) as error:
        raise GuardError(
            "AG544",
            f"This is no proof of an agent-guard log: {error}. Nothing was verified.",
            "Ask for a file that was made with: agent-guard log prove AGENT SEQ -o FILE",
        ) from error


def verify(
    bundle: Bundle, agent: bytes, anchored: bytes | Unreachable | None, term: Term | None = None
) -> Shown:
    """Steps 2 to 7, for an agent (32-byte id).

    Args:
        anchored: 6. the root (32 bytes) that the contract holds, or held, for the checkpoint's size, None if it never
            held a head of that size; or why that is not known.
        term: that of the log's operator in which the entry came onto the chain; None if it is not known.
    """
    try:
        entry = Entry.decode(bundle.body)
    except MalformedEntry as error:
        return Shown(_tampered(f"its bytes are no entry: {error}"), None)
    content, unreadable, wrong = _content(bundle, entry)
    if entry.agent != agent:
        return Shown(
            Check(Result.INDETERMINATE, "it is an entry of another agent than the one asked for"), entry
        )
    wrong = _wrong(bundle, entry) or wrong or _against_chain(bundle, anchored)
    if wrong is not None:
        return Shown(_tampered(wrong), entry)
    size, operator = bundle.checkpoint.size, bundle.identity.operator
    where = f"entry {entry.index} is in a log of {size} entries of operator {operator}"
    if isinstance(anchored, Unreachable):
        doubt = f"{where}, but whether that log is the one on chain is not known: {anchored.why}"
        return Shown(Check(Result.INDETERMINATE, doubt), entry, content, unreadable)
    if term is not None and entry.block is not None and entry.block.number < term.since:
        early = f"{where}, {term}; but it names block {entry.block.number}, when he did not"
        return Shown(Check(Result.INDETERMINATE, early), entry, content, unreadable)
    whose = term or "who guarded this agent in the block of that hash (since when, it does not show)"
    check = Check(Result.VERIFIED, f"{where}, {whose}, under the root that is on chain")
    return Shown(check, entry, content, unreadable)


def root_in_state(bundle: Bundle, agent: bytes, block_hash: bytes) -> bytes | Unreachable:
    """6. The root that the bundle's state proof shows under a block's hash (32 bytes), for `verify`.

    `Unreachable` if the bundle has no such proof, one that shows nothing under this hash or a head of another size, or
    that of an operator who did not guard the agent (its 32-byte id) in that block.
    """
    state = bundle.evidence.state
    if state is None:
        return Unreachable("the bundle carries no proof of the chain's state (log prove --full makes one)")
    slots = [*head_slots(bundle.identity.operator), operator_slot(agent)]
    proofs = [{"proof": nodes} for nodes in (state.root, state.size, state.operator)]
    answer = {"accountProof": state.account, "storageProof": proofs}
    try:
        root, size, operator = prove(state.header, block_hash, bundle.identity.council, slots, answer)
    except (StateProofError, NoProof) as error:
        return Unreachable(f"its proof of the chain's state shows nothing under this block hash ({error})")
    if operator_in(operator) != bundle.identity.operator.lower():
        return Unreachable(f"at that block {operator_in(operator)} guards the agent, not the log's operator")
    if root >> 256:
        return Unreachable("its proof shows a word that no contract can hold")
    if (held := size_in(size)) != bundle.checkpoint.size:
        return Unreachable(
            f"at that block the head had {held} entries, and the proof is of one of {bundle.checkpoint.size}: what was"
            " on chain before or after, its state does not show"
        )
    return root.to_bytes(32, "big")


def _wrong(bundle: Bundle, entry: Entry) -> str | None:
    """The first thing that is proven wrong in steps 2, 3 and 5."""
    if entry.index != bundle.proof.index:
        return f"the entry says that it is number {entry.index}, and number {bundle.proof.index} is proven"
    held = bundle.checkpoint
    try:
        verify_inclusion(leaf_hash(bundle.body), entry.index, held.size, bundle.proof.hashes, held.root)
    except ProofError as error:
        return f"the entry is not under the checkpoint's root: {error}"
    if not _is_operators(bundle):
        return "the signature of the head is not the operator's"
    return None


def _content(bundle: Bundle, entry: Entry) -> tuple[Any, str | None, str | None]:
    """4. Content: its value, why it has none, and what is wrong with it."""
    content = bundle.evidence.content
    if content is None:
        return None, None, None
    body = content.body.encode()
    if not entry.commits_to(bytes.fromhex(content.salt[2:]), body):
        return None, None, "its content does not hash to the commitment in it"
    try:
        return canonical.decode(body), None, None
    except canonical.NotCanonical as error:
        return None, str(error), None


def _is_operators(bundle: Bundle) -> bool:
    """5. Operator."""
    signature, held, identity = bundle.evidence.signature, bundle.checkpoint, bundle.identity
    if signature is None:
        return True
    digest = head_digest(held.size, held.root, identity.chain_id, identity.council)
    return recover_signer(digest, bytes.fromhex(signature[2:])) == identity.operator


def _against_chain(bundle: Bundle, anchored: bytes | Unreachable | None) -> str | None:
    """6. Chain."""
    if isinstance(anchored, Unreachable) or anchored == bundle.checkpoint.root:
        return None
    size = bundle.checkpoint.size
    if anchored is None:
        return f"the contract holds no head of {size} entries"
    return f"the root on chain for {size} entries is 0x{anchored.hex()}, the checkpoint's is another"


def _tampered(why: str) -> Check:
    return Check(Result.TAMPERED, why)


def as_audit(bundle: Bundle, shown: Shown) -> AuditResult:
    """What an audit says of an agent of whose log it has one entry: nothing of the rest."""
    alone = Check(Result.INDETERMINATE, "a proof shows one entry, and nothing of the rest of the log")
    given = bundle.evidence.content is not None and shown.check.result is not Result.TAMPERED
    openness = (
        Check(Result.VERIFIED, "the content of the entry is there")
        if given
        else Check(Result.INDETERMINATE, "the content of the entry is not in the file")
    )
    fault = Fault(Aspect.INTEGRITY, bundle.proof.index, "entry", shown.check.detail)
    return AuditResult(
        result=worst([shown.check, alone, openness]),
        integrity=shown.check,
        completeness=alone,
        obedience=alone,
        openness=openness,
        entries=1,
        anchored=int(shown.check.result is Result.VERIFIED),
        head=None,
        halted_at=None,
        death=None,
        overrun_ms=None,
        first_bad=fault if shown.check.result is Result.TAMPERED else None,
        as_of=None,
    )
