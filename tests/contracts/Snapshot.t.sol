// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";

contract SnapshotTest is CouncilTest {
    function test_Snapshot_OfNothing_IsEmpty() public view {
        vm.assertEq(council.snapshot(new bytes32[](0)).length, 0, "length");
    }

    function testFuzz_Snapshot_OfTheUnregistered_IsBlank(bytes32 agent) public view {
        vm.assume(agent != FLEET && agent != AGENT);
        ICouncil.Snapshot memory blank;
        blank.agent = agent;
        blank.root = sha256("");
        vm.assertEq(abi.encode(_snapshot(agent)), abi.encode(blank), "not blank");
    }

    function test_Snapshot_OfSeveral_KeepsTheirOrder() public view {
        bytes32[] memory ids = new bytes32[](4);
        (ids[0], ids[1], ids[2], ids[3]) = (AGENT, FLEET, STRANGE, AGENT);
        ICouncil.Snapshot[] memory seen = council.snapshot(ids);
        vm.assertEq(seen.length, 4, "length");
        for (uint256 i; i < 4; ++i) {
            vm.assertEq(abi.encode(seen[i]), abi.encode(_snapshot(ids[i])), "differs from its own");
        }
    }

    function test_Snapshot_OfAFreshAgent_SaysAllThatIsKnown() public view {
        ICouncil.Snapshot memory known;
        known.agent = AGENT;
        known.state = ICouncil.State.RUNNING;
        known.mayRun = true;
        known.epoch = 1;
        known.leaseUntil = uint40(START + LEASE);
        known.operator = OPERATOR;
        known.root = sha256("");
        vm.assertEq(abi.encode(_snapshot(AGENT)), abi.encode(known), "fresh");
    }

    function test_Snapshot_OfAUsedAgent_SaysAllThatIsKnown() public {
        _decide(R, AGENT, ICouncil.Action.REARM, 0);
        vm.prank(OPERATOR);
        council.extend(1, new bytes32[](0), _one(REASON));
        _pause(alice, AGENT);
        _putInto(ICouncil.State.RESUMING);
        _veto(dave, AGENT, 0);
        _skip(1);
        vm.prank(OPERATOR);
        council.extend(2, _one(REASON), _one(AGENT));
        _vote(bob, AGENT, ICouncil.Action.RESUME, 0);
        ICouncil.Snapshot memory known;
        known.agent = AGENT;
        known.state = ICouncil.State.HALTED;
        known.epoch = 2;
        known.arms = 1;
        known.vetoes = 1;
        known.resumeVotes = 1;
        known.leaseUntil = uint40(START + LEASE);
        known.operator = OPERATOR;
        known.size = 2;
        known.root = sha256(abi.encodePacked(hex"01", REASON, AGENT));
        known.anchoredAt = uint64(_now());
        known.haltedSize = 1;
        vm.assertEq(abi.encode(_snapshot(AGENT)), abi.encode(known), "used");
    }

    function test_Snapshot_OfAResumingAgent_SaysWhenItIsReady() public {
        _putInto(ICouncil.State.RESUMING);
        vm.assertEq(_snapshot(AGENT).resumeReadyAt, _now() + DELAY, "ready at");
        vm.assertTrue(_snapshot(AGENT).state == ICouncil.State.RESUMING, "state");
    }

    function test_Snapshot_HaltVotes_AreThoseThatCountNow() public {
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        vm.assertEq(_snapshot(AGENT).haltVotes, 1, "one");
        vm.assertEq(_snapshot(FLEET).haltVotes, 0, "the fleet's");
        _skip(WINDOW - 1);
        vm.assertEq(_snapshot(AGENT).haltVotes, 1, "in its window");
        _skip(1);
        vm.assertEq(_snapshot(AGENT).haltVotes, 0, "out of its window");
    }

    function test_Snapshot_ResumeVotes_AreThoseForTheStopThatItIsIn() public {
        _skip(LEASE + GRACE);
        _decide(2, AGENT, ICouncil.Action.RESUME, bytes32(uint256(1)));
        vm.assertEq(_snapshot(AGENT).resumeVotes, 2, "for the lapse");
        _halt(AGENT);
        vm.assertEq(_snapshot(AGENT).resumeVotes, 0, "for the halt");
        _vote(erin, AGENT, ICouncil.Action.RESUME, 0);
        vm.assertEq(_snapshot(AGENT).resumeVotes, 1, "for the halt, one");
    }

    function testFuzz_Snapshot_AgreesWithStateOfAndMayRun(uint8 from, uint32 later, bool stopFleet) public {
        _putInto(ICouncil.State(_bound(from, 1, 6)));
        if (stopFleet) _pause(alice, FLEET);
        _skip(later % (2 * LEASE));
        vm.assertTrue(_snapshot(AGENT).state == council.stateOf(AGENT), "state");
        vm.assertTrue(_snapshot(AGENT).mayRun == council.mayRun(AGENT), "may run");
    }

    function _one(bytes32 hash) private pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = hash;
    }
}
