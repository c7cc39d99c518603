"""REANA's documents from our records, and what its users mean by names of files."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.artifact import Artifact
from reana_lite.database.workspaces import Stored
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.server.reana import documents
from reana_lite.server.reana.workspace import Files, entry_of, matching, moves_of


def files(*paths: str, links: dict[str, str] | None = None) -> Files:
    found = {path: Stored(Artifact(path, size=1)) for path in paths}
    return found | {path: Stored(Artifact(path, "link", target=to)) for path, to in (links or {}).items()}


SOME = files("a.txt", "b.root", "out/x.txt", "out/deep/y.txt", "out2/z.txt")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 Bytes"),
        (1023, "1023 Bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (3 << 30, "3 GiB"),
        (1 << 60, "1024 PiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert documents.size_text(size) == text


@pytest.mark.parametrize(
    ("node", "step"), [("/fit/0", "fit"), ("/sub/0/fit/1", "sub/0/fit"), ("/a~1b/0", "a/b"), ("/init", "init")]
)
def test_the_step_of_a_node(node: str, step: str) -> None:
    assert documents.step_name(node) == step


def test_times_have_no_zone() -> None:
    assert documents.time_text(1790000000.9) == "2026-09-21T14:13:20"


def test_logs_do_nothing_to_a_terminal() -> None:
    assert (
        documents.plain_text("a\x1b[31mred\x1b[0m\x1b]0;title\x07\r\nb\tc\x9b2J")
        == "ared\nb\tc\N{REPLACEMENT CHARACTER}2J"
    )


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("a.txt", ["a.txt"]),
        ("/a.txt", ["a.txt"]),
        ("*.txt", ["a.txt"]),
        ("**/*.txt", ["a.txt", "out/x.txt", "out/deep/y.txt", "out2/z.txt"]),
        ("out", ["out/x.txt", "out/deep/y.txt"]),
        ("out/", ["out/x.txt", "out/deep/y.txt"]),
        ("out*", ["out/x.txt", "out/deep/y.txt", "out2/z.txt"]),
        ("out?/z.txt", ["out2/z.txt"]),
        ("[ab].*", ["a.txt", "b.root"]),
        ("[!a].*", ["b.root"]),
        (".", list(SOME)),
        ("nope", []),
        ("../a.txt", []),
    ],
)
def test_what_a_user_means_by_a_name(pattern: str, fits: list[str]) -> None:
    assert matching(SOME, pattern) == fits


@given(st.text(alphabet="a*?[]!^/.\\-(&|~", max_size=30))
def test_any_pattern_gives_some_of_the_files(pattern: str) -> None:
    assert set(matching(SOME, pattern)) <= SOME.keys()


@pytest.mark.parametrize("pattern", ["*a" * 100 + "b", "**/" * 100 + "b", "a/**/" * 50 + "b", "[a-" * 100])
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()
    assert matching(files("a" * 900, "/".join("a" * 400)), pattern) == []
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("source", "target", "moves"),
    [
        ("a.txt", "c.txt", {"a.txt": "c.txt"}),
        ("a.txt", "out", {"a.txt": "out/a.txt"}),
        ("a.txt", "new/", {"a.txt": "new/a.txt"}),
        ("out/x.txt", ".", {"out/x.txt": "x.txt"}),
        ("out", "new", {"out/x.txt": "new/x.txt", "out/deep/y.txt": "new/deep/y.txt"}),
        ("out", "out2", {"out/x.txt": "out2/out/x.txt", "out/deep/y.txt": "out2/out/deep/y.txt"}),
        ("out*", "new/", {"out/x.txt": "new/out/x.txt", "out/deep/y.txt": "new/out/deep/y.txt",
                          "out2/z.txt": "new/out2/z.txt"}),
    ],
)  # fmt: skip
def test_moves_as_mv_has_them(source: str, target: str, moves: dict[str, str]) -> None:
    assert moves_of(SOME, source, target) == moves


def test_moves_that_make_no_sense_are_refused() -> None:
    for source, target in (("a.txt", "a.txt"), ("out", "out/deep"), ("*.*", "one"), ("a.txt", "../x")):
        with pytest.raises(InvalidInput):
            moves_of(SOME, source, target)
    with pytest.raises(NotFound):
        moves_of(SOME, "nope", "x")


def test_links_are_followed_inside_of_the_workspace_only() -> None:
    some = files("a", links={"l": "a", "d/l": "../l", "out": "../../etc/passwd", "circle": "circle"})
    found = [entry_of(some, path) for path in ("l", "d/l", "out", "circle")]
    assert [one and one.path for one in found] == ["a", "a", None, None]


def test_disk_usage_sums_folders_and_names_begin_with_a_slash() -> None:
    rows = documents.disk_usage({"a": 1, "d/b": 2, "d/e/c": 4}, summarize=False)
    assert {row["name"]: row["size"]["raw"] for row in rows} == {
        "": 7,
        "/d": 6,
        "/d/e": 4,
        "/d/e/c": 4,
        "/d/b": 2,
        "/a": 1,
    }
    assert [row["size"]["raw"] for row in documents.disk_usage({"a": 1, "b": 2}, summarize=True)] == [3]


def test_quota_without_a_limit_is_healthy_and_with_one_used_up_critical() -> None:
    for used, limit, health in ((5, 0, "healthy"), (79, 100, "healthy"), (80, 100, "warning"), (100, 100, "critical")):
        shown = documents.quota(used, limit, text=str)
        assert (shown["health"], shown["limit"]["raw"], shown["usage"]["raw"]) == (health, limit, used)


def test_a_start_goes_over_the_specification_and_nothing_is_null() -> None:
    spec = {"inputs": {"parameters": {"a": 1, "b": 2}, "files": None}, "workflow": {"type": "yadage", "file": "w"}}
    wanted = documents.effective(spec, {"b": 3}, {"initdir": "d"})
    assert wanted["inputs"] == {"parameters": {"a": 1, "b": 3}, "options": {"initdir": "d"}}
    full = documents.full_specification(spec)
    assert full["inputs"]["files"] == full["outputs"]["files"] == []
    assert full["workflow"]["specification"] is None


def test_differences_of_specifications_and_listings() -> None:
    a = {"workflow": {"type": "serial"}, "inputs": {"parameters": {"n": 1}}}
    b = {"workflow": {"type": "serial"}, "inputs": {"parameters": {"n": 2}}}
    found = documents.specification_diff(a, b, context=0)
    assert not found["workflow"]
    assert [line.strip() for line in found["inputs"] if line[0] in "+-"] == ['-  "n": 1', '+  "n": 2']
    text = documents.listing_diff({"x": "1", "y": "1"}, {"y": "2", "z": "1"}, names=("a.1", "a.2"))
    assert text.splitlines() == ["Only in a.1: x", "Files a.1/y and a.2/y differ", "Only in a.2: z"]
