"""What runs as the agent of a drill: hostile on purpose, and bounded in time, number and size.

Standard library only, and nothing else of agent_guard: it is copied into the trial's folder and runs there as any user,
in any container. Harmless to the host: it writes into its trial's folder, signals exactly the guard of its trial, and
asks other services at most whether they would listen.
"""
