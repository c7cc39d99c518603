"""The yadage package, run for real, as the reference engine; and the comparison of a run with what it did.

`recast run --engine yadage` and `recast check --against yadage` call this, and so do the differential tests. The
package lives in an environment of its own, built once from yadage.lock; a long-lived process there
(reference_driver.py) forks a child for every run. What it did comes back as a *snapshot*: the JSON form of the
conformance corpus's expected.json (tests/conformance), with its folders replaced by the virtual roots, so that it
compares with Engine.snapshot().
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from reana_lite.artifact import digest_bytes
from reana_lite.errors import Unavailable
from reana_lite.job import INIT_ROOT, RUN_ROOT

UPDATE_INTERVAL_S = 0.02
"""Seconds yadage sleeps between two looks at its graph; its own default."""

TEXT_LIMIT_BYTES = 4096
"""Files up to this size are shown with their text in a snapshot."""

OWN_FOLDERS = ("_packtivity", "_yadage")
"""Folders yadage keeps its own records in; no part of what a workflow computed."""

_IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATUS = {"load": "invalid", "start": "usage", "hang": "hang"}

Snapshot = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """What yadage is asked to do, in its own terms.

    `workflow` is relative to `toplevel` as on its command line, or the loaded document. `data_options` are its -d,
    `workflow_options` its -w, `control_options` its -o. `tokens` (path, token) are applied to the snapshot besides the
    two virtual roots. `quick` lets it keep compiled programs: the same results, about ten times sooner.
    """

    workflow: str | Mapping[str, Any]
    toplevel: str
    workdir: Path
    init_data: Mapping[str, Any] = field(default_factory=dict)
    data_options: Mapping[str, Any] = field(default_factory=dict)
    workflow_options: Mapping[str, Any] = field(default_factory=dict)
    control_options: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "multiproc:auto"
    limit_s: float = 24 * 3600.0
    tokens: Sequence[tuple[str, str]] = ()
    quick: bool = False

    def init_folder(self) -> Path:
        """Where yadage looks for init files: below `pathbase` or the work directory."""
        base = Path(str(self.data_options.get("pathbase") or self.workdir))
        return base / str(self.data_options.get("initdir") or "init")

    def arguments(self, scratch: Path) -> list[str]:
        """The arguments of yadage-run; documents are written to `scratch` first."""
        toplevel, workflow = self.toplevel, self.workflow
        if not isinstance(workflow, str):
            (scratch / "workflow.json").write_text(json.dumps(workflow), encoding="utf-8")
            toplevel, workflow = str(scratch), "workflow.json"
        initial = scratch / "init.yml"
        initial.write_text(yaml.safe_dump(dict(self.init_data), allow_unicode=True), encoding="utf-8")
        found = ["-b", self.backend, "-u", str(UPDATE_INTERVAL_S), "-t", toplevel]
        for flag, options in (
            ("-d", self.data_options), ("-w", self.workflow_options), ("-o", self.control_options),
        ):  # fmt: skip
            for key, value in options.items():
                found += [flag, f"{key}={json.dumps(value, ensure_ascii=False)}"]
        return [*found, str(self.workdir), workflow, *([str(initial)] if self.init_data else [])]


class Reference:
    """A running reference engine. Use as a context manager: leaving it ends its process."""

    def __init__(self, python: Path) -> None:
        self.python = python
        driver = package_files("reana_lite").joinpath("reference_driver.py")
        kept = ("YADAGE_", "PACKTIVITY_", "PYTHON")
        variables = {k: v for k, v in os.environ.items() if not k.startswith(kept)}
        variables.update(LC_ALL="C.UTF-8", PATH=f"{python.parent}:{variables.get('PATH', '')}")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._process = subprocess.Popen(
            [python, "-u", str(driver)], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True, encoding="utf-8"
        )  # fmt: skip

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the engine."""
        return self._process.pid

    def close(self) -> None:
        """End the process; idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            with contextlib.suppress(BrokenPipeError), self._process:
                pass  # closes the pipes and waits
        finally:
            self._errors.close()

    def run(self, request: ReferenceRun) -> Snapshot:
        """Run it to its end and give the snapshot; raises Unavailable if the engine's process has died."""
        with tempfile.TemporaryDirectory(prefix="reference-") as name:
            scratch = Path(name).resolve()
            folder = scratch / "cwd"
            folder.mkdir()
            report_path, log_path = scratch / "report.json", scratch / "log.txt"
            self._ask({
                "arguments": request.arguments(scratch), "folder": str(folder), "variables": {}, "quick": request.quick,
                "report": str(report_path), "log": str(log_path), "limit_s": request.limit_s,
            })  # fmt: skip
            if report_path.exists():
                report = json.loads(report_path.read_text(encoding="utf-8"))
            else:
                report = {"error": {"class": "timeout", "message": ""}, "phase": "hang", "failures": {}}
            return read_snapshot(request, report)

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            self._errors.seek(0)
            last = self._errors.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise Unavailable(f"the yadage process has ended: {' '.join(last) or 'no message'}")


def reference_python(root: Path, say: Callable[[str], None]) -> Path:
    """The interpreter of the environment of yadage.lock below `root`, built if it is not there (5 s, 62 MB)."""
    from reana_lite.backends.environment import build_environment

    lock = package_files("reana_lite").joinpath("yadage.lock").read_text(encoding="utf-8")
    return build_environment(lock, root, say) / "bin" / "python"


def run_reference(request: ReferenceRun, *, root: Path, say: Callable[[str], None]) -> Snapshot:
    """Build the environment if need be, run yadage once, give the snapshot."""
    with Reference(reference_python(root, say)) as reference:
        say("running yadage")
        return reference.run(request)


class Tokens:
    """Replaces folders by their tokens in texts, documents and file contents, the longest first."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = sorted(pairs, key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        """In a text."""
        for path, token in self._pairs:
            text = text.replace(path, token)
        return text

    def content(self, content: bytes) -> bytes:
        """In the bytes of a file."""
        for path, token in self._pairs:
            content = content.replace(path.encode(), token.encode())
        return content

    def data(self, value: Any) -> Any:
        """In all strings of a JSON value, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.data(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.data(item) for key, item in value.items()}
        return value


def read_snapshot(request: ReferenceRun, report: Mapping[str, Any]) -> Snapshot:
    """What yadage left in its work directory, with tokens for paths."""
    roots = [(str(request.workdir), RUN_ROOT), (str(request.init_folder()), INIT_ROOT)]
    tokens = Tokens([*request.tokens, *roots])
    error = report["error"] and dict(report["error"], phase=report["phase"])
    if error:
        error["message"] = _IDENTIFIER.sub("<id>", tokens.text(error["message"]))
    succeeded = report.get("exit_code") == 0
    snapshot: Snapshot = {
        "status": "success" if succeeded else _STATUS.get(report["phase"], "failed"),
        "exit_code": report.get("exit_code"),
        "error": error,
    }
    try:
        text = (request.workdir / "_yadage" / "yadage_snapshot_workflow.json").read_text(encoding="utf-8")
        raw = json.loads(text)
    except (OSError, ValueError):  # never written, or cut short by a value that JSON cannot carry
        raw = None
    if raw is not None:
        snapshot.update(_graph(raw, report["failures"], tokens))
    snapshot["files"] = list_files(request.workdir, tokens)
    return snapshot


def _graph(raw: dict[str, Any], failures: Mapping[str, Any], tokens: Tokens) -> Snapshot:
    """Nodes, edges, stages and values of yadage's own snapshot, by path."""
    paths = {node["id"]: _path(node["task"]["metadata"]) for node in raw["dag"]["nodes"]}
    nodes = {paths[n["id"]]: _node(n, paths, failures.get(n["id"]), tokens) for n in raw["dag"]["nodes"]}
    stages: dict[str, Any] = {}

    def walk(offset: str, level: Mapping[str, Any]) -> None:
        for stage, members in level.items():
            if stage == "_offset":
                continue
            key = f"{offset}/{_escape(stage)}"
            stages[key] = entry = {"nodes": list[Any](), "scopes": list[str](), "outputs": list[Any]()}
            for index, member in enumerate(members):
                if "_nodeid" in member:
                    path = paths.get(member["_nodeid"])
                    entry["nodes"].append(path)
                    entry["outputs"].append(nodes[path]["result"] if path else None)
                else:
                    entry["scopes"].append(f"{key}/{index}")
                    walk(f"{key}/{index}", member)

    walk("", raw["stepsbystage"])
    return {
        "nodes": dict(sorted(nodes.items())),
        "edges": sorted([paths[a], paths[b]] for a, b in raw["dag"]["edges"]),
        "stages": dict(sorted(stages.items())),
        "applied_stages": sorted(f"{r['offset']}/{r['rule']['name']}" for r in raw["applied"]),
        "unapplied_stages": sorted(f"{r['offset']}/{r['rule']['name']}" for r in raw["rules"]),
        "values": tokens.data(raw["values"]),
    }


def _node(raw: dict[str, Any], paths: Mapping[str, str], failure: dict[str, str] | None, tokens: Tokens) -> Snapshot:
    task, metadata = raw["task"], raw["task"]["metadata"]
    state = task["state"]
    node: Snapshot = {
        "name": raw["name"],
        "offset": metadata["wflow_offset"],
        "stage": metadata["wflow_stage"],
        "index": metadata["wflow_stage_node_idx"],
        "state": raw["state"],
        "pure_publishing": metadata["wflow_hints"]["is_purepub"],
        "parameters": tokens.data(task["parameters"]),
        "inputs": [[paths[i["stepid"]], i["pointer_path"]] for i in task["inputs"]],
        "result": tokens.data(raw["result"]),
        "readwrite": sorted(tokens.text(f["path"]) for f in state["readwrite"]) if state else None,
        "readonly": sorted({tokens.text(f["path"]) for f in state["readonly"]}) if state else None,
    }
    if failure:
        node["failure"] = {
            "class": failure["class"],
            "message": _IDENTIFIER.sub("<id>", tokens.text(failure["message"])),
        }
    return node


def _escape(stage: str) -> str:
    return stage.replace("~", "~0").replace("/", "~1")


def _path(metadata: Mapping[str, Any]) -> str:
    return f"{metadata['wflow_offset']}/{_escape(metadata['wflow_stage'])}/{metadata['wflow_stage_node_idx']}"


def list_files(root: Path, tokens: Tokens) -> dict[str, dict[str, Any]]:
    """Files below a folder as a snapshot has them: `sha256`, `size` and short `text`, links, empty folders."""
    found: dict[str, dict[str, Any]] = {}
    for top, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in OWN_FOLDERS)
        place = Path(top).relative_to(root)
        for name in names:
            path = Path(top) / name
            if path.is_symlink():
                found[str(place / name)] = {"link": tokens.text(str(path.readlink()))}
            elif path.is_file():
                found[str(place / name)] = describe_file(tokens.content(path.read_bytes()))
        if not folders and not names and top != str(root):
            found[f"{place}/"] = {"empty_dir": True}
    return dict(sorted(found.items()))


def describe_file(content: bytes) -> dict[str, Any]:
    """One file as a snapshot has it, tokens already in place."""
    entry: dict[str, Any] = {"sha256": digest_bytes(content).removeprefix("sha256:"), "size": len(content)}
    if len(content) <= TEXT_LIMIT_BYTES:
        try:
            entry["text"] = content.decode("utf-8")
        except UnicodeDecodeError:
            return entry
    return entry


def compare_nodes(ours: Snapshot, reference: Snapshot) -> list[str]:
    """What differs between two snapshots of one workflow: status, nodes, edges, open stages; one sentence each.

    Numbers of different types differ (2 and 2.0, 1 and true). When the reference was stopped by an error only the
    status counts: what had happened by then depends on timing.
    """
    found: list[str] = []

    def same(what: str, mine: Any, theirs: Any) -> None:
        mine, theirs = (json.dumps(value, sort_keys=True) for value in (mine, theirs))
        if mine != theirs:
            found.append(f"{what}: yadage has {theirs[:400]}, this engine {mine[:400]}")

    same("status", ours.get("status"), reference.get("status"))
    if not _ran_to_its_end(reference):
        return found
    mine, theirs = ours.get("nodes") or {}, reference.get("nodes") or {}
    for path in sorted(mine.keys() | theirs.keys()):
        if path not in mine or path not in theirs:
            found.append(f"node {path}: only {'this engine' if path in mine else 'yadage'} has it")
            continue
        for key in ("name", "state", "parameters", "result", "readwrite"):
            same(f"node {path} {key}", mine[path].get(key), theirs[path].get(key))
        references = [sorted(map(json.dumps, side[path].get("inputs") or [])) for side in (mine, theirs)]
        same(f"node {path} inputs", *references)
    same("edges", sorted(ours.get("edges") or []), sorted(reference.get("edges") or []))
    same("open stages", sorted(ours.get("unapplied_stages") or []), sorted(reference.get("unapplied_stages") or []))
    return found


def _ran_to_its_end(snapshot: Snapshot) -> bool:
    error = snapshot.get("error") or {}
    return snapshot["status"] == "success" or error.get("message") == "workflow finished but failed"
