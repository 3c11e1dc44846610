"""Drills: what an agent may try against its stop, tried on this host by small programs that do it, and counted.

Whoever measures (`trial`) asks neither the guard nor the agent whether anything is left: it looks for a mark in /proc
and listens on a pipe. Guard and agent of a trial are processes of their own (`post`, `agent`), so that an agent that
ends its guard ends that one only. Everything a drill starts is bounded in number, size and time.
"""
