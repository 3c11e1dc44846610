// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ICouncil} from "../interfaces/ICouncil.sol";
import {Bits} from "./Bits.sol";

/// @title Frontier: proves that a Merkle tree only grew
/// @notice The tree hash of RFC 6962, section 2.1: SHA-256, 0x00 before a leaf, 0x01 before a pair of nodes. A tree of
/// `size` leaves is its frontier: the roots of its perfect subtrees, largest first, one for each bit set in `size`.
/// Whoever knows the frontier can append without knowing the leaves, and the frontier is checked against the old root,
/// so what comes out is the root of the old leaves followed by the new ones, or a revert.
/// @dev Trusts nobody but the SHA-256 precompile. Leaves come hashed: the 0x00 prefix is the caller's work.
library Frontier {
    /// @dev Root of no leaves: SHA-256 of the empty string (RFC 6962, 2.1).
    bytes32 internal constant EMPTY_ROOT = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @dev A tree below 2^64 leaves never has more peaks than this, not even in the midst of an append.
    uint256 private constant MAX_PEAKS = 64;

    /// @notice Root of the tree of `newSize` leaves that extends the tree (`size`, `root`) by `nodes`.
    /// @dev Needs `newSize > size`. `nodes` are leaf hashes or range roots, see `ICouncil.extend`.
    function extend(uint64 size, bytes32 root, uint64 newSize, bytes32[] calldata frontier, bytes32[] calldata nodes)
        internal
        view
        returns (bytes32)
    {
        (bytes32 found, bytes32 newRoot) = roots(size, root, newSize, frontier, nodes);
        if (found != root) revert ICouncil.WrongFrontier(size, root);
        return newRoot;
    }

    /// @notice Root of the `size` leaves below `frontier`, and root of these followed by `nodes`: whoever knows the
    /// second root of `newSize` leaves can find no other frontier and nodes that give it.
    /// @param claimed is named by the revert of a frontier of another length, and not compared with what is found
    function roots(uint64 size, bytes32 claimed, uint64 newSize, bytes32[] calldata frontier, bytes32[] calldata nodes)
        internal
        view
        returns (bytes32 root, bytes32 newRoot)
    {
        uint256 count = frontier.length;
        if (count != Bits.count(size)) revert ICouncil.WrongFrontier(size, claimed);
        bytes32[MAX_PEAKS] memory peaks;
        for (uint256 i; i < count; ++i) {
            peaks[i] = frontier[i];
        }
        root = _bag(peaks, count);
        newRoot = _bag(peaks, _append(peaks, count, size, newSize, nodes));
    }

    /// @dev Appends `nodes` to the first `count` of `peaks`, the peaks of `size` leaves, and returns how many there are
    /// then. It is carrying in a binary addition: a node over `width` leaves merges with the peak before it for as long
    /// as that bit of the size is set.
    function _append(
        bytes32[MAX_PEAKS] memory peaks,
        uint256 count,
        uint256 size,
        uint256 newSize,
        bytes32[] calldata nodes
    ) private view returns (uint256) {
        uint256 expected = nodes.length == newSize - size ? nodes.length : _rangeNodes(size, newSize);
        if (nodes.length != expected) revert ICouncil.WrongNodeCount(expected, nodes.length);
        bool leaves = expected == newSize - size;
        unchecked {
            for (uint256 i; i < expected; ++i) {
                uint256 width = leaves ? 1 : _width(size, newSize - size);
                bytes32 node = nodes[i];
                for (uint256 bit = width; size & bit != 0; bit <<= 1) {
                    node = _hashChildren(peaks[--count], node);
                }
                peaks[count++] = node;
                size += width;
            }
        }
        return count;
    }

    /// @dev Root over the first `count` peaks, from the smallest up.
    function _bag(bytes32[MAX_PEAKS] memory peaks, uint256 count) private view returns (bytes32 root) {
        if (count == 0) return EMPTY_ROOT;
        root = peaks[--count];
        while (count != 0) {
            root = _hashChildren(peaks[--count], root);
        }
    }

    /// @dev Leaves under the next range node: as many as the size's lowest bit aligns, but no more than `rest` holds.
    function _width(uint256 size, uint256 rest) private pure returns (uint256) {
        unchecked {
            uint256 aligned = size & (~size + 1); // its lowest bit
            return aligned != 0 && aligned <= rest ? aligned : 1 << Math.log2(rest);
        }
    }

    function _rangeNodes(uint256 size, uint256 newSize) private pure returns (uint256 nodes) {
        for (; size < newSize; ++nodes) {
            size += _width(size, newSize - size);
        }
    }

    /// @dev SHA-256(0x01 || left || right), RFC 6962, 2.1: the precompile, without the copies that `sha256` makes.
    function _hashChildren(bytes32 left, bytes32 right) private view returns (bytes32 node) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(free, 1)
            mstore(add(free, 1), left)
            mstore(add(free, 33), right)
            if iszero(staticcall(gas(), 2, free, 65, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }
}
