"""Which steps count as the same when it is remembered that they leave their inputs alone."""

from __future__ import annotations

from dataclasses import replace

from reana_lite.inputs import own_key, owner_of, template
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind, Input, JobSpec

JOB = JobSpec(
    f"{RUN_ROOT}/select_12", f"select --seed 12 --in {RUN_ROOT}/generate_12/events.lhe > {RUN_ROOT}/select_12/out"
)


def test_paths_and_numbers_do_not_tell_steps_apart() -> None:
    other = replace(JOB, line=JOB.line.replace("12", "7").replace("generate", "made"))
    assert template(other) == template(JOB)


def test_what_a_step_does_tells_them_apart() -> None:
    image = Environment(EnvironmentKind.CONTAINER, "an/image:1")
    others = [
        replace(JOB, line=JOB.line + "; rm -r $PWD"),
        replace(JOB, line=JOB.line.replace(" > ", " >> ")),
        replace(JOB, script="echo"),
        replace(JOB, environment=image),
    ]
    assert len({template(job) for job in [JOB, *others]}) == 5


def test_a_container_that_could_not_write_tells_nothing_of_one_that_can() -> None:
    image = replace(JOB, environment=Environment(EnvironmentKind.CONTAINER, "an/image:1"))
    assert template(image) != template(image, writable=True)
    assert template(JOB) == template(JOB, writable=True)


def test_copies_of_a_run_are_told_from_outputs_of_jobs() -> None:
    tree = Input(f"{RUN_ROOT}/a", "abc234", 2, "sha256:0")
    assert owner_of(own_key("run23456", tree)) == "run23456"
    assert owner_of(tree.key) == ""
    assert own_key("run23456", tree) != own_key("run23456", replace(tree, attempt=1))
