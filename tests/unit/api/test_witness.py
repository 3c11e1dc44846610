"""The witness's HTTP face without a socket, over a real witness: statuses, media types, and bounds."""

import asyncio
from pathlib import Path

import httpx
import pytest

from agent_guard.api import witness_app
from agent_guard.checkpoint import MAX_SUBMISSION
from tests.unit.witness.conftest import Log, Stand

pytestmark = pytest.mark.unit


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "witness.sqlite")


def send(stand: Stand, method: str = "POST", path: str = "/add-checkpoint", **more: object) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=witness_app(stand.witness.add_checkpoint))
        async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]

    return asyncio.run(ask())


def test_a_cosignature_is_200_and_signature_lines_alone(stand: Stand) -> None:
    response = send(stand, content=stand.log.submit(0, 3))
    assert response.status_code == 200
    assert response.text.startswith("— witness.example/w1 ")
    assert response.text.endswith("\n")
    assert response.text.count("\n") == 1


def test_another_old_size_is_409_with_the_media_type_of_the_specification(stand: Stand) -> None:
    send(stand, content=stand.log.submit(0, 3))
    response = send(stand, content=stand.log.submit(0, 5))
    assert (response.status_code, response.text) == (409, "3\n")
    assert response.headers["content-type"] == "text/x.tlog.size"


def test_each_refusal_has_its_status(stand: Stand) -> None:
    send(stand, content=stand.log.submit(0, 3))
    asked = {
        404: Log("example.com/unknown").submit(0, 1),
        403: Log(number=3).submit(3, 4),
        400: stand.log.submit(3, 2),
        422: stand.log.submit(3, 5).replace(b"old 3\n", b"old 3\n" + b"A" * 43 + b"=\n"),
        409: stand.log.submit(3, 3, world="b"),
    }
    assert {send(stand, content=body).status_code for body in asked.values()} == set(asked)
    assert {status: send(stand, content=body).status_code for status, body in asked.items()} == {
        status: status for status in asked
    }


def test_a_body_beyond_the_bound_is_413_however_long_it_says_it_is(stand: Stand) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        while True:
            yield b"old 0\n" * 1000

    assert send(stand, content=b"x" * (MAX_SUBMISSION + 1)).status_code == 413
    assert send(stand, content=endless()).status_code == 413
    assert send(stand, content=b"x", headers={"content-length": "9" * 18}).status_code == 413


def test_other_paths_and_methods_are_none(stand: Stand) -> None:
    assert send(stand, path="/").status_code == 404
    assert send(stand, method="GET").status_code == 405
    assert send(stand, path="/add-checkpoint/x", content=stand.log.submit(0, 1)).status_code == 404


def test_a_memory_that_fails_is_503_without_a_cosignature(stand: Stand) -> None:
    stand.ledger._connection.execute("PRAGMA query_only = ON")
    response = send(stand, content=stand.log.submit(0, 1))
    assert response.status_code == 503
    assert "—" not in response.text
