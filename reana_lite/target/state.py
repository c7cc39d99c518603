"""The state of an analysis that a test of it runs: a digest of all that its numbers follow from.

Recorded numbers carry it, so that `recast check` can say when they are older than what they describe. What is in it is
what a run gets: workflow, files, data (by declared digest), environments, theory, parameters; no title, reference or
tolerance. Called by `recast test --record` and `recast check`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from reana_lite.analysis import Analysis, Test
from reana_lite.catalogue import Sources
from reana_lite.target.files import left_out
from reana_lite.target.preserved import load_checked_workflow


def state_of(analysis: Analysis, test: Test, sources: Sources) -> str:
    """The digest ("sha256:...") of what this test computes from; raises InvalidAnalysis as a run would."""
    folder = Path(analysis.source).parent
    value: dict[str, Any] = {
        "workflow": load_checked_workflow(analysis, sources)[0],
        "files": {key: _contents(folder / path) for key, path in analysis.files.items()},
        "data": {key: download.sha256 for key, download in analysis.data.items()},
        "environments": {
            one.image: _contents(folder / one.requirements) for one in analysis.environments if one.requirements
        },
        "theory": [_contents(folder / path) for path in test.theory],
        "parameters": analysis.bind(test.parameters),
        "results": [[one.name, one.stage, one.output, one.path] for one in analysis.results],
    }
    return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _contents(path: Path) -> Any:
    """Digest of a file, or of every file below a folder by its relative path; without what tools leave there."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        str(found.relative_to(path)): hashlib.sha256(found.read_bytes()).hexdigest()
        for found in sorted(path.rglob("*"))
        if found.is_file() and not any(left_out(part) for part in found.relative_to(path).parts)
    }
