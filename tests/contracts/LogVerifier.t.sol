// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {LogVerifier} from "../../contracts/periphery/LogVerifier.sol";
import {CouncilTest} from "./support/CouncilTest.sol";
import {ReferenceTree} from "./support/ReferenceTree.sol";
import {FixedAnswerWallet, RevertingWallet} from "./support/Wallets.sol";

contract LogVerifierTest is CouncilTest {
    uint256 private constant MOST = 24;
    LogVerifier private verifier;

    function setUp() public override {
        super.setUp();
        verifier = new LogVerifier();
    }

    // ------------------------------------------------------------------------------------------------- what holds

    /// @dev Every entry of every tree up to MOST, against the RFC's own definition of the root and of the path.
    function test_RootOf_EveryEntryOfEverySize_IsTheRfcsRoot() public view {
        bytes32[] memory leaves = ReferenceTree.leaves(1, MOST);
        for (uint256 size = 1; size <= MOST; ++size) {
            bytes32 root = ReferenceTree.root(leaves, 0, size);
            for (uint256 index; index < size; ++index) {
                bytes32[] memory path = ReferenceTree.path(leaves, index, size);
                vm.assertEq(verifier.rootOf(uint64(size), uint64(index), leaves[index], path), root, "root");
            }
        }
    }

    /// @dev The tree of the leaves "", 00, 10 (Certificate Transparency's test tree), and the proof of its third leaf.
    function test_RootOf_TheKnownTreeOfThree() public view {
        bytes32[] memory path = new bytes32[](1);
        path[0] = 0xfac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125;
        bytes32 root = verifier.rootOf(3, 2, sha256(hex"0010"), path);
        vm.assertEq(root, 0xaeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77, "root");
    }

    function testFuzz_VerifyEntry_OfAnAnchoredLog_GivesItsHead(bytes[3] memory first, bytes memory entry, uint8 more)
        public
    {
        uint256 size = 4 + uint256(more) % 40;
        bytes32[] memory leaves = ReferenceTree.leaves(2, size);
        for (uint256 i; i < 3; ++i) {
            leaves[i] = sha256(abi.encodePacked(bytes1(0), first[i]));
        }
        leaves[3] = sha256(abi.encodePacked(bytes1(0), entry));
        bytes32 root = _anchor(leaves);
        bytes32[] memory path = ReferenceTree.path(leaves, 3, size);
        (uint64 found, bytes32 foundRoot) = verifier.verifyEntry(address(council), OPERATOR, 3, entry, path);
        vm.assertEq(found, size, "size");
        vm.assertEq(foundRoot, root, "root");
        (found, foundRoot) = verifier.verifyLeaf(address(council), OPERATOR, 3, leaves[3], path);
        vm.assertEq(foundRoot, root, "root by the leaf");
    }

    /// @dev Sizes up to 2^64 - 1, in trees of equal leaves; the path of the first, the last or any entry.
    function testFuzz_RootOf_HoldsAtAnySize(bytes32 leaf, uint64 size, uint64 index, uint8 shift) public view {
        size >>= shift % 64;
        vm.assume(size != 0);
        index = shift < 64 ? size - 1 : index % size;
        bytes32[64] memory level = ReferenceTree.uniformLevels(leaf);
        bytes32[] memory path = ReferenceTree.uniformPath(level, index, size);
        vm.assertEq(verifier.rootOf(size, index, leaf, path), ReferenceTree.uniformRoot(level, size), "root");
    }

    // ---------------------------------------------------------------------------------------------- what does not

    function testFuzz_VerifyLeaf_WithAnyBitChanged_IsRefused(uint8 place, uint8 count, uint8 which, uint8 bit) public {
        uint256 size = 1 + uint256(count) % 50;
        uint256 index = uint256(place) % size;
        bytes32[] memory leaves = ReferenceTree.leaves(3, size);
        bytes32 root = _anchor(leaves);
        bytes32[] memory path = ReferenceTree.path(leaves, index, size);
        bytes32 leaf = leaves[index];
        if (path.length == 0 || which % 2 == 0) leaf ^= bytes32(uint256(1) << bit);
        else path[which % path.length] ^= bytes32(uint256(1) << bit);
        bytes32 found = verifier.rootOf(uint64(size), uint64(index), leaf, path);
        vm.expectRevert(abi.encodeWithSelector(LogVerifier.WrongRoot.selector, root, found));
        verifier.verifyLeaf(address(council), OPERATOR, uint64(index), leaf, path);
    }

    /// @dev A proof speaks of one place: at another it is refused, by its length or by its root.
    function testFuzz_VerifyLeaf_AtAnotherPlace_IsRefused(uint8 place, uint8 other, uint8 count) public {
        uint256 size = 2 + uint256(count) % 50;
        (uint256 index, uint256 wrong) = (uint256(place) % size, uint256(other) % size);
        vm.assume(index != wrong);
        bytes32[] memory leaves = ReferenceTree.leaves(4, size);
        _anchor(leaves);
        bytes32[] memory path = ReferenceTree.path(leaves, index, size);
        try verifier.verifyLeaf(address(council), OPERATOR, uint64(wrong), leaves[index], path) {
            vm.assertTrue(false, "held at another place");
        } catch (bytes memory why) {
            bool named = bytes4(why) == LogVerifier.WrongRoot.selector
                || bytes4(why) == LogVerifier.WrongProofLength.selector;
            vm.assertTrue(named, "named");
        }
    }

    function testFuzz_RootOf_WithAnotherLength_IsRefused(uint64 size, uint64 index, uint8 length) public {
        vm.assume(size != 0);
        index %= size;
        uint256 expected = ReferenceTree.uniformPath(ReferenceTree.uniformLevels(0), index, size).length;
        vm.assume(length != expected);
        vm.expectRevert(abi.encodeWithSelector(LogVerifier.WrongProofLength.selector, expected, length));
        verifier.rootOf(size, index, REASON, new bytes32[](length));
    }

    function testFuzz_RootOf_BeyondTheLog_IsRefused(uint64 size, uint64 index, uint8 length) public {
        vm.assume(index >= size);
        vm.expectRevert(abi.encodeWithSelector(LogVerifier.NotInLog.selector, index, size));
        verifier.rootOf(size, index, REASON, new bytes32[](length));
    }

    function test_VerifyLeaf_OfAnOperatorWithoutALog_IsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(LogVerifier.NotInLog.selector, 0, 0));
        verifier.verifyLeaf(address(council), NEW_OPERATOR, 0, REASON, new bytes32[](0));
    }

    /// @dev An entry is no node: the 0x00 before it keeps the two apart.
    function test_VerifyEntry_OfTwoNodes_IsRefused() public {
        bytes32[] memory leaves = ReferenceTree.leaves(5, 2);
        bytes32 root = _anchor(leaves);
        bytes memory pair = abi.encodePacked(leaves[0], leaves[1]);
        vm.expectRevert(abi.encodeWithSelector(LogVerifier.WrongProofLength.selector, 1, 0));
        verifier.verifyEntry(address(council), OPERATOR, 0, pair, new bytes32[](0));
        vm.assertTrue(sha256(abi.encodePacked(bytes1(0), pair)) != root, "an entry that is a node");
    }

    /// @dev Whatever stands there instead of a council: no code, a revert, or another answer.
    function testFuzz_VerifyLeaf_OfWhatIsNoCouncil_IsRefused(bytes memory answer, uint8 which) public {
        vm.assume(answer.length != 96 || uint256(bytes32(answer)) > type(uint64).max);
        address there = mallory;
        if (which % 3 == 0) there = address(new FixedAnswerWallet(answer));
        if (which % 3 == 1) there = address(new RevertingWallet());
        vm.expectRevert(abi.encodeWithSelector(LogVerifier.NoCouncil.selector, there));
        verifier.verifyLeaf(there, OPERATOR, 0, REASON, new bytes32[](0));
    }

    function test_VerifyLeaf_OfACouncilWithAnImpossibleSize_IsRefused() public {
        address there = address(new FixedAnswerWallet(abi.encode(uint256(1) << 64, REASON, 0)));
        vm.expectRevert(abi.encodeWithSelector(LogVerifier.NoCouncil.selector, there));
        verifier.verifyLeaf(there, OPERATOR, 0, REASON, new bytes32[](0));
    }

    function _anchor(bytes32[] memory leaves) private returns (bytes32) {
        vm.prank(OPERATOR);
        council.extend(uint64(leaves.length), new bytes32[](0), leaves);
        return ReferenceTree.root(leaves, 0, leaves.length);
    }
}
