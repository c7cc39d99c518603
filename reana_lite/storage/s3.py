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
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from pathlib import Path, PurePath
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from reana_lite.artifact import Artifact, Manifest, check_link, check_path
from reana_lite.config import S3Settings
from reana_lite.errors import Damaged, InvalidInput, NotFound, Unavailable
from reana_lite.job import Input
from reana_lite.storage.bucket import SMALL_BYTES, Absent, Bucket, Permit
from reana_lite.storage.local import tree_key
from reana_lite.storage.names import check_key, file_name, place_name
from reana_lite.storage.scan import scan, scan_file, told

STORE_ROOT = "/reana-lite/store"
"""Where places appear to jobs in pods: <root>/jobs/<key>/<attempt>/files and <root>/trees/<key>/files."""

KEEP_AGAIN_S = 3600.0
"""After how long a tree that is there already is noted as kept anew (seconds)."""

SPOOL_BYTES = 4 << 20
"""A file read that is larger lies on this machine's disk meanwhile, not in memory."""


class S3Storage:
    """See the module and storage.base.Storage."""

    def __init__(self, settings: S3Settings, *, patience_s: float = 60.0, threads: int = 8) -> None:
        self.root: str | PurePath = STORE_ROOT
        self.prefix = settings.prefix
        self.bucket = Bucket(settings, patience_s=patience_s, threads=threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="s3")

    def within(self, patience_s: float) -> S3Storage:
        """The same storage with other patience, on connections of its own."""
        other = copy(self)
        other.bucket = self.bucket.within(patience_s)
        return other

    def check(self) -> None:
        """Raises Unavailable, with the reason, unless the bucket is there and can be written to."""
        if not self.bucket.exists():
            raise Unavailable(f"there is no bucket {self.bucket.address}: make it, or name another in RECAST_STORAGE")
        name = f"{self.prefix}tickets/.probe"
        self.bucket.put(name, b"")
        self.bucket.remove([name])

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
        kept_at = self.kept_at(key)
        there_already = kept_at is not None and self.manifest(key, 0) is not None
        if not there_already or time.time() - (kept_at or 0.0) > KEEP_AGAIN_S:
            if there_already:
                self.put_document(key, 0, "manifest.json", manifest.to_json().encode())  # it counts as kept just now
            else:
                self._upload(key, 0, manifest, origin)
            # somebody may have been removing the same tree: what was taken away meanwhile is brought back
            there = self.bucket.sizes(f"{self.prefix}{place_name(key, 0)}files/")
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
        self.bucket.put(self._name(key, attempt, "manifest.json"), manifest.to_json().encode())

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
        with told("keep files"):
            written = self.bucket.put_stream(name, lambda: origin(meant), meant.size)
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
        """Bring a whole place to a folder; files of the same names are replaced. Raises Damaged."""
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
        """Download one file; raises Damaged if it is gone or its bytes are not those that were kept."""
        name = self._file(key, attempt, artifact.path)

        try:
            digest = self.bucket.read_into(name, artifact.size, stream)
        except Absent:
            digest = ""
        if digest != artifact.digest:
            raise Damaged.at(key, attempt, artifact.path)

    def log(self, key: str, attempt: int, offset: int = 0, *, limit: int | None = None) -> bytes:
        """What the step has printed from byte `offset` on (a negative one counts from the end); b"" if nothing."""
        try:
            return self.bucket.get(self._name(key, attempt, "log"), offset, limit=limit)
        except Absent:
            return b""

    # -- whole places --------------------------------------------------------------------------------------------

    def clone(self, key: str, attempt: int, to: str) -> str:
        """Copy a complete place to attempt 1 of another key, on the server; see storage.base."""
        manifest = self._complete(key, attempt)
        self.remove(to, 1)

        def copy_file(artifact: Artifact) -> None:
            try:
                self.bucket.copy(self._file(key, attempt, artifact.path), self._file(to, 1, artifact.path))
            except Absent as error:
                raise Damaged.at(key, attempt, artifact.path) from error

        for _ in self._threads.map(copy_file, [a for a in manifest.artifacts if a.kind == "file"]):
            pass
        self.bucket.put(self._name(to, 1, "manifest.json"), manifest.to_json().encode())
        return manifest.digest

    def rescan(self, key: str, attempt: int) -> str:
        """Write the manifest of a place anew, from what it holds now; its digest. Raises NotFound."""
        base = f"{self.prefix}{place_name(key, attempt)}files/"
        listed = self.bucket.sizes(base)
        old = self.manifest(key, attempt)
        if not listed and old is None:
            raise NotFound(f"no place {key}/{attempt}")
        found = []
        for artifact in (old or Manifest()).artifacts:
            name = self._file(key, attempt, artifact.path)
            if artifact.kind != "file":
                found.append(artifact)
            elif name in listed:
                digest = self.bucket.digest(name)
                found.append(Artifact(artifact.path, "file", listed.pop(name), digest, artifact.executable))
        for name, size in listed.items():  # what came later; a name too long to be told from its object is left out
            path = os.fsdecode(unquote_to_bytes(name.removeprefix(base)))
            if file_name(path) == name.removeprefix(base):
                found.append(Artifact(path, "file", size, self.bucket.digest(name)))
        paths = {a.path for a in found if a.kind == "file"}
        above = {"/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 1)}
        manifest = Manifest.of(a for a in found if a.kind == "file" or a.path not in paths | above)
        self.bucket.put(self._name(key, attempt, "manifest.json"), manifest.to_json().encode())
        return manifest.digest

    def places(self) -> Iterator[tuple[str, int]]:
        """All places, complete or not, in no order."""
        for name in self.bucket.folders(f"{self.prefix}trees/"):
            yield name, 0
        keys = self.bucket.folders(f"{self.prefix}jobs/")
        below = self._threads.map(lambda key: self.bucket.folders(f"{self.prefix}jobs/{key}/"), keys)
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
        listed = self.bucket.sizes(base)
        meant = {self._file(key, attempt, a.path): a for a in manifest.artifacts if a.kind == "file"}
        bad = {name.removeprefix(base) for name in listed.keys() - meant.keys()}
        there = [name for name in meant if name in listed]
        for name, digest in zip(there, self._threads.map(self.bucket.digest, there), strict=True):
            if digest != meant[name].digest:
                bad.add(meant[name].path)
        return sorted(bad | {meant[name].path for name in meant.keys() - listed.keys()})

    def size_bytes(self, key: str, attempt: int) -> int:
        """Bytes a place takes, log and leftovers included."""
        return sum(self.bucket.sizes(f"{self.prefix}{place_name(key, attempt)}").values())

    def remove(self, key: str, attempt: int) -> None:
        """Remove a place, manifest first; no error if it is gone."""
        base = f"{self.prefix}{place_name(key, attempt)}"
        names = list(self.bucket.sizes(base))
        manifest = base + "manifest.json"
        if manifest in names:
            self.bucket.remove([manifest])
        self.bucket.remove([name for name in names if name != manifest])

    # -- small documents beside the files ------------------------------------------------------------------------

    def kept_at(self, key: str) -> float | None:
        """When a kept tree was last kept (UTC seconds, at most KEEP_AGAIN_S too early)."""
        return self.bucket.written_at(self._name(key, 0, "manifest.json"))

    def get_document(self, key: str, attempt: int, name: str) -> bytes | None:
        """A small object of a place (outcome.json, stager.json, manifest.json, log); None if there is none."""
        try:
            return self.bucket.get(self._name(key, attempt, name))
        except Absent:
            return None

    def put_document(self, key: str, attempt: int, name: str, data: bytes) -> None:
        """Write a small object of a place."""
        self.bucket.put(self._name(key, attempt, name), data)

    # -- single rights, given away -------------------------------------------------------------------------------

    def link(self, key: str, attempt: int, path: str, *, valid_s: float, name: str = "") -> str:
        """A URL by which anybody reads one artifact until `valid_s` from now; with `name` browsers save it as that, and
        show nothing of it."""
        headers = None
        if name:
            safe = "".join(c if (c.isascii() and c.isalnum()) or c in "._- " else "_" for c in name)
            headers = {
                "response-content-disposition": f'attachment; filename="{safe}"',
                "response-content-type": "application/octet-stream",
                "response-cache-control": "private, no-store",
            }
        return self.bucket.link(self._file(key, attempt, path), valid_s=valid_s, headers=headers)

    def permit(self, key: str, attempt: int, *, valid_s: float, max_bytes: int) -> Permit:
        """The right to add objects (at most `max_bytes` each) of one attempt until `valid_s` from now, and no others.

        Names: `fields["key"]` + "files/" + names.file_name(path), or + "log", "begun.json", "stager.json", "manifest.json".
        """
        prefix = f"{self.prefix}{place_name(key, attempt)}"
        return self.bucket.permit(prefix, valid_s=valid_s, max_bytes=max_bytes)

    def permit_copies(self, key: str, *, valid_s: float, max_bytes: int) -> Permit:
        """As `permit`, for whole places: below `fields["key"]` a number, the attempt of that key, then the names as there."""
        return self.bucket.permit(f"{self.prefix}jobs/{check_key(key)}/", valid_s=valid_s, max_bytes=max_bytes)

    def put_ticket(self, name: str, data: bytes, *, valid_s: float) -> str:
        """Keep a small object for a pod; the URL by which it is read until `valid_s` from now."""
        full = f"{self.prefix}tickets/{name}"
        self.bucket.put(full, data)
        return self.bucket.link(full, valid_s=valid_s)

    def drop_ticket(self, name: str) -> None:
        """Remove what `put_ticket` kept; no error if it is gone."""
        self.bucket.remove([f"{self.prefix}tickets/{name}"])

    # -- names ---------------------------------------------------------------------------------------------------

    def _name(self, key: str, attempt: int, name: str) -> str:
        return f"{self.prefix}{place_name(key, attempt)}{name}"

    def _file(self, key: str, attempt: int, path: str) -> str:
        return self._name(key, attempt, "files/" + file_name(path))

    def _complete(self, key: str, attempt: int) -> Manifest:
        manifest = self.manifest(key, attempt)
        if manifest is None:
            raise NotFound(f"no complete place {key}/{attempt}")
        return manifest


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
