// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

contract RenewTest is CouncilTest {
    function testFuzz_Renew_ByAnySigner_StartsTheLeaseAnew(uint8 who, uint32 later) public {
        address signer = signers[who % 5];
        _skip(_bound(later, 0, LEASE + GRACE - 1));
        vm.expectEmit(address(council));
        emit ICouncil.Renewed(AGENT, signer, 1, uint40(_now() + LEASE));
        _renew(signer, AGENT);
        vm.assertEq(_snapshot(AGENT).leaseUntil, _now() + LEASE, "lease");
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function testFuzz_Renew_ByAStranger_IsRefused(address stranger) public {
        for (uint256 i; i < signers.length; ++i) {
            vm.assume(stranger != signers[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSigner.selector, stranger));
        _renew(stranger, AGENT);
    }

    /// @dev The trio at the lease's end: the agent runs one second before, and is LAPSED at it and after.
    function test_Renew_IsOwed_AtTheLeasesEnd() public {
        _skip(LEASE - 1);
        _assertState(AGENT, ICouncil.State.RUNNING);
        _skip(1);
        _assertState(AGENT, ICouncil.State.LAPSED);
        _skip(1);
        _assertState(AGENT, ICouncil.State.LAPSED);
        _renew(alice, AGENT);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    /// @dev The trio at the grace's end.
    function test_Renew_IsPossible_BeforeTheGracesEndAndNotAtIt() public {
        _skip(LEASE + GRACE - 1);
        uint256 before = vm.snapshotState();
        _renew(alice, AGENT);
        _assertState(AGENT, ICouncil.State.RUNNING);
        vm.revertToState(before);
        for (uint256 i; i < 2; ++i) {
            _skip(1);
            _refusedRenewal(AGENT);
            _assertState(AGENT, ICouncil.State.LAPSED);
        }
    }

    function test_Renew_NeverLiftsAPause() public {
        _pause(alice, AGENT);
        _skip(PAUSE - 1);
        _renew(alice, AGENT);
        vm.assertEq(_snapshot(AGENT).pausedUntil, _now() + 1, "paused until");
        _assertState(AGENT, ICouncil.State.PAUSED);
        _skip(1);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    /// @dev A pause that began before the lapse still holds when the lease is renewed in the grace.
    function test_Renew_InTheGrace_GivesBackThePauseToo() public {
        _skip(LEASE - 1);
        _pause(alice, AGENT);
        _skip(1);
        _assertState(AGENT, ICouncil.State.LAPSED);
        _renew(bob, AGENT);
        _assertState(AGENT, ICouncil.State.PAUSED);
    }

    function testFuzz_Renew_OfWhatIsStopped_IsRefused(uint8 from) public {
        _putInto(ICouncil.State(_bound(from, 4, 6)));
        _refusedRenewal(AGENT);
        _refusedRenewal(STRANGE);
        _refusedRenewal(FLEET);
    }

    function test_Renew_OfAHaltedAgentInItsOldGrace_IsRefused() public {
        _skip(LEASE);
        _halt(AGENT);
        _refusedRenewal(AGENT);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_Renew_WithoutLeasesOrGrace_HasNothingToRenew() public {
        council = _deploy(signers, _thresholds(), ICouncil.Timing(PAUSE, DELAY, WINDOW, 0, 0));
        _register(AGENT, OPERATOR);
        vm.assertEq(_snapshot(AGENT).leaseUntil, 0, "lease");
        _refusedRenewal(AGENT);
        _skip(10_000 days);
        _assertState(AGENT, ICouncil.State.RUNNING);
        council = _deploy(signers, _thresholds(), ICouncil.Timing(PAUSE, DELAY, WINDOW, LEASE, 0));
        _register(AGENT, OPERATOR);
        _skip(LEASE);
        _refusedRenewal(AGENT);
        _resume(AGENT);
    }

    function _renew(address who, bytes32 agent) private {
        vm.prank(who);
        council.renew(agent);
    }

    function _refusedRenewal(bytes32 agent) private {
        vm.expectRevert(abi.encodeWithSelector(ICouncil.LeaseOver.selector, agent));
        vm.prank(alice);
        council.renew(agent);
    }
}
