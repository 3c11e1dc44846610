"""A real PostgreSQL server for the tests: made anew, on a free port of this host, and ended by its process id."""

from tests.postgres.server import Server
from tests.postgres.wire import Wire

__all__ = ["Server", "Wire"]
