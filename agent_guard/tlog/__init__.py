"""The files in which a transparency log is handed on, in the formats of C2SP: `tlog-tiles` and `tlog-proof`.

Guarantees: one spelling per tile path, entry bundle and proof; everything else is a `FormatError`, found before
anything of the size that it declares is kept. What was parsed is a claim: `agent_guard.merkle` and a head that the
caller trusts make it more. Trusts nobody. Pure, without I/O.
"""

from agent_guard.tlog.evidence import Evidence, OpenContent, StateProof, decode_evidence
from agent_guard.tlog.form import FormatError
from agent_guard.tlog.proof import HEADING, TlogProof, parse_proof
from agent_guard.tlog.tiles import (
    CHECKPOINT,
    MAX_LEVEL,
    WIDTH,
    Tile,
    bundle_of,
    decode_bundle,
    decode_hashes,
    encode_bundle,
    parse_path,
    subtree_of_tiles,
    tile_of,
    tiles_of,
)

__all__ = [
    "CHECKPOINT",
    "HEADING",
    "MAX_LEVEL",
    "WIDTH",
    "Evidence",
    "FormatError",
    "OpenContent",
    "StateProof",
    "Tile",
    "TlogProof",
    "bundle_of",
    "decode_bundle",
    "decode_evidence",
    "decode_hashes",
    "encode_bundle",
    "parse_path",
    "parse_proof",
    "subtree_of_tiles",
    "tile_of",
    "tiles_of",
]
