// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Tally: who voted on one question, and when
/// @notice Lanes of 40 bits, six to a word. Lane 0 tells whether the question is decided, lane i when signer i (counted
/// from 1) voted last, so that a council of five counts a vote in one slot.
/// @dev Questions of different epochs and sets have different tallies: nothing is ever reset, and nothing carried over.
/// A vote stands if it was cast after `since`.
library Tally {
    /// @dev Lane 0 of a change that was carried out or vetoed.
    uint40 internal constant CLOSED = type(uint40).max;

    uint256 private constant LANES = 6;
    uint256 private constant LANE_BITS = 40;

    /// @notice 0 while the question is open, CLOSED, or the second at which a change was scheduled.
    function decidedAt(uint256[11] storage words) internal view returns (uint40) {
        return uint40(words[0]);
    }

    /// @notice Sets lane 0.
    function decide(uint256[11] storage words, uint40 time) internal {
        words[0] = (words[0] >> LANE_BITS << LANE_BITS) | time;
    }

    /// @notice Notes signer `index`'s vote and returns whose votes stand then; 0 if the vote before it still stands.
    function cast(uint256[11] storage words, uint256 index, uint256 signers, uint256 since) internal returns (uint64) {
        unchecked {
            (uint256 word, uint256 shift) = (words[index / LANES], (index % LANES) * LANE_BITS);
            uint256 before = (word >> shift) & CLOSED;
            if (before > since) return 0;
            words[index / LANES] = word ^ ((before ^ uint40(block.timestamp)) << shift);
        }
        return standing(words, signers, since);
    }

    /// @notice Whose votes stand among signers 1 to `signers`: bit i - 1 for signer i.
    function standing(uint256[11] storage words, uint256 signers, uint256 since) internal view returns (uint64) {
        unchecked {
            uint256 voters;
            for (uint256 w; w <= signers / LANES; ++w) {
                uint256 word = words[w];
                for (uint256 lane = w * LANES; word != 0; ++lane) {
                    if (word & CLOSED > since) voters |= 1 << lane;
                    word >>= LANE_BITS;
                }
            }
            return uint64(voters >> 1); // without lane 0
        }
    }
}
