"""`recast check` and `recast test`: whether an analysis is sound, and whether it gives what was published."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.screen import open_installation, plain, print_json
from reana_lite.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from reana_lite.analysis import Analysis
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
def test(
    target: str, names: tuple[str, ...], backend: str | None, no_cache: bool, as_json: bool, markdown: bool
) -> None:
    """Run the tests that an analysis declares (or those NAMES), and say pass or fail for each reference number.

    \b
    Examples:
      recast test atlas-susy-2018-22
      recast test ./my-search --markdown
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
    rows: dict[str, list[Row]] = {name: _run_test(analysis, name, options) for name in names or known}
    if as_json:
        print_json({name: [row.to_dict() for row in found] for name, found in rows.items()})
    for name, found in rows.items():
        if not as_json:
            passed = sum(row.passed for row in found)
            click.echo(f"\n{'## ' if markdown else ''}{name}: {passed} of {len(found)} passed\n")
            click.echo(plain(comparison.to_markdown(found) if markdown else comparison.to_text(found)))
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


def _run_test(analysis: Analysis, name: str, options: dict[str, Any]) -> list[Row]:
    """Run one test and hold its result against its references."""
    from reana_lite.cli.run import execute
    from reana_lite.comparison import compare_to_references
    from reana_lite.submission import submit

    test = next(t for t in analysis.tests if t.name == name)
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
        name=f"test-{name}",
        reuse=not options["no_cache"],
    )
    execute(installation, run, options)
    record = installation.database.get_run(run)
    if record.state != "finished":
        from reana_lite.cli.runs import explain

        explain(installation, record)
    return compare_to_references(installation.database.get_result(run, "result") or {}, test.expect)
