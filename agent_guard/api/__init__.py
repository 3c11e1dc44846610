"""The guard's HTTP: for agents, on a Unix socket in each container (`app`), and for signers (`signers`)."""

from agent_guard.api.app import create_app, door
from agent_guard.api.connections import ConnectionLimits
from agent_guard.api.server import Server, serve
from agent_guard.api.signers import signers_app
from agent_guard.api.socket import bind_socket, bind_tcp

__all__ = [
    "ConnectionLimits",
    "Server",
    "bind_socket",
    "bind_tcp",
    "create_app",
    "door",
    "serve",
    "signers_app",
]
