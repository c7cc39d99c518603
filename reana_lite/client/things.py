"""What the client gives: runs, campaigns, results, artifacts, tables; frozen, of plain values, units in names.

A Run or Campaign is what it was when it was asked for; its methods ask the server anew. Times are UTC seconds since 1970.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reana_lite.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from reana_lite.client.client import Client

OVER = ("finished", "failed", "stopped")
"""States in which nothing more happens to a run, or to a campaign unless it is extended or retried."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps of a run or of all runs of a campaign by what became of them."""

    total: int = 0
    finished: int = 0
    reused: int = 0
    failed: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file (or link, or empty folder) of a run. `digest` is "sha256:" and 64 hex digits."""

    path: str
    kind: str
    size_bytes: int
    digest: str
    executable: bool
    target: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Limit:
    """CLs at mu = 1 and upper limits of one likelihood; expected ones at -2, -1, 0, +1, +2 sigma. See the result's schema."""

    name: str
    status: str
    method: str = ""
    cls_observed: float | None = None
    cls_expected: tuple[float, ...] | None = None
    mu_limit_observed: float | None = None
    mu_limit_expected: tuple[float, ...] | None = None
    xsec_pb: float | None = None
    xsec_limit_observed_pb: float | None = None
    xsec_limit_expected_pb: float | None = None
    r_observed: float | None = None
    r_expected: float | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Limit:
        """A row of `limits` of a result document."""
        values: dict[str, Any] = {}
        for name in cls.__dataclass_fields__:
            if document.get(name) is not None:
                values[name] = document[name]
        for name in ("cls_expected", "mu_limit_expected"):
            if name in values:
                values[name] = tuple(values[name])
        expected = values.get("xsec_limit_expected_pb")
        if isinstance(expected, list):
            values["xsec_limit_expected_pb"] = expected[2]  # the median
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run says of a theory, at 95 % CL: "excluded", "not-excluded" or "undetermined". `document` is all of it.

    The numbers of the class itself are those of the likelihood that decides (`best`; None if no limit could be set).
    """

    run: str
    analysis: str
    theory: str
    verdict: str
    within_validity: bool
    lumi_ifb: float
    parameters: Mapping[str, Any]
    best: Limit | None
    limits: tuple[Limit, ...]
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Result:
        """The result that a document of the API holds."""
        limits = tuple(Limit.of(row) for row in document["limits"])
        validity = document["validity"]
        return cls(
            run=document["run"], analysis=document["analysis"], theory=document["theory"]["name"],
            verdict=document["verdict"], within_validity=validity["within"], lumi_ifb=document["lumi_ifb"],
            parameters=document["theory"]["parameters"], limits=limits, reasons=tuple(validity["reasons"]),
            best=next((limit for limit in limits if limit.name == document["best"]), None),
            warnings=tuple(document["warnings"]), document=document,
        )  # fmt: skip

    @property
    def excluded(self) -> bool | None:
        """Whether the theory is excluded; None if that is undetermined."""
        return {"excluded": True, "not-excluded": False}.get(self.verdict)

    @property
    def cls_observed(self) -> float | None:
        """CLs at mu = 1."""
        return self.best.cls_observed if self.best else None

    @property
    def cls_expected(self) -> float | None:
        """The median expected CLs at mu = 1."""
        return self.best.cls_expected[2] if self.best and self.best.cls_expected else None

    @property
    def mu_limit_observed(self) -> float | None:
        """The upper limit on the signal strength."""
        return self.best.mu_limit_observed if self.best else None

    @property
    def mu_limit_expected(self) -> float | None:
        """Its median expectation."""
        return self.best.mu_limit_expected[2] if self.best and self.best.mu_limit_expected else None

    @property
    def r_observed(self) -> float | None:
        """The cross-section of the theory over its upper limit: above 1 it is excluded."""
        return self.best.r_observed if self.best else None

    @property
    def r_expected(self) -> float | None:
        """Its median expectation."""
        return self.best.r_expected if self.best else None

    @property
    def xsec_pb(self) -> float | None:
        """The cross-section of the theory."""
        return self.best.xsec_pb if self.best else None

    @property
    def xsec_limit_observed_pb(self) -> float | None:
        """Its upper limit."""
        return self.best.xsec_limit_observed_pb if self.best else None

    def row(self) -> dict[str, Any]:
        """The numbers as one flat row, the theory's parameters first."""
        names = ("verdict", "cls_observed", "cls_expected", "mu_limit_observed", "mu_limit_expected", "r_observed",
                 "r_expected", "xsec_pb", "xsec_limit_observed_pb", "within_validity", "run")  # fmt: skip
        return {"theory": self.theory, "analysis": self.analysis, **self.parameters,
                **{name: getattr(self, name) for name in names}}  # fmt: skip

    def to_frame(self) -> Any:
        """The signal regions as a pandas frame, a row each; raises Unavailable without pandas."""
        return _frame(list(self.document.get("regions", ())))


@dataclass(frozen=True, slots=True)
class Results(Sequence[Result]):
    """Results of many runs in order."""

    items: tuple[Result, ...]

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def to_frame(self) -> Any:
        """A pandas frame with a row for each theory; raises Unavailable without pandas."""
        return _frame([result.row() for result in self.items])


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a comparison: columns by name, rows of plain values."""

    document: Mapping[str, Any]

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [column["name"] for column in self.document["columns"]]

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """The rows, values by name of the column."""
        rows: list[Mapping[str, Any]] = list(self.document["rows"])
        return rows

    def to_frame(self) -> Any:
        """A pandas frame; raises Unavailable without pandas."""
        return _frame(self.rows)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was when it was asked for."""

    id: str
    name: str
    owner: str
    analysis: str
    theory: str
    state: str
    error: str
    campaign: str | None
    parent: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    progress: Progress
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _client: Client | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, document: Mapping[str, Any], client: Client | None = None) -> Run:
        """The run that a document of the API holds."""
        names = ("id", "name", "owner", "analysis", "theory", "state", "error", "campaign", "parent", "created_at",
                 "started_at", "ended_at")  # fmt: skip
        return cls(
            **{name: document[name] for name in names}, progress=Progress(**document["progress"]), document=document,
            _client=client,
        )  # fmt: skip

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in OVER

    def _asked(self) -> Client:
        if self._client is None:
            raise NotFound(f"run {self.id} was made without a client: ask one for it (client.run)")
        return self._client

    def refresh(self) -> Run:
        """How it stands now."""
        return self._asked().run(self.id)

    def wait(self, *, watch: Callable[[Run], None] | None = None, timeout_s: float | None = None) -> Run:
        """The run when it is over; see Client.wait."""
        return self._asked().wait(self, watch=watch, timeout_s=timeout_s)

    def result(self) -> Result:
        """Its result document; raises NotFound, with the state, if it has none (yet)."""
        return self._asked().result(self.id)

    def declared(self) -> dict[str, Any]:
        """What the analysis declares to give, with the paths and values of this run."""
        return self._asked().declared(self.id)

    def artifacts(self, under: str = "") -> list[Artifact]:
        """Its files, those below a folder."""
        return self._asked().artifacts(self.id, under=under)

    def read(self, path: str) -> bytes:
        """The bytes of one file, checked against its digest."""
        return self._asked().read(self.id, path)

    def download(self, to: str | Path, *paths: str) -> list[Path]:
        """Copy files to a folder (all, or these, folders with all below); see Client.download."""
        return self._asked().download(self.id, to, *paths)

    def export(self, to: str | os.PathLike[str], *, format: str = "", plot: str = "yields", **options: Any) -> Path:
        """Write its result, a figure of its yields or limits, or an export to a file; see Client.export_run."""
        return self._asked().export_run(self.id, to, format=format, plot=plot, **options)

    def log(self, node: str = "", *, tail: int | None = None) -> str:
        """What its steps have printed so far."""
        return self._asked().log(self.id, node, tail=tail)

    def follow_log(self, node: str) -> Iterator[str]:
        """What a node prints, as it prints it, until it is over."""
        return self._asked().follow_log(self.id, node)

    def stop(self) -> Run:
        """Ask for its end; what is finished is kept."""
        return self._asked().stop(self.id)

    def rerun(self, *, reuse: bool | None = None) -> Run:
        """The same request again, as a new run."""
        return self._asked().rerun(self.id, reuse=reuse)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a campaign: its values, and its run or why it was refused."""

    name: str
    target: str
    number: int
    state: str
    values: Mapping[str, Any]
    run: str | None
    error: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it was when it was asked for. `points`: how many are in which state, and their `total`."""

    id: str
    name: str
    owner: str
    state: str
    targets: tuple[str, ...]
    axes: tuple[str, ...]
    points: Mapping[str, int]
    steps: Progress
    skipped: Mapping[str, int]
    created_at: float
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _client: Client | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, document: Mapping[str, Any], client: Client | None = None) -> Campaign:
        """The campaign that a document of the API holds."""
        names = ("id", "name", "owner", "state", "points", "skipped", "created_at")
        return cls(
            **{name: document[name] for name in names}, targets=tuple(document["targets"]), axes=tuple(document["axes"]),
            steps=Progress(**document["steps"]), document=document, _client=client,
        )  # fmt: skip

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it, unless it is extended, retried or resumed."""
        return self.state in OVER

    @property
    def done(self) -> int:
        """Points that are over."""
        return sum(self.points[state] for state in (*OVER, "refused"))

    def _asked(self) -> Client:
        if self._client is None:
            raise NotFound(f"campaign {self.id} was made without a client: ask one for it (client.campaign)")
        return self._client

    def refresh(self) -> Campaign:
        """How it stands now."""
        return self._asked().campaign(self.id)

    def wait(self, *, watch: Callable[[Campaign], None] | None = None, timeout_s: float | None = None) -> Campaign:
        """The campaign when it is over; see Client.wait."""
        return self._asked().wait(self, watch=watch, timeout_s=timeout_s)

    def all_points(self, *states: str) -> Iterator[Point]:
        """Its points in order, all or those in these states."""
        return self._asked().points(self.id, *states)

    def results(self) -> Results:
        """The results of its finished points that have a result document, each with the values of its point."""
        return self._asked().results(self.id)

    def export(self, to: str | os.PathLike[str], *, format: str = "", **options: Any) -> Path:
        """Write its table, contour or an export to a file; see Client.export."""
        return self._asked().export(to, campaigns=[self.id], format=format, **options)

    def stop(self) -> Campaign:
        """Ask for its end; what is finished is kept."""
        return self._asked().change_campaign(self.id, "stop")

    def resume(self) -> Campaign:
        """Go on where it was stopped."""
        return self._asked().change_campaign(self.id, "resume")

    def retry(self) -> Campaign:
        """Try failed, refused and stopped points again."""
        return self._asked().change_campaign(self.id, "retry")


def _frame(rows: list[Any]) -> Any:
    try:
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ModuleNotFoundError as error:
        raise Unavailable("frames need pandas: pip install pandas", again=False) from error
    return pandas.DataFrame(rows)
