"""A witness of other people's logs (C2SP `tlog-witness`): cosigns what extends all that it saw of a log before.

`decision.py` says what a request deserves (pure); `witness.py` checks the signatures, takes a turn at the memory
(`store/ledger.py`) and cosigns. Trusts the keys that it was told are the logs', and nobody else; a log's operator who
wants two histories must find a witness that forgets.
"""

from agent_guard.witness.decision import Answer
from agent_guard.witness.witness import Witness, trusted_logs

__all__ = ["Answer", "Witness", "trusted_logs"]
