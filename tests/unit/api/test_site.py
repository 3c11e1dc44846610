"""What the site of a published log answers for, and how it may be cached."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from agent_guard.api.site import site_app

pytestmark = pytest.mark.unit
FILES = ("checkpoint", "tile/0/000", "tile/0/x001/234.p/7", "tile/entries/000", "content/000.p/3")


class Site:
    """The application, asked without a network."""

    def __init__(self, root: Path) -> None:
        self.app = site_app(root)

    def __call__(self, method: str, path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
                return await client.request(
                    method,
                    f"/{path}",
                    headers={key.replace("_", "-"): value for key, value in headers.items()},
                )

        return asyncio.run(ask())

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self("GET", path, **headers)


def content(name: str) -> bytes:
    checkpoint = f"example.org/log\n{1_234 * 256 + 7}\n{'A' * 43}=\n\n— k AAAAAAAA\n"
    return checkpoint.encode() if name == "checkpoint" else name.encode() * 300


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for name in FILES:
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(name))
    (tmp_path / "site/tile/0/.000.new").write_text("half")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "site/notes.txt").write_text("not of the log")
    return Site(tmp_path / "site")


@pytest.mark.parametrize("name", FILES)
def test_file_of_the_log_is_given_whole(site, name):
    answer = site.get(name)
    assert (answer.status_code, answer.content) == (200, content(name))
    assert answer.headers["access-control-allow-origin"] == "*"
    assert site("HEAD", name).status_code == 200


def test_tiles_may_be_cached_for_ever_a_checkpoint_for_seconds_and_contents_not(site):
    cached = {name: site.get(name).headers["cache-control"] for name in FILES}
    assert "immutable" in cached["tile/0/000"]
    assert "immutable" in cached["tile/entries/000"]
    assert cached["checkpoint"] == "max-age=5, must-revalidate"
    assert cached["content/000.p/3"] == "no-cache"


def test_types_are_those_of_the_specification_and_bundles_are_compressed(site):
    assert site.get("checkpoint").headers["content-type"] == "text/plain; charset=utf-8"
    answer = site.get("tile/entries/000", accept_encoding="gzip")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == b"tile/entries/000" * 300  # httpx has unpacked it
    assert "content-encoding" not in site.get("tile/entries/000", accept_encoding="identity").headers


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0/",
        "tile/0/001",
        "tile/0/000.p/5",
        "tile/0/.000.new",
        "tile/8/000",
        "tile/0/%2e%2e/%2e%2e/checkpoint",
        "..%2fsecret",
        "%2e%2e/secret",
        "tile/0/..%2f..%2f..%2fsecret",
        "notes.txt",
        "content/0/000",
        "content/tile/entries/000",
        "content/content/000",
        "checkpoint/",
        "checkpoint%00",
        "CHECKPOINT",
    ],
)
def test_nothing_else_is_answered(site, path):
    assert site.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_is_taken(site, method):
    assert site(method, "checkpoint").status_code == 405


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/0", "content"])
def test_link_out_of_the_folder_is_not_followed(site, tmp_path, name):
    (tmp_path / "site" / name).rename(tmp_path / "moved")
    (tmp_path / "site" / name).symlink_to(tmp_path / "moved")
    answers = {file: site.get(file).status_code for file in FILES if file.startswith(name)}
    assert set(answers.values()) == {404}


def test_link_within_the_folder_and_one_to_it_are_followed(site, tmp_path):
    (tmp_path / "site/tile/0/001").symlink_to(tmp_path / "site/tile/0/000")
    (tmp_path / "link").symlink_to(tmp_path / "site")
    assert Site(tmp_path / "link").get("tile/0/001").status_code == 200


@pytest.mark.parametrize(
    "name",
    ["tile/0/x001/234.p/8", "tile/0/x001/234", "tile/entries/x001/235", "tile/1/004", "content/x001/234"],
)
def test_file_that_the_checkpoint_does_not_cover_is_not_given_yet(site, tmp_path, name):
    """A mirror writes it before it has checked the whole; a cache would keep it for a year."""
    path = tmp_path / "site" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not checked")
    assert site.get(name).status_code == 404
    larger = content("checkpoint").replace(b"315911", b"999999")
    (tmp_path / "site/checkpoint").write_bytes(larger)
    assert site.get(name).status_code == 200


@pytest.mark.parametrize("note", [b"", b"\xff", b"not a checkpoint\n"])
def test_folder_without_a_checkpoint_gives_nothing(site, tmp_path, note):
    (tmp_path / "site/checkpoint").write_bytes(note)
    assert {site.get(name).status_code for name in FILES[1:]} == {404}


# ------------------------------------------------------------------------------- the operator's signature beside it


def signed_head(**changes: object) -> str:
    address = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    head = {"chain_id": 1, "council": address, "operator": address, "size": 1_234 * 256 + 7}
    return json.dumps(head | {"root": "0x" + "00" * 32, "signature": "0x" + "11" * 65} | changes)


def test_signed_head_of_the_checkpoint_is_given_under_the_rules_of_the_checkpoint(site, tmp_path):
    (tmp_path / "site/head.json").write_text(signed_head())
    answer, checkpoint = site.get("head.json"), site.get("checkpoint")
    assert (answer.status_code, answer.text) == (200, signed_head())
    assert answer.headers["content-type"] == "application/json"
    for name in ("cache-control", "access-control-allow-origin", "x-content-type-options"):
        assert answer.headers[name] == checkpoint.headers[name]
    assert site("HEAD", "head.json").status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "x" * 1_000_000,
        signed_head(size=7),
        signed_head(root="0x" + "01" * 32),
        signed_head() + " " * 40_000,
    ],
)
def test_any_other_is_not_and_no_cache_keeps_that_for_long(site, tmp_path, text):
    assert site.get("head.json").status_code == 404
    (tmp_path / "site/head.json").write_text(text)
    answer = site.get("head.json")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "max-age=5, must-revalidate")


def test_signed_head_behind_a_link_or_beside_no_checkpoint_is_not_given(site, tmp_path):
    (tmp_path / "head.json").write_text(signed_head())
    (tmp_path / "site/head.json").symlink_to(tmp_path / "head.json")
    assert site.get("head.json").status_code == 404
    (tmp_path / "site/head.json").unlink()
    (tmp_path / "site/head.json").write_text(signed_head())
    (tmp_path / "site/checkpoint").unlink()
    assert site.get("head.json").status_code == 404
