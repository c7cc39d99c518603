"""What a result says about where it comes from."""

from __future__ import annotations


def test_a_result_names_the_software_its_steps_ran_in(recast) -> None:
    recast("catalogue", "create", "mine")
    run = recast.json("run", "./mine", "--example", "default", "-q")["run"]
    provenance = recast.json("results", run)["provenance"]
    (environment,) = provenance["environments"]
    image, _, digest = environment.partition(" by stand-in ")
    assert image.startswith("docker.io/library/python:")
    assert digest.startswith("sha256:")
    assert provenance["backends"] == ["local"]
    assert {job["node"] for job in provenance["jobs"]} >= {"/limit/0"}
    again = recast.json("run", "./mine", "--example", "default", "-q")["run"]
    second = recast.json("results", again)["provenance"]
    assert second["reused"] == second["total"]
    assert second["environments"] == provenance["environments"]  # of the jobs that were reused
    assert {job["reused_from"] for job in second["jobs"]} == {run}
