"""Result documents: what is valid, what is refused and where, the forms they are shown in."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_samples import document, no_limit

from reana_lite.errors import InvalidResult, NotFound
from reana_lite.result import Result, Verdict, assemble, lookup, read_result, result_of
from reana_lite.theory import Theory, parameter, read_theory

Doc = dict[str, Any]


def changed(change: Callable[[Doc], Any]) -> Doc:
    made = document()
    change(made)
    return made


def put(path: str, value: Any) -> Callable[[Doc], None]:
    def change(made: Doc) -> None:
        *parents, last = path.split("/")
        here: Any = made
        for part in parents:
            here = here[int(part) if part.isdigit() else part]
        here[last] = value

    return change


def refused(made: Doc) -> list[tuple[str, str]]:
    with pytest.raises(InvalidResult) as caught:
        result_of(made, "result.json")
    return [(fault.path, fault.reason) for fault in caught.value.faults]


def test_a_valid_document_has_typed_numbers_and_comes_back_unchanged() -> None:
    result = read_result(json.dumps(document()).encode())
    assert result.verdict is Verdict.EXCLUDED
    assert result.best is result.limit("MB-GGd")
    assert result.best is not None
    assert result.best.cls_expected == pytest.approx((1e-5, 1e-4 / 3, 1e-4, 3e-4, 1e-3))
    assert result.region("SR4j-2200").efficiency == 0.172
    assert result.processes[0].xsec_pb == 1.01e-3
    assert json.loads(result.to_json()) == document()
    with pytest.raises(NotFound, match="there are SR2j-1600"):
        result.region("SR9")


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        (put("limits/1/cls_observed", float("nan")), "/limits/1/cls_observed", "nan is not a number"),
        (put("limits/1/delta_nll", float("inf")), "/limits/1/delta_nll", "inf is not a number"),
        (put("extra", {"a": [{"b": float("-inf")}]}), "/extra/a/0/b", "-inf is not"),
        (put("regions/0/observed", 10**400), "/regions/0/observed", "is not a number"),
        (put("limits/1/cls_observed", 1.2), "/limits/1/cls_observed", "maximum"),
        (put("limits/1/cls_observed", -0.1), "/limits/1/cls_observed", "minimum"),
        (put("limits/1/cls_expected", [0.1, 0.2]), "/limits/1/cls_expected", "too short"),
        (put("limits/1/cls_expected", [0.1, 0.2, 0.15, 0.3, 0.4]), "/limits/1/cls_expected", "do not ascend"),
        (put("limits/1/mu_limit_expected", [5, 4, 0.38, 2, 1]), "/limits/1/mu_limit_expected", "do not ascend"),
        (put("limits/1/cls_observed", None), "/limits/1/cls_observed", "missing although"),
        (put("limits/1/r_observed", 2.0), "/limits/1/r_observed", "is not 1 /"),
        (put("limits/1/r_expected", 2.0), "/limits/1/r_expected", "is not 1 /"),
        (put("limits/1/xsec_limit_observed_pb", 0.38), "/limits/1/xsec_limit_observed_pb", "is not (limit on mu"),
        (put("limits/1/status", "fine"), "/limits/1/status", "is not one of"),
        (put("limits/2/cls_observed", 1.0), "/limits/2/cls_observed", "although the status is 'no-signal'"),
        (put("limits/0/name", "MB-GGd"), "/limits/1/name", "second one called"),
        (put("best", "MB-C"), "/best", "not among the limits"),
        (put("best", None), "/verdict", "no limit is named best"),
        (put("best", "SR6j-3400"), "/verdict", "status of the best limit is 'no-signal'"),
        (put("verdict", "not-excluded"), "/verdict", "CLs at mu = 1 is 0.0001"),
        (put("verdict", "maybe"), "/verdict", "is not one of"),
        (put("verdict_xsec_up", "not-excluded"), "/verdict_xsec_up", "at the lower cross-section"),
        (put("regions/3/efficiency_upper", None), "/regions/3/efficiency_upper", "3/N"),
        (put("regions/3/efficiency", 0.2), "/regions/3/efficiency", "although no event passes"),
        (put("regions/1/name", "SR2j-1600"), "/regions/1/name", "second one called"),
        (put("regions/1/colour", 1), "/regions/1", "Additional properties"),
        (put("regions/1/background_error", -1), "/regions/1/background_error", "minimum"),
        (put("colour", 1), "", "Additional properties"),
        (put("validity/within", False), "/validity", "if and only if"),
        (put("validity/reasons", ["x"]), "/validity", "if and only if"),
        (put("lumi_ifb", 0), "/lumi_ifb", "0"),
        (put("processes/0/n_events", 2.5), "/processes/0/n_events", "integer"),
        (put("version", 2), "/version", "1 was expected"),
        (lambda made: made.pop("verdict"), "", "'verdict' is a required"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_with_their_place(change: Callable[[Doc], None], path: str, reason: str) -> None:
    faults = refused(changed(change))
    assert any(p == path and reason in why for p, why in faults), faults


def test_extra_content_has_its_place() -> None:
    made = changed(put("regions/0/extra", {"sigma_lo_pb": 1.0}))
    made["extra"] = {"a": [1]}
    assert result_of(made).regions[0].extra == {"sigma_lo_pb": 1.0}


def test_a_limit_and_its_cls_must_agree_on_the_verdict() -> None:
    made = document()
    made["limits"][1] |= {"mu_limit_observed": 1.5, "r_observed": 1 / 1.5, "xsec_limit_observed_pb": 1.5 * 1.01e-3}
    assert any("contradicts CLs" in why for _, why in refused(made))


def test_no_signal_is_a_result() -> None:
    made = document() | {"limits": [no_limit("MB-GGd")], "verdict": "undetermined"}
    made |= {"verdict_xsec_up": None, "verdict_xsec_down": None}
    assert result_of(made).verdict is Verdict.UNDETERMINED
    assert "no limit: no-signal" in result_of(made).to_text()
    assert result_of(made | {"best": None}).best is None
    assert "no limit could be set" in result_of(made | {"best": None}).to_text()


def test_undetermined_is_allowed_whatever_cls_is() -> None:
    assert result_of(changed(put("verdict", "undetermined"))).verdict is Verdict.UNDETERMINED


def test_what_is_no_json_is_refused_with_its_line() -> None:
    for content, reason in ((b"{\n,}", "result:2: not JSON"), (b'{"a": NaN}', "NaN"), (b"\x00", "binary")):
        with pytest.raises(InvalidResult, match=reason):
            read_result(content)


def test_the_summary_says_first_what_matters() -> None:
    result = result_of(document())
    lines = result.to_text().splitlines()
    assert lines[0] == "EXCLUDED at 95 % CL: gluino 2000/0 by atlas-susy-2018-22"
    assert lines[1] == "  m_gluino = 2000 GeV, m_lsp = 0 GeV"
    assert "r = 2.63 observed, 2.63 expected" in lines[2]
    assert "observed, 0.0001 expected (MB-GGd, asymptotic); excluded from r = 1, below CLs = 0.05" in lines[2]
    assert "limit 0.384 fb observed, 0.384 fb expected, of the theory 1.01 fb, luminosity 139/fb" in lines[3]
    assert lines[4].startswith("  driving region SR4j-3400: 4 observed, 5.7 ± 1.0 background, 18.20 ± 0.50 signal")
    assert lines[5] == "  at the cross-section +1 sigma: excluded; -1 sigma: excluded"
    assert lines[6] == "  within validity"
    assert any("upper limits at 95 % confidence level by CLs" in line for line in lines)
    assert any(line.startswith("  asymptotic: formulas for many events") for line in lines)
    assert any("SR6j-3400" in line and "< 0.0003" in line for line in lines)
    assert not any(line.endswith(" ") for line in lines)
    assert any("more regions in the JSON" in line for line in lines)
    alone = changed(put("limits", [])) | {"best": None, "verdict": "undetermined"}
    assert len(result_of(alone).main_regions()) == 4
    outside = changed(put("validity", {"within": False, "reasons": ["compressed\x1b[31m"]}))
    assert "OUTSIDE VALIDITY:\n    compressed?[31m\n" in result_of(outside).to_text()


def test_csv_is_safe_for_spreadsheets() -> None:
    made = changed(put("regions/0/name", '=HYPERLINK("http://x", "y")'))
    rows = list(csv.reader(io.StringIO(result_of(made).to_csv())))
    assert rows[0][:3] == ["name", "observed", "background"]
    assert rows[1][0] == '\'=HYPERLINK("http://x", "y")'
    assert rows[2][:6] == ["SR4j-2200", "60", "60", "5", "1720", "0.172"]
    assert len({len(row) for row in rows}) == 1


def test_values_are_found_by_path() -> None:
    made = document()
    made["regions"][0]["name"] = "SR0.5-low"
    assert lookup(made, "regions.SR4j-2200.efficiency") == 0.172
    assert lookup(made, "regions/SR4j-2200/efficiency") == 0.172
    assert lookup(made, "regions.SR0.5-low.observed") == 2111
    assert lookup(made, "limits.MB-GGd.cls_expected.2") == 1e-4
    assert lookup(made, "verdict") == "excluded"
    with pytest.raises(NotFound, match="SR9"):
        lookup(made, "regions.SR9.efficiency")


# -- assembling --------------------------------------------------------------------------------------------------------
def written() -> Doc:
    made = document()
    for key in ("version", "analysis", "theory", "run"):
        del made[key]
    return made


def assembled(*parts: Doc, theory: Theory | None = None) -> Result:
    given = theory or Theory("point", {"m_gluino": parameter("m_gluino", 2000, unit="GeV")}, (), ("odd",), ())
    rows = [(f"part{at}.json", json.dumps(part).encode()) for at, part in enumerate(parts)]
    return assemble(rows, analysis="a", theory=given, run="r7", provenance={"version": "0.1", "reused": 3})


def test_the_result_of_a_run_is_assembled() -> None:
    result = assembled(written())
    assert (result.analysis, result.run, result.theory, result.parameters) == ("a", "r7", "point", {"m_gluino": 2000})
    assert result.warnings == ("odd", "27 particles without a mass are taken as decoupled")
    assert result.document["provenance"] == {"seeds": [1, 2], "version": "0.1", "reused": 3}
    assert result.document["theory"]["units"] == {"m_gluino": "GeV"}
    again = read_result(result.to_json().encode())
    assert again.document == result.document


def test_a_theory_outside_validity_makes_its_results_so() -> None:
    result = assembled(written(), theory=Theory("t", validity=("long-lived",)))
    assert not result.within_validity
    assert result.reasons == ("long-lived",)


def test_parts_are_joined_and_may_not_overlap() -> None:
    whole = written()
    regions = {"regions": whole.pop("regions")}
    assert len(assembled(whole, regions).regions) == 4
    with pytest.raises(InvalidResult, match=r"part1.json /regions: written by part0.json too"):
        assembled(whole | regions, regions)
    with pytest.raises(InvalidResult, match="JSON object"):
        assemble([("x", b"[]")], analysis="a", theory=Theory("t"), run="r", provenance={})
    with pytest.raises(InvalidResult, match="verdict"):
        assemble([("x", b"{}")], analysis="a", theory=Theory("t"), run="r", provenance={}, lumi_ifb=1.0)


def test_a_real_theory_enters_its_result() -> None:
    text = b"BLOCK MASS\n 1000021 2000\n 1000022 0\nDECAY 1000021 1e-15\n 1.0 2 1000022 21\n"
    result = assembled(written(), theory=read_theory("s", [("s.slha", text)]))
    assert result.parameters["m_gluino"] == 2000.0
    assert "long-lived" in result.reasons[0]


PATHS = st.sampled_from(
    ["regions", "limits", "processes", "validity", "best", "verdict", "theory", "limits/1/cls_expected",
     "limits/1/status",     "regions/0/n_passed", "limits/1/mu_limit_expected", "warnings", "lumi_ifb", "validity/reasons",
     "provenance"]
)  # fmt: skip
VALUES = (
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.lists(st.floats(), max_size=6)
)


@settings(max_examples=100, deadline=None)
@given(PATHS, VALUES)
def test_fuzz_one_member(path: str, value: Any) -> None:
    made = changed(put(path, copy.deepcopy(value)))
    try:
        result = result_of(made)
    except InvalidResult:
        return
    result.to_text()
    result.to_csv()
    json.loads(result.to_json())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_fuzz_bytes(content: bytes) -> None:
    with pytest.raises(InvalidResult):
        read_result(content)
