"""Runs this project's engine on a case of the conformance corpus and writes what it did in the form of expected.json.

    python tests/conformance/run_case.py CASE_DIR [--out FILE] [--keep DIR]

A case is a folder with workflow.yml, inputs.yml and case.yml (tests/conformance/README.md). Nothing of the language is
done here: case.yml becomes a call of reana_lite.target, the run goes through database, storage, worker and the local
backend (processes; `container` for cases that require it), and virtual paths become the tokens of the corpus.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import fnmatch
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from compare import compare

from reana_lite.backends.choice import choose
from reana_lite.catalogue import Sources
from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.drive import Drive
from reana_lite.engine import Engine
from reana_lite.errors import EXIT_CODE, InvalidAnalysis, ReanaLiteError
from reana_lite.event import Event, FinishRun, JobFailed, JobFinished, RunStarted, RunState, from_row
from reana_lite.job import INIT_ROOT, RUN_ROOT, Input
from reana_lite.reference import Tokens, list_files
from reana_lite.storage.local import LocalStorage
from reana_lite.submission import submit
from reana_lite.target import Prepared, TargetOptions, resolve
from reana_lite.worker import Worker

LIMIT_S = 300.0
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Folders:
    """The places of one case: a copy of it, the work directory, the current directory, and this project's own home."""

    base: Path

    @property
    def case(self) -> Path:
        return self.base / "case"

    @property
    def work(self) -> Path:
        return self.base / "wd"

    @property
    def current(self) -> Path:
        return self.base / "cwd"

    @property
    def home(self) -> Path:
        return self.base / "home"

    def pairs(self) -> list[tuple[str, str]]:
        """(path, token) as the corpus replaces them."""
        tokens = (self.case, "$CASE"), (self.work, "$WORKDIR"), (self.current, "$CWD"), (self.base, "$BASE")
        return [(str(path), token) for path, token in tokens]


def run_case(case_dir: Path, *, keep: Path | None = None) -> Document:
    """What this engine makes of a case; the form of expected.json."""
    case = yaml.safe_load((case_dir / "case.yml").read_text(encoding="utf-8")) or {}
    folders = Folders(Path(tempfile.mkdtemp(prefix="case-", dir=keep)).resolve())
    try:
        shutil.copytree(case_dir, folders.case, ignore=shutil.ignore_patterns("expected.json"), symlinks=True)
        folders.current.mkdir()
        with Installation(folders.home, container="container" in (case.get("requires") or [])) as installation:
            results = [
                run_once(run, folders, case, installation) for run in case.get("runs") or [case.get("run") or {}]
            ]
        document: Document = {"format": 1, "case": case_dir.name, **results[-1]}
        if len(results) > 1:
            document["earlier_runs"] = results[:-1]
        for pattern in case.get("undetermined") or []:
            blot(document, pattern.split("."))
        return document
    finally:
        if keep is None:
            shutil.rmtree(folders.base, ignore_errors=True)


def run_once(run: Document, folders: Folders, case: Document, installation: Installation) -> Document:
    """One run of a case."""
    run = fill(run, {"$CASE": str(folders.case), "$WORKDIR": str(folders.work), "$CWD": str(folders.current)})
    if run.get("before"):
        variables = {**os.environ, "CASE": str(folders.case), "WORKDIR": str(folders.work)}
        subprocess.run(["sh", "-ec", run["before"]], cwd=folders.current, env=variables, check=True)
    if (run.get("dataopts") or {}).get("overwrite"):
        shutil.rmtree(folders.work, ignore_errors=True)
    with environment(run.get("env") or {}):
        try:
            prepared = prepare(run, folders, installation.settings)
            ended = installation.run(prepared)
        except ReanaLiteError as error:
            status = "invalid" if isinstance(error, InvalidAnalysis) else "usage"
            return {**failure(status, error, Tokens(folders.pairs())), "files": files(folders, case)}
    if ended.finish is None:
        document: Document = {"status": "hang", "exit_code": None, "error": {"class": "timeout", "message": ""}}
    else:
        document = describe(ended, prepared, folders, installation.storage, init=init_folder(run, folders))
    return {**document, "files": files(folders, case)}


def prepare(run: Document, folders: Folders, settings: Settings) -> Prepared:
    """case.yml -> the project's own way in."""
    toplevel = str(folders.case / run.get("toplevel", "."))
    standard = ["inputs.yml"] if (folders.case / "inputs.yml").exists() else []
    initial = [str(folders.case / name) for name in run.get("initfiles", standard)]
    if not initial and (folders.current / "input.yml").exists():
        initial = [str(folders.current / "input.yml")]
    assignments = [f"{key}={typed(value)}" for key, value in (run.get("parameters") or {}).items()]
    extra = run.get("options") or []
    assignments += [value for flag, value in itertools.pairwise(extra) if flag == "-p"]
    data = {**(run.get("dataopts") or {}), "initdir": str(init_folder(run, folders))}
    scratch = folders.base / "scratch"
    scratch.mkdir(exist_ok=True)
    prepared = resolve(
        run.get("workflow", "workflow.yml"),
        sources=Sources.of(settings),
        options=TargetOptions(
            files=tuple(initial),
            assignments=tuple(assignments),
            data_options=tuple(f"{key}={typed(value)}" for key, value in data.items()),
            workflow_options=tuple(f"{key}={typed(value)}" for key, value in (run.get("wflowopts") or {}).items()),
            toplevel=toplevel,
            folder=folders.current,
            scratch=scratch,
        ),
    )
    controls = {key: value for key, value in (run.get("ctrlopts") or {}).items() if key == "disable_prepub"}
    return replace(prepared, options={**prepared.options, **controls})


def init_folder(run: Document, folders: Folders) -> Path:
    """Where the run's init files are: yadage takes it as relative to `pathbase`, or else to the work directory."""
    data = run.get("dataopts") or {}
    return folders.work / data.get("pathbase", "") / data.get("initdir", "init")


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over (or was given up): its engine, how it finished, all its events."""

    engine: Engine
    finish: FinishRun | None
    events: tuple[Event, ...]


class Installation:
    """A database, a storage, a real backend and a worker in a folder of their own. A context manager."""

    def __init__(self, home: Path, *, container: bool = False) -> None:
        home.mkdir(exist_ok=True)
        self._home = home
        self.settings = self._read_settings()
        self.storage = LocalStorage(self.settings.storage)
        self.storage.check()
        self.database = Database(self.settings.database)
        self._backend = "container" if container else "local"
        self._last: dict[str, Drive] = {}
        self._worker: Worker | None = None

    def _read_settings(self) -> Settings:
        flags = os.environ.get("RECAST_TEST_CONTAINER_FLAGS", "")
        with environment({"RECAST_HOME": str(self._home), **({"RECAST_CONTAINER_FLAGS": flags} if flags else {})}):
            return Settings.from_environment()

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._worker is not None:
            self._worker.close()
        self.database.close()

    def run(self, prepared: Prepared, *, limit_s: float = LIMIT_S) -> Ended:
        """Submit it and drive it to its end."""
        run = submit(prepared, database=self.database, storage=self.storage, owner="conformance")
        if self._worker is None:
            first = self.database.read_events(run)[0]
            settings = self._read_settings()  # with the variables of the case
            self._worker = Worker(
                self.database, self.storage, watch=lambda drive: self._last.__setitem__(drive.run, drive), host=True,
                backend=choose(self._backend, first[2], settings=settings, storage=self.storage),
            )  # fmt: skip
        give_up_at = time.monotonic() + limit_s
        self._worker.drive([run], until=lambda: time.monotonic() > give_up_at)
        events = tuple(from_row(kind, body) for _, kind, body in self.database.read_events(run))
        drive = self._last.pop(run)
        return Ended(drive.engine, drive.finish, events)


def describe(ended: Ended, prepared: Prepared, folders: Folders, storage: LocalStorage, *, init: Path) -> Document:
    """The engine's snapshot with the corpus's tokens; lays the run's files out in the work directory."""
    engine, finish = ended.engine, ended.finish
    assert finish is not None
    pairs = folders.pairs()
    brought = {tree.folder: str(tree.path) for tree in prepared.brought if tree.path is not None}
    folder_of = {**brought, INIT_ROOT: str(init)}
    pairs += [(RUN_ROOT, "$WORKDIR"), *((folder, Tokens(pairs).text(path)) for folder, path in folder_of.items())]
    tokens = Tokens(pairs)
    document: Document = tokens.data(engine.snapshot())
    document["status"] = "success" if finish.state is RunState.FINISHED else "failed"
    document["exit_code"] = 0 if finish.state is RunState.FINISHED else 1
    document["error"] = None if finish.state is RunState.FINISHED else {"message": tokens.text(finish.error)}
    trees: list[Input] = []
    for event in ended.events:
        if isinstance(event, RunStarted):
            trees += event.init.trees
        elif isinstance(event, JobFinished | JobFailed):
            if event.digest:
                trees.append(Input(engine.folder(event.node), event.key, event.attempt, event.digest))
            trees += [Input(folder, key, attempt, digest) for folder, _, _, key, attempt, digest in event.moved]
    real = [(str(storage.folder(tree.key, tree.attempt)), tokens.text(tree.folder)) for tree in trees]
    unbound = [(str(storage.place(tree.key, tree.attempt) / "view"), "") for tree in trees]
    content = Tokens([*real, *unbound, *pairs])
    for tree in trees:
        place = tokens.text(tree.folder)
        if place == "$WORKDIR" or place.startswith("$WORKDIR/"):
            lay_out(storage, tree, folders.work / place.removeprefix("$WORKDIR").lstrip("/"), content)
    return document


def lay_out(storage: LocalStorage, tree: Input, target: Path, content: Tokens) -> None:
    """Copy a tree of the run into the work directory, with tokens instead of the real places of jobs."""
    manifest = storage.manifest(tree.key, tree.attempt)
    assert manifest is not None, f"{tree.key}/{tree.attempt} has no manifest"
    target.mkdir(parents=True, exist_ok=True)
    for artifact in manifest.artifacts:
        path = target / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if artifact.kind == "folder":
            path.mkdir(exist_ok=True)
            continue
        path.unlink(missing_ok=True)
        if artifact.kind == "link":
            path.symlink_to(artifact.target)
        else:
            with storage.open(tree.key, tree.attempt, artifact.path) as stream:
                path.write_bytes(content.content(stream.read()))


def files(folders: Folders, case: Document) -> dict[str, Any]:
    """Everything in the work directory."""
    found = list_files(folders.work, Tokens(folders.pairs()))
    for pattern in case.get("volatile_files") or []:
        for path in fnmatch.filter(found, pattern):
            found[path] = {"volatile": True}
    return found


def failure(status: str, error: ReanaLiteError, tokens: Tokens) -> Document:
    """A run that did not begin."""
    told = {"class": type(error).__name__, "message": tokens.text(error.message)}
    return {"status": status, "exit_code": EXIT_CODE[type(error)], "error": told}


def typed(value: Any) -> str:
    """A value of case.yml as somebody would type it behind `KEY=`: texts as they are, the rest as YAML."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fill(value: Any, table: Mapping[str, str]) -> Any:
    """A copy with the corpus's tokens replaced by paths."""
    if isinstance(value, str):
        for token, path in table.items():
            value = value.replace(token, path)
        return value
    if isinstance(value, list):
        return [fill(item, table) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, table) for key, item in value.items()}
    return value


def blot(document: Any, parts: Sequence[str]) -> None:
    """Mark what the corpus calls undetermined."""
    if isinstance(document, dict):
        for key in fnmatch.filter(list(document), parts[0]):
            if len(parts) == 1:
                document[key] = "<undetermined>"
            else:
                blot(document[key], parts[1:])


@contextmanager
def environment(variables: Mapping[str, Any]) -> Iterator[None]:
    """Some variables of this process, for a while."""
    before = dict(os.environ)
    os.environ.update({key: str(value) for key, value in variables.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Run the cases named; with --out (one case) write the document, with several print how each compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE_DIR")
    parser.add_argument("--out", type=Path, help="write the result here instead of to standard output (one case)")
    parser.add_argument("--keep", type=Path, help="keep the folders of the runs below this one")
    parser.add_argument("--compare", action="store_true", help="compare with expected.json and print what differs")
    options = parser.parse_args()
    bad = 0
    for case_dir in options.cases:
        document = run_case(case_dir.resolve(), keep=options.keep)
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if options.compare:
            expected = json.loads((case_dir / "expected.json").read_text(encoding="utf-8"))
            found = compare(expected, document)
            bad += bool(found)
            print(f"{'differs' if found else 'agrees '} {case_dir.name}")
            for line in found:
                print(f"    {line}")
        elif options.out:
            options.out.write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
