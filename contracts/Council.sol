// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
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
/// - Votes are marks in a tally whose key names the question: agent, action, param, epoch, set. A new epoch or a new
///   set makes new tallies, so an old vote cannot count again and none needs to be cleared. There are no nonces:
///   nothing queued can stand before a halt.
/// - An agent's epoch rises when its resume reaches its quorum, and then only. From that second every ballot of the
///   halt that is being undone is dead, also against the veto and the halt that may follow at once.
/// - A vote that does not count is a `Refusal` that is returned, not a revert, so that a batch of halts goes past it.
/// - Every address has one log, its own, that it alone extends; the contract itself checks that it only grows.
///
/// Trust assumptions
/// - One signer can stop an agent for PAUSE once per epoch, set and arming, and can veto; it can start nothing.
///   H signers can stop; R can start again after RESUME_DELAY, in public, and can change who the signers are. H signers
///   that are awake during that delay can stop it. R signers together with D can do everything there is.
/// - Signers with code (ERC-1271) are asked without the right to write, with capped gas, and can only fail themselves.
/// - An operator can spoil its own log's future (stop it, extend it by lies), never its past.
/// - Block producers can delay a halt as they can any transaction, and can shift `block.timestamp` by seconds.
contract Council is ICouncil, EIP712 {
    using Ballots for Ballot;
    using Tally for uint256[11];

    /// @dev The first slot decides, with the fleet's first slot and the clock, whether the agent may run.
    struct Agent {
        State state; // NONE, RUNNING, HALTED, RESUMING or RETIRED
        uint40 epoch;
        uint40 pausedUntil;
        uint40 leaseUntil; // 0: no lease
        uint40 resumeReadyAt;
        uint64 haltedSize;
        uint16 arms;
        uint8 vetoes;
        address operator; // second slot
        uint64 pausedBy; // whose pause is used up, if `setVersion` is the present one
        uint32 setVersion; // whom `pausedBy` means, and who decided on the resume
    }

    struct SignerSet {
        uint8 halt;
        uint8 resume;
        uint8 retire;
        uint8 length;
        uint32 version;
    }

    struct Head {
        bytes32 root;
        uint64 size;
        uint64 anchoredAt;
    }

    uint8 private constant HALT = uint8(Action.HALT);
    uint8 private constant RESUME = uint8(Action.RESUME);
    uint8 private constant RETIRE = uint8(Action.RETIRE);
    uint8 private constant PAUSE = uint8(Action.PAUSE);
    uint8 private constant VETO = uint8(Action.VETO);
    uint8 private constant REARM = uint8(Action.REARM);
    uint8 private constant REGISTER = uint8(Action.REGISTER);
    uint8 private constant SET_OPERATOR = uint8(Action.SET_OPERATOR);
    uint8 private constant ROTATE = uint8(Action.ROTATE);
    bytes32 private constant FLEET = 0;
    uint256 private constant MAX_SIGNERS = 64;
    uint256 private constant LAST_PRECOMPILE = 0xffff; // EIP-1352
    uint256 private constant MAX_BALLOT_LIFE = 24 hours;
    uint256 private immutable PAUSE_TIME;
    uint256 private immutable RESUME_DELAY;
    uint256 private immutable BALLOT_WINDOW;
    uint256 private immutable LEASE;
    uint256 private immutable LEASE_GRACE;

    mapping(bytes32 id => Agent) private _agents;
    SignerSet private _set;
    address[] private _signers;
    mapping(address signer => uint256) private _indexOf; // from 1; 0: not a signer
    mapping(bytes32 key => uint256[11]) private _tallies;
    mapping(address operator => Head) private _heads;

    constructor(address[] memory signers, Thresholds memory thresholds, Timing memory timing)
        EIP712("agent_guard Council", "1")
    {
        if (timing.pause == 0 || timing.pause > 7 days) revert InvalidTiming();
        if (timing.resumeDelay == 0 || timing.resumeDelay > 30 days) revert InvalidTiming();
        if (timing.ballotWindow < 1 minutes || timing.ballotWindow > 30 days) revert InvalidTiming();
        if (timing.lease > 365 days || timing.leaseGrace > timing.lease) revert InvalidTiming();
        PAUSE_TIME = timing.pause;
        RESUME_DELAY = timing.resumeDelay;
        BALLOT_WINDOW = timing.ballotWindow;
        LEASE = timing.lease;
        LEASE_GRACE = timing.leaseGrace;
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
            address operator = address(uint160(param));
            fits = b.agent != FLEET && operator != address(0) && operator != agent.operator;
        } else if (action == ROTATE) {
            fits = b.agent == FLEET && !fits;
        }
        if (!possible) return Refusal.WRONG_STATE;
        return fits ? Refusal.NONE : Refusal.WRONG_PARAM;
    }

    // -------------------------------------------------------------------------------------------------- decisions

    /// @dev Carries a decided question out.
    function _decide(Ballot memory b, Agent storage agent, State state, uint64 voters) private {
        uint8 action = b.action;
        (bytes32 id, bytes32 reason) = (b.agent, b.reason);
        if (action == HALT || action == RETIRE) {
            uint64 size = state == State.HALTED ? agent.haltedSize : _heads[agent.operator].size;
            (agent.haltedSize, agent.state) = (size, action == HALT ? State.HALTED : State.RETIRED);
            if (action == HALT) emit Halted(id, b.epoch, size, voters, reason);
            else emit Retired(id, b.epoch, voters, reason);
        } else if (action == RESUME) {
            (uint40 epoch, uint40 readyAt) = (uint40(b.epoch) + 1, _after(RESUME_DELAY));
            (agent.state, agent.epoch, agent.resumeReadyAt) = (State.RESUMING, epoch, readyAt);
            (agent.pausedBy, agent.setVersion) = (0, b.setVersion);
            emit ResumeScheduled(id, epoch, readyAt, voters, reason);
        } else if (action == PAUSE) {
            uint40 until = _after(PAUSE_TIME); // never earlier than before: time moves on, the length is immutable
            agent.pausedUntil = until;
            (agent.pausedBy, agent.setVersion) = (voters, b.setVersion);
            emit Paused(id, b.signer, b.epoch, until, reason);
        } else if (action == VETO) {
            if (b.param == 0) agent.state = State.HALTED;
            else _tally(id, _changeOf(id), b.param).decide(Tally.CLOSED);
            uint8 vetoes = agent.vetoes;
            if (vetoes < type(uint8).max) agent.vetoes = ++vetoes;
            emit Vetoed(id, b.param, b.epoch, vetoes, voters, reason);
        } else if (action == REARM) {
            uint16 arms = agent.arms + 1;
            (agent.arms, agent.pausedBy) = (arms, 0);
            emit Rearmed(id, b.epoch, arms, voters, reason);
        } else if (action == REGISTER) {
            address operator = address(uint160(uint256(b.param)));
            (agent.state, agent.epoch, agent.leaseUntil) = (State.RUNNING, 1, _newLease(id));
            agent.operator = operator;
            emit Registered(id, operator, 1, voters, reason);
        } else {
            _tallies[b.question()].decide(uint40(block.timestamp));
            emit ChangeScheduled(id, Action(action), b.param, b.epoch, _after(RESUME_DELAY), voters, reason);
        }
    }

    // -------------------------------------------------------------------------- what time brings, by anyone's call

    function finishResume(bytes32 id) external {
        Agent storage agent = _agents[id];
        if (_stateOf(agent) != State.RESUMING) revert NotScheduled();
        if (block.timestamp < agent.resumeReadyAt) revert TooEarly(agent.resumeReadyAt);
        (agent.state, agent.pausedUntil, agent.leaseUntil, agent.vetoes) = (State.RUNNING, 0, _newLease(id), 0);
        emit Resumed(id, agent.epoch);
    }

    function finishOperator(bytes32 id, bytes32 param) external {
        _finish(id, SET_OPERATOR, param);
        Agent storage agent = _agents[id];
        (address former, address operator) = (agent.operator, address(uint160(uint256(param))));
        agent.operator = operator;
        emit OperatorChanged(id, former, operator, _heads[former].size, ++_set.version);
    }

    function finishRotation(address[] memory signers, Thresholds memory thresholds, bytes32 salt) public {
        _finish(FLEET, ROTATE, rotationParam(signers, thresholds, salt));
        _install(signers, thresholds);
    }

    function renew(bytes32 id) external {
        if (_indexOf[msg.sender] == 0) revert NotSigner(msg.sender);
        Agent storage agent = _agents[id];
        if (agent.state != State.RUNNING || !_inGrace(agent)) revert LeaseOver(id);
        uint40 until = _after(LEASE);
        agent.leaseUntil = until;
        emit Renewed(id, msg.sender, agent.epoch, until);
    }

    function _finish(bytes32 id, uint8 action, bytes32 param) private {
        uint40 readyAt = _scheduledAt(id, action, param);
        if (readyAt == 0) revert NotScheduled();
        if (block.timestamp < readyAt) revert TooEarly(readyAt);
        _tally(id, action, param).decide(Tally.CLOSED);
        _agents[id].vetoes = 0;
    }

    /// @dev Puts a signer set in the place of the one before, checking all that must hold of it.
    function _install(address[] memory signers, Thresholds memory t) private {
        uint256 n = signers.length;
        if (n == 0 || n > MAX_SIGNERS) revert InvalidSigners();
        bool ordered = 1 <= t.halt && t.halt <= t.resume && t.resume <= t.retire && t.retire <= n;
        if (!ordered || uint256(t.halt) + t.resume > n + 1) revert InvalidThresholds();
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

    // ------------------------------------------------------------------------------------------------------ views

    function stateOf(bytes32 agent) external view returns (State) {
        return _stateOf(_agents[agent]);
    }

    function mayRun(bytes32 agent) public view returns (bool) {
        return _stateOf(_agents[agent]) == State.RUNNING && _stateOf(_agents[FLEET]) == State.RUNNING;
    }

    function snapshot(bytes32[] calldata agents) external view returns (Snapshot[] memory all) {
        all = new Snapshot[](agents.length);
        for (uint256 i; i < agents.length; ++i) {
            Snapshot memory s = all[i];
            Agent memory agent = _agents[agents[i]];
            s.agent = agents[i];
            s.state = _stateOf(_agents[s.agent]);
            s.mayRun = mayRun(s.agent);
            s.epoch = agent.epoch;
            s.arms = agent.arms;
            s.vetoes = agent.vetoes;
            (s.haltVotes,,) = _votes(s.agent, HALT, 0);
            (s.resumeVotes,,) = _votes(s.agent, RESUME, 0);
            if (agent.state == State.RUNNING) s.pausedUntil = agent.pausedUntil;
            s.leaseUntil = agent.leaseUntil;
            if (s.state == State.RESUMING) s.resumeReadyAt = agent.resumeReadyAt;
            s.operator = agent.operator;
            (s.size, s.root, s.anchoredAt) = headOf(agent.operator);
            s.haltedSize = agent.haltedSize;
        }
    }

    function votes(bytes32 agent, Action action, bytes32 param) external view returns (uint8, uint8, uint64) {
        return _votes(agent, uint8(action), param);
    }

    function _votes(bytes32 agent, uint8 action, bytes32 param)
        private
        view
        returns (uint8 count, uint8 needed, uint64 voters)
    {
        Agent storage a = _agents[agent];
        if (action == PAUSE) voters = uint256(param) == a.arms ? _pausedBy(a) : 0;
        else voters = _tally(agent, action, param).standing(_set.length, _since());
        (count, needed) = (Bits.count(voters), _needed(action, a));
    }

    function scheduledAt(bytes32 agent, Action action, bytes32 param) external view returns (uint40 readyAt) {
        return _scheduledAt(agent, uint8(action), param);
    }

    function _scheduledAt(bytes32 agent, uint8 action, bytes32 param) private view returns (uint40) {
        uint40 decidedAt = _tally(agent, action, param).decidedAt();
        if (decidedAt == 0 || decidedAt == Tally.CLOSED || _agents[agent].state == State.RETIRED) return 0;
        return uint40(decidedAt + RESUME_DELAY);
    }

    function headOf(address operator) public view returns (uint64 size, bytes32 root, uint64 anchoredAt) {
        Head storage head = _heads[operator];
        (size, anchoredAt) = (head.size, head.anchoredAt);
        root = size == 0 ? Frontier.EMPTY_ROOT : head.root;
    }

    function council() external view returns (address[] memory, Thresholds memory, Timing memory, uint32) {
        SignerSet memory set = _set;
        Timing memory timing = Timing({
            pause: uint40(PAUSE_TIME),
            resumeDelay: uint40(RESUME_DELAY),
            ballotWindow: uint40(BALLOT_WINDOW),
            lease: uint40(LEASE),
            leaseGrace: uint40(LEASE_GRACE)
        });
        return (_signers, Thresholds(set.halt, set.resume, set.retire), timing, set.version);
    }

    function ballotDigest(Ballot memory ballot) public view returns (bytes32) {
        return _hashTypedDataV4(ballot.structHash());
    }

    function rotationParam(address[] memory signers, Thresholds memory thresholds, bytes32 salt)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(signers, thresholds, salt));
    }

    // --------------------------------------------------------------------------------------------------- readings

    /// @dev The one reading of an agent's first slot. Whatever ends at T is over at T.
    function _stateOf(Agent storage agent) private view returns (State state) {
        state = agent.state;
        if (state == State.RUNNING) {
            if (agent.leaseUntil != 0 && block.timestamp >= agent.leaseUntil) return State.LAPSED;
            if (block.timestamp < agent.pausedUntil) return State.PAUSED;
        } else if (state == State.RESUMING && agent.setVersion != _set.version) {
            return State.HALTED; // decided by signers who are no longer the council
        }
    }

    /// @dev Whether one signer's renewal is still enough; never for what has no lease.
    function _inGrace(Agent storage agent) private view returns (bool) {
        return agent.leaseUntil != 0 && block.timestamp < agent.leaseUntil + LEASE_GRACE;
    }

    function _needed(uint8 action, Agent storage agent) private view returns (uint8) {
        if (action == 0) return 0;
        if (action == PAUSE) return 1;
        if (action == HALT) return _set.halt;
        if (action == RETIRE) return _set.retire;
        if (action == VETO) return agent.vetoes < _set.halt ? agent.vetoes + 1 : _set.halt;
        return _set.resume;
    }

    /// @dev Whose pause is used up in this epoch and set.
    function _pausedBy(Agent storage agent) private view returns (uint64) {
        return agent.setVersion == _set.version ? agent.pausedBy : 0;
    }

    function _tally(bytes32 agent, uint8 action, bytes32 param) private view returns (uint256[11] storage) {
        Ballot memory asked = Ballot(agent, action, param, _agents[agent].epoch, _set.version, address(0), 0, 0);
        return _tallies[asked.question()];
    }

    /// @dev Votes cast after this second stand.
    function _since() private view returns (uint256) {
        unchecked {
            return block.timestamp > BALLOT_WINDOW ? block.timestamp - BALLOT_WINDOW : 0;
        }
    }

    function _changeOf(bytes32 agent) private pure returns (uint8) {
        return agent == FLEET ? ROTATE : SET_OPERATOR;
    }

    function _newLease(bytes32 agent) private view returns (uint40) {
        return LEASE == 0 || agent == FLEET ? 0 : _after(LEASE);
    }

    function _after(uint256 delay) private view returns (uint40) {
        return uint40(block.timestamp + delay);
    }
}
