"""Opens the places where logs are published."""

from pathlib import Path

from agent_guard.store.tiles import Folder, Source, TileLog
from agent_guard.store.tiles.site import Site


def source_of(where: str) -> Source:
    """The files of a tiled log: those of a site, if it is the URL of one, else of a folder."""
    return Site(where) if is_url(where) else Folder(Path(where))


def check_published(folder: Path) -> None:
    """Raises AG510 if no log lies in a folder, AG515 if what lies there is none."""
    TileLog(Folder(folder))


def is_url(where: str) -> bool:
    return where.startswith(("http://", "https://"))
