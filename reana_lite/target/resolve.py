"""Which kind of thing TARGET is: a catalogue name, an analysis, a workflow file, a reana.yaml or a recast.yml."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from reana_lite.analysis import read_document
from reana_lite.catalogue import Catalogue, EntryKind, Sources, local_bytes
from reana_lite.catalogue.entries import ANALYSIS_FILE
from reana_lite.config import Settings
from reana_lite.errors import InvalidAnalysis, InvalidInput, NotFound
from reana_lite.target.bare import resolve_workflow
from reana_lite.target.entry import resolve_entry
from reana_lite.target.prepared import Prepared, TargetKind, TargetOptions
from reana_lite.target.preserved import resolve_analysis
from reana_lite.target.reana import resolve_reana

IN_A_FOLDER = (ANALYSIS_FILE, "recast.yml", "reana.yaml", "reana.yml", "workflow.yml", "workflow.yaml")
"""What a folder is looked through for, in this order."""


def resolve(
    target: str, *, options: TargetOptions, settings: Settings | None = None, sources: Sources | None = None
) -> Prepared:
    """The run that TARGET and the options ask for, checked as far as can be before a job starts.

    A file that exists is taken as a file; a name of the catalogue wins over a folder of that name, unless it is written
    as a path (./NAME). `sources` default to what the settings say, or else the environment.
    Raises NotFound, InvalidInput, InvalidAnalysis, InvalidWorkflow, Unavailable.
    """
    if sources is None:
        sources = Sources.from_environment() if settings is None else Sources.of(settings)
    kind, path = find(target, options=options, sources=sources)
    match kind:
        case TargetKind.ANALYSIS:
            return resolve_analysis(Path(path), sources, options)
        case TargetKind.RECAST:
            return resolve_entry(Path(path), sources, options)
        case TargetKind.REANA:
            return resolve_reana(Path(path), sources, options)
        case TargetKind.WORKFLOW:
            return resolve_workflow(path, sources, options)


def find(target: str, *, options: TargetOptions, sources: Sources) -> tuple[TargetKind, Path | str]:
    """(what it is, where): a file, or for a workflow below a toplevel elsewhere the text as given."""
    if not target:
        raise InvalidInput("TARGET is empty; name an analysis, a folder or a file", field="target")
    path = options.folder / Path(target).expanduser()
    if path.is_file():
        try:
            return kind_of(path), path
        except InvalidInput:
            if not options.toplevel:
                raise
    if options.toplevel:
        return TargetKind.WORKFLOW, target
    written_as_path = target.startswith((".", "/", "~")) or target.endswith((".yml", ".yaml", ".json", "/"))
    if not written_as_path:
        catalogue = Catalogue(sources)
        try:
            entry = catalogue.find(target)
        except NotFound as error:
            if not path.is_dir():
                raise NotFound(f"{error.message}; nor is there such a file or folder", **error.details) from error
        else:
            return TargetKind.ANALYSIS if entry.kind is EntryKind.ANALYSIS else TargetKind.RECAST, entry.path
    if path.is_dir():
        for name in IN_A_FOLDER:
            if (path / name).is_file():
                return kind_of(path / name), path / name
        raise NotFound(f"{path} holds none of {', '.join(IN_A_FOLDER)}", path=str(path))
    raise NotFound(f"{path} does not exist", path=str(path))


def kind_of(path: Path) -> TargetKind:
    """What a file is, by its content; by its name if the content cannot be read."""
    named = {
        ANALYSIS_FILE: TargetKind.ANALYSIS, "recast.yml": TargetKind.RECAST,
        "reana.yaml": TargetKind.REANA, "reana.yml": TargetKind.REANA,
    }.get(path.name)  # fmt: skip
    content = local_bytes(path)
    try:
        value = _value(content, str(path))
    except InvalidAnalysis:
        return named or TargetKind.WORKFLOW  # whose own reader says what is wrong
    keys = value.keys() if isinstance(value, dict) else set()
    if "reana_lite" in keys:
        return TargetKind.ANALYSIS
    if "stages" in keys or "$ref" in keys:
        return TargetKind.WORKFLOW
    if "spec" in keys and "metadata" in keys:
        return TargetKind.RECAST
    if isinstance(value, dict) and isinstance(value.get("workflow"), dict):
        return TargetKind.REANA
    if named is not None or path.stem == "workflow":
        return named or TargetKind.WORKFLOW
    if "recast_catalogue_entries" in keys:
        raise InvalidInput(f"{path} is an index of entries; add its folder to the catalogue", field="target")
    raise InvalidInput(
        f"{path} is no analysis.yml (`reana_lite`), workflow (`stages`), reana.yaml (`workflow`), recast.yml (`spec`)",
        field="target",
        value=str(path),
    )


@functools.lru_cache(maxsize=256)
def _value(content: bytes, source: str) -> Any:
    """What a document says, which nobody changes: a server looks at the same few over and over."""
    return read_document(content, source).value
