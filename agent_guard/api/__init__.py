"""The guard's HTTP: for agents, on a Unix socket in each container (`app`), and for signers (`signers`);
and a witness's (`witness`)."""

from agent_guard.api.app import create_app, door
from agent_guard.api.connections import ConnectionLimits
from agent_guard.api.server import Server, serve
from agent_guard.api.signers import signers_app
from agent_guard.api.socket import bind_socket, bind_tcp, parse_address
from agent_guard.api.witness import witness_app

__all__ = [
    "ConnectionLimits",
    "Server",
    "bind_socket",
    "bind_tcp",
    "create_app",
    "door",
    "parse_address",
    "serve",
    "signers_app",
    "witness_app",
]
