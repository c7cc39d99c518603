"""`catalogue ls`, `show`, `validation` and `example` against a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.catalogue import write, write_validation
from reana_lite.cli.screen import print_json, print_table
from reana_lite.comparison import Row, in_words
from reana_lite.errors import NotFound

if TYPE_CHECKING:
    from reana_lite.client import Client


def ls(client: Client, as_json: bool) -> None:
    """The analyses there."""
    rows = client.analyses()
    if as_json:
        print_json(rows)
        return
    print_table(("NAME", "KIND", "TITLE"), [(row["name"], row["kind"], row["title"]) for row in rows])


def show(client: Client, name: str, as_json: bool) -> None:
    """What an analysis is."""
    found = client.analysis(name)
    document = described(found)
    if as_json:
        print_json(document)
    else:
        write(document)


def example(client: Client, name: str, example: str) -> None:
    """An example of an analysis: names of its theory files, and parameters."""
    found = client.analysis(name)["examples"]
    if example not in found:
        raise NotFound(f"{name} has no example {example!r}; it has {', '.join(found) or 'none'}")
    document = {"theory": found[example]["theory"], "parameters": found[example]["parameters"]}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def validation(client: Client, name: str, as_json: bool, markdown: bool, brief: bool) -> None:
    """The recorded numbers of an analysis beside the published ones."""
    write_validation(name, client.analysis(name)["tests"], as_json=as_json, markdown=markdown, brief=brief)


def described(a: Mapping[str, Any]) -> dict[str, Any]:
    """What the API says of an analysis, as `recast catalogue show` says it; no path."""
    references = [
        " ".join(filter(None, (r.get("title", ""), f"arXiv:{r['arxiv']}" if r.get("arxiv") else "",
                               f"doi:{r['doi']}" if r.get("doi") else "")))
        for r in a["references"]
    ]  # fmt: skip
    return {
        "name": a["name"], "title": a["title"], "description": " ".join(a["description"].split()), "references": references,
        "luminosity": f"{a['lumi_ifb']} /fb at {a['sqrts_tev']} TeV" if a["lumi_ifb"] else "",
        "theory": ", ".join(a["theory"]["formats"]) if a["theory"] else "",
        "parameters": [_parameter(name, schema) for name, schema in a["parameters"]["properties"].items()],
        "results": [f"{r['name']} ({r['kind']}): {r['description']}" for r in a["results"]],
        "examples": [f"{name}: {one['description']}" for name, one in a["examples"].items()],
        "tests": [
            f"{one['name']}: {one['description'] or 'no description.'} {in_words([Row(**row) for row in one['rows']])}"
            for one in a["tests"]
        ],
    }  # fmt: skip


def _parameter(name: str, schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type", [])
    said = [*([kinds] if isinstance(kinds, str) else kinds)]
    said += [schema["unit"]] if schema.get("unit") else []
    said += [f"default {schema['default']!r}"] if "default" in schema else []
    return f"{name} ({', '.join(said)}): {schema.get('description', '')}"
