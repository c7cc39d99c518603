"""SLHA 1 and 2 (arXiv:hep-ph/0311123, 0801.0045; QNUMBERS 0712.3311; XSECTION): the reader.

Pure: bytes in, Spectrum out. What the numbers mean for an analysis is judged in spectrum.py; canonical.py writes what
generators get. Masses and widths are in GeV, cross-sections in pb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reana_lite.theory.reading import Faults, as_text, integer, number, shown

MAX_BYTES = 16 * 1024 * 1024

_INVISIBLE = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
"""Characters without width that come along with copied text."""

_BLOCKS = {
    0: "ALPHA",
    1: "MODSEL SMINPUTS MINPAR MASS GAUGE MSOFT HMIX VCKMIN UPMNSIN NMSSMRUN RVKAPPA RVSNVEV",
    2: "NMIX UMIX VMIX STOPMIX SBOTMIX STAUMIX AU AD AE YU YD YE TU TD TE MSQ2 MSU2 MSD2 MSL2 MSE2 USQMIX DSQMIX"
    " SELMIX SNUMIX VCKM UPMNS NMNMIX NMHMIX NMAMIX IMNMIX IMUMIX IMVMIX IMUSQMIX IMDSQMIX IMVCKM",
    3: "RVLAMLLE RVLAMLQD RVLAMUDD RVTLLE RVTLQD RVTUDD",
}
_INDICES = {name: indices for indices, names in _BLOCKS.items() for name in names.split()}
"""Blocks that a generator uses, with the number of indices of their entries; others are read over."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to decay: branching ratio and the PDG codes of the daughters, at a line of the file."""

    branching: float
    daughters: tuple[int, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Decay:
    """A decay table; `width_gev` is as written (it may be zero or negative: spectrum.py judges)."""

    pdg: int
    width_gev: float
    channels: tuple[Channel, ...]
    line: int


@dataclass(frozen=True, slots=True)
class QuantumNumbers:
    """A particle that the theory brings along: three times its charge, 2S+1, colour (1, 3, 6, 8)."""

    pdg: int
    charge3: int
    spin_states: int
    colour: int
    self_conjugate: bool
    line: int


@dataclass(frozen=True, slots=True)
class CrossSection:
    """An XSECTION entry: `xsec_pb` for beams at `sqrts_gev` into `final` (sorted PDG codes), at QCD and EW order.

    `kappa_f`, `kappa_r`: factorisation and renormalisation scales over the central one (0 if not said).
    """

    sqrts_gev: float
    beams: tuple[int, int]
    final: tuple[int, ...]
    qcd_order: int
    ew_order: int
    kappa_f: float
    kappa_r: float
    xsec_pb: float
    line: int

    @property
    def order(self) -> str:
        """The order in QCD by name."""
        return {0: "LO", 1: "NLO", 2: "NLO+NLL", 3: "NNLO+NNLL"}.get(self.qcd_order, f"QCD order {self.qcd_order}")


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What an SLHA file says. `mass_lines` and the lines in tables point into it.

    `conflicts`: particles with a second, different decay table, and its line; `decays` has the first.
    """

    source: str
    masses_gev: Mapping[int, float]
    decays: Mapping[int, Decay]
    quantum_numbers: Mapping[int, QuantumNumbers] = field(default_factory=dict)
    xsections: tuple[CrossSection, ...] = ()
    blocks: Mapping[str, Mapping[tuple[int, ...], float]] = field(default_factory=dict)
    mass_lines: Mapping[int, int] = field(default_factory=dict)
    conflicts: Mapping[int, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class _Reader:
    """Reads line by line; `rows` is the function that takes the data lines of the part we are in."""

    def __init__(self, source: str) -> None:
        self.faults = Faults(source)
        self.source = source
        self.masses: dict[int, float] = {}
        self.mass_lines: dict[int, int] = {}
        self.decays: dict[int, Decay] = {}
        self.quantum: dict[int, tuple[int, dict[int, int]]] = {}
        self.xsections: list[CrossSection] = []
        self.blocks: dict[str, dict[float | None, dict[tuple[int, ...], float]]] = {}
        self.conflicts: dict[int, int] = {}
        self.warnings: list[str] = []
        self.rows: Callable[[list[str], int], None] = self._before

    def read(self, text: str) -> Spectrum:
        close: Callable[[], None] | None = None
        for at, line in enumerate(text.split("\n"), 1):
            tokens = line.partition("#")[0].split()
            if not tokens:
                continue
            opener = _OPENERS.get(tokens[0].upper())
            try:
                if opener is None:
                    self.rows(tokens, at)
                    continue
                if close is not None:
                    close()
                self.rows, close = self._skip, None
                close = opener(self, tokens[1:], at)
            except ValueError as error:
                self.faults.add(str(error), line=at)
        if close is not None:
            close()
        if not self.masses and not self.faults.found:
            self.faults.add("no MASS block with an entry; a spectrum needs the masses of its particles")
        self.faults.check()
        return Spectrum(
            source=self.source,
            masses_gev=self.masses,
            mass_lines=self.mass_lines,
            conflicts=self.conflicts,
            decays=self.decays,
            quantum_numbers=self._quantum_numbers(),
            xsections=tuple(self.xsections),
            blocks=self._chosen_blocks(),
            warnings=tuple(self.warnings),
        )

    def _before(self, tokens: list[str], at: int) -> None:
        raise ValueError(f"{shown(' '.join(tokens))!r} stands before the first BLOCK or DECAY")

    def _skip(self, tokens: list[str], at: int) -> None:
        pass

    # -- blocks ----------------------------------------------------------------------------------------------------
    def _block(self, tokens: list[str], at: int) -> None:
        if not tokens:
            raise ValueError("BLOCK without a name")
        name = tokens[0].upper()
        if name in ("SPINFO", "DCINFO"):
            self.rows = lambda row, line: self._info(name, row, line)
        elif name == "QNUMBERS":
            if len(tokens) < 2:
                raise ValueError("BLOCK QNUMBERS without a PDG code")
            pdg = integer(tokens[1])
            if pdg <= 0:
                raise ValueError(f"BLOCK QNUMBERS {pdg}: the PDG code of the particle is positive")
            if pdg in self.quantum:
                raise ValueError(f"second BLOCK QNUMBERS {pdg}; the first is on line {self.quantum[pdg][0]}")
            numbers = self.quantum.setdefault(pdg, (at, {}))[1]
            self.rows = lambda row, line: self._quantum_row(numbers, row)
        elif name in _INDICES:
            scale = self._scale(tokens[1:])
            copies = self.blocks.setdefault(name, {})
            entries = copies.setdefault(None if name == "MASS" else scale, {})
            self.rows = lambda row, line: self._entry(name, entries, row, line)

    def _scale(self, tokens: list[str]) -> float | None:
        text = "".join(tokens)
        if text[:2].upper() == "Q=":
            return number(text[2:])
        if text:
            raise ValueError(f"{shown(text)!r} after the name of a block; only Q= and a number may stand there")
        return None

    def _entry(self, name: str, entries: dict[tuple[int, ...], float], row: list[str], at: int) -> None:
        indices = _INDICES[name]
        if len(row) < indices + 1:
            raise ValueError(f"{name} entry with {len(row)} columns; {indices} whole numbers and a value are needed")
        key = tuple(integer(token) for token in row[:indices])
        value = number(row[indices])
        if len(row) > indices + 1 and name == "MASS":
            raise ValueError(f"MASS entry with {len(row)} columns; a PDG code and a mass in GeV are needed")
        if key in entries:
            if entries[key] != value:
                raise ValueError(
                    f"second value {row[indices]} for {name} {' '.join(row[:indices])}; which one is meant?"
                )
            self.warnings.append(f"{self.source}:{at}: {name} {' '.join(row[:indices])} is given twice, with one value")
        entries[key] = value
        if name == "MASS":
            if key[0] <= 0:
                raise ValueError(f"MASS of {key[0]}: the PDG code of a particle is positive")
            self.masses[key[0]] = value
            self.mass_lines.setdefault(key[0], at)

    def _quantum_row(self, numbers: dict[int, int], row: list[str]) -> None:
        if len(row) < 2:
            raise ValueError("QNUMBERS entry with one column; an index and a whole number are needed")
        key, value = integer(row[0]), integer(row[1])
        if numbers.setdefault(key, value) != value:
            raise ValueError(f"second value {value} for QNUMBERS entry {key}")

    def _info(self, name: str, row: list[str], at: int) -> None:
        said = shown(" ".join(row[1:]))
        what = "spectrum" if name == "SPINFO" else "decay"
        if row[0] == "4":
            raise ValueError(f"{name} 4: the {what} calculation failed: {said}")
        if row[0] == "3":
            self.warnings.append(f"{self.source}:{at}: the {what} calculation warned: {said}")

    def _quantum_numbers(self) -> dict[int, QuantumNumbers]:
        found = {}
        for pdg, (line, n) in self.quantum.items():
            colour = abs(n.get(3, 0))
            if 1 not in n or colour not in (1, 3, 6, 8):
                self.faults.add(
                    f"QNUMBERS {pdg} needs entry 1 (three times the charge) and 3 (colour 1, 3, 6 or 8)", line=line
                )
            found[pdg] = QuantumNumbers(pdg, n.get(1, 0), n.get(2, 0), colour, n.get(4, 1) == 0, line)
        self.faults.check()
        return found

    def _chosen_blocks(self) -> dict[str, dict[tuple[int, ...], float]]:
        chosen = {}
        for name, copies in self.blocks.items():
            scales = sorted(
                (scale for scale, entries in copies.items() if entries), key=lambda q: -1.0 if q is None else q
            )
            if len(scales) > 1:
                self.warnings.append(
                    f"{self.source}: block {name} is given at {len(scales)} scales; the lowest is used"
                )
            if scales and name != "MASS":
                chosen[name] = copies[scales[0]]
        return chosen

    # -- decays and cross-sections -----------------------------------------------------------------------------------
    def _decay(self, tokens: list[str], at: int) -> Callable[[], None]:
        if len(tokens) != 2:
            raise ValueError(f"DECAY with {len(tokens)} columns; a PDG code and a total width in GeV are needed")
        pdg, width = integer(tokens[0]), number(tokens[1])
        if pdg <= 0:
            raise ValueError(f"DECAY {pdg}: the PDG code of a particle is positive")
        channels: list[Channel] = []

        def close() -> None:
            decay = Decay(pdg, width, tuple(channels), at)
            first = self.decays.setdefault(pdg, decay)
            if first is decay:
                return
            text = f"{self.source}:{at}: DECAY {pdg} is given twice (first on line {first.line})"
            if _table(first) == _table(decay):
                self.warnings.append(f"{text}, with equal content")
            elif _empty(first) or _empty(decay):
                self.decays[pdg] = decay if _empty(first) else first
                self.warnings.append(f"{text}; the table without width and channels is passed over")
            else:
                self.conflicts.setdefault(pdg, at)

        self.rows = lambda row, line: channels.append(_channel(row, line))
        return close

    def _xsection(self, tokens: list[str], at: int) -> None:
        if len(tokens) < 5:
            raise ValueError(
                "XSECTION needs: sqrt(s) in GeV, two beams, the number of final particles, their PDG codes"
            )
        sqrts = number(tokens[0])
        first, second, count, *final = (integer(token) for token in tokens[1:])
        if count != len(final):
            raise ValueError(f"XSECTION announces {count} final particles and names {len(final)}")

        def take(row: list[str], line: int) -> None:
            if len(row) < 7:
                raise ValueError(f"XSECTION entry with {len(row)} columns; at least 7 are needed, the last one in pb")
            kappa_f, kappa_r, value = number(row[3]), number(row[4]), number(row[6])
            if value < 0:
                raise ValueError(f"cross-section {row[6]} pb is negative")
            codes = tuple(sorted(final))
            orders = integer(row[1]), integer(row[2])
            row_of = CrossSection(sqrts, (first, second), codes, *orders, kappa_f, kappa_r, value, line)
            self.xsections.append(row_of)

        self.rows = take


_OPENERS: dict[str, Callable[[_Reader, list[str], int], Callable[[], None] | None]] = {
    "BLOCK": _Reader._block,
    "DECAY": _Reader._decay,
    "XSECTION": _Reader._xsection,
}


def _channel(row: list[str], line: int) -> Channel:
    if len(row) < 3:
        raise ValueError(
            "decay channel with fewer than 3 columns; a branching ratio, a count and the daughters are needed"
        )
    branching, count = number(row[0]), integer(row[1])
    daughters = tuple(integer(token) for token in row[2:])
    if count != len(daughters) or count < 1:
        raise ValueError(f"decay channel announces {count} daughters and names {len(daughters)}")
    if 0 in daughters:
        raise ValueError("decay channel with a daughter 0")
    # New physics first, then by code: the order of daughters is not part of a theory.
    return Channel(branching, tuple(sorted(daughters, key=lambda d: (-abs(d), d))), line)


def _table(decay: Decay) -> tuple[float, list[tuple[tuple[int, ...], float]]]:
    return decay.width_gev, sorted((c.daughters, c.branching) for c in decay.channels)


def _empty(decay: Decay) -> bool:
    return decay.width_gev == 0.0 and not decay.channels


def read_slha(content: bytes, source: str = "slha") -> Spectrum:
    """The spectrum that an SLHA file holds; InvalidInput with file, line and reason for every fault of its form."""
    faults = Faults(source)
    if len(content) > MAX_BYTES:
        faults.add(f"{len(content)} bytes; an SLHA file has at most {MAX_BYTES}")
        faults.check()
    return _Reader(source).read(as_text(content, source).translate(_INVISIBLE))
