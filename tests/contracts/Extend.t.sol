// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";
import {ReferenceTree} from "./support/ReferenceTree.sol";

contract ExtendTest is CouncilTest {
    uint256 private constant MOST = 24;
    address private constant OTHER = address(0x07e5);

    /// @dev Every pair of sizes up to MOST, by leaves and by ranges, against the RFC's own definition.
    function test_Extend_EveryPairOfSizes_GivesTheRfcsRoot() public {
        bytes32[] memory leaves = ReferenceTree.leaves(1, MOST);
        for (uint256 old; old < MOST; ++old) {
            address caller = address(uint160(0x1000000 + old));
            if (old > 0) _extend(caller, old, new bytes32[](0), ReferenceTree.slice(leaves, 0, old));
            bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, old);
            uint256 before = vm.snapshotState();
            for (uint256 size = old + 1; size <= MOST; ++size) {
                bytes32 root = ReferenceTree.root(leaves, 0, size);
                _extend(caller, size, frontier, ReferenceTree.slice(leaves, old, size));
                _assertHead(caller, size, root);
                vm.revertToState(before);
                _extend(caller, size, frontier, ReferenceTree.cover(leaves, old, size));
                _assertHead(caller, size, root);
                vm.revertToState(before);
            }
        }
    }

    function testFuzz_Extend_InThreeSteps_GivesTheRfcsRoot(uint256 seed, uint8 a, uint8 b, uint8 c, uint8 modes) public {
        uint256[4] memory size = [uint256(0), 0, 0, 0];
        size[1] = 1 + uint256(a) % 100;
        size[2] = size[1] + 1 + uint256(b) % 100;
        size[3] = size[2] + 1 + uint256(c) % 100;
        bytes32[] memory leaves = ReferenceTree.leaves(seed, size[3]);
        for (uint256 i = 1; i < 4; ++i) {
            bytes32[] memory nodes = (modes >> i) & 1 == 0
                ? ReferenceTree.slice(leaves, size[i - 1], size[i])
                : ReferenceTree.cover(leaves, size[i - 1], size[i]);
            _extend(OPERATOR, size[i], ReferenceTree.cover(leaves, 0, size[i - 1]), nodes);
            _assertHead(OPERATOR, size[i], ReferenceTree.root(leaves, 0, size[i]));
        }
    }

    /// @dev Sizes up to 2^64 - 1, in a tree of equal leaves.
    function testFuzz_Extend_ByRanges_HoldsAtAnySize(bytes32 leaf, uint64 old, uint64 size, uint8 shift) public {
        old >>= shift % 64;
        size >>= (shift / 4) % 64;
        if (old > size) (old, size) = (size, old);
        vm.assume(old < size);
        bytes32[64] memory level = ReferenceTree.uniformLevels(leaf);
        if (old > 0) _extend(OPERATOR, old, new bytes32[](0), ReferenceTree.uniformCover(level, 0, old));
        bytes32[] memory range = ReferenceTree.uniformCover(level, old, size);
        _extend(OPERATOR, size, ReferenceTree.uniformCover(level, 0, old), range);
        _assertHead(OPERATOR, size, ReferenceTree.uniformRoot(level, size));
    }

    function test_Extend_ToTheLastSize_Works_AndNothingIsBeyondIt() public {
        bytes32[64] memory level = ReferenceTree.uniformLevels(REASON);
        uint64 last = type(uint64).max;
        _extend(OPERATOR, last, new bytes32[](0), ReferenceTree.uniformCover(level, 0, last));
        _assertHead(OPERATOR, last, ReferenceTree.uniformRoot(level, last));
        bytes32[] memory frontier = ReferenceTree.uniformCover(level, 0, last);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.SizeNotGrown.selector, last, last));
        _extend(OPERATOR, last, frontier, new bytes32[](0));
    }

    /// @dev RFC 6962's empty tree, and the known tree of the leaves "" and 0x00 (transparency-dev/merkle's test vectors).
    function test_Extend_KnownRoots() public {
        _assertHead(OPERATOR, 0, 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855);
        bytes32[] memory nodes = new bytes32[](2);
        (nodes[0], nodes[1]) = (sha256(hex"00"), sha256(hex"0000"));
        _extend(OPERATOR, 2, new bytes32[](0), nodes);
        _assertHead(OPERATOR, 2, 0xfac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125);
    }

    // ---------------------------------------------------------------------------------------------------- refusals

    function testFuzz_Extend_WithoutGrowth_IsRefused(uint8 at, uint64 size) public {
        uint64 old = uint64(_bound(at, 1, 40));
        bytes32[] memory leaves = ReferenceTree.leaves(2, old);
        _extend(OPERATOR, old, new bytes32[](0), leaves);
        size = uint64(_bound(size, 0, old));
        bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, old);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.SizeNotGrown.selector, old, size));
        _extend(OPERATOR, size, frontier, new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(ICouncil.SizeNotGrown.selector, 0, 0));
        _extend(OTHER, 0, new bytes32[](0), new bytes32[](0));
    }

    /// @dev A fork or a rewrite shows as a frontier that does not hash to the stored root.
    function testFuzz_Extend_OfAnotherHistory_IsRefused(uint8 at, uint8 peak, uint8 bit, uint8 wrong) public {
        uint64 old = uint64(_bound(at, 1, 60));
        bytes32[] memory leaves = ReferenceTree.leaves(3, old);
        _extend(OPERATOR, old, new bytes32[](0), leaves);
        bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, old);
        wrong = wrong % 4;
        if (wrong == 0) frontier[peak % frontier.length] ^= bytes32(uint256(1) << bit);
        if (wrong == 1) frontier = ReferenceTree.cover(leaves, 0, old - 1); // of another size, maybe as long
        if (wrong == 2) frontier = leaves.length == frontier.length ? new bytes32[](0) : leaves;
        if (wrong == 3) frontier = new bytes32[](frontier.length + 1);
        vm.expectRevert(
            abi.encodeWithSelector(ICouncil.WrongFrontier.selector, old, ReferenceTree.root(leaves, 0, old))
        );
        _extend(OPERATOR, old + 1, frontier, new bytes32[](1));
    }

    /// @dev The stored root itself, as if it were one peak: right hash, wrong count.
    function test_Extend_WithTheRootAsFrontier_IsRefused() public {
        bytes32[] memory leaves = ReferenceTree.leaves(4, 3);
        _extend(OPERATOR, 3, new bytes32[](0), leaves);
        bytes32[] memory root = new bytes32[](1);
        root[0] = ReferenceTree.root(leaves, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.WrongFrontier.selector, 3, root[0]));
        _extend(OPERATOR, 4, root, new bytes32[](1));
    }

    function testFuzz_Extend_OfAnEmptyLogWithAFrontier_IsRefused(uint8 length) public {
        vm.assume(length != 0);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.WrongFrontier.selector, 0, sha256("")));
        _extend(OPERATOR, 1, new bytes32[](length), new bytes32[](1));
    }

    function testFuzz_Extend_WithAnotherNumberOfNodes_IsRefused(uint8 at, uint8 by, uint8 count) public {
        uint256 old = uint256(at) % 50;
        uint256 size = old + 1 + uint256(by) % 100;
        bytes32[] memory leaves = ReferenceTree.leaves(5, old);
        if (old > 0) _extend(OPERATOR, old, new bytes32[](0), leaves);
        uint256 expected = ReferenceTree.coverCount(old, size);
        vm.assume(count != expected && count != size - old);
        bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, old);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.WrongNodeCount.selector, expected, count));
        _extend(OPERATOR, size, frontier, new bytes32[](count));
    }

    // ---------------------------------------------------------------------------------------------------- whose log

    function testFuzz_Extend_WritesTheCallersLog_AndNoOther(address caller, bytes32 leaf, uint32 later) public {
        vm.assume(caller != OTHER);
        bytes32[] memory one = new bytes32[](1);
        _extend(OTHER, 1, new bytes32[](0), one);
        _skip(later);
        one[0] = leaf;
        vm.expectEmit(address(council));
        emit ICouncil.Extended(caller, 0, 1, leaf);
        _extend(caller, 1, new bytes32[](0), one);
        _assertHead(caller, 1, leaf);
        (uint64 size, bytes32 root, uint64 anchoredAt) = council.headOf(OTHER);
        vm.assertEq(size, 1, "size");
        vm.assertEq(root, 0, "root");
        vm.assertEq(anchoredAt, START, "anchored at");
    }

    function test_Extend_NeedsNoSeatAndNoAgent_AndWorksWhileHalted() public {
        _halt(AGENT);
        _halt(FLEET);
        _extend(OPERATOR, 1, new bytes32[](0), new bytes32[](1));
        vm.assertEq(_snapshot(AGENT).size, 1, "size");
        vm.assertEq(_snapshot(AGENT).haltedSize, 0, "halted size");
    }

    function testFuzz_Extend_WritesTwoSlots_HoweverManyEntries(uint16 by) public {
        bytes32[64] memory level = ReferenceTree.uniformLevels(REASON);
        _extend(OPERATOR, 5, new bytes32[](0), ReferenceTree.uniformCover(level, 0, 5));
        uint256 size = 6 + uint256(by);
        bytes32[] memory frontier = ReferenceTree.uniformCover(level, 0, 5);
        bytes32[] memory range = ReferenceTree.uniformCover(level, 5, size);
        vm.record();
        _extend(OPERATOR, size, frontier, range);
        (, bytes32[] memory writes) = vm.accesses(address(council));
        vm.assertEq(writes.length, 2, "writes");
    }

    function _extend(address caller, uint256 size, bytes32[] memory frontier, bytes32[] memory nodes) private {
        vm.prank(caller);
        council.extend(uint64(size), frontier, nodes);
    }

    function _assertHead(address caller, uint256 size, bytes32 root) private view {
        (uint64 gotSize, bytes32 gotRoot, uint64 anchoredAt) = council.headOf(caller);
        vm.assertEq(gotSize, size, "size");
        vm.assertEq(gotRoot, root, "root");
        vm.assertEq(anchoredAt, size == 0 ? 0 : _now(), "anchored at");
    }
}
