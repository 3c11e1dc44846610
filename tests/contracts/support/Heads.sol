// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./CouncilTest.sol";

/// @notice Heads of an operator's log, signed and not, as a fork proof takes them. EIP-712 is written out here once more.
abstract contract Heads is CouncilTest {
    bytes32 internal constant FORK_PROOF = keccak256("fork proof");
    bytes32[] internal none;

    address internal oscar = _person("oscar"); // an operator whose key the tests hold

    function _head(uint64 size, bytes32 root, bytes memory signature)
        internal
        pure
        returns (ICouncil.SignedHead memory)
    {
        return ICouncil.SignedHead(size, root, signature);
    }

    /// @dev The head that the chain holds: what stands in the other fields is not read.
    function _anchored() internal pure returns (ICouncil.SignedHead memory) {
        return _head(type(uint64).max, REASON, "");
    }

    function _signed(uint64 size, bytes32 root) internal view returns (ICouncil.SignedHead memory) {
        return _signedBy(oscar, size, root);
    }

    function _signedBy(address who, uint64 size, bytes32 root) internal view returns (ICouncil.SignedHead memory) {
        return _head(size, root, _signHead(keyOf[who], _headDigest(address(council), vm.getChainId(), size, root)));
    }

    function _signHead(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _headDigest(address verifier, uint256 chain, uint64 size, bytes32 root) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("agent_guard Council"),
                keccak256("1"),
                chain,
                verifier
            )
        );
        bytes32 message = keccak256(abi.encode(keccak256("Head(uint64 size,bytes32 root)"), size, root));
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }

    function _one(bytes32 agent) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = agent;
    }
}
