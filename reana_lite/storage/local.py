"""Storage in a folder of this machine (or of a shared file system).

    <root>/jobs/<key>/<attempt>/   files/  log  outcome.json  manifest.json     (written by the backend, manifest last)
    <root>/trees/<key>/            files/  manifest.json                        (renamed here when whole)
    <root>/tmp/                    what is being made or removed

Several processes may use one root at once. Durable means: survives the death of any process; nothing is flushed to the
device by force. The local backend writes outputs straight into `folder`; everybody else goes through the protocol.
"""

from __future__ import annotations

import base64
import errno
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from reana_lite.artifact import Artifact, Manifest, check_link, check_path
from reana_lite.errors import Damaged, InvalidInput, NotFound, Unavailable
from reana_lite.job import Input
from reana_lite.storage.names import check_key
from reana_lite.storage.scan import complete, copy_file, scan, scan_file, told

LEFTOVER_AGE_S = 86_400.0
"""Age at which something in tmp/ counts as left behind by a process that died (seconds; a copy never takes a day)."""


class LocalStorage:
    """See the module and storage.base.Storage."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - links in the root stay as the user wrote them
        self._tmp = self.root / "tmp"

    def within(self, patience_s: float) -> LocalStorage:
        """This very storage: the file system waits as long as it likes."""
        return self

    def check(self) -> None:
        """Raises Unavailable, with the reason, unless it can be written to; clears away what dead processes left."""
        with told(f"use the storage folder {self.root}"):
            for folder in (self.root / "jobs", self.root / "trees", self._tmp):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.root / "jobs", self.root / "trees", self._tmp):
                probe = folder / f".probe-{uuid.uuid4().hex}"
                probe.mkdir()
                probe.rmdir()
            oldest = time.time() - LEFTOVER_AGE_S
            for entry in list(os.scandir(self._tmp)):
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        _remove_tree(Path(entry.path))

    # -- where things are ----------------------------------------------------------------------------------------

    def place(self, key: str, attempt: int) -> Path:
        """The folder of a place, with all that belongs to it; it need not exist."""
        check_key(key)
        return self.root / "jobs" / key / str(int(attempt)) if attempt else self.root / "trees" / key

    def folder(self, key: str, attempt: int) -> Path:
        """The folder with the files of a place; it need not exist."""
        return self.place(key, attempt) / "files"

    def places(self) -> Iterator[tuple[str, int]]:
        """All places, complete or not, in no order."""
        with told("list the storage"):
            for key in _names(self.root / "trees"):
                yield key, 0
            for key in _names(self.root / "jobs"):
                for attempt in _names(self.root / "jobs" / key):
                    if attempt.isdecimal():
                        yield key, int(attempt)

    # -- keeping -------------------------------------------------------------------------------------------------

    def keep_tree(self, source: Path, folder: str) -> Input:
        """Keep a copy of a folder, or of one file as a tree of one, as storage.base says."""
        try:
            mode = source.stat().st_mode
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            kind = NotFound if isinstance(error, FileNotFoundError) else InvalidInput
            raise kind(f"cannot keep {source}: {reason}", path=str(source)) from error
        if stat.S_ISDIR(mode):
            manifest = scan(source)
            origin = source
        elif stat.S_ISREG(mode):
            # a link given by name is followed, the file keeps the name it was given by
            origin = source.resolve()
            manifest = Manifest((scan_file(origin, check_path(source.name)),))
        else:
            raise InvalidInput(f"{source} is neither a file nor a folder", field="path", value=str(source))

        def write(files: Path) -> Manifest:
            return _copy(manifest, lambda a: origin / a.path if origin is source else origin, files)

        return self._keep(manifest, write, folder)

    def keep_bytes(self, files: dict[str, bytes], folder: str) -> Input:
        """Keep some files given by relative path and content, as storage.base says."""
        for path in files:
            parents = {"/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)}
            if clash := parents & files.keys():
                raise InvalidInput(f"{min(clash)!r} is both a file and a folder", field="path", value=path)
            check_path(path)

        def write(root: Path) -> Manifest:
            for path, content in files.items():
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            return scan(root)

        return self._keep(None, write, folder)

    def _keep(self, known: Manifest | None, write: Callable[[Path], Manifest], folder: str) -> Input:
        """Let `write` fill a folder, and rename it to where its content belongs, unless that is there already."""
        if known is not None and self._keep_again(tree_key(known.digest)):
            return Input(folder, tree_key(known.digest), 0, known.digest)
        with told("keep files"), self._temporary() as temporary:
            (temporary / "files").mkdir()
            manifest = write(temporary / "files")
            key = tree_key(manifest.digest)
            complete(temporary, manifest)
            place = self.place(key, 0)
            while self.manifest(key, 0) is None:
                try:
                    temporary.rename(place)
                    break  # it was kept; if it is gone again by now, somebody has removed it since
                except OSError as error:
                    if not place.parent.exists():  # another process is making the folders of a new storage
                        place.parent.mkdir(parents=True, exist_ok=True)
                    elif not place.exists():
                        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                            raise
                    elif self.manifest(key, 0) is None:
                        self._discard(place)  # half a tree that somebody was removing, or a damaged one
            self._keep_again(key)  # it may have been there
            return Input(folder, key, 0, manifest.digest)

    def _keep_again(self, key: str) -> bool:
        """Whether a tree is there; it counts as kept just now then."""
        if self.manifest(key, 0) is None:
            return False
        with suppress(FileNotFoundError):
            os.utime(self.place(key, 0) / "manifest.json")
            return True
        return False

    def kept_at(self, key: str) -> float | None:
        """When a kept tree was last kept (UTC seconds)."""
        with told("read a manifest"), suppress(FileNotFoundError, NotADirectoryError):
            return (self.place(key, 0) / "manifest.json").stat().st_mtime
        return None

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        temporary = self._tmp / uuid.uuid4().hex
        try:
            temporary.mkdir()
        except FileNotFoundError:
            temporary.mkdir(parents=True)
            (self.root / "trees").mkdir(exist_ok=True)
        try:
            yield temporary
        finally:
            _remove_tree(temporary)

    # -- reading -------------------------------------------------------------------------------------------------

    def manifest(self, key: str, attempt: int) -> Manifest | None:
        """The manifest of a complete place; None if it is not complete, or its manifest is damaged."""
        try:
            with told("read a manifest"):
                return Manifest.from_json((self.place(key, attempt) / "manifest.json").read_bytes())
        except Unavailable as error:
            if isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
                return None
            raise
        except (ValueError, LookupError, TypeError):
            return None

    def open(self, key: str, attempt: int, path: str) -> BinaryIO:
        """One artifact for reading, links inside the tree followed; raises NotFound."""
        files = os.path.realpath(self.folder(key, attempt))
        real = os.path.realpath(os.path.join(files, check_path(path)))  # noqa: PTH118
        if real.startswith(files + "/") and stat.S_ISREG(_mode(real)):
            with told("read an artifact"), suppress(FileNotFoundError):
                return open(real, "rb")  # noqa: PTH123 - the caller closes it
        raise NotFound(f"no artifact {path!r} in {key}/{attempt}", path=path)

    def fetch(self, key: str, attempt: int, destination: Path) -> None:
        """Bring a whole place to a folder; files of the same names are replaced. Raises Damaged."""
        manifest = self._complete(key, attempt)
        files = self.folder(key, attempt)
        with told(f"write to {destination}"):
            destination.mkdir(parents=True, exist_ok=True)
            written = _copy(manifest, lambda a: files / a.path, destination, replace=True)
        for artifact in set(manifest.artifacts) - set(written.artifacts):
            (destination / artifact.path).unlink(missing_ok=True)
            raise Damaged.at(key, attempt, artifact.path)

    def clone(self, key: str, attempt: int, to: str) -> str:
        """Copy a complete place to attempt 1 of another key, as storage.base says."""
        manifest = self._complete(key, attempt)
        files = self.folder(key, attempt)
        with told("copy outputs"), self._temporary() as temporary:
            (temporary / "files").mkdir()
            written = _copy(manifest, lambda a: files / a.path, temporary / "files")
            complete(temporary, written)
            place = self.place(to, 1)
            self._discard(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(place)
        return written.digest

    def rescan(self, key: str, attempt: int) -> str:
        """Write the manifest of a place anew, from what it holds now; what no manifest can hold is left out."""
        manifest = scan(self.folder(key, attempt), odd={})
        complete(self.place(key, attempt), manifest)
        return manifest.digest

    def log(self, key: str, attempt: int, offset: int = 0, *, limit: int | None = None) -> bytes:
        """What the step has printed from byte `offset` on (a negative one counts from the end); b"" if nothing."""
        try:
            with told("read a log"), (self.place(key, attempt) / "log").open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size + offset) if offset < 0 else offset)
                return stream.read(-1 if limit is None else limit)
        except Unavailable as error:
            if isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
                return b""
            raise

    def damage(self, key: str, attempt: int) -> list[str]:
        """Paths that are not as the manifest says, extra ones included (read whole); raises NotFound."""
        if not (self.place(key, attempt) / "manifest.json").exists():
            raise NotFound(f"no complete place {key}/{attempt}")
        manifest = self.manifest(key, attempt)
        if manifest is None or (attempt == 0 and tree_key(manifest.digest) != key):
            return ["manifest.json"]
        odd: dict[str, str] = {}
        try:
            there = {a.path: a for a in scan(self.folder(key, attempt), odd=odd).artifacts}
        except NotFound:
            there = {}
        meant = {a.path: a for a in manifest.artifacts}
        return sorted({path for path in meant | there if meant.get(path) != there.get(path)} | odd.keys())

    def size_bytes(self, key: str, attempt: int) -> int:
        """Bytes a place takes, log and leftovers included; 0 if there is none."""
        total = 0
        with told("measure a place"):
            pending = [os.fspath(self.place(key, attempt))]
            while pending:
                with suppress(FileNotFoundError), os.scandir(pending.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_size
        return total

    def remove(self, key: str, attempt: int) -> None:
        """Remove a place, manifest first; no error if it is gone."""
        place = self.place(key, attempt)
        with told(f"remove {key}/{attempt}"):
            with suppress(FileNotFoundError, NotADirectoryError):
                (place / "manifest.json").unlink()
            self._discard(place)
            if attempt:
                with suppress(OSError):
                    place.parent.rmdir()

    def _discard(self, place: Path) -> None:
        """Take a folder out of sight at once, then remove it."""
        self._tmp.mkdir(parents=True, exist_ok=True)
        grave = self._tmp / uuid.uuid4().hex
        with suppress(FileNotFoundError):
            place.rename(grave)
            _remove_tree(grave)

    def _complete(self, key: str, attempt: int) -> Manifest:
        manifest = self.manifest(key, attempt)
        if manifest is None:
            raise NotFound(f"no complete place {key}/{attempt}")
        return manifest


def tree_key(digest: str) -> str:
    """The key of a kept tree, in the form of job keys, from the digest of its manifest."""
    return base64.b32encode(bytes.fromhex(digest.removeprefix("sha256:"))[:20]).decode().lower()


def _copy(manifest: Manifest, origin: Callable[[Artifact], Path], files: Path, *, replace: bool = False) -> Manifest:
    """Write what a manifest lists into a folder; gives the manifest of what was written. Links come last, so that
    nothing is written through one."""
    written = []
    for artifact in sorted(manifest.artifacts, key=lambda a: a.kind == "link"):
        target = files / check_path(artifact.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if replace and artifact.kind != "folder":
            target.unlink(missing_ok=True)
        if artifact.kind == "folder":
            target.mkdir(exist_ok=True)
            written.append(artifact)
        elif artifact.kind == "link":
            target.symlink_to(check_link(artifact.path, artifact.target))
            written.append(artifact)
        else:
            try:
                size, digest = copy_file(origin(artifact), target, executable=artifact.executable)
            except FileNotFoundError as error:
                raise Unavailable(f"{artifact.path!r} vanished while it was copied") from error
            written.append(Artifact(artifact.path, "file", size, digest, artifact.executable))
    return Manifest.of(written)


def _names(folder: Path) -> list[str]:
    """Names in a folder that do not begin with a dot; none if it is missing."""
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode  # noqa: PTH116
    except OSError:
        return 0


def _remove_tree(path: Path) -> None:
    """Remove a folder and all below it, also what a step has made read-only; no error if it is gone."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        path.chmod(0o700)
        for folder, names, _ in os.walk(path):
            for inner in (Path(folder, name) for name in names):
                if not inner.is_symlink():
                    inner.chmod(0o700)
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
