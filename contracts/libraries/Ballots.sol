// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICouncil} from "../interfaces/ICouncil.sol";

/// @title Ballots: the two hashes of a ballot
/// @dev A ballot in memory is eight clean words, laid out as `abi.encode` would lay them out. Hashing them where they
/// are spares each ballot some 800 gas, without which two that halt would pass their gas ceiling.
library Ballots {
    bytes32 internal constant TYPEHASH = keccak256(
        "Ballot(bytes32 agent,uint8 action,bytes32 param,uint64 epoch,uint32 setVersion,address signer,uint64 deadline,bytes32 reason)"
    );

    /// @notice The EIP-712 hash of the struct: keccak256(abi.encode(TYPEHASH, ballot)).
    function structHash(ICouncil.Ballot memory ballot) internal pure returns (bytes32 hash) {
        bytes32 typehash = TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            mcopy(add(free, 32), ballot, 256)
            hash := keccak256(free, 288)
        }
    }

    /// @notice What is asked, whoever answers: keccak256(abi.encode(agent, action, param, epoch, setVersion)). A new
    /// epoch of the agent, or a new set, makes it another question.
    function question(ICouncil.Ballot memory ballot) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(ballot, 160)
        }
    }
}
