"""A bare Yadage workflow file -> Prepared, run as yadage runs it: init files, -p, -d, -w, toplevel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reana_lite.analysis import Declared
from reana_lite.catalogue import Sources, fetcher, toplevel_uri
from reana_lite.errors import InvalidWorkflow, NotFound
from reana_lite.target.files import Scratch
from reana_lite.target.initdata import (
    assigned,
    data_options,
    host_paths,
    init_data,
    workflow_options,
    yaml_values,
)
from reana_lite.target.prepared import Prepared, TargetKind, TargetOptions
from reana_lite.target.preserved import stand_ins
from reana_lite.workflow.loading import Loaded, read_workflow


def resolve_workflow(path: Path | str, sources: Sources, options: TargetOptions) -> Prepared:
    """The run of a workflow file; a text is a path below `options.toplevel`."""
    loaded, origin, remarks = _loaded(path, sources, options)
    files = [options.folder / Path(name).expanduser() for name in options.files]
    if not files and (options.folder / "input.yml").is_file():
        files = [options.folder / "input.yml"]
        remarks = (*remarks, f"{files[0]} is taken as init file; name another one to take that")
    given = init_data(files, {**options.parameters, **yaml_values(assigned(options.assignments))})
    return prepared(
        TargetKind.WORKFLOW,
        name=_name(Path(path), options),
        loaded=loaded,
        origin=origin,
        parameters=given,
        dataopts=yaml_values(assigned(options.data_options, option="-d"), option="-d"),
        folder=options.folder,
        sources=sources,
        options=options,
        warnings=remarks,
    )


def _without_init(loaded: Loaded) -> str:
    """What it means for a workflow that neither parameters nor files were given."""
    waiting = [stage.name for stage in loaded.workflow.stages if "init" in stage.dependencies.expressions]
    names = ", ".join(waiting[:5]) + (f" and {len(waiting) - 5} more" if len(waiting) > 5 else "")
    which = f"the stages that need it will not run: {names}" if waiting else "stages that need it will not run"
    return f"no init data is given (NAME=VALUE, or a file of them), so there is no init stage and {which}"


def prepared(
    kind: TargetKind,
    *,
    name: str,
    loaded: Loaded,
    origin: str,
    parameters: dict[str, Any],
    dataopts: Mapping[str, Any],
    folder: Path,
    sources: Sources,
    options: TargetOptions,
    results: tuple[Declared, ...] = (),
    warnings: tuple[str, ...] = (),
    example: str = "",
) -> Prepared:
    """What bare workflows and entries of recast-atlas have in common; paths in `dataopts` are relative to `folder`."""
    lenient = kind is TargetKind.WORKFLOW
    data = data_options(dataopts, sources, folder=folder, scratch=Scratch(options.scratch), lenient=lenient)
    switches = workflow_options(assigned(options.workflow_options, option="-w"))
    ready = stand_ins(None, folder, options)
    engine_options = dict(data.options)
    if ready:
        engine_options["stand_ins"] = {image: one.lock for image, one in ready.items()}
    if not parameters:
        warnings = (*warnings, _without_init(loaded))
    return Prepared(
        kind=kind,
        name=name,
        workflow=loaded.workflow.to_json(),
        locate=loaded.locate,
        origin=origin,
        parameters=parameters,
        brought=data.brought,
        discover=switches.get("discover", True),
        relative=switches.get("relative", True),
        subinits=data.subinits,
        options=engine_options,
        stand_ins=ready,
        values=parameters,
        results=results,
        example=example,
        warnings=(*warnings, *map(str, loaded.warnings), *data.warnings, *host_paths(parameters)),
    )


def source_of(name: str) -> str:
    """A file name as the end of a URI."""
    return quote(name) if any(letter in name for letter in "#?%") else name


def _loaded(path: Path | str, sources: Sources, options: TargetOptions) -> tuple[Loaded, str, tuple[str, ...]]:
    """(workflow, where it was, warnings). Without a toplevel it is the file's own folder, or else the current one."""
    fetch = fetcher(sources)
    if options.toplevel:
        uri = toplevel_uri(options.toplevel, folder=options.folder)
        source = str(path)
        local = options.folder / options.toplevel
        if local.is_dir() and (Path(source).is_absolute() or not (local / source).is_file()):
            inside = (options.folder / path).resolve()
            if inside.is_relative_to(local.resolve()):
                source = str(inside.relative_to(local.resolve()))
            elif inside.is_file():
                raise NotFound(f"{path} is not below the toplevel {options.toplevel}", path=str(path))
        return read_workflow(uri, source_of(source), fetch), f"{options.toplevel}:{source}", ()
    file = Path(path).resolve()
    here = options.folder.resolve()
    try:
        return read_workflow(file.parent.as_uri(), source_of(file.name), fetch), str(file), ()
    except InvalidWorkflow:
        if here == file.parent or not file.is_relative_to(here):
            raise
        inside = file.relative_to(here)
        try:
            loaded = read_workflow(here.as_uri(), source_of(str(inside)), fetch)
        except InvalidWorkflow:
            pass
        else:
            return loaded, str(file), (f"references of {inside} are taken as relative to {here}, the current folder",)
        raise


def _name(path: Path, options: TargetOptions) -> str:
    stem = path.name.rpartition(".")[0] or path.name
    if stem in ("workflow", "main", "flow") and not options.toplevel:
        return path.resolve().parent.name or stem
    return stem
