"""Scans: axes, grids, tables, conditions, templates; what is left out is counted, what is too much is refused early."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.errors import InvalidInput
from reana_lite.theory.condition import Expression
from reana_lite.theory.patch import read_patchset
from reana_lite.theory.scan import (
    Point,
    Template,
    grid,
    of_files,
    of_patchset,
    parse_axis,
    read_table,
    scan_of,
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("m=1000:2600:400", (1000, 1400, 1800, 2200, 2600)),
        ("m=0:1:0.25", (0, 0.25, 0.5, 0.75, 1)),
        ("m=0.1:0.7:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        ("m=0:10:4", (0, 4, 8)),
        ("m=3:1:-1", (3, 2, 1)),
        ("m=5:5:1", (5,)),
        ("m=log:1:1000:4", (1, 10, 100, 1000)),
        ("m=lin:0:1:5", (0, 0.25, 0.5, 0.75, 1)),
        ("m=log:7:9:1", (7,)),
        ("m = 1, 2.5 ,1e3", (1, 2.5, 1000)),
        ("point=C1N2_700_0,C1N2_700_400", ("C1N2_700_0", "C1N2_700_400")),
        ("m=1.0E+02", (100,)),
    ],
)
def test_axes(text: str, values: tuple[object, ...]) -> None:
    axis = parse_axis(text)
    assert axis.name == text.partition("=")[0].strip()
    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m", "right is NAME=START:STOP:STEP"),
        ("=1", "right is"),
        ("m=", "right is"),
        ("2m=1", "right is"),
        ("m=1:2", "right is"),
        ("m=cube:1:2:3", "right is"),
        ("m=1:2:0", "never lead"),
        ("m=1:2:-1", "never lead"),
        ("m=1:b:1", "'b' is not a number"),
        ("m=1:inf:1", "not a number between"),
        ("m=1_0:20:1", "not a number between"),
        ("m=log:0:1:3", "above 0"),
        ("m=log:1:10:0", "not a number of values"),
        ("m=log:1:10:x", "not a number of values"),
        ("m=1,,2", "missing between two commas"),
        ("m=1,2,1.0", "1 stands there twice"),
        ("m=nan,2", "not a finite number"),
        ("m=0:1e30:1e-20", "points"),
    ],
)
def test_what_is_no_axis_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_axis(text)
    assert words in caught.value.message


@given(st.integers(-500, 500), st.integers(0, 300), st.integers(1, 999), st.integers(0, 4))
def test_steps_reach_the_stop_exactly(start: int, steps: int, step: int, digits: int) -> None:
    unit = Decimal(1).scaleb(-digits)
    first, width = start * unit, step * unit
    axis = parse_axis(f"m={first}:{first + steps * width}:{width}")
    assert len(axis.values) == steps + 1
    assert axis.values[0] == float(first)
    assert axis.values[-1] == float(first + steps * width)


def test_a_grid_is_cartesian_the_first_axis_slowest() -> None:
    points = list(grid([parse_axis("a=1,2"), parse_axis("b=x,y")]))
    assert [point.name for point in points] == ["a=1,b=x", "a=1,b=y", "a=2,b=x", "a=2,b=y"]
    assert points[1].values == {"a": 1, "b": "y"}
    with pytest.raises(InvalidInput, match="axis a is given twice"):
        grid([parse_axis("a=1"), parse_axis("a=2")])


def test_points_are_left_out_and_counted() -> None:
    points = grid([parse_axis("m_gluino=1000:2600:200"), parse_axis("m_lsp=0:1600:200")])
    scan = scan_of(
        points, physical=[Expression.of("m_lsp < m_gluino")], where=[Expression.of("m_lsp < m_gluino - 500")]
    )
    assert len(scan.points) + scan.unphysical + scan.excluded == 81
    assert (scan.unphysical, scan.excluded) == (10, 11)
    assert all(point.values["m_lsp"] < point.values["m_gluino"] - 500 for point in scan.points)
    assert scan.axes == ("m_gluino", "m_lsp")


def test_equal_points_are_one_whatever_they_are_written_like() -> None:
    same = [Point("a", {"m": 2000, "n": 1}), Point("b", {"n": 1.0, "m": 2000.0})]
    scan = scan_of([*same, Point("c", {"m": "2000", "n": 1})])
    assert [point.name for point in scan.points] == ["a", "c"]
    assert scan.repeated == 1


def test_a_scan_is_known_by_its_points() -> None:
    one = scan_of(grid([parse_axis("a=1:3:1")]))
    assert one.digest == scan_of(grid([parse_axis("a=1,2,3")])).digest
    assert one.digest != scan_of(grid([parse_axis("a=1,2,4")])).digest


def test_empty_and_too_large_scans_are_refused_early() -> None:
    with pytest.raises(InvalidInput, match=r"no points \(3 left out by --where\)"):
        scan_of(grid([parse_axis("a=1:3:1")]), where=[Expression.of("a > 5")])
    with pytest.raises(InvalidInput, match="no points"):
        scan_of([])
    with pytest.raises(InvalidInput, match=r"1000000000000 points.*RECAST_SCAN_LIMIT"):
        grid([parse_axis("a=1:1000000:1"), parse_axis("b=1:1000000:1")])
    with pytest.raises(InvalidInput, match=r"e\+9 points"):
        parse_axis("a=0:1e9:1")
    with pytest.raises(InvalidInput, match="more than 100 points"):
        scan_of(grid([parse_axis("a=1:1000:1")], limit=100), limit=100)
    kept = scan_of(grid([parse_axis("a=1:1000:1")], limit=100), where=[Expression.of("a < 50")], limit=100)
    assert len(kept.points) == 49


def test_a_condition_names_axes() -> None:
    with pytest.raises(InvalidInput, match="no axis 'm_lps'; there are a"):
        scan_of(grid([parse_axis("a=1")]), where=[Expression.of("m_lps < 3")])


def test_values_that_cannot_be_compared_are_left_to_the_reader_of_the_point() -> None:
    scan = scan_of([Point("bad", {"m": "abc"}), Point("good", {"m": 2})], where=[Expression.of("m < 3")])
    assert [point.name for point in scan.points] == ["bad", "good"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables(separator: str) -> None:
    text = "# from a paper\nname,m_gluino,decay\none,2000,qq\n\ntwo,1.5E+03,'b b'\nthree,,tt\n".replace(",", separator)
    points = read_table(b"\xef\xbb\xbf" + text.encode(), "t.csv")
    assert [(point.name, dict(point.values)) for point in points] == [
        ("one", {"m_gluino": 2000, "decay": "qq"}), ("two", {"m_gluino": 1500, "decay": "'b b'"}), ("three", {"decay": "tt"}),
    ]  # fmt: skip
    assert read_table(b"a,b\n1,2\n", "t")[0].name == "a=1,b=2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a line with names"),
        ("a,b\n", "a line with names"),
        ("a,b\n1,2\n1,2,3\n4\n", "t.csv:3: 3 cells for 2 columns\nt.csv:4: 1 cells"),
        ("a,a\n1,2\n", "t.csv:1: column 'a' stands there twice"),
        ("m [GeV]\n1\n", "is not a name"),
        ("a\nnan\n", "t.csv:2: nan is not a finite number"),
    ],
)
def test_faults_of_tables_have_lines(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_table(text.encode(), "t.csv")
    assert words in caught.value.message


def test_files_and_patches() -> None:
    points = of_files(["/x/a.slha", "/x/b.lhe.gz", "/x/c"])
    assert [(point.name, point.source) for point in points] == [
        ("a", "/x/a.slha"), ("b", "/x/b.lhe.gz"), ("c", "/x/c")
    ]  # fmt: skip
    document = {
        "version": "1.0.0",
        "metadata": {"digests": {"sha256": "0" * 64}, "labels": ["m1", "m2"]},
        "patches": [{"metadata": {"name": "p", "values": [700, 0]}, "patch": [{"op": "remove", "path": "/a"}]}],
    }
    (point,) = of_patchset(read_patchset(document, "s.json"))
    assert point == Point("p", {"m1": 700, "m2": 0}, "p")


def test_templates() -> None:
    template = Template.of(b"BLOCK MASS\n 1000021 {m_gluino}\n 24 {(m_gluino + m_lsp) / 2}\n{a: 1}\n", "t.slha")
    assert template.names == {"m_gluino", "m_lsp"}
    filled = template.fill({"m_gluino": 2000, "m_lsp": 0.5})
    assert filled == b"BLOCK MASS\n 1000021 2000\n 24 1000.25\n{a: 1}\n"
    with pytest.raises(InvalidInput, match="no 'm_lsp'"):
        template.fill({"m_gluino": 1})
    with pytest.raises(InvalidInput, match=r"t\.slha:2: .*means nothing"):
        Template.of(b"a\n{m$}\n", "t.slha")


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(1e-6, 1e6), min_size=2))
def test_filled_values_are_those_of_the_axes(values: dict[str, float]) -> None:
    a, b = Template.of(b"{a} {b}", "t").fill(values).decode().split()
    assert float(a) == pytest.approx(values["a"], rel=1e-11)
    assert float(b) == pytest.approx(values["b"], rel=1e-11)
