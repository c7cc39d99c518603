"""HepMC 2 and 3 text files: checked, and cut into blocks of events. Lines are looked at, events are not built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from particles import NEUTRAL, is_new, name_of
from refusal import integer, number, refuse

BEAM_GEV = 6500.0


@dataclass
class Scan:
    """What the file holds; the cross-section (pb) is the last one named, None if there is none."""

    n_events: int = 0
    xsec_pb: float | None = None
    xsec_error_pb: float = 0.0
    masses_gev: dict[int, float] = field(default_factory=dict)
    stable: set[int] = field(default_factory=set)


def cut_into_blocks(lines: Iterator[str], folder: Path, *, process: str, block_size: int) -> Scan:
    """Write <process>-<block>.hepmc with `block_size` events each; an event that is not whole is refused."""
    scan, event = Scan(), _Event()
    header: list[str] = []
    out: TextIO | None = None
    version, footer, unit = 0, "", 1.0
    for at, line in enumerate(lines, 1):
        key = line[:2]
        if key == "E ":
            out = _write(out, event, scan, folder, process, block_size, "".join(header), footer)
            event = _Event(line, version, at)
        elif line.startswith("HepMC::"):
            if "START_EVENT_LISTING" in line:
                version = 3 if "Asciiv3" in line else 2 if "IO_GenEvent" in line else 0
                if not version:
                    refuse("only the text formats IO_GenEvent (HepMC 2) and Asciiv3 (HepMC 3) are read", line=at)
                footer = line.replace("START", "END")
                header.append(line)
            elif "END_EVENT_LISTING" not in line:
                header.append(line)
        elif event.lines:
            if key == "U ":
                unit = 1e-3 if "MEV" in line.upper() else 1.0
            event.add(line, unit, scan)
        else:
            if key == "U ":
                unit = 1e-3 if "MEV" in line.upper() else 1.0
            header.append(line)
    out = _write(out, event, scan, folder, process, block_size, "".join(header), footer)
    if out is None:
        refuse("the file holds no event")
    out.write(footer)
    out.close()
    for pdg in sorted(scan.stable):
        if pdg not in NEUTRAL:
            refuse(f"{name_of(pdg)} is left over at the end of events and is not known to be neutral")
    return scan


class _Event:
    """The lines of one event and what is counted while they pass."""

    def __init__(self, head: str = "", version: int = 0, at: int = 0) -> None:
        self.lines = [head] if head else []
        self.version, self.at = version, at
        self.beams = 0
        self.particles, self.vertices = 0, 0
        tokens = head.split()
        try:
            self.expected = (int(tokens[2 if version == 3 else 8]), int(tokens[3]) if version == 3 else None)
        except (IndexError, ValueError):
            self.expected = (0, None)
            if head:
                refuse("an event line without its numbers of vertices and particles", line=at)
        self.beam_codes = tokens[9:11] if version == 2 else []
        self.to_come = 0

    def add(self, line: str, unit: float, scan: Scan) -> None:
        """Take one more line of this event."""
        self.lines.append(line)
        key = line[:2]
        if key == "P ":
            self._particle(line.split(), unit, scan)
        elif key == "V ":
            self.vertices += 1
            if self.version == 2:
                tokens = line.split()
                self.to_come += sum(integer(token) for token in tokens[7:9])
        elif key == "C ":
            self._cross_section(line.split()[1:3], scan)
        elif key == "A " and " GenCrossSection " in line:
            self._cross_section(line.split()[3:5], scan)

    def _cross_section(self, tokens: list[str], scan: Scan) -> None:
        if len(tokens) == 2:
            scan.xsec_pb, scan.xsec_error_pb = number(tokens[0]), abs(number(tokens[1]))

    def _particle(self, tokens: list[str], unit: float, scan: Scan) -> None:
        shift = 1 if self.version == 3 else 0
        if len(tokens) < 9 + shift:
            return
        self.particles += 1
        pdg, status = integer(tokens[2 + shift]), integer(tokens[8 + shift])
        energy = number(tokens[6 + shift]) * unit
        beam = tokens[1] in self.beam_codes if self.version == 2 else status == 4
        if beam:
            if pdg != 2212 or abs(energy - BEAM_GEV) > 1:
                refuse(
                    f"event {scan.n_events + 1}: beam {pdg} at {energy:g} GeV; this search needs protons (2212) at "
                    "6500 GeV"
                )
            self.beams += 1
        if is_new(pdg):
            scan.masses_gev.setdefault(abs(pdg), abs(number(tokens[7 + shift])) * unit)
            if status == 1:
                scan.stable.add(abs(pdg))

    def whole(self) -> bool:
        """True if all announced vertices and particles have come."""
        vertices, particles = self.expected
        if self.version == 3:
            return self.particles == particles and self.vertices <= vertices
        return self.vertices == vertices and self.particles == self.to_come


def _write(
    out: TextIO | None, event: _Event, scan: Scan, folder: Path, process: str, size: int, header: str, footer: str
) -> TextIO | None:
    if not event.lines:
        return out
    if not event.whole():
        refuse(f"event {scan.n_events + 1} is not complete: the file is cut off or damaged", line=event.at)
    if event.beams != 2:
        refuse(f"event {scan.n_events + 1} names {event.beams} beam particles; 2 are needed to know the energy")
    if scan.n_events % size == 0:
        if out is not None:
            out.write(footer)
            out.close()
        out = (folder / f"{process}-{scan.n_events // size}.hepmc").open("w", encoding="utf-8")
        out.write(header)
    assert out is not None
    out.writelines(event.lines)
    scan.n_events += 1
    return out


def last_cross_section(lines: Iterator[str]) -> tuple[float | None, float]:
    """The last cross-section (pb) that the file names, and its error; (None, 0) if there is none."""
    found: tuple[float | None, float] = (None, 0.0)
    for line in lines:
        if line.startswith("C "):
            tokens = line.split()[1:3]
        elif line.startswith("A ") and " GenCrossSection " in line:
            tokens = line.split()[3:5]
        else:
            continue
        if len(tokens) == 2:
            found = (number(tokens[0]), abs(number(tokens[1])))
    return found
