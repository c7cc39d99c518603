"""Theories as the steps of atlas-susy-2018-22 read them: what is refused, what may differ without changing events.

The steps `theory`, `crosssection` and `blocks` are run as they are in a workflow: as programs, on files.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ANALYSIS = Path(__file__).parents[2] / "workflows" / "atlas-susy-2018-22"
CODE = ANALYSIS / "code" / "theory"
GLUINO = (ANALYSIS / "examples" / "gluino_2000_0.slha").read_text()
SQUARK = (ANALYSIS / "examples" / "squark_1200_600.slha").read_text()
LINE_4 = "     2.50E-01    3     1000022   4    -4\n"


def step(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CODE / program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def check(folder: Path, content: str | bytes, file_format: str = "slha") -> subprocess.CompletedProcess[str]:
    theory = folder / "theory"
    theory.write_bytes(content if isinstance(content, bytes) else content.encode())
    return step("check_theory.py", theory, "--format", file_format, "--sample", folder / "sample")


def sample(folder: Path, content: str | bytes, file_format: str = "slha") -> dict[str, bytes]:
    """Every file of the sample folder; it decides which generated events may be used again."""
    ended = check(folder, content, file_format)
    assert ended.returncode == 0, ended.stderr
    return {path.name: path.read_bytes() for path in sorted((folder / "sample").iterdir())}


def cross_sections(folder: Path, content: str | bytes, *options: str, file_format: str = "slha") -> dict[str, Any]:
    sample(folder, content, file_format)
    ended = step(
        "cross_sections.py", folder / "theory", "--format", file_format, "--sample", folder / "sample",
        "--tables", ANALYSIS / "xsec", "--output", folder / "out.json", *options,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    document: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return document


def folder_of(path: Path, name: str) -> Path:
    (path / name).mkdir()
    return path / name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GLUINO.replace("1000022   0.0E+00   # ~chi_10", "1000022   NaN"), "'NaN' is not a finite number"),
        (GLUINO.replace("1000021   2.0E+03", "1000021   1_000"), "'1_000' is not a finite number"),
        (GLUINO.replace("1000021   2.0E+03", "1000021   inf"), "'inf' is not a finite number"),
        (GLUINO.replace("DECAY   1000021   1.0E+00", "DECAY   1000021   NaN"), "not a finite number"),
        (GLUINO.replace("DECAY   1000021   1.0E+00", "DECAY   1000021   -1.0"), "is negative"),
        (GLUINO.replace("DECAY   1000021   1.0E+00", "DECAY   1000021   0.0"), "width 0 GeV .* taken as stable"),
        (GLUINO[: GLUINO.index("DECAY   1000021")], "no DECAY table: it would be taken as stable"),
        (GLUINO.replace(LINE_4, ""), r"add up to 0.7500, not 1"),
        (GLUINO.replace(LINE_4, LINE_4 * 2), r"add up to 1.2500, not 1"),
        (GLUINO.replace("BLOCK MODSEL", "     4  no symmetry breaking\nBLOCK MODSEL"), "SPINFO 4"),
        (GLUINO + GLUINO[GLUINO.index("DECAY   1000021") :], "second DECAY table of 1000021"),
        (
            GLUINO.replace("   1000021   2.0E+03", "   1000021   2.0E+03\n   1000021   1.9E+03"),
            "second mass of 1000021",
        ),
        (GLUINO.replace("1000021   2.0E+03", "1000021   9.0E+03"), "neither a gluino nor a squark below 9 TeV"),
        (GLUINO.replace("3     1000022   4    -4", "3     1000024   4    -4"), r"1000024\) occurs|heavier than itself"),
        (
            GLUINO.replace("1000022   0.0E+00   # ~chi_10", "1000022   2.5E+03"),
            "100% of the decays .* heavier than itself",
        ),
        ("", "no MASS block"),
        ("MASS\n 1 2\n", "before the first BLOCK"),
    ],
)
def test_theories_that_would_give_a_wrong_verdict_are_refused(tmp_path: Path, content: str, reason: str) -> None:
    ended = check(tmp_path, content)
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert re.search(reason, ended.stderr), ended.stderr


@pytest.mark.parametrize(
    "content",
    [
        GLUINO.replace("2.0E+03", "2.0D+03"),
        GLUINO.replace("2.0E+03", "2000"),
        GLUINO.replace("BLOCK MASS   #", "BLOCK MASS\t#").replace("   1000021   2.0E+03", "\t1000021\t2.0E+03"),
        GLUINO.replace("\n", "\r\n"),
        "\ufeff" + GLUINO,
        GLUINO.replace("BLOCK", "block").replace("DECAY ", "Decay "),
        GLUINO.replace("# ~g", "# another comment"),
        GLUINO[: GLUINO.index("DECAY   1000022")]
        + GLUINO[GLUINO.index("DECAY   1000021") :]
        + "DECAY   1000022   0.0E+00\n",
        GLUINO + "XSECTION 1.30E+04 2212 2212 2 1000021 1000021\n 0 2 0 1 1 0 1.5E-03 prog 1.0\n",
        "\n".join(line for line in GLUINO.splitlines() if "1.0E+05" not in line) + "\n",
        GLUINO.replace("1000006   1.0E+05", "1000006   1.2E+04"),
    ],
    ids=["fortran", "integer", "tabs", "crlf", "bom", "case", "comment", "order", "xsection", "absent", "decoupled"],
)
def test_what_does_not_change_events_does_not_change_the_sample(tmp_path: Path, content: str) -> None:
    assert sample(folder_of(tmp_path, "a"), content) == sample(folder_of(tmp_path, "b"), GLUINO)


@pytest.mark.parametrize(
    "content",
    [
        GLUINO.replace("1000021   2.0E+03", "1000021   2.1E+03"),
        GLUINO.replace("1000022   0.0E+00   # ~chi_10", "1000022   1.0E+00"),
        GLUINO.replace(LINE_4, "     2.50E-01    3     1000022   5    -5\n"),
        GLUINO.replace("DECAY   1000021   1.0E+00", "DECAY   1000021   2.0E+00"),
    ],
    ids=["mass", "lsp", "decay", "width"],
)
def test_what_changes_events_changes_the_sample(tmp_path: Path, content: str) -> None:
    assert sample(folder_of(tmp_path, "a"), content) != sample(folder_of(tmp_path, "b"), GLUINO)


def test_slightly_unequal_branching_ratios_and_negative_neutralino_masses_are_taken(tmp_path: Path) -> None:
    sample(folder_of(tmp_path, "a"), GLUINO.replace(LINE_4, LINE_4.replace("2.50E-01", "2.498E-01")))
    document = cross_sections(
        folder_of(tmp_path, "b"), GLUINO.replace("1000022   0.0E+00   # ~chi_10", "1000022   -1.0E+02")
    )
    assert document["masses"]["lsp_gev"] == 100.0
    assert document["validity"] == []


def light(pdg: int, mass: str, text: str = GLUINO) -> str:
    quark = pdg % 10
    return text.replace(f"{pdg}   1.0E+05", f"{pdg}   {mass}") + f"DECAY {pdg} 1.0\n 1.0 2 1000022 {quark}\n"


NO_GLUINO = GLUINO[: GLUINO.index("DECAY   1000021")].replace("1000021   2.0E+03", "1000021   1.0E+05")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (GLUINO, ["gluino-gluino"]),
        (SQUARK, ["squark-antisquark"]),
        (light(1000006, "1.0E+03", NO_GLUINO), ["stop-antistop"]),
        (light(2000005, "1.0E+03", NO_GLUINO), ["sbottom-antisbottom"]),
        (light(1000006, "1.0E+03"), ["gluino-gluino", "stop-antistop"]),
        (light(1000001, "8.9E+03"), ["strong"]),
        (light(1000001, "9.0E+03"), ["gluino-gluino"]),
    ],
)
def test_processes_follow_from_what_is_light(tmp_path: Path, content: str, names: list[str]) -> None:
    found = json.loads(sample(tmp_path, content)["sample.json"])
    assert [process["name"] for process in found["processes"]] == names
    assert found["invisible"] == [1000022]


def process(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["processes"][name]
    return found


def test_cross_sections_are_those_of_the_tables(tmp_path: Path) -> None:
    gluino = process(cross_sections(folder_of(tmp_path, "g"), GLUINO), "gluino-gluino")
    assert gluino["xsec_pb"] == pytest.approx(1.01e-3)
    assert gluino["xsec_error_pb"] == pytest.approx(1.96e-4)
    assert gluino["xsec_order"] == "NNLOapprox+NNLL"
    squark = process(cross_sections(folder_of(tmp_path, "q"), SQUARK), "squark-antisquark")
    assert squark["xsec_pb"] == pytest.approx(0.8 * 17.1e-3)
    one = process(cross_sections(folder_of(tmp_path, "o"), light(1000001, "1.2E+03", NO_GLUINO)), "squark-antisquark")
    assert one["xsec_pb"] == pytest.approx(17.1e-3 / 10)
    stop = process(cross_sections(folder_of(tmp_path, "s"), light(1000006, "1.2E+03", NO_GLUINO)), "stop-antistop")
    assert one["xsec_pb"] == pytest.approx(stop["xsec_pb"], rel=0.015)


def test_between_points_of_a_table_the_logarithm_is_interpolated(tmp_path: Path) -> None:
    between = process(
        cross_sections(tmp_path, GLUINO.replace("1000021   2.0E+03", "1000021   2.025E+03")), "gluino-gluino"
    )
    # NNLL-fast has 0.000885 pb at 2025 GeV, between 0.00101 (2000) and 0.000776 (2050).
    assert between["xsec_pb"] == pytest.approx(8.85e-4, rel=5e-3)
    assert between["xsec_pb"] == pytest.approx((1.01e-3 * 7.76e-4) ** 0.5, rel=1e-6)


def test_outside_of_the_tables_only_the_users_value_helps(tmp_path: Path) -> None:
    heavy = GLUINO.replace("1000021   2.0E+03", "1000021   3.1E+03")
    sample(tmp_path, heavy)
    arguments = (
        "cross_sections.py", tmp_path / "theory", "--format", "slha", "--sample", tmp_path / "sample",
        "--tables", ANALYSIS / "xsec", "--output", tmp_path / "out.json",
    )  # fmt: skip
    refused = step(*arguments)
    assert refused.returncode == 3
    assert "outside of the cross-section table (500 to 3000 GeV)" in refused.stderr
    given = process(cross_sections(folder_of(tmp_path, "u"), heavy, "--xsec-pb", "1e-6"), "gluino-gluino")
    assert (given["xsec_pb"], given["xsec_order"], given["xsec_error_pb"]) == (1e-6, "user", None)


def test_xsection_comes_after_the_user_and_before_the_tables(tmp_path: Path) -> None:
    block = (
        "XSECTION 1.30E+04 2212 2212 2 1000021 1000021\n 0 0 0 1 1 0 5.0E-04 p 1\n 0 2 0 1 1 0 9.0E-04 p 1\n"
        "XSECTION 8.00E+03 2212 2212 2 1000021 1000021\n 0 3 0 1 1 0 1.0E-06 p 1\n"
    )
    found = process(cross_sections(folder_of(tmp_path, "f"), GLUINO + block), "gluino-gluino")
    assert (found["xsec_pb"], found["xsec_order"]) == (9.0e-4, "NLO+NLL")
    user = process(
        cross_sections(folder_of(tmp_path, "u"), GLUINO + block, "--xsec-pb", "2e-3", "--xsec-error-pb", "1e-4"),
        "gluino-gluino",
    )
    assert (user["xsec_pb"], user["xsec_error_pb"]) == (2e-3, 1e-4)


def test_one_value_cannot_be_shared_by_two_processes(tmp_path: Path) -> None:
    sample(tmp_path, light(1000006, "1.0E+03"))
    ended = step(
        "cross_sections.py", tmp_path / "theory", "--format", "slha", "--sample", tmp_path / "sample",
        "--tables", ANALYSIS / "xsec", "--output", tmp_path / "out.json", "--xsec-pb", "1e-3",
    )  # fmt: skip
    assert ended.returncode == 3
    assert "2 processes" in ended.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GLUINO.replace("1000022   0.0E+00   # ~chi_10", "1000022   1.6E+03"), "mass difference 400 GeV is below 500"),
        (GLUINO.replace("DECAY   1000021   1.0E+00", "DECAY   1000021   1.0E-14"), "c tau = 19.7 mm"),
        (light(1000001, "2.0E+03"), "both light"),
    ],
)
def test_theories_outside_of_validity_are_marked(tmp_path: Path, content: str, reason: str) -> None:
    reasons = cross_sections(tmp_path, content)["validity"]
    assert any(reason in text for text in reasons), reasons


def test_new_particles_come_with_quantum_numbers(tmp_path: Path) -> None:
    def theory(charge: int) -> str:
        return f"BLOCK QNUMBERS 5000001 # X\n 1 {charge}\n 2 1\n 3 1\n 4 0\n" + GLUINO.replace(
            "   1000022   0.0E+00   # ~chi_10", "   1000022   1.0E+05\n   5000001   1.0E+02"
        ).replace("3     1000022", "3     5000001")

    found = sample(folder_of(tmp_path, "n"), theory(0))
    assert json.loads(found["sample.json"])["invisible"] == [5000001]
    assert b"BLOCK QNUMBERS 5000001" in found["generator.slha"]
    charged = check(folder_of(tmp_path, "c"), theory(3))
    assert charged.returncode == 3
    assert "5000001" in charged.stderr


# -- blocks ------------------------------------------------------------------------------------------------------------
def plan(folder: Path, n_events: int) -> list[dict[str, Any]]:
    out = folder / "blocks.yml"
    ended = step("plan_blocks.py", folder / "sample", "--n-events", n_events, "--block-size", 2500, "--output", out)
    assert ended.returncode == 0, ended.stderr
    blocks: list[dict[str, Any]] = json.loads(out.read_text())["blocks"]
    return blocks


def test_more_events_add_blocks_and_keep_those_there_are(tmp_path: Path) -> None:
    sample(tmp_path, light(1000006, "1.0E+03"))
    few, many = plan(tmp_path, 5000), plan(tmp_path, 6000)
    assert few == many[: len(few)]
    assert sum(b["events"] for b in many) == 2 * 6000
    assert {b["process"] for b in many} == {"gluino-gluino", "stop-antistop"}
    assert [b["events"] for b in many[-2:]] == [1000, 1000]


# -- files of events ---------------------------------------------------------------------------------------------------
def event(weight: float = 1.0) -> str:
    rows = ["21 -1 0 0 501 502 0. 0. 1500. 1500. 0. 0. 9.", "21 -1 0 0 502 501 0. 0. -1500. 1500. 0. 0. 9."]
    momentum = (1500.0**2 - 1000.0**2) ** 0.5
    for sign, colours in ((1, "503 504"), (-1, "504 503")):
        rows.append(f"1000021 1 1 2 {colours} {sign * momentum:.8f} 0. 0. 1500. 1000. 0. 9.")
    return f"<event>\n 4 1 {weight} 1000. 0.0078 0.1\n" + "\n".join(rows) + "\n</event>\n"


def lhe(events: list[str], *, beam: float = 6500.0, xsec: float = 0.3, header: str = "", slha: str = GLUINO) -> str:
    spectrum = slha.replace("1000021   2.0E+03", "1000021   1.0E+03")
    inner = f"<slha>\n{spectrum}</slha>\n" if slha else ""
    return (
        f'<LesHouchesEvents version="3.0">\n<header>\n{header}{inner}</header>\n<init>\n'
        f" 2212 2212 {beam} {beam} 0 0 0 0 -4 1\n {xsec} 0.01 1.0 1\n</init>\n{''.join(events)}</LesHouchesEvents>\n"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lhe([event()], beam=7000.0), "7000"),
        (lhe([event()] * 3)[:-120], "breaks off after 2 complete events"),
        (gzip.compress(lhe([event()] * 200).encode())[:300], "broken or cut off"),
        (lhe([event()], header="<MGRunCard>\n  1 = ickkw ! MLM\n</MGRunCard>\n"), "matching"),
        (lhe([event()], header="<MGRunCard>\n  30.0 = xqcut ! MLM\n</MGRunCard>\n"), "matching"),
        (lhe([event(1.0), event(-1.0)]), "add up to 0"),
        (lhe([]), "holds no event"),
        (lhe([event()], slha=""), "not known to be neutral"),
        (lhe([event()], slha=GLUINO.replace("DECAY   1000021   1.0E+00", "DECAY   1000021   0.0")), "taken as stable"),
        ("no events here\n", "no complete <init> block"),
    ],
)
def test_event_files_that_cannot_be_used_are_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    ended = check(tmp_path, content, "lhe")
    assert ended.returncode == 3, ended.stdout
    assert reason in ended.stderr


def test_event_files_are_cut_into_blocks_without_what_does_not_change_events(tmp_path: Path) -> None:
    first = sample(folder_of(tmp_path, "a"), lhe([event()] * 2501), "lhe")
    names = [name for name in first if name.endswith(".lhe")]
    assert names == ["lhe-0.lhe", "lhe-1.lhe"]
    assert first["lhe-0.lhe"].count(b"<event>") == 2500
    packed = gzip.compress(lhe([event()] * 2501, xsec=0.9, header="# by another program\n").encode())
    assert sample(folder_of(tmp_path, "b"), packed, "lhe") == first


def test_cross_section_of_an_event_file_is_that_of_its_init_block(tmp_path: Path) -> None:
    document = cross_sections(folder_of(tmp_path, "a"), lhe([event()] * 3), file_format="lhe")
    found = process(document, "lhe")
    assert (found["xsec_pb"], found["xsec_error_pb"]) == (0.3, 0.01)
    assert document["masses"]["parent_gev"] == 1000.0
    none = sample(folder_of(tmp_path, "b"), lhe([event()], xsec=0.0), "lhe")
    assert none
    ended = step(
        "cross_sections.py", tmp_path / "b" / "theory", "--format", "lhe", "--sample", tmp_path / "b" / "sample",
        "--tables", ANALYSIS / "xsec", "--output", tmp_path / "out.json",
    )  # fmt: skip
    assert ended.returncode == 3
    assert "names no cross-section" in ended.stderr


def hepmc3(n: int, *, beam: float = 6500.0) -> str:
    lines = ["HepMC::Version 3.02.06", "HepMC::Asciiv3-START_EVENT_LISTING"]
    for i in range(n):
        lines += [
            f"E {i} 1 4", "U GEV MM", f"A 0 GenCrossSection {1.0 + i} 0.5 -1 -1",
            f"P 1 0 2212 0 0 {beam} {beam} 0.938 4", f"P 2 0 2212 0 0 -{beam} {beam} 0.938 4", "V -1 0 [1,2]",
            "P 3 -1 1000022 400 0 0 412.3 100 1", "P 4 -1 211 -400 0 0 400 0.14 1",
        ]  # fmt: skip
    return "\n".join([*lines, "HepMC::Asciiv3-END_EVENT_LISTING", ""])


def test_hepmc_keeps_its_last_event_and_its_last_cross_section(tmp_path: Path) -> None:
    whole = sample(folder_of(tmp_path, "a"), hepmc3(3), "hepmc3")
    ended = hepmc3(3).replace("HepMC::Asciiv3-END_EVENT_LISTING\n", "")
    assert sample(folder_of(tmp_path, "b"), ended, "hepmc3") == whole
    found = process(cross_sections(folder_of(tmp_path, "c"), hepmc3(3), file_format="hepmc3"), "hepmc")
    assert (found["xsec_pb"], found["xsec_error_pb"]) == (3.0, 0.5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (hepmc3(3, beam=4000.0), "4000"),
        (hepmc3(3)[:-90], "event 3 is not complete"),
        (hepmc3(3).replace("1000022", "1000024"), "not known to be neutral"),
        (hepmc3(0), "no event"),
    ],
)
def test_hepmc_files_that_cannot_be_used_are_refused(tmp_path: Path, content: str, reason: str) -> None:
    ended = check(tmp_path, content, "hepmc3")
    assert ended.returncode == 3, ended.stdout
    assert reason in ended.stderr
