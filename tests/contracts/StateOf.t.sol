// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

/// @notice `stateOf` and `mayRun`, the two readings that a guard acts on.
contract StateOfTest is CouncilTest {
    function testFuzz_StateOf_WhatWasNeverRegistered_IsNone_AndMayNotRun(bytes32 agent) public view {
        vm.assume(agent != FLEET && agent != AGENT);
        _assertState(agent, ICouncil.State.NONE);
        vm.assertFalse(council.mayRun(agent), "runs");
    }

    /// @dev The trio at a pause's end.
    function test_StateOf_APause_EndsAtItsSecond() public {
        _pause(alice, AGENT);
        _skip(PAUSE - 1);
        _assertState(AGENT, ICouncil.State.PAUSED);
        vm.assertFalse(council.mayRun(AGENT), "runs before");
        _skip(1);
        _assertState(AGENT, ICouncil.State.RUNNING);
        vm.assertTrue(council.mayRun(AGENT), "does not run at");
        _skip(1);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    /// @dev A resume that is ready does not happen by itself.
    function test_StateOf_AReadyResume_WaitsForItsFinish() public {
        _putInto(ICouncil.State.RESUMING);
        for (uint256 i; i < 3; ++i) {
            _skip(i == 0 ? DELAY - 1 : 1);
            _assertState(AGENT, ICouncil.State.RESUMING);
            vm.assertFalse(council.mayRun(AGENT), "runs");
        }
    }

    function testFuzz_StateOf_APauseAndALease_AreReadOffTheClock(uint32 pausedAt, uint32 later) public {
        pausedAt = uint32(_bound(pausedAt, 0, LEASE - 1));
        later = uint32(_bound(later, 0, LEASE + GRACE));
        _skip(pausedAt);
        _pause(alice, AGENT);
        _skip(later);
        uint256 age = uint256(pausedAt) + later;
        ICouncil.State expected = ICouncil.State.RUNNING;
        if (later < PAUSE) expected = ICouncil.State.PAUSED;
        if (age >= LEASE) expected = ICouncil.State.LAPSED;
        _assertState(AGENT, expected);
        vm.assertTrue(council.mayRun(AGENT) == (expected == ICouncil.State.RUNNING), "may run");
    }

    function testFuzz_MayRun_NeedsTheAgentAndTheFleetRunning(uint8 agentState, uint8 fleetState) public {
        _putInto(ICouncil.State(_bound(agentState, 1, 6)));
        ICouncil.State fleet = ICouncil.State(_bound(fleetState, 1, 6));
        if (fleet == ICouncil.State.PAUSED) _pause(alice, FLEET);
        if (fleet == ICouncil.State.HALTED || fleet == ICouncil.State.RESUMING) _halt(FLEET);
        if (fleet == ICouncil.State.RESUMING) _resume(FLEET);
        if (fleet == ICouncil.State.RETIRED) _retire(FLEET);
        bool both = council.stateOf(AGENT) == ICouncil.State.RUNNING && council.stateOf(FLEET) == ICouncil.State.RUNNING;
        vm.assertTrue(council.mayRun(AGENT) == both, "may run");
        vm.assertTrue(council.mayRun(FLEET) == (council.stateOf(FLEET) == ICouncil.State.RUNNING), "fleet may run");
    }

    function testFuzz_MayRun_AStrangerMovesNothing(address stranger, bytes32 agent, uint8 action, uint64 epoch) public {
        for (uint256 i; i < signers.length; ++i) {
            vm.assume(stranger != signers[i]);
        }
        bool before = council.mayRun(agent);
        vm.prank(stranger);
        (bool ok,) = address(council).call(
            abi.encodePacked(ICouncil.vote.selector, abi.encode(agent, action, bytes32(0), epoch, REASON))
        );
        vm.assertFalse(ok, "a stranger's vote was taken");
        vm.assertTrue(council.mayRun(agent) == before, "changed");
    }
}
