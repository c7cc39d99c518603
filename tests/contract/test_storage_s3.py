"""What only a bucket must do: outlive its server's death, give away single rights, keep its secrets."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from reana_lite.artifact import Artifact, Manifest
from reana_lite.config import S3Settings, Settings
from reana_lite.errors import InvalidInput, Unavailable
from reana_lite.storage import open_storage
from reana_lite.storage.names import file_name
from reana_lite.storage.s3 import S3Storage
from tests.contract.conftest import KEYS, MinioServer

KEY = "k" * 32


def test_writes_and_reads_go_on_when_the_server_is_back(
    minio: MinioServer, s3_settings: S3Settings, tmp_path: Path
) -> None:
    storage = S3Storage(s3_settings, patience_s=60)
    source = tmp_path / "many"
    source.mkdir()
    for number in range(300):
        (source / str(number)).write_bytes(bytes([number % 256]) * 2000)
    kept: list[object] = []

    def keep() -> None:
        kept.append(storage.keep_tree(source, "/x"))

    thread = threading.Thread(target=keep)
    thread.start()
    while not storage._list(s3_settings.prefix):  # it has begun
        pass
    minio.kill()
    minio.start()
    thread.join(60)
    (placed,) = kept
    assert storage.damage(placed.key, 0) == []  # type: ignore[attr-defined]
    reading = threading.Thread(target=lambda: storage.fetch(placed.key, 0, tmp_path / "back"))  # type: ignore[attr-defined]
    reading.start()
    minio.kill()
    minio.start()
    reading.join(60)
    assert {p.name: p.read_bytes() for p in (tmp_path / "back").iterdir()} == {
        p.name: p.read_bytes() for p in source.iterdir()
    }


def test_a_server_that_stays_away_is_told_and_nothing_is_half_there(
    minio: MinioServer, s3_settings: S3Settings, tmp_path: Path
) -> None:
    storage = S3Storage(s3_settings, patience_s=0.5)
    (tmp_path / "one").write_bytes(b"1")
    minio.kill()
    try:
        with pytest.raises(Unavailable, match="does not answer"):
            storage.keep_tree(tmp_path / "one", "/x")
        with pytest.raises(Unavailable, match="does not answer"):
            storage.manifest(KEY, 1)
    finally:
        minio.start()
    assert list(storage.places()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bucket": "nothing-here"}, "no bucket"),
        ({"secret_key": "wrong-secret"}, "SignatureDoesNotMatch|AccessDenied|403"),
        ({"access_key": "nobody"}, "InvalidAccessKeyId|AccessDenied|403"),
    ],
)
def test_a_wrong_bucket_or_key_is_told_at_once_without_the_secret(
    s3_settings: S3Settings, change: dict[str, str], words: str
) -> None:
    storage = S3Storage(replace(s3_settings, **change), patience_s=30)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match=words) as caught:
        storage.check()
    assert "secret" not in str(caught.value).replace("SECRET", "")


def test_a_link_reads_one_artifact_and_no_other(s3_settings: S3Settings) -> None:
    storage = S3Storage(s3_settings)
    placed = storage.keep_bytes({"a b/ü": b"hello", "other": b"no"}, "/x")
    url = storage.link(placed.key, 0, "a b/ü", valid_s=60, name='bad"\r\nname.txt')
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"hello"
        assert response.headers["content-disposition"] == 'attachment; filename="bad___name.txt"'
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace(file_name("a b/ü").replace("%", "%25"), "other"))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.partition("?")[0])


def test_a_permit_adds_to_one_attempt_and_nowhere_else(s3_settings: S3Settings) -> None:
    storage = S3Storage(s3_settings)
    permit = storage.permit(KEY, 1, valid_s=60, max_bytes=1000)
    prefix = permit.fields["key"]

    def post(name: str, content: bytes) -> int:
        answer = requests.post(permit.url, data={**permit.fields, "key": name}, files={"file": content}, timeout=10)
        return answer.status_code

    assert post(prefix + "files/" + file_name("ä b"), b"out") == 204
    manifest = Manifest((Artifact("ä b", "file", 3, "sha256:" + hashlib.sha256(b"out").hexdigest()),))
    assert post(prefix + "manifest.json", manifest.to_json().encode()) == 204
    with storage.open(KEY, 1, "ä b") as stream:
        assert stream.read() == b"out"
    assert storage.damage(KEY, 1) == []
    assert post(prefix.replace("/1/", "/2/") + "manifest.json", b"{}") == 403
    assert post(f"{s3_settings.prefix}trees/x/manifest.json", b"{}") == 403
    assert post(prefix + "files/large", b"x" * 2000) == 400
    assert storage.manifest(KEY, 2) is None


def test_a_ticket_is_read_by_its_url_until_it_is_dropped(s3_settings: S3Settings) -> None:
    storage = S3Storage(s3_settings)
    url = storage.put_ticket("job-1", json.dumps({"x": 1}).encode(), valid_s=60)
    with urllib.request.urlopen(url) as response:
        assert json.load(response) == {"x": 1}
    storage.drop_ticket("job-1")
    storage.drop_ticket("job-1")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url)
    assert KEYS[1] not in url


def test_a_large_file_goes_in_parts(s3_settings: S3Settings, tmp_path: Path) -> None:
    storage = S3Storage(s3_settings)
    size = 40 << 20
    with (tmp_path / "large").open("wb") as stream:
        for number in range(40):
            stream.write(bytes([number]) * (1 << 20))
    placed = storage.keep_tree(tmp_path / "large", "/x")
    with storage.open(placed.key, 0, "large") as stream:
        assert stream.seek(0, io.SEEK_END) == size
        stream.seek(39 << 20)
        assert stream.read(5) == b"\x27" * 5
    assert "-" in (storage._client.stat_object("recast", storage._file(placed.key, 0, "large")).etag or "")  # of parts


def settings_of(**environ: str) -> Settings:
    return Settings.from_environment({"RECAST_HOME": "/nowhere", **environ})


def test_settings_name_a_bucket() -> None:
    settings = settings_of(
        RECAST_STORAGE="s3://bucket/some/prefix/", RECAST_S3_ENDPOINT="http://s3.example.org:9000/",
        AWS_ACCESS_KEY_ID="id", RECAST_S3_SECRET_KEY="hidden", AWS_REGION="eu",
    )  # fmt: skip
    assert settings.s3 == S3Settings(
        bucket="bucket", prefix="some/prefix/", endpoint="http://s3.example.org:9000", region="eu",
        access_key="id", secret_key="hidden",
    )  # fmt: skip
    assert "hidden" not in repr(settings)
    assert isinstance(open_storage(settings), S3Storage)
    assert settings_of().s3 is None


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"RECAST_STORAGE": "s3://bucket"}, "RECAST_S3_ACCESS_KEY"),
        ({"RECAST_STORAGE": "s3://UP/x"}, "bucket such as"),
        ({"RECAST_STORAGE": "s3://bucket/../x"}, "bucket such as|accompanied"),
        ({"RECAST_STORAGE": "s3://bucket", "RECAST_S3_ENDPOINT": "s3.example.org"}, "RECAST_S3_ENDPOINT"),
    ],
)
def test_bad_settings_of_a_bucket_are_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        settings_of(**environ)
