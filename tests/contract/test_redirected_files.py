"""Large files of a bucket reach users from the bucket itself where the operator wants it, after the server's own checks."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reana_lite.config import S3Settings, Settings
from reana_lite.database import Database, tokens, users
from reana_lite.database.users import Role, User
from reana_lite.server import create_app
from reana_lite.server.api import files
from reana_lite.storage.s3 import S3Storage
from reana_lite.workspace import Workspace

PAGE = b"<script>alert(1)</script>" + b" " * 1_500_000


@pytest.mark.parametrize("redirects", [True, False])
def test_a_large_file_is_linked_to(
    s3_settings: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redirects: bool
) -> None:
    settings = Settings.from_environment({"RECAST_HOME": str(tmp_path), "RECAST_USER": "laptop"})
    settings = replace(settings, s3=replace(s3_settings, redirects=redirects))
    assert settings.s3 is not None
    storage, database = S3Storage(settings.s3), Database(settings.database)
    for name, role in {"root": Role.ADMIN, "alice": Role.USER, "bob": Role.USER}.items():
        users.add(database, User(name, role))
    secrets = {name: tokens.add(database, name)[0] for name in ("alice", "bob")}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evil.html").write_bytes(PAGE)
    (tmp_path / "out" / "small.txt").write_bytes(b"small")
    (tmp_path / "out" / "link.html").symlink_to("evil.html")
    workspace = Workspace(storage)
    workspace.place(storage.keep_tree(tmp_path / "out", "/reana-lite/run/step"))
    monkeypatch.setattr(files, "drive_of", lambda *_: SimpleNamespace(workspace=workspace))
    database.create_run(run="arun2345", name="a", owner="alice", request={})
    client = create_app(settings, database=database, storage=storage).test_client()

    def get(path: str, who: str = "alice") -> Any:
        return client.get(
            f"/api/v1/runs/arun2345/artifacts/{path}", headers={"Authorization": f"Bearer {secrets[who]}"}
        )

    assert get("step/evil.html", "bob").status_code == 404  # no link for who may not see the run
    with get("step/small.txt") as small:
        assert small.data == b"small"
    large = get("step/evil.html")
    if not redirects:
        assert (large.status_code, large.data) == (200, PAGE)
        assert large.mimetype == "text/plain"
        assert "sandbox" in large.headers["Content-Security-Policy"]
        large.close()
        database.close()
        return
    assert large.status_code == 303
    assert large.headers["Cache-Control"] == "no-store"
    assert large.headers["Location"].startswith(s3_settings.endpoint)
    assert "X-Amz-Expires=60" in large.headers["Location"]
    with urllib.request.urlopen(large.headers["Location"], timeout=30) as answer:
        assert answer.read() == PAGE
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="evil.html"'
        assert "no-store" in answer.headers["Cache-Control"]
    database.close()
