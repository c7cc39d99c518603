"""What came out of runs and campaigns as files, by the API and the client: every form, and what cannot be written."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from serving import World

from reana_lite.database import results
from reana_lite.server import exporting

FEW = {"n_events": 100, "blocks": [1]}
FILES_LEFT_OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""By HEPData's validator."""

PLANE = {"m_gluino": [1600, 2000, 2400], "m_lsp": [0, 800]}


@pytest.fixture
def plane(world: World) -> str:
    """alice's campaign over a plane."""
    made = world.client("alice").post(
        "/api/v1/campaigns", json={"analyses": ["counting"], "axes": PLANE, "parameters": FEW}
    )
    assert made.status_code == 201, made.text
    world.drive()
    return str(made.json["id"])


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def be_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of the example are those of a toy, which no map may be made of."""
    documents = results.documents

    def valid(*args: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for run, document in documents(*args):
            yield run, document | {"validity": {"within": True, "reasons": []}}

    monkeypatch.setattr(results, "documents", valid)


def test_a_campaign_in_every_form(world: World, plane: str) -> None:
    alice, bob = world.client("alice"), world.client("bob")
    assert bob.get(f"/api/v1/campaigns/{plane}/export?format=pdf").status_code == 404
    begins = {
        "pdf": b"%PDF",
        "png": b"\x89PNG",
        "svg": b"<?xml",
        "html": b"<!doctype html>",
        "json": b"[",
        "latex": b"%",
    }
    for form, beginning in begins.items():
        answer = alice.get(f"/api/v1/campaigns/{plane}/export?format={form}")
        assert answer.status_code == 200, f"{form}: {answer.text[:500]}"
        assert answer.data.startswith(beginning), form
        assert answer.mimetype in exporting.MEDIA
        assert "attachment" in answer.headers["Content-Disposition"]
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        headers = {"Idempotency-Key": f"draw {form}"}  # a file is made again; what is kept are documents
        for _ in range(2):
            posted = alice.post("/api/v1/comparisons", json={"campaigns": [plane], "format": form}, headers=headers)
        assert posted.status_code == 200
        assert form == "json" or posted.data == answer.data  # one implementation behind both
    csv = alice.get(f"/api/v1/campaigns/{plane}/export")
    assert len(csv.text.splitlines()) >= 7
    assert "m_gluino" in csv.text
    row = alice.get(f"/api/v1/campaigns/{plane}/export?format=svg&at=m_lsp%3D0")
    assert row.status_code == 200
    assert "row.svg" in row.headers["Content-Disposition"]
    ranking = alice.get(f"/api/v1/campaigns/{plane}/export?format=png&rank=theories")
    assert "ranking.png" in ranking.headers["Content-Disposition"]
    drawn = alice.get(f"/api/v1/campaigns/{plane}/export?format=png&map=r")
    assert "map.png" in drawn.headers["Content-Disposition"]


@FILES_LEFT_OPEN
@pytest.mark.skipif(find_spec("hepdata_lib") is None, reason="the extra hepdata is not installed")
def test_hepdata(world: World, plane: str) -> None:
    alice = world.client("alice")
    hepdata = members(alice.get(f"/api/v1/campaigns/{plane}/export?format=hepdata").data)
    assert b"preserved analysis" in hepdata["submission.yaml"]
    assert len(hepdata) > 3  # results, mass limits, contours
    run = alice.get(f"/api/v1/campaigns/{plane}/points").json["items"][0]["run"]
    assert "submission.yaml" in members(alice.get(f"/api/v1/runs/{run}/export?format=hepdata").data)


@pytest.mark.skipif(find_spec("hepdata_lib") is not None, reason="the extra hepdata is installed")
def test_without_hepdata_it_is_told_how_to_have_it(world: World, plane: str) -> None:
    answer = world.client("alice").get(f"/api/v1/campaigns/{plane}/export?format=hepdata")
    assert answer.status_code in (400, 403, 503)
    assert "hepdata" in answer.json["error"]["message"]


def test_archives(world: World, plane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = world.client("alice")
    toys = alice.get(f"/api/v1/campaigns/{plane}/export?format=smodels&topology=T1")
    assert toys.status_code == 400
    assert "within validity" in toys.json["error"]["message"]
    be_valid(monkeypatch)
    answer = alice.get(f"/api/v1/campaigns/{plane}/export?format=smodels&topology=T1")
    assert answer.status_code == 200, answer.text
    maps = members(answer.data)
    assert any(name.endswith("T1.txt") and b"2400" in text for name, text in maps.items())

    def likelihoods(installation: object, run: str) -> list[tuple[str, bytes]]:
        mu = {"name": "mu", "type": "normfactor", "data": None}
        samples = [{"name": "b", "data": [5.0], "modifiers": []}, {"name": "s", "data": [1.0], "modifiers": [mu]}]
        document = {
            "version": "1.0.0", "channels": [{"name": "SR", "samples": samples}],
            "observations": [{"name": "SR", "data": [5.0]}],
            "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        }  # fmt: skip
        return [("all", json.dumps(document).encode())]

    refused = alice.get(f"/api/v1/campaigns/{plane}/export?format=pyhf")
    assert refused.status_code == 400
    assert "likelihood" in refused.json["error"]["message"]
    monkeypatch.setattr(exporting._Likelihoods, "__call__", likelihoods)
    patches = members(alice.get(f"/api/v1/campaigns/{plane}/export?format=pyhf").data)
    assert len(json.loads(patches["all/patchset.json"])["patches"]) == 6
    assert "all/BkgOnly.json" in patches


def test_one_run(world: World, plane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    be_valid(monkeypatch)
    alice = world.client("alice")
    run = alice.get(f"/api/v1/campaigns/{plane}/points").json["items"][0]["run"]
    result = alice.get(f"/api/v1/runs/{run}/result").json
    assert alice.get(f"/api/v1/runs/{run}/export?format=json").json == result
    assert alice.get(f"/api/v1/runs/{run}/export").text.startswith("name,")
    assert "at 95 % CL" in alice.get(f"/api/v1/runs/{run}/export?format=text").text
    figures = {
        plot: alice.get(f"/api/v1/runs/{run}/export?format=svg&plot={plot}").data for plot in ("yields", "limits")
    }
    assert figures["yields"] != figures["limits"]
    maps = alice.get(f"/api/v1/runs/{run}/export?format=smodels&topology=T1&x=m_gluino&y=m_lsp")
    assert maps.status_code == 200
    assert alice.get(f"/api/v1/runs/{run}/export?format=html").status_code == 400
    tiny = alice.post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    assert alice.get(f"/api/v1/runs/{tiny}/export").status_code == 404  # not over yet


@pytest.mark.parametrize(("query", "said"), [
    ("format=docx", "docx"), ("format=smodels", "topology"), ("format=smodels&topology=T99", "T99"),
    ("at=m_lsp", "AXIS=VALUE"), ("x=m_stop&format=pdf", "m_stop"), ("format=pdf&map=SR99", "SR99"), ("y=m_lsp", "needs x"),
    ("x=m_gluino&format=pdf", "at (m_lsp)"), ("rank=best", "best"),
])  # fmt: skip
def test_what_cannot_be_written(world: World, plane: str, query: str, said: str) -> None:
    answer = world.client("alice").get(f"/api/v1/campaigns/{plane}/export?{query}")
    assert answer.status_code == 400, answer.text[:300]
    message = answer.json["error"]["message"]
    assert said in message
    assert "\n" not in message


def test_what_is_published_is_drawn_over(world: World, plane: str) -> None:
    alice, grid = (
        world.client("alice"),
        "m_gluino,m_lsp,r\n1600,0,2\n2000,0,1.1\n2400,0,0.4\n1600,800,1.5\n2400,800,0.2\n",
    )
    asked = {"campaigns": [plane], "format": "csv", "published": {"Paper": grid}}
    table = alice.post("/api/v1/comparisons", json=asked)
    assert table.status_code == 200, table.text
    assert "published" in table.text
    assert alice.post("/api/v1/comparisons", json={**asked, "format": "pdf"}).data.startswith(b"%PDF")
    wrong = alice.post("/api/v1/comparisons", json={**asked, "published": {"Paper": "m_gluino\nx\n"}})
    assert wrong.status_code == 400
    assert "Paper" in wrong.json["error"]["message"]
