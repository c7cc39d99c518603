"""Targets that are really run, on a worker with local processes: the minimal analysis, and serial workflows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reana_lite.backends.local import LocalBackend
from reana_lite.catalogue import Sources, create
from reana_lite.database import Database
from reana_lite.drive import Drive
from reana_lite.job import RUN_ROOT
from reana_lite.serial import SerialEngine
from reana_lite.storage.local import LocalStorage
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve
from reana_lite.worker import Worker


class House:
    """A database, a storage and a worker in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = LocalStorage(folder / "storage")
        self.storage.check()
        self.database = Database(f"sqlite:///{folder}/records.db")

    def run(self, target: Path, **options: object) -> Drive:
        """Run a target to its end; the last state of its drive."""
        asked = TargetOptions(folder=self.folder, scratch=self.folder / "scratch", **options)  # type: ignore[arg-type]
        prepared = resolve(str(target), options=asked, sources=Sources(downloads=self.folder / "downloads"))
        run = submit(prepared, database=self.database, storage=self.storage, owner="me")
        seen: dict[str, Drive] = {}
        backend = LocalBackend(self.storage, cpus=2, memory_bytes=None)
        worker = Worker(
            self.database, self.storage, backend=backend, name="test", say=lambda line: None,
            watch=lambda drive: seen.__setitem__(drive.run, drive), host=True,
        )  # fmt: skip
        try:
            worker.drive([run])
        finally:
            worker.close()
        return seen[run]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def read(drive: Drive, path: str) -> str:
    with drive.workspace.open(path) as stream:
        return stream.read().decode()


def test_the_minimal_analysis_gives_a_verdict_and_reuses(house: House, tmp_path: Path) -> None:
    folder = create("mine", tmp_path / "mine")
    first = house.run(folder, example="default")
    assert first.engine.error == ""
    result = json.loads(read(first, f"{RUN_ROOT}/limit/result.json"))
    assert result["verdict"] == "excluded"
    assert result["best"] == "tight"
    assert [region["name"] for region in result["regions"]] == ["loose", "tight"]
    second = house.run(folder, example="default", assignments=("blocks=[1]", "n_events=2000"))
    progress = second.engine.progress()
    assert (progress["total"], progress["finished"]) == (3, 3)
    code = folder / "code" / "limit.py"
    code.write_text(code.read_text().replace("N_TOYS = 200", "N_TOYS = 100"))
    third = house.run(folder, example="default")
    assert third.engine.progress()["reused"] == 3  # all but the fit, whose code has changed


SERIAL = """\
inputs: {files: [x.sh]}
workflow:
  type: serial
  specification:
    steps:
    - {name: 'a&b<i>', commands: ['export A=1; mkdir d', 'cd d', 'pwd > where; echo "[$$A]" >> where']}
    - {name: log, commands: ['echo line >> log.txt']}
    - {name: log, commands: ['echo line >> log.txt']}
    - {name: last, commands: ['./x.sh > out; rm where; ls > names']}
"""


def test_a_serial_workflow_shares_its_workspace(house: House, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x.sh").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "s" / "x.sh").chmod(0o755)
    (tmp_path / "s" / "reana.yaml").write_text(SERIAL)
    drive = house.run(tmp_path / "s")
    assert isinstance(drive.engine, SerialEngine)
    drive.engine.check()
    assert drive.engine.progress()["finished"] == 6
    assert read(drive, f"{RUN_ROOT}/0-2/where").splitlines()[1] == "[]"
    assert not read(drive, f"{RUN_ROOT}/0-2/where").splitlines()[0].endswith("/d")
    last = drive.engine.tree
    assert last is not None
    assert last.folder == f"{RUN_ROOT}/3-0"
    assert read(drive, f"{last.folder}/log.txt") == "line\nline\n"
    assert read(drive, f"{last.folder}/out") == "ran\n"
    assert read(drive, f"{last.folder}/names").split() == ["d", "log.txt", "names", "out", "x.sh"]
    again = house.run(tmp_path / "s")
    assert again.engine.progress()["reused"] == 6


def test_a_serial_workflow_that_fails_keeps_what_is_there(house: House, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    steps = "[{name: bad, commands: ['echo kept > file', 'echo more > other; exit 3', 'echo never > never']}]"
    (tmp_path / "s" / "reana.yaml").write_text(f"workflow: {{type: serial, specification: {{steps: {steps}}}}}\n")
    drive = house.run(tmp_path / "s")
    assert drive.engine.state == "failed"
    assert "step 'bad', command 2 failed" in drive.engine.error
    assert drive.engine.tree is not None
    manifest = house.storage.manifest(drive.engine.tree.key, drive.engine.tree.attempt)
    assert manifest is not None
    assert [artifact.path for artifact in manifest.artifacts] == ["file", "other"]


def test_a_workflow_without_what_it_needs_says_so_before_and_after(house: House, tmp_path: Path) -> None:
    stage = {
        "name": "only", "dependencies": ["init"],
        "scheduler": {"scheduler_type": "singlestep-stage", "parameters": [], "step": {
            "process": {"process_type": "string-interpolated-cmd", "cmd": "true"},
            "environment": {"environment_type": "localproc-env"},
            "publisher": {"publisher_type": "constant-pub", "publish": {}}}},
    }  # fmt: skip
    (tmp_path / "lone.yml").write_text(json.dumps({"stages": [stage]}))
    options = TargetOptions(folder=tmp_path, scratch=tmp_path / "scratch")
    asked = resolve("lone.yml", options=options, sources=Sources(downloads=tmp_path / "downloads"))
    (warning,) = asked.warnings
    assert warning == (
        "no init data is given (NAME=VALUE, or a file of them), so there is no init stage and the stages that need it "
        "will not run: only"
    )
    drive = house.run(Path("lone.yml"))
    record = house.database.get_run(drive.run)
    assert (record.state, record.total) == ("finished", 0)
    assert record.error == (
        "nothing was computed: no parameters or input files were given, and the stages wait for them (only)"
    )
