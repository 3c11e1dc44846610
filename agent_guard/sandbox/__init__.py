"""The container that an agent can't leave, and the kill that leaves nothing of it alive (kill path).

Imports the standard library and the core only. README.md says what is guaranteed, what is trusted, and the known ways
around.
"""
