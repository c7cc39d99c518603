"""SLHA (arXiv:hep-ph/0311123, 0801.0045, 0712.3311): what this analysis needs of it, read strictly.

Masses and widths in GeV, cross-sections in pb.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from refusal import integer, number, refuse

Row = Callable[[list[str], int], None]
"""Takes one line of data of a block: its tokens and its number."""

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


@dataclass(frozen=True)
class CrossSection:
    """An XSECTION entry: energy, beams, final state (sorted codes), order in QCD and electroweak, value in pb."""

    sqrts_gev: float
    beams: tuple[int, ...]
    final: tuple[int, ...]
    order: tuple[int, int]
    xsec_pb: float


@dataclass
class Spectrum:
    """What an SLHA file says."""

    masses_gev: dict[int, float] = field(default_factory=dict)
    decays: dict[int, Table] = field(default_factory=dict)
    quantum_numbers: dict[int, dict[int, int]] = field(default_factory=dict)
    mixings: dict[str, dict[tuple[int, int], float]] = field(default_factory=dict)
    xsections: list[CrossSection] = field(default_factory=list)
    tan_beta: float = 10.0


def read(text: str) -> Spectrum:
    """The spectrum in that text; refused with its line where it is odd."""
    spectrum = Spectrum()
    row: Row = _before
    for at, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        tokens = line.partition("#")[0].split()
        if not tokens:
            continue
        opener = _OPENERS.get(tokens[0].upper())
        if opener is None:
            row(tokens, at)
        elif len(tokens) < 2:
            refuse(f"{tokens[0].upper()} without a name", line=at)
        else:
            row = opener(spectrum, tokens, at)
    if not spectrum.masses_gev:
        refuse("there is no MASS block with an entry")
    return spectrum


def _before(tokens: list[str], at: int) -> None:
    refuse(f"{' '.join(tokens)[:40]!r} stands before the first BLOCK", line=at)


def _skip(_tokens: list[str], _at: int) -> None:
    pass


def _block(spectrum: Spectrum, tokens: list[str], at: int) -> Row:
    name = tokens[1].upper()
    if name == "QNUMBERS":
        if len(tokens) < 3:
            refuse("BLOCK QNUMBERS without a PDG code", line=at)
        return _quantum_numbers(spectrum.quantum_numbers.setdefault(integer(tokens[2], line=at), {}))
    if name in MIXINGS:
        return _mixing(spectrum.mixings.setdefault(name, {}))
    if name == "MASS":
        return _mass(spectrum)
    if name in ("MINPAR", "HMIX"):
        return _tan_beta(spectrum, {"MINPAR": "3", "HMIX": "2"}[name])
    return _info(name) if name in ("SPINFO", "DCINFO") else _skip


def _quantum_numbers(numbers: dict[int, int]) -> Row:
    def row(tokens: list[str], at: int) -> None:
        if len(tokens) >= 2:
            numbers[integer(tokens[0], line=at)] = integer(tokens[1], line=at)

    return row


def _mixing(matrix: dict[tuple[int, int], float]) -> Row:
    def row(tokens: list[str], at: int) -> None:
        if len(tokens) >= 3:
            key = integer(tokens[0], line=at), integer(tokens[1], line=at)
            matrix.setdefault(key, number(tokens[2], line=at))

    return row


def _mass(spectrum: Spectrum) -> Row:
    def row(tokens: list[str], at: int) -> None:
        if len(tokens) != 2:
            refuse("a MASS entry is a PDG code and a mass", line=at)
        pdg, mass = integer(tokens[0], line=at), number(tokens[1], line=at)
        if spectrum.masses_gev.setdefault(pdg, mass) != mass:
            refuse(f"second mass of {pdg}", line=at)

    return row


def _tan_beta(spectrum: Spectrum, entry: str) -> Row:
    def row(tokens: list[str], at: int) -> None:
        if len(tokens) >= 2 and tokens[0] == entry:
            spectrum.tan_beta = number(tokens[1], line=at)

    return row


def _info(name: str) -> Row:
    def row(tokens: list[str], at: int) -> None:
        if tokens[0] == "4":
            refuse(f"{name} 4: the calculation of the spectrum failed: {' '.join(tokens[1:])}", line=at)

    return row


def _decay(spectrum: Spectrum, tokens: list[str], at: int) -> Row:
    if len(tokens) < 3:
        refuse("DECAY needs a PDG code and a width in GeV", line=at)
    pdg, width = integer(tokens[1], line=at), number(tokens[2], line=at)
    if pdg in spectrum.decays:
        refuse(f"second DECAY table of {pdg}, the first is on line {spectrum.decays[pdg].line}", line=at)
    if width < 0:
        refuse(f"width {tokens[2]} of {pdg} is negative", line=at)
    table = spectrum.decays[pdg] = Table(width, [], at)
    return lambda row, line: _channel(table, row, line)


def _xsection(spectrum: Spectrum, tokens: list[str], at: int) -> Row:
    if len(tokens) < 5:
        refuse("XSECTION needs sqrt(s), two beams, the number of final particles and their codes", line=at)
    sqrts = number(tokens[1], line=at)
    beams = tuple(integer(t, line=at) for t in tokens[2:4])
    final = tuple(sorted(integer(t, line=at) for t in tokens[5:]))

    def row(tokens: list[str], at: int) -> None:
        if len(tokens) < 7:
            refuse("an XSECTION entry has at least 7 columns, the last of them in pb", line=at)
        order = integer(tokens[1], line=at), integer(tokens[2], line=at)
        spectrum.xsections.append(CrossSection(sqrts, beams, final, order, number(tokens[6], line=at)))

    return row


_OPENERS = {"BLOCK": _block, "DECAY": _decay, "XSECTION": _xsection}


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
