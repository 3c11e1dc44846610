// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilState} from "./CouncilState.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {Ballots} from "./libraries/Ballots.sol";
import {Bits} from "./libraries/Bits.sol";
import {Frontier} from "./libraries/Frontier.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Tally} from "./libraries/Tally.sol";

/// @title Council
/// @notice The off-switch of a fleet of AI agents, and the heads of their logs. What each function promises stands in
/// `ICouncil`; what the whole promises, with the test that tries to break each promise, in `contracts/README.md`.
///
/// Design
/// - Immutable: no owner, no proxy, no delegatecall, no token, no balance. Nobody can do what the signers cannot.
/// - One reading of the state. `_stateOf` alone interprets an agent's slot, and everything else asks it. PAUSED and
///   LAPSED are never written: they are RUNNING, seen at a later second. What was never written is NONE and may not run.
/// - Votes are kept by question: agent, action, param, epoch, set. A new epoch or a new set asks anew, so an old vote
///   cannot count again and none needs to be cleared. There are no nonces: nothing queued can stand before a halt.
/// - An agent's epoch rises when its resume reaches its quorum. From that second every ballot of the halt that is being
///   undone is dead, also against the veto and the halt that may follow at once. It rises when its operator changes,
///   too, so that what was decided under the one never takes effect under the other; and at no other time.
/// - Anyone may finish what is due, in the block before any halt. So a change of one agent's operator voids votes on
///   that agent and on no other: no call by a stranger voids a halt of the fleet but a rotation that R have decided.
/// - A vote that does not count is a `Refusal` that is returned, not a revert, so that a batch of halts goes past it.
/// - Every address has one log, its own, that it alone extends; the contract itself checks that it only grows.
///
/// Trust assumptions
/// - One signer can stop an agent, and the fleet, for PAUSE once per epoch, set and arming of each, can veto first, and
///   can renew a lease; it can start nothing that was halted. H signers can halt. R can register, and can resume or
///   change operators and signers after RESUME_DELAY, in public, while fewer can veto. D can retire. Fewer than H who
///   are all that is honest can only delay R.
/// - Signers with code (ERC-1271) are asked without the right to write, with capped gas, and can only fail themselves.
/// - An operator can spoil its own log's future (stop it, extend it by lies), never its past.
/// - Block producers can delay a halt as they can any transaction, and can shift `block.timestamp` by seconds.
contract Council is CouncilState {
    using Ballots for Ballot;
    using Tally for uint256[11];

    uint256 private constant MAX_SIGNERS = 64;
    uint256 private constant LAST_PRECOMPILE = 0xffff; // EIP-1352
    uint256 private constant MAX_BALLOT_LIFE = 24 hours;
    bytes32 private constant HEAD_TYPEHASH = keccak256("Head(uint64 size,bytes32 root)");
    bytes32 private constant FORK_PROOF = keccak256("fork proof"); // the reason of a halt that nobody voted for

    constructor(address[] memory signers, Thresholds memory thresholds, Timing memory timing) CouncilState(timing) {
        (_agents[FLEET].state, _agents[FLEET].epoch) = (State.RUNNING, 1);
        _install(signers, thresholds);
    }

    // ------------------------------------------------------------------------------------------------------ votes

    function vote(bytes32 agent, Action action, bytes32 param, uint64 epoch, bytes32 reason) external {
        Ballot memory b = Ballot(agent, uint8(action), param, epoch, _set.version, msg.sender, 0, reason);
        Agent storage target = _agents[agent];
        (Refusal why, uint256 seat) = _admit(b, target);
        if (why == Refusal.NONE) why = _cast(b, target, seat);
        if (why != Refusal.NONE) revert VoteRefused(why);
    }

    function submit(Ballot[] calldata ballots, bytes[] calldata signatures) external returns (uint256 accepted) {
        if (ballots.length != signatures.length) revert LengthMismatch(ballots.length, signatures.length);
        for (uint256 i; i < ballots.length; ++i) {
            Ballot memory b = ballots[i];
            Agent storage agent = _agents[b.agent];
            (Refusal why, uint256 seat) = _admit(b, agent);
            if (why == Refusal.NONE) why = _authenticate(b, signatures[i]);
            if (why == Refusal.NONE) why = _cast(b, agent, seat);
            if (why == Refusal.NONE) ++accepted;
            else if (_onlyHalts(ballots)) emit BallotSkipped(i, b.signer, why);
            else revert BallotRefused(i, why);
        }
    }

    function _onlyHalts(Ballot[] calldata ballots) private pure returns (bool) {
        for (uint256 i; i < ballots.length; ++i) {
            if (ballots[i].action != uint8(Action.HALT)) return false;
        }
        return true;
    }

    /// @dev Whether this signer may speak on this agent now, and from which seat (0 is the first): the part that needs
    /// no look at the question.
    function _admit(Ballot memory b, Agent storage agent) private view returns (Refusal, uint256 seat) {
        if (b.action == uint8(Action.NONE) || b.action > uint8(type(Action).max)) return (Refusal.UNKNOWN_ACTION, 0);
        uint256 place = _placeOf[b.signer];
        if (place == 0) return (Refusal.NOT_A_SIGNER, 0);
        if (b.setVersion != _set.version) return (Refusal.WRONG_SET, 0);
        uint64 epoch = agent.epoch; // 0 for what was never registered, and only for that
        if (epoch == 0 && b.action != uint8(Action.REGISTER)) return (Refusal.UNKNOWN_AGENT, 0);
        return (b.epoch == epoch ? Refusal.NONE : Refusal.WRONG_EPOCH, place - 1);
    }

    /// @dev Whether the ballot holds at this second and is its signer's.
    function _authenticate(Ballot memory b, bytes calldata signature) private view returns (Refusal) {
        if (block.timestamp >= b.deadline) return Refusal.EXPIRED;
        Action action = Action(b.action);
        bool stops = action == Action.HALT || action == Action.PAUSE || action == Action.VETO;
        if (!stops && b.deadline > block.timestamp + MAX_BALLOT_LIFE) return Refusal.DEADLINE_TOO_FAR;
        return Signatures.isValid(b.signer, ballotDigest(b), signature) ? Refusal.NONE : Refusal.BAD_SIGNATURE;
    }

    /// @dev Counts an admitted vote, and carries the question out if it decides.
    function _cast(Ballot memory b, Agent storage agent, uint256 seat) private returns (Refusal) {
        Action action = Action(b.action);
        State state = _stateOf(agent);
        if (!_isPossible(b, action, agent, state)) return Refusal.WRONG_STATE;
        if (!_isFitting(b, action, agent, state)) return Refusal.WRONG_PARAM;
        if (action == Action.HALT && state == State.HALTED) return Refusal.NONE; // a second halt is no mistake

        uint64 voters;
        if (action == Action.PAUSE) {
            voters = _usePause(agent, seat);
        } else {
            bytes32 question = b.question();
            bool waits = action == Action.SET_OPERATOR || action == Action.ROTATE;
            if (waits && block.timestamp < _changeUntil[question]) return Refusal.ALREADY_DECIDED;
            voters = _count(question, seat);
        }
        if (voters == 0) return Refusal.ALREADY_VOTED;
        (uint8 count, uint8 needed) = (Bits.count(voters), _needed(action, agent));
        emit Voted(b.agent, action, b.signer, b.param, b.epoch, b.setVersion, count, needed, b.reason);
        if (count >= needed) _decide(b, action, agent, state, voters);
        return Refusal.NONE;
    }

    /// @dev Notes a vote and returns whose votes count then; 0 if that signer's former vote still does.
    function _count(bytes32 question, uint256 seat) private returns (uint64 voters) {
        uint256[11] storage tally = _tallies[question];
        return tally.cast(seat, _after(BALLOT_WINDOW)) ? tally.voters(_set.length) : 0;
    }

    /// @dev Notes a pause and returns whose are used up then; 0 if that signer's was before. Kept beside the operator,
    /// not among the votes: there it would cost a new slot, and a pause must be cheap.
    function _usePause(Agent storage agent, uint256 seat) private returns (uint64 voters) {
        uint64 used = _pausedBy(agent);
        voters = used | uint64(1 << seat);
        if (voters == used) return 0;
        (agent.pausedBy, agent.setVersion) = (voters, _set.version);
    }

    /// @dev Whether the agent's state lets this be asked.
    function _isPossible(Ballot memory b, Action action, Agent storage agent, State state) private view returns (bool) {
        if (action == Action.HALT) return state != State.RETIRED; // first: a halt should be cheap
        if (action == Action.REGISTER) return state == State.NONE;
        if (action == Action.PAUSE) return state == State.RUNNING || state == State.PAUSED;
        if (action == Action.RESUME) return state == State.HALTED || (state == State.LAPSED && !_inGrace(agent));
        if (action == Action.VETO && b.param == 0) return state == State.RESUMING;
        if (action == Action.VETO) return scheduledAt(b.agent, _changeOf(b.agent), b.param) != 0;
        return state != State.RETIRED;
    }

    /// @dev Whether the param is one that the action takes, see `ICouncil.Action`.
    function _isFitting(Ballot memory b, Action action, Agent storage agent, State state) private view returns (bool) {
        if (action == Action.HALT || action == Action.RETIRE) return b.param == 0;
        if (action == Action.RESUME) return b.param == _undoing(state);
        if (action == Action.PAUSE || action == Action.REARM) return uint256(b.param) == agent.arms;
        if (action == Action.VETO) return true; // `_isPossible` has found what it names
        if (action == Action.ROTATE) return b.agent == FLEET && b.param != 0;
        address operator = _operatorIn(b.param);
        if (operator == address(0)) return false;
        if (action == Action.REGISTER) return uint256(b.param) >> 160 == 0;
        return b.agent != FLEET && operator != agent.operator; // SET_OPERATOR
    }

    // -------------------------------------------------------------------------------------------------- decisions

    /// @dev Carries a decided question out. Nothing marks it decided, unless it must wait: its agent's state, epoch or
    /// arming is another one now, so that it cannot be asked again.
    function _decide(Ballot memory b, Action action, Agent storage agent, State state, uint64 voters) private {
        if (action == Action.HALT) _halt(b, agent, voters);
        else if (action == Action.RESUME) _resume(b, agent, voters);
        else if (action == Action.RETIRE) _retire(b, agent, state, voters);
        else if (action == Action.PAUSE) _pause(b, agent);
        else if (action == Action.VETO) _veto(b, agent, voters);
        else if (action == Action.REARM) _rearm(b, agent, voters);
        else if (action == Action.REGISTER) _register(b, agent, voters);
        else _schedule(b, action, voters);
    }

    function _halt(Ballot memory b, Agent storage agent, uint64 voters) private {
        emit Halted(b.agent, b.epoch, _enterHalted(agent), voters, b.reason);
    }

    function _resume(Ballot memory b, Agent storage agent, uint64 voters) private {
        agent.state = State.RESUMING;
        agent.epoch += 1;
        agent.resumeReadyAt = _after(RESUME_DELAY);
        (agent.pausedBy, agent.setVersion) = (0, _set.version);
        emit ResumeScheduled(b.agent, agent.epoch, agent.resumeReadyAt, voters, b.reason);
    }

    function _retire(Ballot memory b, Agent storage agent, State state, uint64 voters) private {
        if (state != State.HALTED) _enterHalted(agent);
        agent.state = State.RETIRED;
        emit Retired(b.agent, b.epoch, voters, b.reason);
    }

    function _pause(Ballot memory b, Agent storage agent) private {
        agent.pausedUntil = _after(PAUSE_TIME); // never earlier than before: time moves on, and the span is immutable
        emit Paused(b.agent, b.signer, b.epoch, agent.pausedUntil, b.reason);
    }

    function _veto(Ballot memory b, Agent storage agent, uint64 voters) private {
        if (b.param == 0) _enterHalted(agent);
        else _changeUntil[_question(b.agent, _changeOf(b.agent), b.param)] = VETOED;
        if (agent.vetoes < type(uint8).max) agent.vetoes += 1;
        emit Vetoed(b.agent, b.param, b.epoch, agent.vetoes, voters, b.reason);
    }

    function _rearm(Ballot memory b, Agent storage agent, uint64 voters) private {
        agent.arms += 1;
        agent.pausedBy = 0;
        emit Rearmed(b.agent, b.epoch, agent.arms, voters, b.reason);
    }

    function _register(Ballot memory b, Agent storage agent, uint64 voters) private {
        (agent.state, agent.epoch, agent.leaseUntil) = (State.RUNNING, 1, _newLease(b.agent));
        agent.operator = _operatorIn(b.param);
        emit Registered(b.agent, agent.operator, 1, voters, b.reason);
    }

    function _schedule(Ballot memory b, Action action, uint64 voters) private {
        _changeUntil[b.question()] = _after(RESUME_DELAY + BALLOT_WINDOW);
        emit ChangeScheduled(b.agent, action, b.param, b.epoch, _after(RESUME_DELAY), voters, b.reason);
    }

    /// @dev By votes, by a veto, or by a change of operator in mid-resume.
    function _enterHalted(Agent storage agent) private returns (uint64 size) {
        size = _heads[agent.operator].size;
        (agent.state, agent.haltedSize) = (State.HALTED, size);
    }

    // -------------------------------------------------------------------------- what time brings, by anyone's call

    function finishResume(bytes32 agent) external {
        Agent storage a = _agents[agent];
        if (_stateOf(a) != State.RESUMING) revert NotScheduled();
        if (block.timestamp < a.resumeReadyAt) revert TooEarly(a.resumeReadyAt);
        (a.state, a.pausedUntil, a.leaseUntil, a.vetoes) = (State.RUNNING, 0, _newLease(agent), 0);
        emit Resumed(agent, a.epoch);
    }

    function finishOperator(bytes32 agent, bytes32 param) external {
        _requireDue(agent, Action.SET_OPERATOR, param);
        Agent storage a = _agents[agent];
        (address former, address operator) = (a.operator, _operatorIn(param));
        if (a.state == State.RESUMING) _enterHalted(a); // it was to resume under the former operator
        (a.operator, a.vetoes, a.pausedBy) = (operator, 0, 0);
        a.epoch += 1;
        emit OperatorChanged(agent, former, operator, _heads[former].size, a.epoch);
    }

    function finishRotation(address[] memory signers, Thresholds memory thresholds, bytes32 salt) public {
        _requireDue(FLEET, Action.ROTATE, rotationParam(signers, thresholds, salt));
        _agents[FLEET].vetoes = 0;
        _install(signers, thresholds);
    }

    function _requireDue(bytes32 agent, Action action, bytes32 param) private view {
        uint40 readyAt = scheduledAt(agent, action, param);
        if (readyAt == 0) revert NotScheduled();
        if (block.timestamp < readyAt) revert TooEarly(readyAt);
    }

    function renew(bytes32 agent) external {
        if (_placeOf[msg.sender] == 0) revert NotSigner(msg.sender);
        Agent storage a = _agents[agent];
        if (a.state != State.RUNNING || !_inGrace(a)) revert LeaseOver(agent);
        a.leaseUntil = _after(LEASE);
        emit Renewed(agent, msg.sender, a.epoch, a.leaseUntil);
    }

    /// @dev Puts a signer set in the place of the one before, checking all that must hold of it. H <= n - R + 1: those
    /// who could block a resume can always halt.
    function _install(address[] memory signers, Thresholds memory t) private {
        uint256 n = signers.length;
        if (n == 0 || n > MAX_SIGNERS) revert InvalidSigners();
        bool ordered = 1 <= t.halt && t.halt <= t.resume && t.resume <= t.retire && t.retire <= n;
        if (!ordered || t.halt > n - t.resume + 1) revert InvalidThresholds();
        for (uint256 i; i < _signers.length; ++i) {
            delete _placeOf[_signers[i]];
        }
        for (uint256 i; i < n; ++i) {
            address signer = signers[i];
            if (uint160(signer) <= LAST_PRECOMPILE || signer == address(this)) revert InvalidSigners();
            if (_placeOf[signer] != 0) revert InvalidSigners();
            _placeOf[signer] = i + 1;
        }
        _signers = signers;
        _set = SignerSet(t.halt, t.resume, t.retire, uint8(n), _set.version + 1);
        emit Rotated(_set.version, signers, t);
    }

    // --------------------------------------------------------------------------------------------------- log head

    function extend(uint64 newSize, bytes32[] calldata frontier, bytes32[] calldata nodes) external {
        (uint64 size, bytes32 root,) = headOf(msg.sender);
        if (newSize <= size) revert SizeNotGrown(size, newSize);
        root = Frontier.extend(size, root, newSize, frontier, nodes);
        _heads[msg.sender] = Head(root, newSize, uint64(block.timestamp));
        emit Extended(msg.sender, size, newSize, root);
    }
    function proveFork(
        address operator,
        bytes32[] calldata agents,
        SignedHead calldata older,
        SignedHead calldata newer,
        bytes32[] calldata frontier,
        bytes32[] calldata nodes
    ) external {
        (uint64 size, bytes32 root) = _headIn(older, operator);
        (uint64 newSize, bytes32 newRoot) = _headIn(newer, operator);
        if (size > newSize) revert NoFork();
        bytes32 opened = newRoot; // what the newer head's first `size` entries hash to
        if (size != newSize) {
            bytes32 reached;
            (opened, reached) = Frontier.roots(size, root, newSize, frontier, nodes);
            if (reached != newRoot) revert WrongFrontier(newSize, newRoot);
        }
        if (opened == root) revert NoFork(); // also where both are the chain's
        emit ForkProven(operator, size, root, newSize, newRoot);
        for (uint256 i; i < agents.length; ++i) {
            _haltForked(agents[i], operator);
        }
    }

    /// @dev The head that is claimed to be the operator's: signed by it, or, without a signature, the chain's.
    function _headIn(SignedHead calldata head, address operator) private view returns (uint64 size, bytes32 root) {
        if (head.signature.length == 0) {
            (size, root,) = headOf(operator);
        } else {
            (size, root) = (head.size, head.root);
            bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(HEAD_TYPEHASH, size, root)));
            if (!Signatures.isValid(operator, digest, head.signature)) revert NotSignedBy(operator);
        }
    }

    function _haltForked(bytes32 id, address operator) private {
        Agent storage agent = _agents[id];
        if (agent.operator != operator) revert NotOperatorOf(id, operator); // the fleet has none
        State state = _stateOf(agent);
        if (state == State.HALTED || state == State.RETIRED) return;
        emit Halted(id, agent.epoch, _enterHalted(agent), 0, FORK_PROOF);
    }
}
