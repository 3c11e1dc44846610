// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title ICouncil: the off-switch of a fleet of AI agents, and the heads of their logs
/// @notice A council of signers holds the switch. Halting is easy, resuming is hard, and what was never registered may
/// not run. Beside the switch the contract keeps, for every address that wants one, the head of an append-only log
/// (RFC 6962) and refuses any head that does not extend the one before.
/// @dev Agents are `bytes32` ids, keccak256 of the agent's name. Id 0 is the whole fleet: it exists from the
/// constructor on, has no operator and no lease, and an agent may run only while the fleet may.
///
/// Times are seconds of `block.timestamp`. Everything that expires at T holds while `block.timestamp < T` and no
/// longer at T; everything that becomes possible at T is possible from T on.
interface ICouncil {
    // ------------------------------------------------------------------------------------------------- vocabulary

    /// @notice What an agent is at this second. The only reading of an agent's slot; see `stateOf`.
    enum State {
        NONE, //      never registered
        RUNNING, //   may run, if the fleet is RUNNING too
        PAUSED, //    stopped by one signer until `pausedUntil`
        LAPSED, //    nobody renewed the lease
        HALTED, //    stopped by H signers until R of them resume it
        RESUMING, //  R signers want it back; waits for `resumeReadyAt`, can be vetoed
        RETIRED //    stopped for ever
    }

    /// @notice What signers vote on, with the votes each one needs and what `param` means there.
    enum Action {
        NONE, //          not an action
        HALT, //          H   param 0
        RESUME, //        R   param 0 to undo a halt (HALTED), 1 to undo a lapse (LAPSED, past its grace): to let a
        //                    lapsed agent run again is no vote to let it run after a halt
        RETIRE, //        D   param 0
        PAUSE, //         1   param `arms` of the agent; once per signer, agent, epoch, set and arming
        VETO, //          1, 2, .. at most H; param 0 against a resume, else the param of the scheduled change
        REARM, //         R   param `arms` of the agent; gives every signer its pause back
        REGISTER, //      R   param the operator's address
        SET_OPERATOR, //  R   param the operator's address (the 96 high bits are free, so that one that was vetoed can
        //                    be proposed again)
        ROTATE //         R   agent 0; param `rotationParam(...)`, whose salt is free for the same end
    }

    /// @notice Why a vote does not count.
    enum Refusal {
        NONE,
        NOT_A_SIGNER, //      not in the current set
        BAD_SIGNATURE, //     neither the signer's ECDSA signature nor accepted by its ERC-1271 code
        WRONG_SET, //         signed for another signer set
        WRONG_EPOCH, //       signed for another epoch of this agent
        EXPIRED, //           `block.timestamp` has reached the ballot's deadline
        DEADLINE_TOO_FAR, //  only stops (HALT, PAUSE, VETO) may be signed more than 24 h ahead
        UNKNOWN_ACTION, //    NONE, or beyond the last
        UNKNOWN_AGENT, //     never registered
        WRONG_STATE, //       the agent's state does not allow this action
        WRONG_PARAM, //       see Action
        ALREADY_VOTED, //     this signer's vote stands already (for PAUSE: is used up)
        ALREADY_DECIDED //    this very change is scheduled, or was vetoed in this epoch and set
    }

    /// @notice A signed vote, EIP-712, domain name "agent_guard Council", version "1".
    /// @param agent id, 0 for the fleet
    /// @param action as a number (uint8), see Action
    /// @param param see Action
    /// @param epoch the agent's epoch that the signer meant; it rises by one when a resume reaches its quorum and when
    /// the operator changes, and then every vote of the epoch before is void
    /// @param setVersion the signer set's version that the signer meant
    /// @param signer who signs: an account, or a contract that answers ERC-1271
    /// @param deadline unix seconds; the ballot holds before it
    /// @param reason keccak256 of the reason's text, or 0
    struct Ballot {
        bytes32 agent;
        uint8 action;
        bytes32 param;
        uint64 epoch;
        uint32 setVersion;
        address signer;
        uint64 deadline;
        bytes32 reason;
    }

    /// @notice A head of an operator's log as the operator vouches for it: EIP-712 `Head(uint64 size,bytes32 root)`, in
    /// the ballots' domain, so that it holds for one council on one chain. It has no deadline: a log only grows.
    /// @param size entries
    /// @param root RFC 6962 root over them
    /// @param signature the operator's: 65 bytes of ECDSA, or what its ERC-1271 code accepts. Empty: the head that the
    /// chain holds for the operator is meant, and `size` and `root` are not read
    struct SignedHead {
        uint64 size;
        bytes32 root;
        bytes signature;
    }

    /// @param halt H: votes to halt
    /// @param resume R: votes to resume, register, re-arm, change an operator or rotate
    /// @param retire D: votes to retire
    struct Thresholds {
        uint8 halt;
        uint8 resume;
        uint8 retire;
    }

    /// @param pause seconds a single signer's pause lasts: 1 second to 7 days
    /// @param resumeDelay seconds between a resume's (or change's) quorum and its effect: 1 second to 30 days
    /// @param ballotWindow seconds a vote counts after it was cast, and a scheduled change may be finished after its
    /// delay: 1 minute to 30 days
    /// @param lease seconds an agent may run without a renewal; 0 for no leases; at most 365 days
    /// @param leaseGrace seconds after a lapse in which one signer may still renew; at most `lease`
    struct Timing {
        uint40 pause;
        uint40 resumeDelay;
        uint40 ballotWindow;
        uint40 lease;
        uint40 leaseGrace;
    }

    /// @notice All that a guard needs to know of one agent, read in one call and so in one block.
    /// @param mayRun RUNNING, and the fleet RUNNING
    /// @param arms how often its pauses were re-armed (the param of PAUSE and REARM)
    /// @param vetoes standing vetoes since it last ran or changed; the next veto needs min(vetoes + 1, H) votes
    /// @param haltVotes votes to halt that count now, in this epoch and set
    /// @param resumeVotes votes to resume that count now: with param 1 if it is LAPSED, else with param 0
    /// @param size,root,anchoredAt head of the operator's log; root of size 0 is SHA-256 of nothing, anchoredAt then 0
    /// @param haltedSize size of its operator's log when the agent last became HALTED: by votes, by a veto, or by a
    /// change of operator in mid-resume (then the former operator's). After a rotation in mid-resume it is what it was
    struct Snapshot {
        bytes32 agent;
        State state;
        bool mayRun;
        uint64 epoch;
        uint16 arms;
        uint8 vetoes;
        uint8 haltVotes;
        uint8 resumeVotes;
        uint40 pausedUntil;
        uint40 leaseUntil;
        uint40 resumeReadyAt;
        address operator;
        uint64 size;
        bytes32 root;
        uint64 anchoredAt;
        uint64 haltedSize;
    }

    // ----------------------------------------------------------------------------------------------------- events
    // `voters` is a bitmap of the signers whose votes decided: bit i is signers[i] of `setVersion`. It is 0 only in a
    // `Halted` that came of a fork proof, whose reason is keccak256("fork proof").

    event Voted(
        bytes32 indexed agent,
        Action indexed action,
        address indexed signer,
        bytes32 param,
        uint64 epoch,
        uint32 setVersion,
        uint8 votes,
        uint8 needed,
        bytes32 reason
    );
    /// @notice A ballot in a batch of halt ballots did not count; the others went on.
    event BallotSkipped(uint256 indexed index, address indexed signer, Refusal why);

    event Registered(bytes32 indexed agent, address indexed operator, uint64 epoch, uint64 voters, bytes32 reason);
    event Paused(bytes32 indexed agent, address indexed signer, uint64 epoch, uint40 until, bytes32 reason);
    event Halted(bytes32 indexed agent, uint64 epoch, uint64 haltedSize, uint64 voters, bytes32 reason);
    event ResumeScheduled(bytes32 indexed agent, uint64 epoch, uint40 readyAt, uint64 voters, bytes32 reason);
    event Resumed(bytes32 indexed agent, uint64 epoch);
    event Vetoed(bytes32 indexed agent, bytes32 param, uint64 epoch, uint8 vetoes, uint64 voters, bytes32 reason);
    event Retired(bytes32 indexed agent, uint64 epoch, uint64 voters, bytes32 reason);
    event Rearmed(bytes32 indexed agent, uint64 epoch, uint16 arms, uint64 voters, bytes32 reason);
    event Renewed(bytes32 indexed agent, address indexed signer, uint64 epoch, uint40 leaseUntil);

    event ChangeScheduled(
        bytes32 indexed agent, Action action, bytes32 param, uint64 epoch, uint40 readyAt, uint64 voters, bytes32 reason
    );
    /// @param oldSize size of the old operator's log: where the agent's history goes on in the new one's
    /// @param epoch the agent's, which has risen by one. An agent that was RESUMING is HALTED again
    event OperatorChanged(
        bytes32 indexed agent, address indexed oldOperator, address indexed newOperator, uint64 oldSize, uint64 epoch
    );
    event Rotated(uint32 indexed setVersion, address[] signers, Thresholds thresholds);

    event Extended(address indexed operator, uint64 oldSize, uint64 newSize, bytes32 root);
    /// @notice This operator vouched for two heads that no one log can have. Its agents' `Halted` follow.
    event ForkProven(
        address indexed operator, uint64 olderSize, bytes32 olderRoot, uint64 newerSize, bytes32 newerRoot
    );

    // ----------------------------------------------------------------------------------------------------- errors

    error VoteRefused(Refusal why);
    error BallotRefused(uint256 index, Refusal why);
    error LengthMismatch(uint256 ballots, uint256 signatures);
    error InvalidSigners();
    error InvalidThresholds();
    error InvalidTiming();
    error NotScheduled();
    error TooEarly(uint256 readyAt);
    error NotSigner(address caller);
    error LeaseOver(bytes32 agent);
    error SizeNotGrown(uint64 size, uint64 newSize);
    error WrongFrontier(uint64 size, bytes32 root);
    error WrongNodeCount(uint256 expected, uint256 given);
    error NotSignedBy(address operator);
    error NoFork();
    error NotOperatorOf(bytes32 agent, address operator);

    // ------------------------------------------------------------------------------------------------------ votes

    /// @notice The caller, a signer, votes. Counts at once if the caller is in the current set.
    /// @param epoch the agent's epoch that is meant, so that a vote that waited in a queue can't count for another
    function vote(bytes32 agent, Action action, bytes32 param, uint64 epoch, bytes32 reason) external;

    /// @notice Anyone relays signed ballots. If all are HALT ballots, a bad one is skipped (`BallotSkipped`) and the
    /// rest go on; any other batch is all or nothing (`BallotRefused`).
    /// @param signatures 65-byte ECDSA signatures, or what the signer's ERC-1271 code accepts
    /// @return accepted how many counted, or were true but moot because the agent was halted already
    function submit(Ballot[] calldata ballots, bytes[] calldata signatures) external returns (uint256 accepted);

    /// @notice Puts a RESUMING agent (or fleet) back to RUNNING once its delay is over. Anyone may call.
    function finishResume(bytes32 agent) external;

    /// @notice Puts a scheduled operator change into force once its delay is over, and before `ballotWindow` after
    /// that. Anyone may call. Raises the agent's epoch: its open votes, used pauses, scheduled changes and pending
    /// resume are void (RESUMING becomes HALTED). No other agent's are, nor the fleet's.
    function finishOperator(bytes32 agent, bytes32 param) external;

    /// @notice Puts a scheduled rotation into force once its delay is over, and before `ballotWindow` after that.
    /// Anyone may call. Raises `setVersion`: open votes, used pauses, scheduled changes and pending resumes of all are
    /// void.
    function finishRotation(address[] calldata signers, Thresholds calldata thresholds, bytes32 salt) external;

    /// @notice A signer renews an agent's lease; also within the grace after a lapse. Never lifts a pause or a halt.
    function renew(bytes32 agent) external;

    // --------------------------------------------------------------------------------------------------- log head

    /// @notice Extends the caller's log from its size to `newSize`.
    /// @param newSize entries after the extension; greater than now
    /// @param frontier roots of the perfect subtrees of the present tree, largest first: popcount(size) of them
    /// @param nodes either the `newSize - size` new leaf hashes, or the roots of the perfect subtrees of the added
    /// range, left to right: with c starting at size, each covers 2^min(ctz(c), floor(log2(newSize - c))) leaves.
    /// Where both readings have the same length they are the same.
    function extend(uint64 newSize, bytes32[] calldata frontier, bytes32[] calldata nodes) external;

    /// @notice Halts agents whose operator vouched for two histories, by anyone's call and without a vote. Two heads
    /// prove it if one log can't have both: of one size, with different roots; or the newer one's tree, opened, has
    /// another root over its first `older.size` entries than the older one says. At least one is signed by the
    /// operator; the other may be the chain's. Nobody without such a signature halts anything.
    /// @dev Reverts unless it is a fork (`NoFork`), opened (`WrongFrontier`, `WrongNodeCount`), signed (`NotSignedBy`),
    /// and of every agent named (`NotOperatorOf`; the fleet, id 0, has no operator). Halts from every state but RETIRED
    /// (and RESUMING becomes HALTED); one that is HALTED or RETIRED stays as it is. Epochs and votes stay.
    ///
    /// A proof doesn't wear out: as long as that operator guards the agent, whatever was resumed can be halted by it
    /// again. That is meant: who forked its log once can't be believed again under that key. The way out is
    /// SET_OPERATOR. A head that is only signed by a former operator touches no agent of the present one.
    /// @param agents all guarded by `operator` now; none is allowed, and puts the proof on record
    /// @param older of at most `newer`'s size
    /// @param frontier,nodes open `newer.root`, as `extend` takes them from `older.size` to `newer.size`; not read if the
    /// sizes are equal
    function proveFork(
        address operator,
        bytes32[] calldata agents,
        SignedHead calldata older,
        SignedHead calldata newer,
        bytes32[] calldata frontier,
        bytes32[] calldata nodes
    ) external;

    // ------------------------------------------------------------------------------------------------------ views

    /// @notice The one reading of an agent's state, used by every guard, event and view.
    function stateOf(bytes32 agent) external view returns (State);

    /// @notice Whether the agent may run: it is RUNNING, and so is the fleet.
    function mayRun(bytes32 agent) external view returns (bool);

    /// @notice Everything about these agents, in one call. Include id 0 for the fleet's own.
    function snapshot(bytes32[] calldata agents) external view returns (Snapshot[] memory);

    /// @notice Votes that count now on one question, in the agent's present epoch and the present set; for PAUSE, those
    /// whose pause is used up.
    /// @return count of them
    /// @return needed votes that decide
    /// @return voters bitmap over the present signers
    function votes(bytes32 agent, Action action, bytes32 param)
        external
        view
        returns (uint8 count, uint8 needed, uint64 voters);

    /// @notice From when on a scheduled change may be finished; 0 if none is scheduled, or if it was not finished in
    /// time (`ballotWindow` after `readyAt`), whereupon the same may be proposed again.
    function scheduledAt(bytes32 agent, Action action, bytes32 param) external view returns (uint40 readyAt);

    /// @notice The head of an operator's log.
    function headOf(address operator) external view returns (uint64 size, bytes32 root, uint64 anchoredAt);

    /// @notice The council itself.
    function council()
        external
        view
        returns (address[] memory signers, Thresholds memory thresholds, Timing memory timing, uint32 setVersion);

    /// @notice The EIP-712 digest that the ballot's signer signs.
    function ballotDigest(Ballot calldata ballot) external view returns (bytes32);

    /// @notice The `param` of a ROTATE vote.
    function rotationParam(address[] calldata signers, Thresholds calldata thresholds, bytes32 salt)
        external
        pure
        returns (bytes32);
}
