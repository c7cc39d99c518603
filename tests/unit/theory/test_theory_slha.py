"""SLHA files: numbers, odd line ends, canonical bytes, and what would give a wrong verdict without a word."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_samples import GLUINO

from reana_lite.errors import InvalidInput
from reana_lite.theory.canonical import normalise
from reana_lite.theory.reading import exact, integer, number
from reana_lite.theory.slha import read_slha
from reana_lite.theory.spectrum import Examination, examine


def accept(text: str | bytes, **kwargs: object) -> Examination:
    content = text if isinstance(text, bytes) else text.encode()
    return examine(read_slha(content, "t.slha"), **kwargs)  # type: ignore[arg-type]


def refused(text: str | bytes, **kwargs: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        accept(text, **kwargs)
    return caught.value.message


def canonical(text: str | bytes) -> bytes:
    return normalise(read_slha(text if isinstance(text, bytes) else text.encode(), "t.slha"))


@pytest.mark.parametrize(
    ("token", "value"),
    [("2.0D+03", 2000.0), ("2.0d3", 2000.0), ("-1.5E-3", -0.0015), ("7", 7.0), (".5", 0.5), ("1.", 1.0),
     ("+1e2", 100.0), ("1.5-101", 1.5e-101), ("1e-999", 0.0)],
)  # fmt: skip
def test_numbers_are_read(token: str, value: float) -> None:
    assert number(token) == value


@pytest.mark.parametrize(
    "token",
    ["1_000", "inf", "-Infinity", "nan", "NaN(0x1)", "0.01E+0.00", "1e999", "1,5", "0x10", "", ".", "e5", "٣", "1.0 E3",
     "1-10", "9" * 65],
)  # fmt: skip
def test_numbers_are_refused(token: str) -> None:
    with pytest.raises(ValueError, match=r"number|large"):
        number(token)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12))
def test_a_number_is_finite_or_refused(token: str) -> None:
    try:
        value = number(token)
    except ValueError:
        return
    assert value - value == 0.0
    assert re.fullmatch(r"[0-9+\-.eEdD]+", token)


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_plain_numbers_read_back_exactly(value: float) -> None:
    assert number(exact(value)) == value


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**9), 10**9))
def test_whole_numbers_read_back(value: int) -> None:
    assert integer(str(value)) == value


def test_the_simple_theory_is_accepted() -> None:
    found = accept(GLUINO)
    assert found.produced == (1000021,)
    assert found.reached == (1000021, 1000022)
    assert not found.validity
    assert [w for w in found.warnings if "decoupled" in w and "27 particles" in w]


@pytest.mark.parametrize(
    "odd",
    [
        GLUINO.replace("2.0000E+03", "2.0D+03"),
        GLUINO.replace("MASS  #", "MASS\t#").replace("    ", "\t"),
        GLUINO.replace("\n", "\r\n"),
        GLUINO.replace("\n", "\r"),
        "\ufeff" + GLUINO,
        GLUINO.replace("BLOCK", "Block").replace("DECAY", "  decay"),
        GLUINO.replace("someone", "someone else"),
        GLUINO + "BLOCK SPhenoINFO\n some words, not numbers\n",
        GLUINO + "XSECTION 1.30E+04 2212 2212 2 1000021 1000021\n 0 2 0 1 1 0 1.0E-03 program\n",
        GLUINO.replace("1000022  4  -4", "-4 1000022 4") + "   0.0 2 1000022 21\n",
    ],
)
def test_equal_theories_give_equal_bytes(odd: str) -> None:
    assert canonical(odd) == canonical(GLUINO)
    assert accept(odd).produced == (1000021,)


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_tables_and_channels_changes_nothing(shuffle: random.Random) -> None:
    tables = [
        "BLOCK MASS\n 1000021 2000\n 1000022 100\n 1000023 600\n",
        "DECAY 1000022 0\n",
        "BLOCK NMIX\n 1 1 0.9\n 1 2 0.1\n",
        "BLOCK HMIX Q= 1000\n 1 500\n 2 10\n",
        "BLOCK QNUMBERS 9000001\n 1 0\n 2 1\n 3 1\n 4 1\n",
    ]
    channels = [" 0.5 3 1000022 1 -1\n", " 0.25 3 1000023 2 -2\n", " 0.25 3 1000022 2 -2\n"]
    first = canonical("".join([*tables, "DECAY 1000021 1\n", *channels]))
    shuffle.shuffle(channels)
    tables.append("DECAY 1000021 1\n" + "".join(channels))
    shuffle.shuffle(tables)
    assert canonical("".join(tables)) == first


def test_the_canonical_file_is_a_fixed_point_and_plain() -> None:
    text = canonical(GLUINO)
    assert canonical(text) == text
    assert re.fullmatch(rb"[A-Z0-9 .+\-\n]+", text)
    assert b" 1000021 2.00000000E+03\n" in text
    assert b" 1000001 1.00000000E+05\n" in text
    assert b"DECAY 1000001 0.00000000E+00\n" in text
    assert b"BLOCK MODSEL\n 1 0\n" in text


def test_a_theory_without_supersymmetry_gets_no_squarks() -> None:
    text = (
        "BLOCK QNUMBERS 9000005 # x\n 1 0\n 2 1\n 3 8\n 4 0\nBLOCK MASS\n 9000005 1500\nDECAY 9000005 3\n 1.0 2 21 21\n"
    )
    assert b"1000001" not in canonical(text)
    assert accept(text).produced == (9000005,)


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (("2.0000E+03", "1_000"), 5, "1_000"),
        (("2.0000E+03", "inf"), 5, "not a finite number"),
        (("2.0000E+03", "NaN"), 5, "not a finite number"),
        (("DECAY 1000021 1.0", "DECAY 1000021 0.01E+0.00"), 7, "0.01E+0.00"),
        (("DECAY 1000021 1.0", "DECAY 1000021 NaN"), 7, "not a finite number"),
        (("DECAY 1000021 1.0", "DECAY 1000021 -1.0"), 7, "negative"),
        (("DECAY 1000021 1.0", "DECAY 1000021 0.0"), 7, "width 0"),
        (("DECAY 1000021 1.0", "DECAY 1000021"), 7, "1 columns"),
        (("0.25  3  1000022  4  -4", ""), 7, "add up to 0.75"),
        (("0.25  3  1000022  4", "0.65  3  1000022  4"), 7, "add up to 1.4"),
        (("0.25  3  1000022  4", "-0.25  3  1000022  4"), 11, "negative"),
        (("3  1000022  4  -4", "3  1000022  4"), 11, "announces 3 daughters and names 2"),
        (("4  -4", "4  -3"), 11, "charge"),
        (("4  -4", "4  4"), 11, "charge"),
        (("1000022  4", "1000023  4"), 11, "no entry in MASS"),
        (("1000022  0.0  ", "1000022  2500"), 8, "not possible with these masses"),
        (("1000022  0.0         # lightest neutralino", "1000021 1999.0"), 6, "which one is meant"),
        (("DECAY 1000022 0.0", "DECAY 1000021 2.0\n 1.0 2 1000022 21"), 12, "second DECAY table"),
        (("    1   someone", "    4   tachyons"), 3, "SPINFO 4"),
        (("1000021  2.0000E+03", "21.5  2.0"), 5, "whole number"),
        (("# a simplified theory", " 1 2 3"), 1, "before the first BLOCK"),
    ],
)
def test_what_would_be_silent_is_refused_with_line_and_reason(change: tuple[str, str], line: int, reason: str) -> None:
    text = GLUINO.replace(*change)
    assert text != GLUINO
    message = refused(text)
    assert f"t.slha:{line}: " in message
    assert reason in message


def test_a_gluino_without_a_decay_table_is_refused() -> None:
    assert "gluino (1000021) is coloured and has no DECAY table" in refused("BLOCK MASS\n 1000021 2000\n 1000022 0\n")


def test_branching_ratios_within_a_percent_are_accepted() -> None:
    accept(GLUINO.replace("0.25  3  1000022  4", "0.2498  3  1000022  4"))


def test_a_fault_of_what_is_not_produced_is_a_warning() -> None:
    chargino = GLUINO.replace("# gluino\n", "# gluino\n 1000024 900\n", 1) + "DECAY 1000024 -1e-35\n 1.0 2 1000022 24\n"
    found = accept(chargino)
    assert any("1000024" in w and "negative" in w for w in found.warnings)
    assert "negative" in refused(chargino, produced=[1000024])
    assert b"DECAY 1000024 0.00000000E+00\n" in canonical(chargino)


def test_the_sign_of_a_neutralino_mass_is_a_phase_but_a_squark_is_not_negative() -> None:
    found = accept(GLUINO.replace("1000022  0.0", "1000022  -50.0"))
    assert found.reached == (1000021, 1000022)
    assert "negative" in refused(GLUINO.replace("1000022  0.0 ", "1000022  0.0\n 1000001 -1500"))


def test_a_long_lived_particle_is_outside_validity() -> None:
    (reason,) = accept(GLUINO.replace("DECAY 1000021 1.0", "DECAY 1000021 1e-14")).validity
    assert "c tau 19.7 mm" in reason
    assert not accept(GLUINO.replace("DECAY 1000021 1.0", "DECAY 1000021 2e-13")).validity


def test_a_width_beyond_the_mass_is_refused_also_where_there_is_no_mass() -> None:
    assert "is 105% of its mass" in refused(GLUINO.replace("DECAY 1000021 1.0", "DECAY 1000021 2100"))
    massless = GLUINO.replace("# gluino\n", "# gluino\n 1000023 0.0\n", 1).replace("1000022  4", "1000023  4")
    assert "without a mass" in refused(massless + "DECAY 1000023 1.0\n 1.0 3 1000022 1 -1\n")


def test_a_heavier_neutral_particle_must_say_that_it_is_stable() -> None:
    text = GLUINO.replace("# gluino\n", "# gluino\n 1000023 800\n", 1).replace("1000022  4", "1000023  4")
    assert "DECAY 1000023 0.0" in refused(text)
    assert any("stable and invisible" in w for w in accept(text + "DECAY 1000023 0.0\n").warnings)


def test_decays_through_particles_off_their_mass_shell_are_said() -> None:
    text = "BLOCK MASS\n 1000021 400\n 1000022 100\nDECAY 1000021 1\n 0.5 3 1000022 6 -6\n 0.5 3 1000022 1 -1\n"
    assert any("off its mass shell" in w for w in accept(text).warnings)
    assert "no decay channel" in refused(text.replace(" 0.5 3 1000022 1 -1\n", "").replace("0.5", "1.0"))


def test_the_masses_of_charged_particles_need_quantum_numbers_where_unknown() -> None:
    text = "BLOCK MASS\n 1000021 2000\n 9000001 100\nDECAY 1000021 1\n 1.0 3 9000001 1 -1\n"
    assert "BLOCK QNUMBERS 9000001" in refused(text)
    numbers = "BLOCK QNUMBERS 9000001\n 1 {charge}\n 2 2\n 3 1\n 4 1\n"
    assert accept(numbers.format(charge=0) + text).reached == (1000021, 9000001)
    assert "does not conserve charge" in refused(numbers.format(charge=3) + text)


def test_electroweak_theories_are_judged_by_what_they_produce() -> None:
    text = "BLOCK MASS\n 1000023 700\n 1000024 700\n 1000022 0\nDECAY 1000024 1\n 1.0 2 1000022 24\n"
    assert "1000023" in refused(text)
    found = accept(text + "DECAY 1000023 1\n 1.0 2 1000022 25\n")
    assert found.produced == (1000023, 1000024)


def test_heavy_particles_count_as_absent() -> None:
    heavy = GLUINO.replace("# gluino\n", "# gluino\n 1000001 1e5\n 2000001 9000\n", 1)
    assert accept(heavy).produced == (1000021,)
    assert "nothing to search for" in refused("BLOCK MASS\n 1000021 1e5\n")


def test_several_faults_come_together() -> None:
    message = refused(GLUINO.replace("2.0000E+03", "nan").replace("DECAY 1000021 1.0", "DECAY 1000021 inf"))
    assert message.count("\n") == 1
    assert "t.slha:5: " in message
    assert "t.slha:7: " in message


def test_copies_of_a_block_at_several_scales() -> None:
    text = GLUINO + "BLOCK GAUGE Q= 2000\n 1 0.4\nBLOCK GAUGE Q= 91.2\n 1 0.36\n"
    spectrum = read_slha(text.encode())
    assert spectrum.blocks["GAUGE"] == {(1,): 0.36}
    assert any("2 scales" in w for w in spectrum.warnings)


def test_second_decay_tables() -> None:
    stop = " 1000006 1e5\n"
    twice = "DECAY 1000006 0.0\nDECAY 1000006 7.2\n 1.0 2 1000022 6\n"
    found = accept(GLUINO.replace("# gluino\n", "# gluino\n" + stop, 1) + twice)
    assert any("passed over" in w for w in found.warnings)
    assert b"DECAY 1000006 7.20000000E+00\n" in canonical(GLUINO + twice)
    unlike = "DECAY 1000006 1.0\n 1.0 2 1000022 6\nDECAY 1000006 7.2\n 1.0 2 1000022 6\n"
    assert any("unlike the first" in w for w in accept(GLUINO + unlike).warnings)
    same = "DECAY 1000022 0.0\n"
    assert any("equal content" in w for w in accept(GLUINO + same).warnings)


def test_rounding_below_zero_is_left_out() -> None:
    tiny = GLUINO.replace("4  -4\n", "4  -4\n   -4.3E-23  2  1000022  21\n")
    assert canonical(tiny) == canonical(GLUINO)
    accept(tiny)
    assert "negative" in refused(tiny.replace("4.3E-23", "4.3E-03"))


def test_invisible_characters_of_copied_text_are_passed_over() -> None:
    assert canonical("\u200b" + GLUINO.replace("2.0000E+03", "2.0\u200b000E+03\xa0")) == canonical(GLUINO)
    assert "\u2212" in refused(GLUINO.replace("1  -1", "1  \u22121"))


def test_cross_sections_by_order() -> None:
    text = GLUINO + (
        "XSECTION 1.30E+04 2212 2212 2 1000021 1000021 # 13 TeV\n"
        " 0 0 0 0 0 0 4.5E-04 lo\n 0 2 0 0 0 0 1.01D-03 nll\n 0 2 0 2 2 0 0.9E-03 nll\n"
        "XSECTION 8.0E+03 2212 2212 2 1000021 1000021\n 0 2 0 0 0 0 1.0E-05 nll\n"
    )
    spectrum = read_slha(text.encode())
    assert {(x.beams, x.final) for x in spectrum.xsections} == {((2212, 2212), (1000021, 1000021))}
    assert {(x.sqrts_gev, x.order, x.kappa_f): x.xsec_pb for x in spectrum.xsections} == {
        (13000.0, "LO", 0.0): 4.5e-4, (13000.0, "NLO+NLL", 0.0): 1.01e-3, (13000.0, "NLO+NLL", 2.0): 0.9e-3,
        (8000.0, "NLO+NLL", 0.0): 1e-5,
    }  # fmt: skip
    assert "negative" in refused(text.replace("4.5E-04", "-4.5E-04"))
    written = normalise(spectrum, cross_sections=True)
    assert normalise(spectrum) == canonical(GLUINO)
    again = {replace(x, line=0) for x in read_slha(written).xsections}
    assert again == {replace(x, line=0) for x in spectrum.xsections}
    assert normalise(read_slha(written), cross_sections=True) == written


def test_binary_and_utf16_are_refused() -> None:
    assert "UTF-16" in refused(GLUINO.encode("utf-16"))
    assert "binary" in refused(GLUINO.encode() + b"\0")
    assert "no MASS block" in refused("BLOCK SMINPUTS\n 1 127\n")
    assert canonical(GLUINO.replace("someone", "José").encode("latin-1")) == canonical(GLUINO)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_fuzz_bytes(content: bytes) -> None:
    _survive(content)


PIECES = st.sampled_from(
    ["BLOCK", "MASS", "DECAY", "QNUMBERS", "XSECTION", "1000021", "1000022", "2000", "-1", "0", "nan", "1e5", "NMIX",
     "Q=", "#", "\n", "\n", "\n ", "\t", " ", "\r", "2", "2212", "13000", "SPINFO", "4", "1.0", "\x85", "\u2028"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=60).map(" ".join))
def test_fuzz_words(text: str) -> None:
    _survive(text.encode())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(GLUINO) - 1), st.integers(0, 12), st.text(max_size=4))
def test_fuzz_edits(at: int, cut: int, put: str) -> None:
    _survive((GLUINO[:at] + put + GLUINO[at + cut :]).encode())


def _survive(content: bytes) -> None:
    try:
        spectrum = read_slha(content)
        examine(spectrum)
    except InvalidInput:
        return
    assert normalise(read_slha(normalise(spectrum))) == normalise(spectrum)
