"""What only a bucket must do: outlive its server's death, give away single rights, keep its secrets."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from minio.credentials.providers import StaticProvider
from minio.error import S3Error
from minio.minioadmin import MinioAdmin

from reana_lite.artifact import Artifact, Manifest, digest_bytes
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
    while not storage.bucket.sizes(s3_settings.prefix):  # it has begun
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
    storage = S3Storage(replace(s3_settings, **change), patience_s=30)
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
    assert "-" in (
        storage.bucket.client.stat_object("recast", storage._file(placed.key, 0, "large")).etag or ""
    )  # of parts


def test_many_large_files_take_bounded_memory(s3_settings: S3Settings, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for name, size in (("huge", 200 << 20), ("b", 60 << 20), ("c", 60 << 20), ("d", 60 << 20)):
        with (tmp_path / "t" / name).open("wb") as stream:
            stream.truncate(size)
    code = (
        "import sys; from pathlib import Path\n"
        "from reana_lite.config import S3Settings; from reana_lite.storage.s3 import S3Storage\n"
        "def most(): return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "s = S3Storage(S3Settings(bucket='recast', prefix=sys.argv[1], endpoint=sys.argv[2], access_key=sys.argv[3],"
        " secret_key=sys.argv[4])); s.check(); before = most()\n"
        "k = s.keep_tree(Path(sys.argv[5]), '/x'); up = most(); s.fetch(k.key, 0, Path(sys.argv[6]))\n"
        "s.open(k.key, 0, 'huge').close(); assert s.damage(k.key, 0) == []\n"
        "print(up - before, most() - before)"
    )
    arguments = [s3_settings.prefix, s3_settings.endpoint, *KEYS, str(tmp_path / "t"), str(tmp_path / "back")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    up, all_ = map(int, done.stdout.split())
    assert up < 160_000, "kilobytes: a few parts at a time"
    assert all_ < 180_000
    assert (tmp_path / "back" / "huge").stat().st_size == 200 << 20


def test_an_upload_goes_on_when_the_server_dies_within_a_large_file(
    minio: MinioServer, s3_settings: S3Settings, tmp_path: Path
) -> None:
    storage = S3Storage(s3_settings, patience_s=60)
    content = bytes(range(256)) * (1 << 18)  # 64 MB: four parts
    times = 0

    class Killing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal times
            if self.tell() > 30 << 20 and times == 0:
                times += 1
                minio.kill()
                minio.start()
            return super().read(size)

    manifest = Manifest((Artifact("large", "file", len(content), digest_bytes(content)),))
    storage.put(KEY, 1, manifest, lambda _: Killing(content))
    assert times == 1
    assert storage.manifest(KEY, 1) == manifest
    assert storage.damage(KEY, 1) == []


def test_a_file_that_changes_while_it_is_kept_completes_nothing(s3_settings: S3Settings) -> None:
    storage = S3Storage(s3_settings)
    manifest = Manifest((Artifact("a", "file", 3, digest_bytes(b"old")),))
    with pytest.raises(Unavailable, match="'a' changed"):
        storage.put(KEY, 1, manifest, lambda _: io.BytesIO(b"new"))
    assert storage.manifest(KEY, 1) is None


def test_a_tree_that_is_removed_while_it_is_kept_comes_back(
    s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = S3Storage(s3_settings)
    put = storage.bucket.put
    removed: list[str] = []

    def put_and_lose(name: str, data: bytes) -> None:
        put(name, data)
        if name.endswith("manifest.json") and not removed:
            removed.extend(storage.bucket.sizes(name.removesuffix("manifest.json") + "files/a"))
            storage.bucket.remove(removed)

    monkeypatch.setattr(storage.bucket, "put", put_and_lose)
    placed = storage.keep_bytes({"a": b"1", "b": b"2"}, "/x")
    assert len(removed) == 1
    assert storage.damage(placed.key, 0) == []


def test_what_a_step_added_to_a_copy_is_found_by_a_scan(s3_settings: S3Settings, tmp_path: Path) -> None:
    (tmp_path / "t" / "empty").mkdir(parents=True)
    (tmp_path / "t" / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "t" / "run.sh").chmod(0o755)
    (tmp_path / "t" / "link").symlink_to("run.sh")
    storage = S3Storage(s3_settings)
    placed = storage.keep_tree(tmp_path / "t", "/x")
    storage.clone(placed.key, 0, KEY)
    storage.put_document(KEY, 1, "files/" + file_name("empty/ü new"), b"more")
    storage.put_document(KEY, 1, "files/run.sh", b"#!/bin/bash\n")
    digest = storage.rescan(KEY, 1)
    manifest = storage.manifest(KEY, 1)
    assert manifest is not None
    assert manifest.digest == digest
    assert [(a.path, a.kind, a.executable) for a in manifest.artifacts] == [
        ("empty/ü new", "file", False), ("link", "link", False), ("run.sh", "file", True),
    ]  # fmt: skip
    assert storage.damage(KEY, 1) == []


@pytest.mark.parametrize("valid_s", [0, -5, 8 * 86_400])
def test_rights_end_within_a_week(s3_settings: S3Settings, valid_s: float) -> None:
    storage = S3Storage(s3_settings)
    with pytest.raises(InvalidInput, match="604800 seconds"):
        storage.link(KEY, 1, "a", valid_s=valid_s)
    with pytest.raises(InvalidInput, match="604800 seconds"):
        storage.permit(KEY, 1, valid_s=valid_s, max_bytes=1)
    assert "signature" not in repr(storage.permit(KEY, 1, valid_s=60, max_bytes=1))


def test_links_name_the_server_as_users_reach_it(s3_settings: S3Settings) -> None:
    storage = S3Storage(replace(s3_settings, public_endpoint="https://files.example.org"))
    assert storage.link(KEY, 1, "a", valid_s=60).startswith("https://files.example.org/recast/")
    assert storage.permit(KEY, 1, valid_s=60, max_bytes=1).url == "https://files.example.org/recast"


def test_the_rights_in_the_documentation_are_enough_and_no_more(
    minio: MinioServer, s3_settings: S3Settings, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "storage.md").read_text()
    policy = json.loads(page.split("```json")[1].split("```")[0].replace("BUCKET", "recast"))
    admin = MinioAdmin(
        endpoint=minio.url.removeprefix("http://"), credentials=StaticProvider(*KEYS), region="us-east-1", secure=False
    )
    admin.user_add("worker", "worker-secret")
    admin.policy_add("worker", policy=policy)
    admin.policy_set("worker", user="worker")
    ours = replace(s3_settings, access_key="worker", secret_key="worker-secret")
    storage = S3Storage(ours, patience_s=5)
    storage.check()
    (tmp_path / "large").write_bytes(bytes(20 << 20))
    placed = storage.keep_tree(tmp_path / "large", "/x")
    storage.clone(placed.key, 0, KEY)
    storage.fetch(KEY, 1, tmp_path / "back")
    assert storage.damage(KEY, 1) == []
    with urllib.request.urlopen(storage.link(KEY, 1, "large", valid_s=60)) as response:
        assert len(response.read()) == 20 << 20
    permit = storage.permit(KEY, 2, valid_s=60, max_bytes=10)
    form = {**permit.fields, "key": permit.fields["key"] + "log"}
    assert requests.post(permit.url, data=form, files={"file": b"out"}, timeout=10).status_code == 204
    assert storage.log(KEY, 2) == b"out"
    for place in sorted(storage.places()):
        storage.remove(*place)
    assert list(storage.places()) == []
    with pytest.raises(S3Error, match=r"AccessDenied|Access Denied"):
        storage.bucket.client.make_bucket("another")
    with pytest.raises(S3Error, match=r"AccessDenied|Access Denied"):
        storage.bucket.client.get_bucket_policy("recast")


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
