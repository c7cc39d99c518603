"""The catalogue, an analysis with its form, and help."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from reana_lite.analysis import Analysis
from reana_lite.catalogue import EntryKind, load_analysis
from reana_lite.comparison.tables import axis_unit
from reana_lite.errors import InvalidInput, NotAllowed, ReanaLiteError
from reana_lite.server.pages import form
from reana_lite.server.pages.site import Asked, here


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/", "home", home)
    pages.add_url_rule("/analyses/<name>", "analysis", analysis)
    pages.add_url_rule("/analyses/<name>", "submit", submit, methods=["POST"])
    pages.add_url_rule("/help", "help_page", lambda: render_template("help.html"))


def home() -> str:
    """What can be asked here, and what was asked last."""
    site = here()
    catalogue = site.catalogue()
    found = []
    for entry in catalogue.entries():
        try:
            one = known(entry.path) if entry.kind is EntryKind.ANALYSIS else None
        except ReanaLiteError as error:
            catalogue.warnings.append(error.message.split("\n")[0])
            continue
        found.append((entry, one))
    runs = site.runs(states=(), analysis=None, campaign=None, name=None, before=None, limit=6)
    newest = site.campaigns(limit=4)
    return render_template("home.html", entries=found, runs=runs, campaigns=newest, warnings=catalogue.warnings)


def known(path: Path) -> Analysis:
    """An analysis, read again only if its file has changed."""
    file = path / "analysis.yml" if path.is_dir() else path
    return _read(path, file.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> Analysis:
    return load_analysis(path)


def of_name(name: str) -> Analysis:
    """The analysis of that name in the catalogue; recast-atlas entries have no form."""
    entry = here().catalogue().find(name)
    if entry.kind is not EntryKind.ANALYSIS:
        raise NotAllowed(f"{name} is a recast-atlas entry, which names no parameters: run it by `recast run {name}`")
    return known(entry.path)


def analysis(name: str) -> str:
    """What an analysis is, and its form; with `?like=RUN` filled in as that run was."""
    found = of_name(name)
    typed = {f"p.{key}": value for key, value in request.args.items() if key in {p.name for p in found.parameters}}
    like = None
    if request.args.get("like"):
        like = here().run(request.args["like"])
        for key, value in like.request.get("parameters", {}).items():
            if value is not None:
                typed.setdefault(f"p.{key}", form.shown(value))
        typed["theory"] = "example" if like.request.get("example") else "files"
        typed["example"] = like.request.get("example", "")
    return _page(found, typed, {}, like=like)


def submit(name: str) -> Any:
    """Begin what the form asks for, or show what it would take, or what is wrong with it."""
    found = of_name(name)
    site = here()
    typed = {key: value for key, value in request.form.items() if key != "csrf"}
    try:
        asked = form.asked_of(found, typed, request.files)
        if typed.get("do") == "plan":
            forecast, refused = site.forecast(asked)
            return _page(found, typed, {}, plan=forecast, refused=refused, asked=asked)
        kind, made = site.submit(asked)
    except InvalidInput as error:
        return _page(found, typed, form.faults_of(error), uploaded=bool(request.files)), 400
    return redirect(url_for(f"pages.{kind}", name=made), 303)


def _page(
    found: Analysis, typed: dict[str, str], faults: dict[str, str], *, asked: Asked | None = None, **more: Any
) -> str:
    fields = form.fields(found, typed, faults)
    shown = {field.name for field in fields if field.fault}
    scans = [(scan, [(axis, axis.unit or axis_unit(axis.name)) for axis in scan.axes]) for scan in found.scans]
    tests = [(test, test.expect) for test in found.tests]
    needs = found.theory
    first = "files" if needs is not None else "scan" if found.scans else "none"
    if found.examples and needs is not None:
        first = "example"
    return render_template(
        "analysis.html", a=found, fields=fields, faults=faults, other={k: v for k, v in faults.items() if k not in shown},
        typed=typed, scans=scans, tests=tests, how=typed.get("theory") or first, asked=asked,
        readme=(Path(found.source).parent / "README.md").is_file(), **more,
    )  # fmt: skip
