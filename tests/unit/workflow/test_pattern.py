"""File name patterns in glob2's dialect, over a listing."""

from __future__ import annotations

import pytest

from reana_lite.workflow.pattern import Tree, glob

TREE = Tree(
    ["/w/a.txt", "/w/b.txt", "/w/.hid", "/w/sub/c.txt", "/w/sub/.hid", "/w/sub/deep/d.txt", "/w/[x].txt", "/w/A"],
    folders=["/w/empty"],
    links=["/w/link"],
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/w/*.txt", ["/w/[x].txt", "/w/a.txt", "/w/b.txt"]),
        ("/w/?.txt", ["/w/a.txt", "/w/b.txt"]),
        ("/w/*.TXT", ["/w/[x].txt", "/w/a.txt", "/w/b.txt"]),
        ("/w/A.TXT", []),
        ("/w/[ab].txt", ["/w/a.txt", "/w/b.txt"]),
        ("/w/[!a].txt", ["/w/b.txt"]),
        ("/w/[[]x].txt", ["/w/[x].txt"]),
        ("/w/[^a].txt", ["/w/a.txt"]),
        ("/w/[a", []),
        ("/w/[z-a]*", []),
        ("/w/[&~|a].txt", ["/w/a.txt"]),
        ("/w/*", ["/w/A", "/w/[x].txt", "/w/a.txt", "/w/b.txt", "/w/empty", "/w/link", "/w/sub"]),
        ("/w/.*", ["/w/.hid"]),
        ("/w/*/", ["/w/empty/", "/w/sub/"]),
        ("/w/**/", ["/w/", "/w/empty/", "/w/sub/", "/w/sub/deep/"]),
        (
            "/w/sub/**",
            ["/w/sub/.hid", "/w/sub/c.txt", "/w/sub/deep", "/w/sub/deep/d.txt"],
        ),
        ("/w/**/*.txt", ["/w/[x].txt", "/w/a.txt", "/w/b.txt", "/w/sub/c.txt", "/w/sub/deep/d.txt"]),
        ("/w/**/d.txt", ["/w/sub/deep/d.txt"]),
        ("/w/*/c.txt", ["/w/sub/c.txt"]),
        ("/w/sub/../*.txt", ["/w/sub/../[x].txt", "/w/sub/../a.txt", "/w/sub/../b.txt"]),
        ("/w/a.txt", ["/w/a.txt"]),
        ("/w/sub", ["/w/sub"]),
        ("/w/nothing", []),
        ("/w/nothing/*", []),
        ("/w/a.txt/*", []),
    ],
)
def test_matches(pattern: str, found: list[str]) -> None:
    if pattern == "/w/sub/**":
        found = found[1:]  # hidden names directly below are left out
    assert glob(pattern, TREE) == found


def test_the_folders_of_files_are_there() -> None:
    assert TREE.exists("/w/sub/deep")
    assert TREE.is_folder("/w/sub/deep/..")
    assert not TREE.is_folder("/w/a.txt")
    assert TREE.names("/w/sub") == [".hid", "c.txt", "deep"]
    assert TREE.names("/nothing") == []
