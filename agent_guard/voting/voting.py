"""Casting votes: directly from a signer's account, or as signed ballots that anyone relays.

Every call first reads one block, says what it found as a `Motion`, and refuses early what the contract would refuse.
The contract has the last word; its refusals come back as errors with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3.exceptions import ContractLogicError
from web3.logs import DISCARD
from web3.types import TxReceipt

from agent_guard import typed_data
from agent_guard.chain.council import CouncilContract
from agent_guard.chain.reverts import explain_revert
from agent_guard.chain.sender import Sender
from agent_guard.errors import GuardError
from agent_guard.typed_data import SignedBallot
from agent_guard.types import FLEET, Action, Ballot, Block, Council, Refusal, State, Thresholds
from agent_guard.voting.motion import Motion, default_param, refuse

FLEET_NAME = "the whole fleet"
# Ballots that stop may be signed long ahead; the contract takes all others for a day at most.
STOPS = (Action.HALT, Action.PAUSE, Action.VETO)
LONGEST = 24 * 3600


@dataclass(frozen=True, slots=True)
class Skipped:
    """A halt ballot that did not count while others of its batch did."""

    signer: str
    why: Refusal


class Voting:
    """Votes on one council.

    Args:
        contract: the council through one endpoint.
        chain_id: of the deployment record, which was checked against the endpoint.
    """

    def __init__(self, contract: CouncilContract, chain_id: int) -> None:
        self.contract = contract
        self.chain_id = chain_id

    def motion(self, action: Action, name: str | None, param: bytes | None = None) -> Motion:
        """The question as it stands at the newest block. `name` None is the fleet."""
        agent = FLEET if name is None else typed_data.agent_id(name)
        block = self.contract.endpoint.block()
        state = self.contract.snapshot([agent], block)[agent]
        chosen = default_param(action, state) if param is None else param
        count, needed, voters = self.contract.votes(agent, action, chosen, block)
        council = self.contract.council(block)
        return Motion(action, name or FLEET_NAME, state, chosen, council, count, needed, voters, block)

    def rotation_param(self, signers: Sequence[str], thresholds: Thresholds, salt: bytes) -> bytes:
        """The `param` of a vote to rotate."""
        limits = (thresholds.halt, thresholds.resume, thresholds.retire)
        block = self.contract.endpoint.block()
        return bytes(self.contract.call("rotationParam", list(signers), limits, salt, block=block))

    def cast(self, motion: Motion, sender: Sender, reason: str) -> TxReceipt:
        """Votes with a transaction of the signer's own. Raises what `motion.refuse` and `Sender.send` raise."""
        refuse(motion, sender.address)
        arguments = (
            motion.agent,
            int(motion.action),
            motion.param,
            motion.state.epoch,
            typed_data.reason_hash(reason),
        )
        return sender.send(
            self.contract.contract.functions.vote(*arguments), f"vote {motion.action.name.lower()}"
        )

    def ballot(self, motion: Motion, signer: str, reason: str, deadline: int) -> Ballot:
        """The ballot to sign. Raises AG313 if the deadline can't count, else what `motion.refuse` raises."""
        refuse(motion, signer)
        if motion.action not in STOPS and deadline > motion.block.timestamp + LONGEST:
            raise GuardError(
                "AG313",
                "Only ballots that stop (halt, pause, veto) may hold for more than 24 h. Nothing was signed.",
                "Choose a deadline within a day with --expires.",
            )
        return Ballot(
            agent=motion.agent,
            action=motion.action,
            param=motion.param,
            epoch=motion.state.epoch,
            set_version=motion.council.set_version,
            signer=signer,
            deadline=deadline,
            reason=typed_data.reason_hash(reason),
        )

    def sign(self, ballot: Ballot, account: LocalAccount, reason: str) -> SignedBallot:
        message = typed_data.ballot_typed_data(ballot, self.chain_id, self.contract.address)
        signed = Account.sign_typed_data(account.key, full_message=message)
        return SignedBallot(self.chain_id, self.contract.address, ballot, bytes(signed.signature), reason)

    def submit(self, ballots: Sequence[SignedBallot], sender: Sender) -> tuple[TxReceipt, int, list[Skipped]]:
        """Relays ballots in one transaction: the receipt, how many counted, and which halt ballots were skipped.

        Raises:
            GuardError: AG313 naming each ballot that can't count, if not all are halt ballots or none can count.
        """
        problems = self._problems(ballots)
        all_halt = all(signed.ballot.action is Action.HALT for signed in ballots)
        if problems and (not all_halt or len(problems) == len(ballots)):
            raise _not_counting(problems)
        call = self.contract.contract.functions.submit(
            [_ballot_tuple(signed.ballot) for signed in ballots], [signed.signature for signed in ballots]
        )
        receipt = sender.send(call, "submit the ballots")
        events = self.contract.contract.events.BallotSkipped().process_receipt(receipt, errors=DISCARD)
        skipped = [Skipped(event["args"]["signer"], Refusal(event["args"]["why"])) for event in events]
        return receipt, len(ballots) - len(skipped), skipped

    def relay(self, ballots: Sequence[SignedBallot], sender: Sender) -> None:
        """Submits the halt ballots that bring the chain anything new. Raises what `submit` raises."""
        new = [
            signed
            for signed in ballots
            if not self.stands(signed.ballot.agent, signed.ballot.epoch, signed.ballot.signer)
        ]
        if new:
            self.submit(new, sender)

    def stands(self, agent: bytes, epoch: int, signer: str) -> bool:
        """Whether the chain has this signer's vote to halt, or the halt itself, or has gone beyond that epoch."""
        block = self.contract.endpoint.block()
        state = self.contract.snapshot([agent], block)[agent]
        if state.epoch != epoch or state.state in (State.HALTED, State.RETIRED):
            return state.epoch >= epoch
        signers = self.contract.council(block).signers
        voters = self.contract.votes(agent, Action.HALT, bytes(32), block)[2]
        return signer in signers and bool(voters >> signers.index(signer) & 1)

    def counted(self, receipt: TxReceipt) -> tuple[int, int]:
        """Votes and votes needed after a vote's transaction; (0, 0) if it cast none that counts."""
        voted = self.contract.contract.events.Voted().process_receipt(receipt, errors=DISCARD)
        return (voted[-1]["args"]["votes"], voted[-1]["args"]["needed"]) if voted else (0, 0)

    def finish(self, motion: Motion, sender: Sender) -> TxReceipt:
        """Puts a resume or an operator change into force whose delay is over; anyone may."""
        functions = self.contract.contract.functions
        if motion.action is Action.RESUME:
            return sender.send(functions.finishResume(motion.agent), "finish the resume")
        return sender.send(functions.finishOperator(motion.agent, motion.param), "finish the operator change")

    def finish_rotation(
        self, signers: Sequence[str], thresholds: Thresholds, salt: bytes, sender: Sender
    ) -> TxReceipt:
        """Puts a rotation into force whose delay is over; anyone may."""
        limits = (thresholds.halt, thresholds.resume, thresholds.retire)
        call = self.contract.contract.functions.finishRotation(list(signers), limits, salt)
        return sender.send(call, "finish the rotation")

    def _problems(self, ballots: Sequence[SignedBallot]) -> dict[int, str]:
        """Which ballots can't count, and why, as far as it can be seen without the contract."""
        block = self.contract.endpoint.block()
        council = self.contract.council(block)
        states = self.contract.snapshot(sorted({signed.ballot.agent for signed in ballots}), block)
        problems: dict[int, str] = {}
        for index, signed in enumerate(ballots):
            problem = self._problem(signed, council, block, states[signed.ballot.agent].epoch)
            problem = problem or self._contract_refuses(signed, block)
            if problem:
                problems[index] = f"ballot {index + 1} ({signed.ballot.signer}): {problem}"
        return problems

    def _problem(self, signed: SignedBallot, council: Council, block: Block, epoch: int) -> str | None:
        ballot = signed.ballot
        if signed.chain_id != self.chain_id or signed.council.lower() != self.contract.address.lower():
            return f"it is for the council {signed.council} of chain {signed.chain_id}"
        if ballot.signer not in council.signers:
            return "its signer is not in the present set"
        if ballot.set_version != council.set_version:
            return f"it is for signer set {ballot.set_version}; the present one is {council.set_version}"
        if ballot.epoch != epoch:
            return f"it is for epoch {ballot.epoch}; the agent is in epoch {epoch}"
        if block.timestamp >= ballot.deadline:
            return f"it expired {block.timestamp - ballot.deadline} s ago"
        return None

    def _contract_refuses(self, signed: SignedBallot, block: Block) -> str | None:
        """What the contract itself says of this one ballot, asked without sending."""
        if signed.ballot.action is Action.HALT:
            # A lone halt ballot never reverts: whether it counted is what the call returns.
            call = ([_ballot_tuple(signed.ballot)], [signed.signature])
            accepted = self.contract.call("submit", *call, block=block)
            return None if accepted else "the contract skips it: a bad signature, or the vote stands already"
        function = self.contract.contract.functions.submit([_ballot_tuple(signed.ballot)], [signed.signature])
        try:
            with self.contract.endpoint.calling("ask the council about a ballot"):
                function.call(block_identifier=block.number)
        except ContractLogicError as error:
            return explain_revert(error.data)
        return None


def _not_counting(problems: dict[int, str]) -> GuardError:
    return GuardError(
        "AG313",
        "Nothing was sent, for the contract would refuse: " + "; ".join(problems.values()) + ".",
        "Leave these ballots out, or have them signed anew (vote ... --sign-only).",
    )


def _ballot_tuple(ballot: Ballot) -> tuple[object, ...]:
    """A ballot in the contract's order of fields."""
    return (
        ballot.agent,
        int(ballot.action),
        ballot.param,
        ballot.epoch,
        ballot.set_version,
        ballot.signer,
        ballot.deadline,
        ballot.reason,
    )
