// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

contract FinishOperatorTest is CouncilTest {
    /// @dev The trio at the end of the delay.
    function testFuzz_FinishOperator_ByAnyone_WorksFromTheDelaysEnd(address anyone, uint96 high, address next) public {
        vm.assume(next != address(0) && next != OPERATOR);
        bytes32 param = _word(next) | bytes32(uint256(high) << 160);
        _setOperator(param);
        uint256 readyAt = _now() + DELAY;
        vm.warp(readyAt - 1);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.TooEarly.selector, readyAt));
        council.finishOperator(AGENT, param);
        uint256 before = vm.snapshotState();
        for (uint256 later; later <= 1; ++later) {
            vm.warp(readyAt + later);
            vm.expectEmit(address(council));
            emit ICouncil.OperatorChanged(AGENT, OPERATOR, next, 0, 2);
            vm.prank(anyone);
            council.finishOperator(AGENT, param);
            vm.assertEq(_snapshot(AGENT).operator, next, "operator");
            vm.assertEq(_set(), 2, "set version");
            vm.revertToState(before);
        }
    }

    function testFuzz_FinishOperator_WithNothingScheduled_IsRefused(bytes32 agent, bytes32 param) public {
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(agent, param);
        _decide(R - 1, AGENT, ICouncil.Action.SET_OPERATOR, _word(NEW_OPERATOR));
        _skip(DELAY);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
    }

    function test_FinishOperator_Twice_IsRefused() public {
        bytes32 param = _word(NEW_OPERATOR);
        _finished(param);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, param);
    }

    function test_FinishOperator_NamesTheOldLogsSize_AndTheNewLogIsTheAgents() public {
        bytes32[] memory three = new bytes32[](3);
        vm.prank(OPERATOR);
        council.extend(3, new bytes32[](0), three);
        vm.prank(NEW_OPERATOR);
        council.extend(1, new bytes32[](0), new bytes32[](1));
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        vm.expectEmit(address(council));
        emit ICouncil.OperatorChanged(AGENT, OPERATOR, NEW_OPERATOR, 3, 2);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        vm.assertEq(_snapshot(AGENT).size, 1, "size");
    }

    function test_FinishOperator_LeavesTheStateAlone_AndClearsVetoes() public {
        _setOperator(_word(NEW_OPERATOR));
        _veto(erin, AGENT, _word(NEW_OPERATOR));
        ICouncil.Snapshot memory seen = _snapshot(AGENT);
        vm.assertEq(seen.vetoes, 1, "vetoes before");
        _finished(_word(NEW_OPERATOR) | bytes32(uint256(1) << 255));
        ICouncil.Snapshot memory after_ = _snapshot(AGENT);
        vm.assertEq(after_.vetoes, 0, "vetoes after");
        vm.assertEq(after_.leaseUntil, seen.leaseUntil, "lease");
        vm.assertEq(after_.epoch, seen.epoch, "epoch");
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function test_FinishOperator_VoidsOpenVotes_OfEveryAgent() public {
        _register(STRANGE, OPERATOR);
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _vote(alice, STRANGE, ICouncil.Action.HALT, 0);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _vote(bob, STRANGE, ICouncil.Action.HALT, 0);
        vm.assertTrue(council.mayRun(AGENT) && council.mayRun(STRANGE), "an old set's vote counted");
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_FinishOperator_ScheduledInAnEarlierEpoch_IsRefused() public {
        _setOperator(_word(NEW_OPERATOR));
        _haltAndRun(AGENT);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
    }

    function test_FinishOperator_ScheduledByAnEarlierSet_IsRefused() public {
        bytes32 other = _word(mallory);
        _setOperator(_word(NEW_OPERATOR));
        _setOperator(other);
        _skip(DELAY);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, other), 0, "scheduled");
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, other);
    }

    function test_FinishOperator_NeverRevivesTheRetired() public {
        _setOperator(_word(NEW_OPERATOR));
        _retire(AGENT);
        _skip(DELAY);
        (bool ok,) = address(council).call(abi.encodeCall(council.finishOperator, (AGENT, _word(NEW_OPERATOR))));
        ok; // either is fine, as long as
        _assertState(AGENT, ICouncil.State.RETIRED);
    }

    function _finished(bytes32 param) private {
        _setOperator(param);
        _skip(DELAY);
        council.finishOperator(AGENT, param);
    }
}
