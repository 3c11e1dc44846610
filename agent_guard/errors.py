"""The one error that leaves any part of agent_guard, and the catalogue of its codes.

Every failure a user can meet is a `GuardError`: a code that `agent-guard help CODE` explains, a message that says
what failed, why, and what did not happen, and a remedy that says what to run next. Adapters translate the errors of
foreign libraries once, at their own edge. The kind of a code fixes the program's exit code, so that scripts can rely
on it.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """A closed set of failure kinds. The value is the process exit code (interface contract, tested)."""

    FAILURE = 1
    USAGE = 2
    CANCELLED = 3
    PERMISSION = 4
    TAMPERED = 5
    INDETERMINATE = 6
    NO_QUORUM = 7
    HALTED = 8
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `agent-guard help CODE` prints: the kind, a title and a paragraph."""

    kind: Kind
    title: str
    text: str


class GuardError(Exception):
    """A failure that a person can act on.

    Args:
        code: a key of `CATALOGUE`, such as "AG201"; an unknown one raises `KeyError` at once.
        message: what failed, why, and what did not happen. Never holds a key or a password.
        remedy: what to do or to run next.
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        self.kind = CATALOGUE[code].kind
        self.code = code
        self.message = message
        self.remedy = remedy
        super().__init__(f"{code}: {message} {remedy}")

    @property
    def exit_code(self) -> int:
        return self.kind.value

    def as_dict(self) -> dict[str, dict[str, str]]:
        """The error shape of the command line and of the HTTP API."""
        return {
            "error": {
                "code": self.code,
                "kind": self.kind.name.lower(),
                "message": self.message,
                "remedy": self.remedy,
            }
        }


# AG1xx usage and settings · AG2xx chain · AG3xx keys and votes · AG4xx guard and sandbox · AG5xx log and audit ·
# AG6xx the agent's API.
CATALOGUE: dict[str, Explanation] = {
    "AG100": Explanation(
        Kind.FAILURE,
        "Unexpected failure",
        "The program met a condition that nobody foresaw. Nothing it did not report as done was done. The message"
        " names the exception; run again with AGENT_GUARD_DEBUG=1 for the traceback, and report it.",
    ),
    "AG101": Explanation(
        Kind.USAGE,
        "The command line makes no sense",
        "An argument or option is missing, unknown or malformed. Nothing was done. Every command has --help.",
    ),
    "AG102": Explanation(
        Kind.USAGE,
        "The settings make no sense",
        "agent_guard.toml or an AGENT_GUARD_* variable holds values that can't be used. All problems are listed at"
        " once. Flags win over the environment, the environment over the file.",
    ),
    "AG103": Explanation(
        Kind.CANCELLED,
        "Cancelled",
        "The question was answered with something other than what it asked for. Nothing was signed or sent.",
    ),
    "AG104": Explanation(
        Kind.FAILURE,
        "A file can't be written",
        "The folder is missing, full or read-only. The message says what was done before, if anything; no half-written"
        " file is left behind.",
    ),
    "AG120": Explanation(
        Kind.USAGE,
        "An optional package is not installed",
        "What was asked for needs a package that agent_guard does not bring along. The message names it. Nothing was"
        " run.",
    ),
    "AG201": Explanation(
        Kind.INDETERMINATE,
        "The chain can't be reached",
        "The RPC endpoint did not answer in time, or not in a way that makes sense. Nothing was sent. A guard that"
        " can't read the chain freezes its agent, and kills it when the outage outlasts the grace.",
    ),
    "AG202": Explanation(
        Kind.FAILURE,
        "The wrong chain",
        "The endpoint serves another chain than the deployment record names (chain id or genesis block differ)."
        " Nothing was read from it or sent to it.",
    ),
    "AG203": Explanation(
        Kind.FAILURE,
        "No council at that address",
        "There is no code at the recorded address, or not the code that the record's hash names. Do not vote, run or"
        " audit against it until you know why.",
    ),
    "AG204": Explanation(
        Kind.FAILURE,
        "No usable deployment record",
        "deployments/<network>/Council.json is missing, unreadable or lacks a field.",
    ),
    "AG205": Explanation(
        Kind.FAILURE,
        "The transaction did not go through",
        "It was refused by the node, reverted, or not mined in time. The message names which; a transaction that was"
        " sent but not mined may still be, and its hash is in the message.",
    ),
    "AG206": Explanation(
        Kind.PERMISSION,
        "The account can't pay for gas",
        "The sending account holds less of the chain's coin than the transaction costs. Nothing was sent.",
    ),
    "AG207": Explanation(
        Kind.FAILURE,
        "Anvil can't be used",
        "`agent-guard devnet` needs Foundry's anvil, in PATH or in node_modules/.bin.",
    ),
    "AG208": Explanation(
        Kind.FAILURE,
        "The port is in use",
        "Another program listens on the port that was asked for. Nothing was started.",
    ),
    "AG209": Explanation(
        Kind.NO_QUORUM,
        "No quorum of endpoints",
        "Several RPC endpoints are named, and fewer of them than the setting `quorum` gave the same answer. What one"
        " node says alone is not taken for true. Nothing was sent.",
    ),
    "AG301": Explanation(
        Kind.PERMISSION,
        "No such key",
        "The keystore named by --account, --keystore or ETH_KEYSTORE* does not exist.",
    ),
    "AG302": Explanation(
        Kind.PERMISSION,
        "The keystore can't be read",
        "The file is not a version 3 keystore, or this user may not read it.",
    ),
    "AG303": Explanation(
        Kind.PERMISSION,
        "Wrong password",
        "The password does not open the keystore. Nothing was signed.",
    ),
    "AG304": Explanation(
        Kind.PERMISSION,
        "No password given",
        "There is no terminal to ask on and no --password-file or *_FILE setting.",
    ),
    "AG305": Explanation(
        Kind.FAILURE,
        "The key exists already",
        "A keystore of that name is there; keys are never overwritten.",
    ),
    "AG306": Explanation(
        Kind.USAGE,
        "That is no private key",
        "An imported key is 32 bytes in hexadecimal, in the range of the curve. Nothing was written.",
    ),
    "AG310": Explanation(
        Kind.PERMISSION,
        "Not a signer",
        "The key is not in the council's present signer set. Nothing was signed or sent.",
    ),
    "AG311": Explanation(
        Kind.FAILURE,
        "Unknown agent",
        "No agent of that name is registered with this council.",
    ),
    "AG312": Explanation(
        Kind.FAILURE,
        "The state does not allow this vote",
        "The agent's state on chain does not admit the action (for instance, resuming an agent that runs).",
    ),
    "AG313": Explanation(
        Kind.FAILURE,
        "The ballot does not count",
        "The contract would refuse the ballot, for the reason named: another council, epoch, signer set or agent, a"
        " deadline passed, a bad signature, or a vote that stands already.",
    ),
    "AG314": Explanation(
        Kind.USAGE,
        "The ballot file can't be read",
        "It is not a file written by `vote ... --sign-only`, or was changed since.",
    ),
    "AG315": Explanation(
        Kind.USAGE,
        "The guard does not take the ballot",
        "A guard takes signed halt ballots of the present signers, for its own council and the agent's present epoch,"
        " once each. What it does not take changes nothing; it is recorded.",
    ),
    "AG316": Explanation(
        Kind.FAILURE,
        "A ballot is not on chain",
        "The guard acted on the ballot, but its relaying to the chain did not go through before the guard ended. The"
        " kept halt holds on that host; elsewhere nobody knows of the vote.",
    ),
    "AG317": Explanation(
        Kind.FAILURE,
        "No guard took the ballot",
        "The guard named by --to did not answer, not in time, not as a guard does, or it is ending. As far as can be"
        " known nothing was handed over; a vote on chain stops the agent all the same, as soon as its guard reads it.",
    ),
    "AG318": Explanation(
        Kind.PERMISSION,
        "A page in a browser is not answered",
        "The guard's door for signers answers programs: a request with an Origin header, from another site, or for a"
        " host by another name could come from any page that a person on this host has open.",
    ),
    "AG401": Explanation(
        Kind.FAILURE,
        "A program that the container needs is missing",
        "Agents run inside bubblewrap (bwrap), started through setpriv and sh. One of them is not in PATH, so nothing"
        " was started: the guard never falls back to running an agent without a container.",
    ),
    "AG402": Explanation(
        Kind.FAILURE,
        "No cgroup that the guard may use",
        "No cgroup v2 tree is mounted, the guard may not write to its part of it, or the kernel is older than 5.14."
        " A PID namespace contains an agent without one; freezing is then done by signals and is weaker.",
    ),
    "AG403": Explanation(
        Kind.FAILURE,
        "The container can't be built",
        "bubblewrap could not set the container up, so the command was not run. For an ordinary user the usual cause"
        " is a host that forbids user namespaces.",
    ),
    "AG404": Explanation(
        Kind.USAGE,
        "A path may not be shown to the agent",
        "The path is, holds or lies in something that the agent must not reach: the guard's home, keys, credentials,"
        " system folders, or a socket that gives power over the host. Nothing was started.",
    ),
    "AG405": Explanation(
        Kind.USAGE,
        "The command can't be found",
        "The agent's command is not an executable file and is not in PATH. Nothing was started.",
    ),
    "AG406": Explanation(
        Kind.FAILURE,
        "Something is still alive",
        "The kill did not end everything the agent started within its time. The agent is NOT dead. The message names"
        " the processes that live.",
    ),
    "AG407": Explanation(
        Kind.FAILURE,
        "The container does not contain",
        "A dummy tree of processes was started in a container, frozen and killed, and something went on running or"
        " lived. The guard refuses to hold an agent with such a container.",
    ),
    "AG408": Explanation(
        Kind.FAILURE,
        "The agent can't be frozen",
        "Not every process of the agent stopped within the limit. The agent must be taken as running; a kill does"
        " not depend on freezing.",
    ),
    "AG409": Explanation(
        Kind.FAILURE,
        "Nothing watches the guard",
        "Beside every guard runs a small process that kills the agents if the guard is gone or stands still. It could"
        " not be started, or does not answer. A guard that nobody watches holds no agent.",
    ),
    "AG420": Explanation(
        Kind.PERMISSION,
        "Not this agent's operator",
        "The council names another operator for the agent than the key this guard was given. An agent's history stands"
        " in its operator's log, so no other guard may run it. Nothing was started.",
    ),
    "AG421": Explanation(
        Kind.HALTED,
        "The agent may not run",
        "The council says so, or the guard could not learn from a fresh block that it may: what is not known is treated"
        " as stop. Nothing was started.",
    ),
    "AG422": Explanation(
        Kind.FAILURE,
        "A kept halt can't be read",
        "The guard keeps on its disk that it saw an agent halted, so that neither a restart nor a reorganised chain"
        " lets it run again. That file is damaged, and damage is no permission. Nothing was started.",
    ),
    "AG423": Explanation(
        Kind.FAILURE,
        "A halt can't be kept",
        "The guard saw a halt and killed the agent, but could not write it down. Only this process knows of it.",
    ),
    "AG430": Explanation(
        Kind.FAILURE,
        "No log verifier is recorded",
        "deployments/<network>/LogVerifier.json is missing: the council was deployed before there were log verifiers,"
        " or by hand. Anyone may deploy one, at any time: it has no state and no owner, and serves every council of"
        " its chain.",
    ),
    "AG431": Explanation(
        Kind.TAMPERED,
        "The contract refuses the proof",
        "The log verifier on chain recomputed the root from the entry and its proof, and it is not the root that the"
        " council holds: the entry or the proof is not what the operator anchored.",
    ),
    "AG432": Explanation(
        Kind.USAGE,
        "That file holds no signed head",
        "A signed head is a JSON object of chain_id, council, operator, size, root and signature, as the SDK's receipts"
        " give it. Nothing was checked or sent.",
    ),
    "AG433": Explanation(
        Kind.FAILURE,
        "No fork is proven",
        "The heads fit into one log, or are not signed by the agent's present operator for this council. Nothing was"
        " sent: an agent is halted without a vote only on its operator's own contradiction.",
    ),
    "AG434": Explanation(
        Kind.INDETERMINATE,
        "The log does not open the newer head",
        "Heads of different sizes contradict each other only if the newer one's tree is shown to begin otherwise than"
        " the older one says. That needs a log that has the newer head; this one has another. It may be a fork all"
        " the same.",
    ),
    "AG435": Explanation(
        Kind.TAMPERED,
        "The receipt does not hold",
        "What the guard gave as a receipt is not the operator's signed head over the action's own entry. A guard that"
        " keeps its log honestly gives none that fails.",
    ),
    "AG436": Explanation(
        Kind.INDETERMINATE,
        "No receipt yet",
        "The guard has not signed a head that covers the action, or nobody said who its operator is, so that no receipt"
        " could be checked.",
    ),
    "AG450": Explanation(
        Kind.FAILURE,
        "An agent outlived this guard in a drill",
        "A drill showed that an agent of its kind lives on after this guard's stop on this host, or gets at what is the"
        " guard's. The processes of the drill were ended. No agent should be trusted to the host before the reason is"
        " known.",
    ),
    "AG451": Explanation(
        Kind.FAILURE,
        "No such result of drills",
        "The file is missing or is not what `drill run` of this version writes. Nothing was reported.",
    ),
    "AG452": Explanation(
        Kind.FAILURE,
        "Charts need matplotlib",
        "The chart of `drill report` is drawn by matplotlib, which comes with the extra `drill`. Nothing was written.",
    ),
    "AG453": Explanation(
        Kind.FAILURE,
        "Processes of a drill can't be ended",
        "The processes named outlived their drill and SIGKILL. They bear the drill's mark and end by themselves within"
        " two minutes. No further drill was run and no result was kept.",
    ),
    "AG454": Explanation(
        Kind.FAILURE,
        "A drill could not be run",
        "Trials under this guard ended before anything could be measured, so nothing is known of them. They are"
        " counted nowhere.",
    ),
    "AG460": Explanation(
        Kind.USAGE,
        "A report's name does not say its form",
        "The form of an audit's report is told by its file's name: .html for a page to read and print, .md for text,"
        " .json for programs. Nothing was audited and nothing was written.",
    ),
    "AG461": Explanation(
        Kind.USAGE,
        "A report never overwrites a file",
        "There is a file of this name already, perhaps an earlier report, which may be evidence. It was left as it is.",
    ),
    "AG462": Explanation(
        Kind.FAILURE,
        "A report could not be written",
        "The disk or the file system refused it. No half-written file is left. The audit itself ended as was said.",
    ),
    "AG510": Explanation(
        Kind.FAILURE,
        "The log can't be opened",
        "The database is missing, is no database, holds no log, or may not be read by this user. Nothing was read or"
        " written.",
    ),
    "AG511": Explanation(
        Kind.FAILURE,
        "Another guard writes this log",
        "One log has one writer, and another process holds its lock. The lock ends with that process, however it ends."
        " Nothing was opened; two guards need two keys and two homes.",
    ),
    "AG512": Explanation(
        Kind.FAILURE,
        "The log is another's",
        "The database belongs to another operator key, council or chain. One operator has one log under one council;"
        " mixing two would make both unprovable. Nothing was written.",
    ),
    "AG513": Explanation(
        Kind.FAILURE,
        "The disk is full",
        "The log could not be written. What was acknowledged before is safe; what was asked for now was not recorded,"
        " and the guard allows no further action until it is started again with space.",
    ),
    "AG514": Explanation(
        Kind.FAILURE,
        "The log is locked by another program",
        "Something else (a database browser, a backup; for a published folder another export, serve or mirror) kept a"
        " lock for longer than is waited for. What was asked for was not written.",
    ),
    "AG515": Explanation(
        Kind.FAILURE,
        "The log is damaged",
        "SQLite finds the database malformed, or an entry that must be there is not. Keep the file as evidence. An"
        " audit says from which entry on.",
    ),
    "AG516": Explanation(
        Kind.FAILURE,
        "The log can't be written",
        "The file, its folder or its file system is read-only for this user. Nothing was recorded.",
    ),
    "AG517": Explanation(
        Kind.FAILURE,
        "The log's disk failed",
        "Reading or writing the database failed in a way that SQLite can't name further. What was asked for was not"
        " acknowledged; it may or may not be there after a restart.",
    ),
    "AG518": Explanation(
        Kind.FAILURE,
        "Not a log of this version",
        "The file is a database of another program, or of another version of agent-guard. Nothing was read or written.",
    ),
    "AG520": Explanation(
        Kind.FAILURE,
        "Too much waits for the disk",
        "The recorder's queue is full, so that memory stays bounded. What was asked for was not recorded, and so must"
        " not happen. Trying again a moment later is safe.",
    ),
    "AG521": Explanation(
        Kind.FAILURE,
        "Nothing more is recorded",
        "The recorder was closed, or an earlier failure of the log's store stopped it for good: a guard that can't"
        " record allows nothing. Stopping an agent does not depend on it.",
    ),
    "AG523": Explanation(
        Kind.USAGE,
        "This can't be recorded",
        "The content is not JSON that every reader understands alike, or the entry's fields are out of range. Nothing"
        " was recorded.",
    ),
    "AG530": Explanation(
        Kind.TAMPERED,
        "The chain holds another log",
        "The operator's head on chain is not a prefix of this guard's log: another guard used the key, or the log was"
        " rewritten or restored from an old copy. Anchoring has ended for good and no action is allowed. Keep the log"
        " as evidence.",
    ),
    "AG531": Explanation(
        Kind.FAILURE,
        "The log was not anchored in time",
        "The newest entries are safe in the guard's log, but the chain did not take their head in the time given. The"
        " guard anchors them when it runs next.",
    ),
    "AG532": Explanation(
        Kind.FAILURE,
        "Anchoring ended unexpectedly",
        "The anchoring loop met a condition that nobody foresaw. No action is allowed until the guard is started"
        " again.",
    ),
    "AG540": Explanation(
        Kind.FAILURE,
        "No such entry",
        "The log has no entry of that index, or it is another agent's. Nothing was done.",
    ),
    "AG541": Explanation(
        Kind.FAILURE,
        "Not anchored yet",
        "No head that stands on chain covers the entry (or none of the size asked for), so there is nothing to prove it"
        " against. The guard anchors by count and by age; status shows what is missing.",
    ),
    "AG542": Explanation(
        Kind.TAMPERED,
        "The log and the chain have different roots",
        "For the same number of entries the log's anchored head and the chain's differ. One of them is not what was"
        " written, and the chain can't be rewritten by an operator.",
    ),
    "AG543": Explanation(
        Kind.FAILURE,
        "The log's site did not answer",
        "A log was to be read over HTTP, and the server gave no answer, an error, or not all of it in time. What was"
        " read before was judged; the rest could not be.",
    ),
    "AG544": Explanation(
        Kind.FAILURE,
        "Not a proof",
        "The file is no tlog-proof of an agent-guard log, or what it carries beside the proof is not in the form that"
        " agent-guard writes. Nothing was verified.",
    ),
    "AG545": Explanation(
        Kind.TAMPERED,
        "The folder holds another history",
        "A log is published into a folder that holds an earlier state of the same log, or nothing. This one holds"
        " another log, more than is anchored, or entries that this log does not begin with. Nothing was written.",
    ),
    "AG547": Explanation(
        Kind.FAILURE,
        "No signed head of this checkpoint",
        "What lies beside a published checkpoint as its operator's signed head (head.json) is too long, malformed, of"
        " another log, or not signed by the log's operator. It was left aside and accuses nobody: it may come from a"
        " cache, or from whoever serves the log. The log is judged without it.",
    ),
    "AG550": Explanation(
        Kind.USAGE,
        "The store's address can't be used",
        "A log on a server is named by libpq's URL, postgresql://USER@HOST:PORT/DATABASE, and #0x… behind it for one"
        " operator's log. It must not hold a password: that belongs into the file that store_password_file names, or"
        " into PGPASSFILE. Nothing was opened.",
    ),
    "AG551": Explanation(
        Kind.FAILURE,
        "The log's server can't be reached",
        "PostgreSQL does not answer, answers too late, or the connection broke. What was acknowledged before is safe;"
        " what was asked for now may or may not be there, and the guard finds out when it starts again. Until then no"
        " action is allowed. Stopping an agent does not depend on it.",
    ),
    "AG552": Explanation(
        Kind.PERMISSION,
        "The log's server refuses this user",
        "User or password are wrong, pg_hba.conf does not let this host in, or the role lacks a right on the log's"
        " schema. Nothing was recorded.",
    ),
    "AG553": Explanation(
        Kind.FAILURE,
        "A server that can't be trusted with a log",
        "Its fsync or full_page_writes is off, so that it would acknowledge what a crash can lose; or it is older than"
        " PostgreSQL 13, or its database is not UTF8. Nothing was written.",
    ),
    "AG554": Explanation(
        Kind.USAGE,
        "PostgreSQL's driver is not installed",
        "A log on a PostgreSQL server needs psycopg, which comes with the extra postgres. Nothing was opened.",
    ),
    "AG560": Explanation(
        Kind.FAILURE,
        "The witness can't serve",
        "The address can't be listened at, or a log's verifier key or the witness's own name makes no sense. Nothing"
        " was cosigned.",
    ),
    "AG562": Explanation(
        Kind.FAILURE,
        "The witness's memory can't be used",
        "The database with what the witness cosigned can't be read or written. Nothing gets a cosignature that is not"
        " in it. Never put an older copy in its place: a witness that forgets vouches for a log that was rolled back.",
    ),
    "AG563": Explanation(
        Kind.FAILURE,
        "A witness did not cosign",
        "The witness could not be reached in time, refused, or gave no cosignature of its own key over this head. The"
        " head is anchored all the same; the guard asks again, with growing pauses.",
    ),
    "AG564": Explanation(
        Kind.TAMPERED,
        "A witness knows another log under this key",
        "The witness has cosigned a longer log than this one, or another root of the same size. Either this log was"
        " rolled back or forked (restored from an old copy, or written by two guards), or the witness lies. Compare"
        " with the chain's head and ask the witness's operator for its evidence.",
    ),
    "AG570": Explanation(
        Kind.FAILURE,
        "Not the log that is mirrored",
        "What is published at the address is the log of another operator, council or chain than the copy's, or its head"
        " is not signed by the key that was named. Nothing was copied.",
    ),
    "AG580": Explanation(
        Kind.FAILURE,
        "The guard did not take the erasure",
        "A running guard writes the log, so that it must erase; on its socket it could not be reached, or gave no clear"
        " answer. It may have carried the order out: the same order again says so and changes nothing more.",
    ),
    "AG581": Explanation(
        Kind.FAILURE,
        "Gone, and not by an erasure",
        "The content is not there, and the log has no record of its erasure. Somebody took it out in another way."
        " Nothing was recorded, for that would say afterwards that it was erased on purpose.",
    ),
    "AG582": Explanation(
        Kind.FAILURE,
        "The erasure is not finished",
        "The erasure is on record, or about to be, but the content, or bytes of it, are still in the store's files. It"
        " is finished when the command runs again, and by the guard itself.",
    ),
    "AG583": Explanation(
        Kind.FAILURE,
        "Another erasure is under way",
        "A guard carries out one erasure after the other. This one was not begun; ask again a moment later.",
    ),
    "AG584": Explanation(
        Kind.FAILURE,
        "A life whose end nobody can prove",
        "A guard was killed, or its host lost power, before it recorded how its agent's life ended. The next one looks"
        " whether anything of that life is left, and records that it was found dead; but here the kernel gives no"
        " proof: something lives, the agent ran without a container, or this is not the host it ran on.",
    ),
    "AG585": Explanation(
        Kind.FAILURE,
        "The server's log is not the one that was acknowledged",
        "After its connection had broken the guard found a log that does not end where it was left: the server was put"
        " back to an older state (a fail-over to a standby that was behind, a backup), or somebody else wrote it. To go"
        " on would write a second history, so nothing more is recorded.",
    ),
    "AG601": Explanation(
        Kind.PERMISSION,
        "The action was refused",
        "A rule forbids the action, or the guard's answer was no clear yes. The action must not happen. The message"
        " names the reason.",
    ),
    "AG602": Explanation(
        Kind.HALTED,
        "The agent is halted",
        "The council's signers have stopped the agent. No action is allowed any more; the guard is about to end"
        " everything the agent started.",
    ),
    "AG603": Explanation(
        Kind.FAILURE,
        "The guard is in doubt",
        "The guard can't tell whether the agent may act (a first vote, a stale or unreachable chain, endpoints that"
        " disagree). What it does not know it treats as stop: do not act, and ask again later.",
    ),
    "AG604": Explanation(
        Kind.FAILURE,
        "Too much of the log is not anchored yet",
        "The entries since the last anchor on chain are too many or too old (max_unanchored_entries,"
        " max_unanchored_age). Actions are refused until an anchor goes through.",
    ),
    "AG605": Explanation(
        Kind.FAILURE,
        "The action could not be recorded",
        "An action may happen only once its record is on disk. The store refused or took too long, so the action must"
        " not happen. If the record lands later it is closed as refused.",
    ),
    "AG606": Explanation(
        Kind.FAILURE,
        "Too many requests at once",
        "The guard bounds how many requests and connections it serves at a time, of each agent and of the signers."
        " Nothing was done: do not act, and ask again when earlier requests are answered.",
    ),
    "AG607": Explanation(
        Kind.USAGE,
        "The request is too large",
        "A request's body may hold 1 MiB, and a ballot 64 KiB, whether it announces its length or comes in chunks. Of"
        " what is larger record a hash, and keep it elsewhere.",
    ),
    "AG608": Explanation(
        Kind.USAGE,
        "The request's body is not acceptable JSON",
        "The API takes one JSON object in UTF-8: no NaN or Infinity, no integer beyond 2^53-1, no key twice in an"
        " object, no lone surrogate, at most 64 levels deep. What two programs may read in two ways can't be evidence.",
    ),
    "AG609": Explanation(
        Kind.USAGE,
        "The request's media type is not JSON",
        "Requests with a body carry Content-Type: application/json, and no Content-Encoding.",
    ),
    "AG610": Explanation(
        Kind.USAGE,
        "The request has the wrong shape",
        "A field is missing, unknown, or of the wrong type or length; the message names each. The API's description"
        " is at /openapi.json.",
    ),
    "AG611": Explanation(
        Kind.USAGE,
        "No such action",
        "The number names no action of this agent. Outcomes are taken only for an intent that the guard allowed to"
        " the same agent.",
    ),
    "AG612": Explanation(
        Kind.USAGE,
        "The action is closed",
        "An intent has one outcome: an earlier one stands, or the guard withdrew its yes. Nothing was recorded in its"
        " place.",
    ),
    "AG613": Explanation(
        Kind.USAGE,
        "The idempotency key stands for another action",
        "A key names one action for ever. Sent again with the same tool and arguments it answers as the first time;"
        " with others it is refused.",
    ),
    "AG614": Explanation(
        Kind.USAGE,
        "No such endpoint",
        "The path or the method is not part of the API; /openapi.json describes all of it.",
    ),
    "AG615": Explanation(
        Kind.USAGE,
        "That is not HTTP",
        "What came over the agent's socket is no HTTP/1.1 request, or its head is longer than 32 KiB. The connection"
        " was closed.",
    ),
    "AG616": Explanation(
        Kind.FAILURE,
        "A socket of the guard can't be served",
        "The Unix socket of an agent or of the signers, or the port of `signers_listen`, could not be made, is served"
        " by another guard already, or its server did not start. Nothing was started.",
    ),
    "AG617": Explanation(
        Kind.FAILURE,
        "The guard can't be reached",
        "The guard did not answer, not in time, or not in a way that makes sense. That is no permission: do not act.",
    ),
    "AG618": Explanation(
        Kind.USAGE,
        "No guard's socket is known",
        "The SDK finds the guard through AGENT_GUARD_SOCKET, which `agent-guard run` sets inside the container.",
    ),
    "AG619": Explanation(
        Kind.FAILURE,
        "The outcome is not recorded",
        "The action was allowed and took place, but the guard did not take its outcome. The intent stands in the log"
        " without one.",
    ),
    "AG620": Explanation(
        Kind.PERMISSION,
        "A stop was announced",
        "The agent is about to be stopped, and has a grace to save its work. No new action begins; outcomes are still"
        " taken. Report what is under way, save, and exit: the work goes on with the agent's next start.",
    ),
    "AG621": Explanation(
        Kind.FAILURE,
        "The checkpoint can't be used",
        "The file that should hold an agent's saved work is empty, torn, unreadable, or something else. No work was"
        " begun and the file was not touched: beginning anew would repeat what was done already.",
    ),
    "AG622": Explanation(
        Kind.FAILURE,
        "The checkpoint can't be saved",
        "The state is not JSON that reads back as it was, or the file can't be written. What was saved before is kept;"
        " what was done since would be done again.",
    ),
}
