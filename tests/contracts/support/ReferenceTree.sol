// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice RFC 6962 section 2.1, written as the RFC writes it (recursively, over all leaves), to be compared with the
/// contract's incremental way. Slow and plain on purpose.
library ReferenceTree {
    function leaf(uint256 seed, uint256 index) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), abi.encode(seed, index)));
    }

    function leaves(uint256 seed, uint256 count) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = leaf(seed, i);
        }
    }

    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @dev MTH(D[from:to]); `list` holds leaf hashes.
    function root(bytes32[] memory list, uint256 from, uint256 to) internal pure returns (bytes32) {
        if (to == from) return sha256("");
        if (to == from + 1) return list[from];
        uint256 k = 1;
        while (k * 2 < to - from) k *= 2;
        return node(root(list, from, from + k), root(list, from + k, to));
    }

    /// @dev Roots of the perfect subtrees that cover leaves [from, to), left to right: at each position the widest one
    /// that starts there, aligned to its own width, and ends inside. With from = 0 this is the frontier of size `to`.
    function cover(bytes32[] memory list, uint256 from, uint256 to) internal pure returns (bytes32[] memory roots) {
        roots = new bytes32[](coverCount(from, to));
        for (uint256 i; from < to; ++i) {
            uint256 width = _width(from, to);
            roots[i] = root(list, from, from + width);
            from += width;
        }
    }

    function coverCount(uint256 from, uint256 to) internal pure returns (uint256 count) {
        for (; from < to; ++count) {
            from += _width(from, to);
        }
    }

    function slice(bytes32[] memory list, uint256 from, uint256 to) internal pure returns (bytes32[] memory part) {
        part = new bytes32[](to - from);
        for (uint256 i; i < part.length; ++i) {
            part[i] = list[from + i];
        }
    }

    /// @dev PATH(index, D[size]) of RFC 6962, 2.1.1, lowest hash first: the roots of the halves that the leaf is not in.
    function path(bytes32[] memory list, uint256 index, uint256 size) internal pure returns (bytes32[] memory hashes) {
        (uint256 from, uint256 to, uint256 depth) = (0, size, 0);
        bytes32[] memory down = new bytes32[](64);
        while (to - from > 1) {
            uint256 k = 1;
            while (k * 2 < to - from) k *= 2;
            bool left = index < from + k;
            down[depth++] = left ? root(list, from + k, to) : root(list, from, from + k);
            (from, to) = left ? (from, from + k) : (from + k, to);
        }
        return _reversed(down, depth);
    }

    function _reversed(bytes32[] memory list, uint256 count) private pure returns (bytes32[] memory back) {
        back = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            back[i] = list[count - 1 - i];
        }
    }

    // A tree whose leaves are all the same has only 64 different perfect subtrees, so that it can be followed to any
    // size that fits 64 bits.

    function uniformLevels(bytes32 leafHash) internal pure returns (bytes32[64] memory level) {
        level[0] = leafHash;
        for (uint256 l = 1; l < 64; ++l) {
            level[l] = node(level[l - 1], level[l - 1]);
        }
    }

    function uniformRoot(bytes32[64] memory level, uint256 size) internal pure returns (bytes32) {
        uint256 l;
        while (2 ** (l + 1) <= size) ++l;
        if (size == 2 ** l) return level[l];
        return node(level[l], uniformRoot(level, size - 2 ** l));
    }

    function uniformPath(bytes32[64] memory level, uint256 index, uint256 size)
        internal
        pure
        returns (bytes32[] memory)
    {
        bytes32[] memory down = new bytes32[](64);
        uint256 depth;
        while (size > 1) {
            uint256 l;
            while (2 ** (l + 1) < size) ++l;
            bool left = index < 2 ** l;
            down[depth++] = left ? uniformRoot(level, size - 2 ** l) : level[l];
            (index, size) = left ? (index, 2 ** l) : (index - 2 ** l, size - 2 ** l);
        }
        return _reversed(down, depth);
    }

    function uniformCover(bytes32[64] memory level, uint256 from, uint256 to)
        internal
        pure
        returns (bytes32[] memory roots)
    {
        roots = new bytes32[](coverCount(from, to));
        for (uint256 i; from < to; ++i) {
            uint256 width = _width(from, to);
            uint256 l;
            while (2 ** l < width) ++l;
            roots[i] = level[l];
            from += width;
        }
    }

    function _width(uint256 from, uint256 to) private pure returns (uint256 width) {
        width = 1;
        while (from % (width * 2) == 0 && from + width * 2 <= to) width *= 2;
    }
}
