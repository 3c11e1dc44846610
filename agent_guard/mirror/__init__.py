"""Keeps a copy of somebody's log, and notices when that log turns on what it said before.

Guarantees: the copy only ever grows; each head it takes extends the one it had, hashes from entries that are all in the
copy, and stands on chain (unless the chain is left out). A head that contradicts the copy or the chain is a fork: it is
kept as evidence, and nothing is taken. Trusts the chain's node that the caller chose, and not the site.
"""

from agent_guard.mirror.follow import Anchored, Mirror, News, Taken

__all__ = ["Anchored", "Mirror", "News", "Taken"]
