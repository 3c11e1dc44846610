// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilHandler} from "./support/CouncilHandler.sol";
import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";
import {ReferenceTree} from "./support/ReferenceTree.sol";
import {GasEatingWallet, ThirstyWallet} from "./support/Wallets.sol";

struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}

/// @notice The invariants of contract.md that must hold after any sequence of calls by anyone, by their numbers there.
/// `CouncilHandler` makes the calls and judges each; what it found broken is asked for here.
contract InvariantsTest is CouncilTest {
    CouncilHandler private handler;

    function setUp() public override {
        vm.warp(START);
        handler = new CouncilHandler();
        council = handler.theCouncil();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        list[0] = FuzzSelector(address(handler), handler.selectors());
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    /// forge-config: default.invariant.runs = 30
    /// forge-config: default.invariant.depth = 60
    function invariant_01_02_04_05_06_08_10_11_12_13_HoldAfterEveryCall() public view {
        for (uint256 number = 1; number <= 13; ++number) {
            vm.assertEq(handler.broken(number), "", "invariant");
        }
    }

    /// @dev From wherever the calls have led: H ballots of any present signers halt what is not retired.
    /// forge-config: default.invariant.runs = 10
    /// forge-config: default.invariant.depth = 60
    function invariant_03_AHaltQuorumNeverReverts_InAnyStateButRetired() public {
        (address[] memory who, ICouncil.Thresholds memory need,,) = council.council();
        for (uint256 i; i < 3; ++i) {
            bytes32 id = handler.idAt(i);
            if (council.stateOf(id) == ICouncil.State.RETIRED) continue;
            uint256 before = vm.snapshotState();
            for (uint256 k; k < need.halt; ++k) {
                address signer = who[(k + _now()) % who.length];
                (,, uint64 voters) = council.votes(id, ICouncil.Action.HALT, 0);
                bool stands = voters & (1 << ((k + _now()) % who.length)) != 0;
                if (!stands || council.stateOf(id) == ICouncil.State.HALTED) _vote(signer, id, ICouncil.Action.HALT, 0);
            }
            _assertState(id, ICouncil.State.HALTED);
            vm.assertFalse(council.mayRun(id), "runs");
            vm.revertToState(before);
        }
    }
}

/// @notice Three operators extend their logs at random; the head is always RFC 6962 over all their leaves (7).
contract LogHandler is CouncilTest {
    bytes32[][3] private leaves;
    uint256 private count;

    constructor() {
        setUp();
    }

    function extend(uint8 who, uint8 by, bool ranges, uint8 spoil) external {
        bytes32[] storage mine = leaves[who % 3];
        uint256 old = mine.length;
        uint256 size = old + 1 + uint256(by) % 20;
        bytes32[] memory all = new bytes32[](size);
        for (uint256 i; i < size; ++i) {
            all[i] = i < old ? mine[i] : ReferenceTree.leaf(++count, i);
        }
        bytes32[] memory frontier = ReferenceTree.cover(all, 0, old);
        bytes32[] memory nodes = ranges ? ReferenceTree.cover(all, old, size) : ReferenceTree.slice(all, old, size);
        if (spoil % 8 == 7 && old > 0) frontier[spoil % frontier.length] = bytes32(count);
        if (spoil % 8 == 6) size = old;
        vm.prank(_operator(who));
        try council.extend(uint64(size), frontier, nodes) {
            for (uint256 i = old; i < size; ++i) {
                mine.push(all[i]);
            }
        } catch {}
    }

    function assertHeads() external view {
        for (uint8 i; i < 3; ++i) {
            bytes32[] memory mine = leaves[i];
            (uint64 size, bytes32 root,) = council.headOf(_operator(i));
            vm.assertEq(size, mine.length, "size");
            vm.assertEq(root, ReferenceTree.root(mine, 0, mine.length), "root");
        }
    }

    function _operator(uint8 who) private pure returns (address) {
        return address(uint160(0x09e0 + who % 3));
    }
}

contract LogInvariantTest is CouncilTest {
    LogHandler private handler;

    function setUp() public override {
        vm.warp(START);
        handler = new LogHandler();
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        list[0] = FuzzSelector(address(handler), new bytes4[](1));
        list[0].selectors[0] = LogHandler.extend.selector;
    }

    /// forge-config: default.invariant.runs = 8
    /// forge-config: default.invariant.depth = 25
    function invariant_07_TheHeadNeverShrinks_AndIsTheRfcsRootOfAllLeaves() public view {
        handler.assertHeads();
    }
}

/// @notice The invariants that are best attacked head on.
contract DirectedInvariantsTest is CouncilTest {
    bytes32 private random;

    /// forge-config: default.fuzz.runs = 80
    function testFuzz_Invariant_01_RetiredIsAbsorbing(uint256 seed) public {
        _retire(AGENT);
        for (uint256 i; i < 24; ++i) {
            _move(seed, i, 5, true);
            _assertState(AGENT, ICouncil.State.RETIRED);
            vm.assertFalse(council.mayRun(AGENT), "runs");
        }
    }

    /// forge-config: default.fuzz.runs = 80
    function testFuzz_Invariant_02_FewerThanRNeverResumeAHalt(uint256 seed) public {
        _halt(AGENT);
        for (uint256 i; i < 24; ++i) {
            _move(seed, i, R - 1, true);
            _assertState(AGENT, ICouncil.State.HALTED);
        }
    }

    /// forge-config: default.fuzz.runs = 80
    function testFuzz_Invariant_02_NotEvenAllResumeWithinOneBlock(uint256 seed) public {
        _halt(AGENT);
        for (uint256 i; i < 24; ++i) {
            _move(seed, i, 5, false);
            vm.assertFalse(council.mayRun(AGENT), "runs in the halt's own block");
        }
    }

    /// forge-config: default.fuzz.runs = 80
    function testFuzz_Invariant_04_OneSignerStopsForOnePauseAtMost_AndStartsNothing(uint256 seed) public {
        uint256 end;
        for (uint256 i; i < 24; ++i) {
            _move(seed, i, 1, true);
            _moveWithin(_now());
            ICouncil.Snapshot memory seen = _snapshot(AGENT);
            if (end == 0 && seen.pausedUntil != 0) end = _now() + PAUSE;
            vm.assertLe(seen.pausedUntil, end, "paused again");
            bool lapsed = _now() >= seen.leaseUntil;
            if (_now() >= end && !lapsed) _assertState(AGENT, ICouncil.State.RUNNING);
            _assertState(STRANGE, ICouncil.State.NONE);
        }
    }

    /// forge-config: default.fuzz.runs = 80
    function testFuzz_Invariant_08_WhatWasNeverRegistered_NeverRuns(uint256 seed, bytes32 id) public {
        vm.assume(id != AGENT && id != FLEET && id != STRANGE);
        for (uint256 i; i < 24; ++i) {
            _move(seed, i, 5, true);
            vm.assertFalse(council.mayRun(id), "runs");
        }
    }

    /// forge-config: default.fuzz.runs = 80
    function testFuzz_Invariant_12_ALapsePastItsGrace_NeedsR(uint256 seed) public {
        _skip(LEASE + GRACE);
        for (uint256 i; i < 24; ++i) {
            _move(seed, i, R - 1, true);
            vm.assertFalse(council.mayRun(AGENT), "runs");
            vm.assertEq(_epoch(AGENT), 1, "epoch");
        }
    }

    // ------------------------------------------------------------------------------- 9: the halt path calls nobody

    /// @dev Reads the deployed code: no opcode that moves value, reads a balance, or runs other code in our place; and
    /// STATICCALL is the only call.
    function test_Invariant_09_TheCodeHasNoCallButStaticcall_AndReadsNoBalance() public view {
        bytes memory code = address(council).code;
        // the compiler's note at the end, whose length its last two bytes give, is no code
        uint256 end = code.length - 2 - (uint256(uint8(code[code.length - 2])) * 256 + uint8(code[code.length - 1]));
        for (uint256 i; i < end; ++i) {
            uint8 op = uint8(code[i]);
            if (op >= 0x60 && op <= 0x7f) i += op - 0x5f;
            vm.assertTrue(op != 0x31 && op != 0x47, "BALANCE or SELFBALANCE");
            bool runs = op == 0xf0 || op == 0xf1 || op == 0xf2 || op == 0xf4 || op == 0xf5 || op == 0xff;
            vm.assertFalse(runs, "CREATE, CALL, CALLCODE, DELEGATECALL, CREATE2 or SELFDESTRUCT");
        }
    }

    function test_Invariant_09_FourGasEaters_CannotHoldUpTwoHonestSigners() public {
        address[] memory who = new address[](6);
        for (uint256 i; i < 4; ++i) {
            who[i] = address(new GasEatingWallet());
        }
        (who[4], who[5]) = (alice, bob);
        signers = who;
        council = _deploy(who, _thresholds(), _timing());
        ICouncil.Ballot[] memory ballots = _ballots(6, FLEET, ICouncil.Action.HALT, 0);
        bytes[] memory signatures = new bytes[](6);
        (signatures[4], signatures[5]) = (_sign(ballots[4]), _sign(ballots[5]));
        vm.assertEq(council.submit{gas: 1_000_000}(ballots, signatures), 2, "accepted");
        _assertState(FLEET, ICouncil.State.HALTED);
    }

    /// @dev With too little gas left the call may revert, but must not pass a true ballot over in silence.
    function testFuzz_Invariant_09_LittleGas_NeverMakesATrueBallotASkippedOne(uint32 gas_) public {
        _withWallet(address(new ThirstyWallet()));
        (ICouncil.Ballot[] memory ballots, bytes[] memory signatures) =
            _single(_ballot(signers[4], AGENT, ICouncil.Action.HALT, 0), "");
        gas_ = uint32(_bound(gas_, 20_000, 400_000));
        try council.submit{gas: gas_}(ballots, signatures) returns (uint256 accepted) {
            vm.assertEq(accepted, 1, "passed over for want of gas");
        } catch {}
    }

    // ---------------------------------------------------------------------------------------------- random moves

    /// @dev Move number `i` of the sequence `seed`: one of the first `crowd` signers, or anyone, does something that
    /// may well fail. Time passes only if `clock`.
    function _move(uint256 seed, uint256 i, uint256 crowd, bool clock) private {
        random = keccak256(abi.encode(seed, i));
        address who = signers[_pick(crowd)];
        bytes32 id = [AGENT, AGENT, FLEET, STRANGE][_pick(4)];
        uint256 kind = _pick(8);
        if (kind == 0 && clock) _skip([uint40(1), PAUSE, DELAY, WINDOW / 2][_pick(4)]);
        if (kind == 1) _try(who, abi.encodeCall(council.renew, (id)));
        if (kind == 2) _try(mallory, abi.encodeCall(council.finishResume, (id)));
        if (kind == 3) _try(mallory, abi.encodeCall(council.finishOperator, (id, _word(NEW_OPERATOR))));
        if (kind < 4) return;
        ICouncil.Action action = ICouncil.Action(1 + _pick(9));
        bytes32 param;
        if (action == ICouncil.Action.PAUSE || action == ICouncil.Action.REARM) param = _arms(id);
        if (action == ICouncil.Action.RESUME) param = _undoing(id);
        if (action == ICouncil.Action.REGISTER || action == ICouncil.Action.SET_OPERATOR) param = _word(NEW_OPERATOR);
        _try(who, abi.encodeCall(council.vote, (id, action, param, _epoch(id), REASON)));
    }

    /// @dev The lone signer also does the one thing it surely may.
    function _moveWithin(uint256 when) private {
        if (when % 3 == 0) _try(alice, abi.encodeCall(council.renew, (AGENT)));
        _try(alice, abi.encodeCall(council.vote, (AGENT, ICouncil.Action.PAUSE, _arms(AGENT), _epoch(AGENT), REASON)));
    }

    function _try(address who, bytes memory data) private {
        vm.prank(who);
        (bool ok,) = address(council).call(data);
        ok; // either way
    }

    function _pick(uint256 from) private returns (uint256) {
        random = keccak256(abi.encode(random));
        return uint256(random) % from;
    }
}
