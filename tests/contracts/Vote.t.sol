// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

contract VoteTest is CouncilTest {
    // --------------------------------------------------------------------------------------------- who, what, when

    function testFuzz_Vote_ByAStranger_IsRefused(address stranger, uint8 action) public {
        for (uint256 i; i < signers.length; ++i) {
            vm.assume(stranger != signers[i]);
        }
        ICouncil.Action what = ICouncil.Action(_bound(action, 1, 9));
        _refused(stranger, AGENT, what, 0, ICouncil.Refusal.NOT_A_SIGNER);
    }

    function testFuzz_Vote_ForAnotherEpoch_IsRefused(uint64 epoch, uint8 action) public {
        vm.assume(epoch != 1);
        ICouncil.Action what = ICouncil.Action(_bound(action, 1, 9));
        _refusedAt(epoch, alice, AGENT, what, 0, ICouncil.Refusal.WRONG_EPOCH);
    }

    /// @dev The epoch is kept in 40 bits: one that differs only above them is another one.
    function testFuzz_Vote_ForAnEpochBeyondFortyBits_IsRefused(uint24 high) public {
        vm.assume(high != 0);
        uint64 epoch = (uint64(high) << 40) | 1;
        _refusedAt(epoch, alice, AGENT, ICouncil.Action.HALT, 0, ICouncil.Refusal.WRONG_EPOCH);
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        ballot.epoch = epoch;
        _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.WRONG_EPOCH);
    }

    function test_Vote_OnNoAction_IsRefused() public {
        _refused(alice, AGENT, ICouncil.Action.NONE, 0, ICouncil.Refusal.UNKNOWN_ACTION);
    }

    function testFuzz_Vote_BeyondTheLastAction_Reverts(uint8 action) public {
        action = uint8(_bound(action, 10, 255));
        vm.prank(alice);
        (bool ok,) = address(council).call(
            abi.encodePacked(ICouncil.vote.selector, abi.encode(AGENT, action, bytes32(0), uint64(1), REASON))
        );
        vm.assertFalse(ok, "an action that does not exist was taken");
    }

    function testFuzz_Vote_OnAnUnregisteredAgent_IsRefused(bytes32 agent, uint8 action, uint64 epoch) public {
        vm.assume(agent != FLEET && agent != AGENT);
        ICouncil.Action what = ICouncil.Action(_bound(action, 1, 8));
        vm.assume(what != ICouncil.Action.REGISTER);
        _refusedAt(epoch, alice, agent, what, 0, ICouncil.Refusal.UNKNOWN_AGENT);
    }

    function testFuzz_Vote_WithAParamWhereNoneBelongs_IsRefused(bytes32 param) public {
        vm.assume(param != 0);
        _refused(alice, AGENT, ICouncil.Action.HALT, param, ICouncil.Refusal.WRONG_PARAM);
        _refused(alice, AGENT, ICouncil.Action.RETIRE, param, ICouncil.Refusal.WRONG_PARAM);
        _putInto(ICouncil.State.HALTED);
        _refused(alice, AGENT, ICouncil.Action.RESUME, param, ICouncil.Refusal.WRONG_PARAM);
    }

    function test_Vote_Twice_IsRefused() public {
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _refused(alice, AGENT, ICouncil.Action.HALT, 0, ICouncil.Refusal.ALREADY_VOTED);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    /// @dev The trio at the end of a vote's window: it counts one second before, and not at it or after.
    function test_Vote_CountsUntilItsWindowCloses() public {
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _assertSecondVoteHalts(WINDOW - 1, true);
        _assertSecondVoteHalts(WINDOW, false);
        _assertSecondVoteHalts(WINDOW + 1, false);
    }

    function _assertSecondVoteHalts(uint256 later, bool halts) private {
        uint256 before = vm.snapshotState();
        _skip(later);
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, halts ? ICouncil.State.HALTED : ICouncil.State.RUNNING);
        vm.revertToState(before);
    }

    function test_Vote_MayBeCastAgain_OnceItsWindowIsClosed() public {
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _skip(WINDOW - 1);
        _refused(alice, AGENT, ICouncil.Action.HALT, 0, ICouncil.Refusal.ALREADY_VOTED);
        _skip(1);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function testFuzz_Vote_OnOneAgent_DoesNotCountForAnother(bytes32 other) public {
        vm.assume(other != FLEET && other != AGENT);
        _register(other, OPERATOR);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _vote(bob, other, ICouncil.Action.HALT, 0);
        _vote(carol, FLEET, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.RUNNING);
        _assertState(other, ICouncil.State.RUNNING);
        _assertState(FLEET, ICouncil.State.RUNNING);
    }

    // -------------------------------------------------------------------------------------------------------- halt

    function test_Halt_ByOneOfTwo_IsSeenButStopsNothing() public {
        vm.expectEmit(address(council));
        emit ICouncil.Voted(AGENT, ICouncil.Action.HALT, alice, 0, 1, 1, 1, H, REASON);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        vm.assertTrue(council.mayRun(AGENT), "stopped by one");
    }

    function testFuzz_Halt_ByAnyTwo_StopsTheAgent(uint8 first, uint8 second) public {
        (uint256 i, uint256 j) = (first % 5, second % 5);
        vm.assume(i != j);
        _vote(signers[i], AGENT, ICouncil.Action.HALT, 0);
        vm.expectEmit(address(council));
        emit ICouncil.Voted(AGENT, ICouncil.Action.HALT, signers[j], 0, 1, 1, 2, H, REASON);
        vm.expectEmit(address(council));
        emit ICouncil.Halted(AGENT, 1, 0, uint64((1 << i) | (1 << j)), REASON);
        _vote(signers[j], AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertEq(_epoch(AGENT), 1, "epoch");
    }

    function test_Halt_OfTheFleet_StopsEveryAgent() public {
        _register(STRANGE, OPERATOR);
        _halt(FLEET);
        _assertState(AGENT, ICouncil.State.RUNNING);
        vm.assertFalse(council.mayRun(AGENT) || council.mayRun(STRANGE) || council.mayRun(FLEET), "runs");
    }

    function testFuzz_Halt_FromEveryLivingState_Stops(uint8 from) public {
        _putInto(ICouncil.State(_bound(from, 1, 5)));
        _decide(H, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertEq(_snapshot(AGENT).pausedUntil, 0, "pause");
        vm.assertEq(_snapshot(AGENT).resumeReadyAt, 0, "resume");
    }

    function test_Halt_OfAHaltedAgent_ChangesNothingAndDoesNotRevert() public {
        _halt(AGENT);
        bytes memory before = abi.encode(_snapshot(AGENT));
        for (uint256 i; i < signers.length; ++i) {
            _vote(signers[i], AGENT, ICouncil.Action.HALT, 0);
        }
        vm.assertEq(abi.encode(_snapshot(AGENT)), before, "changed");
    }

    function test_Halt_FixesTheLogsSize_AndASecondOneLeavesIt() public {
        _grow(OPERATOR, 7);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        vm.expectEmit(address(council));
        emit ICouncil.Halted(AGENT, 1, 7, 3, REASON);
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _grow(OPERATOR, 8);
        _vote(carol, AGENT, ICouncil.Action.HALT, 0);
        vm.assertEq(_snapshot(AGENT).haltedSize, 7, "halted size");
        vm.assertEq(_snapshot(AGENT).size, 8, "size");
    }

    function test_Halt_OfTheFleet_HasSizeZero() public {
        _grow(OPERATOR, 7);
        _halt(FLEET);
        vm.assertEq(_snapshot(FLEET).haltedSize, 0, "halted size");
    }

    function test_Halt_OfARetiredAgent_IsRefused() public {
        _retire(AGENT);
        _refused(alice, AGENT, ICouncil.Action.HALT, 0, ICouncil.Refusal.WRONG_STATE);
    }

    // ------------------------------------------------------------------------------------------------------ resume

    function testFuzz_Resume_WhereNothingIsHalted_IsRefused(uint8 from) public {
        ICouncil.State state = ICouncil.State(_bound(from, 1, 6));
        vm.assume(state != ICouncil.State.HALTED);
        _putInto(state); // LAPSED: within its grace
        _refused(alice, AGENT, ICouncil.Action.RESUME, 0, ICouncil.Refusal.WRONG_STATE);
    }

    function test_Resume_ByTwoOfThree_LeavesItHalted() public {
        _halt(AGENT);
        _decide(R - 1, AGENT, ICouncil.Action.RESUME, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertEq(_epoch(AGENT), 1, "epoch");
    }

    function test_Resume_ByThree_SchedulesItUnderTheNextEpoch() public {
        _halt(AGENT);
        _decide(R - 1, AGENT, ICouncil.Action.RESUME, 0);
        vm.expectEmit(address(council));
        emit ICouncil.Voted(AGENT, ICouncil.Action.RESUME, erin, 0, 1, 1, 3, R, REASON);
        vm.expectEmit(address(council));
        emit ICouncil.ResumeScheduled(AGENT, 2, uint40(_now() + DELAY), 19, REASON);
        _vote(erin, AGENT, ICouncil.Action.RESUME, 0);
        _assertState(AGENT, ICouncil.State.RESUMING);
        vm.assertEq(_epoch(AGENT), 2, "epoch");
        vm.assertEq(_snapshot(AGENT).resumeReadyAt, _now() + DELAY, "ready at");
        vm.assertFalse(council.mayRun(AGENT), "runs before the delay is over");
    }

    function test_Resume_OfALapsedAgent_IsRefusedUntilItsGraceIsOver() public {
        _skip(LEASE + GRACE - 1);
        _refused(alice, AGENT, ICouncil.Action.RESUME, 0, ICouncil.Refusal.WRONG_STATE);
        _skip(1);
        _resume(AGENT);
        _assertState(AGENT, ICouncil.State.RESUMING);
    }

    function testFuzz_Resume_WithTheParamOfTheOtherStop_IsRefused(bytes32 param) public {
        if (param != 0) {
            uint256 running = vm.snapshotState();
            _halt(AGENT);
            _refused(alice, AGENT, ICouncil.Action.RESUME, param, ICouncil.Refusal.WRONG_PARAM);
            vm.revertToState(running);
        }
        if (param == bytes32(uint256(1))) return;
        _skip(LEASE + GRACE);
        _refused(alice, AGENT, ICouncil.Action.RESUME, param, ICouncil.Refusal.WRONG_PARAM);
    }

    /// @dev Two would let a lapsed agent run again; then it is halted, and those two must not count against the halt.
    function test_Resume_VotesForALapse_DoNotUndoALaterHalt() public {
        _skip(LEASE + GRACE);
        _decide(R - 1, AGENT, ICouncil.Action.RESUME, _undoing(AGENT));
        _halt(AGENT);
        _vote(carol, AGENT, ICouncil.Action.RESUME, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertEq(_snapshot(AGENT).resumeVotes, 1, "resume votes");
    }

    function test_Resume_BallotsForALapse_DoNotUndoALaterHalt() public {
        _skip(LEASE + GRACE);
        ICouncil.Ballot[] memory ballots = _ballots(R, AGENT, ICouncil.Action.RESUME, bytes32(uint256(1)));
        bytes[] memory signatures = _signAll(ballots);
        _halt(AGENT);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.BallotRefused.selector, 0, ICouncil.Refusal.WRONG_PARAM));
        council.submit(ballots, signatures);
    }

    function test_Resume_VotesOfTheFormerHalt_DoNotServeTheNext() public {
        _halt(AGENT);
        _vote(alice, AGENT, ICouncil.Action.RESUME, 0);
        _decide(R - 1, AGENT, ICouncil.Action.HALT, 0); // no-ops
        _vote(bob, AGENT, ICouncil.Action.RESUME, 0);
        _vote(carol, AGENT, ICouncil.Action.RESUME, 0);
        _halt(AGENT); // out of RESUMING, in epoch 2
        _refusedAt(1, dave, AGENT, ICouncil.Action.RESUME, 0, ICouncil.Refusal.WRONG_EPOCH);
        _decide(R - 1, AGENT, ICouncil.Action.RESUME, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    // -------------------------------------------------------------------------------------------------------- veto

    function test_Veto_ByOne_StopsTheFirstResume() public {
        _putInto(ICouncil.State.RESUMING);
        vm.expectEmit(address(council));
        emit ICouncil.Voted(AGENT, ICouncil.Action.VETO, dave, 0, 2, 1, 1, 1, REASON);
        vm.expectEmit(address(council));
        emit ICouncil.Vetoed(AGENT, 0, 2, 1, 8, REASON);
        _veto(dave, AGENT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertEq(_epoch(AGENT), 2, "epoch");
        vm.assertEq(_snapshot(AGENT).resumeReadyAt, 0, "ready at");
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(AGENT);
    }

    function test_Halt_ByAVeto_FixesTheLogsSizeAnew() public {
        _grow(OPERATOR, 1);
        _putInto(ICouncil.State.RESUMING);
        vm.assertEq(_snapshot(AGENT).haltedSize, 1, "at the halt");
        _grow(OPERATOR, 2);
        _veto(dave, AGENT, 0);
        vm.assertEq(_snapshot(AGENT).haltedSize, 2, "at the veto");
    }

    function test_Halt_ByAVetoAfterALapse_FixesTheLogsSize() public {
        _grow(OPERATOR, 1);
        _skip(LEASE + GRACE);
        _resume(AGENT);
        _veto(dave, AGENT, 0);
        vm.assertEq(_snapshot(AGENT).haltedSize, 1, "halted size");
    }

    function test_Veto_OfAChange_LeavesTheHaltedSize() public {
        _halt(AGENT);
        _grow(OPERATOR, 1);
        _setOperator(_word(NEW_OPERATOR));
        _veto(dave, AGENT, _word(NEW_OPERATOR));
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertEq(_snapshot(AGENT).haltedSize, 0, "halted size");
    }

    function test_Veto_OfTheSecondResume_TakesTwo_AndNeverMoreThanH() public {
        _putInto(ICouncil.State.RESUMING);
        _veto(dave, AGENT, 0);
        for (uint256 round; round < 3; ++round) {
            _resume(AGENT);
            _veto(dave, AGENT, 0);
            _assertState(AGENT, ICouncil.State.RESUMING);
            _veto(erin, AGENT, 0);
            _assertState(AGENT, ICouncil.State.HALTED);
        }
        vm.assertEq(_snapshot(AGENT).vetoes, 4, "vetoes");
    }

    function test_Veto_ByOneAgain_AfterAResumeWentThrough() public {
        _putInto(ICouncil.State.RESUMING);
        _veto(dave, AGENT, 0);
        _resume(AGENT);
        _skip(DELAY);
        council.finishResume(AGENT);
        vm.assertEq(_snapshot(AGENT).vetoes, 0, "vetoes");
        _putInto(ICouncil.State.RESUMING);
        _veto(dave, AGENT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_Veto_StillWorks_After256OfThem() public {
        council = _deploy(signers, ICouncil.Thresholds(1, 1, 1), _timing());
        _vote(alice, AGENT, ICouncil.Action.REGISTER, _word(OPERATOR));
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        for (uint256 round; round < 258; ++round) {
            _vote(alice, AGENT, ICouncil.Action.RESUME, 0);
            _veto(dave, AGENT, 0);
            _assertState(AGENT, ICouncil.State.HALTED);
        }
        vm.assertEq(_snapshot(AGENT).vetoes, 255, "vetoes");
    }

    function testFuzz_Veto_WithNothingScheduled_IsRefused(uint8 from, bytes32 param) public {
        ICouncil.State state = ICouncil.State(_bound(from, 1, 6));
        vm.assume(state != ICouncil.State.RESUMING);
        _putInto(state);
        _refused(alice, AGENT, ICouncil.Action.VETO, 0, ICouncil.Refusal.WRONG_STATE);
        _refused(alice, AGENT, ICouncil.Action.VETO, param, ICouncil.Refusal.WRONG_STATE);
        _refused(alice, FLEET, ICouncil.Action.VETO, param, ICouncil.Refusal.WRONG_STATE);
    }

    function test_Veto_OfAnOperatorChange_KillsIt_AndNothingElse() public {
        bytes32 param = _word(NEW_OPERATOR);
        _setOperator(param);
        vm.expectEmit(address(council));
        emit ICouncil.Vetoed(AGENT, param, 1, 1, 16, REASON);
        _veto(erin, AGENT, param);
        _assertState(AGENT, ICouncil.State.RUNNING);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), 0, "scheduled");
        for (uint256 i; i < 2; ++i) {
            _skip(i == 0 ? DELAY : 100 * WINDOW); // vetoed is vetoed, however long ago
            vm.expectRevert(ICouncil.NotScheduled.selector);
            council.finishOperator(AGENT, param);
            _refused(dave, AGENT, ICouncil.Action.SET_OPERATOR, param, ICouncil.Refusal.ALREADY_DECIDED);
            _refused(dave, AGENT, ICouncil.Action.VETO, param, ICouncil.Refusal.WRONG_STATE);
        }
    }

    function test_Veto_OfAnOperatorChangeProposedAgain_TakesTwo() public {
        _setOperator(_word(NEW_OPERATOR));
        _veto(erin, AGENT, _word(NEW_OPERATOR));
        bytes32 again = _word(NEW_OPERATOR) | bytes32(uint256(1) << 160);
        _setOperator(again);
        _veto(erin, AGENT, again);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, again), _now() + DELAY, "scheduled");
        _veto(dave, AGENT, again);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, again), 0, "scheduled");
    }

    function test_Veto_OfARotation_KillsIt() public {
        address[] memory next = _people(alice, bob, mallory);
        ICouncil.Thresholds memory need = ICouncil.Thresholds(1, 2, 2);
        bytes32 param = _proposeRotation(next, need, REASON);
        _veto(carol, FLEET, param);
        _assertState(FLEET, ICouncil.State.RUNNING);
        _skip(DELAY);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishRotation(next, need, REASON);
    }

    function test_Veto_OfAChange_StillCountsBetweenItsDelayAndItsFinish() public {
        bytes32 param = _word(NEW_OPERATOR);
        _setOperator(param);
        _skip(DELAY + 1);
        _veto(erin, AGENT, param);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, param);
    }

    // ------------------------------------------------------------------------------------------------------ retire

    function testFuzz_Retire_FromEveryState_IsForEver(uint8 from) public {
        _putInto(ICouncil.State(_bound(from, 1, 5)));
        uint64 epoch = _epoch(AGENT);
        _decide(D - 1, AGENT, ICouncil.Action.RETIRE, 0);
        vm.assertTrue(council.stateOf(AGENT) != ICouncil.State.RETIRED, "retired by three");
        vm.expectEmit(address(council));
        emit ICouncil.Retired(AGENT, epoch, 15, REASON);
        _vote(dave, AGENT, ICouncil.Action.RETIRE, 0);
        _assertState(AGENT, ICouncil.State.RETIRED);
        _refused(erin, AGENT, ICouncil.Action.RETIRE, 0, ICouncil.Refusal.WRONG_STATE);
    }

    function test_Retire_FixesTheLogsSize_UnlessAHaltDidAlready() public {
        _register(STRANGE, NEW_OPERATOR);
        _grow(OPERATOR, 3);
        _grow(NEW_OPERATOR, 4);
        _halt(STRANGE);
        _grow(OPERATOR, 5);
        _grow(NEW_OPERATOR, 6);
        _retire(AGENT);
        _retire(STRANGE);
        vm.assertEq(_snapshot(AGENT).haltedSize, 5, "was running");
        vm.assertEq(_snapshot(STRANGE).haltedSize, 4, "was halted");
    }

    function test_Retire_OfTheFleet_StopsEveryAgentForEver() public {
        _retire(FLEET);
        _assertState(FLEET, ICouncil.State.RETIRED);
        vm.assertFalse(council.mayRun(AGENT), "runs");
        _refused(alice, FLEET, ICouncil.Action.RESUME, 0, ICouncil.Refusal.WRONG_STATE);
    }

    // ------------------------------------------------------------------------------------------------------- pause

    function testFuzz_Pause_ByOne_StopsTheAgentForItsTime(uint8 who) public {
        address signer = signers[who % 5];
        vm.expectEmit(address(council));
        emit ICouncil.Voted(AGENT, ICouncil.Action.PAUSE, signer, 0, 1, 1, 1, 1, REASON);
        vm.expectEmit(address(council));
        emit ICouncil.Paused(AGENT, signer, 1, uint40(_now() + PAUSE), REASON);
        _pause(signer, AGENT);
        _assertState(AGENT, ICouncil.State.PAUSED);
    }

    function test_Pause_OfTheFleet_StopsEveryAgentForItsTime() public {
        _pause(alice, FLEET);
        _assertState(AGENT, ICouncil.State.RUNNING);
        vm.assertFalse(council.mayRun(AGENT), "runs");
        _skip(PAUSE);
        vm.assertTrue(council.mayRun(AGENT), "stays stopped");
    }

    function testFuzz_Pause_ByTheSameSignerAgain_IsRefused_HoweverMuchLater(uint32 later) public {
        _pause(alice, AGENT);
        _skip(_bound(later, 0, LEASE - 1));
        _refused(alice, AGENT, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.ALREADY_VOTED);
    }

    function test_Pause_ByAnother_Prolongs() public {
        _pause(alice, AGENT);
        _skip(PAUSE - 1);
        _pause(bob, AGENT);
        vm.assertEq(_snapshot(AGENT).pausedUntil, _now() + PAUSE, "paused until");
    }

    function testFuzz_Pause_WhereNothingRuns_IsRefused(uint8 from) public {
        _putInto(ICouncil.State(_bound(from, 3, 6)));
        _refused(alice, AGENT, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.WRONG_STATE);
    }

    function testFuzz_Pause_ForAnotherArming_IsRefused(bytes32 arms) public {
        vm.assume(arms != 0);
        _refused(alice, AGENT, ICouncil.Action.PAUSE, arms, ICouncil.Refusal.WRONG_PARAM);
    }

    function test_Pause_ComesBackWithTheNextEpoch() public {
        _pause(alice, AGENT);
        _haltAndRun(AGENT);
        _pause(alice, AGENT);
        _assertState(AGENT, ICouncil.State.PAUSED);
    }

    /// @dev Seats change hands: dave sits where alice sat, who had used her pause up; bob's seat moved.
    function test_Pause_ComesBackWithTheNextSet_AndIsUsedUpThereToo() public {
        _pause(alice, AGENT);
        _rotate(_people(dave, alice, bob), ICouncil.Thresholds(2, 2, 2), REASON);
        for (uint256 i; i < 3; ++i) {
            _pause(signers[i], AGENT);
            _assertState(AGENT, ICouncil.State.PAUSED);
            _refused(signers[i], AGENT, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.ALREADY_VOTED);
            _skip(PAUSE);
            _assertState(AGENT, ICouncil.State.RUNNING);
        }
    }

    /// @dev The new set decides the resume; the old set's used pauses must not come along.
    function test_Pause_OfTheOldSet_IsForgotten_AfterTheNewSetsResume() public {
        _pause(alice, AGENT);
        _rotate(_people(alice, dave, bob), ICouncil.Thresholds(2, 2, 2), REASON);
        _halt(AGENT);
        _decide(2, AGENT, ICouncil.Action.RESUME, 0);
        _skip(DELAY);
        council.finishResume(AGENT);
        _pause(alice, AGENT);
        _assertState(AGENT, ICouncil.State.PAUSED);
        _refused(alice, AGENT, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.ALREADY_VOTED);
    }

    function test_Pause_OfTheFleet_LeavesTheAgentsOwnPause() public {
        _pause(alice, FLEET);
        _pause(alice, AGENT);
        _refused(alice, FLEET, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.ALREADY_VOTED);
        _refused(alice, AGENT, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.ALREADY_VOTED);
    }

    // ------------------------------------------------------------------------------------------------------- rearm

    function test_Rearm_ByThree_GivesEverySignerItsPauseBack() public {
        _pause(alice, AGENT);
        _decide(R - 1, AGENT, ICouncil.Action.REARM, 0);
        vm.expectEmit(address(council));
        emit ICouncil.Rearmed(AGENT, 1, 1, 7, REASON);
        _vote(carol, AGENT, ICouncil.Action.REARM, 0);
        _refused(bob, AGENT, ICouncil.Action.PAUSE, 0, ICouncil.Refusal.WRONG_PARAM);
        _skip(PAUSE);
        _pause(alice, AGENT);
        _assertState(AGENT, ICouncil.State.PAUSED);
        _refused(alice, AGENT, ICouncil.Action.PAUSE, _arms(AGENT), ICouncil.Refusal.ALREADY_VOTED);
    }

    function testFuzz_Rearm_InEveryLivingState_ChangesNoState(uint8 from) public {
        ICouncil.State state = ICouncil.State(_bound(from, 1, 5));
        _putInto(state);
        _decide(R, AGENT, ICouncil.Action.REARM, 0);
        _assertState(AGENT, state);
        _decide(R, AGENT, ICouncil.Action.REARM, bytes32(uint256(1)));
        vm.assertEq(_snapshot(AGENT).arms, 2, "arms");
    }

    function testFuzz_Rearm_OfAnotherArming_OrOfTheRetired_IsRefused(bytes32 arms) public {
        vm.assume(arms != 0);
        _refused(alice, AGENT, ICouncil.Action.REARM, arms, ICouncil.Refusal.WRONG_PARAM);
        _retire(AGENT);
        _refused(alice, AGENT, ICouncil.Action.REARM, 0, ICouncil.Refusal.WRONG_STATE);
    }

    // ---------------------------------------------------------------------------------------------------- register

    function testFuzz_Register_ByThree_StartsTheAgent(bytes32 agent, address operator) public {
        vm.assume(agent != FLEET && agent != AGENT && operator != address(0));
        _decide(R - 1, agent, ICouncil.Action.REGISTER, _word(operator));
        vm.assertFalse(council.mayRun(agent), "started by two");
        vm.expectEmit(address(council));
        emit ICouncil.Voted(agent, ICouncil.Action.REGISTER, carol, _word(operator), 0, 1, 3, R, REASON);
        vm.expectEmit(address(council));
        emit ICouncil.Registered(agent, operator, 1, 7, REASON);
        _vote(carol, agent, ICouncil.Action.REGISTER, _word(operator));
        vm.assertTrue(council.mayRun(agent), "does not run");
        ICouncil.Snapshot memory seen = _snapshot(agent);
        vm.assertEq(seen.epoch, 1, "epoch");
        vm.assertEq(seen.operator, operator, "operator");
        vm.assertEq(seen.leaseUntil, _now() + LEASE, "lease");
    }

    function test_Register_Again_IsRefused_InEveryEpoch() public {
        _refusedAt(0, alice, AGENT, ICouncil.Action.REGISTER, _word(OPERATOR), ICouncil.Refusal.WRONG_EPOCH);
        _refused(alice, AGENT, ICouncil.Action.REGISTER, _word(NEW_OPERATOR), ICouncil.Refusal.WRONG_STATE);
        _retire(AGENT);
        _refused(alice, AGENT, ICouncil.Action.REGISTER, _word(OPERATOR), ICouncil.Refusal.WRONG_STATE);
    }

    function testFuzz_Register_ForALaterEpoch_IsRefused(uint64 epoch) public {
        vm.assume(epoch != 0);
        _refusedAt(epoch, alice, STRANGE, ICouncil.Action.REGISTER, _word(OPERATOR), ICouncil.Refusal.WRONG_EPOCH);
    }

    function testFuzz_Register_WithADirtyOrZeroOperator_IsRefused(uint96 high) public {
        bytes32 dirty = _word(OPERATOR) | bytes32(uint256(high == 0 ? 1 : high) << 160);
        _refused(alice, STRANGE, ICouncil.Action.REGISTER, dirty, ICouncil.Refusal.WRONG_PARAM);
        _refused(alice, STRANGE, ICouncil.Action.REGISTER, 0, ICouncil.Refusal.WRONG_PARAM);
    }

    function test_Register_OfTheFleet_IsRefused() public {
        _refused(alice, FLEET, ICouncil.Action.REGISTER, _word(OPERATOR), ICouncil.Refusal.WRONG_STATE);
    }

    // ------------------------------------------------------------------------------------------------ set operator

    function testFuzz_SetOperator_ByThree_IsScheduled(uint96 high, address operator) public {
        vm.assume(operator != address(0) && operator != OPERATOR);
        bytes32 param = _word(operator) | bytes32(uint256(high) << 160);
        _decide(R - 1, AGENT, ICouncil.Action.SET_OPERATOR, param);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), 0, "scheduled by two");
        vm.expectEmit(address(council));
        emit ICouncil.ChangeScheduled(
            AGENT, ICouncil.Action.SET_OPERATOR, param, 1, uint40(_now() + DELAY), 7, REASON
        );
        _vote(carol, AGENT, ICouncil.Action.SET_OPERATOR, param);
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), _now() + DELAY, "ready at");
        vm.assertEq(_snapshot(AGENT).operator, OPERATOR, "changed at once");
        _refused(dave, AGENT, ICouncil.Action.SET_OPERATOR, param, ICouncil.Refusal.ALREADY_DECIDED);
    }

    function testFuzz_SetOperator_ToTheSameOrToNobody_IsRefused(uint96 high) public {
        bytes32 bits = bytes32(uint256(high) << 160);
        ICouncil.Action what = ICouncil.Action.SET_OPERATOR;
        _refused(alice, AGENT, what, _word(OPERATOR) | bits, ICouncil.Refusal.WRONG_PARAM);
        _refused(alice, AGENT, what, bits, ICouncil.Refusal.WRONG_PARAM);
    }

    function test_SetOperator_OfTheFleetOrTheRetired_IsRefused() public {
        uint64 epoch = _epoch(FLEET);
        vm.expectPartialRevert(ICouncil.VoteRefused.selector);
        vm.prank(alice);
        council.vote(FLEET, ICouncil.Action.SET_OPERATOR, _word(NEW_OPERATOR), epoch, REASON);
        _retire(AGENT);
        _refused(alice, AGENT, ICouncil.Action.SET_OPERATOR, _word(NEW_OPERATOR), ICouncil.Refusal.WRONG_STATE);
    }

    // ------------------------------------------------------------------------------------------------------ rotate

    function testFuzz_Rotate_ByThree_IsScheduled(bytes32 param) public {
        vm.assume(param != 0);
        _decide(R - 1, FLEET, ICouncil.Action.ROTATE, param);
        vm.assertEq(council.scheduledAt(FLEET, ICouncil.Action.ROTATE, param), 0, "scheduled by two");
        vm.expectEmit(address(council));
        emit ICouncil.ChangeScheduled(FLEET, ICouncil.Action.ROTATE, param, 1, uint40(_now() + DELAY), 7, REASON);
        _vote(carol, FLEET, ICouncil.Action.ROTATE, param);
        vm.assertEq(council.scheduledAt(FLEET, ICouncil.Action.ROTATE, param), _now() + DELAY, "ready at");
        _refused(dave, FLEET, ICouncil.Action.ROTATE, param, ICouncil.Refusal.ALREADY_DECIDED);
    }

    function testFuzz_Rotate_ElsewhereThanOnTheFleet_IsRefused(bytes32 param) public {
        _refused(alice, AGENT, ICouncil.Action.ROTATE, param, ICouncil.Refusal.WRONG_PARAM);
        _refused(alice, FLEET, ICouncil.Action.ROTATE, 0, ICouncil.Refusal.WRONG_PARAM);
    }
}
