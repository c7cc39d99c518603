"""Virtual paths in texts: what is replaced, what is left, what leads nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.backends.binding import Binding, is_safe
from reana_lite.job import INIT_ROOT, RUN_ROOT

FOLDERS = {
    f"{RUN_ROOT}/map/3": "/s/jobs/k3/1/files",
    f"{RUN_ROOT}/map/3/sub": "/s/jobs/ksub/1/files",
    f"{RUN_ROOT}/a.b": "/s/jobs/kab/1/files",
    INIT_ROOT: "/s/trees/t/files",
    f"{RUN_ROOT}/odd name": "/s/jobs/odd/1/files",
}
BINDING = Binding(FOLDERS, "/s/view", {"/recast/par.json": "/s/jobs/k3/1/mount0"})


@pytest.mark.parametrize(
    ("virtual", "real"),
    [
        (f"cat {RUN_ROOT}/map/3/x", "cat /s/jobs/k3/1/files/x"),
        (f"'{RUN_ROOT}/map/3'", "'/s/jobs/k3/1/files'"),
        (f"-I{RUN_ROOT}/map/3 -o={RUN_ROOT}/map/3;", "-I/s/jobs/k3/1/files -o=/s/jobs/k3/1/files;"),
        (f"file://{RUN_ROOT}/map/3/x", "file:///s/jobs/k3/1/files/x"),
        (f"{RUN_ROOT}/map/3:{INIT_ROOT}/y", "/s/jobs/k3/1/files:/s/trees/t/files/y"),
        (f"{RUN_ROOT}/map/3/sub/x", "/s/jobs/ksub/1/files/x"),
        (f"{RUN_ROOT}/map/3/subx", "/s/jobs/k3/1/files/subx"),
        (f"{RUN_ROOT}/map/30/x", f"/s/view{RUN_ROOT}/map/30/x"),
        (f"{RUN_ROOT}/a.b/x {RUN_ROOT}/a.bc", f"/s/jobs/kab/1/files/x /s/view{RUN_ROOT}/a.bc"),
        (f"See {RUN_ROOT}/map/3.", "See /s/jobs/k3/1/files."),
        (f"ls {RUN_ROOT}/*/3 {RUN_ROOT}/map", f"ls /s/view{RUN_ROOT}/*/3 /s/view{RUN_ROOT}/map"),
        (f"{RUN_ROOT}//map/./3/x", "/s/jobs/k3/1/files/x"),
        (f"{RUN_ROOT}/map/3/x/../y", "/s/jobs/k3/1/files/x/../y"),
        (f"{RUN_ROOT}/map/3/../../a.b/y", "/s/jobs/kab/1/files/y"),
        (f"{RUN_ROOT}/map/3/../", f"/s/view{RUN_ROOT}/map/"),
        (f"{RUN_ROOT}/map/3:{RUN_ROOT}/a.b:$X", "/s/jobs/k3/1/files:/s/jobs/kab/1/files:$X"),
        (f"{RUN_ROOT}ner/x", f"{RUN_ROOT}ner/x"),
        (f"'{RUN_ROOT}/odd name/x'", "'/s/jobs/odd/1/files/x'"),
        (f"{RUN_ROOT}/map/3/*.{{root,txt}}", "/s/jobs/k3/1/files/*.{root,txt}"),
        (f"/home/me{RUN_ROOT}/map/3", f"/home/me{RUN_ROOT}/map/3"),
        (f"$HOME{RUN_ROOT}/map/3 ${{X}}{RUN_ROOT}/map/3", f"$HOME{RUN_ROOT}/map/3 ${{X}}{RUN_ROOT}/map/3"),
        (f"~{RUN_ROOT}/map/3 .{RUN_ROOT}/map/3", f"~{RUN_ROOT}/map/3 .{RUN_ROOT}/map/3"),
        ("cat /recast/par.json /recast/par.json5", "cat /s/jobs/k3/1/mount0 /recast/par.json5"),
        ("cat /x/recast/par.json", "cat /x/recast/par.json"),
        ("nothing here", "nothing here"),
    ],
)  # fmt: skip
def test_texts(virtual: str, real: str) -> None:
    assert BINDING.text(virtual) == real


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_stands_around_is_kept(before: str, after: str) -> None:
    text = f"{before} {RUN_ROOT}/map/3 {after}"
    if RUN_ROOT not in before + after and INIT_ROOT not in before + after:
        assert BINDING.text(text) == f"{before} /s/jobs/k3/1/files {after}"


@given(st.lists(st.integers(0, 200), min_size=1, unique=True), st.integers(0, 200))
def test_numbers_that_begin_alike_are_not_mixed_up(bound: list[int], asked: int) -> None:
    binding = Binding({f"{RUN_ROOT}/n/{n}": f"/real/{n}" for n in bound}, "/view")
    wanted = f"/real/{asked}/f" if asked in bound else f"/view{RUN_ROOT}/n/{asked}/f"
    assert binding.text(f"{RUN_ROOT}/n/{asked}/f") == wanted
    assert binding.uses_view is (asked not in bound)
    links = {f"{RUN_ROOT}/n/{n}".lstrip("/"): f"/real/{n}" for n in bound}
    assert binding.links() == ({} if asked in bound else links)


def test_a_folder_inside_another_needs_no_link_of_its_own() -> None:
    binding = Binding({INIT_ROOT: "/t", f"{INIT_ROOT}/sub": "/u", f"{RUN_ROOT}/a": "/a"}, "/view")
    binding.text(RUN_ROOT)
    assert binding.links() == {INIT_ROOT.lstrip("/"): "/t", f"{RUN_ROOT}/a".lstrip("/"): "/a"}


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("/a/b-c_d.e+f@g%h", True),
        ("/a b", False),
        ("/a'b", False),
        ("/a:b", False),
        ("/a,b", False),
        ("/$x", False),
        ("", False),
    ],
)
def test_safe_paths(path: str, safe: bool) -> None:
    assert is_safe(path) is safe
