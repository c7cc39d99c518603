"""Pruning: what goes, what stays although the records said otherwise a moment ago, and what is said of what is gone."""

from __future__ import annotations

import os
import time

from steps import step, workflow

from reana_lite import prune
from reana_lite.database import upkeep
from reana_lite.event import RunState


def test_prune_keeps_what_a_run_has_come_to_name_meanwhile(recast, write, monkeypatch) -> None:
    """Between the look at the records and the removal another run reuses an output, and finishes."""
    write("w.yml", workflow(a=step("echo a > {out}")))
    recast("run", "w.yml", "-q")
    installation = recast.installation()
    database, storage = installation.database, installation.storage
    (job,) = database.kept_jobs()
    monkeypatch.setattr(upkeep, "places_of_runs", lambda *_, **__: set())  # as if the run had come later
    prune.prune(database, storage, before=job.ended_at + 1)
    assert storage.manifest(job.key, job.attempt) is not None
    prune.prune(database, storage, before=job.ended_at + 1, keep_runs=False)
    assert storage.manifest(job.key, job.attempt) is None


def test_prune_takes_input_files_that_nothing_names_and_nobody_kept_lately(recast, write) -> None:
    installation = recast.installation()
    database, storage = installation.database, installation.storage
    storage.check()
    tree = storage.keep_bytes({"x": b"named"}, "/reana-lite/init")
    init = {"trees": [[tree.folder, tree.key, 0, tree.digest]]}
    database.create_run(run="r", name="r", owner="me", first_event=("RunStarted", {"init": init}))
    database.set_run_state("r", RunState.STOPPED)
    lone, fresh = (storage.keep_bytes({"x": text}, "/reana-lite/init").key for text in (b"lone", b"fresh"))
    old = time.time() - 2 * prune.TREE_AGE_S
    for key in (lone, tree.key):
        os.utime(storage.place(key, 0) / "manifest.json", (old, old))
    would = prune.prune(database, storage, before=time.time(), keep_runs=False, dry_run=True)
    assert [place.key for place in would if not place.attempt] == [lone]
    assert storage.manifest(lone, 0) is not None
    prune.prune(database, storage, before=time.time(), keep_runs=False)
    left = {key for key, attempt in storage.places() if not attempt}
    assert left == {fresh, tree.key}


def test_prune_spares_the_log_of_what_failed_lately(recast, write) -> None:
    write("w.yml", workflow(a=step("echo why; false")))
    recast("run", "w.yml", "-q", code=1)
    recast("cache", "prune", "--all-runs", "--older-than", "1h")
    assert "why" in recast("logs", "latest")


def test_what_was_removed_is_told(recast, write, call) -> None:
    write("w.yml", workflow(a=step("echo a > {out}")))
    recast("run", "w.yml", "-q")
    assert "not kept any more" not in call("artifacts", "ls", "latest").err
    recast("cache", "prune", "--all-runs")
    listed = call("artifacts", "ls", "latest")
    assert listed.code == 0
    assert "the outputs of 1 of 1 steps are not kept any more" in listed.err
