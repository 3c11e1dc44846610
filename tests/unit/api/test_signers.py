"""The signers' application without a socket: a real desk behind it, and for the watcher a rule of the test's."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from eth_account import Account

from agent_guard.api import signers, signers_app
from agent_guard.guard.watcher import Watcher
from agent_guard.session.desk import BallotDesk
from agent_guard.telemetry import AgentReport, Report, WitnessReport
from agent_guard.typed_data import SignedBallot, agent_id, ballot_typed_data
from agent_guard.types import Action, Ballot, Block, Decision, Standing, Verdict

pytestmark = pytest.mark.unit

JSON = {"content-type": "application/json"}
COUNCIL = "0x" + "11" * 20
KEY = Account.from_key(b"\x07" * 32)
BLOCK = Block(7, b"\x07" * 32, 1_700_000_000)


def signed(epoch: int = 1) -> SignedBallot:
    ballot = Ballot(agent_id("scout"), Action.HALT, bytes(32), epoch, 1, KEY.address, 1 << 33, bytes(32))
    message = ballot_typed_data(ballot, 1, COUNCIL)
    return SignedBallot(
        1, COUNCIL, ballot, bytes(Account.sign_typed_data(KEY.key, full_message=message).signature), ""
    )


@dataclass
class Rule:
    """Says of every ballot the same, and notes whose it was."""

    refusal: str | None = None
    offered: list[tuple[SignedBallot, str | None]] = field(default_factory=list)

    def offer(self, ballot: SignedBallot, signer: str | None) -> str | None:
        self.offered.append((ballot, signer))
        return self.refusal


@dataclass
class Door:
    """The application, with a clock of the test's."""

    rule: Rule
    desk: BallotDesk
    listening: str | None = None
    now: float = 1_000.0
    asked: int = 0
    client: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        self.app = signers_app(self.desk.take, self.report, self.listening, lambda: self.now)

    def report(self) -> Report:
        self.asked += 1
        standing = Standing("scout", Verdict(Decision.FREEZE, 'a "reason"'), BLOCK, None)
        return Report(
            at=BLOCK.timestamp + 2.0,
            agents=[AgentReport(standing, "living", 1)],
            endpoints={"http://a": None, "http://b": "says HALTED"},
            needed=1,
            dissents={},
            lag=(3, 0.25),
            ballots=self.desk.counts(),
            witnesses=[
                WitnessReport("w/1", cosigned=True),
                WitnessReport("w/2", cosigned=False, trouble="it can't be reached"),
            ],
        )

    def send(self, method: str, path: str, **details: Any) -> httpx.Response:
        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=self.client)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
                return await client.request(method, path, **details)

        return asyncio.run(request())

    def post(self, content: Any, **headers: str) -> httpx.Response:
        return self.send("POST", "/v1/ballots", content=content, headers=JSON | headers)


Make = Callable[..., Door]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(refusal: str | None = None, **details: Any) -> Door:
        rule = Rule(refusal)
        return Door(
            rule, BallotDesk(cast(Watcher, rule), lambda ballots: None, tmp_path / "ballots"), **details
        )

    return make


def error(response: httpx.Response, status: int, code: str) -> str:
    said = response.json()["error"]
    assert (response.status_code, said["code"]) == (status, code), response.text
    assert set(said) == {"code", "kind", "message", "remedy"}
    return str(said["message"])


# ------------------------------------------------------------------------------------------------------------- ballots


def test_a_ballot_that_counts_is_accepted_under_its_signers_name(make: Make) -> None:
    door = make()
    response = door.post(signed().encode())
    assert (response.status_code, response.json()) == (200, {"accepted": True, "signer": KEY.address})
    assert door.rule.offered == [(signed(), KEY.address)]
    assert door.desk.counts() == {"accepted": 1, "refused": 0, "malformed": 0}


def test_a_ballot_that_does_not_count_is_told_why_with_409(make: Make) -> None:
    door = make("it is for epoch 1; the agent is in epoch 2")
    assert "it is for epoch 1" in error(door.post(signed().encode()), 409, "AG315")
    assert door.desk.counts() == {"accepted": 0, "refused": 1, "malformed": 0}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 60_000,
        b"\xff\xfe",
        signed().encode().replace('"epoch": 1', '"epoch": 1, "epoch": 1').encode(),
        signed().encode().replace("0x", "0X").encode(),
    ],
    ids=["nothing", "an empty object", "brackets without end", "no UTF-8", "a key twice", "other hex"],
)
def test_what_is_no_ballot_is_400_and_reaches_nobody(make: Make, content: bytes) -> None:
    door = make()
    assert "changed nothing" in error(door.post(content), 400, "AG315")
    assert door.rule.offered == []
    assert door.desk.counts()["accepted"] == 0


def test_an_edited_ballot_is_offered_as_nobodys_or_anothers_never_as_its_signers(make: Make) -> None:
    door = make("its signature is not its signer's own")
    text = json.dumps(json.loads(signed().encode()) | {"ballot": json.loads(signed(2).encode())["ballot"]})
    error(door.post(text), 409, "AG315")
    ((_, signer),) = door.rule.offered
    assert signer != KEY.address


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_a_body_beyond_64_kib_is_413(make: Make, announced: bool) -> None:
    async def chunks() -> Any:
        for _ in range(5):
            yield b" " * 16_384

    door = make()
    response = door.post(b" " * 65_537 if announced else chunks())
    assert "65536 bytes" in error(response, 413, "AG607")
    assert response.headers["connection"] == "close"


def test_a_body_that_is_not_announced_as_json_is_415(make: Make) -> None:
    door = make()
    response = door.send(
        "POST", "/v1/ballots", content=signed().encode(), headers={"content-type": "text/plain"}
    )
    error(response, 415, "AG609")
    assert door.rule.offered == []


def test_a_desk_that_has_closed_takes_nothing(make: Make) -> None:
    door = make()
    door.desk.stop()
    assert "was not taken" in error(door.post(signed().encode()), 503, "AG317")


def test_a_flood_is_measured_and_each_door_has_its_own_measure(make: Make) -> None:
    door, other = make("no"), make("no")
    codes = [door.post(signed().encode()).status_code for _ in range(int(signers.BURST) + 2)]
    assert codes == [409] * int(signers.BURST) + [503, 503]
    assert "was not looked at" in error(door.post(signed().encode()), 503, "AG606")
    assert len(door.rule.offered) == signers.BURST
    assert other.post(signed().encode()).status_code == 409

    door.now += 1.01 / signers.RATE

    assert [door.post(signed().encode()).status_code for _ in range(2)] == [409, 503]


# ---------------------------------------------------------------------------------------------------------- the states


def test_status_tells_agents_endpoints_lag_and_ballots(make: Make) -> None:
    door = make()
    door.post(signed().encode())
    door.post(b"{}")
    assert door.send("GET", "/v1/status").json() == {
        "as_of": BLOCK.timestamp + 2.0,
        "block": {"number": 7, "hash": "0x" + "07" * 32, "timestamp": BLOCK.timestamp},
        "agents": [
            {
                "agent": "scout",
                "verdict": "freeze",
                "reason": 'a "reason"',
                "stopping": False,
                "phase": "living",
                "state": None,
                "epoch": None,
                "deaths": 1,
            }
        ],
        "endpoints": {"agree": 1, "needed": 1, "total": 2, "dissent": {"http://b": "says HALTED"}},
        "anchor_lag": {"entries": 3, "seconds": 0.25},
        "ballots": {"accepted": 1, "refused": 0, "malformed": 1},
        "witnesses": {"cosigned": 1, "total": 2, "trouble": {"w/2": "it can't be reached"}},
    }


def test_metrics_are_prometheus_text(make: Make) -> None:
    response = make().send("GET", "/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'agent_guard_verdict{agent="scout",decision="freeze"} 1.0' in response.text.splitlines()


def test_what_is_told_is_made_anew_twice_a_second_at_most(make: Make) -> None:
    door = make()
    for _ in range(10):
        door.send("GET", "/v1/status")
        door.send("GET", "/metrics")
    assert door.asked == 2

    door.now += signers.FRESH_SECONDS
    door.send("GET", "/metrics")

    assert door.asked == 3


def test_health_is_answered_and_what_is_not_there_is_404(make: Make) -> None:
    assert make().send("GET", "/health").json() == {"ok": True}
    error(make().send("GET", "/v1/actions/1"), 404, "AG614")
    error(make().send("DELETE", "/v1/ballots"), 405, "AG614")


def test_the_description_names_every_path_and_status_of_the_door(make: Make) -> None:
    paths = make().send("GET", "/openapi.json").json()["paths"]
    assert set(paths) == {"/v1/ballots", "/v1/status", "/metrics", "/health"}
    assert set(paths["/v1/ballots"]["post"]["responses"]) >= {"200", "400", "403", "409", "413", "415", "503"}


# --------------------------------------------------------------------------------------------------- pages in a browser


@pytest.mark.parametrize("listening", [None, "127.0.0.1"], ids=["socket", "TCP"])
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "http://127.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ],
)
def test_no_page_is_answered_on_any_path(make: Make, header: str, value: str, listening: str | None) -> None:
    door = make(listening=listening)
    for method in ("GET", "POST", "OPTIONS"):
        for path in ("/v1/ballots", "/v1/status", "/metrics", "/health", "/openapi.json", "/nowhere"):
            content = signed().encode() if method == "POST" else None
            headers = JSON | {"host": "127.0.0.1", header: value}
            response = door.send(method, path, content=content, headers=headers)
            error(response, 403, "AG318")
            assert "access-control-allow-origin" not in response.headers
    assert (door.rule.offered, door.asked) == ([], 0)


@pytest.mark.parametrize(
    ("listening", "host", "answered"),
    [
        ("127.0.0.1", "127.0.0.1:8710", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST:8710", True),
        ("::1", "[::1]:8710", True),
        ("::1", "[::1]", True),
        ("127.0.0.1", "evil.example:8710", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "10.0.0.5:8710", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", ":8710", False),
        ("10.0.0.5", "10.0.0.5:8710", True),
        ("guard.example", "Guard.Example:8710", True),
        ("guard.example", "guard.example.evil.example", False),
        ("0.0.0.0", "10.0.0.5:8710", True),  # noqa: S104
        ("::", "[fd00::5]:8710", True),
        ("0.0.0.0", "guard.example:8710", False),  # noqa: S104
        (None, "whatever", True),
    ],
)
def test_a_host_by_a_name_that_is_not_the_guards_own_is_not_answered(
    make: Make, listening: str | None, host: str, answered: bool
) -> None:
    response = make(listening=listening).send("GET", "/v1/status", headers={"host": host})
    assert response.status_code == (200 if answered else 403), response.text


def test_an_address_typed_into_a_browser_is_answered(make: Make) -> None:
    assert make().send("GET", "/v1/status", headers={"sec-fetch-site": "none"}).status_code == 200


def test_whence_a_ballot_came_goes_with_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for client in (None, ("10.0.0.9", 4711)):
        door = make(client=client)
        taken = door.desk.take
        door.app = signers_app(
            lambda text, source, taken=taken: seen.append(source) or taken(text, source),  # type: ignore[misc,func-returns-value]
            door.report,
            None,
        )
        door.post(signed().encode())
    assert seen == ["socket", "tcp 10.0.0.9"]
