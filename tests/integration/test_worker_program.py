"""The worker as a program: drains the queue, survives outages, ends in good order, tries again by cause."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from house import House
from steps import scatter, step, workflow

from reana_lite.backends.memory import MemoryBackend
from reana_lite.errors import Unavailable
from reana_lite.worker.program import keep_driving


class Deaf(MemoryBackend):
    """Does not answer the first few times it is given something."""

    deaf = 2

    def submit(self, tasks: Any) -> None:
        if self.deaf:
            self.deaf -= 1
            raise Unavailable("nobody answers")
        super().submit(tasks)


def test_outages_of_backend_and_database_lose_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [house.begin(name, workflow(map=scatter("echo {n} > {out}")), ns=[1, 2, 3]) for name in ("a", "b")]
    backend = Deaf(house.storage)
    worker = house.worker(backend)
    written, failures = worker._holding.write, iter([True, False, True])

    def write(*args: Any) -> None:
        written(*args)
        if next(failures, False):
            raise Unavailable("the database went away")

    monkeypatch.setattr(worker._holding, "write", write)
    keep_driving(worker, at_once=5, asked_to_end=threading.Event(), drain=True)
    assert [house.database.get_run(run).state for run in runs] == ["finished", "finished"]
    assert len(backend.order) == len(set(backend.order)) == 3, "the runs share their jobs, each computed once"


def test_a_job_given_up_in_good_order_is_begun_again_by_the_next_worker(house: House) -> None:
    run = house.begin("one", workflow(one=step("touch {out}")))
    for _ in range(4):  # more often than a lost job would be tried
        backend = MemoryBackend(house.storage, manual=True)
        worker = house.worker(backend)
        house.turn(worker, until=lambda backend=backend: backend.order)
        worker.close()
    house.turn(house.worker(MemoryBackend(house.storage)), until=lambda: not house.database.unfinished([run]))
    assert house.database.get_run(run).state == "finished"
    (key,) = {job.key for job in house.database.jobs_of(run)}
    assert [job.details.get("reason") for job in house.database.attempts(key)][:4] == ["shut-down"] * 4


def test_a_publisher_sees_nothing_of_the_machine_of_a_deployed_worker(house: House) -> None:
    publisher = {"publisher_type": "interpolated-pub", "publish": {"out": "/etc/pass*"}, "glob": True}
    look = step("echo 'seen {input}' > {out}", after="one")
    run = house.begin("curious", workflow(one=step("touch {out}", publisher=publisher), two=look))
    environment = {
        **os.environ, "RECAST_HOME": str(house.folder), "RECAST_STORAGE": str(house.storage.root),
        "RECAST_DATABASE": f"sqlite:///{house.folder}/records.db",
    }  # fmt: skip
    command = [sys.executable, "-m", "reana_lite", "worker", "--backend", "local", "--cores", "1", "--drain"]
    subprocess.run(command, env=environment, check=True, timeout=120)
    (node,) = [node for node in house.database.nodes_of(run) if node.node.startswith("/two")]
    assert "passwd" not in (house.storage.folder(node.key, node.attempt) / "out").read_text()
