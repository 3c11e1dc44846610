"""The page for those who see little, no colours, or with their ears: WCAG 2.2 AA, as far as a program can tell."""

import re
from itertools import pairwise
from typing import Any

import pytest

from agent_guard.report import Form, render
from agent_guard.report.style import STYLE
from agent_guard.report.svg import _CLASS, _PATTERN

pytestmark = pytest.mark.unit

LIGHT, DARK, PRINT = (
    dict(re.findall(r"--(\w+): (#[0-9a-f]+)", part.split("}")[0]))
    for part in (
        STYLE[STYLE.index(":root") :],
        STYLE[STYLE.index("prefers-color-scheme: dark") :],
        STYLE[STYLE.index("@media print") :],
    )
)


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *((ink, ground) for ink in ("ink", "soft", "good", "warn", "bad") for ground in ("paper", "tint")),
        *(("on", ground) for ground in ("good", "warn", "bad", "calm", "lease")),
    ],
)
def test_words_have_contrast_enough(colours: dict[str, str], ink: str, ground: str) -> None:
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
@pytest.mark.parametrize("shape", ["good", "warn", "bad", "calm", "lease", "soft"])
def test_shapes_have_contrast_enough(colours: dict[str, str], shape: str) -> None:
    assert contrast(colours[shape], colours["paper"]) >= 3


def test_no_two_stretches_of_other_meaning_are_told_apart_by_colour_alone() -> None:
    patterns = {style: _PATTERN.get(style) for style in _CLASS.values()}
    assert len(set(patterns.values())) == len(patterns)


def test_headings_go_down_one_step_at_a_time_and_everything_named_is_there(halted: Any) -> None:
    page = render(halted.report(), Form.HTML)
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert all(lower - higher <= 1 for higher, lower in pairwise(levels))
    assert levels.count(1) == 1
    assert '<html lang="en">' in page
    named = [name for names in re.findall(r'aria-labelledby="([^"]+)"', page) for name in names.split()]
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(set(identifiers)) == len(identifiers)
    assert set(named) <= set(identifiers)


def test_every_header_has_a_scope_and_a_name_and_what_can_be_focused_has_one_too(halted: Any) -> None:
    page = render(halted.report(), Form.HTML)
    headers = re.findall(r"<th\b[^>]*>[^<]*", page)
    assert headers
    assert all(' scope="' in header and not header.endswith(">") for header in headers)
    focused = re.findall(r'<[^>]*tabindex="0"[^>]*>', page)
    assert len(focused) > 5
    assert all(re.search(r'role="(region|group)" aria-label="[^"]+"', tag) for tag in focused)
    assert page.count('role="img" aria-labelledby=') == page.count("<svg ") == page.count("<desc ")
