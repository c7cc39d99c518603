"""`recast admin backup` and `restore` where files lie in a bucket, which is copied by its own means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from minio.commonconfig import CopySource

from reana_lite.config import S3Settings
from reana_lite.database import Database, jobs
from reana_lite.job import JobOutcome, JobState
from reana_lite.storage.s3 import S3Storage

KEY = "k" * 32


def environment(home: Path, settings: S3Settings) -> dict[str, str]:
    return {
        **os.environ, "RECAST_HOME": str(home), "RECAST_DATABASE": f"sqlite:///{home}/records.db",
        "RECAST_STORAGE": f"s3://{settings.bucket}/{settings.prefix.rstrip('/')}", "RECAST_S3_ENDPOINT": settings.endpoint,
        "RECAST_S3_ACCESS_KEY": settings.access_key, "RECAST_S3_SECRET_KEY": settings.secret_key,
    }  # fmt: skip


def admin(environ: Mapping[str, str], *words: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "reana_lite", "admin", *words]
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def mirror(storage: S3Storage, to: S3Settings) -> None:
    """As `mc mirror` does."""
    client, bucket = storage.bucket.client, storage.bucket.name
    for name in storage.bucket.sizes(storage.prefix):
        target = to.prefix + name.removeprefix(storage.prefix)
        client.copy_object(bucket, target, CopySource(bucket, name))


def test_a_backup_of_a_bucket_is_restored_beside_it(s3_settings: S3Settings, tmp_path: Path) -> None:
    storage = S3Storage(s3_settings)
    placed = storage.keep_bytes({"in.txt": b"in", "sub/more": b"more"}, "/x")
    digest = storage.clone(placed.key, 0, KEY)
    home = tmp_path / "home"
    with closing(Database(f"sqlite:///{home}/records.db")) as database, database.transaction() as transaction:
        transaction.create_run(run="r1", name="one", owner="me")
        jobs.claim(transaction, [(KEY, "r1")], "w", "kubernetes")
        outcome = JobOutcome(JobState.FINISHED, exit_code=0, digest=digest, size_bytes=6)
        jobs.finish(transaction, [(KEY, 1, outcome)])
    backup = tmp_path / "backup"
    said = admin(environment(home, s3_settings), "backup", str(backup))
    assert "2 places" in said
    assert "the bucket is not copied" in said
    assert not (backup / "storage").exists()
    listed = json.loads((backup / "backup.json").read_text())
    assert {(key, attempt) for key, attempt, *_ in listed["places"]} == {(placed.key, 0), (KEY, 1)}

    elsewhere = replace(s3_settings, prefix=s3_settings.prefix + "other/")
    said = admin(environment(tmp_path / "early", elsewhere), "restore", str(backup), code=1)
    assert "2 missing" in said
    assert f"missing: jobs/{KEY}/1" in said
    mirror(storage, elsewhere)
    there = environment(tmp_path / "there", elsewhere)
    assert "0 missing" in admin(there, "restore", str(backup))
    admin(there, "check", "--deep")
    with (
        closing(Database(there["RECAST_DATABASE"])) as copy,
        closing(Database(f"sqlite:///{home}/records.db")) as first,
    ):
        assert copy.installation() != first.installation()
        with copy.peek() as peek:
            claim = jobs.look_up(peek, [KEY])[KEY]
        assert claim.outcome is not None
        assert claim.outcome.digest == digest
    with S3Storage(elsewhere).open(KEY, 1, "sub/more") as stream:
        assert stream.read() == b"more"

    name = S3Storage(elsewhere)._file(KEY, 1, "in.txt")
    storage.bucket.remove([name])  # the mirror has not brought it
    said = admin(there, "check", "--deep", code=1)
    assert f"jobs/{KEY}/1" in said
