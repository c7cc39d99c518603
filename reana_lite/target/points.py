"""Points of a scan -> Prepared runs: what all of them share is read and kept once, the rest is made per point.

A point's values become parameters of the analysis where it declares them, else a theory: by a template that the analysis
names under `scans`, or as a file of plain parameters. A point may also be a file or a patch. Called by planning.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reana_lite.analysis import Analysis, ScanTemplate
from reana_lite.analysis.parameter import check, near
from reana_lite.artifact import digest_bytes
from reana_lite.catalogue import Sources, load_analysis, local_bytes
from reana_lite.engine import ENGINE_VERSION
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.event import InitData
from reana_lite.storage.base import Storage
from reana_lite.target.bare import resolve_workflow
from reana_lite.target.files import Scratch
from reana_lite.target.prepared import Prepared, TargetKind, TargetOptions
from reana_lite.target.preserved import accepted, chosen_example, read_files, with_theory, without_theory
from reana_lite.target.resolve import find
from reana_lite.theory import PatchSet, read_json, read_patchset, read_theory
from reana_lite.theory import parameter as theory_parameter
from reana_lite.theory.condition import Expression
from reana_lite.theory.parameters import Value
from reana_lite.theory.scan import Point, Template, of_files, of_patchset, read_table, show


@dataclass(frozen=True, slots=True)
class Frame:
    """What all points share in one target. `init`: its files are kept already, so `prepared` brings none along.

    `content` names what is computed, apart from the theory: workflow, files, environments, parameters.
    """

    target: str
    prepared: Prepared
    init: InitData
    content: str
    scan: ScanTemplate | None = None
    template: Template | None = None
    texts: Mapping[str, Template] = field(default_factory=dict)
    patchset: PatchSet | None = None
    files: tuple[Path, ...] = ()
    declared: frozenset[str] = field(default_factory=frozenset)

    @property
    def physical(self) -> tuple[Expression, ...]:
        """The conditions that points must fulfil to exist."""
        return (Expression.of(self.scan.physical),) if self.scan is not None and self.scan.physical else ()


def frame(
    target: str,
    *,
    options: TargetOptions,
    sources: Sources,
    storage: Storage,
    axes: Sequence[str],
    template: str = "",
    patchset: str = "",
    files_follow: bool = False,
) -> Frame:
    """Read a target and keep its files; raises as `resolve` does, and InvalidInput for axes that mean nothing to it.

    `axes` are the names that points have values for; `files_follow`: each point is a theory file.
    """
    kind, path = find(target, options=options, sources=sources)
    if kind is TargetKind.WORKFLOW:
        if template or patchset or files_follow:
            raise InvalidInput(f"{target} is a bare workflow: a scan of it is over its parameters", field="target")
        prepared = resolve_workflow(path, sources, options)
        init = prepared.keep(storage)
        return Frame(target, replace(prepared, brought=()), init, _content(prepared, init), declared=frozenset(axes))
    if kind is not TargetKind.ANALYSIS:
        raise InvalidInput(
            f"{target} is a {kind} target; scans are made of analyses and bare workflows", field="target"
        )
    analysis = load_analysis(Path(path))
    prepared = without_theory(analysis, sources, options)
    declared = frozenset(parameter.name for parameter in analysis.parameters)
    free = [name for name in axes if name not in declared]
    fixed = _fixed_files(analysis, options)
    patches = _read_patchset(options.folder / Path(patchset).expanduser()) if patchset else None
    by_template = not (patches or files_follow)
    scan = _chosen(analysis, free, template, fixed) if by_template else None
    pattern = _template(analysis, scan)
    texts = (
        {name: Template.of(text.encode(), name) for name, text in scan.parameters.items()} if scan is not None else {}
    )
    init = prepared.keep(storage)
    return Frame(
        target,
        replace(prepared, brought=()),
        init,
        _content(prepared, init, scan, pattern, fixed),
        scan,
        pattern,
        texts,
        patches,
        fixed,
        declared,
    )


def prepare(frame: Frame, point: Point, *, folder: Path, scratch: Scratch) -> Prepared:
    """The run of one point; only what is its own is brought along. Raises InvalidInput if its theory is refused."""
    prepared = frame.prepared
    assigned = {name: value for name, value in point.values.items() if name in frame.declared}
    analysis = prepared.analysis
    if analysis is None:
        return replace(prepared, parameters={**prepared.parameters, **assigned}, values={**prepared.values, **assigned})
    if assigned and frame.patchset is None:
        bound = analysis.bind({**prepared.values, **assigned})
        prepared = replace(prepared, values=bound, parameters={**prepared.parameters, **bound})
    free = {name: value for name, value in point.values.items() if name not in frame.declared}
    if frame.patchset is not None:
        patch = json.dumps([dict(row) for row in frame.patchset.patch(point.source).operations]).encode()
        return _with_content(prepared, point.name, f"{point.source}.json", patch, {}, scratch)
    if point.source:
        path = folder / point.source
        return with_theory(prepared, read_files(analysis, [path], name=point.name), [path], scratch)
    values = free
    if frame.scan is not None:
        values = _bound(frame.scan, free)
    if frame.texts:
        filled = {name: text.fill(values).decode() for name, text in frame.texts.items()}
        bound = analysis.bind(prepared.values, texts=filled)
        prepared = replace(prepared, values=bound, parameters={**prepared.parameters, **bound})
    if frame.scan is not None and frame.template is not None:
        content = frame.template.fill(values)
        units = {axis.name: axis.unit for axis in frame.scan.axes}
        name = frame.template.source.rpartition("/")[2]
        return _with_content(prepared, point.name, name, content, values, scratch, units=units)
    if free and frame.scan is None:
        return _with_content(prepared, point.name, "parameters", json.dumps(free).encode(), free, scratch)
    return with_theory(prepared, read_files(analysis, list(frame.files), name=point.name), list(frame.files), scratch)


def declared_points(target: str, *, options: TargetOptions, sources: Sources, template: str = "") -> tuple[Point, ...]:
    """The points that an analysis declares for a scan which says none; InvalidInput if there are none."""
    kind, path = find(target, options=options, sources=sources)
    if kind is TargetKind.ANALYSIS:
        analysis = load_analysis(Path(path))
        for scan in analysis.scans:
            if scan.points and template in ("", scan.name):
                return read_table(local_bytes(Path(analysis.source).parent / scan.points), scan.points)
    raise InvalidInput(
        f"{target} declares no points of its own: give some by --grid, --csv, --folder or --patchset", field="scan"
    )


def folder_points(folder: Path) -> tuple[Point, ...]:
    """A point for each file of a folder, sorted by name; hidden ones are left out."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder", path=str(folder))
    return of_files(str(path) for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))


def patchset_points(path: Path) -> tuple[Point, ...]:
    """A point for each patch of a patchset."""
    return of_patchset(_read_patchset(path))


def _with_content(
    prepared: Prepared,
    name: str,
    source: str,
    content: bytes,
    values: Mapping[str, Value],
    scratch: Scratch,
    *,
    units: Mapping[str, str] | None = None,
) -> Prepared:
    """The run for a theory whose file is made here."""
    assert prepared.analysis is not None
    rows = [theory_parameter(axis, value, unit=(units or {}).get(axis) or None) for axis, value in values.items()]
    theory = read_theory(name, [(source, content)], parameters=rows)
    return with_theory(prepared, accepted(prepared.analysis, theory), [], scratch)


def _bound(scan: ScanTemplate, given: Mapping[str, Value]) -> dict[str, Value]:
    """Values of all axes of a template, defaults filled in; InvalidInput for what is missing or out of bounds."""
    values: dict[str, Value] = {}
    for axis in scan.axes:
        if axis.name not in given and not axis.has_default:
            raise InvalidInput(f"axis {axis.name!r} is needed: {axis.right}", field=axis.name)
        value = given.get(axis.name, axis.default)
        reason = check(axis, value)
        if reason:
            raise InvalidInput(reason.replace("parameter", "axis", 1), field=axis.name, value=value)
        values[axis.name] = value
    return values


def _chosen(analysis: Analysis, free: Sequence[str], name: str, fixed: Iterable[Path]) -> ScanTemplate | None:
    """The template that is asked for, or the first that has all axes which are no parameters."""
    known = {scan.name: scan for scan in analysis.scans}
    if name:
        if name not in known:
            raise NotFound(f"{analysis.name} has no template {name!r}{near(name, known)}", template=name)
        chosen = known[name]
        for axis in free:
            if axis not in {one.name for one in chosen.axes}:
                raise InvalidInput(
                    f"template {name!r} of {analysis.name} has no axis {axis!r}"
                    f"{near(axis, {one.name for one in chosen.axes})}",
                    field="grid",
                    value=axis,
                )
        return chosen
    if not free:
        return None
    if any(True for _ in fixed):
        raise InvalidInput(
            f"{free[0]!r} is no parameter of {analysis.name}, and the theory is given by files", field="grid"
        )
    for scan in analysis.scans:
        if set(free) <= {axis.name for axis in scan.axes}:
            return scan
    if not analysis.scans and analysis.theory is not None and "parameters" in analysis.theory.formats:
        return None
    names = {axis.name for scan in analysis.scans for axis in scan.axes} | {p.name for p in analysis.parameters}
    wrong = next((axis for axis in free if axis not in names), free[0])
    if wrong in names:
        raise InvalidInput(f"no template of {analysis.name} has the axes {', '.join(free)} together", field="grid")
    raise InvalidInput(
        f"{analysis.name} has no axis or parameter {wrong!r}{near(wrong, names)}", field="grid", value=wrong
    )


def _template(analysis: Analysis, scan: ScanTemplate | None) -> Template | None:
    if scan is None or not scan.template:
        return None
    return Template.of(local_bytes(Path(analysis.source).parent / scan.template), scan.template)


def _fixed_files(analysis: Analysis, options: TargetOptions) -> tuple[Path, ...]:
    folder = Path(analysis.source).parent
    example = chosen_example(analysis, options.example)
    given = tuple(options.folder / Path(name).expanduser() for name in options.files)
    return given or tuple(folder / name for name in example.theory)


def _read_patchset(path: Path) -> PatchSet:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"patchset {path} cannot be read: {error.strerror}", field="patchset") from error
    document = read_json(content, path.name)
    if not isinstance(document, dict) or "patches" not in document:
        raise InvalidInput(f"{path} is no patchset (a JSON object with metadata and patches)", field="patchset")
    return read_patchset(document, path.name)


def _content(
    prepared: Prepared,
    init: InitData,
    scan: ScanTemplate | None = None,
    template: Template | None = None,
    fixed: Sequence[Path] = (),
) -> str:
    """The digest of all that decides what the points compute, apart from their values."""
    shape = None if template is None else [template.parts, [e.text for e in template.expressions]]
    defaults = None
    if scan is not None:
        defaults = [dict(scan.parameters), [[axis.name, show(axis.default)] for axis in scan.axes if axis.has_default]]
    parts: list[Any] = [
        ENGINE_VERSION, prepared.engine, prepared.workflow, prepared.parameters, prepared.options,
        sorted((tree.folder, tree.digest) for tree in init.trees), shape, defaults,
        [digest_bytes(path.read_bytes()) if path.is_file() else str(path) for path in fixed],
    ]  # fmt: skip
    return digest_bytes(json.dumps(parts, sort_keys=True, default=str).encode())
