"""The engine as a machine: what it commands for which event."""

from __future__ import annotations

import pytest
from engine_run import Run
from engine_stages import globbing, multi, output, single, step

from reana_lite.engine import ENGINE_VERSION, Engine
from reana_lite.errors import Conflict
from reana_lite.event import (
    FinishRun,
    InitData,
    JobFinished,
    JobStarted,
    Look,
    Looked,
    Question,
    QuestionKind,
    RunStarted,
    RunState,
    StopJob,
    StopRequested,
    SubmitJob,
)
from reana_lite.job import INIT_ROOT, RUN_ROOT, Input

CHAIN = [
    single("a", {"out": "{workdir}/a.txt"}, step("echo a > {out}")),
    single("b", {"x": output("a", "out"), "out": "{workdir}/b.txt"}, step("cp {x} {out}"), after=["a"]),
]


def test_a_chain_is_laid_out_at_once_and_submitted_step_by_step(run: Run) -> None:
    run.start(CHAIN)
    assert list(run.engine.graph.nodes) == ["/a/0", "/b/0"]
    assert list(run.jobs) == ["/a/0"]
    assert run.jobs["/a/0"].job.line == f"echo a > {RUN_ROOT}/a/a.txt"
    run.finish_job("/a/0")
    assert run.jobs["/b/0"].inputs == (Input(f"{RUN_ROOT}/a", "key/a/0", 1, "sha256:/a/0"),)
    assert run.finish_job("/b/0") == [FinishRun(RunState.FINISHED)]


def test_nothing_to_do_is_a_finished_run(run: Run) -> None:
    assert run.start([]) == [FinishRun(RunState.FINISHED)]


def test_stages_that_are_never_ready_are_dropped(run: Run) -> None:
    why = "nothing was computed: what the stages wait for did not come about (a)"
    assert run.start([single("a", {}, after=["nowhere"])]) == [FinishRun(RunState.FINISHED, why)]
    assert run.engine.snapshot()["unapplied_stages"] == ["/a"]


def test_a_failed_job_fails_its_descendants_only(run: Run) -> None:
    run.start([*CHAIN, single("c", {"out": "o"})])
    assert sorted(run.jobs) == ["/a/0", "/c/0"]
    run.fail_job("/a/0", "exit code 3")
    finish = run.finish_job("/c/0")[-1]
    assert finish == FinishRun(RunState.FAILED, "workflow finished but failed: /a/0 (exit code 3)")
    assert run.states() == {"/a/0": "FAILED", "/b/0": "DEFINED", "/c/0": "SUCCESS"}


def test_waiting_is_not_ordering(run: Run) -> None:
    run.start([single("a", {"out": "o"}), single("b", {"out": "p"}, after=["a"])])
    assert sorted(run.jobs) == ["/a/0", "/b/0"]
    run.fail_job("/a/0")
    assert run.finish_job("/b/0")[-1].state is RunState.FAILED


def test_a_stage_waits_for_a_result_that_needs_files(run: Run) -> None:
    run.start(
        [
            single("a", {}, step("touch x1 x2", globbing("x*"))),
            single("b", {"all": output("a", "out"), "out": "o"}, step("cat {all}"), after=["a"]),
        ]
    )
    assert run.jobs["/a/0"].questions == (Question(QuestionKind.GLOB, f"{RUN_ROOT}/a/x*"),)
    assert run.engine.snapshot()["unapplied_stages"] == ["/b"]
    run.finish_job("/a/0", writes={"x1": "", "x2": ""})
    assert run.jobs["/b/0"].job.line == f"cat {RUN_ROOT}/a/x1 {RUN_ROOT}/a/x2"
    run.finish_job("/b/0")


def test_a_publisher_that_fails_after_the_job_fails_the_node(run: Run) -> None:
    run.start([single("a", {}, step(publisher={"publisher_type": "fromyaml-pub", "yamlfile": "o.yml"}))])
    finish = run.finish_job("/a/0")[-1]
    assert finish == FinishRun(
        RunState.FAILED,
        "workflow finished but failed: /a/0 (the file 'o.yml' to be published cannot be used: no such file)",
    )


def test_a_command_that_cannot_be_filled_in_fails_its_node_only(run: Run) -> None:
    run.start([single("a", {"out": "o"}, step("echo {nothere}")), single("b", {"out": "o"})])
    assert list(run.jobs) == ["/b/0"]
    finish = run.finish_job("/b/0")[-1]
    assert "/a/0 (the command cannot be filled in: there is no value for the placeholder {nothere}" in finish.error


def test_a_bad_placeholder_in_a_parameter_ends_the_run(run: Run) -> None:
    run.start([single("b", {"out": "o"}), single("c", {"out": "o"}), single("a", {"out": "{nothere}"})])
    assert [type(command) for command in run.commands] == [FinishRun]
    assert run.finish is not None
    assert run.finish.state is RunState.FAILED
    assert "node /a/0: the text '{nothere}' in a parameter cannot be used" in run.finish.error
    assert "folder names: workdir" in run.finish.error


def test_an_error_while_jobs_run_stops_them(run: Run) -> None:
    run.start(
        [
            single("slow", {"out": "o"}),
            single("a", {}, step(publisher=globbing("*"))),
            single("b", {"x": output("a", "nothere"), "out": "o"}, after=["a"]),
        ]
    )
    assert run.finish_job("/a/0", writes={"x": ""}) == [
        StopJob("/slow/0"),
        FinishRun(
            RunState.FAILED,
            "stage /b: parameter 'x': the output 'nothere' selects nothing in the outputs of /a/0; it has: out",
        ),
    ]


def test_stop_is_obeyed_at_once_and_late_events_change_nothing(run: Run) -> None:
    run.start(CHAIN)
    stopped = run.take(StopRequested("somebody"))
    assert stopped == [StopJob("/a/0"), FinishRun(RunState.STOPPED, "stopped by somebody")]
    assert run.finish_job("/a/0") == []
    assert run.engine.outstanding() == [StopJob("/a/0"), FinishRun(RunState.STOPPED, "stopped by somebody")]


def test_outstanding_are_the_commands_without_an_answer(run: Run) -> None:
    run.start([single("a", {"out": "o"}), single("b", {"out": "p"})])
    assert [command.node for command in run.engine.outstanding()] == ["/a/0", "/b/0"]
    run.take(JobStarted("/a/0", "k", 1))
    run.finish_job("/a/0")
    assert run.replayed().engine.outstanding() == [run.jobs["/b/0"]]
    run.finish_job("/b/0")
    assert run.engine.outstanding() == [FinishRun(RunState.FINISHED)]


def test_events_that_cannot_happen_are_refused(run: Run) -> None:
    engine = Engine()
    with pytest.raises(Conflict, match="first event"):
        engine.handle(StopRequested())
    run.start(CHAIN)
    with pytest.raises(Conflict, match="started already"):
        run.engine.handle(RunStarted({"stages": []}, InitData(), ENGINE_VERSION))
    with pytest.raises(Conflict, match="no job that is not ended"):
        run.engine.handle(JobFinished("/b/0", "k", 1, "d"))
    with pytest.raises(Conflict, match="has not asked"):
        run.engine.handle(Looked("/a/0", {}))
    with pytest.raises(Conflict, match="version 0"):
        engine.handle(RunStarted({"stages": []}, InitData(), 0))


def test_an_answer_must_answer_what_was_asked(run: Run) -> None:
    run.start([], {"x": "name"})
    with pytest.raises(Conflict, match=f"does not answer exists:{INIT_ROOT}/name"):
        run.engine.handle(Looked("/init/0", {}))
    assert [type(command) for command in run.engine.outstanding()] == [Look]
    run.go()


def test_progress_counts_nodes_with_a_job(run: Run) -> None:
    run.start(
        [
            multi("m", {"i": [1, 2, 3], "out": "o"}, ["i"]),
            single("p", {"x": output("m[0]", "out"), "out": "o"}, after=["m"]),
        ]
    )
    empty = {"total": 4, "submitted": 3, "running": 0, "finished": 0, "reused": 0, "failed": 0}
    assert run.engine.progress() == empty
    run.take(JobStarted("/m/0", "k", 1))
    run.take(JobStarted("/m/0", "k", 2))
    assert run.engine.progress() == {**empty, "running": 1}
    run.finish_job("/m/0")
    run.finish_job("/m/1", reused_from="an earlier run")
    run.fail_job("/m/2")
    assert run.engine.progress() == {**empty, "submitted": 4, "finished": 2, "reused": 1, "failed": 1}
    assert run.nodes["/m/2"]["failure"] == {"class": "exit", "message": "exit code 1"}


def test_an_invalid_workflow_fails_the_run(run: Run) -> None:
    run.start([{"name": "a"}])
    assert run.finish is not None
    assert run.finish.state is RunState.FAILED


def test_too_many_nodes_end_the_run_with_a_clear_error(run: Run) -> None:
    many = list(range(30))
    run.start([multi("m", {"i": many, "out": "o"}, ["i"]), multi("n", {"i": many, "out": "o"}, ["i"])], max_nodes=50)
    assert run.finish is not None
    assert run.finish.error == "stage /n: it would make more than 50 nodes (option max_nodes)"


def test_cases_without_a_match_are_counted_too(run: Run) -> None:
    many = list(range(100))
    stage = multi("m", {"i": many, "j": many}, ["i", "j"], [{"if": "false", "step": step()}], method="cartesian")
    run.start([stage], max_nodes=50)
    assert run.finish is not None
    assert run.finish.error == "stage /m: it would have more than 50 members (option max_nodes)"


def test_without_nesting_all_nodes_use_the_top_folder(run: Run) -> None:
    run.start([single("a", {"out": "{workdir}/x"}, step("echo {out}"))], nest=False)
    assert run.jobs["/a/0"].job.folder == RUN_ROOT
    assert run.jobs["/a/0"].job.line == f"echo {RUN_ROOT}/x"
    run.go()


def test_without_prediction_stages_wait_for_the_end_of_jobs(run: Run) -> None:
    run.start(CHAIN, disable_prepub=True)
    assert run.engine.snapshot()["unapplied_stages"] == ["/b"]
    run.finish_job("/a/0")
    assert "/b/0" in run.jobs
    run.go()


def test_noop_runs_no_job_but_fills_in_its_command(run: Run) -> None:
    noop = {"environment_type": "noop-env"}
    run.start(
        [
            single("a", {"out": "o"}, step("{out}", environment=noop)),
            single("b", {"out": "o"}, step("{no}", environment=noop)),
        ]
    )
    assert run.jobs == {}
    assert run.states() == {"/a/0": "SUCCESS", "/b/0": "FAILED"}


def test_scripts_do_not_run_as_local_processes(run: Run) -> None:
    script = {**step(), "process": {"process_type": "interpolated-script-cmd", "script": "true", "interpreter": "sh"}}
    run.start([single("a", {"out": "o"}, script)])
    assert run.finish is not None
    assert "scripts do not run in localproc-env" in run.finish.error


def test_a_huge_scatter_is_laid_out_in_one_event_and_needs_no_more_than_that(run: Run) -> None:
    stages = [
        multi("m", {"i": output("init", "items"), "out": "{workdir}/o"}, ["i"], after=["init"]),
        single("r", {"all": output("m", "out", many=True), "out": "o"}, step("cat {all}"), after=["m"]),
    ]
    run.start(stages, {"items": list(range(200))})
    assert len(run.jobs) == 200
    finish = run.go(started=False)
    assert finish.state is RunState.FINISHED
    assert len(run.jobs["/r/0"].inputs) == 200
    assert [command.node for command in run.commands if isinstance(command, SubmitJob)][-1] == "/r/0"
