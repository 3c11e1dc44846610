"""`agent-guard log erase`: removes what an entry holds, on record, while every proof still stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_guard.cli.log import Guard, Seq, words_of
from agent_guard.cli.options import Agent, Json, Network, RpcUrl, Yes, confirm, settings
from agent_guard.cli.output import Facts, Hash, Line, Output

if TYPE_CHECKING:
    from agent_guard.log.erasure import Erased
    from agent_guard.log.reading import LogEntry

Reason = Annotated[
    str,
    typer.Option(
        "--reason", metavar="TEXT", help="Why. It is content itself: hashed in public, readable here."
    ),
]
GOES = "the content and its salt, for good: nobody can prove any more what they were"
STAYS = (
    "the entry: whose it is, its place, kind and time, its block, public numbers and hashes; and every proof"
)
ELSEWHERE = (
    "backups of the log, copies made with --content until they follow, reports and files that were handed on"
)


def erase(
    agent: Agent,
    seq: Seq,
    reason: Reason,
    guard: Guard = False,
    yes: Yes = False,
    network: Network = None,
    rpc_url: RpcUrl = None,
    as_json: Json = False,
) -> None:
    """Erase an entry's content and salt from this host's log, and record that and why.

    The entry itself stays, and so does every proof; an audit says that it was erased on purpose. Run it as the user
    who runs the guard. A running guard is handed the order over its own socket; else this command does it itself.
    """
    from agent_guard.log.reading import get
    from agent_guard.typed_data import agent_id
    from agent_guard.types import FLEET
    from agent_guard.wiring.auditing import connect_or_say_why, find_log, open_log
    from agent_guard.wiring.erasing import Order
    from agent_guard.wiring.erasing import erase as carry_out

    out, chosen = Output(as_json), settings(network=network, rpc_url=rpc_url)
    where = find_log(chosen, connect_or_say_why(chosen), agent_id(agent), None)
    with open_log(where, chosen.store_password_file) as reader:
        found = get(reader, seq, FLEET if guard else agent_id(agent))
        identity = reader.identity()
    _explain(out, agent, found, reason)
    confirm(out, f"Erase it? [{agent}]", agent, yes)
    wanted = Order(None if guard else agent, seq, reason)
    _report(out, agent, found, *carry_out(chosen, Path(where), identity, wanted))


def _explain(out: Output, agent: str, found: "LogEntry", reason: str) -> None:
    out.narrate(f"entry {found.entry.index} of {agent}: {words_of(found)}")
    out.narrate_facts(
        [
            ("goes", GOES),
            ("stays", STAYS),
            ("not reached", ELSEWHERE),
            ("reason", reason),
        ]
    )


def _report(out: Output, agent: str, found: "LogEntry", done: "Erased", by_guard: bool) -> None:
    said = "was erased before" if done.repeated else "is erased"
    detail = {
        "seq": done.index,
        "record": done.record,
        "repeated": done.repeated,
        "by": "guard" if by_guard else "command",
    }
    anchored = "with the guard's next anchor" if by_guard else "when its guard runs next"
    out.result(
        {"target": agent, "applied": not done.repeated, "tx": None, "detail": detail},
        Line(f"the content of entry {done.index} {said}; entry {done.record} says so"),
        Facts(
            [
                ("erased by", "the running guard" if by_guard else "this command, for no guard runs"),
                ("record anchored", None if done.repeated else anchored),
                ("leaf hash", Hash(found.leaf)),
            ]
        ),
    )
