"""`agent-guard vote`: the signers' commands. Stopping asks for one `y`; starting asks for the agent's name."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard.cli import ballots, handover
from agent_guard.cli.options import (
    Account,
    Json,
    Keystore,
    Network,
    OutFile,
    PasswordFile,
    Reason,
    RpcUrl,
    SignOnly,
    To,
    Yes,
    settings,
)
from agent_guard.cli.output import Output, Table, Time
from agent_guard.errors import GuardError
from agent_guard.types import Action

if TYPE_CHECKING:
    from agent_guard.wiring import Connection

app = typer.Typer(help="Vote as a signer; relay ballots; see what is open.", no_args_is_help=True)

AgentOrAll = Annotated[str | None, typer.Argument(metavar="AGENT", help="The agent's name.")]
All = Annotated[bool, typer.Option("--all", help="The whole fleet, in place of one agent.")]
Expires = Annotated[
    int,
    typer.Option(
        "--expires", metavar="S", help="Seconds a signed ballot holds. More than a day only for stops."
    ),
]
Param = Annotated[
    str | None,
    typer.Option("--param", metavar="HEX", help="The scheduled change to veto, as `vote list` shows it."),
]

VERBS = {
    Action.HALT: "Halt: H votes kill the agent and all it started; it stays off until R votes and a delay.",
    Action.RESUME: "Resume: R votes, then a delay in which it can be vetoed. Run it again after the delay to finish.",
    Action.RETIRE: "Retire: D votes kill the agent for good. Nobody can undo it.",
    Action.PAUSE: "Pause: you alone freeze the agent, once and for a bounded time.",
    Action.VETO: "Veto a resume, an operator change (AGENT) or a rotation (--all) that waits for its delay.",
}


def _verb(action: Action) -> Callable[..., None]:
    def command(
        agent: AgentOrAll = None,
        everything: All = False,
        reason: Reason = "",
        account: Account = None,
        keystore: Keystore = None,
        password_file: PasswordFile = None,
        sign_only: SignOnly = False,
        output: OutFile = None,
        expires: Expires = 86_400,
        param: Param = None,
        to: To = None,
        network: Network = None,
        rpc_url: RpcUrl = None,
        yes: Yes = False,
        as_json: Json = False,
    ) -> None:
        from agent_guard import wiring

        if (agent is None) is not everything:
            raise GuardError(
                "AG101", "Name one agent, or give --all. Nothing was sent.", f"vote {action.name.lower()} -h"
            )
        where = handover.places(to or [], action)
        try:
            connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
            chosen = ballots.param_of(param) if param else _scheduled_change(connection, action, agent)
            motion = connection.voting().motion(action, agent, chosen)
        except GuardError as error:
            raise (handover.needing_chain(error) if where and error.code == "AG201" else error) from error
        choice = wiring.KeyChoice(account, keystore, password_file)
        manner = ballots.Manner(reason, sign_only, output, expires, yes)
        if where:
            handover.halt(Output(as_json), connection, motion, choice, manner, where)
        else:
            ballots.put(Output(as_json), connection, motion, choice, manner)

    return command


for _action, _help in VERBS.items():
    app.command(_action.name.lower(), help=_help)(_verb(_action))


@app.command("submit")
def submit(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Ballots that signers wrote with --sign-only.")
    ],
    to: To = None,
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Relay signed ballots in one transaction. Anyone may; the account only pays.

    Of halt ballots, those that can't count are skipped and named; any other batch is all or nothing. With --to halt
    ballots are handed to guards instead, which relay them: that needs neither a key nor the chain.
    """
    if to:
        if account or keystore or password_file:
            raise GuardError(
                "AG101",
                "With --to this command sends nothing, and no key pays. Nothing was handed over.",
                "Leave --account out; to relay to the chain, too, run it again without --to.",
            )
        handover.submit(Output(as_json), files, handover.places(to), yes)
        return
    from agent_guard import wiring

    connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
    choice = wiring.KeyChoice(account, keystore, password_file)
    ballots.relay(Output(as_json), connection, [ballots.read(path) for path in files], choice, yes)


@app.command("list")
def list_(
    agent: AgentOrAll = None, network: Network = None, rpc_url: RpcUrl = None, as_json: Json = False
) -> None:
    """List the questions that are open, with the votes that count now."""
    from agent_guard import typed_data, wiring
    from agent_guard.chain import roster
    from agent_guard.voting.questions import open_questions

    chosen = settings(network=network, rpc_url=rpc_url)
    connection = wiring.connect(chosen)
    names, block = roster.load(chosen.record_path), connection.endpoint.block()
    only = typed_data.agent_id(agent) if agent else None
    found = open_questions(connection.contract, connection.deployment.deploy_block, block, only)
    rows = [
        {
            "agent": roster.shown(names, question.agent),
            "action": question.action.name.lower(),
            "param": "0x" + question.param.hex(),
            "votes": question.count,
            "needed": question.needed,
            "voters": list(question.voters),
            "ready_at": question.ready_at or None,
        }
        for question in found
    ]
    Output(as_json).result(
        {"as_of": block.timestamp, "block": block.number, "rows": rows, "truncated": False},
        Table(
            ("agent", "action", "votes", "in force from", "param"),
            [
                (
                    roster.shown(names, question.agent),
                    question.action.name.lower(),
                    f"{question.count} of {question.needed}",
                    Time(question.ready_at),
                    "0x" + question.param.hex() if any(question.param) else None,
                )
                for question in found
            ],
            empty="No question is open.",
        ),
    )


def _scheduled_change(connection: "Connection", action: Action, agent: str | None) -> bytes | None:
    """What a veto without --param means: the resume, if one waits, else the one change that is scheduled."""
    if action is not Action.VETO:
        return None
    from agent_guard.typed_data import agent_id
    from agent_guard.types import FLEET, State
    from agent_guard.voting.questions import open_questions

    whom = agent_id(agent) if agent else FLEET
    block = connection.endpoint.block()
    if connection.contract.snapshot([whom], block)[whom].state is State.RESUMING:
        return None
    found = open_questions(connection.contract, connection.deployment.deploy_block, block, whom)
    scheduled = [question for question in found if question.ready_at]
    if len(scheduled) != 1:
        raise GuardError(
            "AG312",
            f"{len(scheduled)} changes and no resume are scheduled there; say which to veto. Nothing was sent.",
            "Name it with --param, as shown by: agent-guard vote list",
        )
    return scheduled[0].param
