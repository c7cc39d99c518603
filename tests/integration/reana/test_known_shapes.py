"""Shapes of reana.yaml as public examples of REANA have them: each is accepted, or refused with a reason that says why.

Made anew after reanahub/reana-demo-{bsm-search, atlas-recast, cms-reco, dask-coffea, root6-roofit} and users' repositories.
"""

# ruff: noqa: E501 - a shape is easier to read in a line
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reana_lite.analysis import read_document
from reana_lite.catalogue import Sources
from reana_lite.errors import InvalidAnalysis, ReanaLiteError
from reana_lite.server.reana.documents import full_specification
from reana_lite.target.reana import check_specification, resolve_uploaded
from reana_lite.workflow.loading import read_workflow

IMAGE = "docker.io/some/image:1"
STAGES = {
    "stages": [{
        "name": "one", "dependencies": [],
        "scheduler": {
            "scheduler_type": "singlestep-stage", "parameters": {"n": {"step": "init", "output": "nevents"}},
            "step": {
                "process": {"process_type": "string-interpolated-cmd", "cmd": "echo {n}"},
                "environment": {"environment_type": "docker-encapsulated", "image": "some/image", "imagetag": "1",
                                "resources": [{"kerberos": True}, {"kubernetes_memory_limit": "256Mi"}]},
                "publisher": {"publisher_type": "interpolated-pub", "publish": {"out": "{workdir}/x"}},
            },
        },
    }]
}  # fmt: skip


EXPANDED = read_workflow("file:///w/", "all.yml", lambda uri: json.dumps(STAGES).encode()).workflow.to_json()
"""As the client sends it: defaults filled in, references expanded."""


def serial(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"workflow": {"type": "serial", "specification": {"steps": list(steps)}, **more.pop("workflow", {})}, **more}


ACCEPTED: dict[str, tuple[dict[str, Any], str]] = {
    "yadage, expanded by the client, no files named": (
        {"version": "0.6.0", "inputs": {"parameters": {"nevents": 160000}}, "outputs": {"files": ["outputs/plot/postfit.pdf"]},
         "workflow": {"type": "yadage", "file": "workflow/all.yml", "specification": EXPANDED}}, ""),
    "yadage below a folder, directories, an address as a parameter": (
        {"inputs": {"parameters": {"nevents": 4, "dxaod_file": "https://example.org/signal_one.root"}, "directories": ["workflow"]},
         "workflow": {"type": "yadage", "file": "workflow/all.yml"}}, ""),
    "serial, one folded command, a backend and limits": (
        serial({"name": "reco", "environment": IMAGE, "compute_backend": "kubernetes", "kubernetes_memory_limit": "4Gi",
                "kubernetes_job_timeout": 3600, "kubernetes_uid": 500, "commands": ["source /opt/x.sh\n&& cd src\n&& eval `y`\n"]},
               inputs={"files": ["a.cc", "b.xml"]}, outputs={"files": ["deep/er/x.root"], "directories": ["plots"]}), ""),
    "serial, with dask and tests": (
        serial({"name": "process", "environment": IMAGE, "commands": ["python a.py"]}, workflow={"resources": {"dask": {"image": IMAGE}}},
               tests={"files": ["tests/log-messages.feature"]}), "dask"),
    "serial, quotes and both kinds of dollars": (
        serial({"name": "gen", "environment": IMAGE, "commands": ["root -q 'gen.C(${events},\"${data}\")'", "echo $$REANA_WORKSPACE"]},
               inputs={"parameters": {"events": 20000, "data": "results/data.root"}}, outputs={"files": ["${data}"]}), ""),
    "serial, a step without a name": (serial({"environment": IMAGE, "commands": ["true"]}), ""),
    "serial, grid and unpacked images": (
        serial({"name": "grid", "environment": IMAGE, "kerberos": True, "voms_proxy": True, "rucio": True, "unpacked_img": True,
                "commands": ["true"]}, workflow={"resources": {"cvmfs": ["sft.cern.ch"], "kerberos": True}}), "cvmfs"),
    "a workspace with its path and retention": (
        serial({"name": "a", "environment": IMAGE, "commands": ["true"]}, workspace={"retention_days": {"*.root": 30}}), ""),
}  # fmt: skip

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "snakemake": ({"workflow": {"type": "snakemake", "file": "Snakefile", "resources": {"cvmfs": ["sft.cern.ch"]}}},
                  "'snakemake' cannot be run here; right is yadage or serial"),
    "cwl": ({"workflow": {"type": "cwl", "file": "workflow.cwl"}, "inputs": {"parameters": {"input": "in.yml"}}}, "'cwl' cannot be run"),
    "initfiles of a serial workflow": (
        serial({"environment": IMAGE, "commands": ["true"]}, inputs={"options": {"initfiles": ["a.yml"]}}),
        "unknown option 'initfiles' of a serial workflow"),
    "a key that nobody knows": (serial({"environment": IMAGE, "commands": ["true"]}, xyz={"a": 1}), "unknown key 'xyz'"),
    "a step whose key is misspelt": (serial({"environment": IMAGE, "command": ["true"]}), "command"),
    "files outside": (serial({"environment": IMAGE, "commands": ["true"]}, inputs={"files": ["../x"]}), "inside of the workspace"),
    "no workflow": ({"version": "0.6.0", "inputs": {"files": []}}, "a reana.yaml has a `workflow`"),
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "workflow").mkdir(parents=True)
    (folder / "a.cc").touch()
    (folder / "workflow" / "all.yml").write_text(str(STAGES))
    return folder


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str, workspace: Path) -> None:
    document, warned = ACCEPTED[name]
    check_specification(read_document(json.dumps(document), "reana.yaml"))
    assert full_specification(document)["workflow"]["type"] == document["workflow"]["type"]
    prepared = resolve_uploaded(document, workspace, Sources(timeout_s=0.01), name="w")
    assert prepared.engine == document["workflow"]["type"]
    assert warned in " ".join(prepared.warnings)
    assert bool(warned) <= bool(prepared.warnings)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, workspace: Path) -> None:
    document, reason = REFUSED[name]
    with pytest.raises(ReanaLiteError) as refused:
        resolve_uploaded(document, workspace, Sources(timeout_s=0.01), name="w")
    assert reason in refused.value.message
    assert isinstance(refused.value, InvalidAnalysis)
