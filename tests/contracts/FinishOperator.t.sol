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
            vm.assertEq(_epoch(AGENT), 2, "epoch");
            vm.assertEq(_set(), 1, "set version");
            vm.revertToState(before);
        }
    }

    /// @dev The trio at the end of the time in which it may be finished.
    function test_FinishOperator_WorksBeforeItsWindowCloses_AndNotFromThenOn() public {
        bytes32 param = _word(NEW_OPERATOR);
        _setOperator(param);
        uint256 end = _now() + DELAY + WINDOW;
        vm.warp(end - 1);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), end - WINDOW, "scheduled before");
        uint256 before = vm.snapshotState();
        council.finishOperator(AGENT, param);
        vm.revertToState(before);
        for (uint256 later; later <= 1; ++later) {
            vm.warp(end + later);
            vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), 0, "scheduled after");
            vm.expectRevert(ICouncil.NotScheduled.selector);
            council.finishOperator(AGENT, param);
            _refused(erin, AGENT, ICouncil.Action.VETO, param, ICouncil.Refusal.WRONG_STATE);
        }
    }

    /// @dev The same change, to the bit: none of its former votes counts, and it waits its delay again.
    function test_FinishOperator_NotFinishedInTime_MayBeProposedAgain() public {
        bytes32 param = _word(NEW_OPERATOR);
        _setOperator(param);
        _skip(DELAY + WINDOW - 1);
        _refused(dave, AGENT, ICouncil.Action.SET_OPERATOR, param, ICouncil.Refusal.ALREADY_DECIDED);
        _skip(1);
        _decide(R - 1, AGENT, ICouncil.Action.SET_OPERATOR, param);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), 0, "scheduled by two");
        _vote(erin, AGENT, ICouncil.Action.SET_OPERATOR, param);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), _now() + DELAY, "ready at");
        _skip(DELAY);
        council.finishOperator(AGENT, param);
        vm.assertEq(_snapshot(AGENT).operator, NEW_OPERATOR, "operator");
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
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function test_FinishOperator_VoidsOpenVotes_OfThatAgentAlone() public {
        _register(STRANGE, OPERATOR);
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _vote(alice, STRANGE, ICouncil.Action.HALT, 0);
        _vote(alice, FLEET, ICouncil.Action.HALT, 0);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.RUNNING);
        _vote(bob, STRANGE, ICouncil.Action.HALT, 0);
        _assertState(STRANGE, ICouncil.State.HALTED);
        _vote(bob, FLEET, ICouncil.Action.HALT, 0);
        _assertState(FLEET, ICouncil.State.HALTED);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    /// @dev Anyone may choose the block of a due change: also the one before a batch that halts the fleet.
    function test_FinishOperator_JustBeforeAHaltOfTheFleet_DoesNotVoidIt() public {
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        ICouncil.Ballot[] memory ballots = _ballots(H, FLEET, ICouncil.Action.HALT, 0);
        bytes[] memory signatures = _signAll(ballots);
        vm.prank(mallory);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        vm.assertEq(council.submit(ballots, signatures), H, "accepted");
        vm.assertFalse(council.mayRun(AGENT), "runs");
    }

    function test_FinishOperator_VoidsThatAgentsBallots() public {
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        bytes memory signature = _sign(ballot);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _submitRefused(ballot, signature, ICouncil.Refusal.WRONG_EPOCH);
    }

    function testFuzz_FinishOperator_InEveryState_StopsWhatWasStopped(uint8 from) public {
        ICouncil.State state = ICouncil.State(_bound(from, 1, 5));
        if (state == ICouncil.State.LAPSED) _skip(LEASE - DELAY);
        if (state == ICouncil.State.HALTED) _halt(AGENT);
        if (state == ICouncil.State.RESUMING) _putInto(ICouncil.State.RESUMING);
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        if (state == ICouncil.State.PAUSED) _pause(erin, AGENT);
        _assertState(AGENT, state);
        uint64 epoch = _epoch(AGENT);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _assertState(AGENT, state == ICouncil.State.RESUMING ? ICouncil.State.HALTED : state);
        vm.assertEq(_epoch(AGENT), epoch + 1, "epoch");
    }

    /// @dev What R decided was a resume under the old operator; it is HALTED with the size of that one's log.
    function test_FinishOperator_OfAResumingAgent_PutsItBackToHalted() public {
        _grow(OPERATOR, 1);
        _grow(NEW_OPERATOR, 5);
        _skip(LEASE + GRACE);
        _resume(AGENT);
        _setOperator(_word(NEW_OPERATOR));
        _grow(OPERATOR, 3);
        _skip(DELAY);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertEq(_epoch(AGENT), 3, "epoch");
        vm.assertEq(_snapshot(AGENT).resumeReadyAt, 0, "ready at");
        vm.assertEq(_snapshot(AGENT).haltedSize, 3, "halted size");
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(AGENT);
        _resume(AGENT); // with the param of a halt now
        _skip(DELAY);
        council.finishResume(AGENT);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    /// @dev A resume that a rotation voided stays void when the operator changes after it.
    function test_FinishOperator_AfterARotationInMidResume_LeavesItHalted() public {
        _proposeRotation(signers, _thresholds(), REASON);
        _skip(DELAY - 1);
        _putInto(ICouncil.State.RESUMING);
        _skip(1);
        council.finishRotation(signers, _thresholds(), REASON);
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(AGENT);
    }

    function test_FinishOperator_GivesEverySignerItsPauseBack_AndEndsNone() public {
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        _pause(alice, AGENT);
        uint256 until = _snapshot(AGENT).pausedUntil;
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        vm.assertEq(_snapshot(AGENT).pausedUntil, until, "paused until");
        _assertState(AGENT, ICouncil.State.PAUSED);
        _pause(alice, AGENT);
        _refused(alice, AGENT, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.ALREADY_VOTED);
    }

    function test_FinishOperator_ScheduledInAnEarlierEpoch_IsRefused() public {
        _setOperator(_word(NEW_OPERATOR));
        _haltAndRun(AGENT);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
    }

    function test_FinishOperator_VoidsThatAgentsOtherChanges_AndNoOtherAgents() public {
        bytes32 other = _word(mallory);
        _register(STRANGE, OPERATOR);
        _setOperator(_word(NEW_OPERATOR));
        _setOperator(other);
        _decide(R, STRANGE, ICouncil.Action.SET_OPERATOR, other);
        bytes32 rotation = _proposeRotation(signers, _thresholds(), REASON);
        _skip(DELAY);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, other), 0, "scheduled");
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, other);
        vm.assertEq(council.scheduledAt(STRANGE, ICouncil.Action.SET_OPERATOR, other), _now(), "another agent's");
        vm.assertEq(council.scheduledAt(FLEET, ICouncil.Action.ROTATE, rotation), _now(), "the fleet's");
        council.finishOperator(STRANGE, other);
        council.finishRotation(signers, _thresholds(), REASON);
    }

    function test_FinishOperator_LeavesAnotherAgentsResume() public {
        _register(STRANGE, OPERATOR);
        _halt(STRANGE);
        _resume(STRANGE);
        _setOperator(_word(NEW_OPERATOR));
        _skip(DELAY);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        council.finishResume(STRANGE);
        _assertState(STRANGE, ICouncil.State.RUNNING);
    }

    function test_FinishOperator_ScheduledByAnEarlierSet_IsRefused() public {
        _setOperator(_word(NEW_OPERATOR));
        _rotate(signers, _thresholds(), REASON);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, _word(NEW_OPERATOR)), 0, "scheduled");
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
    }

    function test_FinishOperator_NeverRevivesTheRetired() public {
        _setOperator(_word(NEW_OPERATOR));
        _retire(AGENT);
        _skip(DELAY);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _assertState(AGENT, ICouncil.State.RETIRED);
    }

    function _finished(bytes32 param) private {
        _setOperator(param);
        _skip(DELAY);
        council.finishOperator(AGENT, param);
    }
}
