"""`python -m agent_guard` is the program `agent-guard`."""

from agent_guard.cli.main import main

main()
