"""A log as static files: the tiles, entry bundles and signed checkpoint of C2SP `tlog-tiles`, in a folder or on a site.

`source.py` and `site.py` fetch files, `log.py` reads them as a log (the shapes of `store.rows`), `folder.py` writes
them. Beside the files of the specification lies the content that entries commit to, as far as it was exported:

    content/<N>[.p/<W>]   named as the entry bundle of the same entries; for each entry a big-endian uint32 length, and
                          that many bytes: its salt (32) and its content. Length 0: not exported, or erased.
    head.json             the checkpoint's head with its operator's EIP-712 signature, which a contract can check
                          (`typed_data.SignedHead`); may be left out (signed.py).

Guarantees: what a file declares of its length is bounded before it is read; a file of another shape is AG515, named.
Trusts neither folder nor site: whether hashes fit the entries, the checkpoint and the chain is for the auditor.
"""

from agent_guard.store.tiles.folder import TileFolder
from agent_guard.store.tiles.log import TileLog
from agent_guard.store.tiles.source import Folder, Source

__all__ = ["Folder", "Source", "TileFolder", "TileLog"]
