// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICouncil} from "./support/CouncilTest.sol";
import {Heads} from "./support/Heads.sol";
import {ReferenceTree} from "./support/ReferenceTree.sol";
import {Vm} from "./support/Vm.sol";
import {FixedAnswerWallet, GasEatingWallet, OwnedWallet} from "./support/Wallets.sol";

contract ProveForkTest is Heads {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    bytes32 private constant SECOND = keccak256("agent-2");

    function setUp() public override {
        super.setUp();
        council = _deploy(signers, _thresholds(), _timing());
        _register(AGENT, oscar);
    }

    // ------------------------------------------------------------------------------------------------ what proves it

    function testFuzz_ProveFork_TwoRootsOfOneSize_ByAnyone_HaltWithoutAVote(
        address relay,
        uint64 size,
        bytes32 one,
        bytes32 other
    ) public {
        vm.assume(one != other);
        _grow(oscar, 3);
        ICouncil.SignedHead memory a = _signed(size, one);
        ICouncil.SignedHead memory b = _signed(size, other);
        vm.expectEmit(address(council));
        emit ICouncil.ForkProven(oscar, size, one, size, other);
        vm.expectEmit(address(council));
        emit ICouncil.Halted(AGENT, 1, 3, 0, FORK_PROOF);
        vm.prank(relay);
        council.proveFork(oscar, _one(AGENT), a, b, none, none);
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.assertFalse(council.mayRun(AGENT), "runs");
        vm.assertEq(_snapshot(AGENT).haltedSize, 3, "halted size");
    }

    /// @dev The newer head's tree, opened by leaves or by ranges, begins otherwise than the older head says.
    function testFuzz_ProveFork_ANewerHeadOfAnotherHistory_Halts(uint8 a, uint8 b, bytes32 lie, bool ranges) public {
        (uint256 old, uint256 size) = _sizes(a, b);
        bytes32[] memory leaves = ReferenceTree.leaves(7, size);
        vm.assume(lie != ReferenceTree.root(leaves, 0, old));
        council.proveFork(
            oscar,
            _one(AGENT),
            _signed(uint64(old), lie),
            _signed(uint64(size), ReferenceTree.root(leaves, 0, size)),
            ReferenceTree.cover(leaves, 0, old),
            ranges ? ReferenceTree.cover(leaves, old, size) : ReferenceTree.slice(leaves, old, size)
        );
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function testFuzz_ProveFork_AnOlderHeadAgainstTheChains_Halts(uint8 by, bytes32 lie) public {
        bytes32[] memory leaves = _anchor(40);
        uint256 old = uint256(by) % 41;
        vm.assume(lie != ReferenceTree.root(leaves, 0, old));
        bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, old);
        bytes32[] memory rest = ReferenceTree.slice(leaves, old, 40);
        council.proveFork(oscar, _one(AGENT), _signed(uint64(old), lie), _anchored(), frontier, rest);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function testFuzz_ProveFork_ANewerHeadAgainstTheChains_Halts(uint8 by, bool ranges) public {
        _anchor(20);
        uint256 size = 20 + uint256(by) % 60;
        bytes32[] memory others = ReferenceTree.leaves(99, size);
        council.proveFork(
            oscar,
            _one(AGENT),
            _anchored(),
            _signed(uint64(size), ReferenceTree.root(others, 0, size)),
            ReferenceTree.cover(others, 0, 20),
            ranges ? ReferenceTree.cover(others, 20, size) : ReferenceTree.slice(others, 20, size)
        );
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    /// @dev Sizes up to 2^64 - 1, in trees of equal leaves.
    function testFuzz_ProveFork_HoldsAtAnySize(bytes32 leaf, uint64 old, uint64 size, uint8 shift, bool honest) public {
        old >>= shift % 64;
        size >>= (shift / 4) % 64;
        if (old > size) (old, size) = (size, old);
        vm.assume(old > 0 && old < size);
        bytes32[64] memory level = ReferenceTree.uniformLevels(leaf);
        bytes32 root = ReferenceTree.uniformRoot(level, old);
        ICouncil.SignedHead memory older = _signed(old, honest ? root : ~root);
        ICouncil.SignedHead memory newer = _signed(size, ReferenceTree.uniformRoot(level, size));
        bytes32[] memory frontier = ReferenceTree.uniformCover(level, 0, old);
        bytes32[] memory nodes = ReferenceTree.uniformCover(level, old, size);
        if (honest) vm.expectRevert(ICouncil.NoFork.selector);
        council.proveFork(oscar, _one(AGENT), older, newer, frontier, nodes);
        _assertState(AGENT, honest ? ICouncil.State.RUNNING : ICouncil.State.HALTED);
    }

    /// @dev The empty tree has one root; an operator that signed another lied, also to a chain that holds nothing of it.
    function test_ProveFork_OfSizeZero() public {
        bytes32 empty = sha256("");
        bytes32[] memory leaves = ReferenceTree.leaves(1, 3);
        ICouncil.SignedHead memory three = _signed(3, ReferenceTree.root(leaves, 0, 3));
        _refusedFork(_signed(0, empty), three, none, leaves, ICouncil.NoFork.selector);
        _refusedFork(_anchored(), three, none, leaves, ICouncil.NoFork.selector);
        _refusedFork(_signed(0, empty), _anchored(), none, none, ICouncil.NoFork.selector);
        uint256 before = vm.snapshotState();
        council.proveFork(oscar, _one(AGENT), _signed(0, REASON), three, none, leaves);
        _assertState(AGENT, ICouncil.State.HALTED);
        vm.revertToState(before);
        council.proveFork(oscar, _one(AGENT), _signed(0, REASON), _anchored(), none, none);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    // ------------------------------------------------------------------------------------------ what proves nothing

    function testFuzz_ProveFork_OfAnHonestOperator_IsRefused(uint8 a, uint8 b, bool ranges, uint8 which) public {
        (uint256 old, uint256 size) = _sizes(a, b);
        bytes32[] memory leaves = ReferenceTree.leaves(1, size);
        if (which % 3 == 1 && old > 0) _anchor(old);
        if (which % 3 == 2) _anchor(size);
        ICouncil.SignedHead memory older = _signed(uint64(old), ReferenceTree.root(leaves, 0, old));
        ICouncil.SignedHead memory newer = _signed(uint64(size), ReferenceTree.root(leaves, 0, size));
        if (which % 3 == 1) older = _anchored();
        if (which % 3 == 2) newer = _anchored();
        bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, old);
        bytes32[] memory nodes =
            ranges ? ReferenceTree.cover(leaves, old, size) : ReferenceTree.slice(leaves, old, size);
        _refusedFork(older, newer, frontier, nodes, ICouncil.NoFork.selector);
    }

    /// @dev Whatever frontier and nodes are made up over two honest heads: none halts.
    function testFuzz_ProveFork_OfAnHonestOperator_WithAnyOpening_NeverHalts(
        uint8 a,
        uint8 b,
        bytes32[] memory noise,
        uint8 where,
        uint8 bit
    ) public {
        (uint256 old, uint256 size) = _sizes(a, b);
        bytes32[] memory leaves = ReferenceTree.leaves(1, size);
        ICouncil.SignedHead memory older = _signed(uint64(old), ReferenceTree.root(leaves, 0, old));
        ICouncil.SignedHead memory newer = _signed(uint64(size), ReferenceTree.root(leaves, 0, size));
        bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, old);
        bytes32[] memory nodes = ReferenceTree.cover(leaves, old, size);
        if (where % 4 == 0 && old > 0) frontier[where % frontier.length] ^= bytes32(uint256(1) << bit);
        if (where % 4 == 1) nodes[where % nodes.length] ^= bytes32(uint256(1) << bit);
        if (where % 4 == 2) frontier = noise;
        if (where % 4 == 3) nodes = noise;
        try council.proveFork(oscar, _one(AGENT), older, newer, frontier, nodes) {
            vm.assertTrue(false, "an honest operator's heads were taken for a fork");
        } catch {}
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function testFuzz_ProveFork_OfAHeadWithItself_OrOfTheChainsAlone_IsRefused(uint64 size, bytes32 root) public {
        ICouncil.SignedHead memory head = _signed(size, root);
        _refusedFork(head, head, none, none, ICouncil.NoFork.selector);
        _refusedFork(_anchored(), _anchored(), none, none, ICouncil.NoFork.selector);
        _anchor(5);
        _refusedFork(_anchored(), _anchored(), none, none, ICouncil.NoFork.selector);
    }

    function testFuzz_ProveFork_WithTheLargerHeadFirst_IsRefused(uint64 size, uint64 larger, bytes32 a, bytes32 b)
        public
    {
        vm.assume(size < larger);
        _refusedFork(_signed(larger, a), _signed(size, b), none, none, ICouncil.NoFork.selector);
    }

    /// @dev A lie, but the newer head is not opened: its root may hold the older one for all that is shown.
    function test_ProveFork_ThatOpensAnotherRoot_IsRefused() public {
        bytes32[] memory leaves = ReferenceTree.leaves(1, 8);
        bytes32 root = ReferenceTree.root(leaves, 0, 8);
        bytes32[] memory frontier = ReferenceTree.cover(leaves, 0, 5);
        bytes32[] memory nodes = ReferenceTree.slice(leaves, 5, 8);
        nodes[2] = REASON;
        vm.expectRevert(abi.encodeWithSelector(ICouncil.WrongFrontier.selector, 8, root));
        council.proveFork(oscar, _one(AGENT), _signed(5, REASON), _signed(8, root), frontier, nodes);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.WrongFrontier.selector, 5, REASON));
        council.proveFork(oscar, _one(AGENT), _signed(5, REASON), _signed(8, root), none, nodes);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.WrongNodeCount.selector, 2, 0));
        council.proveFork(oscar, _one(AGENT), _signed(5, REASON), _signed(8, root), frontier, none);
    }

    // ------------------------------------------------------------------------------------ without the operator's key

    /// @dev The most important one: who has nothing that the operator signed halts nothing, whatever he sends.
    function testFuzz_ProveFork_ByWhoHasNoSignedHead_NeverHalts(
        ICouncil.SignedHead memory older,
        ICouncil.SignedHead memory newer,
        bytes32[] memory frontier,
        bytes32[] memory nodes,
        uint8 twist
    ) public {
        if (twist & 1 != 0) _anchor(1 + twist % 30);
        if (twist & 2 != 0) older.signature = "";
        if (twist & 4 != 0) newer.signature = "";
        if (twist & 8 != 0) newer.size = older.size;
        if (twist & 16 != 0) newer = _signedBy(mallory, newer.size, newer.root);
        if (twist & 32 != 0) older = _signedBy(mallory, older.size, older.root);
        if (twist & 64 != 0) (frontier, nodes) = (none, none);
        try council.proveFork(oscar, _one(AGENT), older, newer, frontier, nodes) {
            vm.assertTrue(false, "taken for a proof");
        } catch {}
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    /// @dev A fork that is true but for whose name is on it: only one head signed, and the other by another hand.
    function testFuzz_ProveFork_WithOneHeadByAnotherHand_IsRefused(uint64 size, bytes32 a, bytes32 b, bool first) public {
        ICouncil.SignedHead memory mine = _signed(size, a);
        ICouncil.SignedHead memory theirs = _signedBy(mallory, size, b);
        (ICouncil.SignedHead memory older, ICouncil.SignedHead memory newer) = first ? (mine, theirs) : (theirs, mine);
        _refusedBy(older, newer);
    }

    function testFuzz_ProveFork_WithHeadsOfAnotherCouncilOrChain_IsRefused(address verifier, uint64 chain) public {
        chain = uint64(_bound(chain, 1, type(uint64).max - 1));
        vm.assume(verifier != address(council) || chain != vm.getChainId());
        bytes memory one = _signHead(keyOf[oscar], _headDigest(verifier, chain, 4, REASON));
        bytes memory two = _signHead(keyOf[oscar], _headDigest(verifier, chain, 4, 0));
        _refusedBy(_head(4, REASON, one), _head(4, 0, two));
    }

    function testFuzz_ProveFork_OfAMendedSignature_IsRefused(uint64 size, bytes32 a, bytes32 b, uint8 cut) public {
        vm.assume(a != b);
        ICouncil.SignedHead memory good = _signed(size, a);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keyOf[oscar], _headDigest(address(council), vm.getChainId(), size, b));
        bytes memory high = abi.encodePacked(r, bytes32(CURVE_ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        _refusedBy(good, _head(size, b, high));
        bytes memory short = new bytes(1 + cut % 64);
        for (uint256 i; i < short.length; ++i) {
            short[i] = high[i];
        }
        _refusedBy(good, _head(size, b, short));
        _refusedBy(good, _head(size, b, abi.encodePacked(r, s, v, bytes1(0))));
    }

    function test_ProveFork_OfNobody_IsRefused() public {
        ICouncil.SignedHead memory a = _head(1, REASON, new bytes(65));
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSignedBy.selector, address(0)));
        council.proveFork(address(0), _one(FLEET), a, _anchored(), none, none);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSignedBy.selector, address(0)));
        council.proveFork(address(0), _one(STRANGE), _anchored(), a, none, none);
    }

    // ------------------------------------------------------------------------------------------ operators with code

    function test_ProveFork_OfAWalletThatAccepts_Halts_AndOfOneThatDoesNot_IsRefused() public {
        OwnedWallet wallet = new OwnedWallet(oscar);
        _register(SECOND, address(wallet));
        (ICouncil.SignedHead memory a, ICouncil.SignedHead memory b) = _fork(4);
        wallet.setOpen(false);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSignedBy.selector, address(wallet)));
        council.proveFork(address(wallet), _one(SECOND), a, b, none, none);
        wallet.setOpen(true);
        council.proveFork(address(wallet), _one(SECOND), a, b, none, none);
        _assertState(SECOND, ICouncil.State.HALTED);
    }

    function test_ProveFork_OfAWalletThatEatsGas_IsRefused_AndCostsNoMoreThanTheCap() public {
        address wallet = address(new GasEatingWallet());
        _register(SECOND, wallet);
        (ICouncil.SignedHead memory a, ICouncil.SignedHead memory b) = _fork(4);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSignedBy.selector, wallet));
        council.proveFork{gas: 300_000}(wallet, _one(SECOND), a, b, none, none);
        _assertState(SECOND, ICouncil.State.RUNNING);
    }

    function testFuzz_ProveFork_OfAWalletWithAnyOtherAnswer_IsRefused(bytes memory answer) public {
        vm.assume(answer.length != 32 || bytes32(answer) != bytes32(bytes4(0x1626ba7e)));
        address wallet = address(new FixedAnswerWallet(answer));
        _register(SECOND, wallet);
        (ICouncil.SignedHead memory a, ICouncil.SignedHead memory b) = _fork(4);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSignedBy.selector, wallet));
        council.proveFork(wallet, _one(SECOND), a, b, none, none);
    }

    // ------------------------------------------------------------------------------------------------- which agents

    function test_ProveFork_HaltsAllThatAreNamed_AndNoOther() public {
        _register(SECOND, oscar);
        _register(STRANGE, oscar);
        bytes32[] memory two = new bytes32[](3);
        (two[0], two[1], two[2]) = (SECOND, AGENT, SECOND); // one twice: no matter
        _prove(two);
        _assertState(AGENT, ICouncil.State.HALTED);
        _assertState(SECOND, ICouncil.State.HALTED);
        _assertState(STRANGE, ICouncil.State.RUNNING);
        _assertState(FLEET, ICouncil.State.RUNNING);
    }

    function test_ProveFork_OfNoAgent_PutsItOnRecord_AndHaltsNothing() public {
        _prove(none);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function testFuzz_ProveFork_ThatNamesAnothersAgent_IsRefusedWhole(bytes32 id, uint8 which) public {
        _register(SECOND, OPERATOR);
        if (which % 4 == 0) id = SECOND;
        if (which % 4 == 1) id = FLEET;
        vm.assume(id != AGENT);
        bytes32[] memory two = new bytes32[](2);
        (two[0], two[1]) = (AGENT, id);
        (ICouncil.SignedHead memory a, ICouncil.SignedHead memory b) = _fork(4);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotOperatorOf.selector, id, oscar));
        council.proveFork(oscar, two, a, b, none, none);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    // ---------------------------------------------------------------------------------------------- states and votes

    function testFuzz_ProveFork_FromEveryState_StopsAndStartsNothing(uint8 which) public {
        ICouncil.State state = ICouncil.State(_bound(which, 1, 6));
        _putInto(state);
        uint64 epoch = _epoch(AGENT);
        _prove(_one(AGENT));
        bool retired = state == ICouncil.State.RETIRED;
        _assertState(AGENT, retired ? ICouncil.State.RETIRED : ICouncil.State.HALTED);
        vm.assertEq(_epoch(AGENT), epoch, "epoch");
    }

    function test_ProveFork_OfAHaltedAgent_IsOnRecord_AndChangesNothing() public {
        _halt(AGENT);
        _grow(oscar, 2);
        bytes32 before = keccak256(abi.encode(_snapshot(AGENT)));
        vm.recordLogs();
        _prove(_one(AGENT));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 1, "events");
        vm.assertEq(logs[0].topics[0], ICouncil.ForkProven.selector, "event");
        vm.assertEq(keccak256(abi.encode(_snapshot(AGENT))), before, "snapshot");
    }

    /// @dev The trios at the ends of a pause, of a lease and of its grace.
    function testFuzz_ProveFork_BeforeAtAndAfterAnEnd_Halts(uint8 which, uint8 when) public {
        uint256[3] memory ends = [uint256(PAUSE), LEASE, uint256(LEASE) + GRACE];
        _pause(alice, AGENT);
        _skip(ends[which % 3] + when % 3 - 1);
        _prove(_one(AGENT));
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    /// @dev The trio at a resume's end: whether it is finished or not, the proof stops it.
    function test_ProveFork_BeforeAtAndAfterAResumesEnd_Halts() public {
        _putInto(ICouncil.State.RESUMING);
        for (uint256 i; i < 3; ++i) {
            uint256 before = vm.snapshotState();
            _skip(DELAY - 1 + i);
            if (i > 0) council.finishResume(AGENT);
            _prove(_one(AGENT));
            _assertState(AGENT, ICouncil.State.HALTED);
            vm.expectRevert(ICouncil.NotScheduled.selector);
            council.finishResume(AGENT);
            vm.revertToState(before);
        }
    }

    function test_ProveFork_LeavesOpenVotes_AndNoneOfThemResumesIt() public {
        _skip(LEASE + GRACE);
        _decide(R - 1, AGENT, ICouncil.Action.RESUME, bytes32(uint256(1))); // to undo the lapse
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _prove(_one(AGENT));
        _refused(carol, AGENT, ICouncil.Action.RESUME, bytes32(uint256(1)), ICouncil.Refusal.WRONG_PARAM);
        _vote(carol, AGENT, ICouncil.Action.RESUME, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
        (uint8 standing,,) = council.votes(AGENT, ICouncil.Action.HALT, 0);
        vm.assertEq(standing, 1, "halt votes");
        _vote(bob, AGENT, ICouncil.Action.HALT, 0); // moot, and no revert
    }

    function test_ProveFork_NeedsRAndTheDelayToUndo_AndHaltsAgainAfterIt() public {
        _prove(_one(AGENT));
        for (uint256 i; i < 2; ++i) {
            _resume(AGENT);
            _skip(DELAY);
            council.finishResume(AGENT);
            _assertState(AGENT, ICouncil.State.RUNNING);
            _prove(_one(AGENT));
            _assertState(AGENT, ICouncil.State.HALTED);
        }
    }

    function test_ProveFork_OfAFormerOperator_IsRefused_AndOfOneThatCameBack_IsNot() public {
        _prove(_one(AGENT));
        _changeOperator(NEW_OPERATOR);
        (ICouncil.SignedHead memory a, ICouncil.SignedHead memory b) = _fork(4);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotOperatorOf.selector, AGENT, oscar));
        council.proveFork(oscar, _one(AGENT), a, b, none, none);
        _resume(AGENT);
        _skip(DELAY);
        council.finishResume(AGENT);
        _changeOperator(oscar);
        _prove(_one(AGENT));
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_ProveFork_LeavesAScheduledChangeOfOperator() public {
        _setOperator(_word(NEW_OPERATOR));
        _prove(_one(AGENT));
        _skip(DELAY);
        council.finishOperator(AGENT, _word(NEW_OPERATOR));
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function testFuzz_ProveFork_WritesOneSlotOfTheAgent(bool anchored) public {
        if (anchored) _anchor(9);
        (ICouncil.SignedHead memory a, ICouncil.SignedHead memory b) = _fork(4);
        vm.record();
        council.proveFork(oscar, _one(AGENT), a, b, none, none);
        (, bytes32[] memory writes) = vm.accesses(address(council));
        for (uint256 i; i < writes.length; ++i) {
            vm.assertEq(writes[i], keccak256(abi.encode(AGENT, 2)), "slot");
        }
    }

    // ------------------------------------------------------------------------------------------------- small things

    function _fork(uint64 size) private view returns (ICouncil.SignedHead memory, ICouncil.SignedHead memory) {
        return (_signed(size, keccak256("told to one")), _signed(size, keccak256("told to another")));
    }

    function _prove(bytes32[] memory agents) private {
        (ICouncil.SignedHead memory a, ICouncil.SignedHead memory b) = _fork(4);
        council.proveFork(oscar, agents, a, b, none, none);
    }

    function _refusedFork(
        ICouncil.SignedHead memory older,
        ICouncil.SignedHead memory newer,
        bytes32[] memory frontier,
        bytes32[] memory nodes,
        bytes4 why
    ) private {
        vm.expectRevert(why);
        council.proveFork(oscar, _one(AGENT), older, newer, frontier, nodes);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function _refusedBy(ICouncil.SignedHead memory older, ICouncil.SignedHead memory newer) private {
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotSignedBy.selector, oscar));
        council.proveFork(oscar, _one(AGENT), older, newer, none, none);
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function _changeOperator(address next) private {
        bytes32 param = bytes32(uint256(uint160(next)) | (uint256(_epoch(AGENT)) << 160));
        _setOperator(param);
        _skip(DELAY);
        council.finishOperator(AGENT, param);
    }

    function _sizes(uint8 a, uint8 b) private pure returns (uint256 old, uint256 size) {
        old = uint256(a) % 50;
        size = old + 1 + uint256(b) % 60;
    }

    /// @dev Puts the first `size` leaves of the tree with seed 1 on chain, as oscar's.
    function _anchor(uint256 size) private returns (bytes32[] memory leaves) {
        leaves = ReferenceTree.leaves(1, size);
        vm.prank(oscar);
        council.extend(uint64(size), none, leaves);
    }
}
