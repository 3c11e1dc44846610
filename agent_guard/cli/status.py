"""`agent-guard status`: where agents stand, on chain and, for a guard on this host, beside it."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_guard.cli.options import Json, Network, RpcUrl, settings
from agent_guard.cli.output import GREEN, RED, YELLOW, Cell, Facts, Hash, Line, Output, Table, Time, Word
from agent_guard.errors import Kind
from agent_guard.types import FLEET, AgentState, Block, Council, State

if TYPE_CHECKING:
    from agent_guard.settings import Settings
    from agent_guard.wiring import Connection

DECIDED = (State.HALTED, State.RETIRED)
STYLES = {"running": GREEN, "halted": RED, "retired": RED, "unregistered": RED}


def status(
    agent: Annotated[str | None, typer.Argument(metavar="AGENT", help="Only this agent, in full.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Say it again at every change, until Ctrl-C.")
    ] = False,
    exit_status: Annotated[
        bool, typer.Option("--exit-status", help="Exit with 8 unless every agent shown may run.")
    ] = False,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Show where agents stand: state, votes, log, and the guard on this host."""
    from agent_guard import wiring

    out, chosen = Output(as_json), settings(network=network, rpc_url=rpc_url)
    connection = wiring.connect(chosen)
    rows = _show(out, connection, chosen, agent)
    while watch:
        time.sleep(chosen.poll)
        before, rows = rows, _read(connection, chosen, agent)[0]
        if _lasting(rows) != _lasting(before):
            _show(out, connection, chosen, agent)
    if exit_status and not all(row["may_run"] for row in rows):
        raise typer.Exit(Kind.HALTED.value)


def _show(
    out: Output, connection: "Connection", chosen: "Settings", agent: str | None
) -> list[dict[str, Any]]:
    rows, block = _read(connection, chosen, agent)
    payload = {"as_of": block.timestamp, "block": block.number, "rows": rows, "truncated": False}
    if agent is not None:
        out.result(payload | rows[0], _verdict(rows[0]), _facts(rows[0]))
    else:
        out.result(payload, _table(rows))
    return rows


def _read(
    connection: "Connection", chosen: "Settings", agent: str | None
) -> tuple[list[dict[str, Any]], Block]:
    """One row for each agent, all of one block."""
    from agent_guard.chain import roster
    from agent_guard.chain.history import registered_agents
    from agent_guard.typed_data import agent_id

    contract, block = connection.contract, connection.endpoint.block()
    if agent is None:
        agents = registered_agents(contract, connection.deployment.deploy_block, block)
        names = roster.load(chosen.record_path)
    else:
        agents, names = [agent_id(agent)], {agent_id(agent): agent}
    states, council = contract.snapshot([FLEET, *agents], block), contract.council(block)
    fleet = states[FLEET]
    differing = _differing(connection, states)

    def row(identity: bytes) -> dict[str, Any]:
        name, state = roster.shown(names, identity), states[identity]
        here = _here(connection, name, state, differing.get(identity, {}))
        return _row(name, state, fleet, council, block) | here

    return [row(identity) for identity in agents], block


def _differing(connection: "Connection", states: Mapping[bytes, AgentState]) -> dict[bytes, dict[str, str]]:
    """Which endpoints say something else than their quorum; of a single one there is nothing to compare."""
    from agent_guard.chain.opinions import dissent

    return dissent(connection.members, states) if len(connection.members) > 1 else {}


def _here(
    connection: "Connection", name: str, state: AgentState, differing: dict[str, str]
) -> dict[str, Any]:
    """What this host knows of the agent: its guard's pulse and what that guard reads, and its last death receipt."""
    from agent_guard.session.places import Places
    from agent_guard.session.pulse import last_death, listen

    settings = connection.settings
    places = Places(settings.home, settings.network, state.operator, name)
    heard, death = listen(places.pulse, time.time()), last_death(places.death)
    total = len(connection.members)
    return {
        "endpoints": (_weighed(heard.content) if heard and heard.alive else None)
        or {"agree": total - len(differing), "total": total, "dissent": differing},
        "anchor_lag": heard.content["anchor_lag"] if heard else None,
        "guard": {
            "alive": heard.alive if heard else False,
            "pulse_age_s": round(heard.age, 1) if heard else None,
            "verdict": heard.content["verdict"] if heard else None,
            "reason": heard.content["reason"] if heard else None,
            "sandbox": heard.content["mode"] if heard else None,
        },
        "witnesses": _cosigned(heard.content) if heard else None,
        "death": _receipt(connection, state, death) if death else None,
    }


def _weighed(pulse: Mapping[str, Any]) -> dict[str, Any] | None:
    """The endpoints as the guard weighs them; None if its pulse does not say."""
    said = pulse.get("endpoints")
    keys = ("agree", "total", "dissent")
    return {key: said[key] for key in keys} if isinstance(said, dict) and said.keys() >= set(keys) else None


def _cosigned(pulse: Mapping[str, Any]) -> dict[str, Any] | None:
    """Which witnesses have cosigned the newest anchored head, as the guard says; None if it does not."""
    said = pulse.get("witnesses")
    if not isinstance(said, dict) or not isinstance(said.get("trouble"), dict):
        return None
    return {key: said.get(key) for key in ("cosigned", "total", "trouble")}


def _receipt(connection: "Connection", state: AgentState, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The last death receipt on this host. Only what bears the operator's signature is repeated."""
    from agent_guard.audit.receipts import vouches
    from agent_guard.typed_data.death import DEATH_FIELDS, FOUND_DEAD_FIELDS, is_found_dead
    from agent_guard.types import LogIdentity

    deployment = connection.deployment
    identity = LogIdentity(deployment.chain_id, connection.contract.address, state.operator)
    if not vouches(facts, state.agent, identity):
        return {"signed": False}
    fields = FOUND_DEAD_FIELDS if is_found_dead(facts) else DEATH_FIELDS
    signed = {name: facts[name] for name, _ in fields if name in facts and name != "agent"}
    return {"signed": True, **signed}


def _row(name: str, state: AgentState, fleet: AgentState, council: Council, block: Block) -> dict[str, Any]:
    votes = max(_open_votes(state), _open_votes(fleet))
    return {
        "agent": name,
        "id": "0x" + state.agent.hex(),
        "state": _word(state, votes),
        "fleet": _word(fleet, _open_votes(fleet)),
        "may_run": state.may_run,
        "epoch": state.epoch,
        "halt_votes": _open_votes(state) if state.state in DECIDED else votes,
        "halt_threshold": council.thresholds.halt,
        "operator": state.operator,
        "paused_until": state.paused_until,
        "lease_until": state.lease_until,
        "resume_ready_at": state.resume_ready_at,
        "head": {
            "size": state.head.size,
            "root": "0x" + state.head.root.hex(),
            "anchored_at": state.head.anchored_at,
        },
        "block": {
            "number": block.number,
            "hash": "0x" + block.hash.hex(),
            "age_s": int(time.time()) - block.timestamp,
        },
        "policy": "none configured: every action is allowed while the agent may run",
    }


def _open_votes(state: AgentState) -> int:
    """Votes to halt that still ask for something: those that halted it already don't."""
    return 0 if state.state in DECIDED else state.halt_votes


def _word(state: AgentState, votes: int) -> str:
    if state.state is State.NONE:
        return "unregistered"
    return "voting" if state.state is State.RUNNING and votes else state.state.name.lower()


def _lasting(rows: list[dict[str, Any]]) -> list[Any]:
    """What counts as a change: not the block's age nor the pulse's."""
    keys = ("agent", "state", "fleet", "may_run", "epoch", "halt_votes", "head")
    return [
        [row[key] for key in keys]
        + [row["guard"]["alive"], row["guard"]["verdict"], row["endpoints"]["dissent"].keys(), row["death"]]
        for row in rows
    ]


def _verdict(row: dict[str, Any]) -> Line:
    fleet = "" if row["fleet"] in ("running", "voting") else f"; the whole fleet is {row['fleet']}"
    word = "may run" if row["may_run"] else "may not run"
    return Line(Word(f"{row['agent']} is {row['state']}{fleet}: {word}", _style(row)))


def _style(row: dict[str, Any]) -> str:
    return STYLES.get(row["state"], YELLOW) if row["may_run"] or row["state"] != "running" else RED


def _facts(row: dict[str, Any]) -> Facts:
    guard, lag, death = row["guard"], row["anchor_lag"], row["death"]
    alive = (
        f"alive, {guard['verdict']} ({guard['reason']}), {guard['sandbox']}"
        if guard["alive"]
        else "none on this host"
    )
    return Facts(
        [
            ("id", Hash(row["id"])),
            ("epoch", row["epoch"]),
            ("halt votes", f"{row['halt_votes']} of {row['halt_threshold']}"),
            ("operator", Hash(row["operator"])),
            ("log anchored", f"{row['head']['size']} entries"),
            ("log root", Hash(row["head"]["root"])),
            ("last anchor", Time(row["head"]["anchored_at"])),
            ("waiting", f"{lag['entries']} entries, {lag['seconds']:.0f} s" if lag else None),
            *_witnesses(row["witnesses"]),
            ("guard", alive),
            *_deaths(death),
            ("paused until", Time(row["paused_until"])),
            ("resumes from", Time(row["resume_ready_at"])),
            ("block", f"{row['block']['number']}, {row['block']['age_s']} s old"),
            ("endpoints", f"{row['endpoints']['agree']} of {row['endpoints']['total']} agree"),
            *((f"at {name}", Word(said, YELLOW)) for name, said in row["endpoints"]["dissent"].items()),
            ("policy", row["policy"]),
        ]
    )


def _witnesses(said: dict[str, Any] | None) -> list[tuple[str, Cell]]:
    if said is None or not said["total"]:
        return []
    count = f"{said['cosigned']} of {said['total']} have cosigned the newest anchored head"
    return [
        ("witnesses", count if said["cosigned"] == said["total"] else Word(count, YELLOW)),
        *((f"at {name}", Word(str(trouble), YELLOW)) for name, trouble in said["trouble"].items()),
    ]


def _deaths(death: dict[str, Any] | None) -> list[tuple[str, Cell]]:
    from agent_guard.cli.audit_shown import in_words

    if death is None:
        return []
    if not death["signed"]:
        return [("last death", Word("the receipt here is not signed by the operator on chain", YELLOW))]
    if "found" in death:
        return [
            ("last death", "not known when: its guard was killed"),
            ("found dead", Time(death["found"] / 1000)),
            ("receipt", f"signed by the operator: {death['known']}, {death['mode']}"),
        ]
    return [
        ("last death", Time(death["dead"] / 1000)),
        ("stages", in_words(death)),
        ("receipt", f"signed by the operator: {death['processes']} processes, {death['mode']}"),
    ]


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        ("agent", "state", "may run", "epoch", "halt votes", "log", "guard here"),
        [
            (
                row["agent"],
                Word(row["state"], _style(row)),
                row["may_run"],
                row["epoch"],
                f"{row['halt_votes']} of {row['halt_threshold']}",
                f"{row['head']['size']} anchored",
                "alive" if row["guard"]["alive"] else "-",
            )
            for row in rows
        ],
        empty="No agent is registered. Signers register one with: agent-guard agent register",
    )
