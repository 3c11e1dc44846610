"""Erases an entry's content in this host's log: here, if nobody writes it, else by the guard that does."""

from dataclasses import dataclass
from pathlib import Path

from agent_guard.errors import GuardError
from agent_guard.log.erasure import Erased, Eraser
from agent_guard.log.ordering import order
from agent_guard.log.recorder import Recorder
from agent_guard.session.places import Places
from agent_guard.settings import Settings
from agent_guard.types import LogIdentity
from agent_guard.wiring.storing import open_store


@dataclass(frozen=True, slots=True)
class Order:
    """What to erase: entry `index` of the agent of that name, or (None) of the guard's own; and why."""

    agent: str | None
    index: int
    reason: str


def erase(settings: Settings, path: Path, identity: LogIdentity, wanted: Order) -> tuple[Erased, bool]:
    """What was erased, and whether a running guard did it.

    Args:
        path: the log's file, if it is one.

    Raises:
        GuardError: AG51x, AG55x the log can't be written, AG580 its guard can't be reached, and what `Eraser.erase`
            raises.
    """
    try:
        return _erase_here(settings, path, identity, wanted), False
    except GuardError as error:
        if error.code != "AG511":
            raise
    socket = Places(settings.home, settings.network, identity.operator, "").signers_socket
    return order(socket, wanted.agent, wanted.index, wanted.reason), True


def _erase_here(settings: Settings, path: Path, identity: LogIdentity, wanted: Order) -> Erased:
    """As the log's writer, whom no other can join; the record names no block, for none was read."""
    with open_store(settings, path, identity) as store:
        recorder = Recorder(store, block=lambda: None)
        try:
            eraser = Eraser(store, recorder)
            erased = eraser.erase(wanted.agent, wanted.index, wanted.reason)
            eraser.finish()  # what was recorded and not done before
            return erased
        finally:
            recorder.close()
