"""Random workflows through this engine and through the yadage package beside it: the same nodes, values and files.

A fixed moderate number of examples by default; DIFFERENTIAL_EXAMPLES=N tries N new ones (per block).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from compare import compare
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from random_workflow import Case, case
from run_case import Folders, Installation, describe, files, prepare

from reana_lite.errors import ReanaLiteError
from reana_lite.reference import Reference, ReferenceRun

EXAMPLES = os.environ.get("DIFFERENTIAL_EXAMPLES")
BLOCKS = 4
LIMIT_S = 60.0
MODERATE = settings(
    max_examples=int(EXAMPLES or 20),
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """One for all examples, so that equal jobs of different workflows are reused, as they would be in earnest."""
    home = Path(tempfile.mkdtemp(prefix="home-")).resolve()
    with Installation(home) as made:
        yield made
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_workflows_give_what_yadage_gives(block: int, installation: Installation, reference: Reference) -> None:
    @MODERATE
    @given(case())
    def both_agree(example: Case) -> None:
        note(yaml.safe_dump(example.workflow, sort_keys=False, allow_unicode=True))
        found = differences(example, installation, reference)
        for line in found:
            note(line)
        assert not found, found[0]

    if EXAMPLES is None:
        seed(block)(both_agree)()
    else:
        both_agree()


def differences(example: Case, installation: Installation, reference: Reference) -> list[str]:
    """What differs between the two engines on one example."""
    base = Path(tempfile.mkdtemp(prefix="case-")).resolve()
    try:
        ours = Folders(base)
        for folder in (ours.case / "in", ours.current):
            folder.mkdir(parents=True)
        for name in example.init_files:
            (ours.case / "in" / name).write_text(f"content of {name}\n", encoding="utf-8")
        write(ours.case / "workflow.yml", example.workflow)
        write(ours.case / "inputs.yml", example.init_data)
        data_options = {"initdir": str(ours.case / "in")}
        theirs = Folders(base / "reference")
        theirs.base.mkdir()
        expected = reference.run(
            ReferenceRun(
                workflow="workflow.yml",
                toplevel=str(ours.case),
                workdir=theirs.work,
                init_data=example.init_data,
                data_options=data_options,
                workflow_options=example.workflow_options,
                backend="multiproc:2",
                limit_s=LIMIT_S,
                tokens=[
                    (str(theirs.work), "$WORKDIR"),
                    (data_options["initdir"], "$CASE/in"),
                    (str(ours.case), "$CASE"),
                ],
                quick=True,
            )
        )
        try:
            prepared = prepare(
                {"dataopts": data_options, "wflowopts": example.workflow_options}, ours, installation.settings
            )
        except ReanaLiteError as error:
            actual = {"status": "invalid", "error": {"class": type(error).__name__, "message": error.message}}
        else:
            ended = installation.run(prepared, limit_s=LIMIT_S)
            actual = (
                {"status": "hang"}
                if ended.finish is None
                else describe(ended, prepared, ours, installation.storage, init=ours.case / "in")
            )
        actual["files"] = files(ours, {})
        return compare(expected, actual)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def write(path: Path, document: object) -> None:
    """A YAML file that both engines read."""
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
