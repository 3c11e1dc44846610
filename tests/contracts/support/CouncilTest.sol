// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICouncil} from "../../../contracts/interfaces/ICouncil.sol";
import {Vm} from "./Vm.sol";

/// @notice What every test here starts from: a council of five (H = 2, R = 3, D = 4) with one registered agent, and
/// short words for voting, signing and looking. It takes nothing from the contract that it could work out itself: the
/// EIP-712 digest, the thresholds and the times are written down here a second time.
/// @dev The council is made from its artifact, not imported, so that a change of the contract recompiles no test.
abstract contract CouncilTest {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes32 internal constant FLEET = bytes32(0);
    bytes32 internal constant AGENT = keccak256("agent-1");
    bytes32 internal constant STRANGE = keccak256("never registered");
    bytes32 internal constant REASON = keccak256("because");
    address internal constant OPERATOR = address(0x0b5e55ed);
    address internal constant NEW_OPERATOR = address(0x0b5e55ee);

    uint8 internal constant H = 2;
    uint8 internal constant R = 3;
    uint8 internal constant D = 4;
    uint40 internal constant PAUSE = 6 hours;
    uint40 internal constant DELAY = 2 days;
    uint40 internal constant WINDOW = 7 days;
    uint40 internal constant LEASE = 30 days;
    uint40 internal constant GRACE = 3 days;
    uint256 internal constant START = 1_800_000_000;

    bytes32 internal constant BALLOT_TYPEHASH = keccak256(
        "Ballot(bytes32 agent,uint8 action,bytes32 param,uint64 epoch,uint32 setVersion,address signer,uint64 deadline,bytes32 reason)"
    );

    ICouncil internal council;
    address internal alice = _person("alice");
    address internal bob = _person("bob");
    address internal carol = _person("carol");
    address internal dave = _person("dave");
    address internal erin = _person("erin");
    address internal mallory = _person("mallory"); // never a signer
    address[] internal signers;
    mapping(address => uint256) internal keyOf;

    function setUp() public virtual {
        vm.warp(START);
        signers = [alice, bob, carol, dave, erin];
        council = _deploy(signers, _thresholds(), _timing());
        _register(AGENT, OPERATOR);
    }

    // ---------------------------------------------------------------------------------------------------- building

    function _person(string memory name) internal returns (address who) {
        uint256 key = uint256(keccak256(bytes(name)));
        who = vm.addr(key);
        keyOf[who] = key;
        vm.label(who, name);
    }

    function _thresholds() internal pure returns (ICouncil.Thresholds memory) {
        return ICouncil.Thresholds(H, R, D);
    }

    function _timing() internal pure returns (ICouncil.Timing memory) {
        return ICouncil.Timing(PAUSE, DELAY, WINDOW, LEASE, GRACE);
    }

    function _deploy(address[] memory who, ICouncil.Thresholds memory need, ICouncil.Timing memory time)
        internal
        returns (ICouncil made)
    {
        bytes memory code = abi.encodePacked(vm.getCode("Council.sol:Council"), abi.encode(who, need, time));
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
            if iszero(made) {
                let data := mload(0x40)
                returndatacopy(data, 0, returndatasize())
                revert(data, returndatasize())
            }
        }
    }

    /// @dev Puts `wallet` in erin's place, in a fresh council with the agent registered.
    function _withWallet(address wallet) internal {
        signers[4] = wallet;
        council = _deploy(signers, _thresholds(), _timing());
        _register(AGENT, OPERATOR);
    }

    // ------------------------------------------------------------------------------------------------------ voting

    function _vote(address who, bytes32 agent, ICouncil.Action action, bytes32 param) internal {
        uint64 epoch = _epoch(agent);
        vm.prank(who);
        council.vote(agent, action, param, epoch, REASON);
    }

    /// @dev The first `count` signers vote.
    function _decide(uint256 count, bytes32 agent, ICouncil.Action action, bytes32 param) internal {
        for (uint256 i; i < count; ++i) {
            _vote(signers[i], agent, action, param);
        }
    }

    function _refused(address who, bytes32 agent, ICouncil.Action action, bytes32 param, ICouncil.Refusal why) internal {
        _refusedAt(_epoch(agent), who, agent, action, param, why);
    }

    function _refusedAt(
        uint64 epoch,
        address who,
        bytes32 agent,
        ICouncil.Action action,
        bytes32 param,
        ICouncil.Refusal why
    ) internal {
        vm.expectRevert(abi.encodeWithSelector(ICouncil.VoteRefused.selector, why));
        vm.prank(who);
        council.vote(agent, action, param, epoch, REASON);
    }

    function _register(bytes32 agent, address operator) internal {
        _decide(R, agent, ICouncil.Action.REGISTER, _word(operator));
    }

    function _halt(bytes32 agent) internal {
        _decide(H, agent, ICouncil.Action.HALT, 0);
    }

    /// @dev R votes for a resume: RESUMING if it was HALTED, or LAPSED past its grace.
    function _resume(bytes32 agent) internal {
        _decide(R, agent, ICouncil.Action.RESUME, _undoing(agent));
    }

    /// @dev The param of a RESUME: 1 undoes a lapse, 0 a halt.
    function _undoing(bytes32 agent) internal view returns (bytes32) {
        return bytes32(uint256(council.stateOf(agent) == ICouncil.State.LAPSED ? 1 : 0));
    }

    function _retire(bytes32 agent) internal {
        _decide(D, agent, ICouncil.Action.RETIRE, 0);
    }

    function _pause(address who, bytes32 agent) internal {
        _vote(who, agent, ICouncil.Action.PAUSE, _arms(agent));
    }

    function _veto(address who, bytes32 agent, bytes32 param) internal {
        _vote(who, agent, ICouncil.Action.VETO, param);
    }

    function _haltAndRun(bytes32 agent) internal {
        _halt(agent);
        _resume(agent);
        _skip(DELAY);
        council.finishResume(agent);
    }

    function _setOperator(bytes32 param) internal {
        _decide(R, AGENT, ICouncil.Action.SET_OPERATOR, param);
    }

    function _proposeRotation(address[] memory who, ICouncil.Thresholds memory need, bytes32 salt)
        internal
        returns (bytes32 param)
    {
        param = keccak256(abi.encode(who, need, salt));
        _decide(R, FLEET, ICouncil.Action.ROTATE, param);
    }

    function _rotate(address[] memory who, ICouncil.Thresholds memory need, bytes32 salt) internal {
        _proposeRotation(who, need, salt);
        _skip(DELAY);
        council.finishRotation(who, need, salt);
        signers = who;
    }

    /// @dev Brings AGENT from RUNNING into any state but NONE.
    function _putInto(ICouncil.State state) internal {
        if (state == ICouncil.State.PAUSED) _pause(erin, AGENT);
        if (state == ICouncil.State.LAPSED) _skip(LEASE);
        if (state == ICouncil.State.HALTED || state == ICouncil.State.RESUMING) _halt(AGENT);
        if (state == ICouncil.State.RESUMING) _resume(AGENT);
        if (state == ICouncil.State.RETIRED) _retire(AGENT);
        _assertState(AGENT, state);
    }

    // ----------------------------------------------------------------------------------------------------- ballots

    function _ballot(address signer, bytes32 agent, ICouncil.Action action, bytes32 param)
        internal
        view
        returns (ICouncil.Ballot memory)
    {
        return ICouncil.Ballot({
            agent: agent,
            action: uint8(action),
            param: param,
            epoch: _epoch(agent),
            setVersion: _set(),
            signer: signer,
            deadline: uint64(_now() + 1 hours),
            reason: REASON
        });
    }

    /// @dev Ballots of the first `count` signers.
    function _ballots(uint256 count, bytes32 agent, ICouncil.Action action, bytes32 param)
        internal
        view
        returns (ICouncil.Ballot[] memory ballots)
    {
        ballots = new ICouncil.Ballot[](count);
        for (uint256 i; i < count; ++i) {
            ballots[i] = _ballot(signers[i], agent, action, param);
        }
    }

    /// @dev EIP-712, written out: the contract's own `ballotDigest` is compared with this.
    function _digest(address verifier, uint256 chain, ICouncil.Ballot memory ballot) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("agent_guard Council"),
                keccak256("1"),
                chain,
                verifier
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(BALLOT_TYPEHASH, ballot))));
    }

    function _signFor(address verifier, uint256 chain, uint256 key, ICouncil.Ballot memory ballot)
        internal
        pure
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _digest(verifier, chain, ballot));
        return abi.encodePacked(r, s, v);
    }

    function _sign(ICouncil.Ballot memory ballot) internal view returns (bytes memory) {
        return _signFor(address(council), vm.getChainId(), keyOf[ballot.signer], ballot);
    }

    function _signAll(ICouncil.Ballot[] memory ballots) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](ballots.length);
        for (uint256 i; i < ballots.length; ++i) {
            signatures[i] = _sign(ballots[i]);
        }
    }

    function _submit(ICouncil.Ballot memory ballot, bytes memory signature) internal returns (uint256) {
        (ICouncil.Ballot[] memory ballots, bytes[] memory signatures) = _single(ballot, signature);
        return council.submit(ballots, signatures);
    }

    /// @dev Submits a lone ballot that must be refused: by revert, or, if it is a HALT, by being skipped.
    function _submitRefused(ICouncil.Ballot memory ballot, bytes memory signature, ICouncil.Refusal why) internal {
        (ICouncil.Ballot[] memory ballots, bytes[] memory signatures) = _single(ballot, signature);
        if (ballot.action == uint8(ICouncil.Action.HALT)) {
            vm.expectEmit(address(council));
            emit ICouncil.BallotSkipped(0, ballot.signer, why);
            vm.assertEq(council.submit(ballots, signatures), 0, "passed over, yet accepted");
        } else {
            vm.expectRevert(abi.encodeWithSelector(ICouncil.BallotRefused.selector, 0, why));
            council.submit(ballots, signatures);
        }
    }

    function _single(ICouncil.Ballot memory ballot, bytes memory signature)
        internal
        pure
        returns (ICouncil.Ballot[] memory ballots, bytes[] memory signatures)
    {
        ballots = new ICouncil.Ballot[](1);
        signatures = new bytes[](1);
        (ballots[0], signatures[0]) = (ballot, signature);
    }

    // ----------------------------------------------------------------------------------------------------- looking

    function _snapshot(bytes32 agent) internal view returns (ICouncil.Snapshot memory) {
        bytes32[] memory one = new bytes32[](1);
        one[0] = agent;
        return council.snapshot(one)[0];
    }

    function _epoch(bytes32 agent) internal view returns (uint64) {
        return _snapshot(agent).epoch;
    }

    function _arms(bytes32 agent) internal view returns (bytes32) {
        return bytes32(uint256(_snapshot(agent).arms));
    }

    function _set() internal view returns (uint32 setVersion) {
        (,,, setVersion) = council.council();
    }

    function _assertState(bytes32 agent, ICouncil.State state) internal view {
        vm.assertEq(uint256(council.stateOf(agent)), uint256(state), "state");
    }

    // ---------------------------------------------------------------------------------------------------- the log

    /// @dev Grows the log of `operator`, empty or grown here before to at most 7 entries, to `size` with equal leaves.
    function _grow(address operator, uint64 size) internal {
        (uint64 old,,) = council.headOf(operator);
        bytes32[] memory ones = new bytes32[](size - old);
        for (uint256 i; i < ones.length; ++i) {
            ones[i] = REASON;
        }
        bytes32[] memory tops = _tops(old);
        vm.prank(operator);
        council.extend(size, tops, ones);
    }

    function _tops(uint64 size) private pure returns (bytes32[] memory tops) {
        bytes32 one = REASON;
        bytes32 two = sha256(abi.encodePacked(hex"01", one, one));
        bytes32 four = sha256(abi.encodePacked(hex"01", two, two));
        uint256 i;
        tops = new bytes32[]((size & 1) + ((size >> 1) & 1) + ((size >> 2) & 1));
        if (size & 4 != 0) tops[i++] = four;
        if (size & 2 != 0) tops[i++] = two;
        if (size & 1 != 0) tops[i++] = one;
    }

    // -------------------------------------------------------------------------------------------------- small things

    /// @dev Through the cheatcode: the optimizer may take TIMESTAMP for a constant of the test's call.
    function _now() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function _skip(uint256 duration) internal {
        vm.warp(_now() + duration);
    }

    function _word(address who) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(who)));
    }

    /// @dev Into [low, high].
    function _bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        if (low == 0 && high == type(uint256).max) return x;
        return low + x % (high - low + 1);
    }

    function _people(address a, address b, address c) internal pure returns (address[] memory list) {
        list = new address[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }
}
