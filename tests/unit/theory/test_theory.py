"""Theories as wholes: files known by content, patches and their digests, parameters with units."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_samples import GLUINO

from reana_lite.errors import InvalidInput
from reana_lite.theory import (
    Format,
    likelihood_digest,
    parameter,
    read_json,
    read_parameters,
    read_patchset,
    read_theory,
    theory_of,
)

LIKELIHOOD = {"channels": [{"name": "SR", "samples": []}], "observations": [], "version": "1.0.0", "ä": 1.0}
OPERATIONS = [{"op": "add", "path": "/channels/0/samples/0", "value": {"name": "signal", "data": [1.0]}}]


def patchset(**changes: Any) -> dict[str, Any]:
    patches = [{"metadata": {"name": f"C1N2_{m}", "values": [m, 0]}, "patch": OPERATIONS} for m in (600, 700)]
    metadata = {"description": "x", "labels": ["m1", "m2"], "references": {"hepdata": "ins1"}}
    metadata["digests"] = {"sha256": likelihood_digest(LIKELIHOOD)}
    return {"metadata": metadata, "patches": patches, "version": "1.0.0"} | changes


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def refused(content: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_theory("t", [("f", content)])
    assert caught.value.message.startswith("f")
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (GLUINO.encode(), Format.SLHA),
        (gzip.compress(GLUINO.encode(), mtime=0), Format.SLHA),
        (b"# text\n\n" * 50 + GLUINO.encode(), Format.SLHA),
        (encoded(OPERATIONS), Format.PATCH),
        (encoded(patchset()), Format.PATCHSET),
        (b"m_gluino: 2000\nm_lsp: 0\n", Format.PARAMETERS),
        (b'{\n\t"m_gluino": 2000}', Format.PARAMETERS),
        (b"{m_gluino: 2000}", Format.PARAMETERS),
        (b"decay_mode: bb\nblock: 3\n", Format.PARAMETERS),
    ],
)
def test_files_are_known_by_content(content: bytes, kind: Format) -> None:
    (file,) = read_theory("whatever", [("whatever.txt", content)]).files
    assert file.format is kind
    assert file.size == len(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b" \n\t\n", "empty file"),
        (gzip.compress(b"", mtime=0), "empty file"),
        (b"\x00\x01\x02" * 100, "binary"),
        (b"root\x00\x00", "ROOT"),
        (b"\x28\xb5\x2f\xfd123", "zstd"),
        (b"PK\x03\x04abc", "zip"),
        (gzip.compress(gzip.compress(b"a: 1", mtime=0), mtime=0), "gz inside gz"),
        (b"<html><body>Not found</body></html>", "XML or HTML"),
        (b"Main:numberOfEvents = 100\n", "Pythia settings"),
        (b"from object_library import all_particles\n", "UFO"),
        ("BLOCK MASS\n".encode("utf-16"), "UTF-16"),
        (encoded(LIKELIHOOD), "whole likelihood"),
        (b"just some words", "neither a mapping"),
        (b"m: 1\n" + b"# " + b"x" * 300_000, "more than 262144 bytes"),
    ],
)
def test_what_is_no_theory_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    assert reason in refused(content)


def test_an_slha_theory_has_masses_and_hands_on_canonical_text() -> None:
    theory = read_theory("point", [("a.slha", GLUINO.encode())])
    again = read_theory("point", [("b.slha", GLUINO.replace("\n", "\r\n").encode())])
    assert theory.values == {"m_gluino": 2000.0, "m_neutralino_1": 0.0, "m_lsp": 0.0}
    assert theory.to_dict()["units"]["m_gluino"] == "GeV"
    assert theory.files[0].digest != again.files[0].digest
    assert theory.files[0].content == again.files[0].content
    assert theory.file(Format.SLHA) is theory.files[0]
    written = json.loads(json.dumps(theory.to_dict(), allow_nan=False))
    assert theory_of(written).to_dict() == theory.to_dict()
    assert theory_of({"name": ""}).values == {}


def test_given_parameters_win_and_two_spectra_are_refused() -> None:
    theory = read_theory("t", [("p", b"m_gluino: 1"), ("s", GLUINO.encode())], parameters=[parameter("m_lsp", 5)])
    assert theory.values["m_lsp"] == 5
    assert theory.values["m_gluino"] == 1
    with pytest.raises(InvalidInput, match="more than one spectrum"):
        read_theory("t", [("a", GLUINO.encode()), ("b", GLUINO.encode())])


# -- patches ---------------------------------------------------------------------------------------------------------
def test_the_digest_of_a_likelihood_is_that_of_pyhf() -> None:
    # the example of pyhf's own documentation of pyhf.utils.digest (0.7)
    document = {"c": 1.0, "a": 2.0, "b": 3.0}
    assert likelihood_digest(document) == "a38f6093800189b79bc22ef677baf90c75705af2cfc7ff594159eca54eaa7928"
    assert likelihood_digest(document, algorithm="md5") == "2c0633f242928eb55c3672fed5ba8612"


def test_a_patchset_fits_its_likelihood_and_no_other() -> None:
    patches = read_patchset(patchset(), "p.json")
    patches.verify(LIKELIHOOD)
    assert patches.patch("C1N2_700").values == (700, 0)
    with pytest.raises(InvalidInput, match="made for a likelihood with sha256 digest"):
        patches.verify(LIKELIHOOD | {"version": "2"})
    with pytest.raises(InvalidInput, match="there are C1N2_"):
        patches.patch("C1N2_701")


def test_the_published_patchset_fits_its_published_likelihood() -> None:
    shared = Path(os.environ.get("RECAST_SHARED", Path(__file__).parents[4] / "shared")) / "physics/ATLAS-SUSY-2019-08"
    if not shared.is_dir():
        pytest.skip("the published likelihood is not at hand")
    patches = read_patchset(read_json((shared / "patchset.json").read_bytes(), "patchset.json"), "patchset.json")
    assert len(patches.patches) == 125
    patches.verify(read_json((shared / "BkgOnly.json").read_bytes(), "BkgOnly.json"))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "at least one operation"),
        ([{"op": "paint", "path": "/a"}], "unknown operation"),
        ([{"op": ["add"], "path": "/a"}], "unknown operation"),
        ([{"op": "add", "path": "/a"}], "without 'value'"),
        ([{"op": "add", "path": "a", "value": 1}], "not a JSON pointer"),
        ([{"op": "move", "path": "/a"}], "without 'from'"),
        ([1], "unknown operation"),
        (patchset(version="3"), "patchset version"),
        (patchset(metadata={}), "no digest"),
        (patchset(metadata=3), "no digest"),
        (patchset(patches=[]), "no patches"),
        (patchset(patches=[3]), "without a name"),
        (patchset(patches=patchset()["patches"] * 2), "second patch"),
        (patchset(patches=[{"metadata": {"name": "a", "values": [1]}, "patch": OPERATIONS}]), "1 values for 2 labels"),
        (patchset(patches=[{"metadata": {"name": "a", "values": [1, 2]}, "patch": 5}]), "a list of at least one"),
    ],
)
def test_broken_patches_are_refused(document: Any, reason: str) -> None:
    assert reason in refused(encoded(document))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"op": "add", "path": "/a", "value": NaN}]', "NaN is not a JSON number"),
        (b'[{"op": "add", "path": "/a", "value": 1e999}]', "too large"),
        (b'[{"op": "add", "op": "add", "path": "/a", "value": 1}]', "given twice"),
        (b'[\n{"op": }]', "f:2: not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"[" + b"1" * 5000 + b"]", "digits"),
    ],
)
def test_broken_json_is_refused(content: bytes, reason: str) -> None:
    assert reason in refused(content)


# -- parameters ------------------------------------------------------------------------------------------------------
def test_parameters_carry_their_units() -> None:
    text = b"m_gluino: {value: 2.2, unit: TeV}\n"
    text += b"xsec_pb: 1.0D-03\npoint: C1N2_700\nn_events: 1e4\nflag: true\nday: 2021-01-02\n"
    rows = {p.name: p for p in read_parameters(text, "p.yml")}
    assert rows["m_gluino"].to("GeV") == pytest.approx(2200.0)
    assert rows["xsec_pb"].to("fb") == pytest.approx(1.0)
    assert (rows["point"].value, rows["n_events"].value, rows["flag"].value) == ("C1N2_700", 10000.0, True)
    assert rows["day"].value == "2021-01-02"
    assert rows["n_events"].unit == ""
    with pytest.raises(InvalidInput, match="cannot be expressed"):
        rows["xsec_pb"].to("GeV")
    assert read_parameters(b"parameters:\n  a: 1\n", "p")[0].value == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1_000", "1_000"),
        ("a: .inf", "finite|number"),
        ("a: NaN", "finite"),
        ("a: 1\na: 2", "second 'a'"),
        ("a: [1, 2]", "neither a number nor a text"),
        ("a: {value: 1, unit: furlong}", "unknown unit"),
        ("a_pb: {value: 1, unit: fb}", "the name says pb"),
        ("a: {value: x, unit: fb}", "not a number"),
        ("a: {vlaue: 1}", "other keys"),
        ("a:", "no value"),
        ("a: &x 1\nb: *x", "alias"),
        ("a: {b: {c: {d: {e: 1}}}}", "nested too deep"),
        ("? [a]\n: 1", "key that is not a text"),
        ("a b: 1", "not a name"),
        ("a: 'x", "not YAML"),
        ("a: \x07", "not YAML"),
        ("{}", "no parameters"),
        ("- 1\n- 2", "neither a mapping"),
    ],
)
def test_odd_parameters_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read_parameters(text.encode(), "p.yml")


def test_a_yaml_bomb_is_refused() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    assert "alias" in refused(bomb.encode())
    assert "nested too deep" in refused(b"a: " + b"[" * 50_000)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.dictionaries(st.text(max_size=6), st.floats() | st.text(max_size=5)).map(json.dumps))
def test_fuzz_parameters(text: str) -> None:
    try:
        rows = read_parameters(text.encode("utf-8", "surrogatepass"), "p")
    except InvalidInput:
        return
    assert rows


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=120))
def test_fuzz_bytes(content: bytes) -> None:
    try:
        read_theory("t", [("f", content)])
    except InvalidInput:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["op", "path", "value", "patches", "metadata", "name", "values", "labels", "x"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_fuzz_json(document: Any) -> None:
    try:
        read_theory("t", [("f", encoded(document))])
    except InvalidInput:
        return
