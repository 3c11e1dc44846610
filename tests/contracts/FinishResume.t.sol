// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

contract FinishResumeTest is CouncilTest {
    /// @dev The trio at the end of the delay.
    function testFuzz_FinishResume_ByAnyone_WorksFromTheDelaysEnd(address anyone) public {
        _putInto(ICouncil.State.RESUMING);
        uint256 readyAt = _now() + DELAY;
        _skip(DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.TooEarly.selector, readyAt));
        council.finishResume(AGENT);
        uint256 before = vm.snapshotState();
        for (uint256 later = 1; later <= 2; ++later) {
            _skip(later);
            vm.expectEmit(address(council));
            emit ICouncil.Resumed(AGENT, 2);
            vm.prank(anyone);
            council.finishResume(AGENT);
            _assertState(AGENT, ICouncil.State.RUNNING);
            vm.revertToState(before);
        }
    }

    function test_FinishResume_InTheSameBlock_IsTooEarly() public {
        _putInto(ICouncil.State.RESUMING);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.TooEarly.selector, _now() + DELAY));
        council.finishResume(AGENT);
    }

    function testFuzz_FinishResume_WithNothingScheduled_IsRefused(uint8 from) public {
        ICouncil.State state = ICouncil.State(_bound(from, 1, 6));
        vm.assume(state != ICouncil.State.RESUMING);
        _putInto(state);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(AGENT);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(STRANGE);
    }

    function test_FinishResume_LeavesACleanSlate() public {
        _pause(alice, AGENT);
        _putInto(ICouncil.State.RESUMING);
        _veto(dave, AGENT, 0);
        _resume(AGENT);
        _skip(DELAY);
        council.finishResume(AGENT);
        ICouncil.Snapshot memory seen = _snapshot(AGENT);
        vm.assertEq(seen.epoch, 3, "epoch");
        vm.assertEq(seen.vetoes, 0, "vetoes");
        vm.assertEq(seen.pausedUntil, 0, "pause");
        vm.assertEq(seen.resumeReadyAt, 0, "ready at");
        vm.assertEq(seen.leaseUntil, _now() + LEASE, "lease");
        vm.assertEq(seen.operator, OPERATOR, "operator");
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(AGENT);
    }

    function test_FinishResume_OfTheFleet_GivesItNoLease() public {
        _haltAndRun(FLEET);
        vm.assertEq(_snapshot(FLEET).leaseUntil, 0, "lease");
        vm.assertTrue(council.mayRun(AGENT), "does not run");
    }

    function test_FinishResume_OfALapse_WorksLikeThatOfAHalt() public {
        _skip(LEASE + GRACE);
        _resume(AGENT);
        _skip(DELAY);
        council.finishResume(AGENT);
        _assertState(AGENT, ICouncil.State.RUNNING);
        vm.assertEq(_epoch(AGENT), 2, "epoch");
    }

    function test_FinishResume_WithoutLeases_GivesNone() public {
        council = _deploy(signers, _thresholds(), ICouncil.Timing(PAUSE, DELAY, WINDOW, 0, 0));
        _register(AGENT, OPERATOR);
        _haltAndRun(AGENT);
        _skip(1000 days);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    /// @dev A resume that an old set decided is void: HALTED again, and only the new set's votes help.
    function test_FinishResume_AfterARotation_IsRefused_AndTheAgentIsHalted() public {
        _proposeRotation(_people(carol, dave, erin), ICouncil.Thresholds(2, 2, 2), REASON);
        _skip(DELAY - 1);
        _putInto(ICouncil.State.RESUMING);
        _skip(1);
        council.finishRotation(_people(carol, dave, erin), ICouncil.Thresholds(2, 2, 2), REASON);
        _assertState(AGENT, ICouncil.State.HALTED);
        _skip(DELAY);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(AGENT);
        _vote(carol, AGENT, ICouncil.Action.HALT, 0); // moot, and no revert
        _vote(carol, AGENT, ICouncil.Action.RESUME, 0);
        _vote(dave, AGENT, ICouncil.Action.RESUME, 0);
        _assertState(AGENT, ICouncil.State.RESUMING);
        vm.assertEq(_epoch(AGENT), 3, "epoch");
        _skip(DELAY);
        council.finishResume(AGENT);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }
}
