"""The HTTP API that the guard puts inside an agent's container, on a Unix socket (see `app` and `server`)."""

from agent_guard.api.app import create_app, door
from agent_guard.api.connections import ConnectionLimits
from agent_guard.api.server import Server, serve
from agent_guard.api.socket import bind_socket

__all__ = ["ConnectionLimits", "Server", "bind_socket", "create_app", "door", "serve"]
