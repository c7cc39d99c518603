"""From what a user asks to a run or a campaign: the one validation that command line, form and API share.

What the command line's user names is theirs: any file of the machine. A server's user is a `guest`: only analyses of the
catalogue, and texts that are harmless in a shell line, because workflows put parameters into them without quotes. Files have
been put on this machine before; nothing here knows of HTTP.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reana_lite.analysis import Analysis
from reana_lite.campaign import Request
from reana_lite.catalogue import Catalogue, EntryKind, Sources, load_analysis
from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import InvalidInput, NotAllowed
from reana_lite.guest import check_images, check_points, check_texts
from reana_lite.planning import Planned, Planner, planner
from reana_lite.storage.base import Storage
from reana_lite.submission import submit
from reana_lite.target import Prepared, TargetOptions, resolve
from reana_lite.target.points import declared_points, folder_points, patchset_points
from reana_lite.theory.condition import Expression
from reana_lite.theory.scan import MAX_TABLE_BYTES, Point, grid, of_files, parse_axis, read_table

Say = Callable[[str], None]


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
