// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Tally: who voted on one question, and when
/// @notice Mark 0 says whether the question is decided; mark i says when signer i (counted from 1) voted last. Solidity
/// packs six marks into a slot, so a council of five counts a vote in one.
/// @dev Questions of different epochs and sets have different tallies: nothing is ever reset, and nothing carried over.
library Tally {
    /// @dev Mark 0 of a question that is decided for good, carried out, or vetoed.
    uint40 internal constant CLOSED = type(uint40).max;

    /// @notice Notes signer `index`'s vote; false if the vote before it still stands.
    /// @param window seconds a vote stands
    function mark(uint40[65] storage marks, uint256 index, uint256 window) internal returns (bool) {
        if (_stands(marks[index], window)) return false;
        marks[index] = uint40(block.timestamp);
        return true;
    }

    /// @notice Votes that stand now among signers 1 to `signers`.
    /// @return count how many
    /// @return voters bit i - 1 for signer i
    function standing(uint40[65] storage marks, uint256 signers, uint256 window)
        internal
        view
        returns (uint8 count, uint64 voters)
    {
        unchecked {
            for (uint256 i; i < signers; ++i) {
                if (_stands(marks[i + 1], window)) {
                    ++count;
                    voters |= uint64(1 << i);
                }
            }
        }
    }

    function _stands(uint40 at, uint256 window) private view returns (bool) {
        return at != 0 && block.timestamp < at + window;
    }
}
