"""An installation whose pages are as full as they get: a campaign of many points, a run of many steps, many of everything.

Called by bench_pages.py and by the test of what pages weigh. Rows are written straight into the tables; the numbers are
invented, their number and their figures are those of atlas-susy-2018-22 (70 regions, 13 likelihoods).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from reana_lite.config import Settings
from reana_lite.database import Database, tables
from reana_lite.storage import open_storage

AT = 1_790_000_000.0
ANALYSIS = "atlas-susy-2018-22"
STAGES = ("theory", "generate", "select", "merge", "limits", "plots")


def fill(database: Database, *, owner: str, points: int, steps: int, campaigns: int = 40) -> dict[str, str]:
    """Write it all; gives the ids of the large campaign (`plane`), one over one axis (`row`), and runs (`wide`, `run`)."""
    rows: dict[str, list[dict[str, Any]]] = {}
    across = math.isqrt(points)
    plane = [
        (1000 + 1600 * i // across, 1500 * j // across) for i in range(across) for j in range(-(-points // across))
    ]
    for number, (campaign, places) in enumerate(
        [("cplane", plane[:points]), ("crow", [(1000 + 40 * i, 0) for i in range(40)])]
        + [(f"cmore{n}", [(1000 + n, 0)]) for n in range(campaigns)]
    ):
        _campaign(rows, campaign, places, owner=owner, at=AT + 10_000 * number)
    _run(rows, "rwide", "", (2000, 0), owner=owner, at=AT + 9_999_999, steps=steps)
    with database.transaction() as transaction:
        for name, some in rows.items():
            table = getattr(tables, name)
            for start in range(0, len(some), 500):
                transaction.connection.execute(table.insert(), some[start : start + 500])
    return {"plane": "cplane", "row": "crow", "wide": "rwide", "run": "rcplane0"}


def _campaign(rows: dict[str, Any], name: str, places: list[tuple[int, int]], *, owner: str, at: float) -> None:
    request = {"targets": [ANALYSIS], "axes": ["m_gluino", "m_lsp"], "contents": ["sha256:" + "0" * 64]}
    rows.setdefault("campaigns", []).append({
        "id": name, "name": f"a scan with a name as people give them {name}", "owner": owner, "digest": name,
        "request": json.dumps(request), "skipped": json.dumps({"unphysical": 3}), "created_at": at,
    })  # fmt: skip
    for number, place in enumerate(places):
        run = f"r{name}{number}"
        rows.setdefault("points", []).append({
            "campaign": name, "target": ANALYSIS, "number": number + 1, "key": f"{name}{number}", "run": run,
            "name": f"m_gluino={place[0]},m_lsp={place[1]}",
            "document": json.dumps({"m_gluino": place[0], "m_lsp": place[1]}),
        })  # fmt: skip
        _run(rows, run, name, place, owner=owner, at=at + number)


def _run(
    rows: dict[str, Any], run: str, campaign: str, place: tuple[int, int], *, owner: str, at: float, steps: int = 2
) -> None:
    total = len(STAGES) - 2 + 2 * steps
    theory = f"m_gluino={place[0]},m_lsp={place[1]}"
    rows.setdefault("runs", []).append({
        "id": run, "name": campaign or "wide", "number": len(rows.get("runs", ())), "owner": owner,
        "analysis": ANALYSIS, "theory": theory,
        "campaign": campaign, "state": "finished", "created_at": at, "queued_at": at, "started_at": at + 1,
        "ended_at": at + 200, "total": total, "finished": total, "next_seq": 1,
    })  # fmt: skip
    asked = {
        "target": ANALYSIS,
        "analysis": ANALYSIS,
        "parameters": {"n_events": 5000},
        "point": {"m_gluino": place[0]},
    }
    rows.setdefault("requests", []).append({"run": run, "document": json.dumps(asked)})
    before = ["init", *STAGES]
    workflow = {"stages": [
        {"name": stage, "dependencies": ["init"], "scheduler": {"parameters": {"x": {"step": before[at], "output": "o"}}}}
        for at, stage in enumerate(STAGES)
    ]}  # fmt: skip
    body = {"workflow": workflow, "init": {}, "version": 1, "options": {}}
    rows.setdefault("events", []).append(
        {"run": run, "seq": 0, "kind": "RunStarted", "body": json.dumps(body), "at": at}
    )
    rows.setdefault("results", []).append(
        {"run": run, "kind": "result", "at": at, "document": json.dumps(_result(run, place))}
    )
    for stage in STAGES:
        for number in range(steps if stage in ("generate", "select") else 1):
            key = f"{run}{stage}{number}"
            rows.setdefault("keys", []).append({"key": key, "counts": 1, "latest": 1})
            rows.setdefault("jobs", []).append({
                "key": key, "attempt": 1, "state": "finished", "backend": "local", "exit_code": 0,
                "digest": "sha256:" + "0" * 64, "size_bytes": 1000, "started_at": at + 1, "ended_at": at + 9,
                "first_run": run,
            })  # fmt: skip
            rows.setdefault("nodes", []).append(
                {"run": run, "node": f"/{stage}/{number}", "key": key, "attempt": 1, "state": "finished"}
            )


def _result(run: str, place: tuple[int, int]) -> dict[str, Any]:
    mu = math.exp((place[0] + place[1] / 2 - 2200) / 180)
    cls = min(1.0, 0.05 * mu**2)
    limits = [
        {"name": f"MB-{n}" if n < 3 else f"SR{n}j-2200", "kind": "multi-bin", "method": "asymptotic", "status": "ok",
         "cls_observed": cls * (1 + n), "cls_expected": [cls / 10, cls / 3, cls, 3 * cls, 9 * cls],
         "mu_limit_observed": mu * (1 + n), "mu_limit_expected": [mu * f for f in (0.5, 0.7, 1.0, 1.4, 2.0)],
         "xsec_pb": 1.01e-3, "xsec_limit_observed_pb": mu * 1.01e-3, "xsec_limit_expected_pb": mu * 1.01e-3,
         "r_observed": 1 / mu, "r_expected": 1 / mu, "delta_nll": 3.2}
        for n in range(13)
    ]  # fmt: skip
    regions = [
        {"name": f"MB-GGd-4-{n}00-10", "observed": 100 + n, "background": 100.5 + n, "background_error": 7.25,
         "n_passed": 900, "efficiency": 0.0123, "efficiency_error": 0.0021, "efficiency_upper": 0.02,
         "signal": 3.14159, "signal_mc_error": 0.27, "signal_systematic": 0.314}
        for n in range(70)
    ]  # fmt: skip
    return {
        "version": 1, "analysis": ANALYSIS, "run": run, "lumi_ifb": 139.0, "regions": regions, "limits": limits,
        "best": "MB-0",
        "theory": {"name": f"m_gluino={place[0]},m_lsp={place[1]}", "units": {"m_gluino": "GeV"},
                   "parameters": {"m_gluino": float(place[0]), "m_lsp": float(place[1])}},
        "processes": [{"name": "gluino-gluino", "xsec_pb": 1.01e-3, "xsec_error_pb": 1.3e-4, "xsec_order": "NNLO",
                       "xsec_source": "", "n_events": 5000}],
        "verdict": "excluded" if mu < 1 else "not-excluded", "verdict_xsec_up": "excluded",
        "verdict_xsec_down": "not-excluded",
        "validity": {"within": place[0] - place[1] > 300, "reasons": [] if place[0] - place[1] > 300 else ["compressed"]},
        "advice": ["the error of the cross-section is not fitted but shown as verdicts at +-1 sigma"], "warnings": [],
        "cutflow": {"SR4j-2200": [["all", 1.0], ["preselection", 0.885]]},
        "provenance": {"seeds": [1, 2], "reana_lite": "0.1.0", "python": "3.11", "platform": "Linux", "environments": [],
                       "inputs": {}},
    }  # fmt: skip


def pages(ids: dict[str, str]) -> dict[str, str]:
    """Addresses of all kinds of pages, the fullest of each."""
    return {
        "catalogue": "/", "analysis": f"/analyses/{ANALYSIS}", "runs": "/runs", "run": f"/runs/{ids['run']}",
        "run of many steps": f"/runs/{ids['wide']}", "run, unfolded": f"/runs/{ids['wide']}?stage=generate",
        "campaigns": "/campaigns", "campaign, plane": f"/campaigns/{ids['plane']}",
        "campaign, row": f"/campaigns/{ids['row']}",
        "compare, choose": "/compare", "compare": f"/compare?of={ids['plane']}&of={ids['row']}", "profile": "/profile",
        "admin": "/admin", "help": "/help",
    }  # fmt: skip


def without_plots(page: bytes) -> bytes:
    """A page without what it draws: marks, contours, the graph."""
    import re

    return re.sub(rb"(?s)<svg[^>]*(?:class=\"plane\"|aria-label=\"Stages).*?</svg>", b"", page)


def site(home: Path, *, points: int, steps: int) -> tuple[Any, dict[str, str]]:
    """(a client of a filled installation, signed in as an administrator; ids)."""
    from reana_lite.database import tokens, users
    from reana_lite.database.users import Role, User
    from reana_lite.server import auth, create_app

    settings = Settings.from_environment({"RECAST_HOME": str(home), "RECAST_USER": "root"})
    database, storage = Database(settings.database), open_storage(settings)
    storage.check()
    app = create_app(settings, database=database, storage=storage)
    users.add(database, User("root", Role.ADMIN))
    secret, _ = tokens.add(database, "root", kind="session", role=Role.ADMIN, valid_s=3600)
    ids = fill(database, owner="root", points=points, steps=steps)
    client = app.test_client()
    client.set_cookie(auth.COOKIE, secret)
    return client, ids
