"""What pages draw: the graph of a run, folded and unfolded, and a mass plane; numbers as people read them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.comparison import Outcome, Status, mass_limit, mass_plane
from reana_lite.database import NodeRecord
from reana_lite.result import Verdict
from reana_lite.server.pages import graph, plane, row, words
from reana_lite.server.pages.plane import PlacedPoint


def node(path: str, state: str = "finished", reused: str = "") -> NodeRecord:
    return NodeRecord(path, "key", 1, state, reused)


WORKFLOW = {
    "stages": [
        {"name": "a", "dependencies": ["init"], "scheduler": {"parameters": {}}},
        {"name": "b", "dependencies": [], "scheduler": {"parameters": {"x": {"stages": "a", "output": "o"}}}},
        {"name": "c", "dependencies": {"dependency_type": "jsonpath_ready", "expressions": ["b.*"]},
         "scheduler": {"parameters": {"x": {"step": "a", "output": "o"}, "y": [{"step": "b[0]", "output": "o"}]}}},
    ]
}  # fmt: skip


def test_stages_wait_for_what_they_refer_to() -> None:
    assert graph.stages_of(WORKFLOW) == {"a": set(), "b": {"a"}, "c": {"a", "b"}}
    assert graph.stages_of({"steps": [{}, {}]}) == {"step-1": set(), "step-2": {"step-1"}}
    assert graph.stages_of({}) == {}


def test_edges_that_follow_from_others_are_not_drawn() -> None:
    drawing = graph.draw(graph.stages_of(WORKFLOW), [node("/a/0"), node("/b/0", reused="other")])
    assert [(before, after) for before, after, _ in drawing.edges] == [("a", "b"), ("b", "c")]
    assert [(box.name, box.state, box.text) for box in drawing.boxes] == [
        ("a", "finished", "finished"), ("b", "finished", "reused"), ("c", "waiting", "not there yet"),
    ]  # fmt: skip


def test_a_thousand_nodes_are_one_box_and_a_page_of_cells() -> None:
    nodes = [node(f"/a/{i}", "failed" if i == 7 else "finished" if i < 500 else "defined") for i in range(1000)]
    folded = graph.draw({"a": set()}, nodes)
    assert len(folded.boxes) == 1
    assert folded.boxes[0].counts == {"finished": 499, "failed": 1, "waiting": 500}
    assert folded.boxes[0].state == "failed"
    assert folded.width < 200
    unfolded = graph.draw({"a": set()}, nodes, unfold="a", page=1)
    cells = unfolded.boxes[0].cells
    assert [cell.node for cell in cells] == [f"/a/{i}" for i in range(graph.PAGE, 2 * graph.PAGE)]
    assert all(cell.x + 13 <= unfolded.width for cell in cells)
    assert all(cell.y + 13 <= unfolded.height for cell in cells)


def test_a_circle_of_stages_is_drawn_and_ends() -> None:
    drawing = graph.draw({"a": {"b"}, "b": {"a"}}, [])
    assert len(drawing.boxes) == 2


names = st.sampled_from("abcdefg")


@given(st.dictionaries(names, st.sets(names)), st.lists(names))
def test_any_graph_is_drawn_without_overlap(needs: dict[str, set[str]], members: list[str]) -> None:
    drawing = graph.draw(needs, [node(f"/{name}/{at}") for at, name in enumerate(members)], unfold="a")
    for one in drawing.boxes:
        for other in drawing.boxes:
            apart = one.x + one.width < other.x or other.x + other.width < one.x
            assert one is other or apart or one.y + one.height < other.y or other.y + other.height < one.y


def outcome(x: float, y: float, limit: float) -> Outcome:
    verdict = Verdict.EXCLUDED if limit < 1 else Verdict.NOT_EXCLUDED
    return Outcome("t", "a", "run", {"m_gluino": x, "m_lsp": y}, Status.OK, verdict, observed=limit,
                   expected=(limit * 0.6, limit * 0.8, limit, limit * 1.2, limit * 1.4))  # fmt: skip


def test_a_plane_shows_points_before_it_has_a_contour() -> None:
    points = [PlacedPoint("p", 1000.0 + 100 * i, 0.0, "planned") for i in range(3)]
    found = plane.picture(points, "m_gluino", "m_lsp", None)
    assert [mark.kind for mark in found.marks] == ["planned"] * 3
    assert not found.observed
    assert found.x_label == "m(g̃) [GeV]"


def test_a_contour_lies_where_the_limit_passes_one() -> None:
    outcomes = [outcome(x, y, math.exp((x - 2000) / 100)) for x in (1800.0, 2000.0, 2200.0) for y in (0.0, 500.0)]
    points = [PlacedPoint("p", o.number("m_gluino") or 0, o.number("m_lsp") or 0, "finished", "r", o) for o in outcomes]
    found = plane.picture(points, "m_gluino", "m_lsp", mass_plane(outcomes, "m_gluino", "m_lsp"))
    tick = next(tick.at for tick in found.x_ticks if tick.text == "2000")
    numbers = [float(part.split()[0]) for part in found.observed.replace("M", "L").split("L") if part]
    assert numbers
    assert all(abs(number - tick) < 1.0 for number in numbers)
    assert {mark.kind for mark in found.marks} == {"excluded", "not-excluded"}
    assert "upper limit on μ" in found.marks[0].said


def test_a_plane_of_many_points_tells_none_in_words() -> None:
    points = [PlacedPoint("p", 1.0 * i, 1.0 * j, "finished", "r") for i in range(25) for j in range(20)]
    assert plane.picture(points, "a", "b", None).many
    assert not plane.picture(points[:100], "a", "b", None).many


def along(limits: dict[float, float], **more: Any) -> list[PlacedPoint]:
    return [
        PlacedPoint("p", x, 0.0, "finished", "r", replace(outcome(x, 0, limit), **more)) for x, limit in limits.items()
    ]


def test_limits_along_an_axis_cross_where_exclusion_ends() -> None:
    points = along({1800.0: 0.1, 2000.0: 1.0, 2200.0: 10.0})
    found = row.row_of(points, "m_gluino", mass_limit([p.outcome for p in points if p.outcome], "m_gluino"))
    assert found is not None
    assert [(one.kind, one.text) for one in found.crossings] == [("observed", "2000"), ("expected", "2000")]
    tick = next(tick.at for tick in found.picture.x_ticks if tick.text == "2000")
    assert found.crossings[0].at == pytest.approx(tick)
    one = next(tick.at for tick in found.picture.y_ticks if tick.text == "1")
    middle = found.observed.removeprefix("M").split("L")[1].split()
    assert [float(text) for text in middle] == pytest.approx([tick, one], abs=0.1), "there the limit is 1"
    assert found.picture.y_label == "95 % CL upper limit on μ"
    assert not found.theory_band


def test_limits_on_the_cross_section_are_in_fb_with_the_theory_and_its_error() -> None:
    points = along({1800.0: 0.5, 2000.0: 2.0}, xsec_pb=0.001, xsec_error_pb=0.0002)
    found = row.row_of(points, "m_gluino", None)
    assert found is not None
    assert found.in_fb
    assert found.theory_band.endswith("z")
    fb = next(tick.at for tick in found.picture.y_ticks if tick.text == "1")
    heights = [float(place.split()[1]) for place in found.theory.removeprefix("M").split("L")]
    assert heights == pytest.approx([fb, fb], abs=0.1), "0.001 pb are 1 fb"


def test_one_limit_makes_no_line() -> None:
    assert row.row_of(along({1800.0: 0.5}), "m_gluino", None) is None
    assert row.row_of([PlacedPoint("p", 1.0, 0.0, "planned")], "m_gluino", None) is None


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    found = plane.ticks(low, low + span)
    assert 1 <= len(found) <= 9
    assert all(low - 1e-6 * span <= at <= low + span * (1 + 1e-6) for at in found)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (2000.0, "2000"),
        (0.8187, "0.819"),
        (3.71e-65, "3.71×10⁻⁶⁵"),
        (0.27, "0.270"),
        (37.01, "37.0"),
        (123.4, "123"),
        (1234.5, "1234"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_for_people(value: float | None, said: str) -> None:
    assert words.number(value) == said


def test_what_was_chosen_is_shown_as_it_was_chosen() -> None:
    assert [words.value(one) for one in (0.1, 139.0, 20.3, 5000, True, None, "x", [1, 2.5])] == [
        "0.1", "139", "20.3", "5000", "yes", "–", "x", "1, 2.5",
    ]  # fmt: skip


def test_small_cls_are_bounds() -> None:
    assert [words.cls(one) for one in (None, 0.0, 4.58e-110, 3.67e-4, 0.05)] == [
        "–",
        "< 10⁻⁶",
        "< 10⁻⁶",
        "3.67×10⁻⁴",
        "0.0500",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shown as verdicts at +-1 sigma", "shown as verdicts at ±1σ"),
        ("139 fb^-1 of sqrt(s) = 13 TeV", "139 fb⁻¹ of √s = 13 TeV"),
        ("139/fb at 13 TeV", "139 fb⁻¹ at 13 TeV"),
        ("log(limit on mu), linear", "log(limit on μ), linear"),
        ("mumble, mu-tau, a+-b", "mumble, mu-tau, a+-b"),
    ],
)
def test_sentences_are_set_as_papers_set_them(text: str, said: str) -> None:
    assert words.prose(text) == said


def test_values_with_errors_and_units() -> None:
    assert words.with_error(2190.0, 130.0) == "2190 ± 130"
    assert words.with_error(0.2849, 0.0141) == "0.285 ± 0.014"
    assert words.femtobarn(0.000356, 0.000078) == "0.356 ± 0.078 fb"
    assert words.femtobarn(None) == "–"
    assert words.duration(118.4) == "1 min 58 s"
    assert words.size(17_000_000) == "17.0 MB"


@given(st.binary(max_size=300))
def test_any_log_becomes_harmless(content: bytes) -> None:
    text = words.log_text(content)
    assert not {c for c in text if ord(c) < 32 and c not in "\t\n"}
    assert "\x1b" not in text
    assert "\x9b" not in text
