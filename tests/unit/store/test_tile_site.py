"""A site that a log is read from, as bad as sites get: endless, slow, packed a thousandfold, or broken off."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from agent_guard.errors import GuardError
from agent_guard.store.tiles import site as sites
from agent_guard.store.tiles.site import Site
from agent_guard.store.tiles.source import CHUNK, read

pytestmark = pytest.mark.unit

DATA = bytes(range(256)) * 1_000
MIB = 1 << 20


class Pieces(httpx.AsyncByteStream):
    """A body that comes as it is told; counts what was taken of it."""

    def __init__(self, *pieces: bytes, pause: float = 0.0, endless: bool = False) -> None:
        self.pieces, self.pause, self.endless, self.given = pieces, pause, endless, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            for piece in self.pieces:
                await asyncio.sleep(self.pause)
                self.given += len(piece)
                yield piece
            if not self.endless:
                return


def site(answer: Callable[[httpx.Request], httpx.Response]) -> Site:
    return Site("http://site/log/", httpx.MockTransport(answer))


def giving(body: Pieces | bytes, status: int = 200, **headers: str) -> Site:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    pieces = Pieces(body) if isinstance(body, bytes) else body
    return site(lambda request: httpx.Response(status, headers=named, stream=pieces))


def refusal(source: Site, path: str = "checkpoint", most: int = MIB) -> GuardError:
    with pytest.raises(GuardError) as refused:
        read(source, path, most)
    return refused.value


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (DATA, {}),
        (DATA, {"content_encoding": "identity"}),
        (gzip.compress(DATA), {"content_encoding": "gzip"}),
        (Pieces(*(bytes([byte]) for byte in gzip.compress(DATA))), {"content_encoding": "GZIP"}),
    ],
)
def test_file_is_the_same_however_it_travels(body, headers):
    assert read(giving(body, **headers), "checkpoint", MIB) == DATA


def test_path_is_asked_for_below_the_prefix_and_gzip_is_all_that_is_taken():
    asked: list[httpx.Request] = []
    read(
        site(lambda request: asked.append(request) or httpx.Response(200, stream=Pieces(b"x"))),
        "tile/0/000",
        10,
    )
    assert str(asked[0].url) == "http://site/log/tile/0/000"
    assert asked[0].headers["accept-encoding"] == "gzip"


def test_missing_file_is_missing():
    with pytest.raises(FileNotFoundError):
        list(giving(b"", 404).chunks("tile/0/000"))


@pytest.mark.parametrize("status", [204, 301, 302, 403, 500, 599])
def test_any_other_answer_is_a_failure_and_no_redirect_is_followed(status):
    failed = refusal(giving(DATA, status, location="http://elsewhere/"))
    assert failed.code == "AG543"
    assert str(status) in failed.message


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd", "gzip, identity", "x" * 500])
def test_what_is_packed_otherwise_is_not_unpacked(encoding):
    failed = refusal(giving(gzip.compress(gzip.compress(DATA)), content_encoding=encoding))
    assert failed.code == "AG543"
    assert "packed" in failed.message
    assert len(failed.message) < 200


@pytest.mark.parametrize("endless", [False, True])
def test_bomb_takes_no_more_memory_than_the_file_may_have(endless):
    bomb = gzip.compress(bytes(256 * MIB))  # 256 KiB
    tracemalloc.start()
    failed = refusal(giving(Pieces(bomb, endless=endless), content_encoding="gzip"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert failed.code == "AG515"
    assert peak < 8 * MIB


def test_pieces_of_a_bomb_are_small():
    source = giving(gzip.compress(bytes(64 * MIB)), content_encoding="gzip")
    assert max(map(len, source.chunks("content/000"))) <= CHUNK


def test_body_without_end_is_given_up_at_the_files_bound():
    body = Pieces(DATA, endless=True)
    assert refusal(giving(body)).code == "AG515"
    assert body.given < 2 * MIB


@pytest.mark.parametrize(
    "body",
    [gzip.compress(DATA)[:-1], gzip.compress(DATA) + b"x", gzip.compress(DATA) * 2, b"", b"no gzip at all"],
)
def test_gzip_that_is_cut_off_or_goes_on_is_refused(body):
    assert refusal(giving(body, content_encoding="gzip")).code == "AG543"


def test_body_that_drips_is_given_up_at_the_deadline(monkeypatch):
    monkeypatch.setattr(sites, "DEADLINE", 0.2)
    failed = refusal(giving(Pieces(b"x", pause=0.01, endless=True)))
    assert failed.code == "AG543"
    assert "not done after 0.2 s" in failed.message


def test_headers_that_never_end_are_given_up_at_the_deadline(monkeypatch):
    async def silent(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(3_600)
        return httpx.Response(200)

    monkeypatch.setattr(sites, "DEADLINE", 0.2)
    failed = refusal(Site("http://site", httpx.MockTransport(silent)))
    assert failed.code == "AG543"
    assert "not done after 0.2 s" in failed.message


@pytest.mark.parametrize("url", ["http://", "http://[::1", "https://\x00", "gopher://site"])
def test_address_that_is_none_is_said(url):
    assert refusal(Site(url)).code == "AG543"


def test_connections_end_with_the_site():
    closed: list[bool] = []

    class Transport(httpx.MockTransport):
        async def aclose(self) -> None:
            closed.append(True)

    source = Site("http://site", Transport(lambda request: httpx.Response(200, stream=Pieces(DATA))))
    read(source, "checkpoint", MIB)
    source.close()
    source.close()
    assert closed == [True]
