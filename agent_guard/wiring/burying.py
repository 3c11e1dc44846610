"""Before a guard's agents start: what an earlier guard that was killed left of them, looked for and recorded."""

import time
from collections.abc import Mapping
from functools import partial

from eth_account.signers.local import LocalAccount

from agent_guard import typed_data
from agent_guard.entry import Kind
from agent_guard.errors import GuardError
from agent_guard.log.recorder import Recorder
from agent_guard.session.events import Step
from agent_guard.session.found_dead import Books, Looked, look, record
from agent_guard.session.life_note import remove_life
from agent_guard.session.places import Places
from agent_guard.session.pulse import keep_death
from agent_guard.store import Reader
from agent_guard.wiring import Connection
from agent_guard.wiring.recording import sign_death

RECORD_SECONDS = 60.0


def look_for_lives(places: Mapping[str, Places]) -> list[Looked]:
    """The lives, of these agents, of which an earlier guard left a note, as they are found now."""
    looks = (look(name, place.life, _now_ms) for name, place in places.items())
    return [looked for looked in looks if looked is not None]


def record_lives(
    looked: list[Looked],
    places: Mapping[str, Places],
    connection: Connection,
    operator: LocalAccount,
    recorder: Recorder,
    reader: Reader,
) -> list[Step]:
    """Records those that were found dead; what is to be told. Raises what the store raises, AG521."""
    books = Books(
        reader=reader,
        write=partial(_write, recorder),
        sign=partial(sign_death, connection, operator),
        keep=lambda agent, facts: keep_death(places[agent].death, facts),
        forget=lambda agent: remove_life(places[agent].life),
    )
    steps = (record(one, typed_data.agent_id(one.agent), books) for one in looked)
    return [step for step in steps if step is not None]


def _write(
    recorder: Recorder, agent: str, content: dict[str, object], life: int, facts: dict[str, int | str]
) -> None:
    try:
        recorder.append(agent, Kind.DEATH, content, refers_to=life, meta=facts).result(RECORD_SECONDS)
    except TimeoutError as error:
        raise GuardError(
            "AG521",
            f"That {agent} was found dead was not on disk after {RECORD_SECONDS:g} s. Nothing was started.",
            "Check the disk, or the server, that holds the guard's log.",
        ) from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
