"""`recast check` and `recast test`: whether an analysis is sound, and whether it gives what was published."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.screen import open_installation, plain, print_json
from reana_lite.errors import InvalidInput, NotAllowed, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reana_lite.analysis import Analysis, Test
    from reana_lite.comparison import Row
    from reana_lite.target import Prepared


@click.command()
@click.argument("target")
@click.argument("files", nargs=-1)
@click.option(
    "-p", "--parameter", "assignments", multiple=True, metavar="KEY=VALUE", help="A parameter; VALUE is YAML."
)
@click.option("-t", "--toplevel", default="", help="Where references of a workflow file start.")
@click.option("--against", type=click.Choice(["yadage"]), help="Run both engines and compare node by node.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(
    target: str, files: tuple[str, ...], assignments: tuple[str, ...], toplevel: str, against: str | None, as_json: bool
) -> None:
    """Check TARGET without running it: every fault with its file, line and place.

    With --against yadage it is run by this engine and by the yadage package, and the two are compared node by node.

    \b
    Examples:
      recast check ./my-search
      recast check workflow.yml inputs.yml --against yadage
    """
    prepared = prepare(target, files, assignments=assignments, toplevel=toplevel, checking=not against)
    if against:
        from reana_lite.cli.reference import compare_with_reference

        compare_with_reference(prepared, as_json=as_json)
        return
    findings = _findings(prepared)
    findings += [("warning", text) for text in (_outdated(prepared.analysis) if prepared.analysis else ())]
    if as_json:
        print_json({
            "target": prepared.origin, "kind": str(prepared.kind), "name": prepared.name,
            "warnings": list(prepared.warnings), "findings": [f for _, f in findings],
        })  # fmt: skip
    else:
        for warning in prepared.warnings:
            click.echo(f"warning: {plain(warning)}")
        for severity, text in findings:
            click.echo(f"{severity}: {plain(text)}")
    errors = sum(severity == "error" for severity, _ in findings)
    if errors:
        raise click.exceptions.Exit(3)
    if not as_json:
        click.echo(
            f"{prepared.kind} {plain(prepared.name)}: no errors, {len(findings) + len(prepared.warnings)} warnings"
        )


def prepare(
    target: str, files: tuple[str, ...], *, assignments: tuple[str, ...] = (), toplevel: str = "", **more: Any
) -> Prepared:
    """A target resolved as `recast run` would, with scratch files that live as long as the process."""
    import atexit
    import shutil

    from reana_lite.config import Settings
    from reana_lite.target import TargetOptions, resolve

    scratch = Path(tempfile.mkdtemp(prefix="recast-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    options = TargetOptions(
        files=files, assignments=assignments, toplevel=toplevel, folder=Path.cwd(), scratch=scratch, **more
    )
    return resolve(target, settings=Settings.from_environment(), options=options)


def _findings(prepared: Prepared) -> list[tuple[str, str]]:
    """(severity, sentence) of what the language's own check finds."""
    if prepared.engine != "yadage":
        return []
    from reana_lite.workflow.check import lint
    from reana_lite.workflow.spec import Workflow

    workflow = Workflow.from_json(prepared.workflow)
    names = prepared.parameters.keys() if prepared.parameters else None
    findings = lint(workflow, names, locate=prepared.locate)
    return [(str(finding.severity), str(finding.fault)) for finding in findings]


@click.command()
@click.argument("target")
@click.argument("names", nargs=-1)
@click.option("--backend", type=click.Choice(["auto", "local", "container", "kubernetes"]), help="Where jobs run.")
@click.option("--no-cache", is_flag=True, help="Use no kept outputs of other runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown, for the analysis's README.")
@click.option("--record", is_flag=True, help="Write what was found into validation.json of the analysis.")
def test(
    target: str,
    names: tuple[str, ...],
    backend: str | None,
    no_cache: bool,
    as_json: bool,
    markdown: bool,
    record: bool,
) -> None:
    """Run the tests that an analysis declares (or those NAMES), and say pass or fail for each reference number.

    With --record the numbers found are kept beside the analysis: its page and `recast catalogue validation` show them.

    \b
    Examples:
      recast test atlas-susy-2018-22
      recast test ./my-search --record
    """
    from reana_lite import comparison

    analysis = _tested(target)
    known = {t.name: t for t in analysis.tests}
    for name in names:
        if name not in known:
            raise NotFound(f"{analysis.name} has no test {name!r}; it has {', '.join(known) or 'none'}")
    if not known:
        raise InvalidInput(f"{analysis.name} declares no tests: add `tests` to {analysis.source}", field="tests")
    options = {"backend": backend, "no_cache": no_cache, "quiet": as_json, "cores": None}
    documents = {name: _run_test(analysis, known[name], options) for name in names or known}
    rows = {
        name: comparison.compare_to_references(document, known[name].expect) for name, document in documents.items()
    }
    if record:
        _record(analysis, documents)
    if as_json:
        print_json({name: [row.to_dict() for row in found] for name, found in rows.items()})
    for name, found in rows.items():
        if not as_json:
            show_rows(name, found, markdown=markdown)
    if not all(comparison.passed(found) for found in rows.values()):
        raise click.exceptions.Exit(1)


def _tested(target: str) -> Analysis:
    """The analysis that TARGET is; its tests bring their own theories, so none is asked for here."""
    from reana_lite.catalogue import Sources, load_analysis
    from reana_lite.target import TargetKind, TargetOptions
    from reana_lite.target.resolve import find

    kind, path = find(target, options=TargetOptions(folder=Path.cwd()), sources=Sources.from_environment())
    if kind is not TargetKind.ANALYSIS:
        raise InvalidInput(f"{target} is a {kind}: only analyses (analysis.yml) declare tests", field="target")
    return load_analysis(Path(path))


def show_rows(name: str, rows: list[Row], *, markdown: bool) -> None:
    """The table of one test."""
    from reana_lite import comparison

    click.echo(f"\n{'## ' if markdown else ''}{plain(name)}: {comparison.in_words(rows)}\n")
    click.echo(plain(comparison.to_markdown(rows) if markdown else comparison.to_text(rows)))


def _run_test(analysis: Analysis, test: Test, options: dict[str, Any]) -> Mapping[str, Any]:
    """Run one test; its result document, empty if it declares none."""
    from reana_lite.cli.run import execute
    from reana_lite.submission import submit

    installation = open_installation()
    folder = Path(analysis.source).parent
    prepared = prepare(
        str(folder), tuple(str(folder / path) for path in test.theory), parameters=dict(test.parameters)
    )  # fmt: skip
    run = submit(
        prepared,
        database=installation.database,
        storage=installation.storage,
        owner=installation.settings.user,
        name=f"test-{test.name}",
        reuse=not options["no_cache"],
    )
    execute(installation, run, options)
    record = installation.database.get_run(run)
    if record.state != "finished":
        from reana_lite.cli.runs import explain

        explain(installation, record)
    return installation.database.get_result(run, "result") or {}


def _record(analysis: Analysis, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what the tests gave in the analysis's folder; records of other tests stay, those of tests that are gone go."""
    from datetime import UTC, datetime

    from reana_lite import __version__
    from reana_lite.analysis import Record, write_records
    from reana_lite.analysis.recorded import FILE
    from reana_lite.catalogue import Sources
    from reana_lite.comparison import found_in
    from reana_lite.target.state import state_of

    sources, today = Sources.from_environment(), datetime.now(UTC).date()
    records = {}
    for one in analysis.tests:
        if one.name in documents:
            found = found_in(documents[one.name], one.expect)
            state = state_of(analysis, one, sources)
            records[one.name] = Record(state, today, f"reana-lite {__version__}", found)
        elif one.name in analysis.records:
            records[one.name] = analysis.records[one.name]
    path = Path(analysis.source).parent / FILE
    try:
        path.write_text(write_records(records, analysis=analysis.name), encoding="utf-8")
    except OSError as error:
        raise NotAllowed(f"{path} cannot be written ({error.strerror}): record in a folder of your own") from error
    click.echo(f"recorded {', '.join(documents)} in {path}", err=True)


def _outdated(analysis: Analysis) -> list[str]:
    """What recorded numbers do not say of the analysis as it is now, a sentence each."""
    from reana_lite.catalogue import Sources
    from reana_lite.target.state import state_of

    again = f"run `recast test {analysis.name} --record`"
    if not analysis.records:
        return []
    known = {one.name: one for one in analysis.tests}
    said = [
        f"validation.json has numbers of {name!r}, which is no test; {again}"
        for name in analysis.records.keys() - known
    ]
    for name, one in known.items():
        if name not in analysis.records:
            said.append(f"nothing is recorded of test {name!r}; {again} {name}")
        elif analysis.records[name].state != state_of(analysis, one, Sources.from_environment()):
            said.append(f"what is recorded of test {name!r} is of another state of the analysis; {again} {name}")
    return said
