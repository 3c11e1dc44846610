"""The report's page in a real browser: it runs nothing, asks for nothing, and its own style passes its policy."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent_guard.report import Form, render
from tests.unit.report.conftest import Scene, nasty, scene

pytestmark = pytest.mark.drill

__all__ = ["nasty", "scene"]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--dump-dom",
)  # fmt: skip


def opened(page: str, folder: Path) -> tuple[str, list[str]]:
    """A page as Chromium holds it after loading, and what it complains of."""
    browser = shutil.which("chromium")
    assert browser, "Debian's package chromium is missing: make chromium"
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def test_browser_runs_nothing_of_what_an_agent_wrote(nasty: Scene, tmp_path: Path) -> None:
    page = render(nasty.report(), Form.HTML)
    held, complaints = opened(page, tmp_path)
    assert complaints == []
    assert "<title>Audit of the agent walker</title>" in held
    assert not re.search(r"<(script|img|iframe|a|form|link)\b", held)
    assert held.count("<svg") == page.count("<svg") > 0


@pytest.mark.parametrize(
    "slip",
    [
        "<script>document.title='owned'</script>",
        "<img src=http://127.0.0.1:9/x onerror=1>",
        "<style>a{}</style>",
    ],
)
def test_policy_holds_should_a_word_slip_through_unescaped(nasty: Scene, tmp_path: Path, slip: str) -> None:
    """The page is spoilt on purpose, which shows too that this browser would have run what the other test forbids."""
    spoilt = render(nasty.report(), Form.HTML).replace("</main>", slip + "</main>")
    held, complaints = opened(spoilt, tmp_path)
    assert any("Content Security Policy" in complaint for complaint in complaints)
    assert "<title>Audit of the agent walker</title>" in held
    held, _ = opened(re.sub(r"<meta http-equiv=[^>]*>", "", spoilt), tmp_path)
    assert ("<title>owned</title>" in held) == ("owned" in slip)


def test_style_that_is_not_the_pages_own_is_refused(nasty: Scene, tmp_path: Path) -> None:
    changed = render(nasty.report(), Form.HTML).replace("--good: #1a7f37", "--good: #1a7f38", 1)
    _, complaints = opened(changed, tmp_path)
    assert any("style" in complaint for complaint in complaints)
