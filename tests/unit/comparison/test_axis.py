"""What axes are called: as the analysis says, completed by convention; in tables, LaTeX and on terminals."""

from __future__ import annotations

import pytest
from outcome_samples import outcome

from reana_lite import analysis
from reana_lite.analysis import Analysis, Parameter, ScanTemplate
from reana_lite.comparison import mass_plane, results_table
from reana_lite.comparison.axis import Axis, axis_of, declared_axes, described_axes, joined
from reana_lite.comparison.tables import to_csv, to_latex, to_text
from reana_lite.errors import InvalidAnalysis

STOP = {"type": "number", "unit": "TeV", "title": "m(stop)", "latex": r"m(\tilde{t}_1)"}
ANALYSIS = Analysis("x", "X", "w.yml", scans=(ScanTemplate("s", (Parameter("m_t", STOP),)),),
                    parameters=(Parameter("width", {"unit": "GeV"}),))  # fmt: skip


def test_an_analysis_says_what_its_axes_are_called() -> None:
    axes = declared_axes(ANALYSIS)
    assert axis_of("m_t", axes) == Axis("m_t", "TeV", "m(stop)", r"m(\tilde{t}_1)")
    assert axis_of("m_t", axes).heading == "m(stop) [TeV]"
    assert axis_of("m_t", axes).math == r"$m(\tilde{t}_1)$"
    assert axis_of("width", axes).heading == "width [GeV]"
    document = {"scans": {"s": {"axes": {"m_t": STOP}}}, "parameters": {"properties": {"width": {"unit": "GeV"}}}}
    assert described_axes(document) == axes


def test_where_none_says_it_convention_does() -> None:
    assert axis_of("m_gluino").heading == "m(g̃) [GeV]"
    assert axis_of("m_new").heading == "m_new [GeV]"
    assert axis_of("tan_beta").heading == "tan_beta"
    assert axis_of("m_gluino", {"m_gluino": Axis("m_gluino", title="mass")}) == Axis("m_gluino", "GeV", "mass")


def test_of_two_the_one_with_a_title_counts() -> None:
    plain, titled = {"m": Axis("m", "GeV")}, {"m": Axis("m", "GeV", "m(x)")}
    assert joined([plain, titled]) == titled
    assert joined([titled, plain]) == titled


def test_latex_that_would_do_something_is_not_taken() -> None:
    for latex in (r"\input{/etc/passwd}", "a$b", "a%b", r"\write18{x}"):
        axes = described_axes({"scans": {}, "parameters": {"properties": {"m": {"latex": latex}}}})
        assert axes["m"].latex == ""


def test_tables_and_planes_use_it() -> None:
    axes = declared_axes(ANALYSIS)
    rows = [outcome(0.5, m_t=float(m), m_lsp=float(light), axes=axes) for m in (1, 2) for light in (0, 1)]
    table = results_table(rows)
    assert to_text(table).splitlines()[2].startswith("m(stop) [TeV]  m(χ̃⁰₁) [GeV]  verdict")
    assert r"$m(\tilde{t}_1)$ [TeV]" in to_latex(table)
    assert to_csv(table).startswith("theory,analysis,m_t [TeV],m_lsp [GeV]"), "names in files stay"
    assert mass_plane(rows, "m_t", "m_lsp").named("m_t").heading == "m(stop) [TeV]"


def test_columns_of_a_terminal_are_straight_under_a_tilde() -> None:
    lines = to_text(
        results_table([outcome(0.5, m_gluino=2000.0, m_lsp=1.0), outcome(2.0, m_gluino=2.0, m_lsp=9.0)])
    ).splitlines()
    places = [line.index(word) - line[: line.index(word)].count("\u0303") for line, word in
              ((lines[2], "verdict"), (lines[3], "excluded"), (lines[4], "not-excluded"))]  # fmt: skip
    assert len(set(places)) == 1


def test_a_title_or_latex_of_an_axis_must_be_right() -> None:
    text = """\
reana_lite: 1
name: x
title: X
workflow: w.yml
parameters: {properties: {n: {description: N., latex: 'a$b'}}}
"""
    with pytest.raises(InvalidAnalysis, match="latex"):
        analysis.parse(analysis.read_document(text, "analysis.yml"))
