"""Texts, sizes and media types for people and browsers: nothing in them is obeyed."""

from __future__ import annotations

import pytest

from reana_lite import legible
from reana_lite.media import checked_type, media_type

BAD = ["\x1b[2J", "\x9b2J", "\x07", "\u202e", "\u2066", "\u200f", "\u061c", "\ud800", "\x7f", "\r"]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("made", [legible.plain, legible.one_line, legible.printed])
def test_nothing_is_obeyed(bad: str, made) -> None:
    text = made(f"a{bad}b")
    assert not set(text) & set("\x1b\x9b\x07\u202e\u2066\u200f\u061c\ud800\x7f\r")
    assert text.endswith("b")
    text.encode()


def test_lines_stay_where_they_are_lines() -> None:
    assert legible.plain("a\n\tb") == "a\n\tb"
    assert "\n" not in legible.one_line("a\nb\u2028c\td")
    assert len(legible.one_line("a\nb\u2028c\td")) == 7
    assert legible.plain(None) == "None"


def test_what_a_step_printed() -> None:
    assert legible.printed("\x1b[31mred\x1b[0m\r\n10%\r 20%\r30%\nend\x1b]0;title\x07") == "red\n30%\nend"


@pytest.mark.parametrize(("count", "decimal", "binary"), [
    (0, "0 B", "0 B"), (999, "999 B", "999 B"), (1536, "1.5 kB", "1.5 KiB"), (288_000, "288 kB", "281 KiB"),
    (17_000_000, "17.0 MB", "16.2 MiB"), (3 << 30, "3.2 GB", "3 GiB"), (5e13, "50.0 TB", "45.5 TiB"),
])  # fmt: skip
def test_sizes(count: float, decimal: str, binary: str) -> None:
    assert legible.size(count) == decimal
    assert legible.binary_size(count) == binary


@pytest.mark.parametrize(("name", "beginning", "told", "shown"), [
    ("a.html", b"<script>", "text/plain", "text/plain"), ("a.svg", b"<svg>", "text/plain", "image/svg+xml"),
    ("a.png", b"\x89PNG", "image/png", "image/png"), ("a.png", b"<script>", "image/png", "application/octet-stream"),
    ("a.slha", b"BLOCK", "text/plain", "text/plain"),
    ("a.exe", b"MZ", "application/octet-stream", "application/octet-stream"),
    ("a.json", b"{}", "application/json", "application/json"), ("a.xhtml", b"<", "text/plain", "application/octet-stream"),
])  # fmt: skip
def test_media_types(name: str, beginning: bytes, told: str, shown: str) -> None:
    assert media_type(name) == told
    assert checked_type(name, beginning) == shown
