// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICouncil} from "./CouncilTest.sol";
import {Heads} from "./Heads.sol";
import {Vm} from "./Vm.sol";

/// @notice Plays everyone at once against one council: signers past, present and future, strangers, an operator that
/// forks its log and those who accuse it rightly or wrongly, and the clock. It
/// writes down each vote that was taken and holds every change that it sees against what those votes allow. What is
/// broken is noted under the number of the invariant (contract.md's list) and never reverts, so that it cannot be lost.
contract CouncilHandler is Heads {
    bytes32 private constant SECOND = keccak256("agent-2");
    bytes32[3] private ids = [FLEET, AGENT, SECOND];
    address[8] private pool;

    mapping(uint256 invariant_ => string) public broken;
    mapping(bytes32 question => mapping(address voter => uint256)) private votedAt;
    mapping(bytes32 id => bool) private retired;
    mapping(bytes32 id => uint256) private readyAt;
    mapping(bytes32 id => uint32) private readySet;

    /// @dev What the last call was, and how things stood before it.
    ICouncil.Snapshot[3] private before;
    uint32 private setBefore;
    address[] private signersBefore;
    ICouncil.Thresholds private needBefore;
    bytes4 private called;
    bytes32 private calledOn;
    address private caller;

    address[] private next;
    ICouncil.Thresholds private nextNeed;
    uint256 private salt;
    bytes32 private operatorParam;
    bool private proven; // the last call held a true fork proof against oscar

    constructor() {
        setUp();
        pool = [alice, bob, carol, dave, erin, _person("frank"), _person("grace"), _person("heidi")];
        for (uint256 i; i < R; ++i) {
            for (uint256 a; a < 2; ++a) {
                bytes32 id = a == 0 ? AGENT : SECOND;
                bytes32 param = _word(a == 0 ? OPERATOR : oscar);
                votedAt[_question(id, ICouncil.Action.REGISTER, param, 0, 1)][signers[i]] = START;
            }
        }
        _register(SECOND, oscar);
    }

    function theCouncil() external view returns (ICouncil) {
        return council;
    }

    function idAt(uint256 i) public view returns (bytes32) {
        return ids[i % 3];
    }

    function selectors() external pure returns (bytes4[] memory list) {
        list = new bytes4[](10);
        list[0] = this.vote.selector;
        list[1] = this.submitOne.selector;
        list[2] = this.submitHalts.selector;
        list[3] = this.decide.selector;
        list[4] = this.finish.selector;
        list[5] = this.renew.selector;
        list[6] = this.rotate.selector;
        list[7] = this.wait.selector;
        list[8] = this.turn.selector;
        list[9] = this.accuse.selector;
    }

    // ------------------------------------------------------------------------------------------------------- moves

    function vote(uint8 who, uint8 agent, uint8 action, uint8 twist) external {
        ICouncil.Action what = ICouncil.Action(_bound(action, 1, 9));
        bytes32 id = idAt(agent);
        uint64 epoch = _epoch(id);
        if (twist % 8 == 1) epoch -= 1;
        _castDirect(pool[who % 8], id, what, _param(id, what, twist), epoch);
    }

    function submitOne(uint8 who, uint8 agent, uint8 action, uint8 twist) external {
        ICouncil.Action what = ICouncil.Action(_bound(action, 1, 9));
        bytes32 id = idAt(agent);
        ICouncil.Ballot memory ballot = _ballot(pool[who % 8], id, what, _param(id, what, twist));
        if (twist % 8 == 1) ballot.epoch -= 1;
        if (twist % 8 == 2) ballot.setVersion -= 1;
        if (twist % 8 == 3) ballot.deadline = uint64(_now());
        bytes memory signature = _sign(ballot);
        if (twist % 8 == 4) ballot.signer = pool[(uint256(who) + 1) % 8];
        bool good = twist % 8 == 0 || twist % 8 > 4;
        _look(council.submit.selector, id, ballot.signer);
        (ICouncil.Ballot[] memory ballots, bytes[] memory signatures) = _single(ballot, signature);
        try council.submit(ballots, signatures) returns (uint256 accepted) {
            if (accepted == 1) _taken(id, what, ballot.param, ballot.signer, good);
        } catch {}
        _judge();
    }

    /// @dev A batch of halts by any of the pool, the same one maybe twice.
    function submitHalts(uint8 agent, uint8 mask, uint8 twice) external {
        bytes32 id = idAt(agent);
        ICouncil.Ballot[] memory ballots = new ICouncil.Ballot[](9);
        bytes[] memory signatures = new bytes[](9);
        _look(council.submit.selector, id, address(0));
        (uint256 moot,) = (uint256(council.stateOf(id)), 0);
        for (uint256 i; i < 9; ++i) {
            address who = pool[i < 8 ? i : twice % 8];
            ballots[i] = _ballot(who, id, ICouncil.Action.HALT, 0);
            bool signs = i == 8 || mask & (1 << i) != 0;
            if (!signs) continue;
            signatures[i] = _sign(ballots[i]);
            bool alive = moot != uint256(ICouncil.State.HALTED) && moot != uint256(ICouncil.State.RETIRED);
            if (alive && _isSigner(who)) _note(id, who);
        }
        try council.submit(ballots, signatures) {}
        catch {
            _check(3, false, "a batch of halts reverted");
        }
        _judge();
    }

    /// @dev As many present signers as it takes, beginning at any of them; to retire is rare, or there'd be no more.
    function decide(uint8 agent, uint8 action, uint8 first) external {
        ICouncil.Action what = ICouncil.Action(_bound(action, 1, 8));
        if (what == ICouncil.Action.RETIRE && action > 16) what = ICouncil.Action.HALT;
        _decideNow(idAt(agent), what, first);
    }

    /// @dev One to three steps along the way from a halt back to running, whichever is due.
    function turn(uint8 agent, uint8 first, uint8 by) external {
        for (uint256 i; i <= by / 86; ++i) {
            _step(agent, first, by);
        }
    }

    function _step(uint8 agent, uint8 first, uint8 by) private {
        bytes32 id = idAt(agent);
        ICouncil.State state = council.stateOf(id);
        if (state == ICouncil.State.HALTED || state == ICouncil.State.LAPSED) {
            _decideNow(id, ICouncil.Action.RESUME, first);
        } else if (state == ICouncil.State.RESUMING) {
            _skip(by % 4 == 0 ? DELAY - 1 : DELAY);
            finish(agent, false);
        } else {
            _decideNow(id, by % 4 == 0 ? ICouncil.Action.SET_OPERATOR : ICouncil.Action.HALT, first);
        }
    }

    function _decideNow(bytes32 id, ICouncil.Action what, uint8 first) private {
        bytes32 param = _param(id, what, 0);
        uint64 epoch = _epoch(id);
        (address[] memory who,,,) = council.council();
        (, uint8 needed,) = council.votes(id, what, param);
        for (uint256 i; i < needed; ++i) {
            _castDirect(who[(first + i) % who.length], id, what, param, epoch);
        }
        if (what == ICouncil.Action.SET_OPERATOR) operatorParam = param;
    }

    function finish(uint8 agent, bool change) public {
        bytes32 id = idAt(agent);
        _look(council.finishResume.selector, id, address(this));
        if (change) {
            called = council.finishOperator.selector;
            try council.finishOperator(id, operatorParam) {} catch {}
        } else {
            try council.finishResume(id) {} catch {}
        }
        _judge();
    }

    function renew(uint8 who, uint8 agent) external {
        bytes32 id = idAt(agent);
        _look(council.renew.selector, id, pool[who % 8]);
        vm.prank(caller);
        try council.renew(id) {} catch {}
        _judge();
    }

    /// @dev Proposes any council from the pool, fit or not, and, after a wait, tries to put it into force.
    function rotate(uint256 seed, uint8 first, bool late) external {
        _propose(seed);
        bytes32 param = keccak256(abi.encode(next, nextNeed, bytes32(salt)));
        (address[] memory who, ICouncil.Thresholds memory need,,) = council.council();
        uint64 epoch = _epoch(FLEET);
        for (uint256 i; i < need.resume; ++i) {
            _castDirect(who[(first + i) % who.length], FLEET, ICouncil.Action.ROTATE, param, epoch);
        }
        if (late) _skip(DELAY);
        _look(council.finishRotation.selector, FLEET, address(this));
        try council.finishRotation(next, nextNeed, bytes32(salt)) {
            _check(6, late, "rotated without a delay");
        } catch {}
        _judge();
    }

    /// @dev To the second before, at or after some expiry of an agent, if it lies ahead; else some while.
    function wait(uint8 which, uint8 agent, uint8 by) external {
        uint256 i = agent % 3;
        for (uint256 k; k < 3 && council.stateOf(idAt(i)) != ICouncil.State.PAUSED; ++k) {
            ++i; // a pause is soon over, so it comes first
        }
        uint256 until = _end(_snapshot(idAt(i)), which % 6) + by % 3;
        vm.warp(until > _now() + 1 ? until - 1 : _now() + uint256(by) * 600);
        _look(this.wait.selector, FLEET, address(0));
        _judge();
    }

    /// @dev Anyone accuses oscar of a fork: three times of eight with the heads to show for it.
    function accuse(uint8 agent, uint8 twist, uint64 size, bytes32 root, bytes memory noise) external {
        bytes32 id = idAt(agent);
        ICouncil.SignedHead[2] memory heads = _accusation(twist % 8, size, root, noise);
        _look(council.proveFork.selector, id, address(this));
        proven = twist % 8 < 3;
        bool owed = proven && before[_indexOf(id)].operator == oscar;
        try council.proveFork(oscar, _one(id), heads[0], heads[1], none, none) {
            _check(13, owed, "taken for a fork proof");
        } catch {
            _check(13, !owed, "a true fork proof was refused");
        }
        ICouncil.State state = council.stateOf(id);
        bool stopped = state == ICouncil.State.HALTED || state == ICouncil.State.RETIRED;
        _check(13, !owed || stopped, "a true fork proof did not halt");
        _judge();
    }

    // ----------------------------------------------------------------------------------------------------- behind it

    function _accusation(uint8 twist, uint64 size, bytes32 root, bytes memory noise)
        private
        view
        returns (ICouncil.SignedHead[2] memory heads)
    {
        bytes memory elsewhere = _signHead(keyOf[oscar], _headDigest(address(this), vm.getChainId(), size, ~root));
        heads = [_signed(size, root), _signed(size, ~root)];
        if (twist == 2) heads = [_signed(0, root), _anchored()]; // oscar has nothing on chain
        if (twist == 3) heads[1] = _signedBy(mallory, size, ~root);
        if (twist == 4) heads = [_anchored(), _anchored()];
        if (twist == 5) heads = [_head(size, root, noise), _head(size, ~root, noise)];
        if (twist == 6) heads[1] = heads[0];
        if (twist == 7) heads[1] = _head(size, ~root, elsewhere);
    }

    function _end(ICouncil.Snapshot memory s, uint256 which) private view returns (uint256) {
        if (which % 2 == 0 && s.pausedUntil > _now()) return s.pausedUntil;
        if (which == 1) return s.leaseUntil;
        if (which == 2) return s.leaseUntil + uint256(GRACE);
        if (which == 3) return s.resumeReadyAt;
        return _now() + (which == 4 ? WINDOW : DELAY);
    }

    function _castDirect(address who, bytes32 id, ICouncil.Action what, bytes32 param, uint64 epoch) private {
        _look(council.vote.selector, id, who);
        bool good = epoch == _epoch(id);
        vm.prank(who);
        try council.vote(id, what, param, epoch, REASON) {
            _taken(id, what, param, who, good);
        } catch {}
        _judge();
    }

    function _param(bytes32 id, ICouncil.Action what, uint8 twist) private view returns (bytes32) {
        if (twist % 16 == 15) return bytes32(uint256(twist));
        if (what == ICouncil.Action.PAUSE || what == ICouncil.Action.REARM) return _arms(id);
        if (what == ICouncil.Action.VETO) {
            return council.stateOf(id) == ICouncil.State.RESUMING ? bytes32(0) : operatorParam;
        }
        if (what == ICouncil.Action.SET_OPERATOR) {
            return _word(_now() % 3 == 0 ? oscar : address(uint160(0xabc000 + _now() % 4096)));
        }
        if (what >= ICouncil.Action.REGISTER) return _word(OPERATOR);
        return what == ICouncil.Action.RESUME ? _undoing(id) : bytes32(0);
    }

    function _propose(uint256 seed) private {
        delete next;
        uint256 start = seed % 8;
        uint256 n = 1 + (seed >> 8) % 8;
        for (uint256 i; i < n; ++i) {
            next.push(pool[(start + i) % 8]);
        }
        uint8 r = uint8(1 + (seed >> 16) % n);
        uint8 h = uint8(1 + (seed >> 24) % n);
        if ((seed >> 32) % 4 != 0) h = uint8(1 + (seed >> 24) % (r <= n - r + 1 ? r : n - r + 1));
        nextNeed = ICouncil.Thresholds(h, r, uint8(r + (seed >> 40) % (n - r + 1)));
        ++salt;
    }

    function _look(bytes4 call_, bytes32 id, address who) private {
        (called, calledOn, caller) = (call_, id, who);
        ICouncil.Snapshot[] memory all = _all();
        for (uint256 i; i < 3; ++i) {
            before[i] = all[i];
        }
        (signersBefore, needBefore,, setBefore) = council.council();
        vm.recordLogs();
    }

    function _all() private view returns (ICouncil.Snapshot[] memory) {
        bytes32[] memory list = new bytes32[](3);
        (list[0], list[1], list[2]) = (ids[0], ids[1], ids[2]);
        return council.snapshot(list);
    }

    /// @dev A vote was taken: by someone who may, for this epoch and set, and it is written down.
    function _taken(bytes32 id, ICouncil.Action what, bytes32 param, address who, bool good) private {
        _check(5, good, "a vote for another epoch, set or by another hand was taken");
        _check(5, _isSigner(who), "the vote of a non-signer was taken");
        ICouncil.Snapshot memory was = before[_indexOf(id)];
        if (what == ICouncil.Action.HALT && was.state == ICouncil.State.HALTED) return;
        votedAt[_question(id, what, param, was.epoch, setBefore)][who] = _now();
    }

    function _note(bytes32 id, address who) private {
        bytes32 key = _question(id, ICouncil.Action.HALT, 0, before[_indexOf(id)].epoch, setBefore);
        // after the quorum ballots are moot, and one that stands already is skipped
        if (_count(_bitmap(key, signersBefore)) < needBefore.halt && !_stands(votedAt[key][who])) {
            votedAt[key][who] = _now();
        }
    }

    // ------------------------------------------------------------------------------------------------------ judging

    function _judge() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        ICouncil.Snapshot[] memory all = _all();
        for (uint256 i; i < 3; ++i) {
            _judgeReading(all[i]);
            _judgeEpoch(before[i], all[i]);
            if (all[i].state != before[i].state) _judgeChange(before[i], all[i], logs);
            else if (all[i].pausedUntil > before[i].pausedUntil) _judgeEvent(all[i], logs, 0, 0);
            _judgeTallies(all[i]);
        }
        _judgeCouncil();
    }

    /// @dev 1, 8 and 11: what the views say now, against the clock and against each other.
    function _judgeReading(ICouncil.Snapshot memory s) private {
        if (s.state == ICouncil.State.RETIRED) retired[s.agent] = true;
        _check(1, !retired[s.agent] || s.state == ICouncil.State.RETIRED, "the retired came back");
        bool lapsed = s.leaseUntil != 0 && s.leaseUntil <= _now();
        bool paused = _now() < s.pausedUntil;
        if (s.state == ICouncil.State.RUNNING) _check(11, !lapsed && !paused, "runs beyond its lease or in a pause");
        if (s.state == ICouncil.State.PAUSED) _check(11, !lapsed && paused, "paused, but not now");
        if (s.state == ICouncil.State.LAPSED) _check(11, lapsed, "lapsed before its lease's end");
        _check(11, s.state == council.stateOf(s.agent), "two readings of one state");
        bool both = s.state == ICouncil.State.RUNNING && council.stateOf(FLEET) == ICouncil.State.RUNNING;
        _check(8, s.mayRun == both && council.mayRun(s.agent) == both, "may run, yet is not running");
    }

    /// @dev 5: an epoch rises by one, when a resume is decided or the operator changes, and at no other agent's.
    function _judgeEpoch(ICouncil.Snapshot memory a, ICouncil.Snapshot memory b) private {
        bool moved = a.operator != b.operator && a.operator != address(0);
        bool decided = b.state == ICouncil.State.RESUMING && a.state != ICouncil.State.RESUMING;
        bool registered = a.state == ICouncil.State.NONE && b.state == ICouncil.State.RUNNING;
        _check(5, b.epoch == a.epoch + (moved || decided || registered ? 1 : 0), "an epoch rose or stayed wrongly");
        bool finished = called == council.finishOperator.selector && calledOn == b.agent;
        _check(5, !moved || finished, "an operator changed by another call");
        _check(5, !moved || b.state != ICouncil.State.RESUMING, "a resume outlived its operator");
    }

    /// @dev 2, 10 and 12: a change within one second needs its votes, its delay, and its event.
    function _judgeChange(ICouncil.Snapshot memory a, ICouncil.Snapshot memory b, Vm.Log[] memory logs) private {
        ICouncil.State from = a.state;
        if (b.state == ICouncil.State.RUNNING) {
            if (from == ICouncil.State.RESUMING) {
                _check(2, called == council.finishResume.selector && calledOn == a.agent, "resumed by another call");
                _check(2, readyAt[a.agent] <= _now() && readySet[a.agent] == setBefore, "resumed too early, or void");
            } else {
                bool grace = from == ICouncil.State.LAPSED && called == council.renew.selector
                    && _now() < a.leaseUntil + GRACE && _isSigner(caller);
                _check(12, grace, "running by another way than a resume or a renewal in the grace");
            }
            _judgeEvent(b, logs, 0, 0);
        } else if (b.state == ICouncil.State.RESUMING) {
            bool past = from == ICouncil.State.LAPSED && a.leaseUntil + GRACE <= _now();
            _check(12, from == ICouncil.State.HALTED || past, "a resume of what is not stopped for good");
            (readyAt[a.agent], readySet[a.agent]) = (_now() + DELAY, setBefore);
            bytes32 param = bytes32(uint256(past ? 1 : 0));
            _judgeEvent(b, logs, _judgeQuorum(2, a, ICouncil.Action.RESUME, param, needBefore.resume), 2);
        } else if (b.state == ICouncil.State.RETIRED) {
            _judgeEvent(b, logs, _judgeQuorum(2, a, ICouncil.Action.RETIRE, 0, needBefore.retire), 1);
        } else if (b.state == ICouncil.State.HALTED && _set() == setBefore) {
            if (called == council.proveFork.selector) {
                _check(13, proven && calledOn == a.agent && a.operator == oscar, "halted without a fork");
                _judgeFork(b, logs);
            } else if (from == ICouncil.State.RESUMING && a.operator != b.operator) {
                _judgeEvent(b, logs, 0, 0); // that it was scheduled, `FinishOperator.t.sol` sees to
            } else if (from == ICouncil.State.RESUMING && b.vetoes > a.vetoes) {
                uint256 needed = a.vetoes < needBefore.halt ? a.vetoes + 1 : needBefore.halt;
                _judgeEvent(b, logs, _judgeQuorum(4, a, ICouncil.Action.VETO, 0, needed), 3);
            } else {
                _judgeEvent(b, logs, _judgeQuorum(4, a, ICouncil.Action.HALT, 0, needBefore.halt), 2);
            }
        }
    }

    function _judgeQuorum(
        uint256 number,
        ICouncil.Snapshot memory a,
        ICouncil.Action what,
        bytes32 param,
        uint256 needed
    ) private returns (uint64 voters) {
        voters = _bitmap(_question(a.agent, what, param, a.epoch, setBefore), signersBefore);
        _check(number, _count(voters) >= needed, "decided by too few");
    }

    /// @dev 10: some event of this call names the agent and its epoch, and, if `votersAt` is not 0, these voters in
    /// that word of its data, with the reason after it.
    function _judgeEvent(ICouncil.Snapshot memory b, Vm.Log[] memory logs, uint64 voters, uint256 votersAt) private {
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] == ICouncil.Voted.selector || logs[i].topics[1] != b.agent) continue;
            bytes32 kind = logs[i].topics[0];
            uint256 epochAt = kind == ICouncil.Vetoed.selector || kind == ICouncil.OperatorChanged.selector ? 1 : 0;
            if (_wordAt(logs[i].data, epochAt) != b.epoch) continue;
            if (votersAt == 0) return;
            bool who = _wordAt(logs[i].data, votersAt) == voters;
            if (who && bytes32(_wordAt(logs[i].data, votersAt + 1)) == REASON) return;
        }
        _check(10, false, "a change without an event of its epoch, voters and reason");
    }

    /// @dev 10 and 13: a halt that nobody voted for says so, and why.
    function _judgeFork(ICouncil.Snapshot memory b, Vm.Log[] memory logs) private {
        bool fork = logs.length == 2 && logs[0].topics[0] == ICouncil.ForkProven.selector
            && logs[0].topics[1] == _word(b.operator) && logs[1].topics[0] == ICouncil.Halted.selector
            && logs[1].topics[1] == b.agent;
        bytes memory expected = abi.encode(b.epoch, b.haltedSize, uint64(0), FORK_PROOF);
        _check(10, fork && keccak256(logs[1].data) == keccak256(expected), "a fork's halt without its events");
    }

    /// @dev 3 and 5: the votes that stand are the ones taken here, no more and no fewer; and enough of them halt.
    function _judgeTallies(ICouncil.Snapshot memory s) private {
        (address[] memory who, ICouncil.Thresholds memory need,, uint32 set) = council.council();
        for (uint256 k = 1; k <= 4; ++k) {
            ICouncil.Action what = ICouncil.Action(k == 4 ? uint256(ICouncil.Action.RESUME) : k);
            bytes32 param = bytes32(uint256(k == 4 ? 1 : 0)); // 4: to undo a lapse
            uint64 expected = _bitmap(_question(s.agent, what, param, s.epoch, set), who);
            (uint8 count,, uint64 voters) = council.votes(s.agent, what, param);
            _check(5, voters == expected && count == _count(expected), "votes stand that nobody cast, or are lost");
            bool enough = what == ICouncil.Action.HALT && _count(expected) >= need.halt;
            bool off = s.state == ICouncil.State.HALTED || s.state == ICouncil.State.RETIRED;
            _check(3, !enough || off, "a quorum stands and did not halt");
        }
    }

    /// @dev 6, and half of 5: the thresholds' rule, and the signers as they were announced.
    function _judgeCouncil() private {
        (address[] memory who, ICouncil.Thresholds memory t,, uint32 set) = council.council();
        bool rule = 1 <= t.halt && t.halt <= t.resume && t.resume <= t.retire && t.retire <= who.length
            && uint256(t.halt) + t.resume <= who.length + 1;
        _check(6, rule, "thresholds out of order");
        if (set == setBefore) {
            _check(5, keccak256(abi.encode(who)) == keccak256(abi.encode(signersBefore)), "signers without a new set");
        }
    }

    // ------------------------------------------------------------------------------------------------- small things

    function _check(uint256 number, bool holds, string memory why) private {
        if (!holds && bytes(broken[number]).length == 0) broken[number] = why;
    }

    function _question(bytes32 id, ICouncil.Action what, bytes32 param, uint64 epoch, uint32 set)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(id, what, param, epoch, set));
    }

    function _bitmap(bytes32 key, address[] memory who) private view returns (uint64 voters) {
        for (uint256 i; i < who.length; ++i) {
            if (_stands(votedAt[key][who[i]])) voters |= uint64(1 << i);
        }
    }

    function _stands(uint256 at) private view returns (bool) {
        return at != 0 && _now() < at + WINDOW;
    }

    function _count(uint64 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits >>= 1) {
            count += bits & 1;
        }
    }

    function _isSigner(address who) private view returns (bool) {
        for (uint256 i; i < signersBefore.length; ++i) {
            if (signersBefore[i] == who) return true;
        }
        return false;
    }

    function _indexOf(bytes32 id) private view returns (uint256) {
        return id == ids[0] ? 0 : id == ids[1] ? 1 : 2;
    }

    function _wordAt(bytes memory data, uint256 at) private pure returns (uint256 word) {
        if (data.length < 32 * (at + 1)) return type(uint256).max;
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), mul(at, 32)))
        }
    }
}
