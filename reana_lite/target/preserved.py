"""An analysis of our own format -> Prepared: theory read, parameters bound, files and stand-ins gathered."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from reana_lite.analysis import Analysis, Document, Example, Test, read_document
from reana_lite.analysis.parameter import near
from reana_lite.backends.base import StandIn
from reana_lite.catalogue import Sources, fetcher, load_analysis, local_bytes, obtain, toplevel_uri
from reana_lite.errors import Fault, InvalidAnalysis, InvalidInput, NotFound, ReanaLiteError
from reana_lite.job import INIT_ROOT
from reana_lite.serial import full_image
from reana_lite.target.files import Scratch, clean, renamed
from reana_lite.target.initdata import assigned
from reana_lite.target.prepared import Brought, Prepared, TargetKind, TargetOptions
from reana_lite.theory import Format, Theory, TheoryFile, read_theory
from reana_lite.workflow.document import Fetch
from reana_lite.workflow.loading import Loaded, read_workflow
from reana_lite.workflow.yaml_text import Place

WORDS = {Format.PATCH: "patch", Format.PATCHSET: "patchset"}
"""What analysis.yml and `theory_format` call a format, where it is not the format's own name."""

KEPT = 100
"""Workflows that are kept as they were read, because many runs of few analyses are submitted to a server."""

_SUFFIX = {Format.SLHA: ".slha", Format.LHE: ".lhe", Format.HEPMC2: ".hepmc", Format.HEPMC3: ".hepmc"}


def resolve_analysis(path: Path, sources: Sources, options: TargetOptions) -> Prepared:
    """The run of an analysis (its folder or analysis.yml) that the options ask for."""
    if options.data_options or options.workflow_options or options.toplevel:
        given = [*options.data_options, *options.workflow_options, *filter(None, [options.toplevel])]
        raise InvalidInput(f"{given[0]!r}: options of bare workflows do not apply to an analysis", field="options")
    analysis = load_analysis(path)
    folder = Path(analysis.source).parent
    if options.checking:
        check_theories(analysis)
        options = _as_some_example(analysis, options)
    example = chosen_example(analysis, options.example)
    paths = [options.folder / Path(name).expanduser() for name in options.files]
    files = paths or [folder / name for name in example.theory]
    theory = None
    if files or not options.checking:
        theory = read_files(analysis, files, name=_theory_name(paths, options))
    return with_theory(without_theory(analysis, sources, options), theory, files, Scratch(options.scratch))


def without_theory(analysis: Analysis, sources: Sources, options: TargetOptions) -> Prepared:
    """All of a run that does not depend on the theory: many theories share one."""
    folder = Path(analysis.source).parent
    scratch = Scratch(options.scratch)
    example = chosen_example(analysis, options.example)
    values = analysis.bind({**example.parameters, **options.parameters}, texts=assigned(options.assignments))
    workflow, warnings, locate = load_checked_workflow(analysis, sources)
    brought: list[Brought] = []
    parameters: dict[str, Any] = dict(values)
    for key, relative in analysis.files.items():
        parameters[key] = _bring(brought, key, clean((folder / relative).resolve(), scratch))
    for key, download in analysis.data.items():
        parameters[key] = _bring(brought, key, renamed(obtain(download, sources), download.name, scratch))
    ready = stand_ins(analysis, folder, options)
    return Prepared(
        kind=TargetKind.ANALYSIS,
        name=analysis.name,
        workflow=workflow,
        locate=locate,
        origin=analysis.source,
        parameters=parameters,
        brought=tuple(brought),
        discover=False,
        relative=False,
        stand_ins=ready,
        options={"stand_ins": {image: one.lock for image, one in ready.items()}} if ready else {},
        values=values,
        results=analysis.results,
        analysis=analysis,
        example=options.example,
        warnings=warnings,
    )


def with_theory(prepared: Prepared, theory: Theory | None, files: list[Path], scratch: Scratch) -> Prepared:
    """The run for one theory, read from these files (events are handed on as they are)."""
    brought = list(prepared.brought)
    parameters = {**prepared.parameters, **_theory_parameters(theory, files, brought, scratch)}
    warnings = (*prepared.warnings, *(theory.warnings if theory is not None else ()))
    return replace(prepared, theory=theory, parameters=parameters, brought=tuple(brought), warnings=warnings)


def load_checked_workflow(
    analysis: Analysis, sources: Sources
) -> tuple[dict[str, Any], tuple[str, ...], Callable[[str], Place]]:
    """(the analysis's workflow as plain JSON, warnings, where its parts stand), held against what analysis.yml says."""
    folder = Path(analysis.source).parent.resolve()
    uri = toplevel_uri(analysis.toplevel or ".", folder=folder)
    loaded = _workflow(uri, analysis.workflow, fetcher(sources))
    plain: dict[str, Any] = loaded.workflow.to_json()
    stages = [stage["name"] for stage in plain["stages"]]
    document: Document | None = None
    faults: list[Fault] = []
    for index, result in enumerate(analysis.results):
        if result.stage not in stages:
            document = document or read_document(local_bytes(Path(analysis.source)), analysis.source)
            reason = f"{analysis.workflow} has no stage {result.stage!r}{near(result.stage, stages)}"
            faults.append(document.fault(("results", index, "stage"), reason))
    if faults:
        raise InvalidAnalysis.of(faults)
    return plain, tuple(str(warning) for warning in loaded.warnings), loaded.locate


_kept: OrderedDict[tuple[str, str], tuple[dict[str, bytes], Loaded]] = OrderedDict()
_lock = threading.Lock()


def _workflow(uri: str, source: str, fetch: Fetch) -> Loaded:
    """As read_workflow, which takes its time; read again only if one of its documents is another one than before."""
    with _lock:
        documents, loaded = _kept.get((uri, source), ({}, None))
    if loaded is not None:
        try:
            if all(_digest(fetch(name)) == digest for name, digest in documents.items()):
                return loaded
        except ReanaLiteError:  # said as it is said of a workflow that is read for the first time
            pass
    seen: dict[str, bytes] = {}

    def noted(name: str) -> bytes:
        content = fetch(name)
        seen[name] = _digest(content)
        return content

    loaded = read_workflow(uri, source, noted)
    with _lock:
        _kept[uri, source] = (seen, loaded)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return loaded


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def chosen_example(analysis: Analysis, name: str) -> Example:
    """The example of that name ("": none, an empty one); raises NotFound."""
    if not name:
        return Example()
    if name not in analysis.examples:
        raise NotFound(f"{analysis.name} has no example {name!r}{near(name, analysis.examples)}", example=name)
    return analysis.examples[name]


def stand_ins(analysis: Analysis | None, folder: Path, options: TargetOptions) -> dict[str, StandIn]:
    """Stand-ins by image: those of the analysis, and over them those that the user names."""
    found: dict[str, StandIn] = {}
    for software in analysis.environments if analysis is not None else ():
        if software.requirements:
            lock = (folder / software.requirements).read_text("utf-8")
            found[full_image(software.image)] = StandIn(full_image(software.image), lock)
    for image, name in options.stand_ins.items():
        path = options.folder / Path(name).expanduser()
        try:
            found[full_image(image)] = StandIn(full_image(image), path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"stand-in {name!r} for {image} cannot be read: {error}", field="stand_in") from error
    return found


def _bring(brought: list[Brought], key: str, path: Path) -> str:
    """Bring a file or folder along at INIT_ROOT/<key>; gives the path by which steps know it."""
    folder = f"{INIT_ROOT}/{key}"
    brought.append(Brought(folder, path=path))
    return folder if path.is_dir() else f"{folder}/{path.name}"


def _theory_name(paths: list[Path], options: TargetOptions) -> str:
    if not paths:
        return options.example
    name = paths[0].name
    return name.removesuffix(".gz").rpartition(".")[0] or name


def check_theories(analysis: Analysis) -> None:
    """Read the theories of all examples and tests; raises InvalidAnalysis with a fault for each that is refused."""
    folder = Path(analysis.source).parent
    faults: list[Fault] = []
    document: Document | None = None
    trials: list[tuple[tuple[str | int, ...], Example | Test]] = [
        *((("examples", name), example) for name, example in analysis.examples.items()),
        *((("tests", index), test) for index, test in enumerate(analysis.tests)),
    ]
    for place, trial in trials:
        try:
            if trial.theory:
                read_files(analysis, [folder / name for name in trial.theory], name=str(place[1]))
        except InvalidInput as error:
            document = document or read_document(local_bytes(Path(analysis.source)), analysis.source)
            faults.append(document.fault((*place, "theory"), error.message.replace("\n", "; ")))
    if faults:
        raise InvalidAnalysis.of(faults)


def _as_some_example(analysis: Analysis, options: TargetOptions) -> TargetOptions:
    """The options with an example chosen, if nothing else says what to run."""
    if options.example or options.files or not analysis.examples:
        return options
    name = "default" if "default" in analysis.examples else next(iter(analysis.examples))
    return replace(options, example=name)


def read_files(analysis: Analysis, paths: list[Path], *, name: str) -> Theory | None:
    """The theory that the files stand for, held against what the analysis takes."""
    need = analysis.theory
    if not paths:
        if need is not None and need.required:
            how = f"; or try --example {next(iter(analysis.examples))}" if analysis.examples else ""
            formats = ", ".join(need.formats) or "a theory"
            raise InvalidInput(f"{analysis.name} needs a theory file ({formats}){how}", field="theory")
        return None
    if need is None:
        raise InvalidInput(f"{analysis.name} takes no theory file, but {paths[0]} was given", field="theory")
    with ExitStack() as stack:
        streams = []
        for path in paths:
            if not path.is_file():
                what = "is a folder" if path.is_dir() else "does not exist"
                raise InvalidInput(f"theory file {path} {what}", field="theory", value=str(path))
            try:
                streams.append((path.name, stack.enter_context(path.open("rb"))))
            except OSError as error:
                raise InvalidInput(f"theory file {path} cannot be read: {error.strerror}", field="theory") from error
        return accepted(analysis, read_theory(name, streams))


def accepted(analysis: Analysis, theory: Theory) -> Theory:
    """The theory, if its files are of formats that the analysis takes."""
    need = analysis.theory
    for file in theory.files:
        if need is None or (need.formats and word(file) not in need.formats):
            takes = ", ".join(need.formats) if need is not None else "no theory file"
            raise InvalidInput(
                f"{file.name} is {word(file)}, which {analysis.name} does not take; it takes {takes}",
                field="theory",
                value=file.name,
            )
    return theory


def word(file: TheoryFile) -> str:
    """What analysis.yml calls the format of a file."""
    return WORDS.get(file.format, str(file.format))


def _theory_parameters(
    theory: Theory | None, paths: list[Path], brought: list[Brought], scratch: Scratch
) -> Mapping[str, Any]:
    """`theory`, `theory_format`, `theory_files`; the files go to INIT_ROOT/theory, theory_2, ... under plain names."""
    found: dict[str, list[str]] = {}
    first = ""
    for index, file in enumerate(theory.files if theory is not None else ()):
        folder = f"{INIT_ROOT}/theory" if index == 0 else f"{INIT_ROOT}/theory_{index + 1}"
        name = "theory" + _SUFFIX.get(file.format, ".json")
        if file.content is not None:
            brought.append(Brought(folder, files={name: file.content}))
        else:
            with paths[index].open("rb") as stream:
                name += ".gz" if stream.read(2) == b"\x1f\x8b" else ""
            brought.append(Brought(folder, path=renamed(paths[index].resolve(), name, scratch)))
        found.setdefault(word(file), []).append(f"{folder}/{name}")
        first = first or f"{folder}/{name}"
    format_ = word(theory.files[0]) if theory is not None and theory.files else ""
    return {"theory": first, "theory_format": format_, "theory_files": found}
