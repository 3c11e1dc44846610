// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICouncil} from "../interfaces/ICouncil.sol";

/// @title Rules: what must hold of a council's numbers, whenever they are set
library Rules {
    /// @notice Reverts unless 1 <= H <= R <= D <= n and H <= n - R + 1: those who could block a resume can always halt.
    function check(ICouncil.Thresholds memory t, uint256 n) internal pure {
        bool ordered = 1 <= t.halt && t.halt <= t.resume && t.resume <= t.retire && t.retire <= n;
        if (!ordered || uint256(t.halt) + t.resume > n + 1) revert ICouncil.InvalidThresholds();
    }

    /// @notice Reverts unless every span lies within the bounds that `ICouncil.Timing` names.
    function check(ICouncil.Timing memory t) internal pure {
        bool bounded = _within(t.pause, 1 seconds, 7 days) && _within(t.resumeDelay, 1 seconds, 30 days)
            && _within(t.ballotWindow, 1 minutes, 30 days) && _within(t.lease, 0, 365 days);
        if (!bounded || t.leaseGrace > t.lease) revert ICouncil.InvalidTiming();
    }

    function _within(uint256 span, uint256 least, uint256 most) private pure returns (bool) {
        return least <= span && span <= most;
    }
}
