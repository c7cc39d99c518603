"""The order in which jobs end, and a death of the process at any moment, change nothing."""

from __future__ import annotations

import json
from typing import Any

from engine_run import Run
from engine_stages import globbing, multi, output, single, step
from hypothesis import given, settings
from hypothesis import strategies as st

from reana_lite.event import JobFinished, JobStarted, Look, Looked, SubmitJob, from_row, to_row

INNER = [
    single("one", {"x": output("init", "i")}, step("touch {x}", globbing("o*")), after=["init"]),
    single("two", {"x": output("one", "out"), "out": "{workdir}/t"}, step("cat {x} > {out}"), after=["one"]),
]
STAGES = [
    multi("map", {"i": [1, 2, 3]}, ["i"], step("touch o{i}", globbing("o*"))),
    multi("sub", {"i": output("map", "out", many=True, flatten=True)}, ["i"], INNER, after=["map"]),
    multi("again", {"i": output("init", "l"), "out": "{workdir}/o"}, ["i"], step("touch {out}"), after=["init"]),
    single("all", {"x": output("sub[*].two", "out", many=True), "out": "o"}, step("cat {x}"), after=["sub", "again"]),
    single("last", {"x": output("again", "out", many=True), "out": "o"}, step("cat {x}"), after=["again"]),
]


def ends(choices: list[int], *, dies_every: int | None = None) -> dict[str, Any]:
    """The run's snapshot when the next job to end is chosen each time; with a death, the log is replayed from JSON."""
    run = Run()
    run.start(STAGES, {"l": ["a", "b"]})
    number = 0
    while run.finish is None:
        if dies_every and number % dies_every == 0:
            log = json.loads(json.dumps([to_row(event) for event in run.events]))
            run = Run()
            for kind, body in log:
                run.take(from_row(kind, body))
        commands = run.engine.outstanding()
        command = commands[choices[number % len(choices)] % len(commands)]
        number += 1
        if isinstance(command, Look):
            run.take(Looked(command.node, {str(q): False if q.kind == "exists" else [] for q in command.questions}))
        elif isinstance(command, SubmitJob):
            run.take(JobStarted(command.node, command.node, 1))
            answers = {str(q): [q.path.replace("*", "1")] for q in command.questions}
            run.take(JobFinished(command.node, command.node, 1, f"digest of {command.job.line}", answers))
    return {**run.engine.snapshot(), "jobs": {node: (job.job, job.inputs) for node, job in run.jobs.items()}}


EXPECTED = ends([0])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_the_order_in_which_jobs_end_changes_nothing(choices: list[int]) -> None:
    got = ends(choices)
    assert {key: value for key, value in got.items() if key != "jobs"} == {
        key: value for key, value in EXPECTED.items() if key != "jobs"
    }
    assert got["jobs"] == EXPECTED["jobs"]


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(2, 5))
def test_a_death_of_the_process_changes_nothing(choices: list[int], dies_every: int) -> None:
    assert ends(choices, dies_every=dies_every) == EXPECTED


def test_what_was_expected_is_what_the_stages_say() -> None:
    assert EXPECTED["state"] == "finished"
    assert len(EXPECTED["nodes"]) == 3 + 3 * 3 + 2 + 2 + 1
    assert EXPECTED["unapplied_stages"] == []
