"""From what a user asks to a run, a campaign or a forecast: the one validation that command line, form and API share.

What the command line's user names is theirs: any file of the machine. A server's user is a `guest`: only analyses of the
catalogue, and texts that are harmless in a shell line, because workflows put parameters into them without quotes. Files have
been put on this machine before; nothing here knows of HTTP.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from reana_lite.analysis import Analysis, Example, Test
from reana_lite.analysis.parameter import Parameter
from reana_lite.backends.choice import refused_images
from reana_lite.campaign import Request
from reana_lite.catalogue import Catalogue, EntryKind, Sources, load_analysis
from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import InvalidInput, NotAllowed
from reana_lite.event import RunStarted, to_row
from reana_lite.forecast import Forecast, Forecaster
from reana_lite.planning import Planned, Planner, planner
from reana_lite.storage.base import Storage
from reana_lite.submission import started_of, submit
from reana_lite.target import Prepared, TargetOptions, resolve
from reana_lite.target.files import Scratch
from reana_lite.target.points import declared_points, folder_points, patchset_points
from reana_lite.theory.condition import Expression
from reana_lite.theory.scan import MAX_TABLE_BYTES, Point, grid, of_files, parse_axis, read_table

Say = Callable[[str], None]

PLAIN = re.compile(r"(?!-)[A-Za-z0-9_.,:+=@%/^-]*")
"""Texts that a shell takes as one word and as nothing else; no leading dash, because that would be an option."""

KNOWN_TEXTS = 1000
"""Texts of points that are kept as right, so that those of an axis are looked at once."""

FORECAST_POINTS = 200
"""Points of a scan that a server's forecast looks at (the others are taken to be like them)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that is asked for. `parameters` are JSON, `assignments` as typed ("KEY=VALUE", they win); `files` are paths of
    theory files (or of init files of a workflow) relative to `folder`. It is kept with the run and can be asked again."""

    target: str
    files: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    assignments: tuple[str, ...] = ()
    data_options: tuple[str, ...] = ()
    workflow_options: tuple[str, ...] = ()
    toplevel: str = ""
    example: str = ""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Asked:
        """What `to_dict` wrote, also by an older version."""
        known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in known.items()}
        return cls(**values)

    def options(self, scratch: Path) -> TargetOptions:
        """What `resolve` takes."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("target", "folder")}
        return TargetOptions(**values, folder=Path(self.folder), scratch=scratch)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedScan:
    """A scan that is asked for: targets, what all points share, and points by one of `axes` (name -> "1000:2600:200" or a
    list), `points` (values each), `table` (a CSV file), `theories` (a file for each point), `folder_of_theories`, `patchset`
    (a file); or else those that the first target declares."""

    targets: tuple[str, ...]
    axes: Mapping[str, str | Sequence[Any]] = field(default_factory=dict)
    grids: tuple[str, ...] = ()
    points: Sequence[Mapping[str, Any]] = ()
    table: str = ""
    theories: tuple[str, ...] = ()
    folder_of_theories: str = ""
    patchset: str = ""
    where: tuple[str, ...] = ()
    template: str = ""
    files: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    assignments: tuple[str, ...] = ()
    example: str = ""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    reuse: bool = True

    @property
    def has_points(self) -> bool:
        """Whether it says itself which points there are."""
        return bool(self._given())

    def _given(self) -> list[str]:
        names = ("axes", "grids", "points", "table", "theories", "folder_of_theories", "patchset")
        return [name for name in names if getattr(self, name)]

    def request(self) -> Request:
        """What a campaign keeps of it."""
        return Request(
            targets=self.targets,
            files=self.files,
            assignments=(*typed(self.parameters), *self.assignments),
            template=self.template,
            patchset=str(Path(self.patchset).expanduser().absolute()) if self.patchset else "",
            example=self.example,
            stand_ins=self.stand_ins,
            folder=self.folder,
            reuse=self.reuse,
        )

    def conditions(self) -> tuple[Expression, ...]:
        """What points must fulfil; raises InvalidInput."""
        return tuple(Expression.of(text) for text in self.where)

    def scan_points(self, settings: Settings) -> Iterable[Point]:
        """The points, before conditions; raises InvalidInput."""
        given, limit = self._given(), settings.scan_limit
        if len(given) > 1 and set(given) != {"axes", "grids"}:
            raise InvalidInput(f"the points of a scan are given by one of {', '.join(given)}", field="scan")
        if self.axes or self.grids:
            axes = [axis_text(name, values) for name, values in self.axes.items()]
            return grid([parse_axis(text, limit=limit) for text in (*axes, *self.grids)], limit=limit)
        if self.points:
            return _listed(self.points)
        if self.table:
            path = Path(self.folder) / Path(self.table).expanduser()
            if not path.is_file():
                raise InvalidInput(f"table {path} is no file", field="table", value=str(path))
            with path.open("rb") as stream:  # one byte too many is refused, but never a whole huge file read
                return read_table(stream.read(MAX_TABLE_BYTES + 1), path.name)
        if self.theories:
            return of_files(self.theories)
        if self.folder_of_theories:
            return folder_points((Path(self.folder) / Path(self.folder_of_theories).expanduser()).absolute())
        if self.patchset:
            return patchset_points(Path(self.folder) / Path(self.patchset).expanduser())
        return declared_points(
            self.targets[0],
            options=TargetOptions(folder=Path(self.folder)),
            sources=Sources.of(settings),
            template=self.template,
        )


def stand_ins_of(texts: Sequence[str]) -> dict[str, str]:
    """IMAGE=LOCKFILE as typed -> {image: lock file}; raises InvalidInput."""
    found = {}
    for text in texts:
        image, sign, lock = text.partition("=")
        if not sign:
            raise InvalidInput(f"--stand-in {text!r} is not IMAGE=LOCKFILE", field="stand-in", value=text)
        found[image] = lock
    return found


def typed(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """JSON values as they would be typed."""
    return tuple(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in parameters.items()
    )


def axis_text(name: str, values: str | Sequence[Any]) -> str:
    """An axis as it would be typed: a range as it is, a list joined by commas."""
    if isinstance(values, str):
        return f"{name}={values}"
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    if any("," in text or ":" in text for text in texts) or not texts:
        raise InvalidInput(f"axis {name!r} needs values without commas and colons", field="axes", value=list(values))
    return f"{name}={','.join(texts)}"


def _listed(rows: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    """Points that are written out, read as a table is."""
    import csv
    import io

    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for number, row in enumerate(rows):
        if set(row) != set(names):
            missing = sorted(set(names) - set(row))
            raise InvalidInput(f"point {number} lacks {', '.join(missing)}", field="points", value=dict(row))
        writer.writerow([value if isinstance(value, str) else json.dumps(value) for value in row.values()]
                        if list(row) == names else [_cell(row[name]) for name in names])  # fmt: skip
    return read_table(text.getvalue().encode(), "points")


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# -- runs ----------------------------------------------------------------------------------------------------------------


@contextmanager
def prepared(asked: Asked, settings: Settings, *, guest: bool) -> Iterator[Prepared]:
    """What is asked for, checked as far as can be before a job starts; what had to be unpacked goes at the end.

    Raises NotFound, InvalidInput, InvalidAnalysis, InvalidWorkflow, NotAllowed, Unavailable.
    """
    sources = Sources.of(settings)
    target = asked.target
    if guest:
        refuse_foreign(asked)
        target = str(of_catalogue(target, sources))
    with tempfile.TemporaryDirectory(prefix="recast-") as scratch:
        found = resolve(target, settings=settings, sources=sources, options=asked.options(Path(scratch)))
        if guest and found.analysis is not None:
            check_texts(found.analysis, found.values)
        yield found


def submit_run(
    asked: Asked,
    *,
    database: Database,
    storage: Storage,
    settings: Settings,
    owner: str,
    name: str = "",
    reuse: bool = True,
    parent: str = "",
    guest: bool = False,
    say: Say = lambda line: None,
) -> str:
    """Queue the run that is asked for; gives its id. Raises as `prepared`."""
    with prepared(asked, settings, guest=guest) as found:
        for warning in found.warnings:
            say(warning)
        check_images(settings, found.workflow)
        return submit(
            found,
            database=database,
            storage=storage,
            owner=owner,
            name=name,
            reuse=reuse,
            parent=parent,
            asked=asked.to_dict(),
        )


def of_catalogue(name: str, sources: Sources) -> Path:
    """Where the analysis of that name of the catalogue is; raises NotFound, NotAllowed."""
    entry = Catalogue(sources).find(name)
    if entry.kind is not EntryKind.ANALYSIS:
        raise NotAllowed(f"{name} is an entry of recast-atlas: run it by recast run, or write an analysis.yml for it")
    return entry.path


def refuse_foreign(asked: Asked) -> None:
    """Raises NotAllowed for what would name files of the server's machine, or software for its steps."""
    for what in ("data_options", "workflow_options", "toplevel", "stand_ins"):
        if getattr(asked, what):
            raise NotAllowed(f"{what.replace('_', ' ')} are not taken by a server")


def refuse_uploads(settings: Settings) -> None:
    """Raises NotAllowed where a workflow that a user uploads would run as plain processes of this machine."""
    if settings.backend in ("auto", "local") and not settings.uploaded_processes:
        raise NotAllowed(
            "this server runs steps as plain processes, so it takes only analyses of its catalogue; uploaded workflows need "
            "containers or a cluster (its operator may allow them by RECAST_ALLOW_UPLOADED_PROCESSES=1)"
        )


def check_images(settings: Settings, workflow: Any) -> None:
    """Raises NotAllowed that names every image of a workflow which this installation does not let its cluster run."""
    faults = refused_images(settings, workflow)
    if faults:
        raise NotAllowed("; ".join(faults))


def check_texts(analysis: Analysis, values: Mapping[str, Any]) -> None:
    """Raises InvalidInput for a text that a shell would not take as one plain word, unless the analysis itself lists it.

    A text parameter needs an `enum`, a `const` or a `pattern` for a value other than its default to be taken at all.
    """
    declared = {parameter.name: parameter for parameter in analysis.parameters}
    trials: list[Example | Test] = [*analysis.examples.values(), *analysis.tests]
    known = {
        (name, text) for example in trials for name, value in example.parameters.items() for text in _strings(value)
    }
    for name, value in values.items():
        parameter = declared.get(name)
        allowed = set(_strings(parameter.default)) | _listed_texts(parameter.schema) if parameter is not None else set()
        for text in _strings(value):
            if text in allowed or (name, text) in known:
                continue
            if not PLAIN.fullmatch(text):
                raise InvalidInput(
                    f"parameter {name!r} is {text[:80]!r}; texts are made of letters, digits and _ . , : + = @ % / ^ -, and "
                    f"begin with no dash",
                    field=name, value=text,
                )  # fmt: skip
            if parameter is None or not _is_bounded(parameter):
                raise InvalidInput(
                    f"parameter {name!r} is a free text, which a server does not take; its analysis must say by `enum` or "
                    f"`pattern` which texts are right",
                    field=name, value=text,
                )  # fmt: skip


def check_points(points: Iterable[Point], analyses: Sequence[Analysis] = ()) -> Iterator[Point]:
    """The points, each as soon as its texts are known to be plain words that these analyses take; raises InvalidInput."""
    known: set[tuple[str, str]] = set()
    for point in points:
        for name, value in point.values.items():
            if not isinstance(value, str) or (name, value) in known:
                continue
            taking = [one for one in analyses if any(parameter.name == name for parameter in one.parameters)]
            for one in taking:
                check_texts(one, {name: value})
            if not taking and not PLAIN.fullmatch(value):
                raise InvalidInput(
                    f"{name!r} of point {point.name!r} is {value[:80]!r}; texts are made of letters, digits and "
                    f"_ . , : + = @ % / ^ -", field=name, value=value,
                )  # fmt: skip
            if len(known) < KNOWN_TEXTS:
                known.add((name, value))
        yield point


def _is_bounded(parameter: Parameter) -> bool:
    text = json.dumps(dict(parameter.schema))
    return any(f'"{word}":' in text for word in ("enum", "const", "pattern"))


def _listed_texts(schema: Any) -> set[str]:
    """All texts that a schema lists by enum or const, at any depth."""
    if isinstance(schema, Mapping):
        own = {*_strings(schema.get("enum")), *_strings(schema.get("const"))}
        return own.union(*(_listed_texts(value) for value in schema.values()))
    if isinstance(schema, list):
        return set().union(*(_listed_texts(value) for value in schema))
    return set()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


# -- campaigns -------------------------------------------------------------------------------------------------------------


def planned(asked: AskedScan, planning: Planner, *, guest: bool) -> Planned:
    """A scan, read: its frames and points. Raises NotFound, InvalidInput, InvalidAnalysis, NotAllowed."""
    points = asked.scan_points(planning.settings)
    if guest:
        analyses = check_scan(asked, planning.settings)
        points = check_points(points, analyses if asked.has_points else ())
    return planning.plan(asked.request(), points, where=asked.conditions())


def check_scan(asked: AskedScan, settings: Settings) -> list[Analysis]:
    """The analyses of the catalogue that a guest's scan names; raises NotFound, NotAllowed, InvalidInput (its texts)."""
    if asked.stand_ins or asked.folder_of_theories:
        raise NotAllowed("stand-ins and folders are not taken by a server")
    sources = Sources.of(settings)
    analyses = [load_analysis(of_catalogue(target, sources)) for target in asked.targets]
    texts = dict(text.partition("=")[::2] for text in asked.request().assignments)
    for analysis in analyses:
        check_texts(analysis, _bound_texts(analysis, texts))
    return analyses


def _bound_texts(analysis: Analysis, texts: Mapping[str, str]) -> dict[str, Any]:
    """Values of the parameters that are assigned; what is missing or unknown is told later, by the plan."""
    declared = {parameter.name: parameter for parameter in analysis.parameters}
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name in declared:
            optional = replace(declared[name], required=False)
            values |= replace(analysis, parameters=(optional,)).bind({}, texts={name: text})
    return values


def submit_scan(
    asked: AskedScan,
    *,
    database: Database,
    storage: Storage,
    settings: Settings,
    owner: str,
    name: str = "",
    guest: bool = False,
    say: Say = lambda line: None,
) -> tuple[CampaignRecord, bool]:
    """(the campaign, whether an equal request has made it before); its runs are enrolled by whoever drives it."""
    with planner(database, storage, settings=replace(settings, user=owner), say=say) as planning:
        return planning.campaign(planned(asked, planning, guest=guest), name=name)


# -- forecasts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A forecast; `refused` points and `of` points in all, of which `looked_at` were looked at."""

    forecast: Forecast
    refused: int = 0
    of: int = 1
    looked_at: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; `seconds` is for all points."""
        document = self.forecast.to_dict()
        if document["seconds"] is not None and self.looked_at:
            document["seconds"] *= self.of / self.looked_at
        return {**document, "refused": self.refused, "points": self.of, "looked_at": self.looked_at}


def foresee(
    asked: Sequence[Asked] | AskedScan,
    *,
    database: Database,
    storage: Storage,
    settings: Settings,
    guest: bool = False,
    backend: str = "",
    cores: float | None = None,
    say: Say = lambda line: None,
) -> Foreseen:
    """What runs or a scan would compute, what is there already, how long the rest may take. Nothing is queued."""
    from reana_lite.backends.machine import cores as usable

    forecaster: Forecaster | None = None
    analyses: list[str] = []
    refused = of = looked_at = 0
    for start in _starts(asked, database, storage, settings, guest, say):
        of += 1
        looked_at += start is not LATER
        refused += start is REFUSED
        if isinstance(start, tuple):
            analysis, started = start
            if forecaster is None:
                digest_of = environment_digests(started, settings, storage, backend=backend, cores=cores, say=say)
                forecaster = Forecaster(database, storage, digest_of)
            forecaster.add(started, analysis=analysis)
            analyses += [analysis] if analysis not in analyses else []
    empty = forecaster or Forecaster(database, storage, lambda *_: "")
    forecast = empty.forecast(cores=cores or settings.cores or usable(), analyses=analyses)
    return Foreseen(forecast, refused, of, looked_at)


class _Start(Enum):
    """What a point is for a forecast if not a run: its theory is refused, or it is beyond the limit."""

    REFUSED = auto()
    LATER = auto()


REFUSED, LATER = _Start.REFUSED, _Start.LATER


def _starts(
    asked: Sequence[Asked] | AskedScan, database: Database, storage: Storage, settings: Settings, guest: bool, say: Say
) -> Iterator[tuple[str, RunStarted] | _Start]:
    """(analysis, first event) of each run that would be."""
    if not isinstance(asked, AskedScan):
        for one in asked:
            with prepared(one, settings, guest=guest) as found:
                for warning in found.warnings:
                    say(f"warning: {warning}")
                yield found.name, started_of(found, found.keep(storage))
        return
    with planner(database, storage, settings=settings) as planning:
        plan = planned(asked, planning, guest=guest)
        step = max(1, len(plan.frames) * len(plan.scan.points) // FORECAST_POINTS) if guest else 1
        for at, (frame, point) in enumerate((one, point) for one in plan.frames for point in plan.scan.points):
            if at % step:
                yield LATER
                continue
            with tempfile.TemporaryDirectory(prefix="recast-") as folder:
                try:
                    ready, started = planning.started(frame, point, plan.request, Scratch(Path(folder)))
                except InvalidInput as error:
                    say(f"{point.name} would be refused: {error.message}")
                    yield REFUSED
                else:
                    yield ready.name, started


def environment_digests(
    started: RunStarted,
    settings: Settings,
    storage: Storage,
    *,
    backend: str = "",
    cores: float | None = None,
    say: Say = lambda line: None,
) -> Callable[[Any, Any], str]:
    """How the backend that would run it names environments; nothing is built."""
    from reana_lite.backends.choice import choose
    from reana_lite.backends.environment import environment_digest
    from reana_lite.job import EnvironmentKind

    name = backend or settings.backend
    chosen = choose(name, to_row(started)[1], settings=settings, storage=storage, cores=cores)
    known: dict[tuple[str, str], str] = {}

    def digest_of(environment: Any, stand_ins: Any) -> str:
        stand_in = stand_ins.get(environment.image)
        if chosen.name == "local" and environment.kind is not EnvironmentKind.PROCESS and stand_in is not None:
            return environment_digest(stand_in.lock)
        key = (environment.image, stand_in.lock if stand_in else "")
        if key not in known:
            known[key] = chosen.prepare(environment, stand_ins, say)
        return known[key]

    return digest_of
