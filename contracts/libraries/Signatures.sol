// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Signatures: did this signer sign this digest?
/// @notice ECDSA first, then ERC-1271. In this order an account that EIP-7702 gave code keeps its ordinary signature.
/// @dev A signer's code is not trusted: it is called without the right to write, with at most `GAS_CAP` gas, and one
/// word is read of whatever it returns. It can refuse its own vote and can do nothing else.
library Signatures {
    /// @dev Enough for a Safe of some fifteen owners; a larger one calls `vote` itself.
    uint256 internal constant GAS_CAP = 150_000;

    /// @notice The transaction carries too little gas to ask a contract signer.
    /// @dev Refusing would be wrong: a relayer's tight gas limit (or `eth_estimateGas`, which looks for the least gas
    /// that does not revert) would turn a true ballot into a skipped one.
    error TooLittleGas();

    /// @notice Whether `signature` is `signer`'s on `digest`.
    function isValid(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        (address recovered, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (failure == ECDSA.RecoverError.NoError && recovered == signer) return true;
        return signer.code.length != 0 && _accepts(signer, digest, signature);
    }

    /// @dev True only for an answer of exactly 32 bytes that hold the magic value and zeros (ERC-1271).
    function _accepts(address signer, bytes32 digest, bytes calldata signature) private view returns (bool accepted) {
        bytes memory question = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        // A call gets at most 63/64 of the gas that is left (EIP-150); the margin pays for making the call.
        if (gasleft() < (GAS_CAP * 64) / 63 + 5_000) revert TooLittleGas();
        bytes32 magic = IERC1271.isValidSignature.selector;
        assembly ("memory-safe") {
            accepted := staticcall(GAS_CAP, signer, add(question, 32), mload(question), 0, 32)
            accepted := and(accepted, and(eq(returndatasize(), 32), eq(mload(0), magic)))
        }
    }
}
