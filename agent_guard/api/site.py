"""The HTTP application that serves a published log: static files, read-only, for any cache and any client (C2SP).

Guarantees: answers for the files that the checkpoint covers and for no others, however a path is spelled and wherever a
link in the folder leads: what a mirror wrote and has not checked yet gets into no cache. Tiles may be cached for ever,
the checkpoint for seconds, and so the operator's signature of its head, which is given only if it is of that very head.
Every page in a browser may read them (CORS): they are public. Trusts the folder's files.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent_guard.checkpoint import NoteError, parse
from agent_guard.tlog import CHECKPOINT, FormatError, parse_path
from agent_guard.typed_data import MalformedBallot, SignedHead
from agent_guard.typed_data.signed_head import MAX_FILE, SIGNED_HEAD

CHECKPOINT_SECONDS = 5
_OPEN = {"access-control-allow-origin": "*", "x-content-type-options": "nosniff"}
_FRESH = _OPEN | {"cache-control": f"max-age={CHECKPOINT_SECONDS}, must-revalidate"}
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_BYTES = "application/octet-stream"


def site_app(root: Path) -> Starlette:
    """Serves the folder `root`, as `log.publish` or a mirror keeps it."""

    async def file(request: Request) -> Response:
        path = request.path_params["path"]
        found = root / path
        if path == SIGNED_HEAD:
            return _signed_head(root, found)
        if not _is_of_the_log(root, path) or not _lies_in(root, found):
            return PlainTextResponse("no such file of this log\n", 404, headers=_OPEN)
        if path == CHECKPOINT:
            return FileResponse(found, media_type=_TEXT, headers=_FRESH)
        cached = "public, max-age=31536000, immutable"
        if path.startswith("content/"):
            cached = "no-cache"  # what is erased must not live on in a cache
        return FileResponse(found, media_type=_BYTES, headers=_OPEN | {"cache-control": cached})

    # The most that is compressed at once is one bundle: some milliseconds.
    packed = Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)
    return Starlette(routes=[Route("/{path:path}", file, methods=["GET", "HEAD"])], middleware=[packed])


def _signed_head(root: Path, file: Path) -> Response:
    """What lies beside the checkpoint, read here and given only if it is of the same head."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE + 1) if _lies_in(root, file) else b""
        head, held = SignedHead.decode(data.decode()), parse((root / CHECKPOINT).read_text())
        if (head.size, head.root) == (held.size, held.root):
            return Response(data, media_type=_JSON, headers=_FRESH)
    except (MalformedBallot, NoteError, OSError, UnicodeDecodeError):
        pass
    return PlainTextResponse("no signed head of this checkpoint\n", 404, headers=_FRESH)


def _lies_in(root: Path, file: Path) -> bool:
    """Whether the file is there, and in the folder: a link out of it would publish what nobody meant to."""
    return file.is_file() and file.resolve().is_relative_to(root.resolve())


def _is_of_the_log(root: Path, path: str) -> bool:
    if path == CHECKPOINT:
        return True
    is_content = path.startswith("content/")
    try:
        tile = parse_path(path.replace("content/", "tile/entries/", 1) if is_content else path)
        size = parse((root / CHECKPOINT).read_text()).size
    except (FormatError, NoteError, OSError, UnicodeDecodeError):
        return False
    return tile.is_covered(size) and (tile.level is None or not is_content)
