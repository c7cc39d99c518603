"""The list of runs, and one run: verdict, graph, logs, results, where they come from, how long it took."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for

from reana_lite.advice import advice
from reana_lite.analysis import Analysis
from reana_lite.catalogue import known_analysis
from reana_lite.database import Database, JobRecord, NodeRecord, RunRecord
from reana_lite.errors import NotFound, ReanaLiteError
from reana_lite.event import RunState
from reana_lite.result import Result
from reana_lite.server import exporting
from reana_lite.server.outcomes import result_of_run
from reana_lite.server.pages import graph, headers, words
from reana_lite.server.pages.living import changed
from reana_lite.server.pages.sharing import shares_of
from reana_lite.server.pages.site import this_site
from reana_lite.server.sending import attached, disposition
from reana_lite.storage.base import Storage

PAGE = 50
"""Runs on one page."""

TAIL_BYTES = 32_000
"""How much of a log is shown on its own page."""

BLOCK = 1 << 18
"""How much of a log is in memory at a time when all of it is sent (bytes)."""

READ_S = 60.0
"""How long after its end a result of a run may still have to be read (seconds)."""

PART_BYTES = 8_000
"""How much of a log is shown on the page of its run."""

TAIL_LINES = 25
"""Lines of the log of a failed step that are shown at once."""

FIGURES = 100
"""Figures that are kept in memory (some 50 kB each)."""

OVER = ("finished", "failed", "stopped")
_figures: OrderedDict[tuple[str, str, str], exporting.Exported] = OrderedDict()
_lock = Lock()


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/runs", "runs", listed)
    pages.add_url_rule("/runs/<name>", "run", run)
    pages.add_url_rule("/runs/<name>/live", "run_live", live)
    pages.add_url_rule("/runs/<name>/log", "log", log)
    pages.add_url_rule("/runs/<name>/log/more", "log_more", log_more)
    pages.add_url_rule("/runs/<name>/yields.<form>", "yields", yields)
    pages.add_url_rule("/runs/<name>/result.<form>", "result", result)
    pages.add_url_rule("/runs/<name>/stop", "stop_run", stop, methods=["POST"])
    pages.add_url_rule("/runs/<name>/rerun", "rerun", rerun, methods=["POST"])


def listed() -> str:
    """Runs, the newest first, filtered."""
    site = this_site()
    chosen = {name: request.args.get(name, "") for name in ("state", "analysis", "name", "campaign", "shared")}
    states = [chosen["state"]] if chosen["state"] in set(RunState) else []
    found = site.runs(
        states=states, analysis=chosen["analysis"] or None, campaign=chosen["campaign"] or None, name=chosen["name"] or None,
        before=request.args.get("before") or None, limit=PAGE + 1, shared=bool(chosen["shared"]),
    )  # fmt: skip
    analyses = [entry.name for entry in site.catalogue().entries()]
    more = found[PAGE - 1].id if len(found) > PAGE else ""
    return render_template(
        "runs.html", runs=found[:PAGE], chosen=chosen, states=list(RunState), analyses=analyses, more=more
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that failed: why, what can be done, the end of what it printed."""

    node: str
    cause: str
    message: str
    advice: str
    tail: str


@dataclass(frozen=True, slots=True)
class Timing:
    """The jobs of one stage that this run has computed, and how long they took (seconds)."""

    stage: str
    computed: int
    reused: int
    waited_s: float
    mean_s: float
    longest_s: float
    sum_s: float
    begin: float
    end: float


def run(name: str) -> Any:
    """One run."""
    site = this_site()
    record = site.run(name)
    if name != record.id:
        return redirect(url_for("pages.run", name=record.id))
    return render_template("run.html", shares=shares_of(record), **_shown(record))


def live(name: str) -> Response:
    """What changes on the page of a run."""
    record = this_site().run(name)
    return changed("_run_live.html", **_shown(record))


def _shown(record: RunRecord) -> dict[str, Any]:
    database = this_site().database
    nodes = database.nodes_of(record.id)
    over = str(record.state) if record.state in OVER else ""
    declared = database.get_result(record.id, "declared") if over == "finished" else None
    reading = over == "finished" and declared is None and time.time() - (record.ended_at or 0.0) < READ_S
    unfold = request.args.get("stage", "")
    page = max(0, request.args.get("page", 0, type=int))
    drawing = graph.draw(needs_of(database, record.id), nodes, unfold=unfold, page=page, over=over)
    found = result_of_run(database, record.id) if record.state == "finished" else None
    jobs = database.jobs_of(record.id)
    node = request.args.get("node", "")
    chosen = next((one for one in nodes if one.node == node), None)
    unfolded = [one for one in nodes if graph.stage_of(one.node) == unfold] if unfold else []
    site = this_site()
    return {
        "may_change": site.may_change(record), "may_see": site.may_see,
        "run": record, "drawing": drawing, "unfold": unfold, "page": page, "result": found, "reading": reading,
        "over": bool(over) and not reading,
        "unfolded": len(unfolded), "page_size": graph.PAGE, "failures": _failures(database, record, nodes),
        "declared": declared,
        "timings": timings(jobs), "node": chosen, "current": _log_of(record, nodes, chosen),
        "analysis": _analysis(record), "nodes": nodes, "job": _job(jobs, chosen),
    }  # fmt: skip


def _job(jobs: list[JobRecord], node: NodeRecord | None) -> JobRecord | None:
    return next((job for job in jobs if node is not None and job.node == node.node), None)


def _analysis(record: RunRecord) -> Analysis | None:
    """The analysis of a run, if it is still to be found."""
    try:
        return known_analysis(Path(str(record.request.get("target", ""))))
    except (ReanaLiteError, OSError):
        return None


@lru_cache(maxsize=2000)
def _needs(key: str, run: str, database: Database) -> dict[str, set[str]]:
    body = next(database.timeline(run))[2]
    return graph.stages_of(body.get("workflow", {}))


def needs_of(database: Database, run: str) -> dict[str, set[str]]:
    """What each stage of a run refers to."""
    try:
        return _needs(this_site().settings.database, run, database)
    except StopIteration:
        return {}


def _failures(database: Database, record: RunRecord, nodes: list[NodeRecord]) -> list[Failure]:
    found = []
    for node in [node for node in nodes if node.state == "failed"][:3]:
        attempt = next((one for one in database.attempts(node.key) if one.attempt == node.attempt), None)
        cause = attempt.cause if attempt is not None else "image"
        message = attempt.message if attempt is not None else "its software could not be had"
        text = (
            words.log_text(this_site().storage.log(node.key, node.attempt, -PART_BYTES)) if attempt is not None else ""
        )
        tail = "\n".join(text.rstrip().split("\n")[-TAIL_LINES:])
        found.append(Failure(node.node, cause, message, advice(cause, node.node, record.id), tail))
    return found


def timings(jobs: list[JobRecord]) -> list[Timing]:
    """How long the stages took, in the order in which they began."""
    stages: dict[str, list[JobRecord]] = {}
    for job in jobs:
        stages.setdefault(graph.stage_of(job.node), []).append(job)
    rows = []
    for stage, members in stages.items():
        own = [job for job in members if not job.reused_from and job.started_at]
        took = [max(0.0, (job.ended_at or job.started_at) - job.started_at) for job in own]
        waits = [max(0.0, job.started_at - job.queued_at) for job in own if job.queued_at]
        rows.append(Timing(
            stage, len(own), sum(bool(job.reused_from) for job in members), sum(waits) / len(waits) if waits else 0.0,
            sum(took) / len(took) if took else 0.0, max(took, default=0.0), sum(took),
            min((job.started_at for job in own), default=0.0), max((job.ended_at for job in own), default=0.0),
        ))  # fmt: skip
    return sorted(rows, key=lambda row: row.begin or float("inf"))


# -- logs --------------------------------------------------------------------------------------------------------------
def _log_of(record: RunRecord, nodes: list[NodeRecord], chosen: NodeRecord | None) -> dict[str, Any] | None:
    """The log to be shown on the page: of the node that was chosen, else of one that runs, else of the last one."""
    begun = [node for node in nodes if node.attempt]
    node = chosen if chosen is not None and chosen.attempt else next((n for n in begun if n.state == "running"), None)
    if node is None:
        node = next((n for n in begun if n.state == "failed"), None)
    if node is None:
        return None
    return _tail(record, node, PART_BYTES)


def _tail(record: RunRecord, node: NodeRecord, most: int = TAIL_BYTES) -> dict[str, Any]:
    """The end of a log, and where what comes after it begins."""
    storage = this_site().storage
    content = storage.log(node.key, node.attempt, -most)
    start = 0
    if len(content) >= most:
        start = max(0, log_size(storage, node) - most)
        content = storage.log(node.key, node.attempt, start, limit=2 * most)
    return {"node": node.node, "text": words.log_text(content), "cut": start, "offset": start + len(content),
            "going": node.state == "running" and record.state not in OVER}  # fmt: skip


def log_size(storage: Storage, node: NodeRecord) -> int:
    """How long a log is (bytes), by asking for single bytes of it: it may be too long to be read."""
    low, high = 0, 1 << 16
    while storage.log(node.key, node.attempt, high, limit=1):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if storage.log(node.key, node.attempt, middle, limit=1):
            low = middle + 1
        else:
            high = middle
    return low


def _node(record: RunRecord) -> NodeRecord:
    wanted = request.args.get("node", "")
    for node in this_site().database.nodes_of(record.id):
        if node.node == wanted and node.attempt:
            return node
    raise NotFound(f"nothing was printed by {wanted or 'a node without a name'} in this run", node=wanted)


def log(name: str) -> Any:
    """All that a step has printed, as a page or (`?raw`) as a text file."""
    record = this_site().run(name)
    node = _node(record)
    if "raw" in request.args:
        answer = Response(_whole_log(this_site().storage, node), mimetype="text/plain")
        answer.headers["Content-Disposition"] = disposition(f"{record.id}{node.node.replace('/', '-')}.log")
        return answer
    return render_template("log.html", run=record, current=_tail(record, node))


def _whole_log(storage: Storage, node: NodeRecord) -> Iterator[bytes]:
    offset = 0
    while block := storage.log(node.key, node.attempt, offset, limit=BLOCK):
        offset += len(block)
        yield block


def log_more(name: str) -> str:
    """What was printed since, and what asks for more."""
    record = this_site().run(name)
    node = _node(record)
    offset = max(0, request.args.get("offset", 0, type=int))
    content = this_site().storage.log(node.key, node.attempt, offset, limit=TAIL_BYTES)
    going = (node.state == "running" and record.state not in OVER) or len(content) == TAIL_BYTES
    return render_template("_log_more.html", run=record, current={
        "node": node.node, "text": words.log_text(content), "offset": offset + len(content), "going": going,
    })  # fmt: skip


# -- results -----------------------------------------------------------------------------------------------------------
def yields(name: str, form: str) -> Response:
    """The figure of the yields, as svg, pdf or png."""
    if form not in exporting.FIGURES:
        raise NotFound(f"no figure in the form {form!r}; there are svg, pdf and png", form=form)
    record = this_site().run(name)
    found = result_of_run(this_site().database, record.id)
    if found is None:
        raise NotFound(f"run {record.id} has no result to draw", run=record.id)
    made = _yields(this_site().settings.database, record.id, form, found)
    keep = form == "pdf" or "keep" in request.args
    answer = attached(made.content, made.media_type, f"{record.id}-{made.name}", keep=keep)
    answer.headers["Cache-Control"] = "private, max-age=86400"
    answer.headers["Content-Security-Policy"] = headers.ARTIFACT
    return answer


def _yields(key: str, run: str, form: str, found: Result) -> exporting.Exported:
    """The figure, drawn once: a result never changes."""
    with _lock:
        made = _figures.get((key, run, form))
    if made is None:
        made = exporting.figure_of(found, "yields", form)
        with _lock:
            _figures[key, run, form] = made
            while len(_figures) > FIGURES:
                _figures.popitem(last=False)
    return made


def result(name: str, form: str) -> Response:
    """The result as JSON, CSV or text, to be kept."""
    record = this_site().run(name)
    found = result_of_run(this_site().database, record.id)
    if found is None:
        raise NotFound(f"run {record.id} has no result", run=record.id)
    forms = {"json": "json", "csv": "csv", "txt": "text"}
    if form not in forms:
        raise NotFound(f"no result in the form {form!r}; there are {', '.join(forms)}", form=form)
    made = exporting.result_in(found, forms[form])
    return attached(made.content, made.media_type, f"{record.id}-{made.name}")


# -- doing something ---------------------------------------------------------------------------------------------------
def stop(name: str) -> Any:
    """Ask for its end."""
    site = this_site()
    record = site.run(name)
    site.stop_run(record.id)
    return redirect(url_for("pages.run", name=record.id), 303)


def rerun(name: str) -> Any:
    """The same once more."""
    site = this_site()
    made = site.rerun(site.run(name).id)
    return redirect(url_for("pages.run", name=made), 303)
