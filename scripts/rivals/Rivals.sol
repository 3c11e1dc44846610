// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleTree} from "@openzeppelin/contracts/utils/structs/MerkleTree.sol";

/// @title Rivals: how actions are otherwise put on chain, each in its plainest form
/// @notice For `scripts/bench_gas.py` and nothing else: what a log on chain costs if it is not done by ranges. No access
/// control, no events that the way itself does not need.
contract PushedTree {
    using MerkleTree for MerkleTree.Bytes32PushTree;

    MerkleTree.Bytes32PushTree private tree;
    bytes32 public root;

    /// @dev OpenZeppelin's tree for a million leaves, hashed as it comes: keccak256, the children in order of size.
    constructor() {
        root = tree.setup(20, bytes32(0));
    }

    function push(bytes32 leaf) external {
        (, root) = tree.push(leaf);
    }
}

/// @notice One struct of four words for each action, in an array.
contract PushedStructs {
    struct Action {
        bytes32 agent;
        bytes32 digest;
        uint256 time;
        address operator;
    }

    Action[] public actions;

    function push(bytes32 agent, bytes32 digest) external {
        actions.push(Action(agent, digest, block.timestamp, msg.sender));
    }
}
