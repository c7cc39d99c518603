"""Judges what an engine made of a case against the case's expected.json (README.md).

    python tests/conformance/compare.py [--strict] CASE_DIR/expected.json ACTUAL.json

Exit status 0: agrees, 1: differs. A run that came to its end is compared node by node and file by file; of one that was
stopped by an error, or never began, only the status counts, because what had happened by then depends on timing.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Document = dict[str, Any]

NODE = ("name", "state", "parameters", "result", "readwrite")
STRICT_NODE = (*NODE, "readonly", "inputs")


def compare(expected: Document, actual: Document, *, strict: bool = False) -> list[str]:
    """What differs, a line each. `strict`: error classes, read-only folders, order of inputs, registered values too."""
    found: list[str] = []

    def same(what: str, wanted: Any, got: Any) -> None:
        if wanted != "<undetermined>" and _text(wanted) != _text(got):
            found.append(f"{what}: expected {_text(wanted)[:400]}, got {_text(got)[:400]}")

    same("status", expected["status"], actual.get("status"))
    if strict:
        same("error class", _error(expected).get("class"), _error(actual).get("class"))
    if not ran_to_its_end(expected):
        return found
    if found:
        found.append(f"error: {_error(actual).get('message', '')}")
    wanted_nodes, got_nodes = expected.get("nodes") or {}, actual.get("nodes") or {}
    for path in sorted(wanted_nodes.keys() | got_nodes.keys()):
        if path not in wanted_nodes or path not in got_nodes:
            found.append(f"node {path} is {'missing' if path in wanted_nodes else 'not expected'}")
            continue
        wanted, got = wanted_nodes[path], got_nodes[path]
        for key in STRICT_NODE if strict else NODE:
            same(f"node {path} {key}", wanted.get(key), got.get(key))
        if not strict:
            same(f"node {path} inputs", *(sorted(map(_text, side.get("inputs") or [])) for side in (wanted, got)))
    for key in ("edges", "unapplied_stages"):
        same(key, sorted(expected.get(key) or []), sorted(actual.get(key) or []))
    if strict:
        same("values", expected.get("values"), actual.get("values"))
    return found + _files(expected["files"], actual.get("files") or {})


def ran_to_its_end(document: Document) -> bool:
    """Whether nothing stopped the run: it succeeded, or failed because nodes failed."""
    failed = document["status"] == "failed" and _error(document).get("message") == "workflow finished but failed"
    return document["status"] == "success" or failed


def _files(expected: Document, actual: Document) -> list[str]:
    """Differences by content; links, empty folders and volatile files are not compared."""
    volatile = {path for path, entry in expected.items() if entry.get("volatile")}
    wanted = {path: entry for path, entry in expected.items() if "sha256" in entry}
    got = {path: entry for path, entry in actual.items() if "sha256" in entry and path not in volatile}
    found = []
    for path in sorted(wanted.keys() | got.keys()):
        if path not in wanted or path not in got:
            found.append(f"file {path} is {'missing' if path in wanted else 'not expected'}")
        elif wanted[path]["sha256"] != got[path]["sha256"]:
            found.append(f"file {path}: expected {wanted[path].get('text')!r}, got {got[path].get('text')!r}")
    return found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)  # 2 and 2.0, 1 and true differ here


def _error(document: Document) -> Document:
    error: Document = document.get("error") or {}
    return error


def main() -> None:
    """Compare two files."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--strict"]
    expected, actual = (json.loads(Path(path).read_text(encoding="utf-8")) for path in arguments)
    found = compare(expected, actual, strict="--strict" in sys.argv)
    print("\n".join(found) if found else "agrees")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
