"""What is in the search path, by name: folders of analyses, entries and index files of recast-atlas.

Listing reads only a name and a title of each, so that it is fast and one broken file hides nothing else.
`load_analysis` reads one in full and says everything that is wrong with it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from reana_lite.analysis import Analysis, Document, Record, parse, read_document, read_records
from reana_lite.analysis.parameter import near
from reana_lite.analysis.recorded import FILE as RECORDS_FILE
from reana_lite.catalogue.fetching import local_bytes
from reana_lite.catalogue.sources import VARIABLE, Sources, written
from reana_lite.errors import Fault, InvalidAnalysis, InvalidInput, NotFound

ANALYSIS_FILE = "analysis.yml"
_LIMIT_BYTES = 1_000_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class EntryKind(StrEnum):
    """In which form an analysis is preserved."""

    ANALYSIS = "analysis"
    RECAST = "recast"


@dataclass(frozen=True, slots=True)
class Entry:
    """One analysis of the catalogue. `path`: its analysis.yml or recast-atlas entry file; `shipped`: came with us."""

    name: str
    kind: EntryKind
    path: Path
    title: str = ""
    tags: tuple[str, ...] = ()
    shipped: bool = False
    hides: tuple[Path, ...] = ()


@dataclass(slots=True)
class Catalogue:
    """All analyses of the search path. A later one of a name wins over an earlier one, with a warning."""

    sources: Sources
    warnings: list[str] = field(default_factory=list)
    _entries: dict[str, Entry] | None = None

    def entries(self) -> list[Entry]:
        """Everything that can be found, sorted by name; what is in the way is in `warnings`."""
        if self._entries is None:
            self._entries = self._scan()
        return [self._entries[name] for name in sorted(self._entries)]

    def find(self, name: str) -> Entry:
        """The analysis of that name; raises NotFound with names that look like it."""
        entries = {entry.name: entry for entry in self.entries()}
        if name not in entries:
            broken = f" ({'; '.join(self.warnings)})" if self.warnings else ""
            raise NotFound(f"no analysis {name!r} in the catalogue{near(name, entries)}{broken}", name=name)
        return entries[name]

    def _scan(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        folders = [(folder, False) for folder in self.sources.search]
        if self.sources.shipped is not None:
            folders.insert(0, (self.sources.shipped, True))
        for folder, shipped in folders:
            if not folder.is_dir():
                self.warnings.append(f"{folder} in the catalogue's search path is no folder")
                continue
            for entry in self._folder(folder):
                earlier = found.get(entry.name)
                if earlier is not None and earlier.path.resolve() == entry.path.resolve():
                    continue
                hides: tuple[Path, ...] = ()
                if earlier is not None:
                    hides = (*earlier.hides, earlier.path)
                    self.warnings.append(f"{entry.name}: {entry.path} is used, not {earlier.path} of the same name")
                found[entry.name] = replace(entry, shipped=shipped, hides=hides)
        return found

    def _folder(self, folder: Path) -> Iterator[Entry]:
        """What one folder of the search path offers: itself, its subfolders, recast-atlas files directly in it."""
        for candidate in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
            path = candidate / ANALYSIS_FILE
            if path.is_file():
                yield from self._analysis(path)
        for path in sorted(folder.glob("*.yml")):
            if path.name != ANALYSIS_FILE:
                yield from self._recast(path, ())
        # an entry file in a folder of its own, as `recast catalogue create` of recast-atlas writes it
        for path in sorted(folder.glob("*/recast.yml")):
            yield from self._recast(path, ())

    def _analysis(self, path: Path) -> Iterator[Entry]:
        value = self._value(path, must=b"reana_lite")
        if isinstance(value, dict):
            name = value.get("name")
            if not isinstance(name, str) or not name:
                self.warnings.append(f"{path} has no name")
                return
            tags = value.get("tags")
            yield Entry(
                name=name,
                kind=EntryKind.ANALYSIS,
                path=path,
                title=str(value.get("title", "")),
                tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
            )

    def _recast(self, path: Path, tags: tuple[str, ...], depth: int = 0) -> Iterator[Entry]:
        value = self._value(path, must=b"spec" if depth else b"recast_catalogue_entries", other=b"metadata")
        if not isinstance(value, dict):
            return
        if isinstance(value.get("recast_catalogue_entries"), list):
            for name in value["recast_catalogue_entries"]:
                target = path.parent / str(name)
                if depth > 5 or not target.is_file():
                    self.warnings.append(f"{path} lists {name!r}, which is no file beside it")
                    continue
                yield from self._recast(target, (*tags, *map(str, value.get("tags") or ())), depth + 1)
            return
        metadata, name = value.get("metadata"), value.get("name")
        if not (isinstance(metadata, dict) and isinstance(value.get("spec"), dict) and isinstance(name, str)):
            return
        own = metadata.get("tags")
        own = tuple(map(str, own)) if isinstance(own, list) else ()
        yield Entry(
            name=name,
            kind=EntryKind.RECAST,
            path=path,
            title=str(metadata.get("short_description", "")),
            tags=tuple(dict.fromkeys((*own, *tags))),
        )

    def _value(self, path: Path, *, must: bytes, other: bytes = b"") -> Any:
        """The value of a file that may be what is looked for; None if it cannot be, with a warning if it is broken."""
        try:
            if path.stat().st_size > _LIMIT_BYTES:
                return None
            content = path.read_bytes()
        except OSError as error:
            self.warnings.append(f"{path} cannot be read: {error.strerror}")
            return None
        if must not in content and (not other or other not in content):
            return None
        try:
            return _read(content)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = "" if mark is None else f":{mark.line + 1}"
            self.warnings.append(f"{path}{line} is not YAML: {getattr(error, 'problem', None) or error}")
            return None


@functools.lru_cache(maxsize=256)
def _read(content: bytes) -> Any:
    """A YAML text as plain values, which nobody changes: a server reads the same few over and over."""
    return yaml.load(content, Loader=_Loader)  # nosec B506 - it is a safe loader


@functools.lru_cache(maxsize=256)
def _described(content: bytes, source: str) -> tuple[Document, Analysis]:
    """An analysis.yml as it describes itself; a server reads the same few over and over."""
    document = read_document(content, source)
    return document, parse(document)


@functools.lru_cache(maxsize=256)
def _recorded(content: bytes, source: str) -> dict[str, Record]:
    return read_records(content, source)


def load_analysis(path: Path) -> Analysis:
    """The analysis of a folder or of its analysis.yml, records included; InvalidAnalysis has every fault; NotFound."""
    path = path / ANALYSIS_FILE if path.is_dir() else path
    document, analysis = _described(local_bytes(path), str(path))
    folder = path.parent
    faults: list[Fault] = []
    for place, relative in analysis.paths():
        target = folder / relative
        if not target.exists():
            faults.append(document.fault(place, f"{relative!r} does not exist in {folder}"))
        elif not target.resolve().is_relative_to(folder.resolve()):
            faults.append(document.fault(place, f"{relative!r} is a link that leads out of the analysis's folder"))
        elif place[0] == "toplevel" and not target.is_dir():
            faults.append(document.fault(place, f"{relative!r} is no folder"))
        elif place[0] not in ("toplevel", "files") and not target.is_file():
            faults.append(document.fault(place, f"{relative!r} is no file"))
    if faults:
        raise InvalidAnalysis.of(faults)
    records = folder / RECORDS_FILE
    return replace(analysis, records=_recorded(local_bytes(records), str(records))) if records.is_file() else analysis


def known_analysis(path: Path) -> Analysis:
    """As load_analysis, read again only if analysis.yml or its records have changed: for servers."""
    file = path / ANALYSIS_FILE if path.is_dir() else path
    records = file.with_name(RECORDS_FILE)
    return _known(file, file.stat().st_mtime_ns, records.stat().st_mtime_ns if records.is_file() else 0)


@functools.lru_cache(maxsize=256)
def _known(path: Path, changed: int, recorded: int) -> Analysis:
    return load_analysis(path)


def added(words: Sequence[str], sources: Sources) -> str:
    """The shell line that adds folders to the search path, to be used as `$(recast catalogue add DIR)`.

    It needs no quotes whatever the folder is called. Several words that together name one folder are one (an unquoted
    `$PWD` with a blank in it).
    """
    folders = _named(words)
    return _export((*(folder for folder in sources.search if folder not in folders), *folders))


def removed(words: Sequence[str], sources: Sources) -> str:
    """The shell line that takes folders out of the search path."""
    joined = Path(" ".join(words)).expanduser()
    candidates = {_absolute(" ".join(words)), *(_absolute(word) for word in words)}
    left = tuple(folder for folder in sources.search if _absolute(str(folder)) not in candidates)
    if len(left) == len(sources.search):
        known = ", ".join(map(str, sources.search)) or "empty"
        raise NotFound(f"{joined} is not in the catalogue's search path ({known})", path=str(joined))
    return _export(left)


def _named(words: Sequence[str]) -> tuple[Path, ...]:
    whole = _absolute(" ".join(words))
    if words and whole.is_dir():
        return (whole,)
    folders = tuple(_absolute(word) for word in words)
    for folder in folders:
        if not folder.is_dir():
            raise NotFound(f"{folder} is no folder, so it cannot be added to the catalogue", path=str(folder))
    if not folders:
        raise InvalidInput("name the folder that is to be added to the catalogue", field="path")
    return folders


def _absolute(word: str) -> Path:
    """An absolute path without ".." in it; links are left as they are written."""
    return Path(os.path.normpath(Path(word).expanduser().absolute()))


def _export(folders: tuple[Path, ...]) -> str:
    return f"export {VARIABLE}={written(folders)}"
