"""The catalogue, an analysis with its form, and help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

from flask import Blueprint, redirect, render_template, request, url_for

from reana_lite.analysis import Analysis
from reana_lite.catalogue import Catalogue, Entry, EntryKind, known_analysis
from reana_lite.comparison import in_words, recorded_rows
from reana_lite.comparison.axis import axis_of, declared_axes
from reana_lite.database import RunRecord
from reana_lite.errors import InvalidInput, NotAllowed, ReanaLiteError
from reana_lite.server.pages import form
from reana_lite.server.pages.site import KeptFile, this_site

CARDS = 30
"""Analyses on one page of the catalogue."""

OTHERS = 30
"""Other analyses that are offered beside one."""


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/", "home", home)
    pages.add_url_rule("/analyses/<name>", "analysis", analysis)
    pages.add_url_rule("/analyses/<name>", "submit", submit, methods=["POST"])
    pages.add_url_rule("/help", "help_page", lambda: render_template("help.html"))


def home() -> str:
    """What can be asked here, and what was asked last."""
    site = this_site()
    found, warnings = _readable(site.catalogue())
    words = request.args.get("q", "").strip()
    fitting = [(entry, one) for entry, one in found if _fits(entry, one, words.lower().split())]
    page = max(0, request.args.get("page", 0, type=int))
    runs = site.runs(states=(), analysis=None, campaign=None, name=None, before=None, limit=6)
    newest = site.campaigns(limit=4)
    return render_template(
        "home.html", entries=fitting[page * CARDS : (page + 1) * CARDS], found=len(fitting), all=len(found), words=words,
        page=page, cards=CARDS, runs=runs, campaigns=newest, warnings=warnings,
    )  # fmt: skip


def _readable(catalogue: Catalogue) -> tuple[list[tuple[Entry, Analysis | None]], list[str]]:
    """(entries with their analyses, None for recast-atlas entries; why others are not shown)."""
    found: list[tuple[Entry, Analysis | None]] = []
    warnings = []
    for entry in catalogue.entries():
        try:
            found.append((entry, known_analysis(entry.path) if entry.kind is EntryKind.ANALYSIS else None))
        except ReanaLiteError as error:
            warnings.append(error.message.split("\n")[0])
    return found, [*catalogue.warnings, *warnings]


def _fits(entry: Entry, one: Analysis | None, words: list[str]) -> bool:
    """Whether an analysis has all words in its name, title, tags, collaboration or references."""
    text = f"{entry.name} {entry.title}"
    if one is not None:
        papers = " ".join(f"{r.arxiv} {r.inspire} {r.title}" for r in one.references)
        text = f"{text} {one.title} {' '.join(one.tags)} {one.collaboration} {papers}"
    return all(word in text.lower() for word in words)


def of_name(name: str) -> Analysis:
    """The analysis of that name in the catalogue; recast-atlas entries have no form."""
    entry = this_site().catalogue().find(name)
    if entry.kind is not EntryKind.ANALYSIS:
        raise NotAllowed(f"{name} is a recast-atlas entry, which names no parameters: run it by `recast run {name}`")
    return known_analysis(entry.path)


def analysis(name: str) -> str:
    """What an analysis is, and its form; with `?like=RUN` filled in as that run was."""
    found = of_name(name)
    typed = {f"p.{key}": value for key, value in request.args.items() if key in {p.name for p in found.parameters}}
    like, kept = None, []
    if request.args.get("like"):
        like = this_site().run(request.args["like"])
        kept = this_site().theory_files_of(like)
        typed = {**_as_run(found, like, kept=bool(kept)), **typed}
    return _page(found, typed, kept, {}, like=like)


def _as_run(found: Analysis, like: RunRecord, *, kept: bool) -> dict[str, str]:
    """A form filled in as it was for a run; a point of a scan as a scan of this one point."""
    typed = {f"p.{k}": form.shown(v) for k, v in like.request.get("parameters", {}).items() if v is not None}
    point = like.request.get("point") or {}
    scan = next((one for one in found.scans if point and set(point) <= {axis.name for axis in one.axes}), None)
    if scan is not None:
        ends = {f"a.{scan.name}.{axis}.from": form.shown(value) for axis, value in point.items()}
        return {**typed, **ends, "theory": "scan", "template": scan.name}
    example = like.request.get("example", "")
    way = "kept" if kept else "example" if example else "files" if found.theory else ""
    return {**typed, "theory": way, "example": example}


def submit(name: str) -> Any:
    """Begin what the form asks for, or show what it would take, or what is wrong with it."""
    found = of_name(name)
    site = this_site()
    typed = {key: value for key, value in request.form.items() if key != "csrf"}
    sent: list[KeptFile] = []

    def keep(file: str, content: IO[bytes]) -> KeptFile:
        sent.append(site.keep(file, content))
        return sent[-1]

    try:
        before, also = request.form.getlist("kept"), request.form.getlist("also")
        asked = form.asked_of(found, typed, request.files, keep=keep, kept=before, also=also)
        if typed.get("do") == "plan":
            forecast, refused = site.forecast(asked)
            return _page(found, *_kept(typed, sent, before), {}, plan=forecast, refused=refused, also=also)
        kind, made = site.submit(asked)
    except InvalidInput as error:
        return _page(
            found, *_kept(typed, sent, before), form.faults_of(error), also=also, uploaded=bool(request.files)
        ), 400
    return redirect(url_for(f"pages.{kind}", name=made), 303)


def _kept(typed: dict[str, str], sent: list[KeptFile], before: list[str]) -> tuple[dict[str, str], list[KeptFile]]:
    """(what was typed, files that need not be sent again): a browser forgets them, the server does not."""
    if sent and typed.get("theory") == "files":
        return {**typed, "theory": "kept"}, sent
    return typed, this_site().kept_files(before)


def _page(
    found: Analysis, typed: dict[str, str], kept: list[KeptFile], faults: dict[str, str], *, also: Sequence[str] = (),
    **more: Any,
) -> str:  # fmt: skip
    fields = form.fields(found, typed, faults)
    named = declared_axes(found)
    scans = [(scan, [(axis, axis_of(axis.name, named)) for axis in scan.axes]) for scan in found.scans]
    tests = [(test, record, recorded_rows(test, record)) for test, record in
             ((test, found.records.get(test.name)) for test in found.tests)]  # fmt: skip
    said = in_words([row for _, _, rows in tests for row in rows])
    first = "files" if found.theory is not None else "scan" if found.scans else "none"
    if found.examples and found.theory is not None:
        first = "example"
    return render_template(
        "analysis.html", a=found, fields=fields, faults=faults, typed=typed, scans=scans, tests=tests, said=said,
        kept=kept, also=also,
        how=typed.get("theory") or first, others=others(found), published=[s for s in found.scans if s.points], **more,
    )  # fmt: skip


def others(found: Analysis) -> list[Analysis]:
    """Other analyses of the catalogue that the same points, or theory files, can be given to."""
    axes = {frozenset(axis.name for axis in scan.axes) for scan in found.scans}
    formats = set(found.theory.formats) if found.theory is not None else set()
    shared = []
    for entry, one in _readable(this_site().catalogue())[0]:
        if one is None or entry.name == found.name:
            continue
        own = set(one.theory.formats) if one.theory is not None else set()
        if formats & own or axes & {frozenset(axis.name for axis in scan.axes) for scan in one.scans}:
            shared.append(one)
    return shared[:OTHERS]
