"""SLHA (arXiv:hep-ph/0311123, 0801.0045, 0712.3311): what this analysis needs of it, read strictly.

Masses and widths in GeV, cross-sections in pb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from refusal import integer, number, refuse

MIXINGS = {
    "NMIX": 4, "UMIX": 2, "VMIX": 2, "STOPMIX": 2, "SBOTMIX": 2, "STAUMIX": 2,
    "USQMIX": 6, "DSQMIX": 6, "SELMIX": 6, "SNUMIX": 3, "NMNMIX": 5,
}  # fmt: skip
"""Mixing matrices with their size; the generator takes absent ones for zero."""

INSTEAD = {"STOPMIX": "USQMIX", "SBOTMIX": "DSQMIX", "STAUMIX": "SELMIX", "NMIX": "NMNMIX"}


@dataclass
class Table:
    """A decay table: total width in GeV and channels (branching ratio, daughters)."""

    width_gev: float
    channels: list[tuple[float, tuple[int, ...]]]
    line: int


@dataclass
class Spectrum:
    """What an SLHA file says."""

    masses_gev: dict[int, float] = field(default_factory=dict)
    decays: dict[int, Table] = field(default_factory=dict)
    quantum_numbers: dict[int, dict[int, int]] = field(default_factory=dict)
    mixings: dict[str, dict[tuple[int, int], float]] = field(default_factory=dict)
    xsections: list[dict[str, object]] = field(default_factory=list)
    tan_beta: float = 10.0
    warnings: list[str] = field(default_factory=list)


def read(text: str) -> Spectrum:
    """The spectrum in that text; refused with its line where it is odd."""
    spectrum = Spectrum()
    part: list[object] = ["none"]
    for at, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        tokens = line.partition("#")[0].split()
        if not tokens:
            continue
        head = tokens[0].upper()
        if head in ("BLOCK", "DECAY", "XSECTION") and len(tokens) < 2:
            refuse(f"{head} without a name", line=at)
        if head == "BLOCK":
            part = _block(spectrum, tokens, at)
        elif head == "DECAY":
            part = _decay(spectrum, tokens, at)
        elif head == "XSECTION":
            part = _xsection(spectrum, tokens, at)
        else:
            _row(spectrum, part, tokens, at)
    if not spectrum.masses_gev:
        refuse("there is no MASS block with an entry")
    return spectrum


def _block(spectrum: Spectrum, tokens: list[str], at: int) -> list[object]:
    name = tokens[1].upper()
    if name == "QNUMBERS":
        if len(tokens) < 3:
            refuse("BLOCK QNUMBERS without a PDG code", line=at)
        return ["QNUMBERS", spectrum.quantum_numbers.setdefault(integer(tokens[2], line=at), {})]
    if name in MIXINGS:
        return ["mixing", spectrum.mixings.setdefault(name, {})]
    return [name]


def _decay(spectrum: Spectrum, tokens: list[str], at: int) -> list[object]:
    if len(tokens) < 3:
        refuse("DECAY needs a PDG code and a width in GeV", line=at)
    pdg, width = integer(tokens[1], line=at), number(tokens[2], line=at)
    if pdg in spectrum.decays:
        refuse(f"second DECAY table of {pdg}, the first is on line {spectrum.decays[pdg].line}", line=at)
    if width < 0:
        refuse(f"width {tokens[2]} of {pdg} is negative", line=at)
    spectrum.decays[pdg] = Table(width, [], at)
    return ["decay", spectrum.decays[pdg]]


def _xsection(spectrum: Spectrum, tokens: list[str], at: int) -> list[object]:
    if len(tokens) < 5:
        refuse("XSECTION needs sqrt(s), two beams, the number of final particles and their codes", line=at)
    header = {
        "sqrts_gev": number(tokens[1], line=at),
        "beams": [integer(t, line=at) for t in tokens[2:4]],
        "final": sorted(integer(t, line=at) for t in tokens[5:]),
    }
    return ["xsection", header]


def _row(spectrum: Spectrum, part: list[object], tokens: list[str], at: int) -> None:
    kind = part[0]
    if kind == "none":
        refuse(f"{' '.join(tokens)[:40]!r} stands before the first BLOCK", line=at)
    if kind in ("SPINFO", "DCINFO") and tokens[0] == "4":
        refuse(f"{kind} 4: the calculation of the spectrum failed: {' '.join(tokens[1:])}", line=at)
    if kind == "MASS":
        if len(tokens) != 2:
            refuse("a MASS entry is a PDG code and a mass", line=at)
        pdg, mass = integer(tokens[0], line=at), number(tokens[1], line=at)
        if spectrum.masses_gev.setdefault(pdg, mass) != mass:
            refuse(f"second mass of {pdg}", line=at)
    elif kind in ("MINPAR", "HMIX"):
        if len(tokens) >= 2 and tokens[0] == {"MINPAR": "3", "HMIX": "2"}[kind]:
            spectrum.tan_beta = number(tokens[1], line=at)
    elif kind == "QNUMBERS" and len(tokens) >= 2:
        part[1][integer(tokens[0], line=at)] = integer(tokens[1], line=at)  # type: ignore[index]
    elif kind == "mixing" and len(tokens) >= 3:
        key = integer(tokens[0], line=at), integer(tokens[1], line=at)
        part[1].setdefault(key, number(tokens[2], line=at))  # type: ignore[attr-defined]
    elif kind == "decay":
        _channel(part[1], tokens, at)  # type: ignore[arg-type]
    elif kind == "xsection":
        if len(tokens) < 7:
            refuse("an XSECTION entry has at least 7 columns, the last of them in pb", line=at)
        order = integer(tokens[1], line=at), integer(tokens[2], line=at)
        spectrum.xsections.append({**part[1], "order": order, "xsec_pb": number(tokens[6], line=at)})  # type: ignore[dict-item]


def _channel(table: Table, tokens: list[str], at: int) -> None:
    if len(tokens) < 3:
        refuse("a decay channel is a branching ratio, a number of daughters, and the daughters", line=at)
    branching, count = number(tokens[0], line=at), integer(tokens[1], line=at)
    daughters = tuple(integer(t, line=at) for t in tokens[2:])
    if len(daughters) != count:
        refuse(f"the channel announces {count} daughters and names {len(daughters)}", line=at)
    if not 0 <= branching <= 1.01:
        refuse(f"branching ratio {tokens[0]} is not between 0 and 1", line=at)
    table.channels.append((branching, daughters))


def branching_sum(table: Table) -> float:
    """Sum of the branching ratios."""
    return math.fsum(branching for branching, _ in table.channels)
