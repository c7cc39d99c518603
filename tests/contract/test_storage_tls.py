"""A bucket behind TLS with a certificate authority of one's own, and keys that a token service has given for a while."""

from __future__ import annotations

import io
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from minio.credentials import AssumeRoleProvider

from reana_lite.config import S3Settings, Settings
from reana_lite.errors import Unavailable
from reana_lite.staging.web import Web
from reana_lite.storage.names import file_name
from reana_lite.storage.s3 import S3Storage
from tests.contract.conftest import KEYS, MinioServer, free_port, minio_program

KEY = "k" * 32


class SafeMinio(MinioServer):
    """The same server behind TLS."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    def trusts(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def certify(self) -> None:
        """An authority, and a certificate of it for 127.0.0.1."""
        certs = self.folder / "certs"
        certs.mkdir()

        def openssl(*words: str) -> None:
            done = subprocess.run(["openssl", *words], capture_output=True, text=True, cwd=self.folder, check=False)
            assert done.returncode == 0, done.stderr

        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", "-x509", *curve, "-subj", "/CN=ours", "-keyout", "ca.key", "-out", "ca.crt", *usage)
        openssl("req", *curve[:-2], "-subj", "/CN=s3", "-keyout", "certs/private.key", "-out", "s3.csr")
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", "s3.csr", "-out", "certs/public.crt", *signed)


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SafeMinio]:
    program = minio_program()
    if not program:
        pytest.skip("no MinIO here: k8s/dev/build minio makes one, or name it in RECAST_TEST_MINIO")
    server = SafeMinio(program, tmp_path_factory.mktemp("safe"), free_port())
    (server.folder / "data" / "recast").mkdir(parents=True)
    server.certify()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def over_tls(safe: SafeMinio, monkeypatch: pytest.MonkeyPatch) -> S3Settings:
    """A bucket behind TLS, whose authority is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(safe.authority))
    return S3Settings(bucket="recast", prefix="x/", endpoint=safe.url, access_key=KEYS[0], secret_key=KEYS[1])


def test_a_certificate_of_ones_own_authority_is_trusted_where_it_is_named(over_tls: S3Settings, tmp_path: Path) -> None:
    storage = S3Storage(over_tls)
    storage.check()
    placed = storage.keep_bytes({"a": b"1", "b/c": b"2" * 100_000}, "/x")
    storage.fetch(placed.key, 0, tmp_path / "back")
    assert (tmp_path / "back" / "b" / "c").read_bytes() == b"2" * 100_000
    assert storage.link(placed.key, 0, "a", valid_s=60).startswith("https://")


def test_the_stager_trusts_it_as_well(over_tls: S3Settings) -> None:
    """By links and forms, from the standard library, as in a pod whose option stager_environment has SSL_CERT_FILE."""
    storage = S3Storage(over_tls)
    placed = storage.keep_bytes({"a": b"input"}, "/x")
    permit = storage.permit(KEY, 1, valid_s=60, max_bytes=1000)
    web = Web()
    try:
        chunks: list[bytes] = []
        web.get(storage.link(placed.key, 0, "a", valid_s=60), chunks.append, chunks.clear)
        assert b"".join(chunks) == b"input"
        fields = {**permit.fields, "key": permit.fields["key"] + "files/" + file_name("o")}
        web.post(permit.url, fields, lambda: io.BytesIO(b"out"), 3)
    finally:
        web.close()
    assert storage.bucket.get(f"x/jobs/{KEY}/1/files/o") == b"out"


def test_one_that_is_not_trusted_is_told_at_once(
    safe: SafeMinio, over_tls: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    begun_at = time.monotonic()
    with pytest.raises(Unavailable, match=r"its certificate is not trusted.*SSL_CERT_FILE"):
        S3Storage(over_tls, patience_s=60).check()
    assert time.monotonic() - begun_at < 20


def session(settings: S3Settings) -> S3Settings:
    """Keys for an hour, as a token service gives them."""
    given = AssumeRoleProvider(
        sts_endpoint=settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        duration_seconds=3600,
    )
    until = time.monotonic() + 30
    while True:
        try:
            keys = given.retrieve()
            break
        except ValueError:  # the server answers before its token service does
            assert time.monotonic() < until
            time.sleep(0.1)
    assert keys.session_token
    return replace(settings, access_key=keys.access_key, secret_key=keys.secret_key, session_token=keys.session_token)


def test_keys_with_a_session_token_read_write_and_give_rights_away(s3_settings: S3Settings, tmp_path: Path) -> None:
    settings = session(s3_settings)
    storage = S3Storage(settings)
    storage.check()
    placed = storage.keep_bytes({"a": b"1"}, "/x")
    with storage.open(placed.key, 0, "a") as stream:
        assert stream.read() == b"1"
    with urllib.request.urlopen(storage.link(placed.key, 0, "a", valid_s=60), timeout=30) as answer:
        assert answer.read() == b"1"
    permit = storage.permit(KEY, 1, valid_s=60, max_bytes=1000)
    web = Web()
    try:
        fields = {**permit.fields, "key": permit.fields["key"] + "files/" + file_name("o")}
        web.post(permit.url, fields, lambda: io.BytesIO(b"out"), 3)
    finally:
        web.close()
    assert storage.bucket.get(f"{settings.prefix}jobs/{KEY}/1/files/o") == b"out"


def test_without_their_token_such_keys_are_none(s3_settings: S3Settings) -> None:
    with pytest.raises(Unavailable, match=r"InvalidAccessKeyId|InvalidTokenId|AccessDenied"):
        S3Storage(replace(session(s3_settings), session_token=""), patience_s=1).check()


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, "t"),
        ({"RECAST_S3_ACCESS_KEY": "a", "RECAST_S3_SECRET_KEY": "s", "RECAST_S3_SESSION_TOKEN": "t"}, "t"),
        ({"RECAST_S3_ACCESS_KEY": "a", "RECAST_S3_SECRET_KEY": "s", "AWS_SESSION_TOKEN": "of other keys"}, ""),
    ],
)
def test_a_token_goes_with_its_keys(environ: dict[str, str], token: str, tmp_path: Path) -> None:
    given = {"HOME": str(tmp_path), "RECAST_STORAGE": "s3://recast", **environ}
    settings = Settings.from_environment(given)
    assert settings.s3 is not None
    assert settings.s3.session_token == token
    assert "session_token" not in repr(settings)
