"""Storage in a bucket of an S3 service.

    <prefix>jobs/<key>/<attempt>/   files/<name> ...  log  outcome.json  manifest.json     (manifest last)
    <prefix>trees/<key>/            files/<name> ...  manifest.json
    <prefix>tickets/                what a pod is told (staging.py); a life-cycle rule may remove it after some days

Links, empty folders and x bits are in the manifest only. Everything read is held against the digest in the manifest, every
request is tried again with back-off for `patience_s`, and no file is in memory as a whole. Steps never see the
credentials of the installation: `link` and `permit` give away single rights that end.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote_to_bytes

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from reana_lite.artifact import Artifact, Manifest, check_link, check_path
from reana_lite.config import S3Settings
from reana_lite.errors import InvalidInput, NotFound, Unavailable
from reana_lite.job import Input
from reana_lite.storage.local import tree_key
from reana_lite.storage.names import file_name, place_name
from reana_lite.storage.scan import scan, scan_file, told

T = TypeVar("T")

STORE_ROOT = "/reana-lite/store"
"""Where places appear to jobs in pods: <root>/jobs/<key>/<attempt>/files and <root>/trees/<key>/files."""

PART_BYTES = 16 << 20
"""Size of a part of a large object, and how much of it is in memory at a time."""

SMALL_BYTES = 4 << 20
"""A file that is not larger is written beside others, in one request, in memory as a whole."""

SPOOL_BYTES = 4 << 20
"""A file read that is larger lies on this machine's disk meanwhile, not in memory."""

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


class _Absent(Exception):
    """There is no such object."""


class _Counted(io.RawIOBase):
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


class S3Storage:
    """See the module and storage.base.Storage."""

    def __init__(self, settings: S3Settings, *, patience_s: float = 60.0, threads: int = 8) -> None:
        self.root: str | PurePath = STORE_ROOT
        self.bucket = settings.bucket
        self.prefix = settings.prefix
        self._where = f"{settings.endpoint}/{settings.bucket}"
        self._patience_s = patience_s
        self._client = _client(settings, settings.endpoint, threads)
        public = settings.public_endpoint or settings.endpoint
        self._public = self._client if public == settings.endpoint else _client(settings, public, 1)
        self._public_url = public.rstrip("/")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="s3")

    def check(self) -> None:
        """Raises Unavailable, with the reason, unless the bucket is there and can be written to."""
        if not self._do("look for the bucket", lambda: self._client.bucket_exists(self.bucket)):
            raise Unavailable(f"there is no bucket {self._where}: make it, or name another in RECAST_STORAGE")
        name = f"{self.prefix}tickets/.probe"
        self._put(name, b"")
        self._remove([name])

    # -- trees ---------------------------------------------------------------------------------------------------

    def keep_tree(self, source: Path, folder: str) -> Input:
        """Keep a copy of a folder, or of one file as a tree of one; see storage.base."""
        if source.is_dir():
            manifest = scan(source)
            return self._keep(manifest, lambda a: (source / a.path).open("rb"), folder)
        if not source.exists():
            raise NotFound(f"there is no file or folder {source}", path=str(source))
        if not source.is_file():
            raise InvalidInput(f"{source} is neither a file nor a folder", field="path", value=str(source))
        origin = source.resolve()
        return self._keep(Manifest((scan_file(origin, check_path(source.name)),)), lambda _: origin.open("rb"), folder)

    def keep_bytes(self, files: dict[str, bytes], folder: str) -> Input:
        """Keep some files given by relative path and content as a tree; see storage.base."""
        for path in files:
            parents = {"/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)}
            if clash := parents & files.keys():
                raise InvalidInput(f"{min(clash)!r} is both a file and a folder", field="path", value=path)
            check_path(path)
        rows = [
            Artifact(path, "file", len(content), "sha256:" + hashlib.sha256(content).hexdigest())
            for path, content in files.items()
        ]
        return self._keep(Manifest.of(rows), lambda a: io.BytesIO(files[a.path]), folder)

    def _keep(self, manifest: Manifest, origin: Callable[[Artifact], BinaryIO], folder: str) -> Input:
        key = tree_key(manifest.digest)
        if self.manifest(key, 0) is None:
            self._upload(key, 0, manifest, origin)
            # somebody may have been removing the same tree: what was taken away meanwhile is brought back
            there = dict(self._list(f"{self.prefix}{place_name(key, 0)}files/"))
            files = [a for a in manifest.artifacts if a.kind == "file"]
            lost = [a for a in files if there.get(self._file(key, 0, a.path)) != a.size]
            if lost:
                self._upload(key, 0, manifest, origin)
        return Input(folder, key, 0, manifest.digest)

    def put(self, key: str, attempt: int, manifest: Manifest, origin: Callable[[Artifact], BinaryIO]) -> None:
        """Write a place: its files as `origin` opens them, then the manifest."""
        self._upload(key, attempt, manifest, origin)

    def _upload(self, key: str, attempt: int, manifest: Manifest, origin: Callable[[Artifact], BinaryIO]) -> None:
        self._upload_files(key, attempt, [a for a in manifest.artifacts if a.kind == "file"], origin)
        self._put(self._name(key, attempt, "manifest.json"), manifest.to_json().encode())

    def _upload_files(
        self, key: str, attempt: int, files: list[Artifact], origin: Callable[[Artifact], BinaryIO]
    ) -> None:
        """Small files side by side; large ones one after another, each in parts side by side: that bounds the memory."""
        small = [a for a in files if a.size <= SMALL_BYTES]
        for _ in self._threads.map(lambda a: self._upload_file(key, attempt, a, origin), small):
            pass
        for artifact in files:
            if artifact.size > SMALL_BYTES:
                self._upload_file(key, attempt, artifact, origin)

    def _upload_file(self, key: str, attempt: int, meant: Artifact, origin: Callable[[Artifact], BinaryIO]) -> None:
        name = self._file(key, attempt, meant.path)

        def once() -> _Counted:
            with told("keep files"), origin(meant) as stream:
                counted = _Counted(stream)
                self._client.put_object(self.bucket, name, counted, meant.size, part_size=PART_BYTES)  # type: ignore[arg-type]
                return counted

        written = self._do("write an artifact", once)
        if (written.size, written.digest) != (meant.size, meant.digest):
            raise Unavailable(f"{meant.path!r} changed while it was kept; try again")

    # -- reading -------------------------------------------------------------------------------------------------

    def manifest(self, key: str, attempt: int) -> Manifest | None:
        """The manifest of a complete place; None if it is not complete, or its manifest is damaged."""
        content = self.get_document(key, attempt, "manifest.json")
        if content is None:
            return None
        try:
            return Manifest.from_json(content)
        except (ValueError, LookupError, TypeError):
            return None

    def open(self, key: str, attempt: int, path: str) -> BinaryIO:
        """One artifact for reading, its digest checked, links inside the tree followed; raises NotFound."""
        check_path(path)
        manifest = self.manifest(key, attempt)
        artifact = _behind_links(manifest, path) if manifest is not None else None
        if artifact is None:
            raise NotFound(f"no artifact {path!r} in {key}/{attempt}", path=path)
        stream = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - the caller closes it
        self._read_into(key, attempt, artifact, stream)  # type: ignore[arg-type]
        stream.seek(0)
        return stream  # type: ignore[return-value]

    def fetch(self, key: str, attempt: int, destination: Path) -> None:
        """Bring a whole place to a folder; files of the same names are replaced. A damaged one raises Unavailable."""
        manifest = self._complete(key, attempt)
        with told(f"write to {destination}"):
            destination.mkdir(parents=True, exist_ok=True)
            for artifact in manifest.artifacts:
                target = destination / check_path(artifact.path)
                if artifact.kind == "folder":
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.unlink(missing_ok=True)
        files = [a for a in manifest.artifacts if a.kind == "file"]
        for _ in self._threads.map(lambda a: self._fetch_file(key, attempt, a, destination), files):
            pass
        with told(f"write to {destination}"):
            for artifact in manifest.artifacts:  # last, so that nothing is written through one
                if artifact.kind == "link":
                    (destination / artifact.path).symlink_to(check_link(artifact.path, artifact.target))

    def _fetch_file(self, key: str, attempt: int, artifact: Artifact, destination: Path) -> None:
        target = destination / artifact.path
        try:
            with told(f"write to {destination}"), target.open("xb") as stream:
                self._read_into(key, attempt, artifact, stream)
            target.chmod(0o755 if artifact.executable else 0o644)
        except BaseException:
            with suppress(OSError):
                target.unlink()
            raise

    def _read_into(self, key: str, attempt: int, artifact: Artifact, stream: BinaryIO) -> None:
        """Download one file; raises Unavailable if it is gone or its bytes are not those that were kept."""
        name = self._file(key, attempt, artifact.path)

        def once() -> str:
            stream.seek(0)
            stream.truncate()
            digest = hashlib.sha256()
            response = self._client.get_object(self.bucket, name)
            try:
                if artifact.size <= SMALL_BYTES:
                    for chunk in response.stream(1 << 20):
                        digest.update(chunk)
                        stream.write(chunk)
                else:
                    _copy_beside(response, stream, digest.update)
            finally:
                response.close()
                response.release_conn()
            return "sha256:" + digest.hexdigest()

        try:
            digest = self._do("read an artifact", once)
        except _Absent:
            digest = ""
        if digest != artifact.digest:
            raise Unavailable(f"{artifact.path!r} of {key}/{attempt} is damaged in storage; it must be computed again")

    def log(self, key: str, attempt: int, offset: int = 0) -> bytes:
        """What the step has printed from byte `offset` on (a negative one counts from the end); b"" if nothing."""
        name = self._name(key, attempt, "log")

        def once() -> bytes:
            start = offset
            if offset < 0:
                size = self._client.stat_object(self.bucket, name).size or 0
                start = max(0, size + offset)
                if size == 0:
                    return b""
            return self._get(name, start)

        try:
            return self._do("read a log", once)
        except _Absent:
            return b""
        except S3Error as error:
            if error.code == "InvalidRange":
                return b""
            raise self._told("read a log", error) from error

    # -- whole places --------------------------------------------------------------------------------------------

    def clone(self, key: str, attempt: int, to: str) -> str:
        """Copy a complete place to attempt 1 of another key, on the server; see storage.base."""
        manifest = self._complete(key, attempt)
        self.remove(to, 1)

        def copy(artifact: Artifact) -> None:
            source = CopySource(self.bucket, self._file(key, attempt, artifact.path))
            name = self._file(to, 1, artifact.path)
            try:
                self._do("copy outputs", lambda: self._client.copy_object(self.bucket, name, source))
            except _Absent as error:
                raise Unavailable(f"{artifact.path!r} of {key}/{attempt} is damaged in storage") from error

        for _ in self._threads.map(copy, [a for a in manifest.artifacts if a.kind == "file"]):
            pass
        self._put(self._name(to, 1, "manifest.json"), manifest.to_json().encode())
        return manifest.digest

    def rescan(self, key: str, attempt: int) -> str:
        """Write the manifest of a place anew, from what it holds now; its digest. Raises NotFound."""
        base = f"{self.prefix}{place_name(key, attempt)}files/"
        listed = dict(self._list(base))
        old = self.manifest(key, attempt)
        if not listed and old is None:
            raise NotFound(f"no place {key}/{attempt}")
        found = []
        for artifact in (old or Manifest()).artifacts:
            name = self._file(key, attempt, artifact.path)
            if artifact.kind != "file":
                found.append(artifact)
            elif name in listed:
                digest = self._digest(name)
                found.append(Artifact(artifact.path, "file", listed.pop(name), digest, artifact.executable))
        for name, size in listed.items():  # what came later; a name too long to be told from its object is left out
            path = os.fsdecode(unquote_to_bytes(name.removeprefix(base)))
            if file_name(path) == name.removeprefix(base):
                found.append(Artifact(path, "file", size, self._digest(name)))
        paths = {a.path for a in found if a.kind == "file"}
        above = {"/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 1)}
        manifest = Manifest.of(a for a in found if a.kind == "file" or a.path not in paths | above)
        self._put(self._name(key, attempt, "manifest.json"), manifest.to_json().encode())
        return manifest.digest

    def places(self) -> Iterator[tuple[str, int]]:
        """All places, complete or not, in no order."""
        for name in self._folders(f"{self.prefix}trees/"):
            yield name, 0
        keys = self._folders(f"{self.prefix}jobs/")
        below = self._threads.map(lambda key: self._folders(f"{self.prefix}jobs/{key}/"), keys)
        for key, attempts in zip(keys, below, strict=True):
            for attempt in attempts:
                if attempt.isdecimal():
                    yield key, int(attempt)

    def damage(self, key: str, attempt: int) -> list[str]:
        """Paths that are not as the manifest says, extra ones included (read whole); raises NotFound."""
        manifest = self.manifest(key, attempt)
        if manifest is None:
            if self.get_document(key, attempt, "manifest.json") is None:
                raise NotFound(f"no complete place {key}/{attempt}")
            return ["manifest.json"]
        if attempt == 0 and tree_key(manifest.digest) != key:
            return ["manifest.json"]
        base = f"{self.prefix}{place_name(key, attempt)}files/"
        listed = dict(self._list(base))
        meant = {self._file(key, attempt, a.path): a for a in manifest.artifacts if a.kind == "file"}
        bad = {name.removeprefix(base) for name in listed.keys() - meant.keys()}
        there = [name for name in meant if name in listed]
        for name, digest in zip(there, self._threads.map(self._digest, there), strict=True):
            if digest != meant[name].digest:
                bad.add(meant[name].path)
        return sorted(bad | {meant[name].path for name in meant.keys() - listed.keys()})

    def size_bytes(self, key: str, attempt: int) -> int:
        """Bytes a place takes, log and leftovers included."""
        return sum(size for _, size in self._list(f"{self.prefix}{place_name(key, attempt)}"))

    def remove(self, key: str, attempt: int) -> None:
        """Remove a place, manifest first; no error if it is gone."""
        base = f"{self.prefix}{place_name(key, attempt)}"
        names = [name for name, _ in self._list(base)]
        manifest = base + "manifest.json"
        if manifest in names:
            self._remove([manifest])
        self._remove([name for name in names if name != manifest])

    # -- small documents beside the files ------------------------------------------------------------------------

    def get_document(self, key: str, attempt: int, name: str) -> bytes | None:
        """A small object of a place (outcome.json, stager.json, manifest.json, log); None if there is none."""
        try:
            return self._do(f"read {name}", lambda: self._get(self._name(key, attempt, name), 0))
        except _Absent:
            return None

    def put_document(self, key: str, attempt: int, name: str, data: bytes) -> None:
        """Write a small object of a place."""
        self._put(self._name(key, attempt, name), data)

    def put_log(self, key: str, attempt: int, data: bytes) -> None:
        """Write what a step has printed, as `log` reads it."""
        self.put_document(key, attempt, "log", data)

    # -- single rights, given away -------------------------------------------------------------------------------

    def link(self, key: str, attempt: int, path: str, *, valid_s: float, name: str = "") -> str:
        """A URL by which anybody reads one artifact until `valid_s` from now; with `name` browsers save it as that."""
        headers: dict[str, Any] | None = None
        if name:
            safe = "".join(c if (c.isascii() and c.isalnum()) or c in "._- " else "_" for c in name)
            headers = {"response-content-disposition": f'attachment; filename="{safe}"'}
        return self._public.presigned_get_object(
            self.bucket, self._file(key, attempt, path), _valid(valid_s), response_headers=headers
        )

    def permit(self, key: str, attempt: int, *, valid_s: float, max_bytes: int) -> Permit:
        """The right to add objects (at most `max_bytes` each) of one attempt until `valid_s` from now, and no others.

        Names: `fields["key"]` + "files/" + names.file_name(path), or + "log", "stager.json", "manifest.json".
        """
        prefix = f"{self.prefix}{place_name(key, attempt)}"
        policy = PostPolicy(self.bucket, datetime.now(UTC) + _valid(valid_s))
        policy.add_starts_with_condition("key", prefix)
        policy.add_content_length_range_condition(0, max_bytes)
        fields = {str(name): str(value) for name, value in self._public.presigned_post_policy(policy).items()}
        return Permit(f"{self._public_url}/{self.bucket}", {"key": prefix, **fields})

    def put_ticket(self, name: str, data: bytes, *, valid_s: float) -> str:
        """Keep a small object for a pod; the URL by which it is read until `valid_s` from now."""
        full = f"{self.prefix}tickets/{name}"
        self._put(full, data)
        return self._public.presigned_get_object(self.bucket, full, _valid(valid_s))

    def drop_ticket(self, name: str) -> None:
        """Remove what `put_ticket` kept; no error if it is gone."""
        self._remove([f"{self.prefix}tickets/{name}"])

    # -- requests ------------------------------------------------------------------------------------------------

    def _name(self, key: str, attempt: int, name: str) -> str:
        return f"{self.prefix}{place_name(key, attempt)}{name}"

    def _file(self, key: str, attempt: int, path: str) -> str:
        return self._name(key, attempt, "files/" + file_name(path))

    def _complete(self, key: str, attempt: int) -> Manifest:
        manifest = self.manifest(key, attempt)
        if manifest is None:
            raise NotFound(f"no complete place {key}/{attempt}")
        return manifest

    def _get(self, name: str, offset: int) -> bytes:
        response = self._client.get_object(self.bucket, name, offset=offset)
        try:
            return response.read()
        finally:
            response.close()
            response.release_conn()

    def _digest(self, name: str) -> str:
        def once() -> str:
            digest = hashlib.sha256()
            response = self._client.get_object(self.bucket, name)
            try:
                for chunk in response.stream(1 << 20):
                    digest.update(chunk)
            finally:
                response.close()
                response.release_conn()
            return "sha256:" + digest.hexdigest()

        try:
            return self._do("read an artifact", once)
        except _Absent:
            return ""

    def _put(self, name: str, data: bytes) -> None:
        self._do("write", lambda: self._client.put_object(self.bucket, name, io.BytesIO(data), len(data)))

    def _remove(self, names: list[str]) -> None:
        if not names:
            return

        def once() -> None:
            for error in self._client.remove_objects(self.bucket, (DeleteObject(name) for name in names)):
                if error.code not in _ABSENT:
                    raise Unavailable(f"cannot remove {error.name} in {self._where}: {error.code} {error.message}")

        self._do("remove", once)

    def _list(self, prefix: str) -> list[tuple[str, int]]:
        def once() -> list[tuple[str, int]]:
            found = self._client.list_objects(self.bucket, prefix=prefix, recursive=True)
            return [(entry.object_name or "", entry.size or 0) for entry in found]

        return self._do("list", once)

    def _folders(self, prefix: str) -> list[str]:
        def once() -> list[str]:
            found = self._client.list_objects(self.bucket, prefix=prefix)
            return [(e.object_name or "")[len(prefix) :].rstrip("/") for e in found if e.is_dir]

        return self._do("list", once)

    def _do(self, what: str, once: Callable[[], T]) -> T:
        """A request, tried again with back-off as long as the service does not answer; then Unavailable."""
        until = time.monotonic() + self._patience_s
        pause = 0.1
        while True:
            try:
                return once()
            except S3Error as error:
                if error.code in _ABSENT:
                    raise _Absent from error
                if error.code == "InvalidRange":
                    raise
                if error.code not in _AGAIN or time.monotonic() > until:
                    raise self._told(what, error) from error
            except (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError, ConnectionError) as error:
                if time.monotonic() > until:
                    raise self._told(what, error) from error
            time.sleep(min(pause * random.uniform(0.5, 1.5), max(0.0, until - time.monotonic()) + 0.01))
            pause = min(pause * 2, 5.0)

    def _told(self, what: str, error: Exception) -> Unavailable:
        reason = f"{error.code}, {error.message}" if isinstance(error, S3Error) else type(error).__name__
        if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
            reason = f"it does not answer ({type(error.reason).__name__})"
        return Unavailable(f"cannot {what} in {self._where}: {reason}", retry_after_s=30)


def _copy_beside(response: Any, stream: BinaryIO, update: Callable[[bytes], None]) -> None:
    """Copy a large answer; the digest of a chunk is computed while the next one is awaited (hashlib lets others run)."""
    with ThreadPoolExecutor(1) as beside:
        pending: Future[None] | None = None
        for chunk in response.stream(1 << 20):
            if pending is not None:
                pending.result()
            pending = beside.submit(update, chunk)
            stream.write(chunk)
        if pending is not None:
            pending.result()


def _valid(valid_s: float) -> timedelta:
    if not 1 <= valid_s <= VALID_LIMIT_S:
        right = f"1 to {VALID_LIMIT_S}"
        raise InvalidInput(
            f"a signed link is valid for {right} seconds, not {valid_s:g}", field="valid_s", value=valid_s
        )
    return timedelta(seconds=int(valid_s))


def _client(settings: S3Settings, url: str, threads: int) -> Minio:
    scheme, _, host = url.rpartition("://")
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5, read=60),
        maxsize=max(threads, 4) * 4,
        retries=urllib3.Retry(total=1, backoff_factor=0.1, status_forcelist=[500, 502, 503, 504]),
        ca_certs=os.environ.get("SSL_CERT_FILE"),
        cert_reqs="CERT_REQUIRED",
    )
    return Minio(
        host.rstrip("/"),
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        region=settings.region,
        secure=scheme != "http",
        http_client=pool,
    )


def _behind_links(manifest: Manifest, path: str) -> Artifact | None:
    """The file of that path, links inside the tree followed; None if there is none."""
    known = {artifact.path: artifact for artifact in manifest.artifacts}
    for _ in range(40):
        artifact = known.get(path)
        if artifact is not None and artifact.kind == "file":
            return artifact
        parts = path.split("/")
        for cut in range(1, len(parts) + 1):
            link = known.get("/".join(parts[:cut]))
            if link is not None and link.kind == "link":
                path = os.path.normpath("/".join([*parts[: cut - 1], link.target, *parts[cut:]]))
                break
        else:
            return None
    return None


__all__ = ["STORE_ROOT", "Permit", "S3Storage"]
