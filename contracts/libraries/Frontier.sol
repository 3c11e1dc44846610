// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

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
        if (frontier.length != Bits.count(size)) revert ICouncil.WrongFrontier(size, root);
        uint256 bottom = _stack();
        uint256 top = bottom;
        for (uint256 i; i < frontier.length; ++i) {
            top = _push(top, frontier[i]);
        }
        if (_bag(bottom, top) != root) revert ICouncil.WrongFrontier(size, root);
        return _bag(bottom, _append(top, size, newSize, nodes));
    }

    /// @dev Appends `nodes` to the stack of peaks and returns its new top. It is carrying in a binary addition: a node
    /// over `width` leaves merges with the peak before it for as long as that bit of the count is set.
    function _append(uint256 top, uint256 size, uint256 newSize, bytes32[] calldata nodes)
        private
        view
        returns (uint256)
    {
        unchecked {
            bool leaves = nodes.length == newSize - size;
            uint256 count = size;
            uint256 i;
            for (; count < newSize && i < nodes.length; ++i) {
                uint256 width = leaves ? 1 : _width(count, newSize - count);
                bytes32 node = nodes[i];
                for (uint256 bit = width; count & bit != 0; bit <<= 1) {
                    top -= 32;
                    node = _hashChildren(_at(top), node);
                }
                top = _push(top, node);
                count += width;
            }
            if (count != newSize || i != nodes.length) {
                revert ICouncil.WrongNodeCount(_rangeNodes(size, newSize), nodes.length);
            }
            return top;
        }
    }

    /// @dev Root over the peaks, from the smallest up; leaves them in place.
    function _bag(uint256 bottom, uint256 top) private view returns (bytes32 root) {
        if (top == bottom) return EMPTY_ROOT;
        unchecked {
            root = _at(top -= 32);
            while (top != bottom) {
                root = _hashChildren(_at(top -= 32), root);
            }
        }
    }

    /// @dev Leaves under the next range node: as many as `count`'s lowest bit aligns, but no more than `rest` holds.
    function _width(uint256 count, uint256 rest) private pure returns (uint256) {
        unchecked {
            uint256 aligned = count & (0 - count);
            if (aligned != 0 && aligned <= rest) return aligned;
            // The highest bit of rest: fill every bit below it, then take away the half.
            rest |= rest >> 1;
            rest |= rest >> 2;
            rest |= rest >> 4;
            rest |= rest >> 8;
            rest |= rest >> 16;
            rest |= rest >> 32;
            return rest - (rest >> 1);
        }
    }

    function _rangeNodes(uint256 count, uint256 newSize) private pure returns (uint256 nodes) {
        for (; count < newSize; ++nodes) {
            count += _width(count, newSize - count);
        }
    }

    /// @dev Memory for a stack of MAX_PEAKS words, of which `bottom` is the first.
    function _stack() private pure returns (uint256 bottom) {
        bytes32[] memory peaks = new bytes32[](MAX_PEAKS);
        assembly ("memory-safe") {
            bottom := add(peaks, 32)
        }
    }

    function _push(uint256 top, bytes32 node) private pure returns (uint256) {
        assembly ("memory-safe") {
            mstore(top, node)
        }
        return top + 32;
    }

    function _at(uint256 place) private pure returns (bytes32 node) {
        assembly ("memory-safe") {
            node := mload(place)
        }
    }

    /// @dev SHA-256(0x01 || left || right), RFC 6962, 2.1.
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
