// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Bits: how many bits are set
library Bits {
    /// @dev Takes away the lowest bit until none is left (Kernighan).
    function count(uint256 value) internal pure returns (uint8 ones) {
        unchecked {
            for (; value != 0; ++ones) {
                value &= value - 1;
            }
        }
    }
}
