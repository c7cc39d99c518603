"""The form of an analysis: every way to give a theory, or many; what was sent is not asked for again."""

from __future__ import annotations

import io
import json
import re
import shutil
from typing import Any

import pytest
from browsing import FAST, axes, begin, send
from flask.testing import FlaskClient
from serving import THEORY, World

from reana_lite.database import campaigns

OTHER = THEORY.replace(b"2000", b"2400")


def file(content: bytes = THEORY, name: str = "my.yml") -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


def names(world: World, campaign: str) -> list[tuple[str, str]]:
    """(analysis, point) of a campaign."""
    return [(row.target, row.point.name) for row in campaigns.all_points(world.database, campaign)]


def sibling(world: World, points: str = "") -> str:
    """A second analysis of the same axes; with a table of points that it publishes."""
    folder = world.settings.home / "catalogue" / "counting-too"
    shutil.copytree(folder.parent / "counting", folder)
    text = (folder / "analysis.yml").read_text().replace("name: counting", "name: counting-too")
    if points:
        (folder / "points.csv").write_text(points)
        text = re.sub(r"(?m)^( +)template: (.*scan.*|.*\.yml)$", r"\g<0>\n\g<1>points: points.csv", text, count=1)
        assert "points: points.csv" in text
    (folder / "analysis.yml").write_text(text)
    return "counting-too"


def test_many_theory_files_are_a_point_each(world: World) -> None:
    client = world.browser("alice")
    made = begin(client, "counting", theory="each", each=[file(), file(OTHER, "other.yml")], name="folder", **FAST)
    assert [name for _, name in names(world, made)] == ["my", "other"]


def test_the_points_that_an_analysis_publishes(world: World) -> None:
    name = sibling(world, "m_gluino,m_lsp\n1800,0\n2200,0\n2200,400\n")
    client = world.browser("alice")
    page = client.get(f"/analyses/{name}").text
    assert "The points that the analysis publishes" in page
    assert "The points that the analysis publishes" not in client.get("/analyses/counting").text
    made = begin(client, name, theory="published", where="m_lsp < 100", **FAST)
    assert [point for _, point in names(world, made)] == ["m_gluino=1800,m_lsp=0", "m_gluino=2200,m_lsp=0"]
    assert "publishes no points" in send(client, "/analyses/counting", 400, theory="published").text


def test_several_analyses_of_one_scan(world: World) -> None:
    name = sibling(world)
    client = world.browser("alice")
    assert f'name="also" value="{name}"' in client.get("/analyses/counting").text
    made = begin(client, "counting", theory="scan", also=name, **axes(2000, 2200, 0), **FAST)
    assert [(target.rpartition("/")[2], point) for target, point in names(world, made)] == [
        (one, f"m_gluino={m},m_lsp=0") for one in ("counting", name) for m in (2000, 2200)
    ]
    world.drive()
    page = client.get(f"/campaigns/{made}").text
    assert '<th scope="col">Analysis</th>' in page
    assert "Analyses by expected sensitivity" in client.get(f"/compare?of={made}").text


def test_several_analyses_of_one_theory_file(world: World) -> None:
    name = sibling(world)
    client = world.browser("alice")
    made = begin(client, "counting", theory="files", also=name, file=file(), **FAST)
    assert [point for _, point in names(world, made)] == ["my", "my"]
    assert (
        "several analyses are asked by a scan" in send(client, "/analyses/counting", 400, theory="none", also=name).text
    )


def test_a_table_of_points(world: World) -> None:
    client = world.browser("alice")
    table = file(b"m_gluino,m_lsp\n1900,0\n2000,100\n", "points.csv")
    made = begin(client, "counting", theory="table", points=table, **FAST)
    assert len(names(world, made)) == 2
    assert (
        "no text in UTF-8"
        in send(client, "/analyses/counting", 400, theory="table", points=file(b"\xff\xfe\x00", "p.csv")).text
    )
    assert "the table of points is missing" in send(client, "/analyses/counting", 400, theory="table").text


def test_a_file_that_was_sent_need_not_be_sent_again(world: World) -> None:
    client = world.browser("alice")
    plan = send(client, "/analyses/counting", 200, do="plan", theory="files", file=file(), **FAST).text
    kept = re.search(r'name="kept" value="(sha256:[0-9a-f]{64})"', plan)
    assert kept is not None
    assert "The theory file that was sent before: my.yml" in plan
    assert 'value="kept" checked' in plan
    run = begin(client, "counting", theory="kept", kept=kept[1], **FAST)
    assert world.database.get_run(run).theory == "my"
    assert client.get("/analyses/counting").text.count('name="kept"') == 0


def test_it_is_kept_for_who_sent_it_alone(world: World) -> None:
    plan = send(world.browser("alice"), "/analyses/counting", 200, do="plan", theory="files", file=file()).text
    kept = re.search(r'name="kept" value="(sha256:[0-9a-f]{64})"', plan)
    assert kept is not None
    refused = world.browser("bob")
    send(refused, "/analyses/counting", 404, theory="kept", kept=kept[1])
    assert not world.database.list_runs(owner="bob")


def test_a_clone_has_the_theory_of_its_run(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, "counting", theory="files", file=file(), p__n_events="300", p__blocks="[1]")
    form = client.get(f"/analyses/counting?like={run}").text
    assert 'value="kept" checked' in form
    assert 'name="p.n_events" value="300"' in form


def test_a_clone_of_a_point_is_a_scan_of_one_point(world: World) -> None:
    client = world.browser("alice")
    made = begin(client, "counting", theory="scan", **axes(2000, 2200, 0), **FAST)
    world.drive()
    run = campaigns.points(world.database, made)[0].run
    page = client.get(f"/runs/{run}").text
    assert "Run again" not in page, "points are tried again by their campaign"
    form = client.get(f"/analyses/counting?like={run}").text
    assert 'value="scan" checked' in form
    assert 'name="a.gluino.m_gluino.from" value="2000"' in form


@pytest.mark.parametrize("way", ["files", "each", "kept"])
def test_no_file_is_said(world: World, way: str) -> None:
    assert "no theory file was" in send(world.browser("alice"), "/analyses/counting", 400, theory=way).text


def test_a_patch_set_is_a_point_for_each_patch(world: World) -> None:
    client: FlaskClient = world.browser("alice")
    folder = world.settings.home / "catalogue" / "counting"
    text = (folder / "analysis.yml").read_text()
    (folder / "analysis.yml").write_text(re.sub(r"formats: \[", "formats: [patchset, ", text, count=1))
    assert 'name="patchset"' in client.get("/analyses/counting").text
    patch: dict[str, Any] = {
        "metadata": {"references": {}, "description": "d", "digests": {"sha256": "0" * 64}, "labels": ["m"]},
        "version": "1.0.0",
        "patches": [
            {"metadata": {"name": f"p{m}", "values": [m]}, "patch": [{"op": "add", "path": "/a", "value": m}]}
            for m in (1, 2)
        ],
    }
    made = begin(
        client, "counting", theory="patchset", patchset=file(json.dumps(patch).encode(), "patchset.json"), **FAST
    )
    assert [name for _, name in names(world, made)] == ["p1", "p2"]
