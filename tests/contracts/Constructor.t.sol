// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil, Vm} from "./support/CouncilTest.sol";

contract ConstructorTest is CouncilTest {
    function test_Constructor_StoresWhatItWasGiven() public view {
        (address[] memory who, ICouncil.Thresholds memory need, ICouncil.Timing memory time, uint32 set) =
            council.council();
        vm.assertEq(abi.encode(who), abi.encode(signers), "signers");
        vm.assertEq(abi.encode(need), abi.encode(_thresholds()), "thresholds");
        vm.assertEq(abi.encode(time), abi.encode(_timing()), "timing");
        vm.assertEq(set, 1, "set version");
    }

    function test_Constructor_AnnouncesTheFirstSet() public {
        vm.recordLogs();
        ICouncil made = _deploy(signers, _thresholds(), _timing());
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        vm.assertEq(last.emitter, address(made), "emitter");
        vm.assertEq(last.topics[0], ICouncil.Rotated.selector, "event");
        vm.assertEq(uint256(last.topics[1]), 1, "set version");
        vm.assertEq(last.data, abi.encode(signers, _thresholds()), "data");
    }

    function test_Constructor_TheFleetRunsFromTheStart_WithoutALease() public {
        ICouncil.Snapshot memory fleet = _snapshot(FLEET);
        vm.assertTrue(fleet.mayRun && fleet.state == ICouncil.State.RUNNING, "running");
        vm.assertEq(fleet.epoch, 1, "epoch");
        vm.assertEq(fleet.leaseUntil, 0, "lease");
        _skip(1000 days);
        _assertState(FLEET, ICouncil.State.RUNNING);
    }

    // -------------------------------------------------------------------------------------------------- thresholds

    function testFuzz_Constructor_TakesThresholds_ExactlyWhenTheyKeepTheRule(uint8 n, uint8 h, uint8 r, uint8 d) public {
        n = uint8(_bound(n, 1, 9));
        (h, r, d) = (h % (n + 2), r % (n + 2), d % (n + 2));
        bool rule = 1 <= h && h <= r && r <= d && d <= n && h + r <= n + 1;
        if (!rule) vm.expectRevert(ICouncil.InvalidThresholds.selector);
        this.deploy(_crowd(n), ICouncil.Thresholds(h, r, d), _timing());
    }

    function test_Constructor_TakesThresholds_ExactlyByTheRule_InEveryCouncilOfThreeAndTwo() public {
        for (uint8 n = 2; n <= 3; ++n) {
            for (uint256 i; i < 125; ++i) {
                (uint8 h, uint8 r, uint8 d) = (uint8(i % 5), uint8((i / 5) % 5), uint8(i / 25));
                bool rule = 1 <= h && h <= r && r <= d && d <= n && h + r <= n + 1;
                if (!rule) vm.expectRevert(ICouncil.InvalidThresholds.selector);
                this.deploy(_crowd(n), ICouncil.Thresholds(h, r, d), _timing());
            }
        }
    }

    function test_Constructor_TakesOneSignerWhoDecidesAlone() public {
        this.deploy(_crowd(1), ICouncil.Thresholds(1, 1, 1), _timing());
    }

    // ------------------------------------------------------------------------------------------------------ signers

    function test_Constructor_RefusesNoSigners() public {
        vm.expectRevert(ICouncil.InvalidSigners.selector);
        this.deploy(new address[](0), _thresholds(), _timing());
    }

    function test_Constructor_Takes64Signers_AndRefuses65() public {
        this.deploy(_crowd(64), ICouncil.Thresholds(1, 64, 64), _timing());
        vm.expectRevert(ICouncil.InvalidSigners.selector);
        this.deploy(_crowd(65), ICouncil.Thresholds(1, 64, 64), _timing());
    }

    function testFuzz_Constructor_RefusesASignerTwice(uint8 n, uint8 i, uint8 j) public {
        address[] memory who = _crowd(_bound(n, 4, 12));
        (uint256 a, uint256 b) = (i % who.length, j % who.length);
        vm.assume(a != b);
        who[a] = who[b];
        vm.expectRevert(ICouncil.InvalidSigners.selector);
        this.deploy(who, _thresholds(), _timing());
    }

    function testFuzz_Constructor_RefusesPrecompilesAndZero(uint16 low, uint8 at) public {
        address[] memory who = _crowd(5);
        who[at % 5] = address(uint160(low));
        vm.expectRevert(ICouncil.InvalidSigners.selector);
        this.deploy(who, _thresholds(), _timing());
    }

    function test_Constructor_RefusesTheLastPrecompileAddress_AndTakesTheNext() public {
        address[] memory who = _crowd(5);
        who[4] = address(0xffff);
        vm.expectRevert(ICouncil.InvalidSigners.selector);
        this.deploy(who, _thresholds(), _timing());
        who[4] = address(0x10000);
        this.deploy(who, _thresholds(), _timing());
    }

    function test_Constructor_RefusesTheCouncilAsItsOwnSigner() public {
        address[] memory who = _crowd(5);
        who[2] = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.expectRevert(ICouncil.InvalidSigners.selector);
        this.deploy(who, _thresholds(), _timing());
    }

    // ------------------------------------------------------------------------------------------------------- timing

    function test_Constructor_TakesTimesUpToTheirBounds_AndNotOneSecondBeyond() public {
        _timingHolds(true, 1, DELAY, WINDOW, LEASE, GRACE);
        _timingHolds(false, 0, DELAY, WINDOW, LEASE, GRACE);
        _timingHolds(true, 7 days, DELAY, WINDOW, LEASE, GRACE);
        _timingHolds(false, 7 days + 1, DELAY, WINDOW, LEASE, GRACE);
        _timingHolds(true, PAUSE, 1, WINDOW, LEASE, GRACE);
        _timingHolds(false, PAUSE, 0, WINDOW, LEASE, GRACE);
        _timingHolds(true, PAUSE, 30 days, WINDOW, LEASE, GRACE);
        _timingHolds(false, PAUSE, 30 days + 1, WINDOW, LEASE, GRACE);
        _timingHolds(true, PAUSE, DELAY, 60, LEASE, GRACE);
        _timingHolds(false, PAUSE, DELAY, 59, LEASE, GRACE);
        _timingHolds(true, PAUSE, DELAY, 30 days, LEASE, GRACE);
        _timingHolds(false, PAUSE, DELAY, 30 days + 1, LEASE, GRACE);
        _timingHolds(true, PAUSE, DELAY, WINDOW, 365 days, GRACE);
        _timingHolds(false, PAUSE, DELAY, WINDOW, 365 days + 1, GRACE);
        _timingHolds(true, PAUSE, DELAY, WINDOW, 0, 0);
        _timingHolds(false, PAUSE, DELAY, WINDOW, 0, 1);
        _timingHolds(true, PAUSE, DELAY, WINDOW, LEASE, LEASE);
        _timingHolds(false, PAUSE, DELAY, WINDOW, LEASE, LEASE + 1);
        _timingHolds(true, PAUSE, DELAY, WINDOW, LEASE, 0);
    }

    function _timingHolds(bool good, uint40 pause, uint40 delay, uint40 window, uint40 lease, uint40 grace) private {
        if (!good) vm.expectRevert(ICouncil.InvalidTiming.selector);
        this.deploy(signers, _thresholds(), ICouncil.Timing(pause, delay, window, lease, grace));
    }

    function _crowd(uint256 n) private pure returns (address[] memory who) {
        who = new address[](n);
        for (uint256 i; i < n; ++i) {
            who[i] = address(uint160(0x20000 + i));
        }
    }

    function deploy(address[] memory who, ICouncil.Thresholds memory need, ICouncil.Timing memory time) external {
        _deploy(who, need, time);
    }
}
