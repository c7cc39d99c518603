"""A recast.yml of recast-atlas -> Prepared. Its example `default` is taken without being asked for, as there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reana_lite.analysis import Declared, Document, read_document
from reana_lite.analysis.parameter import near
from reana_lite.catalogue import Sources, fetcher, local_bytes, toplevel_uri
from reana_lite.errors import Fault, InvalidAnalysis, InvalidInput, NotFound
from reana_lite.target.bare import prepared, source_of
from reana_lite.target.initdata import assigned, init_data, init_file, yaml_values
from reana_lite.target.prepared import Prepared, TargetKind, TargetOptions
from reana_lite.workflow.loading import read_workflow


def resolve_entry(path: Path, sources: Sources, options: TargetOptions) -> Prepared:
    """The run of an entry that the options ask for."""
    document = read_document(local_bytes(path), str(path))
    faults = list(_faults(document))
    if faults:
        raise InvalidAnalysis.of(faults)
    value: dict[str, Any] = document.value
    folder = path.resolve().parent
    toplevel = options.toplevel or value["spec"].get("toplevel") or "specs"
    uri = toplevel_uri(str(toplevel), folder=options.folder if options.toplevel else folder)
    loaded = read_workflow(uri, source_of(value["spec"]["workflow"]), fetcher(sources))
    example, initdata, dataopts = _inputs(value, options)
    dataopts = {**dataopts, **yaml_values(assigned(options.data_options, option="-d"), option="-d")}
    return prepared(
        TargetKind.RECAST,
        name=value["name"],
        loaded=loaded,
        origin=str(path.resolve()),
        parameters=init_data([], {**initdata, **options.parameters, **yaml_values(assigned(options.assignments))}),
        dataopts=dataopts,
        folder=folder if example else options.folder,
        sources=sources,
        options=options,
        results=tuple(_results(value)),
        example=example,
    )


def _inputs(value: dict[str, Any], options: TargetOptions) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """(example used or "", initdata, dataopts): of the INPUTDATA file, else of the example."""
    if options.files:
        if len(options.files) > 1:
            raise InvalidInput("a recast.yml takes one input file (with initdata and dataopts)", field="files")
        if options.example:
            raise InvalidInput("either an input file or --example, not both", field="example", value=options.example)
        given = init_file(options.folder / Path(options.files[0]).expanduser())
        for key in given:
            if key not in ("initdata", "dataopts"):
                raise InvalidInput(
                    f"{options.files[0]}: unknown key {key!r}; an input file has `initdata` and `dataopts`", field=key
                )
        return "", _mapping(given, "initdata", options.files[0]), _mapping(given, "dataopts", options.files[0])
    examples = value.get("example_inputs") or {}
    name = options.example or "default"
    if name not in examples:
        if options.example:
            raise NotFound(f"{value['name']} has no example {name!r}{near(name, examples)}", example=name)
        return "", {}, {}
    where = f"example {name!r}"
    return name, _mapping(examples[name] or {}, "initdata", where), _mapping(examples[name] or {}, "dataopts", where)


def _mapping(given: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = given.get(key) or {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{where}: {key} must be a mapping", field=key, value=value)
    return value


def _results(value: dict[str, Any]) -> Iterator[Declared]:
    for result in value.get("results") or ():
        media = "application/yaml" if result.get("load_yaml") else ""
        yield Declared(name=result["name"], path=result["relpath"], media_type=media)


def _faults(document: Document) -> Iterator[Fault]:
    value = document.value
    if not isinstance(value, dict):
        yield document.fault((), "an entry is a mapping with name, metadata and spec")
        return
    for key, kind in (("name", str), ("metadata", dict), ("spec", dict)):
        if not isinstance(value.get(key), kind):
            yield document.fault(
                (key,), f"{key!r} is missing" if key not in value else f"{key!r} must be a {_WORD[kind]}"
            )
    spec = value.get("spec")
    if isinstance(spec, dict) and not isinstance(spec.get("workflow"), str):
        yield document.fault(("spec",), "'workflow', the file of the workflow, is missing")
    examples = value.get("example_inputs") or {}
    if not isinstance(examples, dict) or not all(isinstance(one, dict | None) for one in examples.values()):
        yield document.fault(("example_inputs",), "must be a mapping of names to mappings")
    results = value.get("results") or []
    if not isinstance(results, list):
        yield document.fault(("results",), "must be a list")
        return
    for index, result in enumerate(results):
        if not isinstance(result, dict) or not all(isinstance(result.get(key), str) for key in ("name", "relpath")):
            yield document.fault(("results", index), "a result has a name and a relpath")
        elif result["relpath"].startswith("/") or ".." in result["relpath"].split("/"):
            yield document.fault(("results", index, "relpath"), f"{result['relpath']!r} leaves the workspace")


_WORD = {str: "text", dict: "mapping"}
