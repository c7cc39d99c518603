"""Event files: LHE and HepMC, plain and gz, cut, damaged, hostile; counts, weights and cross-sections."""

from __future__ import annotations

import gzip
import io
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_samples import GLUINO

from reana_lite.errors import InvalidInput
from reana_lite.theory import EventFile, Format, read_theory
from reana_lite.theory.hepmc import read_hepmc
from reana_lite.theory.lhe import read_lhe
from reana_lite.theory.stream import Stream

PROTONS = "2212 2212 6.5E+03 6.5E+03 0 0 247000 247000 {idwtup} {n}\n"


def lhe(
    weights: list[float] | tuple[float, ...] = (1.0, 1.0, 1.0),
    *,
    header: str = "",
    idwtup: int = -4,
    pdg: int = 1000022,
) -> str:
    events = "".join(
        f"<event>\n 3 1 {w:.9E} 91.2 0.0078 0.118\n"
        " 21 -1 0 0 501 502 0. 0. 500. 500. 0. 0. 9.\n"
        " 21 -1 0 0 502 501 0. 0. -500. 500. 0. 0. 9.\n"
        f" {pdg} 1 1 2 0 0 0. 0. 0. 1000. 1000. 0. 9.\n"
        "# a comment of the generator\n</event>\n"
        for w in weights
    )
    init = (
        "<init>\n"
        + PROTONS.format(idwtup=idwtup, n=2)
        + " 1.0E-03 3.0E-05 1.0E-03 1\n 2.0E-03 4.0E-05 1.0E-03 2\n</init>\n"
    )
    return f'<LesHouchesEvents version="3.0">\n<header>\n{header}</header>\n{init}{events}</LesHouchesEvents>\n'


def hepmc3(weights: tuple[float, ...] = (1.0, 1.0), *, pdg: int = 1000022, end: bool = True, unit: str = "GEV") -> str:
    e = 6500.0 if unit == "GEV" else 6.5e6
    events = "".join(
        f"E {i} 1 3\nU {unit} MM\nW {w:.8e}\nA 0 GenCrossSection {xs:.3e} 1.0e-04 -1 -1\n"
        f"P 1 0 2212 0 0 {e} {e} 0.938 4\nP 2 0 2212 0 0 {-e} {e} 0.938 4\n"
        f"V -1 0 [1,2]\nP 3 -1 {pdg} 1 2 3 1000 999 1\n"
        for i, (w, xs) in enumerate(zip(weights, (5e-3, 2e-3, 1e-3, 1e-3), strict=False))
    )
    start = "HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\nW Default\n"
    return start + events + ("HepMC::Asciiv3-END_EVENT_LISTING\n\n" if end else "")


def hepmc2(weights: tuple[float, ...] = (1.0, 1.0)) -> str:
    events = "".join(
        f'E {i} -1 -1.0 0.1 0.0078 0 0 1 10001 10002 0 1 {w:.8e}\nN 1 "Default"\nU GEV MM\nC {xs:.3e} 1.0e-04\n'
        "V -1 0 0 0 0 0 2 1 0\nP 10001 2212 0 0 6500. 6500. 0.938 4 0 0 -1 0\n"
        "P 10002 2212 0 0 -6500. 6500. 0.938 4 0 0 -1 0\nP 10003 1000022 1 2 3 1000. 999. 1 0 0 0 0\n"
        for i, (w, xs) in enumerate(zip(weights, (5e-3, 2e-3), strict=False))
    )
    return (
        "HepMC::Version 2.06.09\nHepMC::IO_GenEvent-START_EVENT_LISTING\n" + events
        + "HepMC::IO_GenEvent-END_EVENT_LISTING\n"
    )  # fmt: skip


def of_lhe(text: str | bytes) -> EventFile:
    return read_lhe(Stream(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "e.lhe"))


def of_hepmc(text: str | bytes) -> EventFile:
    return read_hepmc(Stream(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "e.hepmc"))[1]


def refused(text: str | bytes, source: str = "e") -> str:
    with pytest.raises(InvalidInput) as caught:
        read_theory("t", [(source, text if isinstance(text, bytes) else text.encode())])
    assert caught.value.message.startswith(source)
    return caught.value.message


def test_an_lhe_file_is_counted_with_its_cross_section_in_pb() -> None:
    found = of_lhe(lhe())
    assert (found.n_events, found.version, found.weighting) == (3, "3.0", -4)
    assert found.xsec_pb == pytest.approx(3.0e-3, rel=1e-12)
    assert found.xsec_error_pb == pytest.approx(5.0e-5, rel=1e-12)
    assert found.undecayed == (1000022,)
    assert not found.warnings


def test_weights_may_be_signed_and_in_any_unit() -> None:
    signs = (1.0, 1.0, -1.0, 1.0, 1.0)
    for scale in (1.0, 3e-3, 3e-3 / 5):
        found = of_lhe(lhe([w * scale for w in signs]))
        assert found.n_negative == 1
        assert found.sum_weights == pytest.approx(3 * scale, rel=1e-6)
        assert found.sum_weights_squared == pytest.approx(5 * scale**2, rel=1e-6)
        assert found.xsec_pb == pytest.approx(3.0e-3)
    assert "add up to 0" in refused(lhe([1.0, -1.0]))


def test_the_mean_weight_stands_in_for_a_missing_cross_section() -> None:
    placeholder = lhe([2e-3, 4e-3]).replace("1.0E-03 3.0E-05", "-1.0 -1.0").replace("2.0E-03 4.0E-05", "-1.0 -1.0")
    found = of_lhe(placeholder)
    assert found.xsec_pb == pytest.approx(3e-3)
    assert "mean weight is 0.003 pb" in found.warnings[0]
    assert of_lhe(placeholder.replace(" -4 2", " -3 2")).xsec_pb is None
    assert "is not the cross-section" in of_lhe(lhe([1.0] * 100)).warnings[0]
    assert not of_lhe(lhe([1.0] * 100, idwtup=3)).warnings


def test_gz_gives_the_same_facts() -> None:
    assert of_lhe(gzip.compress(lhe().encode())) == of_lhe(lhe())
    assert of_hepmc(gzip.compress(hepmc3().encode())) == of_hepmc(hepmc3())
    (packed,) = read_theory("x", [("x", gzip.compress(lhe().encode()))]).files
    assert (packed.compressed, packed.content) == (True, None)
    halves = lhe().encode()
    assert of_lhe(gzip.compress(halves[:700]) + gzip.compress(halves[700:])) == of_lhe(lhe())


def test_a_cut_lhe_file_is_refused() -> None:
    third = lhe().rindex("<event>") + 60
    assert "in event 3 (after 2 whole events)" in refused(lhe()[:third])
    packed = gzip.compress(lhe([random.Random(1).random() for _ in range(500)]).encode())
    assert "gz file is cut" in refused(packed[: len(packed) // 2])
    between = of_lhe(lhe().replace("</LesHouchesEvents>\n", ""))
    assert between.n_events == 3
    assert "cut between events" in between.warnings[0]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("6.5E+03 6.5E+03", "6.5E+03 7.0E+03", "7000 GeV"),
        ("2212 2212", "2212 -2212", "particle -2212"),
        ("2212 2212", "11 -11", "particle 11"),
        ("1.0E-03 3.0E-05", "NaN 3.0E-05", "not a finite number"),
        ("<init>", "<inat>", "before <init>"),
        ('version="3.0"', 'version="9.0"', "LHE version"),
        (" 3 1 ", " 4 1 ", "lines are missing"),
        (" 3 1 ", " 2 1 ", "more lines than the 2 particles"),
        ("1.000000000E+00 91.2", "nan 91.2", "not a finite number"),
        ("0. 0. 500. 500.", "0. nan 500. 500.", "not a number"),
        (" -4 2", " -9 2", "IDWTUP -9"),
        (" 3 1 ", " x 1 ", "whole number"),
    ],
)
def test_a_damaged_lhe_file_is_refused_with_its_line(old: str, new: str, reason: str) -> None:
    message = refused(lhe().replace(old, new))
    assert reason in message
    assert message.startswith("e:")


def test_matching_and_a_spectrum_in_the_header_are_found() -> None:
    header = "  1 = ickkw ! turn on matching\n 30.0 = xqcut\n -1.0 = ktdurham\n<slha>\n" + GLUINO + "</slha>\n"
    found = of_lhe(lhe(header=header, pdg=1000021))
    assert found.matching == {"ickkw": 1.0, "xqcut": 30.0}
    assert "showered with it" in found.warnings[0]
    theory = read_theory("t", [("e.lhe", lhe(header=header, pdg=1000021).encode())])
    assert theory.values["m_gluino"] == 2000.0
    message = refused(lhe(header=header.replace("DECAY 1000021 1.0", "DECAY 1000021 nan"), pdg=1000021))
    assert message.startswith("e:13: ")  # the line in the LHE file


def test_undecayed_coloured_particles_need_a_spectrum() -> None:
    assert "no spectrum says how to decay gluino" in refused(lhe(pdg=1000021))
    both = read_theory("t", [("e.lhe", lhe(pdg=1000021).encode()), ("s.slha", GLUINO.encode())])
    assert both.values["m_lsp"] == 0.0
    decayed = GLUINO.replace("DECAY 1000021 1.0", "DECAY 1000021 0.0")
    assert read_theory("t", [("e.lhe", lhe().encode()), ("s.slha", decayed.encode())]).files[0].facts["n_events"] == 3


def test_entities_in_an_lhe_file_do_nothing() -> None:
    bomb = '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>\n'
    assert of_lhe(bomb + lhe(header="&b;&c;\n")).n_events == 3


def test_hepmc_3_takes_the_last_cross_section() -> None:
    found = of_hepmc(hepmc3())
    assert (found.n_events, found.xsec_pb, found.version, found.undecayed) == (2, 2e-3, "3.02.05", (1000022,))
    assert not found.warnings
    assert of_hepmc(hepmc3(unit="MEV")).n_events == 2


def test_hepmc_2_is_read() -> None:
    found = of_hepmc(hepmc2((2.0, -1.0)))
    assert (found.n_events, found.xsec_pb, found.sum_weights, found.n_negative) == (2, 2e-3, 1.0, 1)
    for text, kind in ((hepmc2(), Format.HEPMC2), (hepmc3(), Format.HEPMC3)):
        assert read_theory("x", [("x", text.encode())]).files[0].format is kind


def test_hepmc_without_end_line_keeps_its_last_event() -> None:
    found = of_hepmc(hepmc3(end=False))
    assert found.n_events == 2
    assert "no END_EVENT_LISTING" in found.warnings[0]


@pytest.mark.parametrize("text", [hepmc3(end=False), hepmc2()])
def test_a_cut_hepmc_file_is_refused(text: str) -> None:
    assert "event 2 (after 1 whole events)" in refused(text[: text.rindex("\nP ") + 1])
    packed = gzip.compress(text.encode())
    assert "gz file is cut" in refused(packed[:-12])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("6500.0 6500.0", "7000.0 7000.0", "7000 GeV"),
        ("W 1.0", "W nan1.0", "not a number"),
        ("GenCrossSection 2", "GenCrossSection -2", "negative"),
        ("U GEV", "U PEV", "PEV"),
        ("E 1 1 3", "E 1 1", "columns are missing"),
        ("1000022 1 2 3", "1000022 nan 2 3", "not a number"),
        ("1000022 1 2 3 1000 999 1", "1000021 1 2 3 1000 999 1", "charged or coloured"),
    ],
)
def test_a_damaged_hepmc_file_is_refused(old: str, new: str, reason: str) -> None:
    text = hepmc3()
    assert old in text
    assert reason in refused(text.replace(old, new))


def test_endless_empty_lines_are_refused_early() -> None:
    end = lhe().index("</LesHouchesEvents>")
    said = refused(lhe()[:end] + "#\n" * 4_000_000)
    assert "2 bytes on average" in said
    assert int(said.split(" lines of")[0].split()[-1]) < 3_000_000


def test_bombs_are_refused_in_bounded_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    head = lhe(header="").split("</header>")[0].encode()
    bomb = (
        packer.compress(head) + b"".join(packer.compress(b" " * 1023 + b"\n") for _ in range(20_000)) + packer.flush()
    )
    assert "expands to more than" in refused(bomb)
    long = packed = gzip.compress(b"HepMC::Version 3\nHepMC::Asciiv3-START_EVENT_LISTING\nE " + b"1" * 6_000_000)
    assert len(packed) < len(long) + 1
    assert "longer than" in refused(long)
    assert "other data follows" in refused(gzip.compress(lhe().encode()) + b"rubbish")
    damaged = bytearray(gzip.compress(lhe().encode()))
    damaged[40] ^= 0xFF
    assert "e" in refused(bytes(damaged))


def test_files_without_events_are_refused() -> None:
    assert "no events" in refused(lhe([]))
    assert "no events" in refused(hepmc3(()))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 3000), st.integers(0, 40), st.binary(max_size=6), st.sampled_from(["lhe", "hepmc2", "hepmc3", "gz"])
)
def test_fuzz_edits(at: int, cut: int, put: bytes, kind: str) -> None:
    text = {"lhe": lhe(), "hepmc2": hepmc2(), "hepmc3": hepmc3(), "gz": ""}[kind].encode() or gzip.compress(
        lhe().encode()
    )
    at %= len(text)
    try:
        read_theory("t", [("f", text[:at] + put + text[at + cut :])])
    except InvalidInput:
        return


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100), st.sampled_from([b"<LesHouchesEvents>\n", b"HepMC::", b"\x1f\x8b\x08", b"<init>\n"]))
def test_fuzz_bytes(content: bytes, start: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_theory("t", [("f", start + content)])
