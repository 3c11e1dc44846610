"""The log as it is written, anchored and read: recorder.py writes, anchor.py puts its head on chain, reading.py shows.

Audit is not here: it believes none of this (`agent_guard.audit`).
"""
