// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {Ballots} from "./libraries/Ballots.sol";
import {Bits} from "./libraries/Bits.sol";
import {Frontier} from "./libraries/Frontier.sol";
import {Tally} from "./libraries/Tally.sol";

/// @title CouncilState
/// @notice What the council remembers, and the one way to read it. Nothing here writes; `Council` does.
/// @dev `_stateOf` alone interprets an agent's first slot. The layout, for `eth_getProof`, stands in
/// `contracts/README.md`.
abstract contract CouncilState is ICouncil, EIP712 {
    using Ballots for Ballot;
    using Tally for uint256[11];

    /// @dev The first slot decides, with the fleet's first slot and the clock, whether the agent may run. It holds all
    /// that a halt writes, too: two ballots that halt must cost less than 95,000 gas. Hence the narrow types.
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
        uint64 pausedBy; // bit i: signer i's pause is used up; holds in the set `setVersion` only
        uint32 setVersion; // the set whose pauses these are, or, if RESUMING, that decided so
    }

    /// @dev One slot: all that a vote needs to know of the signers but their seats.
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

    bytes32 internal constant FLEET = 0;
    bytes32 internal constant UNDO_HALT = 0; // params of RESUME
    bytes32 internal constant UNDO_LAPSE = bytes32(uint256(1));
    uint40 internal constant VETOED = type(uint40).max; // in place of a change's end: it never comes

    uint256 internal immutable PAUSE_TIME; // seconds, all five
    uint256 internal immutable RESUME_DELAY;
    uint256 internal immutable BALLOT_WINDOW;
    uint256 internal immutable LEASE;
    uint256 internal immutable LEASE_GRACE;

    mapping(bytes32 id => Agent) internal _agents;
    SignerSet internal _set;
    address[] internal _signers;
    mapping(address signer => uint256) internal _placeOf; // from 1; 0: not a signer
    mapping(bytes32 question => uint256[11]) internal _tallies; // see Tally
    mapping(address operator => Head) internal _heads;
    mapping(bytes32 question => uint40) internal _changeUntil; // until when it may be finished, or VETOED

    constructor(Timing memory timing) EIP712("agent_guard Council", "1") {
        bool bounded = _within(timing.pause, 1 seconds, 7 days) && _within(timing.resumeDelay, 1 seconds, 30 days)
            && _within(timing.ballotWindow, 1 minutes, 30 days) && timing.lease <= 365 days
            && timing.leaseGrace <= timing.lease;
        if (!bounded) revert InvalidTiming();
        PAUSE_TIME = timing.pause;
        RESUME_DELAY = timing.resumeDelay;
        BALLOT_WINDOW = timing.ballotWindow;
        LEASE = timing.lease;
        LEASE_GRACE = timing.leaseGrace;
    }

    function _within(uint256 span, uint256 least, uint256 most) private pure returns (bool) {
        return least <= span && span <= most;
    }

    // ------------------------------------------------------------------------------------------------------ views

    function stateOf(bytes32 agent) external view returns (State) {
        return _stateOf(_agents[agent]);
    }

    function mayRun(bytes32 agent) public view returns (bool) {
        return _stateOf(_agents[agent]) == State.RUNNING && _stateOf(_agents[FLEET]) == State.RUNNING;
    }

    function snapshot(bytes32[] calldata agents) external view returns (Snapshot[] memory) {
        Snapshot[] memory all = new Snapshot[](agents.length);
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
            (s.resumeVotes,,) = votes(s.agent, Action.RESUME, _undoing(s.state));
            if (agent.state == State.RUNNING) s.pausedUntil = agent.pausedUntil;
            s.leaseUntil = agent.leaseUntil;
            if (s.state == State.RESUMING) s.resumeReadyAt = agent.resumeReadyAt;
            s.operator = agent.operator;
            (s.size, s.root, s.anchoredAt) = headOf(agent.operator);
            s.haltedSize = agent.haltedSize;
        }
        return all;
    }

    function votes(bytes32 agent, Action action, bytes32 param)
        public
        view
        returns (uint8 count, uint8 needed, uint64 voters)
    {
        Agent storage a = _agents[agent];
        if (action == Action.PAUSE) voters = uint256(param) == a.arms ? _pausedBy(a) : 0;
        else voters = _tallies[_question(agent, action, param)].voters(_set.length);
        (count, needed) = (Bits.count(voters), _needed(action, a));
    }

    function scheduledAt(bytes32 agent, Action action, bytes32 param) public view returns (uint40 readyAt) {
        uint40 until = _changeUntil[_question(agent, action, param)];
        if (until == VETOED || block.timestamp >= until || _agents[agent].state == State.RETIRED) return 0;
        return until - uint40(BALLOT_WINDOW);
    }

    function headOf(address operator) public view returns (uint64 size, bytes32 root, uint64 anchoredAt) {
        Head storage head = _heads[operator];
        (size, anchoredAt) = (head.size, head.anchoredAt);
        root = size == 0 ? Frontier.EMPTY_ROOT : head.root;
    }

    function council()
        external
        view
        returns (address[] memory signers, Thresholds memory thresholds, Timing memory timing, uint32 setVersion)
    {
        (signers, setVersion) = (_signers, _set.version);
        thresholds = Thresholds(_set.halt, _set.resume, _set.retire);
        (timing.pause, timing.resumeDelay) = (uint40(PAUSE_TIME), uint40(RESUME_DELAY));
        (timing.ballotWindow, timing.lease) = (uint40(BALLOT_WINDOW), uint40(LEASE));
        timing.leaseGrace = uint40(LEASE_GRACE);
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
    function _stateOf(Agent storage agent) internal view returns (State state) {
        state = agent.state;
        if (state == State.RUNNING) {
            if (agent.leaseUntil != 0 && block.timestamp >= agent.leaseUntil) return State.LAPSED;
            if (block.timestamp < agent.pausedUntil) return State.PAUSED;
        } else if (state == State.RESUMING && agent.setVersion != _set.version) {
            return State.HALTED; // decided by signers who are no longer the council
        }
    }

    /// @dev Whether one signer's renewal is still enough; never for what has no lease.
    function _inGrace(Agent storage agent) internal view returns (bool) {
        return agent.leaseUntil != 0 && block.timestamp < agent.leaseUntil + LEASE_GRACE;
    }

    /// @dev What a RESUME of an agent in this state has for its param.
    function _undoing(State state) internal pure returns (bytes32) {
        return state == State.LAPSED ? UNDO_LAPSE : UNDO_HALT;
    }

    /// @dev The question as it would be asked now.
    function _question(bytes32 agent, Action action, bytes32 param) internal view returns (bytes32) {
        uint64 epoch = _agents[agent].epoch;
        return Ballot(agent, uint8(action), param, epoch, _set.version, address(0), 0, 0).question();
    }

    function _needed(Action action, Agent storage agent) internal view returns (uint8) {
        if (action == Action.HALT) return _set.halt;
        if (action == Action.NONE) return 0;
        if (action == Action.PAUSE) return 1;
        if (action == Action.RETIRE) return _set.retire;
        if (action == Action.VETO) return agent.vetoes < _set.halt ? agent.vetoes + 1 : _set.halt;
        return _set.resume;
    }

    /// @dev Whose pause is used up in this epoch, arming and set.
    function _pausedBy(Agent storage agent) internal view returns (uint64) {
        return agent.setVersion == _set.version ? agent.pausedBy : 0;
    }

    function _changeOf(bytes32 agent) internal pure returns (Action) {
        return agent == FLEET ? Action.ROTATE : Action.SET_OPERATOR;
    }

    function _operatorIn(bytes32 param) internal pure returns (address) {
        return address(uint160(uint256(param)));
    }

    function _newLease(bytes32 agent) internal view returns (uint40) {
        return LEASE == 0 || agent == FLEET ? 0 : _after(LEASE);
    }

    function _after(uint256 delay) internal view returns (uint40) {
        return uint40(block.timestamp + delay);
    }
}
