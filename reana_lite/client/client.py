"""Client: what one asks a server for. It has no state but its connection; things.py holds what it gives."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from reana_lite.client.asking import Theory, file_of, form_of, given, part, points_body, several, written
from reana_lite.client.files import Files
from reana_lite.client.things import Artifact, Campaign, Point, Result, Results, Run, Table
from reana_lite.client.wire import Wire
from reana_lite.errors import InvalidInput, ReanaLiteError, Unavailable

Watched = TypeVar("Watched", Run, Campaign)

LOOK_S = (0.1, 5.0)
"""How often a run is looked at while it is waited for: at first, and when nothing has happened for long (seconds)."""

SILENCE_S = 25.0
"""How long a server that sends events may be silent: it gives a sign of life more often (seconds)."""

RESULTS = 200
"""Points that are asked for at once with their result documents (some kB each)."""

LOG_WAIT_S = 15.0
"""How long the server holds a request for more of a log (seconds)."""


class Client:
    """A server as one user sees it; also a context that closes its connection.

    `url` (default: RECAST_SERVER) with or without /api/v1; `token` (default: RECAST_TOKEN). Errors are those of
    reana_lite.errors. A server that does not answer is asked again for `patience_s` seconds; nothing is carried out twice.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, patience_s: float = 60.0) -> None:
        url = url or os.environ.get("RECAST_SERVER", "")
        if not url:
            raise InvalidInput("no server is named: give its address, or set RECAST_SERVER", field="url")
        self._wire = Wire(url, os.environ.get("RECAST_TOKEN", "") if token is None else token, patience_s=patience_s)
        self._files = Files(self._wire)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connection."""
        self._wire.close()

    # -- catalogue, oneself --------------------------------------------------------------------------------------------

    def me(self) -> dict[str, Any]:
        """Who one is, one's role, what one has used."""
        return dict(self._wire.get("/me"))

    def analyses(self, words: str = "", *, tag: str = "") -> list[dict[str, Any]]:
        """The analyses of the catalogue with these words in name, title or tags: name, title, kind, tags."""
        return list(self._wire.get("/analyses", {"q": words or None, "tag": tag or None})["items"])

    def analysis(self, name: str) -> dict[str, Any]:
        """One analysis: parameters (a JSON Schema), scans, results, examples, references."""
        return dict(self._wire.get(f"/analyses/{part(name)}"))

    # -- submitting ----------------------------------------------------------------------------------------------------

    def upload(self, *theories: Theory) -> list[str]:
        """The digests of theory files; the same bytes again are the same file, and are not sent if known by digest."""
        digests: list[str] = []
        pending: list[tuple[int, tuple[str, bytes]]] = []
        for theory in theories:
            if isinstance(theory, str) and theory.startswith("sha256:"):
                digests.append(theory)
                continue
            pending.append((len(digests), file_of(theory)))
            digests.append("")
        for start in range(0, len(pending), 50):
            some = pending[start : start + 50]
            items = self._wire.upload("/theories", [file for _, file in some])["items"]
            for (at, _), item in zip(some, items, strict=True):
                digests[at] = item["digest"]
        return digests

    def submit(
        self, analysis: str, theory: Theory | Sequence[Theory] | None = None, *,
        parameters: Mapping[str, Any] | None = None, texts: Mapping[str, str] | None = None, example: str = "",
        name: str = "", reuse: bool = True, key: str = "",
    ) -> Run:  # fmt: skip
        """Queue a run of an analysis for a theory (one file, or several that stand for it together).

        `texts` are parameters as a user types them ("2 TeV"). With the same idempotency `key` (default: one of its own)
        a request that is sent again is the same run.
        """
        body = self._run_body(analysis, theory, parameters, texts, example=example, name=name, reuse=reuse)
        return self._run(self._wire.post("/runs", body, key=key))

    def scan(
        self, analyses: str | Sequence[str], *, axes: Mapping[str, str | Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] = (), table: str | os.PathLike[str] | None = None,
        theory_points: Sequence[Theory] = (), patchset: Theory | None = None, where: Sequence[str] | str = (),
        template: str = "", theory: Theory | Sequence[Theory] | None = None,
        parameters: Mapping[str, Any] | None = None, texts: Mapping[str, str] | None = None, example: str = "",
        name: str = "", reuse: bool = True, key: str = "",
    ) -> Campaign:  # fmt: skip
        """Queue a scan. Points come from `axes` (name -> "START:STOP:STEP" or values), `points`, a CSV file, a theory file
        for each point, a pyhf patchset, or else from the analysis. An equal request again is the same campaign."""
        body = self._scan_body(
            analyses, theory_points, patchset, template,
            self._run_body("", theory, parameters, texts, example=example, name=name, reuse=reuse),
            points_body(axes=axes, points=points, table=table, where=where),
        )  # fmt: skip
        return self._campaign(self._wire.post("/campaigns", body, key=key))

    def plan(
        self, analyses: str | Sequence[str], *, axes: Mapping[str, str | Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] = (), table: str | os.PathLike[str] | None = None,
        theory_points: Sequence[Theory] = (), patchset: Theory | None = None, where: Sequence[str] | str = (),
        template: str = "", theory: Theory | Sequence[Theory] | None = None,
        parameters: Mapping[str, Any] | None = None, texts: Mapping[str, str] | None = None, example: str = "",
        scan: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """What `submit` (with points or `scan`: `scan`) would compute: steps that are there, steps to run, seconds.

        Nothing is queued.
        """
        shared = self._run_body("", theory, parameters, texts, example=example)
        given_points = given(points_body(axes=axes, points=points, table=table, where=where))
        if not (scan or given_points or theory_points or patchset or template):
            if not isinstance(analyses, str):
                raise InvalidInput("a plan of several analyses is one of a scan", field="analyses")
            return dict(self._wire.post("/plan", {"run": {**shared, "analysis": analyses}}))
        body = self._scan_body(analyses, theory_points, patchset, template, shared, given_points)
        return dict(self._wire.post("/plan", {"scan": body}))

    def _run_body(
        self, analysis: str, theory: Theory | Sequence[Theory] | None, parameters: Mapping[str, Any] | None,
        texts: Mapping[str, str] | None, **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        return given({"analysis": analysis, "theories": self.upload(*several(theory)), "parameters": dict(parameters or {}),
                      "texts": dict(texts or {}), **more})  # fmt: skip

    def _scan_body(
        self, analyses: str | Sequence[str], theory_points: Sequence[Theory], patchset: Theory | None, template: str,
        shared: Mapping[str, Any], points: Mapping[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        return given({
            "analyses": [analyses] if isinstance(analyses, str) else list(analyses),
            "theory_points": self.upload(*theory_points),
            "patchset": self.upload(patchset)[0] if patchset is not None else "", "template": template, **points, **shared,
        })  # fmt: skip

    # -- runs ----------------------------------------------------------------------------------------------------------

    def run(self, run: str) -> Run:
        """A run by its id, or of one's own by its name, or `latest`."""
        return self._run(self._wire.get(f"/runs/{part(run)}"))

    def runs(
        self, *, states: Sequence[str] = (), analysis: str = "", campaign: str = "", name: str = "", theory: str = "",
        shared: bool = False, limit: int | None = None,
    ) -> Iterator[Run]:  # fmt: skip
        """One's own runs, the newest first; `shared`: those that others share."""
        query = {"state": list(states), "analysis": analysis or None, "campaign": campaign or None, "name": name or None,
                 "theory": theory or None, "shared": shared or None}  # fmt: skip
        for row in self._pages("/runs", query, limit=limit):
            yield self._run(row)

    def wait(
        self, thing: Watched, *, watch: Callable[[Watched], None] | None = None, timeout_s: float | None = None
    ) -> Watched:
        """A run or campaign when it is over, however it ended; `watch` is called with each change of its progress.

        The server tells of changes (server-sent events); where it cannot, it is asked again and again. Raises Unavailable
        after `timeout_s` seconds (default: never); the run itself goes on then.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s, seen = LOOK_S[0], thing
        if watch is not None:
            watch(thing)
        news: Iterator[bool] = self._news(thing) if timeout_s is None or timeout_s > SILENCE_S else iter(())
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: close() if (close := getattr(news, "close", None)) is not None else None)
            while True:
                now = seen.refresh()
                if now != seen:
                    pause_s = LOOK_S[0]
                    if watch is not None:
                        watch(now)
                seen = now
                if seen.is_over:
                    return seen
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    kind = "run" if isinstance(seen, Run) else "campaign"
                    raise Unavailable(f"{kind} {seen.id} is still {seen.state} after {timeout_s:g} s", again=False)
                if (left_s is None or left_s > SILENCE_S) and next(news, False):
                    continue
                time.sleep(pause_s if left_s is None else min(pause_s, left_s))
                pause_s = min(pause_s * 1.3, LOOK_S[1])

    def _news(self, thing: Run | Campaign) -> Iterator[bool]:
        """True whenever something may have happened to a run or campaign; ends where the server cannot tell (any more)."""
        kind, told = ("runs", ("run", "end", "")) if isinstance(thing, Run) else ("campaigns", ("campaign", ""))
        with contextlib.suppress(ReanaLiteError):
            for event in self._wire.events(f"/{kind}/{part(thing.id)}/events", silence_s=SILENCE_S):
                if event in told:
                    yield True

    def stop(self, run: str) -> Run:
        """Ask for the end of a run: what is finished is kept."""
        return self._run(self._wire.post(f"/runs/{part(run)}/stop"))

    def rerun(self, run: str, *, name: str = "", reuse: bool | None = None, key: str = "") -> Run:
        """The same request again, as a new run that names the old one; steps that are as before are reused."""
        body = {**({"name": name} if name else {}), **({} if reuse is None else {"reuse": reuse})}
        return self._run(self._wire.post(f"/runs/{part(run)}/rerun", body, key=key))

    def delete(self, run: str) -> None:
        """Hide a run that is over."""
        self._wire.ask("DELETE", f"/runs/{part(run)}")

    def nodes(self, run: str) -> list[dict[str, Any]]:
        """The nodes of a run that have begun: node, state, attempt, reused_from."""
        return list(self._wire.get(f"/runs/{part(run)}/nodes")["items"])

    def jobs(self, run: str, *, node: str | None = None) -> list[dict[str, Any]]:
        """The attempts that the nodes of a run use: cause, exit code, times, advice."""
        return list(self._wire.get(f"/runs/{part(run)}/jobs", {"node": node})["items"])

    def log(self, run: str, node: str = "", *, tail: int | None = None) -> str:
        """What the steps of a run have printed so far, or one node of it, or the last lines of each."""
        answer = self._wire.ask("GET", f"/runs/{part(run)}/log", query={"node": node or None, "tail": tail})
        return answer.content.decode(errors="replace")

    def log_from(self, run: str, node: str, offset: int, *, wait_s: float = 0.0) -> tuple[bytes, bool]:
        """(what a node has printed from that byte on, waited for; whether there will be no more)."""
        query = {"node": node, "offset": offset, "wait_s": wait_s}
        answer = self._wire.ask("GET", f"/runs/{part(run)}/log", query=query)
        return answer.content, answer.headers.get("X-Log-Over") == "true"

    def follow_log(self, run: str, node: str) -> Iterator[str]:
        """What a node prints, as it prints it, until it is over. It must have begun."""
        import codecs

        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        offset, over = 0, False
        while not over:
            content, over = self.log_from(run, node, offset, wait_s=LOG_WAIT_S)
            offset += len(content)
            # what was printed between the last look and the end is still to be fetched
            over = over and not content
            if text := decoder.decode(content, final=over):
                yield text

    # -- what came out -------------------------------------------------------------------------------------------------

    def result(self, run: str) -> Result:
        """The result document of a run; raises NotFound, with its state, if it has none (yet)."""
        return Result.of(self._wire.get(f"/runs/{part(run)}/result"))

    def declared(self, run: str) -> dict[str, Any]:
        """What the analysis declares to give, with the paths and values of this run."""
        return dict(self._wire.get(f"/runs/{part(run)}/declared"))

    def artifacts(self, run: str, *, under: str = "") -> list[Artifact]:
        """The files of a run by path, those below a folder."""
        return self._files.listed(run, under)

    def read(self, run: str, path: str) -> bytes:
        """The bytes of one file, checked against its digest; for large ones see `download`."""
        return self._files.read(run, path)

    def download(self, run: str, to: str | Path, *paths: str) -> list[Path]:
        """Copy files of a run to a folder: all, or these (a folder takes all below it); gives where they are now.

        Streamed; each is checked against its digest and appears only when it is whole. One that is there already with the
        right bytes is not fetched again.
        """
        return self._files.download(run, Path(to), *paths)

    def compare(self, *, runs: Sequence[str] = (), campaigns: Sequence[str] = (), **options: Any) -> list[Table]:
        """Runs and campaigns as tables; options are those of POST /comparisons: rank, against, mass_limits, x, y, at."""
        body = {"runs": list(runs), "campaigns": list(campaigns), **options}
        return [Table(one) for one in self._wire.post("/comparisons", given(body))["tables"]]

    def export(
        self, to: str | os.PathLike[str], *, runs: Sequence[str] = (), campaigns: Sequence[str] = (), format: str = "",
        **options: Any,
    ) -> Path:  # fmt: skip
        """Write what the server makes of runs and campaigns to a file; gives where it is.

        `format` (default: by the ending of `to`): csv, json, text, latex, pdf, png, svg, html, or hepdata, pyhf, smodels,
        which are zip archives. Options are those of POST /comparisons: x, y, at, rank, against, mass_limits, map, topology,
        published.
        """
        form = form_of(to, format)
        body = given({"runs": list(runs), "campaigns": list(campaigns), **options})
        if form == "json":
            tables = self._wire.post("/comparisons", body)["tables"]
            return written(to, json.dumps(tables, indent=1).encode())
        answer = self._wire.ask("POST", "/comparisons", body={**body, "format": form})
        return written(to, answer.content)

    def export_run(
        self, run: str, to: str | os.PathLike[str], *, format: str = "", plot: str = "yields", **options: Any
    ) -> Path:
        """Write what came out of one run to a file; gives where it is.

        Its result (json, csv, text), its yields or limits (`plot`) as a figure (pdf, png, svg), or hepdata, pyhf, smodels
        (with x, y, topology).
        """
        query = {"format": form_of(to, format), "plot": plot, **options}
        return written(to, self._wire.ask("GET", f"/runs/{part(run)}/export", query=query).content)

    # -- campaigns -----------------------------------------------------------------------------------------------------

    def campaign(self, campaign: str) -> Campaign:
        """A campaign by its id, or of one's own by its name, or `latest`."""
        return self._campaign(self._wire.get(f"/campaigns/{part(campaign)}"))

    def campaigns(self, *, shared: bool = False, limit: int | None = None) -> Iterator[Campaign]:
        """One's own campaigns, the newest first; `shared`: those that others share."""
        for row in self._pages("/campaigns", {"shared": shared or None, "include": "progress"}, limit=limit):
            yield self._campaign(row)

    def points(self, campaign: str, *states: str) -> Iterator[Point]:
        """The points of a campaign in order, all or those in these states."""
        for row in self._points(campaign, {"state": list(states), "limit": 1000}):
            yield Point(**row)

    def outcomes(self, campaign: str, *states: str) -> Iterator[tuple[Point, dict[str, Any] | None]]:
        """The same with the result document of each point that has one."""
        query = {"state": list(states), "limit": RESULTS, "include": "result"}
        for row in self._points(campaign, query):
            document = row.pop("result")
            yield Point(**row), document

    def _points(self, campaign: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        after: int | None = None
        while True:
            page = self._wire.get(f"/campaigns/{part(campaign)}/points", {**query, "after": after})
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def results(self, campaign: str) -> Results:
        """The results of a campaign's finished points, with the values of their points among the parameters."""
        found = []
        for point, document in self.outcomes(campaign, "finished"):
            if document is not None:  # else its analysis declares none
                theory = document["theory"]
                parameters = {**theory["parameters"], **point.values}
                found.append(Result.of({**document, "theory": {**theory, "parameters": parameters}}))
        return Results(tuple(found))

    def verdicts(self, campaign: str) -> dict[str, str]:
        """The verdicts of a campaign's runs that have one, by run."""
        table = self.compare(campaigns=[self.campaign(campaign).id])[0]
        return {row["run"]: row["verdict"] for row in table.rows if row.get("run") and row.get("verdict")}

    def extend(
        self, campaign: str, *, axes: Mapping[str, str | Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] = (), table: str | os.PathLike[str] | None = None,
        theory_points: Sequence[Theory] = (), where: Sequence[str] | str = (),
        parameters: Mapping[str, Any] | None = None, texts: Mapping[str, str] | None = None, key: str = "",
    ) -> tuple[Campaign, int, int]:  # fmt: skip
        """(the campaign, points added, points computed anew): more points, given as to `scan`, or other parameters."""
        body = {
            **points_body(axes=axes, points=points, table=table, where=where), "parameters": dict(parameters or {}),
            "theory_points": self.upload(*theory_points), "texts": dict(texts or {}),
        }  # fmt: skip
        answer = self._wire.post(f"/campaigns/{part(campaign)}/extend", given(body), key=key)
        return self._campaign(answer["campaign"]), int(answer["added"]), int(answer["again"])

    def change_campaign(self, campaign: str, what: str) -> Campaign:
        """`what`: stop, resume (go on where it was stopped) or retry (failed points, too)."""
        return self._campaign(self._wire.post(f"/campaigns/{part(campaign)}/{part(what)}"))

    def delete_campaign(self, campaign: str) -> None:
        """Remove a campaign that is over or stopped, and hide its runs."""
        self._wire.ask("DELETE", f"/campaigns/{part(campaign)}")

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _run(self, document: Mapping[str, Any]) -> Run:
        return Run.of(document, self)

    def _campaign(self, document: Mapping[str, Any]) -> Campaign:
        return Campaign.of(document, self)

    def _pages(self, path: str, query: Mapping[str, Any], *, limit: int | None) -> Iterator[dict[str, Any]]:
        cursor, left = None, limit
        while left is None or left > 0:
            page = self._wire.get(path, {**query, "cursor": cursor, "limit": min(left or 1000, 1000)})
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            cursor = page["next"]
            if cursor is None:
                return
