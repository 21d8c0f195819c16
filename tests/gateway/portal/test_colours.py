"""The colours of the pages can be read: WCAG 2.2, success criteria 1.4.3 and 1.4.11."""

from __future__ import annotations

import re

import pytest

from gateway.portal.assets import FOLDER

TEXT = [
    *((ink, ground) for ink in ("ink", "quiet") for ground in ("paper", "raised", "sunken")),
    *(("accent", ground) for ground in ("paper", "raised", "sunken")),
    ("accent-ink", "accent"),
    *((hue, f"{hue}-soft") for hue in ("accent", "violet", "amber", "blue", "red", "slate")),
    *(("ink", f"{hue}-soft") for hue in ("accent", "violet", "amber", "slate")),
    ("violet", "sunken"),
    ("violet", "paper"),
]


def palettes() -> dict[str, dict[str, str]]:
    css = (FOLDER / "frame.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark")
    return {
        name: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part))
        for name, part in (("light", light), ("dark", dark))
    }


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    ]
    return sum(
        weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(first: str, second: str) -> float:
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_stands_out_from_its_ground(scheme: str, ink: str, ground: str) -> None:
    palette = palettes()[scheme]

    assert contrast(palette[ink], palette[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "raised", "sunken"])
def test_the_focus_ring_stands_out(scheme: str, ground: str) -> None:
    palette = palettes()[scheme]

    assert contrast(palette["accent"], palette[ground]) >= 3
