// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
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
    using Tally for uint40[65];

    /// @dev The first slot decides, with the fleet's first slot and the clock, whether the agent may run.
    struct Agent {
        State state; // NONE, RUNNING, HALTED, RESUMING or RETIRED
        uint64 epoch;
        uint40 pausedUntil;
        uint40 leaseUntil; // 0: no lease
        uint40 resumeReadyAt;
        uint32 resumeSet; // the set that decided the resume
        address operator; // second slot
        uint64 haltedSize;
        uint8 vetoes;
        uint16 arms;
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

    bytes32 private constant FLEET = 0;
    uint256 private constant MAX_SIGNERS = 64;
    uint256 private constant LAST_PRECOMPILE = 0xffff; // EIP-1352
    uint256 private constant MAX_BALLOT_LIFE = 24 hours;
    bytes32 private constant BALLOT_TYPEHASH = keccak256(
        "Ballot(bytes32 agent,uint8 action,bytes32 param,uint64 epoch,uint32 setVersion,address signer,uint64 deadline,bytes32 reason)"
    );

    uint40 private immutable PAUSE;
    uint40 private immutable RESUME_DELAY;
    uint40 private immutable BALLOT_WINDOW;
    uint40 private immutable LEASE;
    uint40 private immutable LEASE_GRACE;

    mapping(bytes32 id => Agent) private _agents;
    SignerSet private _set;
    address[] private _signers;
    mapping(address signer => uint256) private _indexOf; // from 1; 0: not a signer
    mapping(bytes32 key => uint40[65]) private _tallies;
    mapping(address operator => Head) private _heads;

    constructor(address[] memory signers, Thresholds memory thresholds, Timing memory timing)
        EIP712("agent_guard Council", "1")
    {
        if (timing.pause == 0 || timing.pause > 7 days) revert InvalidTiming();
        if (timing.resumeDelay == 0 || timing.resumeDelay > 30 days) revert InvalidTiming();
        if (timing.ballotWindow < 1 minutes || timing.ballotWindow > 30 days) revert InvalidTiming();
        if (timing.lease > 365 days || timing.leaseGrace > timing.lease) revert InvalidTiming();
        PAUSE = timing.pause;
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
        Refusal why = _admit(b);
        if (why == Refusal.NONE) why = _cast(b);
        if (why != Refusal.NONE) revert VoteRefused(why);
    }

    function submit(Ballot[] calldata ballots, bytes[] calldata signatures) external returns (uint256 accepted) {
        if (ballots.length != signatures.length) revert LengthMismatch(ballots.length, signatures.length);
        bool lenient = true;
        for (uint256 i; i < ballots.length; ++i) {
            lenient = lenient && ballots[i].action == uint8(Action.HALT);
        }
        for (uint256 i; i < ballots.length; ++i) {
            Ballot memory b = ballots[i];
            Refusal why = _receive(b, signatures[i]);
            if (why == Refusal.NONE) ++accepted;
            else if (lenient) emit BallotSkipped(i, b.signer, why);
            else revert BallotRefused(i, why);
        }
    }

    function _receive(Ballot memory b, bytes calldata signature) private returns (Refusal) {
        Refusal why = _admit(b);
        if (why != Refusal.NONE) return why;
        Action action = Action(b.action);
        if (block.timestamp >= b.deadline) return Refusal.EXPIRED;
        bool stops = action == Action.HALT || action == Action.PAUSE || action == Action.VETO;
        if (!stops && b.deadline > block.timestamp + MAX_BALLOT_LIFE) return Refusal.DEADLINE_TOO_FAR;
        if (!Signatures.isValid(b.signer, ballotDigest(b), signature)) return Refusal.BAD_SIGNATURE;
        return _cast(b);
    }

    /// @dev Whether this signer may speak on this agent now: the part that needs no look at the question.
    function _admit(Ballot memory b) private view returns (Refusal) {
        if (b.action == uint8(Action.NONE) || b.action > uint8(type(Action).max)) return Refusal.UNKNOWN_ACTION;
        if (_indexOf[b.signer] == 0) return Refusal.NOT_A_SIGNER;
        if (b.setVersion != _set.version) return Refusal.WRONG_SET;
        uint64 epoch = _agents[b.agent].epoch; // 0 for what was never registered, and only for that
        if (epoch == 0 && b.action != uint8(Action.REGISTER)) return Refusal.UNKNOWN_AGENT;
        return b.epoch == epoch ? Refusal.NONE : Refusal.WRONG_EPOCH;
    }

    /// @dev Counts an admitted vote, and carries the question out if it decides.
    function _cast(Ballot memory b) private returns (Refusal) {
        Action action = Action(b.action);
        Agent storage agent = _agents[b.agent];
        State state = _stateOf(agent);
        Refusal why = _objection(b, agent, state);
        if (why != Refusal.NONE) return why;
        if (action == Action.HALT && state == State.HALTED) return Refusal.NONE; // a second halt is no mistake

        uint40[65] storage tally = _tally(b.agent, action, b.param);
        if (tally[0] != 0) return Refusal.ALREADY_DECIDED;
        if (!tally.mark(_indexOf[b.signer], _window(action))) return Refusal.ALREADY_VOTED;

        (uint8 count, uint64 voters) = tally.standing(_set.length, _window(action));
        uint8 needed = _needed(action, agent);
        _announce(b, count, needed);
        if (count < needed) return Refusal.NONE;
        if (action != Action.PAUSE) tally[0] = _isChange(action) ? uint40(block.timestamp) : Tally.CLOSED;
        _decide(b, agent, state, voters);
        return Refusal.NONE;
    }

    function _announce(Ballot memory b, uint8 count, uint8 needed) private {
        emit Voted(b.agent, Action(b.action), b.signer, b.param, b.epoch, b.setVersion, count, needed, b.reason);
    }

    /// @dev What speaks against the question itself: the agent's state first, then the param.
    function _objection(Ballot memory b, Agent storage agent, State state) private view returns (Refusal) {
        Action action = Action(b.action);
        uint256 param = uint256(b.param);
        bool possible = state != State.RETIRED;
        bool fits = param == 0;
        if (action == Action.REGISTER) {
            possible = state == State.NONE;
            fits = param != 0 && param >> 160 == 0;
        } else if (action == Action.RESUME) {
            possible = state == State.HALTED || (state == State.LAPSED && !_inGrace(agent));
        } else if (action == Action.VETO) {
            possible = fits ? state == State.RESUMING : scheduledAt(b.agent, _changeOf(b.agent), b.param) != 0;
            fits = true;
        } else if (action == Action.PAUSE || action == Action.REARM) {
            if (action == Action.PAUSE) possible = state == State.RUNNING || state == State.PAUSED;
            fits = param == agent.arms;
        } else if (action == Action.SET_OPERATOR) {
            address operator = address(uint160(param));
            fits = b.agent != FLEET && operator != address(0) && operator != agent.operator;
        } else if (action == Action.ROTATE) {
            fits = b.agent == FLEET && !fits;
        }
        if (!possible) return Refusal.WRONG_STATE;
        return fits ? Refusal.NONE : Refusal.WRONG_PARAM;
    }

    // -------------------------------------------------------------------------------------------------- decisions

    /// @dev Carries a decided question out.
    function _decide(Ballot memory b, Agent storage agent, State state, uint64 voters) private {
        Action action = Action(b.action);
        (bytes32 id, bytes32 reason) = (b.agent, b.reason);
        if (action == Action.HALT || action == Action.RETIRE) {
            uint64 size = state == State.HALTED ? agent.haltedSize : _heads[agent.operator].size;
            agent.haltedSize = size;
            _write(agent, action == Action.HALT ? State.HALTED : State.RETIRED, 0, 0);
            if (action == Action.HALT) emit Halted(id, b.epoch, size, voters, reason);
            else emit Retired(id, b.epoch, voters, reason);
        } else if (action == Action.RESUME) {
            uint40 readyAt = _after(RESUME_DELAY);
            (agent.epoch, agent.resumeSet) = (b.epoch + 1, b.setVersion);
            _write(agent, State.RESUMING, 0, readyAt);
            emit ResumeScheduled(id, b.epoch + 1, readyAt, voters, reason);
        } else if (action == Action.PAUSE) {
            uint40 until = _after(PAUSE); // never earlier than before: time moves on and PAUSE does not change
            _write(agent, State.RUNNING, until, 0);
            emit Paused(id, b.signer, b.epoch, until, reason);
        } else if (action == Action.VETO) {
            if (b.param == 0) _write(agent, State.HALTED, 0, 0);
            else _tally(id, _changeOf(id), b.param)[0] = Tally.CLOSED;
            uint8 vetoes = agent.vetoes;
            if (vetoes < type(uint8).max) agent.vetoes = ++vetoes;
            emit Vetoed(id, b.param, b.epoch, vetoes, voters, reason);
        } else if (action == Action.REARM) {
            uint16 arms = agent.arms + 1;
            agent.arms = arms;
            emit Rearmed(id, b.epoch, arms, voters, reason);
        } else if (action == Action.REGISTER) {
            address operator = address(uint160(uint256(b.param)));
            (agent.epoch, agent.leaseUntil, agent.operator) = (1, _newLease(id), operator);
            _write(agent, State.RUNNING, 0, 0);
            emit Registered(id, operator, 1, voters, reason);
        } else {
            emit ChangeScheduled(id, action, b.param, b.epoch, _after(RESUME_DELAY), voters, reason);
        }
    }

    function _write(Agent storage agent, State state, uint40 pausedUntil, uint40 resumeReadyAt) private {
        (agent.state, agent.pausedUntil, agent.resumeReadyAt) = (state, pausedUntil, resumeReadyAt);
    }

    // -------------------------------------------------------------------------- what time brings, by anyone's call

    function finishResume(bytes32 id) external {
        Agent storage agent = _agents[id];
        if (_stateOf(agent) != State.RESUMING) revert NotScheduled();
        if (block.timestamp < agent.resumeReadyAt) revert TooEarly(agent.resumeReadyAt);
        (agent.state, agent.pausedUntil, agent.leaseUntil, agent.resumeReadyAt) = (State.RUNNING, 0, _newLease(id), 0);
        agent.vetoes = 0;
        emit Resumed(id, agent.epoch);
    }

    function finishOperator(bytes32 id, bytes32 param) external {
        _finish(id, Action.SET_OPERATOR, param);
        Agent storage agent = _agents[id];
        (address former, address operator) = (agent.operator, address(uint160(uint256(param))));
        agent.operator = operator;
        emit OperatorChanged(id, former, operator, _heads[former].size, ++_set.version);
    }

    function finishRotation(address[] memory signers, Thresholds memory thresholds, bytes32 salt) public {
        _finish(FLEET, Action.ROTATE, rotationParam(signers, thresholds, salt));
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

    function _finish(bytes32 id, Action action, bytes32 param) private {
        uint40 readyAt = scheduledAt(id, action, param);
        if (readyAt == 0) revert NotScheduled();
        if (block.timestamp < readyAt) revert TooEarly(readyAt);
        _tally(id, action, param)[0] = Tally.CLOSED;
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
            (s.haltVotes,,) = votes(s.agent, Action.HALT, 0);
            (s.resumeVotes,,) = votes(s.agent, Action.RESUME, 0);
            s.pausedUntil = agent.pausedUntil;
            s.leaseUntil = agent.leaseUntil;
            s.resumeReadyAt = agent.resumeReadyAt;
            s.operator = agent.operator;
            (s.size, s.root, s.anchoredAt) = headOf(agent.operator);
            s.haltedSize = agent.haltedSize;
        }
    }

    function votes(bytes32 agent, Action action, bytes32 param)
        public
        view
        returns (uint8 count, uint8 needed, uint64 voters)
    {
        (count, voters) = _tally(agent, action, param).standing(_set.length, _window(action));
        needed = _needed(action, _agents[agent]);
    }

    function scheduledAt(bytes32 agent, Action action, bytes32 param) public view returns (uint40 readyAt) {
        uint40 decidedAt = _tally(agent, action, param)[0];
        if (decidedAt == 0 || decidedAt == Tally.CLOSED || _agents[agent].state == State.RETIRED) return 0;
        return decidedAt + RESUME_DELAY;
    }

    function headOf(address operator) public view returns (uint64 size, bytes32 root, uint64 anchoredAt) {
        Head storage head = _heads[operator];
        (size, anchoredAt) = (head.size, head.anchoredAt);
        root = size == 0 ? Frontier.EMPTY_ROOT : head.root;
    }

    function council() external view returns (address[] memory, Thresholds memory, Timing memory, uint32) {
        SignerSet memory set = _set;
        Timing memory timing = Timing(PAUSE, RESUME_DELAY, BALLOT_WINDOW, LEASE, LEASE_GRACE);
        return (_signers, Thresholds(set.halt, set.resume, set.retire), timing, set.version);
    }

    function ballotDigest(Ballot memory ballot) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(BALLOT_TYPEHASH, ballot)));
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
        } else if (state == State.RESUMING && agent.resumeSet != _set.version) {
            return State.HALTED; // decided by signers who are no longer the council
        }
    }

    /// @dev Whether one signer's renewal is still enough; never for what has no lease.
    function _inGrace(Agent storage agent) private view returns (bool) {
        return agent.leaseUntil != 0 && block.timestamp < agent.leaseUntil + LEASE_GRACE;
    }

    function _needed(Action action, Agent storage agent) private view returns (uint8) {
        if (action == Action.NONE) return 0;
        if (action == Action.PAUSE) return 1;
        if (action == Action.HALT) return _set.halt;
        if (action == Action.RETIRE) return _set.retire;
        if (action == Action.VETO) return agent.vetoes < _set.halt ? agent.vetoes + 1 : _set.halt;
        return _set.resume;
    }

    /// @dev Seconds a vote stands. A pause is used up for as long as its question is the same.
    function _window(Action action) private view returns (uint256) {
        return action == Action.PAUSE ? type(uint40).max : BALLOT_WINDOW;
    }

    function _tally(bytes32 agent, Action action, bytes32 param) private view returns (uint40[65] storage) {
        return _tallies[keccak256(abi.encode(agent, action, param, _agents[agent].epoch, _set.version))];
    }

    function _isChange(Action action) private pure returns (bool) {
        return action == Action.SET_OPERATOR || action == Action.ROTATE;
    }

    function _changeOf(bytes32 agent) private pure returns (Action) {
        return agent == FLEET ? Action.ROTATE : Action.SET_OPERATOR;
    }

    function _newLease(bytes32 agent) private view returns (uint40) {
        return LEASE == 0 || agent == FLEET ? 0 : _after(LEASE);
    }

    function _after(uint40 delay) private view returns (uint40) {
        return uint40(block.timestamp) + delay;
    }
}
