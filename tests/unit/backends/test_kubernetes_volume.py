"""The shared volume: which parts of it containers see, its folders and documents, and the stager that leaves files there."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from reana_lite.backends.base import Task
from reana_lite.backends.choice import choose
from reana_lite.backends.kubernetes import mounts, options, paths, pod
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.paths import ROOT
from reana_lite.backends.kubernetes.ticket import bind, ticket_of
from reana_lite.backends.kubernetes.volume import Volume
from reana_lite.config import Settings
from reana_lite.errors import InvalidInput, Unavailable
from reana_lite.event import Question, QuestionKind
from reana_lite.job import INIT_ROOT, RUN_ROOT, Environment, Input, JobSpec
from reana_lite.staging.stager import Stager
from reana_lite.storage.local import LocalStorage
from reana_lite.workspace import Workspace

OWN = f"{RUN_ROOT}/own"
ON_VOLUME = Options(claim="outputs", claim_path="some/where")
INPUTS = (Input(f"{RUN_ROOT}/up", "up", 2, "sha256:1"), Input(INIT_ROOT, "tree", 0, "sha256:2"))


def task(*inputs: Input, writable: bool = False) -> Task:
    return Task("k", 1, JobSpec(OWN, "true", environment=Environment()), inputs, writable_inputs=writable)


def seen(made: list[dict[str, Any]], volume: str = "shared") -> dict[str, tuple[str, bool]]:
    """{where: (which part of the volume, whether it may be written)}."""
    return {m["mountPath"]: (m.get("subPath", ""), not m.get("readOnly", False)) for m in made if m["name"] == volume}


def test_a_step_sees_its_own_folder_and_its_inputs_and_nothing_else() -> None:
    one = task(*INPUTS)
    assert seen(mounts.mounts_of_step(one, bind(one), ON_VOLUME)) == {
        f"{ROOT}/jobs/k/1/files": ("some/where/jobs/k/1/files", True),
        f"{ROOT}/jobs/up/2/files": ("some/where/jobs/up/2/files", False),
        f"{ROOT}/trees/tree/files": ("some/where/trees/tree/files", False),
    }
    stager = seen(mounts.mounts_of_stager(one, bind(one), ON_VOLUME))
    assert [path for path, (_, may_write) in stager.items() if may_write] == [f"{ROOT}/jobs/k/1"]


def test_inputs_may_be_written_where_the_run_says_so_but_no_kept_tree() -> None:
    one = task(*INPUTS, writable=True)
    found = seen(mounts.mounts_of_step(one, bind(one), ON_VOLUME))
    assert found[f"{ROOT}/jobs/up/2/files"][1]
    assert not found[f"{ROOT}/trees/tree/files"][1]


def test_a_step_of_very_many_inputs_is_told_so_and_never_shown_all_of_the_volume() -> None:
    one = task(*(Input(f"{RUN_ROOT}/{n}", f"up{n}", 1, "d") for n in range(mounts.MOST_INPUTS + 1)))
    assert "merge them in batches" in mounts.too_many_inputs(one, ON_VOLUME)
    assert mounts.too_many_inputs(one, Options()) == mounts.too_many_inputs(task(*one.inputs[1:]), ON_VOLUME) == ""
    found = seen(mounts.mounts_of_step(one, bind(one), ON_VOLUME))
    assert not {f"{ROOT}", f"{ROOT}/jobs", f"{ROOT}/trees"} & set(found)


def test_the_view_of_a_shared_folder_is_in_the_pods_own_volume() -> None:
    both = (Input(f"{RUN_ROOT}/both", "a", 1, "d"), Input(f"{RUN_ROOT}/both", "b", 1, "d"))
    one = Task("k", 1, JobSpec(OWN, f"ls {RUN_ROOT}/both", environment=Environment()), both)
    found = seen(mounts.mounts_of_step(one, bind(one), ON_VOLUME), "work")
    assert found[f"{ROOT}/jobs/k/1/view"] == ("view", False)
    assert seen(mounts.mounts_of_stager(one, bind(one), ON_VOLUME), "work")[f"{ROOT}/jobs/k/1/view"][1]


@pytest.mark.parametrize("path", ["/absolute", "up/../../etc", 3])
def test_the_folder_in_the_volume_is_a_path_inside_of_it(path: object) -> None:
    with pytest.raises(InvalidInput, match="inside of the volume"):
        options.options_from({"claim": "x", "claim_path": path})


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(LocalStorage(tmp_path / "volume"))


def test_documents_are_kept_beside_the_files(volume: Volume) -> None:
    assert volume.get_document("k", 1, "outcome.json") is None
    volume.put_document("k", 1, "outcome.json", b"{}")
    assert volume.get_document("k", 1, "outcome.json") == b"{}"
    assert volume.put_ticket("a-b-12.json", b"t", valid_s=1) == f"{ROOT}/jobs/a-b/12/ticket.json"
    assert volume.get_document("a-b", 12, "ticket.json") == b"t"
    volume.drop_ticket("a-b-12.json")
    volume.drop_ticket("a-b-12.json")
    assert volume.get_document("a-b", 12, "ticket.json") is None


def test_folders_of_an_attempt_belong_to_its_group_and_those_there_are_left(volume: Volume) -> None:
    volume.begin("k", 1, uid=os.getuid(), gid=os.getgid(), view=True)
    place = volume.root / "jobs" / "k" / "1"
    assert sorted(path.name for path in place.iterdir()) == ["files", "view"]
    assert (place / "files").stat().st_mode & 0o7777 == 0o2775
    (place / "files" / "kept").touch()
    place.chmod(0o700)
    volume.begin("k", 1, uid=os.getuid(), gid=os.getgid(), view=False)
    assert (place / "files" / "kept").exists()
    assert place.stat().st_mode & 0o7777 == 0o2775


def test_a_volume_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "volume").write_text("no folder")
    with pytest.raises(Unavailable, match="make the folders of k/1"):
        Volume(LocalStorage(tmp_path / "volume")).begin("k", 1, uid=1, gid=1, view=False)


def test_a_copy_that_this_program_made_is_opened_to_a_step_of_another_user(volume: Volume) -> None:
    kept = volume.storage.keep_bytes({"d/in.txt": b"x"}, INIT_ROOT)
    volume.storage.clone(kept.key, 0, "run-copy")
    files = volume.storage.folder("run-copy", 1)
    (files / "link").symlink_to("/etc/passwd")
    for path in (files, files / "d", files / "d" / "in.txt"):
        path.chmod(path.stat().st_mode & 0o7707)
    volume.let_write("run-copy", 1, uid=files.stat().st_uid, gid=os.getgid())
    assert files.stat().st_mode & 0o070 == 0  # its own user's already
    volume.let_write("run-copy", 1, uid=files.stat().st_uid + 1, gid=os.getgid())
    assert [(files / name).stat().st_mode & 0o070 for name in (".", "d", "d/in.txt")] == [0o070, 0o070, 0o060]
    volume.let_write("gone", 1, uid=1, gid=1)


def test_the_ticket_names_the_place_and_no_links(volume: Volume) -> None:
    kept = volume.storage.keep_bytes({"in.txt": b"x"}, INIT_ROOT)
    one = task(kept)
    limits: dict[str, Any] = {"valid_s": 9, "timeout_s": None, "most_files": 9, "most_bytes": 9}
    ticket = ticket_of(one, bind(one), storage=volume, manifest=volume.manifest, **limits)
    assert (ticket["place"], ticket["inputs"]) == (f"{ROOT}/jobs/k/1", [])
    assert "permit" not in ticket
    gone = task(Input(f"{RUN_ROOT}/up", "gone", 1, "d"))
    with pytest.raises(Unavailable, match="gone/1"):
        ticket_of(gone, bind(gone), storage=volume, manifest=volume.manifest, **limits)


def test_the_stager_leaves_files_where_they_are_and_writes_the_manifest_last(volume: Volume, tmp_path: Path) -> None:
    volume.begin("k", 1, uid=os.getuid(), gid=os.getgid(), view=False)
    place, step = volume.root / "jobs" / "k" / "1", tmp_path / "step"
    step.mkdir()
    ticket = {
        "version": 1, "key": "k", "attempt": 1, "own": f"{place}/files", "view": f"{place}/view", "place": str(place),
        "inputs": [], "texts": {}, "fill": [], "links": {}, "watch": [], "timeout_s": None, "most_files": 9,
        "most_bytes": 99,
    }  # fmt: skip
    (place / "ticket.json").write_text(json.dumps(ticket))
    prologue = (
        pod.PROLOGUE.replace(paths.STEP, str(step))
        .replace("kill -s TERM -- -1", ":")
        .replace("kill -s 0 -- -1", "false")
    )
    line = "mkdir d; printf x > d/out; chmod 700 d; echo said"
    with subprocess.Popen(["sh", "-c", prologue, "sh", "line", f"{place}/files", line, "/dev/null"]) as running:
        stager = Stager(str(place / "ticket.json"), step=str(step))
        killer = threading.Timer(20.0, running.kill)
        killer.start()
        record = stager.run()
        stager.close()
        killer.cancel()
    assert (record["state"], record["error"]) == ("finished", "")
    manifest = volume.manifest("k", 1)
    assert manifest is not None
    assert (manifest.digest, [a.path for a in manifest.artifacts]) == (record["digest"], ["d/out"])
    assert volume.storage.damage("k", 1) == []
    assert volume.storage.log("k", 1) == b"said\n"
    assert volume.get_document("k", 1, "stager.json") is not None
    assert (place / "files" / "d").stat().st_mode & 0o070 == 0o070  # whoever the step ran as, the worker removes it


def test_a_folder_without_a_claim_is_no_storage_for_a_cluster(tmp_path: Path) -> None:
    settings = Settings.from_environment({"RECAST_HOME": str(tmp_path), "HOME": str(tmp_path)})
    with pytest.raises(Unavailable, match="option `claim`"):
        choose("kubernetes", {"workflow": {}}, settings=settings, storage=LocalStorage(tmp_path / "storage"))


def test_paths_that_steps_wrote_into_documents_are_those_of_pods(volume: Volume) -> None:
    """They saw the storage at one place, wherever the volume is mounted here."""
    (volume.root / "jobs" / "k" / "1" / "files").mkdir(parents=True)
    (volume.root / "jobs" / "k" / "1" / "files" / "out.yml").write_text(f"file: {ROOT}/jobs/k/1/files/big.dat\n")
    digest = volume.storage.rescan("k", 1)
    workspace = Workspace(volume.storage)
    workspace.place(Input(OWN, "k", 1, digest))
    question = Question(QuestionKind.DOCUMENT, f"{OWN}/out.yml")
    assert workspace.answer([question]) == {str(question): {"value": {"file": f"{OWN}/big.dat"}}}
