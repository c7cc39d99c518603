"""Les Houches event files (hep-ph/0609017): checked, and cut into blocks that the generator reads.

Only what events depend on goes into the blocks: weights, particles. Cross-section, comments and reweighting do not.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from particles import NEUTRAL, is_new, name_of
from refusal import integer, number, refuse

BEAM_GEV = 6500.0


@dataclass
class Header:
    """What stands before the first event. Cross-section and its error in pb."""

    slha: str = ""
    xsec_pb: float = 0.0
    xsec_error_pb: float = 0.0


@dataclass
class Scan:
    """What the events hold: their number, masses in GeV of new particles, those produced, those left over."""

    n_events: int = 0
    sum_weights: float = 0.0
    masses_gev: dict[int, float] = field(default_factory=dict)
    produced: set[int] = field(default_factory=set)
    stable: set[int] = field(default_factory=set)


def lines_of(path: str | Path) -> Iterator[str]:
    """The lines of a text file, gzipped or not; a file that breaks off is refused."""
    with Path(path).open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", errors="replace")
            if packed
            else Path(path).open(encoding="utf-8", errors="replace") as stream
        ):
            yield from stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        refuse(f"the compressed file is broken or cut off ({error})")


def read_header(lines: Iterator[str]) -> Header:
    """Consume everything up to </init>; refuses other beams than 2 x 6.5 TeV protons and matching prescriptions."""
    header, part, slha, init = Header(), "", [], []
    for at, line in enumerate(lines, 1):
        text = line.strip()
        low = text.lower()
        if low.startswith("<slha"):
            part = "slha"
        elif low.startswith("</slha"):
            part = ""
        elif low.startswith("<init"):
            part = "init"
        elif low.startswith("</init"):
            break
        elif low.startswith("<event"):
            refuse("an event stands before the <init> block", line=at)
        elif part == "slha":
            slha.append(line.rstrip("\n"))
        elif part == "init" and text and not text.startswith(("<", "#")):
            init.append((at, text.split()))
        else:
            _check_matching(low, at)
    else:
        refuse("no complete <init> block: this is not an LHE file, or it is cut off")
    header.slha = "\n".join(slha)
    _read_init(header, init)
    return header


def _check_matching(low: str, at: int) -> None:
    wanted = re.match(r"\s*([-+.\dde]+)\s*=\s*(ickkw|xqcut|ktdurham)\b", low)
    if wanted:
        try:
            value = float(wanted[1].replace("d", "e"))
        except ValueError:
            return
        if value > 0:
            refuse(
                f"the file asks for matching of matrix elements and shower ({wanted[2]} = {value:g}), which this "
                "analysis does not do: events with extra jets would be counted twice",
                line=at,
            )


def _read_init(header: Header, init: list[tuple[int, list[str]]]) -> None:
    if not init or len(init[0][1]) < 10:
        refuse("the <init> block needs 10 numbers in its first line")
    at, first = init[0]
    beams = [number(token, line=at) for token in first[:4]]
    if beams[:2] != [2212, 2212] or any(abs(energy - BEAM_GEV) > 1 for energy in beams[2:]):
        refuse(
            f"beams {beams[0]:.0f} and {beams[1]:.0f} at {beams[2]:g} and {beams[3]:g} GeV; this search needs protons "
            "(2212) at 6500 GeV each",
            line=at,
        )
    variance = 0.0
    processes = int(number(first[9], line=at))
    for row_at, row in init[1 : 1 + processes]:
        if len(row) < 2:
            refuse("a process line of <init> needs a cross-section and its error in pb", line=row_at)
        header.xsec_pb += number(row[0], line=row_at)
        variance += number(row[1], line=row_at) ** 2
    header.xsec_error_pb = variance**0.5


def cut_into_blocks(lines: Iterator[str], folder: Path, *, process: str, block_size: int) -> Scan:
    """Write <process>-<block>.lhe with `block_size` events each; refuses files whose last event is not complete."""
    scan = Scan()
    out: TextIO | None = None
    event: list[str] | None = None
    ended = False
    for line in lines:
        low = line.lstrip()[:20].lower()
        if low.startswith("<event"):
            event = []
        elif low.startswith("</event"):
            if event is None:
                refuse(f"</event> without <event> after {scan.n_events} events")
            if out is None or scan.n_events % block_size == 0:
                out = _next_block(out, folder / f"{process}-{scan.n_events // block_size}.lhe")
            out.write("<event>\n" + _event(event, scan) + "</event>\n")
            event = None
        elif low.startswith("</leshouchesevents"):
            ended = True
            break
        elif event is not None:
            event.append(line)
    if out is not None:
        out.write("</LesHouchesEvents>\n")
        out.close()
    if event is not None or not ended:
        refuse(f"the file breaks off after {scan.n_events} complete events (no </LesHouchesEvents>)")
    if scan.n_events == 0:
        refuse("the file holds no event")
    if scan.sum_weights == 0:
        refuse(f"the weights of the {scan.n_events} events add up to 0")
    return scan


def _next_block(out: TextIO | None, path: Path) -> TextIO:
    if out is not None:
        out.write("</LesHouchesEvents>\n")
        out.close()
    stream = path.open("w", encoding="ascii")
    stream.write(
        '<LesHouchesEvents version="1.0">\n<init>\n'
        f" 2212 2212 {BEAM_GEV:.6E} {BEAM_GEV:.6E} 0 0 0 0 -4 1\n 1.0 0.0 1.0 1\n</init>\n"
    )
    return stream


def _event(rows: list[str], scan: Scan) -> str:
    """The event with process number 1, without anything after its particles; the scan is brought up to date."""
    head = rows[0].split() if rows else []
    what = f"event {scan.n_events + 1}"
    if len(head) < 6 or not head[0].isdigit():
        refuse(f"{what}: its first line needs 6 numbers")
    count = int(head[0])
    particles = [row.split() for row in rows[1 : 1 + count]]
    if len(particles) < count or any(len(row) < 13 for row in particles):
        refuse(f"{what}: {count} particles announced, {sum(len(r) >= 13 for r in particles)} complete ones found")
    weight = number(head[2])
    scan.n_events += 1
    scan.sum_weights += weight
    for row in particles:
        pdg, status = integer(row[0]), integer(row[1])
        for token in row[6:11]:
            number(token)
        if is_new(pdg):
            code = abs(pdg)
            scan.masses_gev.setdefault(code, abs(number(row[10])))
            if status == 1:
                scan.stable.add(code)
            mother = integer(row[2])
            if 0 < mother <= count and integer(particles[mother - 1][1]) == -1:
                scan.produced.add(code)
    scale, alpha_qed, alpha_qcd = (f"{number(token):.8E}" for token in head[3:6])
    text = f" {count} 1 {weight:.10E} {scale} {alpha_qed} {alpha_qcd}\n"
    return text + "".join(" " + " ".join(row[:13]) + "\n" for row in particles)


def check_stable(scan: Scan, decayed: set[int], neutral: set[int]) -> None:
    """Refuse events whose new particles would be taken for invisible though they are not known to be."""
    for pdg in sorted(scan.stable - decayed):
        if pdg not in NEUTRAL and pdg not in neutral:
            refuse(
                f"{name_of(pdg)} is left over at the end of events and is not known to be neutral; give its decays "
                "(or QNUMBERS) in the <slha> block of the file"
            )
