// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

/// @notice `votes` and `scheduledAt`: what signers look at before they vote.
contract VotesTest is CouncilTest {
    function testFuzz_Votes_AreABitmapOfThePresentSigners(uint8 mask) public {
        mask = mask % 32;
        uint256 count;
        bytes32 param = _word(NEW_OPERATOR);
        for (uint256 i; i < 5; ++i) {
            if (mask & (1 << i) == 0 || count == R) continue;
            _vote(signers[i], AGENT, ICouncil.Action.SET_OPERATOR, param);
            ++count;
        }
        (uint8 got, uint8 needed, uint64 voters) = council.votes(AGENT, ICouncil.Action.SET_OPERATOR, param);
        vm.assertEq(needed, R, "needed");
        if (count == R) return; // decided: what the count then says is no longer asked
        vm.assertEq(got, count, "count");
        vm.assertEq(voters, mask, "voters");
    }

    /// @dev The trio at a vote's end, as the view sees it.
    function test_Votes_CountUntilTheirWindowCloses() public {
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _skip(WINDOW - 1);
        _assertVotes(ICouncil.Action.HALT, 0, 1, H, 2);
        _skip(1);
        _assertVotes(ICouncil.Action.HALT, 0, 0, H, 0);
        _skip(1);
        _assertVotes(ICouncil.Action.HALT, 0, 0, H, 0);
    }

    function testFuzz_Votes_OnAnotherQuestion_AreOthers(bytes32 param) public {
        vm.assume(param != _word(NEW_OPERATOR));
        _vote(bob, AGENT, ICouncil.Action.SET_OPERATOR, _word(NEW_OPERATOR));
        _assertVotes(ICouncil.Action.SET_OPERATOR, param, 0, R, 0);
        _assertVotes(ICouncil.Action.SET_OPERATOR, _word(NEW_OPERATOR), 1, R, 2);
    }

    function test_Votes_NeededAreThoseOfTheAction() public {
        _assertVotes(ICouncil.Action.HALT, 0, 0, H, 0);
        _assertVotes(ICouncil.Action.RESUME, 0, 0, R, 0);
        _assertVotes(ICouncil.Action.RESUME, bytes32(uint256(1)), 0, R, 0);
        _assertVotes(ICouncil.Action.RETIRE, 0, 0, D, 0);
        _assertVotes(ICouncil.Action.PAUSE, 0, 0, 1, 0);
        _assertVotes(ICouncil.Action.VETO, 0, 0, 1, 0);
        _assertVotes(ICouncil.Action.REARM, 0, 0, R, 0);
        _assertVotes(ICouncil.Action.REGISTER, 0, 0, R, 0);
        _assertVotes(ICouncil.Action.SET_OPERATOR, 0, 0, R, 0);
        _assertVotes(ICouncil.Action.ROTATE, 0, 0, R, 0);
        _putInto(ICouncil.State.RESUMING);
        _veto(alice, AGENT, 0);
        _assertVotes(ICouncil.Action.VETO, 0, 1, 2, 1);
        _resume(AGENT);
        _assertVotes(ICouncil.Action.VETO, 0, 0, 2, 0);
        _veto(alice, AGENT, 0);
        _veto(bob, AGENT, 0);
        _assertVotes(ICouncil.Action.VETO, 0, 2, H, 3);
    }

    function test_Votes_StartAnewWithTheEpochAndWithTheSet() public {
        _putInto(ICouncil.State.HALTED);
        _assertVotes(ICouncil.Action.HALT, 0, 2, H, 3);
        _resume(AGENT);
        _assertVotes(ICouncil.Action.HALT, 0, 0, H, 0);
        _vote(erin, AGENT, ICouncil.Action.HALT, 0);
        _assertVotes(ICouncil.Action.HALT, 0, 1, H, 16);
        _rotate(signers, _thresholds(), REASON);
        _assertVotes(ICouncil.Action.HALT, 0, 0, H, 0);
    }

    /// @dev Votes that left the window do not complete a later quorum, however many there are.
    function test_Votes_OfDifferentTimes_OnlyTheLiveOnesDecide() public {
        _vote(alice, AGENT, ICouncil.Action.RETIRE, 0);
        _skip(WINDOW / 2);
        _vote(bob, AGENT, ICouncil.Action.RETIRE, 0);
        _vote(carol, AGENT, ICouncil.Action.RETIRE, 0);
        _skip(WINDOW / 2);
        _vote(dave, AGENT, ICouncil.Action.RETIRE, 0);
        _assertVotes(ICouncil.Action.RETIRE, 0, 3, D, 14);
        _assertState(AGENT, ICouncil.State.RUNNING);
        _vote(erin, AGENT, ICouncil.Action.RETIRE, 0);
        _assertState(AGENT, ICouncil.State.RETIRED);
    }

    function test_ScheduledAt_IsTheReadyTime_UntilFinishedOrVoid() public {
        bytes32 param = _word(NEW_OPERATOR);
        _assertScheduled(param, 0);
        _setOperator(param);
        uint256 readyAt = _now() + DELAY;
        _assertScheduled(param, readyAt);
        _skip(DELAY + 3);
        _assertScheduled(param, readyAt);
        council.finishOperator(AGENT, param);
        _assertScheduled(param, 0);
    }

    function test_ScheduledAt_IsZeroInTheNextEpoch() public {
        _setOperator(_word(NEW_OPERATOR));
        _halt(AGENT);
        _assertScheduled(_word(NEW_OPERATOR), _now() + DELAY);
        _resume(AGENT);
        _assertScheduled(_word(NEW_OPERATOR), 0);
    }

    function _assertScheduled(bytes32 param, uint256 readyAt) private view {
        vm.assertEq(council.scheduledAt(AGENT, ICouncil.Action.SET_OPERATOR, param), readyAt, "scheduled at");
    }

    function _assertVotes(ICouncil.Action action, bytes32 param, uint256 count, uint256 needed, uint256 voters)
        private
        view
    {
        (uint8 gotCount, uint8 gotNeeded, uint64 gotVoters) = council.votes(AGENT, action, param);
        vm.assertEq(gotCount, count, "count");
        vm.assertEq(gotNeeded, needed, "needed");
        vm.assertEq(gotVoters, voters, "voters");
    }
}
