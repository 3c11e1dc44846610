"""The order to erase over HTTP: on the Unix socket's application alone, one at a time, and nothing but well-formed."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from agent_guard.api import create_app, signers_app
from agent_guard.errors import GuardError
from agent_guard.guard.watcher import Watcher
from agent_guard.log.erasure import Erased
from agent_guard.session.desk import BallotDesk

pytestmark = pytest.mark.unit
JSON = {"content-type": "application/json"}
ORDER = {"agent": "scout", "seq": 7, "reason": "asked for"}


@dataclass
class Eraser:
    """Notes what it was told, and may fail or wait."""

    error: GuardError | None = None
    waits: threading.Event | None = None
    told: list[tuple[str | None, int, str]] = field(default_factory=list)

    def erase(self, agent: str | None, index: int, reason: str) -> Erased:
        self.told.append((agent, index, reason))
        if self.waits is not None:
            assert self.waits.wait(60)
        if self.error is not None:
            raise self.error
        return Erased(index, 99, repeated=False)


def desk(folder: Path) -> BallotDesk:
    return BallotDesk(cast(Watcher, None), lambda ballots: None, folder)


def no_report() -> Any:
    raise AssertionError("nobody asked for it")


def ask(app: Any, *bodies: bytes, **headers: str) -> list[httpx.Response]:
    async def requests() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
            sent = [client.post("/v1/erasures", content=body, headers=JSON | headers) for body in bodies]
            return list(await asyncio.gather(*sent))

    return asyncio.run(requests())


@pytest.fixture
def eraser() -> Eraser:
    return Eraser()


@pytest.fixture
def app(eraser: Eraser, tmp_path: Path) -> Any:
    return signers_app(desk(tmp_path).take, no_report, erase=eraser.erase)


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_order_is_carried_out_and_answered_with_its_record(app: Any, eraser: Eraser) -> None:
    [response] = ask(app, json.dumps(ORDER).encode())
    assert (response.status_code, response.json()) == (
        200,
        {"erased": True, "seq": 7, "record": 99, "repeated": False},
    )
    ask(app, json.dumps({**ORDER, "agent": None}).encode())
    assert eraser.told == [("scout", 7, "asked for"), (None, 7, "asked for")]


@pytest.mark.parametrize(
    "change",
    [
        {"seq": -1},
        {"seq": "7"},
        {"seq": True},
        {"seq": 2**53},
        {"seq": 7.5},
        {"agent": ""},
        {"agent": "x" * 257},
        {"agent": 7},
        {"reason": ""},
        {"reason": "x" * 1_001},
        {"reason": None},
        {"until": 9},
    ],
    ids=str,
)
def test_order_of_another_shape_erases_nothing(app: Any, eraser: Eraser, change: dict[str, Any]) -> None:
    [response] = ask(app, json.dumps(ORDER | change).encode())
    assert code(response) in ((422, "AG610"), (400, "AG608"))
    assert eraser.told == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 422), (b"{", 400), (b"\xff", 400), (b'{"seq":1,"seq":2}', 400), (b"[" * 9_999, 400)],
    ids=str,
)
def test_what_is_no_object_erases_nothing(app: Any, eraser: Eraser, body: bytes, status: int) -> None:
    assert code(ask(app, body)[0])[0] == status
    assert eraser.told == []


def test_body_beyond_16_kib_another_type_and_a_browsers_page_are_refused(app: Any, eraser: Eraser) -> None:
    assert code(ask(app, b" " * 16_385)[0]) == (413, "AG607")
    assert code(ask(app, b"{}", **{"content-type": "text/plain"})[0]) == (415, "AG609")
    assert code(ask(app, json.dumps(ORDER).encode(), origin="http://evil.example")[0]) == (403, "AG318")
    assert eraser.told == []


@pytest.mark.parametrize(
    ("raised", "status"), [("AG540", 404), ("AG581", 409), ("AG582", 503), ("AG521", 503)]
)
def test_failure_is_told_with_its_code(app: Any, eraser: Eraser, raised: str, status: int) -> None:
    eraser.error = GuardError(raised, "No.", "Try.")
    assert code(ask(app, json.dumps(ORDER).encode())[0]) == (status, raised)


def test_second_order_at_the_same_time_is_put_off_and_health_answers_meanwhile(
    app: Any, eraser: Eraser
) -> None:
    eraser.waits = threading.Event()

    async def both() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
            first = asyncio.create_task(client.post("/v1/erasures", content=json.dumps(ORDER), headers=JSON))
            while not eraser.told:  # noqa: ASYNC110 - told on another thread
                await asyncio.sleep(0.01)
            second = await client.post("/v1/erasures", content=json.dumps(ORDER), headers=JSON)
            health = await client.get("/health")
            assert eraser.waits is not None
            eraser.waits.set()
            return await first, second, health

    first, second, health = asyncio.run(both())
    assert (first.status_code, code(second), health.status_code) == (200, (503, "AG583"), 200)
    assert len(eraser.told) == 1


def test_port_has_no_such_path_and_none_can_be_given_to_it(eraser: Eraser, tmp_path: Path) -> None:
    port = signers_app(desk(tmp_path).take, no_report, "127.0.0.1")
    assert code(ask(port, json.dumps(ORDER).encode())[0]) == (404, "AG614")
    with pytest.raises(ValueError, match="strangers"):
        signers_app(desk(tmp_path).take, no_report, "127.0.0.1", erase=eraser.erase)


def test_agents_api_has_no_such_path_under_any_method() -> None:
    app = create_app()
    assert not [path for path in app.openapi()["paths"] if "eras" in path]
    assert code(ask(app, json.dumps(ORDER).encode())[0]) == (404, "AG614")


def test_description_names_the_order_where_it_is_taken_and_only_there(app: Any, tmp_path: Path) -> None:
    async def paths(app: Any, host: str) -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=host) as client:
            return (await client.get("/openapi.json")).json()["paths"]

    assert "/v1/erasures" in asyncio.run(paths(app, "http://guard"))
    port = signers_app(desk(tmp_path).take, no_report, "127.0.0.1")
    assert "/v1/erasures" not in asyncio.run(paths(port, "http://127.0.0.1:1"))
