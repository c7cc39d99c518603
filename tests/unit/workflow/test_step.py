"""From a node to its job: commands, containers, resources; what a text names."""

from __future__ import annotations

from typing import Any

import pytest

from reana_lite.errors import InvalidWorkflow
from reana_lite.job import EnvironmentKind, Mount
from reana_lite.workflow.folder import FolderIndex, tidy
from reana_lite.workflow.graph import Folders
from reana_lite.workflow.spec import (
    ConstantPublisher,
    ContainerEnvironment,
    LocalEnvironment,
    NoopEnvironment,
    ParMount,
    Script,
    Step,
    StringCommand,
)
from reana_lite.workflow.step import contextualised, prepared, quantity, resources

FOLDERS = Folders.of("/r/own", ["/r/z", "/r/a"])
NOTHING = ConstantPublisher({})


def made(process: Any, environment: Any, values: Any) -> Any:
    """The job of a step."""
    return prepared(Step(process, environment, NOTHING), values, FOLDERS)


def test_folder_names_are_given_in_the_order_of_the_references() -> None:
    assert contextualised({"b": ["{workdir}/x", "{readdir0}|{readdir1}"], "a": "{{x}}"}, FOLDERS) == {
        "a": "{x}",
        "b": ["/r/own/x", "/r/z|/r/a"],
    }
    assert FOLDERS.others == ("/r/a", "/r/z")


@pytest.mark.parametrize("text", ["{}", "{0} {workdir}", "{workdir.nothere}", "{workdir.__class__}"])
def test_texts_that_stay_as_they_are(text: str) -> None:
    assert contextualised([text], FOLDERS) == [text]


@pytest.mark.parametrize("text", ["{x}", "{", "}", "{workdir[x]}", "{workdir:q}"])
def test_texts_that_cannot_be_used(text: str) -> None:
    with pytest.raises(InvalidWorkflow, match="in a parameter cannot be used"):
        contextualised({"a": text}, FOLDERS)


def test_a_command_is_a_process_in_the_own_folder() -> None:
    job = made(StringCommand("echo {l} {n:.1f} {{x}}"), LocalEnvironment(), {"l": [1, "a"], "n": 2})
    assert (job.folder, job.line, job.script) == ("/r/own", "echo 1 a 2.0 {x}", None)
    assert job.environment.kind is EnvironmentKind.PROCESS


def test_a_script_in_a_container() -> None:
    environment = ContainerEnvironment(
        "img/x", imagetag="v1", envscript="/setup.sh", workdir="{workdir}/w",
        par_mounts=(ParMount(".l[], .n", "/par/a"),),
    )  # fmt: skip
    job = made(Script("print('{l}')", "python3 -"), environment, {"l": [1, "é"], "n": 2.0})
    assert (job.line, job.script) == ("source /setup.sh && python3 -", "print('1 é')")
    assert job.environment.image == "img/x:v1"
    assert job.environment.workdir == "/r/own/w"
    assert job.environment.mounts == (Mount("/par/a", '1\n"\\u00e9"\n2'),)
    assert set(job.texts()) == {"source /setup.sh && python3 -", "print('1 é')", "/r/own/w", '1\n"\\u00e9"\n2'}


def test_an_empty_script_is_none() -> None:
    assert made(Script(""), ContainerEnvironment("i"), {}).script is None


def test_what_runs_no_job() -> None:
    assert made(StringCommand("x"), NoopEnvironment(), {}) is None
    assert made(None, LocalEnvironment(), {}) is None
    assert made(StringCommand("{nothere}"), None, {}) is None


@pytest.mark.parametrize(
    ("process", "environment", "reason"),
    [
        (StringCommand("{x}"), NoopEnvironment(), "no value for the placeholder {x}.*; parameters: a, b"),
        (StringCommand("{}"), LocalEnvironment(), "a placeholder without a name"),
        (StringCommand("echo {"), LocalEnvironment(), "literal braces"),
        (Script("x"), LocalEnvironment(), "scripts do not run in localproc-env"),
        (StringCommand("x"), ContainerEnvironment("i", missing=("imagetag",)), "has no 'imagetag'"),
        (Script("x", missing=("interpreter",)), ContainerEnvironment("i"), "no interpreter"),
        (StringCommand("x"), ContainerEnvironment("i", par_mounts=(ParMount(None, "/x"),)), "needs `jqscript`"),
        (StringCommand("x"), ContainerEnvironment("i", par_mounts=(ParMount(".a.b", "/x"),)), "jq program .* failed"),
        (StringCommand("x"), ContainerEnvironment("i", workdir="{nothere}"), "placeholder {nothere}"),
    ],
)
def test_what_fails_a_node(process: Any, environment: Any, reason: str) -> None:
    with pytest.raises(InvalidWorkflow, match=reason):
        made(process, environment, {"a": 1, "b": 2})


def test_resources() -> None:
    got = resources(
        (
            "CVMFS",
            {"kubernetes_memory_limit": "8Gi", "kubernetes_cpu_request": "500m", "kubernetes_cpu_limit": "2"},
            {"kubernetes_job_timeout": 1209600, "kerberos": True},
            {"memory": "much", "rucio": {"a": 1}},
        )
    )
    assert (got.cpus, got.memory_bytes, got.timeout_s) == (2.0, 8 * 1024**3, 1209600.0)
    assert got.other == ("CVMFS", "kerberos: true", "memory: much", 'rucio: {"a": 1}')
    assert resources(({"cpus": 3, "memory": "500M", "timeout_s": 1.5},)).memory_bytes == 500_000_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("8Gi", 8 * 1024**3),
        ("1.5k", 1500),
        (7, 7),
        ("1e3", 1000),
        ("x", None),
        (True, None),
        (None, None),
        ("1Xi", None),
    ],
)
def test_quantities(value: Any, expected: Any) -> None:
    assert quantity(value) == expected


def test_what_a_text_names() -> None:
    index: FolderIndex[str] = FolderIndex("/v/run")
    for folder in ("/v/run/map_1", "/v/run/map_10", "/v/run/sub/leaf", "/v/run/odd name", "/v/run/a.b"):
        index.add(folder, folder.rpartition("/")[2])

    def names(text: str) -> list[str]:
        named = index.named([text])
        assert not named.parents
        return sorted(named.items.values())

    assert names("cat /v/run/map_1/x") == ["map_1"]
    assert names("cat /v/run/map_10 '/v/run/odd name/y'") == ["map_10", "odd name"]
    assert names("see /v/run/map_1, or /v/run//sub/./leaf/../../a.b.") == ["a.b", "map_1"]
    assert names("/v/run/map_2 /v/run/sub/other /v/runner/map_1 /v/run/odd names") == []
    assert len(index.named(["ls /v/run/sub"]).parents) == 1
    assert index.owners("/v/run/sub/leaf/x/y") == ("/v/run/sub/leaf", ["leaf"])
    assert index.owners("/v/run/sub") == ("", [])
    assert index.owners("/v/runner") == ("", [])
    assert tidy("//v/./x/../y/") == "/v/y"
