"""A reana.yaml -> Prepared, for the workflow types yadage and serial.

What REANA would upload (inputs.files, inputs.directories) is what the run gets: for yadage the part below `initdir` is
the init folder, for serial all of it is the workspace. Called for files of this machine and for uploaded workspaces.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from reana_lite.analysis import Declared, Document, read_document
from reana_lite.analysis.description import REMOTE
from reana_lite.analysis.parameter import near
from reana_lite.catalogue import Sources, fetcher, local_bytes, toplevel_uri
from reana_lite.errors import Fault, InvalidAnalysis, InvalidInput, NotFound
from reana_lite.job import INIT_ROOT
from reana_lite.serial import Serial, read_serial
from reana_lite.target.bare import source_of
from reana_lite.target.files import Scratch, gathered
from reana_lite.target.initdata import assigned, host_paths, init_data, init_file, yaml_values
from reana_lite.target.prepared import Brought, Prepared, TargetKind, TargetOptions
from reana_lite.target.preserved import stand_ins
from reana_lite.workflow.document import Fetch
from reana_lite.workflow.loading import read_workflow
from reana_lite.workflow.spec import Workflow

HOSTS = ("raw.githubusercontent.com", "gitlab.cern.ch")
"""Where documents of an uploaded workflow may lie, beside the workspace itself."""

_TOP = ("version", "inputs", "workflow", "outputs", "tests", "workspace")
_INPUTS = ("files", "directories", "parameters", "options")
_OPTIONS = {
    "yadage": ("toplevel", "initdir", "initfiles", "accept_metadir"),
    "serial": ("TARGET", "FROM", "CACHE"),
}


def resolve_reana(path: Path, sources: Sources, options: TargetOptions) -> Prepared:
    """The run that a reana.yaml describes, with -p over its parameters."""
    if options.example or options.data_options or (options.workflow_options and _type(path) != "serial"):
        raise InvalidInput("a reana.yaml has its own options (inputs.options); only -p applies to it", field="options")
    document = read_document(local_bytes(path), str(path))
    faults = list(_faults(document))
    if faults:
        raise InvalidAnalysis.of(faults)
    value: dict[str, Any] = document.value
    make = _serial if value["workflow"]["type"] == "serial" else _yadage
    folder = path.resolve().parent
    return make(document, folder, fetcher(sources), options, tree=_workspace(document, folder, options))


def resolve_uploaded(specification: Any, folder: Path, sources: Sources, *, name: str) -> Prepared:
    """The run of an uploaded workspace, whose files lie in `folder` (the caller's to lose: documents are taken out of it).

    All of the workspace is the run's, whatever inputs.files says. Nothing else of this machine is read, and nothing of the
    network but what is public at github: or gitlab-cern: (the operator's token is not for uploaders). Raises as `resolve`
    does; sources are "reana.yaml".
    """
    document = read_document(json.dumps(specification), "reana.yaml")
    check_specification(document)
    value: dict[str, Any] = document.value
    folder = folder.resolve()
    _check_inside(document, folder)
    options = TargetOptions(folder=folder)
    tree = folder if any(folder.iterdir()) else None
    fetch = _within(folder, fetcher(replace(sources, hosts=HOSTS, schema_token="")))  # nosec B106 - none is lent
    if value["workflow"]["type"] == "serial":
        prepared = _serial(document, folder, fetch, options, tree=tree)
    else:
        prepared = _yadage(document, folder, fetch, options, tree=tree)
        declared = {str(one).removeprefix("./") for one in (value.get("inputs") or {}).get("files") or ()}
        documents = {str(value["workflow"].get("file") or ""), "reana.yaml", "reana.yml"} - declared - {""}
        for one in documents:  # so that another parameter in them does not make other inputs of all steps
            (folder / one).unlink(missing_ok=True)
    told = set(host_paths(prepared.parameters))  # what lies on this machine is not the uploader's to learn
    return replace(
        prepared,
        name=name,
        origin="reana.yaml",
        brought=prepared.brought if any(folder.iterdir()) else (),
        warnings=tuple(warning for warning in prepared.warnings if warning not in told),
    )


def check_specification(document: Document) -> None:
    """Raises InvalidAnalysis with every fault of an uploaded specification that can be told without its files."""
    faults = list(_faults(document))
    if not faults:
        inputs = document.value.get("inputs") or {}
        toplevel = (inputs.get("options") or {}).get("toplevel")
        if isinstance(toplevel, str) and "://" in toplevel:
            reason = f"toplevel {toplevel!r}: a folder of the workspace, github:ORG/REPO or gitlab-cern:GROUP/PROJECT"
            faults.append(document.fault(("inputs", "options", "toplevel"), reason))
        given = (inputs.get("parameters") or {}).get("input")
        if isinstance(given, str) and len(inputs["parameters"]) == 1:
            outside = given.startswith("/") or ".." in given.split("/")
            reason = f"{given!r} must be a path inside of the workspace"
            faults += [document.fault(("inputs", "parameters", "input"), reason)] if outside else []
    if faults:
        raise InvalidAnalysis.of(faults)


def _check_inside(document: Document, folder: Path) -> None:
    """Raises InvalidAnalysis if what a specification names leads out of the workspace by a link in it."""
    inputs, workflow = document.value.get("inputs") or {}, document.value["workflow"]
    chosen, parameters = inputs.get("options") or {}, inputs.get("parameters") or {}
    named: list[tuple[tuple[str | int, ...], Any]] = [(("workflow", "file"), workflow.get("file"))]
    named += [(("inputs", "options", key), chosen.get(key)) for key in ("toplevel", "initdir")]
    named += [(("inputs", "options", "initfiles"), name) for name in chosen.get("initfiles") or ()]
    named += [(("inputs", "parameters", "input"), parameters["input"])] if set(parameters) == {"input"} else []
    if isinstance(chosen.get("toplevel"), str) and isinstance(workflow.get("file"), str):
        named.append((("workflow", "file"), f"{chosen['toplevel']}/{workflow['file']}"))
    faults = [
        document.fault(place, f"{name!r} is a link that leads out of the workspace")
        for place, name in named
        if isinstance(name, str) and "\0" not in name and not name.startswith(REMOTE)
        and not Path(os.path.realpath(folder / name)).is_relative_to(folder)
    ]  # fmt: skip
    if faults:
        raise InvalidAnalysis.of(faults)


def _within(folder: Path, fetch: Fetch) -> Fetch:
    """`fetch` for documents of a folder and of the known hosts only."""

    def fetched(uri: str) -> bytes:
        parts = urlsplit(uri)
        path = unquote(parts.path)
        if parts.scheme == "file" and parts.netloc in ("", "localhost") and "\0" not in path:
            if Path(path).resolve().is_relative_to(folder):
                return fetch(uri)
        elif parts.scheme == "https" and parts.netloc in HOSTS and ".." not in path.split("/"):
            return fetch(uri)
        raise NotFound("it lies outside of the workspace")

    return fetched


def _yadage(document: Document, folder: Path, fetch: Fetch, options: TargetOptions, *, tree: Path | None) -> Prepared:
    inputs, workflow = document.value.get("inputs") or {}, document.value["workflow"]
    chosen = inputs.get("options") or {}
    warnings: tuple[str, ...] = ()
    if workflow.get("specification"):
        plain = Workflow.from_json(workflow["specification"]).to_json()
    else:
        toplevel = options.toplevel or str(chosen.get("toplevel") or ".")
        uri = toplevel_uri(toplevel, folder=folder)
        source = _below(folder, toplevel, workflow["file"])
        loaded = read_workflow(uri, source_of(source), fetch)
        plain = loaded.workflow.to_json()
        warnings = tuple(map(str, loaded.warnings))
    initfiles = [folder / str(name) for name in chosen.get("initfiles") or ()]
    given = {**_parameters(inputs, folder), **options.parameters, **yaml_values(assigned(options.assignments))}
    parameters = init_data([*initfiles, *_files(options)], given)
    brought: tuple[Brought, ...] = ()
    initdir = str(chosen.get("initdir") or ".")
    if tree is not None or initdir != ".":
        place = (tree or folder) / initdir
        if not place.is_dir():
            listed = " among inputs.files and inputs.directories" if (folder / initdir).is_dir() else ""
            raise InvalidAnalysis.of(
                [document.fault(("inputs", "options", "initdir"), f"there is no folder {initdir!r}{listed}")]
            )
        brought = (Brought(INIT_ROOT, path=place),)
    return _prepared(
        document,
        options,
        plain,
        parameters,
        brought,
        engine="yadage",
        root="",
        warnings=(*warnings, *host_paths(parameters)),
    )


def _serial(document: Document, folder: Path, fetch: Fetch, options: TargetOptions, *, tree: Path | None) -> Prepared:
    inputs, workflow = document.value.get("inputs") or {}, document.value["workflow"]
    place: tuple[str | int, ...] = ("workflow", "specification")
    specification = workflow.get("specification")
    origin = document
    if not specification:
        file = folder / workflow["file"]
        if not file.is_file():
            raise InvalidAnalysis.of([document.fault(("workflow", "file"), f"{workflow['file']!r} does not exist")])
        origin, place = read_document(local_bytes(file), str(file)), ()
        specification = origin.value
    declared = {**_parameters(inputs, folder), **init_data(_files(options), {})}
    given = {**options.parameters, **yaml_values(assigned(options.assignments))}
    for name in given:
        if name not in declared:
            raise InvalidInput(f"no parameter {name!r} in inputs.parameters{near(name, declared)}", field=name)
    parameters = {**declared, **given}
    serial, warnings = read_serial(
        specification, parameters, fault=lambda path, reason: origin.fault((*place, *path), reason)
    )
    chosen = {
        **(inputs.get("options") or {}),
        **yaml_values(assigned(options.workflow_options, option="-w"), option="-w"),
    }
    for key in chosen:
        if key not in _OPTIONS["serial"]:
            raise InvalidInput(f"unknown option {key!r}{near(key, _OPTIONS['serial'])}", field=key, value=chosen[key])
    serial = serial.part(first=str(chosen.get("FROM") or ""), last=str(chosen.get("TARGET") or ""))
    return _prepared(
        document,
        options,
        serial.to_json(),
        parameters,
        (Brought(INIT_ROOT, path=tree),) if tree is not None else (),
        engine="serial",
        root=_root(serial),
        warnings=warnings,
        reuse=str(chosen.get("CACHE", "on")).lower() not in ("off", "false", "no"),
    )


def _root(serial: Serial) -> str:
    """Where in the run's workspace the workspace of REANA lies, with "/" at its end."""
    return serial.folder().rpartition("/")[2] + "/"


def _prepared(
    document: Document,
    options: TargetOptions,
    workflow: dict[str, Any],
    parameters: dict[str, Any],
    brought: tuple[Brought, ...],
    *,
    engine: str,
    root: str,
    warnings: tuple[str, ...],
    reuse: bool = True,
) -> Prepared:
    path = Path(document.source).resolve()
    ready = stand_ins(None, path.parent, options)
    return Prepared(
        kind=TargetKind.REANA,
        name=path.parent.name or "workflow",
        workflow=workflow,
        origin=str(path),
        engine=engine,
        parameters=parameters if engine == "yadage" else {},
        brought=brought,
        options={"stand_ins": {image: one.lock for image, one in ready.items()}} if ready else {},
        stand_ins=ready,
        values=parameters,
        results=tuple(_outputs(document, root)),
        reuse=reuse,
        warnings=(*_remarks(document), *warnings),
    )


def _outputs(document: Document, root: str) -> Iterator[Declared]:
    outputs = document.value.get("outputs") or {}
    for name in (*(outputs.get("files") or ()), *(outputs.get("directories") or ())):
        yield Declared(name=str(name), path=root + str(name).strip("/"))


def _parameters(inputs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """inputs.parameters; {input: FILE} names a file that holds them, where that exists."""
    parameters = inputs.get("parameters") or {}
    if (
        set(parameters) == {"input"}
        and isinstance(parameters["input"], str)
        and (folder / parameters["input"]).is_file()
    ):
        return init_file(folder / parameters["input"])
    return dict(parameters)


def _files(options: TargetOptions) -> list[Path]:
    return [options.folder / Path(name).expanduser() for name in options.files]


def _workspace(document: Document, folder: Path, options: TargetOptions) -> Path | None:
    """The files REANA would upload, as one folder; None if none are named."""
    inputs = document.value.get("inputs") or {}
    names = {
        ("inputs", key, index): str(name)
        for key in ("files", "directories")
        for index, name in enumerate(inputs.get(key) or ())
    }
    absent = [
        document.fault(place, f"{name!r} does not exist in {folder}")
        for place, name in names.items()
        if not (folder / name).exists()
    ]
    if absent:
        raise InvalidAnalysis.of(absent)
    return gathered(folder, names.values(), Scratch(options.scratch), what="inputs")


def _below(folder: Path, toplevel: str, file: str) -> str:
    """The workflow file relative to the toplevel, also where it was written relative to the reana.yaml."""
    local = folder / toplevel
    if local.is_dir() and not (local / file).is_file() and (folder / file).is_file():
        inside = (folder / file).resolve()
        if inside.is_relative_to(local.resolve()):
            return str(inside.relative_to(local.resolve()))
    return file


def _type(path: Path) -> str:
    value = read_document(local_bytes(path), str(path)).value
    workflow = value.get("workflow") if isinstance(value, dict) else None
    return str(workflow.get("type")) if isinstance(workflow, dict) else ""


def _remarks(document: Document) -> Iterator[str]:
    """What is read over."""
    workflow = document.value["workflow"]
    resources = workflow.get("resources") or {}
    if isinstance(resources, dict):
        for key, wanted in resources.items():
            if wanted:
                yield f"workflow.resources.{key}: not offered here; steps that need it will fail"
    if document.value.get("tests"):
        yield "tests (Gherkin files) are not run here"


def _faults(document: Document) -> Iterator[Fault]:
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("workflow"), dict):
        yield document.fault((), "a reana.yaml has a `workflow` with a `type`")
        return
    for key in value:
        if key not in _TOP:
            yield document.fault((key,), f"unknown key {key!r}{near(str(key), _TOP)}")
    workflow = value["workflow"]
    kind = workflow.get("type")
    if not isinstance(kind, str) or kind not in _OPTIONS:
        reason = f"workflow type {kind!r} cannot be run here; right is yadage or serial"
        yield document.fault(("workflow", "type"), reason)
    if not workflow.get("specification") and not isinstance(workflow.get("file"), str):
        yield document.fault(("workflow",), "either `file` or `specification` is needed")
    if workflow.get("specification") and not isinstance(workflow["specification"], dict):
        yield document.fault(("workflow", "specification"), "must be a mapping")
    inputs = value.get("inputs") or {}
    if not isinstance(inputs, dict):
        yield document.fault(("inputs",), "must be a mapping")
        return
    for key in inputs:
        if key not in _INPUTS:
            yield document.fault(("inputs", key), f"unknown key {key!r}{near(str(key), _INPUTS)}")
    for place in (("inputs", "files"), ("inputs", "directories"), ("outputs", "files"), ("outputs", "directories")):
        yield from _names(document, place)
    for key in ("parameters", "options"):
        if not isinstance(inputs.get(key) or {}, dict):
            yield document.fault(("inputs", key), "must be a mapping")
    yield from _paths_inside(document)
    chosen = inputs.get("options") or {}
    if isinstance(kind, str) and kind in _OPTIONS and isinstance(chosen, dict):
        for key in chosen:
            if key not in _OPTIONS[kind]:
                reason = f"unknown option {key!r} of a {kind} workflow{near(str(key), _OPTIONS[kind])}"
                yield document.fault(("inputs", "options", key), reason)


def _paths_inside(document: Document) -> Iterator[Fault]:
    """Everything that names a file must stay in the workspace: it may be an uploaded one."""
    chosen = (document.value.get("inputs") or {}).get("options") or {}
    initfiles = (chosen.get("initfiles") or []) if isinstance(chosen, dict) else []
    if not isinstance(initfiles, list):
        yield document.fault(("inputs", "options", "initfiles"), "must be a list of paths")
        initfiles = []
    named: list[tuple[tuple[str | int, ...], Any]] = [(("workflow", "file"), document.value["workflow"].get("file"))]
    named += [(("inputs", "options", "initfiles", index), name) for index, name in enumerate(initfiles)]
    if isinstance(chosen, dict):
        named += [(("inputs", "options", key), chosen.get(key)) for key in ("toplevel", "initdir")]
    for place, name in named:
        if name is None or (place[-1] == "toplevel" and isinstance(name, str) and name.startswith(REMOTE)):
            continue
        if not isinstance(name, str) or name.startswith("/") or ".." in name.split("/"):
            yield document.fault(place, f"{name!r} must be a path inside of the workspace")


def _names(document: Document, place: tuple[str, str]) -> Iterator[Fault]:
    around = document.value.get(place[0]) or {}
    names = around.get(place[1]) or [] if isinstance(around, dict) else None
    if not isinstance(names, list):
        yield document.fault(place, "must be a list of paths")
        return
    for index, name in enumerate(names):
        if not isinstance(name, str) or name.startswith("/") or ".." in name.split("/"):
            yield document.fault((*place, index), f"{name!r} must be a path inside of the workspace")
