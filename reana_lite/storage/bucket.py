"""Objects of one bucket, by name; every request is tried again while the service does not answer.

Names here are whole, below the bucket: what they mean is storage/s3.py's, the only caller. No file is in memory as a whole.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, TypeVar

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from reana_lite.config import S3Settings
from reana_lite.errors import InvalidInput, Unavailable

T = TypeVar("T")

PART_BYTES = 16 << 20
"""Size of a part of a large object, and how much of it is in memory at a time."""

SMALL_BYTES = 4 << 20
"""An object that is not larger is written in one request, and digested while it is read rather than beside."""

ANSWER_S = 10.0
"""A service that is alive may take so long to begin with an answer (seconds), also for those who have less patience."""

CHUNK_BYTES = 1 << 20
"""How much of an answer is taken at a time."""

VALID_LIMIT_S = 7 * 86_400
"""How long a signed link may be valid (seconds): a rule of S3's signatures."""

_AGAIN = {
    "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown", "SlowDownRead",
    "SlowDownWrite", "XMinioServerNotInitialized", "XMinioStorageFull",
}  # fmt: skip
_ABSENT = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to add objects of one attempt by POST: form `fields`; `fields["key"]` is the prefix that a name follows."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


class Absent(Exception):
    """There is no such object."""


class _Beyond(Exception):
    """The object is shorter than the offset that was asked for."""


class Counted(io.RawIOBase):
    """A stream that is read once, with size and digest of what went through."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._hash.update(content)
        self.size += len(content)
        return content

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


class Bucket:
    """Objects by whole name; Unavailable when the service does not answer for `patience_s` or refuses.

    `client` is the minio client below it; `address` is how messages name the bucket.
    """

    def __init__(self, settings: S3Settings, *, patience_s: float, threads: int) -> None:
        self.name = settings.bucket
        self.address = f"{settings.endpoint}/{settings.bucket}"
        answer_s = min(60.0, max(patience_s, ANSWER_S))
        self.client = _client(settings, settings.endpoint, threads, answer_s=answer_s)
        public = settings.public_endpoint or settings.endpoint
        self._public = self.client if public == settings.endpoint else _client(settings, public, 1, answer_s=answer_s)
        self._public_url = public.rstrip("/")
        self._settings = settings
        self._patience_s = patience_s
        self._threads = threads

    def within(self, patience_s: float) -> Bucket:
        """The same bucket with other patience, on connections of its own."""
        return Bucket(self._settings, patience_s=patience_s, threads=self._threads)

    def exists(self) -> bool:
        """Whether the bucket is there."""
        return self._do("look for the bucket", lambda: self.client.bucket_exists(self.name))

    # -- one object ----------------------------------------------------------------------------------------------

    def put(self, name: str, data: bytes) -> None:
        """Write a small object."""
        self._do("write", lambda: self.client.put_object(self.name, name, io.BytesIO(data), len(data)))

    def put_stream(self, name: str, origin: Callable[[], BinaryIO], size: int) -> Counted:
        """Write an object of `size` bytes as `origin` opens them, in parts if it is large; what went through."""

        def once() -> Counted:
            with origin() as stream:
                counted = Counted(stream)
                self.client.put_object(self.name, name, counted, size, part_size=PART_BYTES)  # type: ignore[arg-type]
                return counted

        return self._do("write an artifact", once)

    def get(self, name: str, offset: int = 0, *, limit: int | None = None) -> bytes:
        """A small object, or `limit` bytes of one, from byte `offset` on (negative: from the end), b"" beyond it; raises
        Absent."""
        if limit == 0:
            return b""

        def once() -> bytes:
            start = offset
            if offset < 0:
                size = self.client.stat_object(self.name, name).size or 0
                start = max(0, size + offset)
                if size == 0:
                    return b""
            response = self.client.get_object(self.name, name, offset=start, length=limit or 0)
            try:
                return response.read()
            finally:
                response.close()
                response.release_conn()

        try:
            return self._do(f"read {name.rpartition('/')[2]}", once)
        except _Beyond:
            return b""

    def read_into(self, name: str, size: int, stream: BinaryIO) -> str:
        """Write an object of about `size` bytes into an empty seekable file; its digest. Raises Absent."""

        def once() -> str:
            stream.seek(0)
            stream.truncate()
            return self._read(name, size, stream.write)

        return self._do("read an artifact", once)

    def digest(self, name: str) -> str:
        """The digest of an object's bytes, read now; "" if there is none."""
        try:
            return self._do("read an artifact", lambda: self._read(name, 0, None))
        except Absent:
            return ""

    def _read(self, name: str, size: int, write: Callable[[bytes], object] | None) -> str:
        digest = hashlib.sha256()
        response = self.client.get_object(self.name, name)
        try:
            if size > SMALL_BYTES and write is not None:
                _copy_beside(response, write, digest.update)
            else:
                for chunk in _chunks(response):
                    digest.update(chunk)
                    if write is not None:
                        write(chunk)
        finally:
            response.close()
            response.release_conn()
        return "sha256:" + digest.hexdigest()

    def copy(self, name: str, to: str) -> None:
        """Copy an object on the server; raises Absent."""
        self._do("copy outputs", lambda: self.client.copy_object(self.name, to, CopySource(self.name, name)))

    # -- many objects --------------------------------------------------------------------------------------------

    def remove(self, names: list[str]) -> None:
        """Remove objects; those that are gone are no error."""
        if not names:
            return

        def once() -> None:
            for error in self.client.remove_objects(self.name, (DeleteObject(name) for name in names)):
                if error.code not in _ABSENT:
                    raise Unavailable(f"cannot remove {error.name} in {self.address}: {error.code} {error.message}")

        self._do("remove", once)

    def written_at(self, name: str) -> float | None:
        """When an object was written, by the service's clock (UTC seconds); None if it is not there."""

        try:
            written = self._do("look for an artifact", lambda: self.client.stat_object(self.name, name).last_modified)
        except Absent:
            return None
        return written.timestamp() if written is not None else None

    def sizes(self, prefix: str) -> dict[str, int]:
        """All objects below a prefix: size in bytes by name."""

        def once() -> dict[str, int]:
            found = self.client.list_objects(self.name, prefix=prefix, recursive=True)
            return {entry.object_name or "": entry.size or 0 for entry in found}

        return self._do("list", once)

    def folders(self, prefix: str) -> list[str]:
        """What follows the prefix up to the next slash, of all names that have one."""

        def once() -> list[str]:
            found = self.client.list_objects(self.name, prefix=prefix)
            return [(e.object_name or "")[len(prefix) :].rstrip("/") for e in found if e.is_dir]

        return self._do("list", once)

    # -- single rights, given away -------------------------------------------------------------------------------

    def link(self, name: str, *, valid_s: float, headers: dict[str, str] | None = None) -> str:
        """A URL by which anybody reads one object until `valid_s` from now; `headers`: of the answer, as S3 names them."""
        return self._public.presigned_get_object(
            self.name,
            name,
            _valid(valid_s),
            response_headers=headers,  # type: ignore[arg-type]
        )

    def permit(self, prefix: str, *, valid_s: float, max_bytes: int) -> Permit:
        """The right to add objects (at most `max_bytes` each) below a prefix until `valid_s` from now, and no others."""
        policy = PostPolicy(self.name, datetime.now(UTC) + _valid(valid_s))
        policy.add_starts_with_condition("key", prefix)
        policy.add_content_length_range_condition(0, max_bytes)
        fields = {str(name): str(value) for name, value in self._public.presigned_post_policy(policy).items()}
        return Permit(f"{self._public_url}/{self.name}", {"key": prefix, **fields})

    # -- requests ------------------------------------------------------------------------------------------------

    def _do(self, what: str, once: Callable[[], T]) -> T:
        """A request, tried again with back-off as long as the service does not answer; then Unavailable."""
        until = time.monotonic() + self._patience_s
        pause = 0.1
        while True:
            try:
                return once()
            except S3Error as error:
                if error.code in _ABSENT:
                    raise Absent from error
                if error.code == "InvalidRange":
                    raise _Beyond from error
                if error.code not in _AGAIN or time.monotonic() > until:
                    raise self._told(what, error) from error
            except (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError, ConnectionError) as error:
                if time.monotonic() > until or _is_distrusted(error):
                    raise self._told(what, error) from error
            time.sleep(min(pause * random.uniform(0.5, 1.5), max(0.0, until - time.monotonic()) + 0.01))
            pause = min(pause * 2, 5.0)

    def _told(self, what: str, error: Exception) -> Unavailable:
        reason = f"{error.code}, {error.message}" if isinstance(error, S3Error) else type(error).__name__
        if _is_distrusted(error):
            reason = (
                "its certificate is not trusted; if it is one of your own, name a file of certificates in SSL_CERT_FILE"
            )
        elif isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
            reason = f"it does not answer ({type(error.reason).__name__})"
        return Unavailable(f"cannot {what} in {self.address}: {reason}", retry_after_s=30)


def _is_distrusted(error: Exception) -> bool:
    """Whether a service's certificate was refused, which no waiting mends."""
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    return isinstance(reason, urllib3.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason)


def _chunks(response: Any) -> Iterator[bytes]:
    """An answer's bytes as they were sent: `stream` would look for an encoding, and copy everything once more."""
    while chunk := response.read(CHUNK_BYTES, decode_content=False):
        yield chunk


def _copy_beside(response: Any, write: Callable[[bytes], object], update: Callable[[bytes], None]) -> None:
    """Copy a large answer; the digest of a chunk is computed while the next one is awaited (hashlib lets others run)."""
    with ThreadPoolExecutor(1) as beside:
        pending: Future[None] | None = None
        for chunk in _chunks(response):
            if pending is not None:
                pending.result()
            pending = beside.submit(update, chunk)
            write(chunk)
        if pending is not None:
            pending.result()


def _valid(valid_s: float) -> timedelta:
    if not 1 <= valid_s <= VALID_LIMIT_S:
        right = f"1 to {VALID_LIMIT_S}"
        raise InvalidInput(
            f"a signed link is valid for {right} seconds, not {valid_s:g}", field="valid_s", value=valid_s
        )
    return timedelta(seconds=int(valid_s))


def _client(settings: S3Settings, url: str, threads: int, *, answer_s: float) -> Minio:
    scheme, _, host = url.rpartition("://")
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=min(5.0, answer_s), read=answer_s),
        maxsize=max(threads, 4) * 4,
        # tried again by `_do`, which knows for how long
        retries=urllib3.Retry(total=1, connect=0, read=0, status=0, status_forcelist=[500, 502, 503, 504]),
        ca_certs=os.environ.get("SSL_CERT_FILE"),
        cert_reqs="CERT_REQUIRED",
    )
    return Minio(
        host.rstrip("/"),
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        session_token=settings.session_token or None,
        region=settings.region,
        secure=scheme != "http",
        http_client=pool,
    )


__all__ = ["PART_BYTES", "SMALL_BYTES", "Absent", "Bucket", "Permit"]
