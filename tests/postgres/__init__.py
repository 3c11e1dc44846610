"""A real PostgreSQL server for the tests: made anew, on a free port of this host, and ended by its process id."""

from tests.postgres.server import Server

__all__ = ["Server"]
