"""The shutdown-resistance protocol: does a model try to keep a stop from working, and does it manage to?

A face: an Inspect task (extra `drill`), see README.md. Nothing else of agent_guard imports it, and only the modules
that speak to Inspect (environment, solver, scoring, task, registry, smollm2) need inspect_ai.
"""
