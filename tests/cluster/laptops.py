"""Somebody's laptop that shares database and storage with an installation of the chart, and a workflow to submit."""

from __future__ import annotations

from pathlib import Path

import yaml
from installing import Release
from running_cluster import IMAGE, wait_until

from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.intake import Asked, submit_run
from reana_lite.storage import open_storage

WORKFLOW = """
stages:
- name: count
  dependencies: [init]
  scheduler:
    scheduler_type: multistep-stage
    parameters: {word: {step: init, output: words}, out: '{workdir}/out.txt', wait: {step: init, output: wait}}
    scatter: {method: zip, parameters: [word]}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'sleep {wait}; echo {word} > {out}'}
      environment: {environment_type: docker-encapsulated, image: ENVIRONMENT, imagetag: TAG}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
- name: join
  dependencies: [count]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {parts: {stages: count, output: out}, out: '{workdir}/all.txt'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'cat {parts} > {out}'}
      environment: {environment_type: docker-encapsulated, image: ENVIRONMENT, imagetag: TAG}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""


def workflow() -> str:
    """The workflow above; its parameters are `words`, a list, and `wait`, seconds."""
    image, _, tag = IMAGE.rpartition(":")
    return WORKFLOW.replace("ENVIRONMENT", image).replace("TAG", tag)


class Laptop:
    """Somebody whose `recast` shares database and storage with the installation, and drives nothing."""

    def __init__(self, one: Release, folder: Path, *, storage: Path | None = None) -> None:
        where = {"RECAST_STORAGE": str(storage)} if storage else {}
        self.settings = Settings.from_environment(
            {**one.environment(), "RECAST_HOME": str(folder), "HOME": str(folder), **where}
        )
        self.storage = open_storage(self.settings)
        self.database = Database(self.settings.database)
        self.folder = folder

    def submit(self, words: list[str], *, wait_s: int = 0) -> str:
        """Queue a run of the workflow above."""
        (self.folder / "workflow.yml").write_text(workflow())
        (self.folder / "inputs.yml").write_text(yaml.safe_dump({"words": words, "wait": wait_s}))
        asked = Asked(target="workflow.yml", files=("inputs.yml",), folder=str(self.folder))
        return submit_run(
            asked, database=self.database, storage=self.storage, settings=self.settings, owner="alice", name="shell"
        )

    def state(self, run: str) -> str:
        return str(self.database.get_run(run).state)

    def over(self, run: str, limit_s: float = 240.0) -> str:
        """Its final state."""

        def state() -> str | None:
            found = self.state(run)
            return found if found in ("finished", "failed", "stopped") else None

        return str(wait_until(state, f"the end of run {run}", limit_s=limit_s, pause_s=0.5))
