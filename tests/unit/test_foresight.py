"""How a forecast names environments: a cluster is not asked, so who forecasts needs no rights there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from reana_lite.config import Settings
from reana_lite.event import RunStarted
from reana_lite.foresight import environment_digests
from reana_lite.job import Environment, EnvironmentKind


@pytest.mark.parametrize(
    ("image", "digest"),
    [("tool:1", "sha256:seen"), ("tool@sha256:" + "a" * 64, "sha256:" + "a" * 64), ("never-seen:1", "")],
)
def test_images_on_a_cluster_are_what_they_were_last(
    image: str, digest: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/there/is/none")
    nothing = cast(Any, None)
    settings = Settings(home=tmp_path, database="", storage=tmp_path, user="me", backend="kubernetes")
    naming = environment_digests(cast(RunStarted, nothing), settings, nothing, seen={"tool:1": "sha256:seen"})
    with naming as digest_of:
        assert digest_of(Environment(EnvironmentKind.CONTAINER, image), {}) == digest
