"""Which images a cluster runs is said at the door: workflows with others are refused when they are submitted, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from serving import make_world

from reana_lite.backends.choice import refused_images
from reana_lite.config import S3Settings, Settings
from reana_lite.errors import NotAllowed
from reana_lite.guest import check_images
from reana_lite.intake import Asked, submit_run

DIGEST = "sha256:" + "ab" * 32


def settings(folder: Path, **changed: Any) -> dict[str, Any]:
    """Settings of an installation on a cluster that runs images of one organisation, and one by its digest."""
    rules = folder / "options.yml"
    rules.write_text(json.dumps({"images": ["docker.io/atlas/*", f"docker.io/library/debian@{DIGEST}"]}))
    return {"backend": "kubernetes", "kubernetes_options": rules, **changed}


def workflow(*images: str) -> dict[str, Any]:
    """Stages whose steps name images."""
    parts = [image.rpartition(":") for image in images]
    environments = [{"environment_type": "docker-encapsulated", "image": i, "imagetag": t} for i, _, t in parts]
    return {"stages": [{"scheduler": {"step": {"environment": one}}} for one in environments]}


def test_rules_are_those_of_the_cluster_where_jobs_run_on_one(tmp_path: Path) -> None:
    found = Settings.from_environment({"RECAST_HOME": str(tmp_path), "HOME": str(tmp_path)})

    def refused(**changed: Any) -> list[str]:
        from dataclasses import replace

        asked = workflow("atlas/analysis:1", f"debian@{DIGEST}", "debian:12", "evil.example.org/docker.io/atlas/x:1")
        return refused_images(replace(found, **{**settings(tmp_path), **changed}), asked)

    first, second = refused()
    assert first.startswith("image 'debian:12' is not allowed here; allowed are: docker.io/atlas/*")
    assert "'evil.example.org/docker.io/atlas/x:1'" in second
    assert len(refused(backend="auto", s3=S3Settings(bucket="b"))) == 2
    assert refused(backend="container") == refused(backend="auto") == refused(kubernetes_options=None) == []


def test_an_uploaded_workflow_with_such_an_image_is_refused_when_it_is_started(tmp_path: Path) -> None:
    world = make_world(tmp_path / "home", **settings(tmp_path))
    try:
        alice = world.client("alice")
        for image, code in (("docker.io/library/debian:12", 403), ("docker.io/atlas/analysis:1", 200)):
            step = {"environment": image, "commands": ["true"]}
            asked = {"workflow": {"type": "serial", "specification": {"steps": [step]}}}
            made = alice.post("/api/workflows?workflow_name=mine", json=asked)
            assert made.status_code == 201, made.json
            started = alice.post(f"/api/workflows/{made.json['workflow_id']}/start", json={})
            assert started.status_code == code, started.json
            if code == 403:
                assert f"image {image!r} is not allowed here" in started.json["message"]
    finally:
        world.database.close()


def test_an_analysis_of_the_catalogue_with_such_an_image_is_refused(tmp_path: Path) -> None:
    world = make_world(tmp_path / "home", **settings(tmp_path))
    try:
        folder = tmp_path / "home" / "catalogue" / "tiny"
        text = (folder / "workflow.yml").read_text()
        image = "{environment_type: docker-encapsulated, image: debian, imagetag: '12'}"
        (folder / "workflow.yml").write_text(text.replace("{environment_type: localproc-env}", image, 1))
        answer = world.client("alice").post("/api/v1/runs", json={"analysis": "tiny"})
        assert (answer.status_code, answer.json["error"]["error"]) == (403, "NotAllowed")
        assert "image 'debian:12' is not allowed here" in answer.json["error"]["message"]
        with pytest.raises(NotAllowed, match="'debian:12'"):
            submit_run(
                Asked(target=str(folder)), database=world.database, storage=world.storage, settings=world.settings,
                owner="laptop",
            )  # fmt: skip
    finally:
        world.database.close()


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = make_world(tmp_path / "home", **settings(tmp_path))
    try:
        with pytest.raises(NotAllowed, match=r"'a:1'.*'b:2'"):
            check_images(found.settings, workflow("a:1", "b:2", "a:1"))
    finally:
        found.database.close()
