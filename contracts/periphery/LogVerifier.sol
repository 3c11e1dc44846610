// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICouncil} from "../interfaces/ICouncil.sol";

/// @title LogVerifier: is this entry in the log whose head a council holds?
/// @notice Verifies inclusion proofs (RFC 6962, 2.1.1; RFC 9162, 2.1.3) against the anchored head of an operator. It has
/// no state and no owner, serves every council of its chain, and changes nothing: other contracts may ask it, and whoever
/// doubts a proof in a report can have the chain itself say yes.
/// @dev Returns only for a proof that holds; in every other case it reverts with one of its errors. Trusts the council
/// that it is given for the head (a caller that was handed the address must know it for a council), and SHA-256.
/// Periphery: the core never imports it.
contract LogVerifier {
    /// @notice What stands at the address answers no `headOf`.
    error NoCouncil(address council);
    /// @notice Entries are counted from 0; the log has only `size` of them.
    error NotInLog(uint64 index, uint64 size);
    error WrongProofLength(uint256 expected, uint256 given);
    /// @notice The proof leads to `found`, and the head is `root`.
    error WrongRoot(bytes32 root, bytes32 found);

    /// @notice Verifies that `entry`, the raw bytes, is entry `index` of the operator's anchored log.
    /// @return size of the head that it was verified against
    /// @return root of that head
    function verifyEntry(
        address council,
        address operator,
        uint64 index,
        bytes calldata entry,
        bytes32[] calldata proof
    ) external view returns (uint64 size, bytes32 root) {
        return verifyLeaf(council, operator, index, sha256(abi.encodePacked(bytes1(0x00), entry)), proof);
    }

    /// @notice Verifies that `leaf` is the leaf hash of entry `index` of the operator's anchored log.
    /// @dev A leaf hash says nothing of the entry behind it: who holds the entry's bytes should ask `verifyEntry`.
    /// @param leaf SHA-256(0x00 || entry)
    /// @param proof sibling hashes, the lowest first
    function verifyLeaf(address council, address operator, uint64 index, bytes32 leaf, bytes32[] calldata proof)
        public
        view
        returns (uint64 size, bytes32 root)
    {
        (size, root) = _headOf(council, operator);
        bytes32 found = rootOf(size, index, leaf, proof);
        if (found != root) revert WrongRoot(root, found);
    }

    /// @notice The root of a log of `size` entries in which `leaf` is entry `index` and `proof` its path: for heads that
    /// stand elsewhere than in a council.
    function rootOf(uint64 size, uint64 index, bytes32 leaf, bytes32[] calldata proof)
        public
        pure
        returns (bytes32 root)
    {
        if (index >= size) revert NotInLog(index, size);
        uint256 expected = _pathLength(size, index);
        if (proof.length != expected) revert WrongProofLength(expected, proof.length);
        root = leaf;
        (uint256 node, uint256 last, uint256 i) = (index, size - 1, 0); // both at their level, from the left
        for (; last != 0; (node, last) = (node >> 1, last >> 1)) {
            if (node & 1 == 1) root = _parent(proof[i++], root);
            else if (node != last) root = _parent(root, proof[i++]);
            // else it is the last and has no sibling: it goes up as it is
        }
    }

    /// @dev Levels at which the node above the entry has a sibling.
    function _pathLength(uint256 size, uint256 node) private pure returns (uint256 length) {
        for (uint256 last = size - 1; last != 0; (node, last) = (node >> 1, last >> 1)) {
            if (node & 1 == 1 || node != last) ++length;
        }
    }

    function _parent(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @dev Called by hand, so that an address without the function is named instead of a bare revert.
    function _headOf(address council, address operator) private view returns (uint64, bytes32) {
        (bool ok, bytes memory answer) = council.staticcall(abi.encodeCall(ICouncil.headOf, (operator)));
        if (!ok || answer.length != 96) revert NoCouncil(council);
        (uint256 size, bytes32 root,) = abi.decode(answer, (uint256, bytes32, uint256));
        if (size > type(uint64).max) revert NoCouncil(council);
        return (uint64(size), root);
    }
}
