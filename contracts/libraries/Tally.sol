// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Tally: until when each signer's vote on one question counts
/// @notice `uint40[66]`, with the six lanes of a word read at once: with an SLOAD for each lane, two ballots that halt
/// would pass their gas ceiling. Seats are counted from 0. Questions of different epochs and sets have different
/// tallies: nothing is ever reset, and nothing carried over.
library Tally {
    uint256 private constant LANES = 6; // in a word
    uint256 private constant LANE_BITS = 40;
    uint256 private constant LANE = type(uint40).max;

    /// @notice Lets the vote from `seat` count until `until`; false, and nothing, if the one before still counts.
    function cast(uint256[11] storage words, uint256 seat, uint40 until) internal returns (bool) {
        unchecked {
            (uint256 word, uint256 shift) = (words[seat / LANES], (seat % LANES) * LANE_BITS);
            uint256 before = (word >> shift) & LANE;
            if (block.timestamp < before) return false;
            words[seat / LANES] = word ^ ((before ^ until) << shift);
            return true;
        }
    }

    /// @notice Whose votes count now: bit i for seat i. Seats that nobody holds have none.
    function voters(uint256[11] storage words, uint256 seats) internal view returns (uint64 bitmap) {
        unchecked {
            for (uint256 first; first < seats; first += LANES) {
                uint256 word = words[first / LANES];
                for (uint256 seat = first; word != 0; ++seat) {
                    if (block.timestamp < word & LANE) bitmap |= uint64(1 << seat);
                    word >>= LANE_BITS;
                }
            }
        }
    }
}
