"""Where the folders of a job lie, and how the rare ones that several nodes share are filled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from reana_lite.backends import fill
from reana_lite.backends.base import Task
from reana_lite.backends.binding import Binding
from reana_lite.backends.folders import Folders, folders_of, own_texts, parameter_texts
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind, Input, JobSpec, Mount, job_key

OWN = f"{RUN_ROOT}/own"
UP = f"{RUN_ROOT}/up"


def bound(*inputs: Input) -> Folders:
    return folders_of(Task("k", 1, JobSpec(OWN, "true"), inputs), "/s/jobs/k/1", lambda key, _: f"/s/{key}")


def test_a_folder_of_one_place_is_that_place_and_nothing_is_filled() -> None:
    folders = bound(Input(UP, "a", 1, "d1"), Input(f"{RUN_ROOT}/else", "b", 1, "d2"))
    assert folders.real == {OWN: "/s/jobs/k/1/files", UP: "/s/a", f"{RUN_ROOT}/else": "/s/b"}
    assert folders.inputs == [(UP, "/s/a", "d1"), (f"{RUN_ROOT}/else", "/s/b", "d2")]
    assert (folders.fill, folders.uses_view) == ([], False)
    assert bound(Input(UP, "a", 1, "d1"), Input(UP, "a", 1, "d1")).fill == []


def test_shared_folders_are_filled_in_order() -> None:
    folders = bound(Input(OWN, "x", 1, "d"), Input(UP, "a", 1, "d"), Input(UP, "b", 1, "d"), Input(OWN, "y", 1, "d"))
    view = f"/s/jobs/k/1/view{UP}"
    assert folders.real == {OWN: "/s/jobs/k/1/files", UP: view}
    assert folders.fill == [
        ["/s/x", "/s/jobs/k/1/files"],
        ["/s/a", view],
        ["/s/b", view],
        ["/s/y", "/s/jobs/k/1/files"],
    ]
    assert folders.uses_view
    assert not bound(Input(OWN, "x", 1, "d")).uses_view
    binding = Binding(folders.real, "/s/jobs/k/1/view")
    assert binding.text(f"ls {RUN_ROOT} {UP}/f") == f"ls /s/jobs/k/1/view{RUN_ROOT} {view}/f"
    assert binding.links() == {OWN.lstrip("/"): "/s/jobs/k/1/files"}


def test_the_order_of_trees_in_one_folder_is_part_of_the_key_and_that_of_folders_is_not() -> None:
    spec = JobSpec(OWN, "true")
    one, two, other = Input(UP, "a", 1, "d1"), Input(UP, "b", 1, "d2"), Input(f"{RUN_ROOT}/z", "c", 1, "d0")
    assert job_key(spec, "", (one, two, other)) == job_key(spec, "", (other, one, two))
    assert job_key(spec, "", (one, two)) != job_key(spec, "", (two, one))


def test_texts_of_parameter_mounts_lie_in_the_folder_too() -> None:
    mounts = (Mount("/p/a", "A"), Mount("/p/b", "B"))
    task = Task("k", 1, JobSpec(OWN, "true", environment=Environment(EnvironmentKind.CONTAINER, "i:1", mounts=mounts)))
    files = parameter_texts(task, str.lower)
    assert files == {
        "mount0": "a", "mount1": "b", "files/_yadage_parmount_0.txt": "a", "files/_yadage_parmount_1.txt": "b",
    }  # fmt: skip
    assert own_texts(files, "/p")[1] == ["/p/mount1", "/p/files/_yadage_parmount_1.txt"]
    assert own_texts({"line": ""}, "/p") == []


def test_filling_replaces_whatever_kind_is_there(tmp_path: Path) -> None:
    old, new, target = (tmp_path / name for name in ("old", "new", "target"))
    for folder in (old / "d", new, target):
        folder.mkdir(parents=True)
    (old / "d" / "f").write_text("old")
    (old / "x").write_text("#!/bin/sh\n")
    (old / "x").chmod(0o755)
    (old / "link").symlink_to("d/f")
    (old / "both").mkdir()
    (old / "both" / "inner").write_text("i")
    (new / "d").mkdir()
    (new / "d" / "g").write_text("new")
    (new / "link").write_text("a file now")
    (new / "both").write_text("a file, too")
    (new / "empty").mkdir()
    fill.lay(str(old), str(target))
    fill.lay(str(new), str(target))
    fill.lay(str(tmp_path / "gone"), str(target))
    found = {str(p.relative_to(target)): p.read_text() for p in target.rglob("*") if p.is_file()}
    expected = {"d/f": "old", "d/g": "new", "x": "#!/bin/sh\n", "link": "a file now", "both": "a file, too"}
    assert found == expected
    assert (target / "empty").is_dir()
    assert (target / "x").stat().st_mode & 0o111
    assert (target / "d" / "f").stat().st_mtime_ns == (old / "d" / "f").stat().st_mtime_ns
    assert (old / "d" / "f").read_text() == "old"


def test_the_program_becomes_the_step_or_tells_why_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("f")
    listed = tmp_path / "fill.json"

    def run(*pairs: list[str]) -> subprocess.CompletedProcess[str]:
        listed.write_text(json.dumps(pairs))
        step = ["/bin/sh", "sh", "-c", 'echo "$0"; cat - b/f; exit 3']
        argv = [sys.executable, "-I", "-S", str(fill.__file__), str(listed), *step]
        return subprocess.run(argv, cwd=tmp_path, text=True, capture_output=True, input="in", check=False)

    done = run([str(tmp_path / "a"), str(tmp_path / "b")])
    assert done.returncode == 3
    assert done.stdout == "sh\ninf"
    assert not listed.exists()
    (tmp_path / "c").write_text("no folder")
    failed = run([str(tmp_path / "a"), str(tmp_path / "c" / "d")])
    assert failed.returncode == fill.CODE
    assert "could not be filled" in failed.stderr
