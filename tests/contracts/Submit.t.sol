// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CouncilTest, ICouncil} from "./support/CouncilTest.sol";
import {
    BombWallet,
    FixedAnswerWallet,
    GasEatingWallet,
    OwnedWallet,
    RevertingWallet
} from "./support/Wallets.sol";

contract SubmitTest is CouncilTest {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    // ------------------------------------------------------------------------------------------------- what counts

    function testFuzz_Submit_ByAnyone_CountsTheSignersVotes(address relay) public {
        ICouncil.Ballot[] memory ballots = _ballots(H, AGENT, ICouncil.Action.HALT, 0);
        bytes[] memory signatures = _signAll(ballots);
        vm.expectEmit(address(council));
        emit ICouncil.Voted(AGENT, ICouncil.Action.HALT, alice, 0, 1, 1, 1, H, REASON);
        vm.expectEmit(address(council));
        emit ICouncil.Voted(AGENT, ICouncil.Action.HALT, bob, 0, 1, 1, 2, H, REASON);
        vm.expectEmit(address(council));
        emit ICouncil.Halted(AGENT, 1, 0, 3, REASON);
        vm.prank(relay);
        vm.assertEq(council.submit(ballots, signatures), 2, "accepted");
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function testFuzz_Submit_TheDigestIsEip712(ICouncil.Ballot memory ballot, uint64 chain) public {
        chain = uint64(_bound(chain, 1, type(uint64).max - 1));
        vm.chainId(chain);
        vm.assertEq(council.ballotDigest(ballot), _digest(address(council), chain, ballot), "digest");
    }

    function test_Submit_BallotsAndDirectVotes_AreOneTally() public {
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.ALREADY_VOTED);
        ballot = _ballot(bob, AGENT, ICouncil.Action.HALT, 0);
        _submit(ballot, _sign(ballot));
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function testFuzz_Submit_EveryActionWorksByBallot(uint8 which) public {
        ICouncil.Action action = ICouncil.Action(_bound(which, 1, 9));
        if (action == ICouncil.Action.RESUME) _halt(AGENT);
        if (action == ICouncil.Action.VETO) _putInto(ICouncil.State.RESUMING);
        bytes32 agent = action == ICouncil.Action.REGISTER ? STRANGE : AGENT;
        if (action == ICouncil.Action.ROTATE) agent = FLEET;
        bytes32 param = action >= ICouncil.Action.REGISTER ? _word(NEW_OPERATOR) : bytes32(0);
        ICouncil.Ballot memory ballot = _ballot(dave, agent, action, param);
        vm.assertEq(_submit(ballot, _sign(ballot)), 1, "accepted");
    }

    function test_Submit_Nothing_AcceptsNothing() public {
        vm.assertEq(council.submit(new ICouncil.Ballot[](0), new bytes[](0)), 0, "accepted");
    }

    function testFuzz_Submit_WithAnotherNumberOfSignatures_Reverts(uint8 ballots, uint8 signatures) public {
        vm.assume(ballots != signatures);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.LengthMismatch.selector, ballots, signatures));
        council.submit(new ICouncil.Ballot[](ballots), new bytes[](signatures));
    }

    function testFuzz_Submit_OfAnActionThatDoesNotExist_IsRefused(uint8 action) public {
        vm.assume(action == 0 || action > 9);
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.PAUSE, 0);
        ballot.action = action;
        _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.UNKNOWN_ACTION);
    }

    // ------------------------------------------------------------------------------------------------------- times

    /// @dev The trio at a ballot's deadline.
    function testFuzz_Submit_ABallotHolds_BeforeItsDeadlineAndNotAtIt(bool stop) public {
        ICouncil.Action action = stop ? ICouncil.Action.HALT : ICouncil.Action.REARM;
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, action, 0);
        bytes memory signature = _sign(ballot);
        uint256 before = vm.snapshotState();
        vm.warp(ballot.deadline - 1);
        vm.assertEq(_submit(ballot, signature), 1, "accepted before");
        vm.revertToState(before);
        vm.warp(ballot.deadline);
        _submitRefused(ballot, signature, ICouncil.Refusal.EXPIRED);
        vm.warp(ballot.deadline + 1);
        _submitRefused(ballot, signature, ICouncil.Refusal.EXPIRED);
    }

    function testFuzz_Submit_OnlyStops_MayBeSignedFarAhead(uint8 which, uint64 ahead) public {
        ICouncil.Action action = ICouncil.Action(_bound(which, 1, 9));
        bool stop = action == ICouncil.Action.HALT || action == ICouncil.Action.PAUSE || action == ICouncil.Action.VETO;
        if (action == ICouncil.Action.VETO) _putInto(ICouncil.State.RESUMING);
        ICouncil.Ballot memory ballot = _ballot(dave, AGENT, action, 0);
        ballot.deadline = uint64(_bound(ahead, _now() + 1 days + 1, type(uint64).max));
        bytes memory signature = _sign(ballot);
        if (stop) vm.assertEq(_submit(ballot, signature), 1, "a stop");
        else _submitRefused(ballot, signature, ICouncil.Refusal.DEADLINE_TOO_FAR);
    }

    function test_Submit_AResume_MayBeSignedOneDayAhead_AndNoSecondMore() public {
        _halt(AGENT);
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.RESUME, 0);
        ballot.deadline = uint64(_now() + 1 days + 1);
        bytes memory signature = _sign(ballot);
        _submitRefused(ballot, signature, ICouncil.Refusal.DEADLINE_TOO_FAR);
        _skip(1);
        vm.assertEq(_submit(ballot, signature), 1, "at one day");
    }

    // ------------------------------------------------------------------------------------------- replay and forgery

    function test_Submit_TheHaltsBallots_CountNeitherWhileResumingNorAfter() public {
        ICouncil.Ballot[] memory ballots = _ballots(5, AGENT, ICouncil.Action.HALT, 0);
        for (uint256 i; i < 5; ++i) {
            ballots[i].deadline = type(uint64).max;
        }
        bytes[] memory signatures = _signAll(ballots);
        vm.assertEq(council.submit(ballots, signatures), 5, "accepted");
        vm.assertEq(council.submit(ballots, signatures), 5, "moot, but true");
        _resume(AGENT);
        vm.assertEq(council.submit(ballots, signatures), 0, "replayed while resuming");
        _assertState(AGENT, ICouncil.State.RESUMING);
        _skip(DELAY);
        council.finishResume(AGENT);
        vm.assertEq(council.submit(ballots, signatures), 0, "replayed after the resume");
        _submitRefused(ballots[0], signatures[0], ICouncil.Refusal.WRONG_EPOCH);
        vm.assertTrue(council.mayRun(AGENT), "stopped by a replay");
    }

    function test_Submit_TheResumesBallots_DoNotServeTheNextResume() public {
        _halt(AGENT);
        ICouncil.Ballot[] memory ballots = _ballots(R, AGENT, ICouncil.Action.RESUME, 0);
        bytes[] memory signatures = _signAll(ballots);
        council.submit(ballots, signatures);
        _veto(dave, AGENT, 0);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.BallotRefused.selector, 0, ICouncil.Refusal.WRONG_EPOCH));
        council.submit(ballots, signatures);
    }

    function testFuzz_Submit_WithAnyFieldChangedAfterSigning_IsNoVote(uint8 field, uint64 by) public {
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        ballot.deadline = uint64(_now() + 1 days);
        bytes memory signature = _sign(ballot);
        by = uint64(_bound(by, 1, 1000));
        ICouncil.Refusal why = ICouncil.Refusal.BAD_SIGNATURE;
        field = field % 6;
        if (field == 0) ballot.agent = FLEET;
        if (field == 1) ballot.action = uint8(ICouncil.Action.RETIRE);
        if (field == 2) ballot.param = bytes32(uint256(by));
        if (field == 3) ballot.signer = bob;
        if (field == 4) ballot.deadline += by;
        if (field == 5) ballot.reason = bytes32(uint256(by));
        _submitRefused(ballot, signature, why);
    }

    function testFuzz_Submit_ForAnotherEpochOrSet_IsNoVote(uint64 epoch, uint32 set) public {
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        if (epoch != 1) {
            ballot.epoch = epoch;
            _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.WRONG_EPOCH);
        }
        if (set != 1) {
            ballot.setVersion = set;
            _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.WRONG_SET);
        }
    }

    function testFuzz_Submit_ByNoSigner_IsNoVote(uint256 key) public {
        key = _keyOfNoSigner(key);
        ICouncil.Ballot memory ballot = _ballot(vm.addr(key), AGENT, ICouncil.Action.HALT, 0);
        bytes memory signature = _signFor(address(council), vm.getChainId(), key, ballot);
        _submitRefused(ballot, signature, ICouncil.Refusal.NOT_A_SIGNER);
    }

    function testFuzz_Submit_SignedByAnotherKey_IsNoVote(uint256 key) public {
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        key = _keyOfNoSigner(key);
        _submitRefused(
            ballot, _signFor(address(council), vm.getChainId(), key, ballot), ICouncil.Refusal.BAD_SIGNATURE
        );
    }

    function _keyOfNoSigner(uint256 key) private view returns (uint256) {
        key = _bound(key, 1, CURVE_ORDER - 1);
        for (uint256 i; i < signers.length; ++i) {
            vm.assume(vm.addr(key) != signers[i]); // the fuzzer also tries words that it has seen
        }
        return key;
    }

    function testFuzz_Submit_OfNoise_IsNoVote(bytes memory noise) public {
        _submitRefused(
            _ballot(alice, AGENT, ICouncil.Action.HALT, 0), noise, ICouncil.Refusal.BAD_SIGNATURE
        );
    }

    function test_Submit_OfTheOtherFormsOfASignature_IsNoVote() public {
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keyOf[alice], council.ballotDigest(ballot));
        bytes32 high = bytes32(CURVE_ORDER - uint256(s));
        bytes32 compact = bytes32((uint256(v - 27) << 255) | uint256(s));
        _submitRefused(ballot, abi.encodePacked(r, high, uint8(55 - v)), ICouncil.Refusal.BAD_SIGNATURE);
        _submitRefused(ballot, abi.encodePacked(r, s, v - 27), ICouncil.Refusal.BAD_SIGNATURE);
        _submitRefused(ballot, abi.encodePacked(r, compact), ICouncil.Refusal.BAD_SIGNATURE);
        _submitRefused(ballot, abi.encodePacked(r, s, v, hex"00"), ICouncil.Refusal.BAD_SIGNATURE);
        vm.assertEq(_submit(ballot, abi.encodePacked(r, s, v)), 1, "the one form");
    }

    function testFuzz_Submit_ForAnotherCouncil_IsNoVote(address other) public {
        vm.assume(other != address(council));
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        _submitRefused(
            ballot, _signFor(other, vm.getChainId(), keyOf[alice], ballot), ICouncil.Refusal.BAD_SIGNATURE
        );
    }

    /// @dev A chain id that was cached at construction would let a fork's ballots count on both sides.
    function testFuzz_Submit_AfterAFork_OnlyTheNewChainsBallotsCount(uint64 chain) public {
        uint256 old = vm.getChainId();
        chain = uint64(_bound(chain, 1, type(uint64).max - 1));
        vm.assume(chain != old);
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        vm.chainId(chain);
        _submitRefused(ballot, _signFor(address(council), old, keyOf[alice], ballot), ICouncil.Refusal.BAD_SIGNATURE);
        vm.assertEq(_submit(ballot, _sign(ballot)), 1, "the fork's own");
    }

    // ----------------------------------------------------------------------------------------------------- batches

    function testFuzz_Submit_ABatchOfHalts_SkipsTheBadAndGoesOn(uint8 bad) public {
        ICouncil.Ballot[] memory ballots = _ballots(3, AGENT, ICouncil.Action.HALT, 0);
        bytes[] memory signatures = _signAll(ballots);
        bad = bad % 3;
        signatures[bad] = signatures[(bad + 1) % 3];
        vm.expectEmit(address(council));
        emit ICouncil.BallotSkipped(bad, ballots[bad].signer, ICouncil.Refusal.BAD_SIGNATURE);
        vm.assertEq(council.submit(ballots, signatures), 2, "accepted");
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_Submit_ABatchOfHalts_CountsADoubleSignerOnce() public {
        ICouncil.Ballot[] memory ballots = _ballots(2, AGENT, ICouncil.Action.HALT, 0);
        ballots[1] = ballots[0];
        vm.expectEmit(address(council));
        emit ICouncil.BallotSkipped(1, alice, ICouncil.Refusal.ALREADY_VOTED);
        vm.assertEq(council.submit(ballots, _signAll(ballots)), 1, "accepted");
        _assertState(AGENT, ICouncil.State.RUNNING);
    }

    function test_Submit_ABatchOfResumes_WithADoubleSigner_IsRefusedWhole() public {
        _halt(AGENT);
        ICouncil.Ballot[] memory ballots = _ballots(3, AGENT, ICouncil.Action.RESUME, 0);
        ballots[2] = ballots[1];
        bytes[] memory signatures = _signAll(ballots);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.BallotRefused.selector, 2, ICouncil.Refusal.ALREADY_VOTED));
        council.submit(ballots, signatures);
        vm.assertEq(_snapshot(AGENT).resumeVotes, 0, "resume votes");
    }

    function testFuzz_Submit_AMixedBatch_IsAllOrNothing(uint8 bad, uint8 odd) public {
        ICouncil.Ballot[] memory ballots = _ballots(3, AGENT, ICouncil.Action.HALT, 0);
        (bad, odd) = (bad % 3, odd % 3);
        vm.assume(bad != odd);
        ballots[odd] = _ballot(signers[odd], FLEET, ICouncil.Action.PAUSE, 0);
        bytes[] memory signatures = _signAll(ballots);
        signatures[bad] = "";
        vm.expectRevert(
            abi.encodeWithSelector(ICouncil.BallotRefused.selector, bad, ICouncil.Refusal.BAD_SIGNATURE)
        );
        council.submit(ballots, signatures);
        _assertState(AGENT, ICouncil.State.RUNNING);
        vm.assertEq(_snapshot(AGENT).haltVotes, 0, "halt votes");
    }

    function test_Submit_AMixedBatch_WithoutABadOne_Counts() public {
        ICouncil.Ballot[] memory ballots = _ballots(3, AGENT, ICouncil.Action.HALT, 0);
        ballots[0] = _ballot(carol, FLEET, ICouncil.Action.PAUSE, 0);
        ballots[2] = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        vm.assertEq(council.submit(ballots, _signAll(ballots)), 3, "accepted");
        _assertState(FLEET, ICouncil.State.PAUSED);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_Submit_HaltsOfSeveralAgents_GoInOneBatch() public {
        ICouncil.Ballot[] memory ballots = _ballots(4, AGENT, ICouncil.Action.HALT, 0);
        ballots[2] = _ballot(alice, FLEET, ICouncil.Action.HALT, 0);
        ballots[3] = _ballot(erin, FLEET, ICouncil.Action.HALT, 0);
        vm.assertEq(council.submit(ballots, _signAll(ballots)), 4, "accepted");
        _assertState(AGENT, ICouncil.State.HALTED);
        _assertState(FLEET, ICouncil.State.HALTED);
    }

    function test_Submit_AMootHalt_MustBeTrueAllTheSame() public {
        _halt(AGENT);
        ICouncil.Ballot memory ballot = _ballot(carol, AGENT, ICouncil.Action.HALT, 0);
        _submitRefused(ballot, _sign(_ballot(dave, AGENT, ICouncil.Action.HALT, 0)), ICouncil.Refusal.BAD_SIGNATURE);
        vm.assertEq(_submit(ballot, _sign(ballot)), 1, "true and moot");
    }

    function test_Submit_HaltsOfTheRetired_AreSkipped() public {
        _retire(AGENT);
        ICouncil.Ballot memory ballot = _ballot(carol, AGENT, ICouncil.Action.HALT, 0);
        _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.WRONG_STATE);
        ballot.agent = STRANGE;
        ballot.epoch = 0;
        _submitRefused(ballot, _sign(ballot), ICouncil.Refusal.UNKNOWN_AGENT);
    }

    // ---------------------------------------------------------------------------------- accounts that are contracts

    function test_Submit_AWallet_VotesByErc1271() public {
        OwnedWallet wallet = new OwnedWallet(mallory);
        _withWallet(address(wallet));
        ICouncil.Ballot memory ballot = _ballot(address(wallet), AGENT, ICouncil.Action.HALT, 0);
        bytes memory byOwner = _signFor(address(council), vm.getChainId(), keyOf[mallory], ballot);
        _submitRefused(
            ballot, _signFor(address(council), vm.getChainId(), keyOf[dave], ballot), ICouncil.Refusal.BAD_SIGNATURE
        );
        vm.assertEq(_submit(ballot, byOwner), 1, "by its owner");
        _vote(alice, AGENT, ICouncil.Action.HALT, 0);
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_Submit_AWallet_MayVoteItself() public {
        _withWallet(address(new OwnedWallet(mallory)));
        _vote(signers[4], AGENT, ICouncil.Action.HALT, 0);
        vm.assertEq(_snapshot(AGENT).haltVotes, 1, "halt votes");
    }

    function test_Submit_AWalletThatChangesItsMind_IsAskedEachTime() public {
        OwnedWallet wallet = new OwnedWallet(mallory);
        _withWallet(address(wallet));
        ICouncil.Ballot memory ballot = _ballot(address(wallet), AGENT, ICouncil.Action.HALT, 0);
        bytes memory signature = _signFor(address(council), vm.getChainId(), keyOf[mallory], ballot);
        wallet.setOpen(false);
        _submitRefused(ballot, signature, ICouncil.Refusal.BAD_SIGNATURE);
        wallet.setOpen(true);
        vm.assertEq(_submit(ballot, signature), 1, "open again");
    }

    function test_Submit_ExactlyTheAcceptingWord_Counts() public {
        _assertAnswer(abi.encode(bytes4(0x1626ba7e)), true);
    }

    function testFuzz_Submit_AnyOtherWord_IsNoVote(bytes32 word) public {
        vm.assume(word != bytes32(bytes4(0x1626ba7e)));
        _assertAnswer(abi.encode(word), false);
    }

    function testFuzz_Submit_TheAcceptingWordWithATail_IsNoVote(uint224 tail) public {
        _assertAnswer(abi.encode((uint256(0x1626ba7e) << 224) | (tail == 0 ? 1 : tail)), false);
    }

    function testFuzz_Submit_TheAcceptingWordInAnotherLength_IsNoVote(uint8 length) public {
        vm.assume(length != 32);
        bytes memory answer = new bytes(length);
        bytes4 magic = 0x1626ba7e;
        for (uint256 i; i < 4 && i < length; ++i) {
            answer[i] = magic[i];
        }
        _assertAnswer(answer, false);
    }

    function _assertAnswer(bytes memory answer, bool counts) private {
        _withWallet(address(new FixedAnswerWallet(answer)));
        ICouncil.Ballot memory ballot = _ballot(signers[4], AGENT, ICouncil.Action.HALT, 0);
        if (counts) vm.assertEq(_submit(ballot, ""), 1, "accepted");
        else _submitRefused(ballot, "", ICouncil.Refusal.BAD_SIGNATURE);
    }

    function test_Submit_AWalletThatReverts_IsSkipped() public {
        _assertHaltGoesOnWith(address(new RevertingWallet()));
    }

    function test_Submit_AWalletThatEatsGas_IsSkipped() public {
        _assertHaltGoesOnWith(address(new GasEatingWallet()));
    }

    function test_Submit_AWalletThatReturnsABomb_IsSkipped() public {
        _assertHaltGoesOnWith(address(new BombWallet()));
    }

    /// @dev The bad wallet is asked first, and the whole batch gets 600,000 gas.
    function _assertHaltGoesOnWith(address wallet) private {
        _withWallet(wallet);
        ICouncil.Ballot[] memory ballots = _ballots(3, AGENT, ICouncil.Action.HALT, 0);
        ballots[0] = _ballot(wallet, AGENT, ICouncil.Action.HALT, 0);
        ballots[2] = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        bytes[] memory signatures = _signAll3(ballots);
        vm.expectEmit(address(council));
        emit ICouncil.BallotSkipped(0, wallet, ICouncil.Refusal.BAD_SIGNATURE);
        vm.assertEq(council.submit{gas: 600_000}(ballots, signatures), 2, "accepted");
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    /// @dev The first has no key; the others sign.
    function _signAll3(ICouncil.Ballot[] memory ballots) private view returns (bytes[] memory signatures) {
        signatures = new bytes[](3);
        (signatures[1], signatures[2]) = (_sign(ballots[1]), _sign(ballots[2]));
    }

    /// @dev An account under EIP-7702 has code, and its key still signs; the code may be anything.
    function test_Submit_AnAccountWithCode_StillVotesByItsKey() public {
        vm.etch(alice, address(new RevertingWallet()).code);
        vm.etch(bob, abi.encodePacked(hex"ef0100", address(new GasEatingWallet())));
        ICouncil.Ballot[] memory ballots = _ballots(2, AGENT, ICouncil.Action.HALT, 0);
        vm.assertEq(council.submit{gas: 400_000}(ballots, _signAll(ballots)), 2, "accepted");
        _assertState(AGENT, ICouncil.State.HALTED);
    }

    function test_Submit_AnAccountWithCode_AlsoVotesByItsCode() public {
        vm.etch(alice, abi.encodePacked(hex"ef0100", address(new FixedAnswerWallet(""))));
        ICouncil.Ballot memory ballot = _ballot(alice, AGENT, ICouncil.Action.HALT, 0);
        _submitRefused(ballot, "", ICouncil.Refusal.BAD_SIGNATURE);
        vm.etch(alice, abi.encodePacked(hex"ef0100", address(new OwnedWallet(mallory))));
        // storage is alice's own, so the delegate's `open` is false there until she opens it
        OwnedWallet(alice).setOpen(true);
        vm.assertEq(
            _submit(ballot, _signFor(address(council), vm.getChainId(), keyOf[mallory], ballot)), 1, "by its code"
        );
    }
}
