"""HepMC 2 and 3 ASCII files (arXiv:1912.08005): one pass that counts events, sums weights, and finds what is wrong.

Pure but for the stream. Cross-sections in pb: the last one in the file counts, as generators refine it event by event.
"""

from __future__ import annotations

from reana_lite.errors import InvalidInput
from reana_lite.theory.events import EventFile, Tally, check_beam
from reana_lite.theory.reading import integer, number, refuse, shown
from reana_lite.theory.stream import Stream

_STARTS = {b"HepMC::IO_GenEvent-START_EVENT_LISTING": 2, b"HepMC::Asciiv3-START_EVENT_LISTING": 3}


def read_hepmc(stream: Stream) -> tuple[int, EventFile]:
    """The version (2 or 3) and facts of a HepMC file; InvalidInput with line and reason if it is cut or damaged."""
    reader = _Reader(stream)
    return reader.kind, reader.read()


class _Reader:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.source = stream.source
        self.lines = stream.lines()
        self.tally = Tally(self.source)
        self.version = ""
        self.kind = self.read_start()
        self.xsec_pb: float | None = None
        self.xsec_error_pb: float | None = None
        self.to_gev = 1.0
        self.weight = 1.0
        self.open = False
        self.vertices = self.particles = 0  # still to come in this event
        self.beams = 0
        self.closed = False

    def fail(self, reason: str) -> InvalidInput:
        return refuse(self.source, reason, line=max(self.stream.line, 1))

    def read_start(self) -> int:
        for line in self.lines:
            text = line.strip().removeprefix(b"\xef\xbb\xbf")
            if text.startswith(b"HepMC::Version"):
                self.version = text.split()[-1].decode("ascii", "replace")
            elif text in _STARTS:
                return _STARTS[text]
            elif text:
                raise self.fail(f"{shown(text.decode('latin-1'))!r} instead of the start of a HepMC 2 or 3 listing")
        raise self.fail("the file ends before its first event")

    def read(self) -> EventFile:
        for line in self.lines:
            letter = line[:2]
            try:
                if letter == b"P ":
                    self.particle(line)
                elif letter == b"V ":
                    self.vertex(line)
                elif letter == b"E ":
                    self.event(line)
                elif letter == b"W ":
                    self.weights(line.split())
                elif letter == b"U ":
                    self.units(line.split())
                elif letter == b"C " or b" GenCrossSection " in line[:60]:
                    self.cross_section(line.split())
                elif line.startswith(b"HepMC::") and b"END_EVENT_LISTING" in line:
                    self.close()
                    self.closed = True
            except (ValueError, IndexError) as error:
                reason = str(error) if isinstance(error, ValueError) else "columns are missing"
                raise self.fail(f"{reason}, in event {self.tally.n_events + 1}") from error
        self.close()
        self.tally.check()
        warnings = (
            [] if self.beams else [f"{self.source}: the events do not record their beams; pp at 13 TeV is assumed"]
        )
        if not self.closed:
            warnings.append(f"{self.source}: no END_EVENT_LISTING; the last event, {self.tally.n_events}, is whole")
        return EventFile(
            version=self.version,
            n_events=self.tally.n_events,
            sum_weights=self.tally.sum_weights,
            sum_weights_squared=self.tally.sum_weights_squared,
            n_negative=self.tally.n_negative,
            xsec_pb=self.xsec_pb,
            xsec_error_pb=self.xsec_error_pb,
            undecayed=tuple(sorted(self.tally.undecayed)),
            warnings=tuple(warnings),
        )

    def event(self, line: bytes) -> None:
        self.close()
        row = _texts(line)
        self.open = True
        self.closed = False
        self.weight = 1.0
        if self.kind == 3:
            self.vertices, self.particles = 0, integer(row[3])
            integer(row[2])
            return
        self.vertices, self.particles = integer(row[8]), 0
        states = integer(row[11])
        count = integer(row[12 + states]) if states >= 0 else -1
        if count < 0:
            raise ValueError("a negative number of states or weights")
        if count > 0:
            self.weight = number(row[13 + states])

    def close(self) -> None:
        """The event is whole: count it; refuse it if lines are missing."""
        if not self.open:
            return
        done = self.tally.n_events
        if self.particles or self.vertices:
            missing = f"{abs(self.particles)} particles" if self.particles else f"{abs(self.vertices)} vertices"
            how = "too many" if self.particles < 0 or self.vertices < 0 else "missing: the file is cut or damaged"
            raise self.fail(f"event {done + 1} (after {done} whole events): {missing} {how}")
        self.tally.add(self.weight)
        self.open = False

    def vertex(self, line: bytes) -> None:
        if self.kind == 2:
            row = _texts(line)
            self.vertices -= 1
            self.particles += integer(row[7]) + integer(row[8])

    def particle(self, line: bytes) -> None:
        at = self.kind  # the PDG code stands in column 2 of HepMC 2, 3 of HepMC 3
        row = line.split(None, at + 1)
        self.particles -= 1
        pdg = row[at]
        if len(pdg) > 6 or pdg == b"2212":
            rest = row[at + 1].split()
            if rest[5] == b"1":
                self.tally.final(integer(pdg.decode("latin-1")))
        if not self.tally.n_events and row[at + 1].split(None, 6)[5] == b"4":
            rest = row[at + 1].split()
            self.beams += 1
            energy = number(rest[3].decode("latin-1")) * self.to_gev
            check_beam(self.source, integer(pdg.decode("latin-1")), energy, line=self.stream.line)
        if b"n" in line or b"N" in line:
            raise ValueError("a momentum that is not a number")

    def weights(self, row: list[bytes]) -> None:
        if self.open and len(row) > 1:
            self.weight = number(row[1].decode("latin-1"))

    def units(self, row: list[bytes]) -> None:
        if row[1] not in (b"GEV", b"MEV"):
            raise ValueError(f"unit {shown(row[1].decode('latin-1'))!r}; known: GEV, MEV")
        self.to_gev = 1.0 if row[1] == b"GEV" else 0.001

    def cross_section(self, row: list[bytes]) -> None:
        at = 1 if row[0] == b"C" else 3
        value, error = (number(token.decode("latin-1")) for token in row[at : at + 2])
        if value < 0.0:
            raise ValueError(f"cross-section {value:g} pb is negative")
        self.xsec_pb, self.xsec_error_pb = value, error


def _texts(line: bytes) -> list[str]:
    return [token.decode("latin-1") for token in line.split()]
