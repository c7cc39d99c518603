"""The files of a run: folders, previews, and the bytes themselves, which never run as part of this site."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from flask import Blueprint, Response, render_template, request

from reana_lite.database import RunRecord
from reana_lite.errors import NotFound
from reana_lite.job import RUN_ROOT
from reana_lite.media import IMAGES, checked_type
from reana_lite.server.files import drive_of
from reana_lite.server.installation import here as installation
from reana_lite.server.pages import headers, words
from reana_lite.server.pages.site import this_site
from reana_lite.server.sending import disposition
from reana_lite.workspace import Workspace

PREVIEW_BYTES = 40_000
"""How much of a text is shown (bytes)."""

MORE_BYTES = 1_000_000
"""How much of it is shown to who asks for more (bytes)."""

PREVIEW_CELLS = 1000
"""Cells of a table that are shown."""

SHOWN = 200
"""Names of a folder that are listed on one page."""


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/runs/<name>/files/", "files", folder, defaults={"path": ""})
    pages.add_url_rule("/runs/<name>/files/<path:path>", "files", folder)
    pages.add_url_rule("/runs/<name>/raw/<path:path>", "raw", raw)


def workspace(record: RunRecord) -> Workspace:
    """The files of a run."""
    return drive_of(installation(), record).workspace


@dataclass(frozen=True, slots=True)
class Line:
    """One name in a folder; `size` None: a folder."""

    name: str
    path: str
    size: int | None


def folder(name: str, path: str) -> str:
    """A folder, or one file with its preview."""
    record = this_site().run(name)
    files = workspace(record)
    path = _inside(path)
    virtual = f"{RUN_ROOT}/{path}" if path else RUN_ROOT
    if files.is_folder(virtual):
        listed, page = files.names(virtual), max(0, request.args.get("page", 0, type=int))
        lines = [_line(files, path, one) for one in listed[page * SHOWN : (page + 1) * SHOWN]]
        lines.sort(key=lambda line: (line.size is not None, line.name))
        return render_template(
            "files.html",
            run=record,
            path=path,
            parts=_parts(path),
            lines=lines,
            page=page,
            shown=SHOWN,
            found=len(listed),
        )
    most = MORE_BYTES if "more" in request.args else PREVIEW_BYTES
    with files.open(virtual) as stream:
        content = stream.read(most + 1)
    size = files.size_bytes(virtual)
    return render_template(
        "file.html",
        run=record,
        path=path,
        parts=_parts(path),
        size=size,
        more=most == MORE_BYTES,
        **preview(path, content, size or len(content), most),
    )


def _inside(path: str) -> str:
    """A path that does not leave the workspace."""
    found = posixpath.normpath("/" + path).strip("/")
    return "" if found == "." else found


def _parts(path: str) -> list[tuple[str, str]]:
    parts = path.split("/") if path else []
    return [(part, "/".join(parts[: at + 1])) for at, part in enumerate(parts)]


def _line(files: Workspace, path: str, name: str) -> Line:
    inner = f"{path}/{name}" if path else name
    virtual = f"{RUN_ROOT}/{inner}"
    return Line(name, inner, None if files.is_folder(virtual) else files.size_bytes(virtual) or 0)


def preview(path: str, content: bytes, size: int, most: int = PREVIEW_BYTES) -> dict[str, Any]:
    """What is shown of a file: an image, a table, JSON, text, or only that it is there."""
    kind = checked_type(path, content)
    cut = size > most
    if kind in IMAGES:
        return {"kind": "image", "cut": False}
    if kind == "application/pdf":
        return {"kind": "pdf", "cut": False}
    if b"\0" in content[:4096]:
        return {"kind": "binary", "cut": False}
    text = content[:most].decode("utf-8", "replace")
    if kind == "text/csv" or path.endswith(".tsv"):
        rows = list(_rows(text, "\t" if path.endswith(".tsv") else ","))
        if len(rows) > 1:
            few = max(10, (PREVIEW_CELLS if most == PREVIEW_BYTES else 50 * PREVIEW_CELLS) // len(rows[0]))
            return {"kind": "table", "rows": rows[: few + 1], "cut": cut or len(rows) > few + 1}
    if path.endswith(".json") and not cut:
        try:
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            pass
        else:
            cut = len(text) > most
            text = text[:most]
    return {"kind": "text", "text": words.log_text(text.encode()), "cut": cut}


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    try:
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            if row and not row[0].startswith("#"):
                yield [words.plain(cell) for cell in row[:60]]
    except csv.Error:
        return


def raw(name: str, path: str) -> Response:
    """The bytes: images, PDF and text to be looked at, everything else to be kept. Nothing of it has our origin."""
    record = this_site().run(name)
    path = _inside(path)
    virtual = f"{RUN_ROOT}/{path}"
    files = workspace(record)
    if files.is_folder(virtual):
        raise NotFound(f"{path} is a folder", path=path)
    stream = files.open(virtual)
    first = stream.read(4096)
    kind = checked_type(path, first)
    text = kind in ("text/plain", "text/csv", "application/json")
    keep = "keep" in request.args or not (text or kind in IMAGES or kind == "application/pdf")
    answer = Response(_bytes(first, stream), mimetype="text/plain" if text else kind)
    size = files.size_bytes(virtual)
    if size is not None:
        answer.headers["Content-Length"] = str(size)
    file = words.plain(path.rpartition("/")[2])
    answer.headers["Content-Disposition"] = disposition(file, keep=keep)
    pdf = kind == "application/pdf" and not keep
    answer.headers["Content-Security-Policy"] = headers.PDF if pdf else headers.ARTIFACT
    return answer


def _bytes(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        yield first
        while block := stream.read(1 << 18):
            yield block
