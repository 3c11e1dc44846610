"""What an entry of the log says, in words for people who never saw the project: one sentence each.

Guarantees: one line of harmless characters (`agent_guard.text`), never longer than asked for, whatever an agent, a
signer or a forger wrote; never raises for a content of an unexpected shape, for nobody has checked it. It escapes for
no syntax. Quotes the log and vouches for none of it. Pure.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from agent_guard import text
from agent_guard.entry import Entry, Kind
from agent_guard.typed_data.death import HOW_KNOWN, is_found_dead

LIMIT = 160
"""Characters of a sentence, unless told otherwise."""
_VALUE = 60
UNREADABLE = "its content is not canonical JSON"
"""Of a content that is there, and that nobody may read: two readers could take it for two things."""


def in_words(
    entry: Entry,
    content: Any,
    erased: bool = False,
    limit: int = LIMIT,
    record: tuple[int, Any] | None = None,
) -> str:
    """What an entry says, in a sentence of at most `limit` characters.

    Args:
        content: its content, any JSON value; ignored where `erased`.
        record: where it was erased on purpose, the index and the content of the entry that says so.
    """
    if erased:
        return text.clean(
            without_content(entry) if record is None else without_content(entry, erased_by(*record)), limit
        )
    said = content if isinstance(content, Mapping) else {"content": content}
    return text.clean(_SAY[entry.kind](entry, said), limit)


def without_content(entry: Entry, why: str = "its content is not there") -> str:
    """What an entry says by its public part alone, and why no more is said."""
    if entry.kind is Kind.DEATH:  # what matters of a death is public
        return _death(entry, {})
    return text.clean(f"{_WITHOUT[entry.kind]} ({why})")


def erased_by(index: int, said: Any = None) -> str:
    """That a content was erased on purpose, as entry `index` records, whose own content (the reason) is `said`."""
    reason = said.get("reason") if isinstance(said, Mapping) else None
    why = f": {_value(reason)}" if reason else ""
    return f"erased, on record in entry {index}{why}"


def _intent(entry: Entry, said: Mapping[str, Any]) -> str:
    if "tool" not in said:
        return f"asked to act: {_json(said)}"
    return f"asked to act: {_value(said['tool'])} {_pairs(said.get('arguments'))}"


def _outcome(entry: Entry, said: Mapping[str, Any]) -> str:
    result = said.get("result")
    shown = f", {_value(result)}" if result not in (None, "", {}, []) else ""
    return f"answered: {_value(said.get('status', 'unknown'))}{shown} (entry {entry.refers_to})"


def _refused(entry: Entry, said: Mapping[str, Any]) -> str:
    what = f" {_value(said['tool'])}" if "tool" in said else ""
    which = f" (entry {entry.refers_to} taken back)" if entry.refers_to is not None else ""
    return f"refused{what}{which}: {said.get('reason', _json(said))}"


def _decision(entry: Entry, said: Mapping[str, Any]) -> str:
    return f"decided on entry {entry.refers_to}: {_json(said)}"


def _start(entry: Entry, said: Mapping[str, Any]) -> str:
    allowed = f", allowed at block {entry.block.number}" if entry.block else ""
    return f"started{_in(said.get('mode'))}{allowed}"


def _death(entry: Entry, said: Mapping[str, Any]) -> str:
    dead, meta = entry.meta.get("dead"), entry.meta
    if is_found_dead(meta):
        return _found_dead(entry)
    for stage, since in _SINCE:
        start = meta.get(stage)
        if type(dead) is int and type(start) is int:
            when = f"{dead - start} ms after" if dead >= start else f"{start - dead} ms before"
            return f"dead {when} {since}"
    return "dead"


def _found_dead(entry: Entry) -> str:
    found, known = entry.meta.get("found"), HOW_KNOWN.get(str(entry.meta.get("known")))
    when = f" at {text.iso(found / 1000)}" if type(found) is int else ""
    how = f" ({known})" if known else ""
    return f"found dead{when} by the next guard{how}: the life of entry {entry.refers_to}; when it died is not known"


_SINCE = (
    ("block", "the halt's block"),
    ("quorum", "the deciding ballot"),
    ("seen", "the guard saw the stop"),
)


def _exit(entry: Entry, said: Mapping[str, Any]) -> str:
    if why := said.get("not_started"):
        return f"could not be started ({_value(why)})"
    planned = f", told to stop: {said['stopping']}" if said.get("stopping") else ""
    return f"ended by itself, exit code {_value(said.get('exit_code'))}{planned}"


def _ballot(entry: Entry, said: Mapping[str, Any]) -> str:
    try:
        ballot = json.loads(str(said.get("ballot")))["ballot"]
        whose = f"{_value(ballot['signer'])} to {_value(ballot['action'])}"
    except (ValueError, TypeError, LookupError, RecursionError):
        whose = "a signer"
    refused = said.get("refused")
    became = "counted" if refused is None else f"not counted, {_value(refused)}"
    return f"ballot of {whose} handed to the guard itself: {became}"


def _dissent(entry: Entry, said: Mapping[str, Any]) -> str:
    endpoints = said.get("endpoints")
    return (
        f"endpoints differ from the quorum: {_pairs(endpoints)}" if endpoints else "the endpoints agree again"
    )


def _config(entry: Entry, said: Mapping[str, Any]) -> str:
    command = said.get("command")
    ran = " ".join(map(_value, command)) if isinstance(command, list) else _json(said)
    return f"set up{_in(said.get('sandbox'))}: {ran}"


def _erasure(entry: Entry, said: Mapping[str, Any]) -> str:
    return (
        f"erased the content of entry {entry.refers_to}; the reason given: {said.get('reason', _json(said))}"
    )


def _because(verb: str) -> Callable[[Entry, Mapping[str, Any]], str]:
    return lambda entry, said: f"{verb}: {said['reason']}" if said.get("reason") else verb


def _in(mode: object) -> str:
    return f" in a container ({_value(mode)})" if mode not in (None, "none") else ""


def _pairs(arguments: object) -> str:
    """Arguments as name=value, each value cut short."""
    if not isinstance(arguments, Mapping):
        return "" if arguments is None else _json(arguments)
    return " ".join(f"{text.clean(str(name), _VALUE)}={_value(value)}" for name, value in _few(arguments))


def _few(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [pair for pair, _ in zip(arguments.items(), range(16), strict=False)]


def _value(value: object) -> str:
    return text.clean(value if isinstance(value, str) else _json(value), _VALUE)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


_SAY: Mapping[Kind, Callable[[Entry, Mapping[str, Any]], str]] = {
    Kind.INTENT: _intent,
    Kind.OUTCOME: _outcome,
    Kind.REFUSED: _refused,
    Kind.DECISION: _decision,
    Kind.START: _start,
    Kind.FREEZE: _because("frozen"),
    Kind.STOPPING: _because("told of a planned stop"),
    Kind.THAW: lambda entry, said: "goes on after a freeze",
    Kind.HALT: _because("killed"),
    Kind.DEATH: _death,
    Kind.RESUME: lambda entry, said: "may run again, on the council's word",
    Kind.EXIT: _exit,
    Kind.BALLOT: _ballot,
    Kind.DISSENT: _dissent,
    Kind.CONFIG: _config,
    Kind.ERASURE: _erasure,
}
_WITHOUT: Mapping[Kind, str] = {
    Kind.INTENT: "asked to act",
    Kind.OUTCOME: "answered",
    Kind.REFUSED: "refused",
    Kind.DECISION: "decided on a request",
    Kind.START: "started",
    Kind.FREEZE: "frozen",
    Kind.STOPPING: "told of a planned stop",
    Kind.THAW: "goes on after a freeze",
    Kind.HALT: "killed",
    Kind.DEATH: "dead",
    Kind.RESUME: "may run again, on the council's word",
    Kind.EXIT: "ended by itself",
    Kind.BALLOT: "a ballot was handed to the guard",
    Kind.DISSENT: "word of the endpoints",
    Kind.CONFIG: "set up",
    Kind.ERASURE: "erased an entry's content",
}
