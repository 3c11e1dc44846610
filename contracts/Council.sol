// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilState} from "./CouncilState.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {HALT, PAUSE, REARM, REGISTER, RESUME, RETIRE, ROTATE, SET_OPERATOR, VETO} from "./libraries/Actions.sol";
import {Ballots} from "./libraries/Ballots.sol";
import {Bits} from "./libraries/Bits.sol";
import {Frontier} from "./libraries/Frontier.sol";
import {Rules} from "./libraries/Rules.sol";
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
/// - Votes are marks in a tally whose key names the question: agent, action, param, epoch, set. A new epoch or a new
///   set makes new tallies, so an old vote cannot count again and none needs to be cleared. There are no nonces:
///   nothing queued can stand before a halt.
/// - An agent's epoch rises when its resume reaches its quorum, and then only. From that second every ballot of the
///   halt that is being undone is dead, also against the veto and the halt that may follow at once.
/// - A vote that does not count is a `Refusal` that is returned, not a revert, so that a batch of halts goes past it.
/// - Every address has one log, its own, that it alone extends; the contract itself checks that it only grows.
///
/// Trust assumptions
/// - One signer can stop an agent for PAUSE once per epoch, set and arming, can veto first, and can renew a lease; it
///   can start nothing that was halted. H signers can halt. R can register, and can resume or change operators and
///   signers after RESUME_DELAY, in public, while fewer can veto. D can retire. Fewer than H who are all that is honest
///   can only delay R.
/// - Signers with code (ERC-1271) are asked without the right to write, with capped gas, and can only fail themselves.
/// - An operator can spoil its own log's future (stop it, extend it by lies), never its past.
/// - Block producers can delay a halt as they can any transaction, and can shift `block.timestamp` by seconds.
contract Council is CouncilState {
    using Ballots for Ballot;
    using Tally for uint256[11];

    uint256 private constant MAX_SIGNERS = 64;
    uint256 private constant LAST_PRECOMPILE = 0xffff; // EIP-1352
    uint256 private constant MAX_BALLOT_LIFE = 24 hours;

    constructor(address[] memory signers, Thresholds memory thresholds, Timing memory timing) CouncilState(timing) {
        (_agents[FLEET].state, _agents[FLEET].epoch) = (State.RUNNING, 1);
        _install(signers, thresholds);
    }

    // ------------------------------------------------------------------------------------------------------ votes

    function vote(bytes32 agent, Action action, bytes32 param, uint64 epoch, bytes32 reason) external {
        Ballot memory b = Ballot(agent, uint8(action), param, epoch, _set.version, msg.sender, 0, reason);
        Agent storage target = _agents[agent];
        (Refusal why, uint256 index) = _admit(b, target);
        if (why == Refusal.NONE) why = _cast(b, target, index);
        if (why != Refusal.NONE) revert VoteRefused(why);
    }

    function submit(Ballot[] calldata ballots, bytes[] calldata signatures) external returns (uint256 accepted) {
        if (ballots.length != signatures.length) revert LengthMismatch(ballots.length, signatures.length);
        for (uint256 i; i < ballots.length; ++i) {
            Ballot memory b = ballots[i];
            Refusal why = _receive(b, signatures[i]);
            if (why == Refusal.NONE) ++accepted;
            else if (_onlyHalts(ballots)) emit BallotSkipped(i, b.signer, why);
            else revert BallotRefused(i, why);
        }
    }

    function _onlyHalts(Ballot[] calldata ballots) private pure returns (bool) {
        for (uint256 i; i < ballots.length; ++i) {
            if (ballots[i].action != HALT) return false;
        }
        return true;
    }

    function _receive(Ballot memory b, bytes calldata signature) private returns (Refusal) {
        Agent storage agent = _agents[b.agent];
        (Refusal why, uint256 index) = _admit(b, agent);
        if (why != Refusal.NONE) return why;
        if (block.timestamp >= b.deadline) return Refusal.EXPIRED;
        bool stops = b.action == HALT || b.action == PAUSE || b.action == VETO;
        if (!stops && b.deadline > block.timestamp + MAX_BALLOT_LIFE) return Refusal.DEADLINE_TOO_FAR;
        if (!Signatures.isValid(b.signer, ballotDigest(b), signature)) return Refusal.BAD_SIGNATURE;
        return _cast(b, agent, index);
    }

    /// @dev Whether this signer may speak on this agent now: the part that needs no look at the question.
    function _admit(Ballot memory b, Agent storage agent) private view returns (Refusal, uint256 index) {
        if (b.action == 0 || b.action > ROTATE) return (Refusal.UNKNOWN_ACTION, 0);
        index = _indexOf[b.signer];
        if (index == 0) return (Refusal.NOT_A_SIGNER, 0);
        if (b.setVersion != _set.version) return (Refusal.WRONG_SET, 0);
        uint64 epoch = agent.epoch; // 0 for what was never registered, and only for that
        if (epoch == 0 && b.action != REGISTER) return (Refusal.UNKNOWN_AGENT, 0);
        return (b.epoch == epoch ? Refusal.NONE : Refusal.WRONG_EPOCH, index);
    }

    /// @dev Counts an admitted vote, and carries the question out if it decides.
    function _cast(Ballot memory b, Agent storage agent, uint256 index) private returns (Refusal) {
        State state = _stateOf(agent);
        Refusal why = _objection(b, agent, state);
        if (why != Refusal.NONE) return why;
        if (b.action == HALT && state == State.HALTED) return Refusal.NONE; // a second halt is no mistake

        uint64 voters;
        if (b.action == PAUSE) {
            uint64 self = uint64(1 << (index - 1));
            voters = _pausedBy(agent);
            if (voters & self != 0) return Refusal.ALREADY_VOTED;
            voters |= self;
        } else {
            uint256[11] storage tally = _tallies[b.question()];
            if (tally.decidedAt() != 0) return Refusal.ALREADY_DECIDED;
            voters = tally.cast(index, _set.length, _since());
            if (voters == 0) return Refusal.ALREADY_VOTED;
        }
        uint8 count = Bits.count(voters);
        uint8 needed = _needed(b.action, agent);
        emit Voted(b.agent, Action(b.action), b.signer, b.param, b.epoch, b.setVersion, count, needed, b.reason);
        if (count >= needed) _decide(b, agent, state, voters);
        return Refusal.NONE;
    }

    /// @dev What speaks against the question itself: the agent's state first, then the param.
    function _objection(Ballot memory b, Agent storage agent, State state) private view returns (Refusal) {
        uint8 action = b.action;
        uint256 param = uint256(b.param);
        bool possible = state != State.RETIRED;
        bool fits = param == 0;
        if (action == HALT || action == RETIRE) {
            // in any state but RETIRED; first, because a halt should be cheap
        } else if (action == REGISTER) {
            possible = state == State.NONE;
            fits = param != 0 && param >> 160 == 0;
        } else if (action == RESUME) {
            possible = state == State.HALTED || (state == State.LAPSED && !_inGrace(agent));
        } else if (action == VETO) {
            possible = fits ? state == State.RESUMING : _scheduledAt(b.agent, _changeOf(b.agent), b.param) != 0;
            fits = true;
        } else if (action == PAUSE || action == REARM) {
            if (action == PAUSE) possible = state == State.RUNNING || state == State.PAUSED;
            fits = param == agent.arms;
        } else if (action == SET_OPERATOR) {
            address operator = _operatorIn(b.param);
            fits = b.agent != FLEET && operator != address(0) && operator != agent.operator;
        } else if (action == ROTATE) {
            fits = b.agent == FLEET && !fits;
        }
        if (!possible) return Refusal.WRONG_STATE;
        return fits ? Refusal.NONE : Refusal.WRONG_PARAM;
    }

    // -------------------------------------------------------------------------------------------------- decisions

    /// @dev Carries a decided question out. Nothing marks it decided, unless it must wait: its agent's state, epoch or
    /// arming is another one now, so that it cannot be asked again.
    function _decide(Ballot memory b, Agent storage agent, State state, uint64 voters) private {
        if (b.action == HALT || b.action == RETIRE) _stop(b, agent, state, voters);
        else if (b.action == RESUME) _resume(b, agent, voters);
        else if (b.action == PAUSE) _pause(b, agent, voters);
        else if (b.action == VETO) _veto(b, agent, voters);
        else if (b.action == REARM) _rearm(b, agent, voters);
        else if (b.action == REGISTER) _register(b, agent, voters);
        else _schedule(b, voters);
    }

    function _stop(Ballot memory b, Agent storage agent, State state, uint64 voters) private {
        uint64 size = state == State.HALTED ? agent.haltedSize : _heads[agent.operator].size;
        (agent.haltedSize, agent.state) = (size, b.action == HALT ? State.HALTED : State.RETIRED);
        if (b.action == HALT) emit Halted(b.agent, b.epoch, size, voters, b.reason);
        else emit Retired(b.agent, b.epoch, voters, b.reason);
    }

    function _resume(Ballot memory b, Agent storage agent, uint64 voters) private {
        (uint40 epoch, uint40 readyAt) = (uint40(b.epoch) + 1, _after(RESUME_DELAY));
        (agent.state, agent.epoch, agent.resumeReadyAt) = (State.RESUMING, epoch, readyAt);
        (agent.pausedBy, agent.setVersion) = (0, b.setVersion);
        emit ResumeScheduled(b.agent, epoch, readyAt, voters, b.reason);
    }

    function _pause(Ballot memory b, Agent storage agent, uint64 voters) private {
        uint40 until = _after(PAUSE_TIME); // never earlier than before: time moves on, and the span is immutable
        agent.pausedUntil = until;
        (agent.pausedBy, agent.setVersion) = (voters, b.setVersion);
        emit Paused(b.agent, b.signer, b.epoch, until, b.reason);
    }

    function _veto(Ballot memory b, Agent storage agent, uint64 voters) private {
        if (b.param == 0) agent.state = State.HALTED;
        else _tally(b.agent, _changeOf(b.agent), b.param).decide(Tally.CLOSED);
        uint8 vetoes = agent.vetoes;
        if (vetoes < type(uint8).max) agent.vetoes = ++vetoes;
        emit Vetoed(b.agent, b.param, b.epoch, vetoes, voters, b.reason);
    }

    function _rearm(Ballot memory b, Agent storage agent, uint64 voters) private {
        uint16 arms = agent.arms + 1;
        (agent.arms, agent.pausedBy) = (arms, 0);
        emit Rearmed(b.agent, b.epoch, arms, voters, b.reason);
    }

    function _register(Ballot memory b, Agent storage agent, uint64 voters) private {
        (agent.state, agent.epoch, agent.leaseUntil) = (State.RUNNING, 1, _newLease(b.agent));
        agent.operator = _operatorIn(b.param);
        emit Registered(b.agent, agent.operator, 1, voters, b.reason);
    }

    function _schedule(Ballot memory b, uint64 voters) private {
        _tallies[b.question()].decide(uint40(block.timestamp));
        emit ChangeScheduled(b.agent, Action(b.action), b.param, b.epoch, _after(RESUME_DELAY), voters, b.reason);
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
        _finish(agent, SET_OPERATOR, param);
        (address former, address operator) = (_agents[agent].operator, _operatorIn(param));
        _agents[agent].operator = operator;
        emit OperatorChanged(agent, former, operator, _heads[former].size, ++_set.version);
    }

    function finishRotation(address[] memory signers, Thresholds memory thresholds, bytes32 salt) public {
        _finish(FLEET, ROTATE, rotationParam(signers, thresholds, salt));
        _install(signers, thresholds);
    }

    function renew(bytes32 agent) external {
        if (_indexOf[msg.sender] == 0) revert NotSigner(msg.sender);
        Agent storage a = _agents[agent];
        if (a.state != State.RUNNING || !_inGrace(a)) revert LeaseOver(agent);
        uint40 until = _after(LEASE);
        a.leaseUntil = until;
        emit Renewed(agent, msg.sender, a.epoch, until);
    }

    function _finish(bytes32 id, uint8 action, bytes32 param) private {
        uint40 readyAt = _scheduledAt(id, action, param);
        if (readyAt == 0) revert NotScheduled();
        if (block.timestamp < readyAt) revert TooEarly(readyAt);
        _agents[id].vetoes = 0; // the new set that follows makes the old tallies void
    }

    /// @dev Puts a signer set in the place of the one before, checking all that must hold of it.
    function _install(address[] memory signers, Thresholds memory t) private {
        uint256 n = signers.length;
        if (n == 0 || n > MAX_SIGNERS) revert InvalidSigners();
        Rules.check(t, n);
        for (uint256 i; i < _signers.length; ++i) {
            delete _indexOf[_signers[i]];
        }
        for (uint256 i; i < n; ++i) {
            address signer = signers[i];
            if (uint160(signer) <= LAST_PRECOMPILE || signer == address(this)) revert InvalidSigners();
            if (_indexOf[signer] != 0) revert InvalidSigners();
            _indexOf[signer] = i + 1;
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
}
