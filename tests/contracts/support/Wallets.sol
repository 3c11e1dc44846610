// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Contracts that sign by ERC-1271, one good and the rest as others met them in audits. None is trusted.

/// @notice Accepts its owner's 65-byte ECDSA signature while it is `open`.
contract OwnedWallet {
    address public immutable owner;
    bool public open = true;

    constructor(address owner_) {
        owner = owner_;
    }

    function setOpen(bool open_) external {
        open = open_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bool good = open && signature.length == 65
            && ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64])) == owner;
        return good ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// @notice Answers every call with the same bytes.
contract FixedAnswerWallet {
    bytes public answer;

    constructor(bytes memory answer_) {
        answer = answer_;
    }

    fallback() external {
        bytes memory data = answer;
        assembly ("memory-safe") {
            return(add(data, 32), mload(data))
        }
    }
}

/// @notice Reverts with the accepting answer as its data.
contract RevertingWallet {
    fallback() external {
        assembly {
            mstore(0, shl(224, 0x1626ba7e))
            revert(0, 32)
        }
    }
}

/// @notice Accepts anything, but says no when it gets less than 145,000 gas, as a wallet does that catches its own
/// failures.
contract ThirstyWallet {
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return gasleft() < 145_000 ? bytes4(0xffffffff) : bytes4(0x1626ba7e);
    }
}

/// @notice Burns all the gas it gets.
contract GasEatingWallet {
    fallback() external {
        assembly {
            for {} 1 {} {}
        }
    }
}

/// @notice Returns 128 KiB that begin with the accepting answer: cheap for itself, dear for whoever copies it.
contract BombWallet {
    fallback() external {
        assembly {
            mstore(0, shl(224, 0x1626ba7e))
            return(0, 131072)
        }
    }
}
