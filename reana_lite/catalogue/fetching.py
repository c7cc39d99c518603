"""Bytes behind a URI: documents of workflows, downloads of analyses. Limited in size and time, clear when offline."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from reana_lite.analysis import Download
from reana_lite.catalogue.archive import member
from reana_lite.catalogue.sources import Sources
from reana_lite.errors import InvalidAnalysis, InvalidInput, NotFound, Unavailable

LOCAL_LIMIT_BYTES = 16_000_000
"""Largest document of this machine that is read (bytes)."""

_CHUNK = 1 << 20
_GIT = re.compile(r"(?P<host>github|gitlab-cern):(?P<repo>[^@:]+)(?:@(?P<ref>[^:]+))?(?::(?P<sub>.*))?")
_GITLAB_RAW = re.compile(r"https://gitlab\.cern\.ch/(?P<project>.+?)/-/raw/(?P<ref>[^/]+)/(?P<path>.+)")


def toplevel_uri(toplevel: str, *, folder: Path) -> str:
    """The URI that documents of a workflow are relative to, "/" at its end; a plain path is relative to `folder`."""
    if (folder / toplevel).is_dir():
        return (folder / toplevel).resolve().as_uri() + "/"
    match = _GIT.fullmatch(toplevel)
    if match is None:
        if toplevel.startswith(("http://", "https://", "file://")):
            return toplevel.rstrip("/") + "/"
        if toplevel.startswith(("github", "gitlab-cern")) and ":" in toplevel:
            form = "github:ORG/REPO[@REF][:SUB] or gitlab-cern:GROUP/PROJECT[@REF][:SUB]"
            raise InvalidInput(f"toplevel {toplevel!r} is not of the form {form}", field="toplevel", value=toplevel)
        raise NotFound(f"toplevel {toplevel!r}: there is no such folder in {folder.resolve()}", toplevel=toplevel)
    repo, ref, sub = match["repo"], match["ref"], (match["sub"] or "").strip("/")
    if match["host"] == "github":
        parts = ["https://raw.githubusercontent.com", quote(repo), quote(ref or "main"), *([quote(sub)] if sub else [])]
        return "/".join(parts) + "/"
    parts = [
        "https://gitlab.cern.ch",
        quote(repo),
        "-/raw",
        quote(ref or "master", safe=""),
        *([quote(sub)] if sub else []),
    ]
    return "/".join(parts) + "/"


def fetcher(sources: Sources) -> Callable[[str], bytes]:
    """`fetch` with these sources, for the loader of workflow documents."""
    return lambda uri: fetch(uri, sources)


def fetch(uri: str, sources: Sources) -> bytes:
    """The bytes of a document at a file or http(s) URI; raises NotFound, Unavailable, InvalidInput (too large)."""
    limit = sources.document_limit_bytes
    with _opened(uri, sources.timeout_s, sources.token_for(uri, sources.schema_token), hosts=sources.hosts) as stream:
        content = bytearray()
        for chunk in _chunks(stream, uri, limit_bytes=limit, limit_s=4 * sources.timeout_s):
            content += chunk
        return bytes(content)


def local_bytes(path: Path, *, limit_bytes: int = LOCAL_LIMIT_BYTES) -> bytes:
    """The content of a document of this machine; raises NotFound, InvalidInput (too large; a pipe, a device)."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(f"{path} is no file that can be read as a document", field="path", value=str(path))
            with os.fdopen(handle, "rb", closefd=False) as stream:
                content = stream.read(limit_bytes + 1)
        finally:
            os.close(handle)
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror or error}", path=str(path)) from error
    if len(content) > limit_bytes:
        reason = f"{path} has {status.st_size} bytes; a document may have {limit_bytes} at most"
        raise InvalidInput(reason, field="path", value=str(path))
    return content


def obtain(download: Download, sources: Sources, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """The file of a download, verified: from the mirror, from those kept, else fetched now and kept.

    Raises InvalidAnalysis when what the address gives has another digest (or an archive lacks the member), Unavailable
    when it does not answer. Of an archive only the member is kept, and verified by its own digest.
    """
    kept = sources.downloads.expanduser() / download.sha256 / download.name
    if kept.is_file() and _sha256(kept) == download.sha256:
        return kept
    mirrored, remark = _mirrored(download, sources)
    if mirrored is not None:
        return mirrored
    say(f"fetching {download.url}")
    try:
        if download.member:
            _store_member(download, kept, sources)
        else:
            _store(download.url, kept, sources, sha256=download.sha256)
    except (NotFound, Unavailable) as error:
        raise type(error)(f"{error.message}{remark}", **error.details) from error
    return kept


def retrieve(uri: str, destination: Path, sources: Sources) -> None:
    """Bring the file at a URI (an init archive) to `destination`."""
    _store(uri, destination, sources, sha256="", token=sources.init_token)


def _mirrored(download: Download, sources: Sources) -> tuple[Path | None, str]:
    """(the mirror's file with the right digest, "") or (None, a remark for the error if fetching fails too)."""
    if sources.mirror is None:
        return None, "; RECAST_DATA_MIRROR may name a folder that already has the file"
    mirror = sources.mirror.expanduser()
    if not mirror.is_dir():
        return None, f"; the mirror {mirror} is no folder"
    files = [path for path in sorted(mirror.rglob("*")) if path.is_file()]
    named = [path for path in files if path.name in (download.name, download.sha256)]
    for path in [*named, *(path for path in files if path not in named)]:
        if _sha256(path) == download.sha256:
            return path, ""
    if named:
        return None, f"; {named[0]} in the mirror has another sha256 than the analysis says"
    return None, f"; the mirror {mirror} does not have it"


def _store(uri: str, destination: Path, sources: Sources, *, sha256: str, token: str = "") -> None:
    with _opened(uri, sources.timeout_s, sources.token_for(uri, token)) as stream:
        _write(stream, destination, uri, sources, sha256=sha256)


def _store_member(download: Download, destination: Path, sources: Sources) -> None:
    """Keep one file of the archive at an address; the archive itself is kept no longer than that takes."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".part-") as folder:
        archive = Path(folder) / "archive"
        _store(download.url, archive, sources, sha256="")
        try:
            with member(archive, download.member) as stream:
                place = f"{download.member} in {download.url}"
                _write(stream, destination, place, sources, sha256=download.sha256)
        except InvalidInput as error:
            raise InvalidAnalysis(f"{download.url}: {error.message}: not used") from error


def _write(stream: IO[bytes], destination: Path, uri: str, sources: Sources, *, sha256: str) -> None:
    """Bring a stream to `destination`, whole or not at all; with `sha256` only what has that digest."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle, part = tempfile.mkstemp(dir=destination.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as out:
            for chunk in _chunks(stream, uri, limit_bytes=sources.download_limit_bytes, limit_s=None):
                digest.update(chunk)
                out.write(chunk)
        if sha256 and digest.hexdigest() != sha256:
            raise InvalidAnalysis(f"{uri} has sha256 {digest.hexdigest()}, but the analysis says {sha256}: not used")
        Path(part).replace(destination)
    finally:
        Path(part).unlink(missing_ok=True)


@contextmanager
def _opened(uri: str, timeout_s: float, token: str, *, hosts: tuple[str, ...] = ()) -> Iterator[IO[bytes]]:
    """An open stream of a URI; errors of files and of the network in the program's own words."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise InvalidInput(f"{uri}: files of other machines cannot be read", field="uri", value=uri)
        path = Path(unquote(parts.path))
        try:
            with path.open("rb") as stream:
                yield stream
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            what = "is a folder" if path.is_dir() else "does not exist"
            raise NotFound(f"{path} {what}", path=str(path)) from error
        except PermissionError as error:
            raise NotFound(f"{path} may not be read by this user", path=str(path)) from error
        return
    if parts.scheme not in ("http", "https"):
        raise InvalidInput(f"{uri}: only file, http and https addresses can be read", field="uri", value=uri)
    request = urllib.request.Request(_api(uri), headers={"User-Agent": "reana-lite"})
    if hosts and (parts.scheme != "https" or parts.netloc not in hosts):
        raise NotFound(f"{uri}: documents are taken from {', '.join(hosts)} alone", uri=uri)
    if token:
        request.add_unredirected_header("PRIVATE-TOKEN", token)
    try:
        with urllib.request.build_opener(_Redirects(hosts)).open(request, timeout=timeout_s) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403, 404, 410):
            hint = "; is YADAGE_SCHEMA_LOAD_TOKEN needed?" if error.code in (401, 403) else ""
            raise NotFound(f"{uri}: the server answers {error.code} {error.reason}{hint}", uri=uri) from error
        raise Unavailable(f"{uri}: the server answers {error.code} {error.reason}", retry_after_s=60.0) from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: of an address that a redirect names
        reason = getattr(error, "reason", None) or error
        message = f"{uri} cannot be reached ({reason}); it is needed and this machine may be offline"
        raise Unavailable(message, retry_after_s=60.0) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, none from https to http, and where hosts are named none to another one."""

    max_redirections = 5

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hosts = hosts

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> IO[bytes] | None:
        """What the next address answers; the connection to this one is given up whatever happens."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except BaseException:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows; raises NotFound."""
        parts = urlsplit(newurl)
        if parts.scheme not in ("http", "https") or (req.type == "https" and parts.scheme != "https"):
            raise NotFound(f"{req.full_url} leads on to {newurl[:200]!r}, which is not https", uri=req.full_url)
        if self.hosts and parts.netloc not in self.hosts:
            raise NotFound(
                f"{req.full_url} leads on to {parts.netloc[:200]!r}; documents are taken from {', '.join(self.hosts)} alone",
                uri=req.full_url,
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _chunks(stream: IO[bytes], uri: str, *, limit_bytes: int, limit_s: float | None) -> Iterator[bytes]:
    began, size = time.monotonic(), 0
    while True:
        chunk = stream.read(_CHUNK)
        if not chunk:
            return
        size += len(chunk)
        if size > limit_bytes:
            raise InvalidInput(
                f"{uri} is larger than {limit_bytes} bytes, the most that is read", field="uri", value=uri
            )
        if limit_s is not None and time.monotonic() - began > limit_s:
            raise Unavailable(f"{uri} was not there after {limit_s:.0f} s", retry_after_s=60.0)
        yield chunk


def _api(uri: str) -> str:
    """The address at which a file of GitLab can be had with a token; other addresses are left as they are."""
    match = _GITLAB_RAW.fullmatch(uri)
    if match is None:
        return uri
    project, path = (quote(unquote(match[part]), safe="") for part in ("project", "path"))
    return f"https://gitlab.cern.ch/api/v4/projects/{project}/repository/files/{path}/raw?ref={match['ref']}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_or_link(source: Path, destination: Path) -> None:
    """The file at another path without copying its bytes where possible."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), destination)
    except OSError:
        shutil.copy2(source, destination)
