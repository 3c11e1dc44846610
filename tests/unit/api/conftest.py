"""The server stands before the gate of the gate's own tests."""

from tests.unit.gate.conftest import gate, log, make_gate, situation

__all__ = ["gate", "log", "make_gate", "situation"]
