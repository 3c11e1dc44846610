"""`agent-guard agent`: which agents the council knows, and who guards them."""

from typing import Annotated

import typer

from agent_guard.cli import ballots
from agent_guard.cli.options import (
    Account,
    Agent,
    Json,
    Keystore,
    Network,
    OutFile,
    PasswordFile,
    Reason,
    RpcUrl,
    SignOnly,
    Yes,
    settings,
)
from agent_guard.cli.output import Facts, Hash, Output, Table, Time
from agent_guard.errors import GuardError
from agent_guard.types import Action, State

app = typer.Typer(help="Register agents and list them.", no_args_is_help=True)


@app.command("register")
def register(
    agent: Agent,
    operator: Annotated[
        str, typer.Option("--operator", metavar="ADDRESS", help="Address of the guard's key.")
    ],
    reason: Reason = "",
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    sign_only: SignOnly = False,
    output: OutFile = None,
    expires: Annotated[
        int, typer.Option("--expires", metavar="S", help="Seconds a signed ballot holds.")
    ] = 86_400,
    network: Network = None,
    rpc_url: RpcUrl = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Vote, as a signer, to register an agent with its operator, or to give a registered one another operator.

    Registering takes R votes and holds at once. Another operator takes R votes and the resume delay; run the same
    command once more after the delay to put it into force.
    """
    from agent_guard import wiring
    from agent_guard.chain import roster

    chosen = settings(network=network, rpc_url=rpc_url)
    connection = wiring.connect(chosen)
    roster.load(chosen.record_path)  # a broken list is told before the vote, not after
    voting, out = connection.voting(), Output(as_json)
    param = bytes(12) + bytes.fromhex(wiring.checksummed(operator)[2:])
    motion = voting.motion(Action.REGISTER, agent, param)
    if motion.state.state is not State.NONE:
        motion = voting.motion(Action.SET_OPERATOR, agent, param)
    choice = wiring.KeyChoice(account, keystore, password_file)
    ready_at = connection.contract.scheduled_at(motion.agent, motion.action, motion.param, motion.block)
    if ready_at and motion.action is Action.SET_OPERATOR:
        ballots.finish(out, connection, motion, choice, yes, ready_at)
        return
    ballots.put(out, connection, motion, choice, ballots.Manner(reason, sign_only, output, expires, yes))
    roster.add(chosen.record_path, agent)


@app.command("show")
def show(agent: Agent, network: Network = None, rpc_url: RpcUrl = None, as_json: Json = False) -> None:
    """Show all that the council says of an agent."""
    from agent_guard import wiring
    from agent_guard.typed_data import agent_id
    from agent_guard.voting.motion import unknown_agent

    connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
    block, identity = connection.endpoint.block(), agent_id(agent)
    state = connection.contract.snapshot([identity], block)[identity]
    if state.state is State.NONE:
        raise unknown_agent(agent)
    row = {
        "agent": agent,
        "id": "0x" + identity.hex(),
        "state": state.state.name.lower(),
        "may_run": state.may_run,
        "epoch": state.epoch,
        "operator": state.operator,
        "head": {
            "size": state.head.size,
            "root": "0x" + state.head.root.hex(),
            "anchored_at": state.head.anchored_at,
        },
        "halted_size": state.halted_size,
        "paused_until": state.paused_until,
        "lease_until": state.lease_until,
        "resume_ready_at": state.resume_ready_at,
        "arms": state.arms,
        "vetoes": state.vetoes,
    }
    Output(as_json).result(
        {"as_of": block.timestamp, "block": block.number, "rows": [row], "truncated": False},
        Facts(
            [
                ("agent", agent),
                ("id", Hash(identity)),
                ("state", state.state.name),
                ("may run", state.may_run),
                ("epoch", state.epoch),
                ("operator", state.operator),
                ("log", f"{state.head.size} entries anchored"),
                ("root", Hash(state.head.root)),
                ("anchored", Time(state.head.anchored_at)),
                ("paused until", Time(state.paused_until)),
                ("lease until", Time(state.lease_until)),
            ]
        ),
    )


@app.command("list")
def list_(network: Network = None, rpc_url: RpcUrl = None, as_json: Json = False) -> None:
    """List the agents that were ever registered."""
    from agent_guard import wiring
    from agent_guard.chain import roster
    from agent_guard.chain.history import registered_agents

    chosen = settings(network=network, rpc_url=rpc_url)
    connection = wiring.connect(chosen)
    names, block = roster.load(chosen.record_path), connection.endpoint.block()
    agents = registered_agents(connection.contract, connection.deployment.deploy_block, block)
    states = connection.contract.snapshot(agents, block) if agents else {}
    rows = [
        {
            "agent": roster.shown(names, agent),
            "id": "0x" + agent.hex(),
            "state": state.state.name.lower(),
            "may_run": state.may_run,
            "epoch": state.epoch,
            "operator": state.operator,
        }
        for agent, state in states.items()
    ]
    Output(as_json).result(
        {"as_of": block.timestamp, "block": block.number, "rows": rows, "truncated": False},
        Table(
            ("agent", "state", "may run", "epoch", "operator"),
            [
                (
                    roster.shown(names, agent),
                    state.state.name,
                    state.may_run,
                    state.epoch,
                    Hash(state.operator),
                )
                for agent, state in states.items()
            ],
            empty="No agent is registered. Signers register one with: agent-guard agent register",
        ),
    )


@app.command("renew")
def renew(
    agent: Agent,
    account: Account = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Renew an agent's lease, as any one signer. Only where the council was deployed with leases."""
    from agent_guard import wiring
    from agent_guard.typed_data import agent_id

    connection = wiring.connect(settings(network=network, rpc_url=rpc_url))
    if connection.contract.council(connection.endpoint.block()).timing.lease == 0:
        raise GuardError(
            "AG312", "This council gives no leases. Nothing was sent.", "There is nothing to renew."
        )
    sender = connection.sender(
        wiring.unlock(connection.settings, wiring.KeyChoice(account, keystore, password_file))
    )
    call = connection.contract.contract.functions.renew(agent_id(agent))
    receipt = sender.send(call, f"renew the lease of {agent}")
    block = connection.endpoint.block(receipt["blockNumber"])
    until = connection.contract.snapshot([agent_id(agent)], block)[agent_id(agent)].lease_until
    transaction = "0x" + bytes(receipt["transactionHash"]).hex()
    Output(as_json).result(
        {"target": agent, "applied": True, "tx": transaction, "detail": {"lease_until": until}},
        Facts([("agent", agent), ("lease until", Time(until)), ("transaction", Hash(transaction))]),
    )
