// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

contract FinishRotationTest is CouncilTest {
    address private frank = _person("frank");

    function testFuzz_FinishRotation_ParamIsTheHashOfAllThreeParts(
        address[] memory who,
        ICouncil.Thresholds memory need,
        bytes32 salt
    ) public view {
        vm.assertEq(council.rotationParam(who, need, salt), keccak256(abi.encode(who, need, salt)), "param");
    }

    /// @dev The trio at the end of the delay.
    function testFuzz_FinishRotation_ByAnyone_WorksFromTheDelaysEnd(address anyone, bytes32 salt) public {
        address[] memory next = _people(frank, alice, mallory);
        _proposeRotation(next, _need(1, 2, 3), salt);
        uint256 readyAt = _now() + DELAY;
        vm.warp(readyAt - 1);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.TooEarly.selector, readyAt));
        council.finishRotation(next, _need(1, 2, 3), salt);
        uint256 before = vm.snapshotState();
        for (uint256 later; later <= 1; ++later) {
            vm.warp(readyAt + later);
            vm.expectEmit(address(council));
            emit ICouncil.Rotated(2, next, _need(1, 2, 3));
            vm.prank(anyone);
            council.finishRotation(next, _need(1, 2, 3), salt);
            vm.revertToState(before);
        }
    }

    /// @dev The trio at the end of the time in which it may be finished; after it the same may be proposed again.
    function test_FinishRotation_WorksBeforeItsWindowCloses_AndNotFromThenOn() public {
        address[] memory next = _people(frank, alice, mallory);
        _proposeRotation(next, _need(1, 2, 3), REASON);
        uint256 end = _now() + DELAY + WINDOW;
        vm.warp(end - 1);
        uint256 before = vm.snapshotState();
        council.finishRotation(next, _need(1, 2, 3), REASON);
        vm.revertToState(before);
        for (uint256 later; later <= 1; ++later) {
            vm.warp(end + later);
            _assertNotScheduled(next, _need(1, 2, 3), REASON);
        }
        _rotate(next, _need(1, 2, 3), REASON);
        vm.assertEq(_set(), 2, "set version");
    }

    function test_FinishRotation_ReplacesSignersAndThresholds() public {
        address[] memory next = _people(frank, alice, mallory);
        _rotate(next, _need(1, 2, 3), REASON);
        (address[] memory who, ICouncil.Thresholds memory need,, uint32 set) = council.council();
        vm.assertEq(abi.encode(who), abi.encode(next), "signers");
        vm.assertEq(abi.encode(need), abi.encode(_need(1, 2, 3)), "thresholds");
        vm.assertEq(set, 2, "set version");
        _refused(bob, AGENT, ICouncil.Action.HALT, 0, ICouncil.Refusal.NOT_A_SIGNER);
        vm.expectEmit(address(council));
        emit ICouncil.Halted(AGENT, 1, 0, 1, REASON);
        _vote(frank, AGENT, ICouncil.Action.HALT, 0);
    }

    function testFuzz_FinishRotation_OfAnotherProposal_IsRefused(bytes32 salt, address other) public {
        vm.assume(uint160(other) > 0xffff && other != frank && other != mallory && other != address(council));
        address[] memory next = _people(frank, alice, mallory);
        _proposeRotation(next, _need(1, 2, 3), REASON);
        _skip(DELAY);
        if (salt != REASON) _assertNotScheduled(next, _need(1, 2, 3), salt);
        _assertNotScheduled(next, _need(2, 2, 3), REASON);
        next[1] = other;
        if (other != alice) _assertNotScheduled(next, _need(1, 2, 3), REASON);
    }

    function test_FinishRotation_Twice_OrByTooFewVotes_IsRefused() public {
        address[] memory next = _people(frank, alice, mallory);
        _decide(R - 1, FLEET, ICouncil.Action.ROTATE, council.rotationParam(next, _need(1, 2, 3), REASON));
        _skip(DELAY);
        _assertNotScheduled(next, _need(1, 2, 3), REASON);
        _rotate(next, _need(1, 2, 3), bytes32(0));
        _assertNotScheduled(next, _need(1, 2, 3), bytes32(0));
    }

    function test_FinishRotation_ToAnImpossibleCouncil_IsRefused() public {
        address[] memory next = _people(frank, alice, mallory);
        _assertInvalid(next, _need(0, 2, 3), ICouncil.InvalidThresholds.selector);
        _assertInvalid(next, _need(3, 2, 3), ICouncil.InvalidThresholds.selector);
        _assertInvalid(next, _need(1, 3, 2), ICouncil.InvalidThresholds.selector);
        _assertInvalid(next, _need(1, 2, 4), ICouncil.InvalidThresholds.selector);
        _assertInvalid(next, _need(2, 3, 3), ICouncil.InvalidThresholds.selector);
        _assertInvalid(_people(frank, alice, frank), _need(1, 2, 3), ICouncil.InvalidSigners.selector);
        _assertInvalid(_people(frank, alice, address(1)), _need(1, 2, 3), ICouncil.InvalidSigners.selector);
        _assertInvalid(_people(frank, alice, address(council)), _need(1, 2, 3), ICouncil.InvalidSigners.selector);
        _assertInvalid(new address[](0), _need(0, 0, 0), ICouncil.InvalidSigners.selector);
        _assertInvalid(new address[](65), _need(1, 2, 3), ICouncil.InvalidSigners.selector);
    }

    /// @dev A refused rotation must leave everything as it was.
    function _assertInvalid(address[] memory who, ICouncil.Thresholds memory need, bytes4 why) private {
        uint256 before = vm.snapshotState();
        _proposeRotation(who, need, REASON);
        _skip(DELAY);
        vm.expectRevert(why);
        council.finishRotation(who, need, REASON);
        vm.assertEq(_set(), 1, "set version");
        _vote(erin, AGENT, ICouncil.Action.HALT, 0);
        vm.revertToState(before);
    }

    function test_FinishRotation_OfARemovedSigner_NeitherVotesNorRenews() public {
        _rotate(_people(alice, bob, carol), _need(2, 2, 3), REASON);
        _refused(dave, AGENT, ICouncil.Action.HALT, 0, ICouncil.Refusal.NOT_A_SIGNER);
        ICouncil.Ballot memory ballot = _ballot(erin, AGENT, ICouncil.Action.HALT, 0);
        _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.NOT_A_SIGNER);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSigner.selector, dave));
        vm.prank(dave);
        council.renew(AGENT);
    }

    /// @dev Votes and ballots from before a removal stay void when the signer comes back to the same seat.
    function test_FinishRotation_OfAReAddedSigner_DoesNotReviveTheOldVotes() public {
        _halt(AGENT);
        _resume(AGENT);
        _skip(DELAY);
        council.finishResume(AGENT);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        ICouncil.Ballot memory old = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        old.deadline = type(uint64).max;
        bytes memory signature = _sign(old);
        address[] memory five = signers;
        _rotate(_people(bob, carol, dave), _need(1, 3, 3), REASON);
        _rotate(five, _thresholds(), REASON);
        vm.assertEq(_snapshot(AGENT).haltVotes, 0, "halt votes");
        _submitRefused(old, signature, ICouncil.Refusal.WRONG_SET);
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.RUNNING);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    /// @dev The bar is lowered while a vote stands open: the old vote must not meet the new bar.
    function test_FinishRotation_OfTheThresholdsInMidVote_StartsTheVoteAnew() public {
        bytes32 param = _proposeRotation(signers, _need(1, 1, 1), REASON);
        _skip(DELAY);
        _decide(R - 1, STRANGE, ICouncil.Action.REGISTER, _word(OPERATOR));
        _decide(D - 1, AGENT, ICouncil.Action.RETIRE, 0);
        council.finishRotation(signers, _need(1, 1, 1), REASON);
        _assertState(AGENT, ICouncil.State.RUNNING);
        _assertState(STRANGE, ICouncil.State.NONE);
        (uint8 count, uint8 needed,) = council.votes(AGENT, ICouncil.Action.RETIRE, 0);
        vm.assertEq(count, 0, "count");
        vm.assertEq(needed, 1, "needed");
        vm.assertEq(council.scheduledAt(FLEET, ICouncil.Action.ROTATE, param), 0, "scheduled");
    }

    function test_FinishRotation_RaisingTheBar_LeavesNoVoteStanding() public {
        _proposeRotation(signers, _need(3, 3, 5), REASON);
        _skip(DELAY);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        council.finishRotation(signers, _need(3, 3, 5), REASON);
        _vote(bob, AGENT, ICouncil.Action.HALT, 0);
        _vote(carol, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.RUNNING);
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_FinishRotation_VoidsWhatElseWasScheduled() public {
        _setOperator(_word(NEW_OPERATOR));
        bytes32 second = _proposeRotation(signers, _need(1, 1, 1), REASON);
        _rotate(_people(alice, bob, carol), _need(1, 2, 3), REASON);
        vm.assertEq(council.scheduledAt(FLEET, ICouncil.Action.ROTATE, second), 0, "scheduled");
        _assertNotScheduled(signers, _need(1, 1, 1), REASON);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
    }

    function test_FinishRotation_VoidsAResumeOfTheFleet() public {
        _proposeRotation(signers, _need(2, 2, 3), REASON);
        _skip(DELAY);
        council.finishRotation(signers, _need(2, 2, 3), REASON);
        _halt(FLEET);
        _decide(2, FLEET, ICouncil.Action.RESUME, 0);
        _assertState(FLEET, ICouncil.State.RESUMING);
        bytes32 param = keccak256(abi.encode(signers, _thresholds(), REASON));
        _decide(2, FLEET, ICouncil.Action.ROTATE, param);
        _skip(DELAY);
        council.finishRotation(signers, _thresholds(), REASON);
        _assertState(FLEET, ICouncil.State.HALTED);
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishResume(FLEET);
    }

    function test_FinishRotation_ScheduledBeforeTheFleetResumed_IsRefused() public {
        _halt(FLEET);
        _proposeRotation(signers, _need(2, 2, 3), REASON);
        _resume(FLEET);
        _skip(DELAY);
        _assertNotScheduled(signers, _need(2, 2, 3), REASON);
    }

    function test_FinishRotation_ClearsTheFleetsVetoes() public {
        bytes32 param = _proposeRotation(signers, _need(1, 1, 1), REASON);
        _veto(erin, FLEET, param);
        vm.assertEq(_snapshot(FLEET).vetoes, 1, "before");
        _rotate(signers, _need(2, 2, 2), bytes32(0));
        vm.assertEq(_snapshot(FLEET).vetoes, 0, "after");
    }

    function test_FinishRotation_ToSixtyFourAndBackToOne_Works() public {
        address[] memory crowd = new address[](64);
        for (uint256 i; i < 64; ++i) {
            crowd[i] = address(uint160(0x30000 + i));
        }
        _rotate(crowd, _need(2, 2, 64), REASON);
        _halt(AGENT);
        _decide(63, AGENT, ICouncil.Action.RETIRE, 0);
        vm.expectEmit(address(council));
        emit ICouncil.Retired(AGENT, 1, type(uint64).max, REASON);
        _vote(crowd[63], AGENT, ICouncil.Action.RETIRE, 0);
        address[] memory one = new address[](1);
        one[0] = crowd[63];
        _proposeTwo(one);
        _skip(DELAY);
        council.finishRotation(one, _need(1, 1, 1), REASON);
        _refused(crowd[0], FLEET, ICouncil.Action.HALT, 0, ICouncil.Refusal.NOT_A_SIGNER);
        _vote(crowd[63], FLEET, ICouncil.Action.HALT, 0);
        _assertState(FLEET, ICouncil.State.HALTED);
    }

    function _proposeTwo(address[] memory one) private {
        _decide(2, FLEET, ICouncil.Action.ROTATE, keccak256(abi.encode(one, _need(1, 1, 1), REASON)));
    }

    function _assertNotScheduled(address[] memory who, ICouncil.Thresholds memory need, bytes32 salt) private {
        vm.expectRevert(ICouncil.NotScheduled.selector);
        council.finishRotation(who, need, salt);
    }

    function _need(uint8 halt, uint8 resume, uint8 retire) private pure returns (ICouncil.Thresholds memory) {
        return ICouncil.Thresholds(halt, resume, retire);
    }
}
