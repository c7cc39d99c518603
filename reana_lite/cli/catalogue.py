"""`recast catalogue`: find, show, check, create and add preserved analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.screen import plain, print_json, print_table

if TYPE_CHECKING:
    from reana_lite.analysis import Analysis, Test
    from reana_lite.catalogue import Catalogue, Entry


@click.group()
def catalogue() -> None:
    """Find, show, create and add preserved analyses."""


def _open() -> Catalogue:
    from reana_lite.catalogue import Catalogue, Sources

    return Catalogue(Sources.from_environment())


@catalogue.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def catalogue_ls(as_json: bool) -> None:
    """List the analyses that can be run by name.

    \b
    Example:
      recast catalogue ls
    """
    found = _open()
    entries = found.entries()
    for warning in found.warnings:
        click.echo(f"warning: {plain(warning)}", err=True)
    if as_json:
        print_json([
            {"name": e.name, "kind": str(e.kind), "title": e.title, "tags": list(e.tags), "path": str(e.path)}
            for e in entries
        ])  # fmt: skip
        return
    print_table(("NAME", "KIND", "TITLE"), [(e.name, str(e.kind), e.title) for e in entries])


@catalogue.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def catalogue_show(name: str, as_json: bool) -> None:
    """Show what an analysis is: references, theory files and parameters it takes, results it declares, examples.

    \b
    Example:
      recast catalogue show atlas-susy-2018-22
    """
    entry = _open().find(name)
    document = _described(entry)
    if as_json:
        print_json(document)
        return
    write(document)


def write(document: Mapping[str, Any]) -> None:
    """What there is to say about an analysis, for people."""
    click.echo(f"{plain(document['name'])}: {plain(document['title'])}")
    if "path" in document:
        click.echo(f"  {document['path']}")
    for key, value in document.items():
        if key in ("name", "title", "path") or not value:
            continue
        click.echo(f"{key}:")
        for line in value if isinstance(value, list) else [value]:
            click.echo(f"  {plain(str(line))}")


def _described(entry: Entry) -> dict[str, Any]:
    """What there is to say about an entry, in the order of the data's way."""
    from reana_lite.catalogue import EntryKind, load_analysis

    document: dict[str, Any] = {"name": entry.name, "title": entry.title, "path": str(entry.path)}
    if entry.kind is not EntryKind.ANALYSIS:
        return document | {"kind": str(entry.kind), "tags": ", ".join(entry.tags)}
    return document | _analysis(load_analysis(entry.path))


def _analysis(analysis: Analysis) -> dict[str, Any]:
    references = [
        " ".join(filter(None, (c.title, f"arXiv:{c.arxiv}" if c.arxiv else "", f"doi:{c.doi}" if c.doi else "")))
        for c in analysis.references
    ]
    parameters = [
        f"{p.name} ({', '.join(p.types)}{', ' + p.unit if p.unit else ''}"
        f"{', default ' + repr(p.default) if p.has_default else ''}): {p.description}"
        for p in analysis.parameters
    ]
    return {
        "description": " ".join(analysis.description.split()),
        "references": references,
        "luminosity": f"{analysis.lumi_ifb} /fb at {analysis.sqrts_tev} TeV" if analysis.lumi_ifb else "",
        "theory": ", ".join(analysis.theory.formats) if analysis.theory else "",
        "parameters": parameters,
        "results": [f"{r.name} ({r.kind}): {r.description}" for r in analysis.results],
        "examples": [f"{name}: {example.description}" for name, example in analysis.examples.items()],
        "tests": [_tested(test, analysis) for test in analysis.tests],
        "environments": [
            f"{s.image}{' or ' + s.requirements if s.requirements else ''}" for s in analysis.environments
        ],
    }


def _tested(test: Test, analysis: Analysis) -> str:
    """One line of a test: what it is, and how its recorded numbers stand to the references."""
    from reana_lite.comparison import in_words, recorded_rows

    said = in_words(recorded_rows(test, analysis.records.get(test.name)))
    return f"{test.name}: {test.description or 'no description.'} {said}"


@catalogue.command("validation")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--markdown", is_flag=True, help="Print tables as Markdown.")
@click.option("--summary", "brief", is_flag=True, help="One line for each kind of number, as Markdown.")
def catalogue_validation(name: str, as_json: bool, markdown: bool, brief: bool) -> None:
    """Show the recorded numbers of an analysis beside the published ones, with allowed differences and sources.

    Recorded by `recast test NAME --record`; nothing is run here.

    \b
    Example:
      recast catalogue validation atlas-susy-2018-22
    """
    from reana_lite.catalogue import EntryKind, load_analysis
    from reana_lite.comparison import validation_of
    from reana_lite.errors import InvalidInput

    entry = _open().find(name)
    if entry.kind is not EntryKind.ANALYSIS:
        raise InvalidInput(f"{name} is an entry of recast-atlas, which declares no tests", field="name", value=name)
    write_validation(name, validation_of(load_analysis(entry.path)), as_json=as_json, markdown=markdown, brief=brief)


def write_validation(
    name: str, tests: Sequence[Mapping[str, Any]], *, as_json: bool, markdown: bool, brief: bool
) -> None:
    """The validation of an analysis, as the API gives it, for people or programs."""
    from reana_lite.cli.check import show_rows
    from reana_lite.comparison import Row, summary
    from reana_lite.errors import InvalidInput

    if not tests:
        reason = f"{name} declares no tests, so nothing says how far its numbers carry"
        raise InvalidInput(reason, field="name", value=name)

    if as_json:
        print_json(list(tests))
        return
    if brief:
        click.echo(plain(summary([Row(**row) for test in tests for row in test["rows"]])), nl=False)
        return
    for test in tests:
        show_rows(test["name"], [Row(**row) for row in test["rows"]], markdown=markdown)
        if test["recorded"]:
            click.echo(f"Recorded on {test['recorded']['on']} by {plain(test['recorded']['program'])}.")


@catalogue.command("describe", hidden=True)
@click.argument("name")
@click.pass_context
def catalogue_describe(ctx: click.Context, name: str) -> None:
    """As `show` (recast-atlas's word)."""
    ctx.invoke(catalogue_show, name=name, as_json=False)


@catalogue.command("example")
@click.argument("name")
@click.argument("example", default="default")
def catalogue_example(name: str, example: str) -> None:
    """Print an example of an analysis: the theory files and parameters it uses.

    \b
    Example:
      recast catalogue example atlas-susy-2018-22 default
    """
    import json

    from reana_lite.catalogue import EntryKind, load_analysis
    from reana_lite.errors import NotFound

    entry = _open().find(name)
    if entry.kind is EntryKind.ANALYSIS:
        from reana_lite.target.preserved import chosen_example

        chosen = chosen_example(load_analysis(entry.path), example)
        document: Any = {
            "theory": [str(entry.path.parent / t) for t in chosen.theory],
            "parameters": dict(chosen.parameters),
        }
    else:
        import yaml

        inputs = (yaml.safe_load(entry.path.read_bytes()) or {}).get("example_inputs") or {}
        if example not in inputs:
            raise NotFound(f"{name} has no example {example!r}; it has {', '.join(inputs) or 'none'}")
        document = inputs[example]
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@catalogue.command("check")
@click.argument("name")
@click.pass_context
def catalogue_check(ctx: click.Context, name: str) -> None:
    """Check an analysis of the catalogue (the same as `recast check NAME`)."""
    from reana_lite.cli.check import check

    ctx.invoke(check, target=name, files=(), assignments=(), toplevel="", against=None, as_json=False)


@catalogue.command("create")
@click.argument("name")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
def catalogue_create(name: str, folder: Path | None) -> None:
    """Write a new, minimal analysis called NAME that passes `recast check` and `recast test`, to start from.

    \b
    Example:
      recast catalogue create my-search
      recast test ./my-search
    """
    from reana_lite.catalogue import create

    made = create(name, folder)
    click.echo(f"made {made}; next: recast test ./{made}")


@catalogue.command("add")
@click.argument("path", nargs=-1, required=True)
def catalogue_add(path: tuple[str, ...]) -> None:
    """Print the shell line that adds a folder to the search path.

    \b
    Example:
      $(recast catalogue add $PWD)
    """
    from reana_lite.catalogue import Sources, added

    click.echo(added(path, Sources.from_environment()))


@catalogue.command("rm")
@click.argument("path", nargs=-1, required=True)
def catalogue_rm(path: tuple[str, ...]) -> None:
    """Print the shell line that takes a folder out of the search path.

    \b
    Example:
      $(recast catalogue rm $PWD)
    """
    from reana_lite.catalogue import Sources, removed

    click.echo(removed(path, Sources.from_environment()))


@catalogue.command("paths")
def catalogue_paths() -> None:
    """Print the folders in which analyses are looked for, the shipped ones first."""
    from reana_lite.catalogue import Sources

    sources = Sources.from_environment()
    for folder in filter(None, (sources.shipped, *sources.search)):
        click.echo(str(folder))
