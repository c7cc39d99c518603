"""The tag of an image is moved to another one: no result of the old one is taken for one of the new, nor the other way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_containers import IMAGE, make

from reana_lite.backends.container import ContainerBackend
from reana_lite.catalogue import Sources
from reana_lite.database import Database
from reana_lite.drive import replayed
from reana_lite.errors import Unavailable
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind
from reana_lite.storage.local import LocalStorage
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve
from reana_lite.worker import Worker, environments

pytestmark = pytest.mark.container

NAME = "localhost/recast-moved"


class Lab:
    """An image whose tag moves, and runs of a workflow that prints what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = LocalStorage(folder / "storage")
        self.storage.check()
        self.database = Database(f"sqlite:///{folder}/records.db")
        self.backend: ContainerBackend = make(self.storage)
        self.program = self.backend.engine.program

    def build(self, content: str) -> None:
        """Let the tag mean an image with this in it."""
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "marker").write_text(content)
        (context / "Containerfile").write_text(f"FROM {IMAGE}\nCOPY marker /marker\n")
        command = [self.program, "build", "-q", "--timestamp", "0", "-t", f"{NAME}:1", str(context)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr

    def remove(self) -> None:
        subprocess.run([self.program, "rmi", "-f", f"{NAME}:1"], capture_output=True, check=False, timeout=60)

    def worker(self) -> Worker:
        return Worker(self.database, self.storage, backend=self.backend, say=lambda _: None)

    def begin(self, word: str) -> str:
        environment = {"environment_type": "docker-encapsulated", "image": NAME, "imagetag": "1"}
        step = {
            "process": {"process_type": "string-interpolated-cmd", "cmd": f": {word}; cat /marker > {{out}}"},
            "environment": environment,
            "publisher": {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}},
        }
        scheduler = {"scheduler_type": "singlestep-stage", "parameters": {"out": "{workdir}/out"}, "step": step}
        text = json.dumps({"stages": [{"name": "one", "dependencies": [], "scheduler": scheduler}]})
        (self.folder / "look.yml").write_text(text)
        options = TargetOptions(folder=self.folder, scratch=self.folder / "scratch")
        prepared = resolve("look.yml", options=options, sources=Sources(downloads=self.folder / "downloads"))
        return submit(prepared, database=self.database, storage=self.storage, owner="me")

    def run(self, worker: Worker, word: str = "same") -> tuple[str, int, str, str]:
        """What the image said, how many steps were reused, the key, the environment as recorded."""
        run = self.begin(word)
        worker.drive([run])
        record = self.database.get_run(run)
        assert record.state == "finished", record.error
        drive = replayed(run, self.database.read_events(run), self.storage)
        with drive.workspace.open(f"{RUN_ROOT}/one/out") as stream:
            said = stream.read().decode()
        (job,) = self.database.jobs_of(run)
        return said, record.reused, job.key, job.environment


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.remove()
    lab.backend.close()
    lab.database.close()


def digest_of(environment: str) -> str:
    name, digest = environment.rsplit(" ", 1)
    assert name == f"{NAME}:1"
    assert digest.startswith("sha256:")
    return digest


def test_a_tag_that_is_moved_between_two_runs_is_computed_anew(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "TAG_AGE_S", 0.0)
    worker = lab.worker()
    lab.build("old")
    first = lab.run(worker)
    again = lab.run(worker)
    assert (first[0], again[0], first[1], again[1]) == ("old", "old", 0, 1)
    lab.build("new")
    second = lab.run(worker)
    assert second[:2] == ("new", 0)
    assert second[2] != first[2]
    assert digest_of(second[3]) != digest_of(first[3])
    lab.build("old")  # and back: the very same image, whose results are known
    third = lab.run(worker)
    assert third == (first[0], 1, first[2], first[3])


def test_as_long_as_a_tag_is_taken_for_an_image_it_is_run_as_that(lab: Lab) -> None:
    """A worker asks what a tag means every few minutes; until then its jobs run in the image of their key."""
    worker = lab.worker()
    lab.build("old")
    first = lab.run(worker, "one")
    lab.build("new")
    second = lab.run(worker, "two")
    assert (second[0], second[1]) == ("old", 0)
    assert digest_of(second[3]) == digest_of(first[3])


def test_an_image_named_by_digest_is_that_image_or_none(lab: Lab) -> None:
    lab.build("old")
    digest = lab.backend.prepare(Environment(EnvironmentKind.CONTAINER, f"{NAME}:1"), {}, lambda _: None)
    pinned = Environment(EnvironmentKind.CONTAINER, f"{NAME}@{digest}")
    assert lab.backend.prepare(pinned, {}, lambda _: None) == digest
    lab.build("new")  # nothing on this machine has that name and digest any more
    with pytest.raises(Unavailable, match="cannot be had"):
        lab.backend.prepare(pinned, {}, lambda _: None)
