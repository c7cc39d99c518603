"""Les Houches event files, versions 1 to 3 (arXiv:hep-ph/0609017, 1405.1067): one pass that finds what is wrong.

Pure but for the stream. Lines are read as lines: no XML parser sees the file, so that entities in it do nothing.
Cross-sections in pb.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reana_lite.errors import InvalidInput
from reana_lite.theory.events import EventFile, Tally, check_beam
from reana_lite.theory.reading import integer, number, refuse, shown
from reana_lite.theory.stream import Stream

MAX_HEADER_BYTES = 32 * 1024 * 1024

_VERSION = re.compile(rb"""<LesHouchesEvents\b[^>]*\bversion\s*=\s*["']([^"']{1,20})["']""")
_MATCHING = re.compile(rb"^\s*([-+.0-9eEdD]+)\s*=\s*(ickkw|xqcut|ktdurham)\b", re.IGNORECASE)


def read_lhe(stream: Stream) -> EventFile:
    """The facts of an LHE file; InvalidInput with line and reason if it is cut, damaged or not of these beams."""
    return _Reader(stream).read()


class _Reader:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.source = stream.source
        self.lines: Iterator[bytes] = (line.rstrip() for line in stream.lines())
        self.tally = Tally(self.source)
        self.warnings: list[str] = []
        self.matching: dict[str, float] = {}
        self.slha: list[bytes] = []
        self.slha_line = 0
        self.version = ""
        self.weighting = 0
        self.xsec_pb = 0.0
        self.xsec_variance = 0.0

    def fail(self, reason: str) -> InvalidInput:
        return refuse(self.source, reason, line=max(self.stream.line, 1))

    def next(self, where: str) -> bytes:
        line = next(self.lines, None)
        if line is None:
            raise self.fail(f"the file ends {where}")
        return line

    def read(self) -> EventFile:
        self.read_start()
        self.read_header()
        self.read_init()
        closed = self.read_events()
        self.tally.check()
        if not closed:
            text = f"{self.source}: no </LesHouchesEvents> behind event {self.tally.n_events}"
            self.warnings.append(f"{text}; the file may have been cut between events")
        if self.matching:
            what = ", ".join(f"{name} = {value:g}" for name, value in sorted(self.matching.items()))
            self.warnings.append(
                f"{self.source}: the events ask for jet matching ({what}); they must be showered with it"
            )
        self.judge_cross_section()
        return EventFile(
            version=self.version,
            n_events=self.tally.n_events,
            sum_weights=self.tally.sum_weights,
            sum_weights_squared=self.tally.sum_weights_squared,
            n_negative=self.tally.n_negative,
            xsec_pb=self.xsec_pb or None,
            xsec_error_pb=self.xsec_variance**0.5 if self.xsec_pb else None,
            weighting=self.weighting,
            matching=self.matching,
            undecayed=tuple(sorted(self.tally.undecayed)),
            slha=b"\n".join(self.slha) if self.slha else None,
            slha_line=self.slha_line,
            warnings=tuple(self.warnings),
        )

    def judge_cross_section(self) -> None:
        """Where weights are in pb (IDWTUP +-4) their mean is the cross-section, too."""
        n = self.tally.n_events
        mean = self.tally.sum_weights / n
        if abs(self.weighting) != 4:
            if self.xsec_pb == 0.0:
                self.warnings.append(f"{self.source}: the init block gives no cross-section")
        elif self.xsec_pb == 0.0:
            self.xsec_pb, self.xsec_variance = mean, self.tally.sum_weights_squared / n / n
            self.warnings.append(
                f"{self.source}: the init block gives no cross-section; the mean weight is {mean:.4g} pb"
            )
        elif n >= 100 and not 0.5 < mean / self.xsec_pb < 2.0:
            text = f"the mean weight, {mean:.4g} pb, is not the cross-section of the init block, {self.xsec_pb:.4g} pb"
            self.warnings.append(f"{self.source}: {text}, which is used")

    def read_start(self) -> None:
        for _ in range(1000):
            line = self.next("before <LesHouchesEvents")
            if b"<LesHouchesEvents" in line:
                found = _VERSION.search(line)
                self.version = found.group(1).decode("ascii", "replace") if found else "1.0"
                if self.version not in ("1.0", "2.0", "3.0"):
                    raise self.fail(f"LHE version {shown(self.version)!r}; known: 1.0, 2.0, 3.0")
                return
        raise self.fail("no <LesHouchesEvents in the first 1000 lines")

    def read_header(self) -> None:
        size = 0
        inside = False
        while True:
            line = self.next("before <init>")
            start = line.lstrip()[:16].lower()
            if start.startswith(b"<init>") or start.startswith(b"<init "):
                return
            size += len(line) + 1
            if size > MAX_HEADER_BYTES:
                raise self.fail(f"header longer than {MAX_HEADER_BYTES} bytes")
            if start.startswith(b"<slha"):
                if self.slha:
                    raise self.fail("second <slha> block in the header; which one is meant?")
                inside, self.slha_line = True, self.stream.line
            elif start.startswith(b"</slha"):
                inside = False
            elif inside:
                self.slha.append(line)
            elif found := _MATCHING.match(line):
                value = self.number(found.group(1))
                if value > 0.0:
                    self.matching[found.group(2).decode().lower()] = value

    def number(self, token: bytes) -> float:
        try:
            return number(token.decode("latin-1"))
        except ValueError as error:
            raise self.fail(str(error)) from error

    def integer(self, token: bytes) -> int:
        try:
            return integer(token.decode("latin-1"))
        except ValueError as error:
            raise self.fail(str(error)) from error

    def row(self, where: str, columns: int) -> list[bytes]:
        """The next line of numbers, comments and tags passed over."""
        while True:
            line = self.next(where)
            text = line.lstrip()
            if text.startswith(b"</"):
                raise self.fail(f"{shown(text.decode('latin-1'))} {where}; lines are missing")
            tokens = line.partition(b"#")[0].split()
            if tokens and not text.startswith(b"<"):
                if len(tokens) < columns:
                    raise self.fail(f"{len(tokens)} columns {where}; {columns} are needed")
                return tokens

    def read_init(self) -> None:
        head = self.row("in the init block", 10)
        for pdg, energy in ((head[0], head[2]), (head[1], head[3])):
            check_beam(self.source, self.integer(pdg), self.number(energy), line=self.stream.line)
        self.weighting, processes = self.integer(head[8]), self.integer(head[9])
        if abs(self.weighting) not in (1, 2, 3, 4):
            raise self.fail(f"IDWTUP {self.weighting}; known: 1 to 4, with either sign")
        for _ in range(processes):
            row = self.row("in the init block", 3)
            xsec_pb, error_pb = self.number(row[0]), self.number(row[1])
            if xsec_pb < 0.0 and self.weighting > 0:
                raise self.fail(f"cross-section {xsec_pb:g} pb is negative")
            self.xsec_pb += xsec_pb
            self.xsec_variance += error_pb * error_pb
        if not self.xsec_variance < float("inf"):
            raise self.fail("the errors of the cross-sections are too large for a sum")
        if self.xsec_pb < 0.0:  # a placeholder
            self.xsec_pb = self.xsec_variance = 0.0
        while not self.next("in the init block").lstrip().lower().startswith(b"</init"):
            pass

    def read_events(self) -> bool:
        """Count the events; True if the file is properly closed."""
        for line in self.lines:
            text = line.lstrip()
            if text.startswith((b"<event>", b"<event ")):
                self.read_event()
            elif text.startswith(b"</LesHouchesEvents"):
                return True
        return False

    def read_event(self) -> None:
        where = f"in event {self.tally.n_events + 1} (after {self.tally.n_events} whole events)"
        head = self.row(where, 6)
        count, weight = self.integer(head[0]), self.number(head[2])
        for _ in range(count):
            row = self.row(where, 13)
            if row[1] == b"1":
                self.tally.final(self.integer(row[0]))
            joined = b" ".join(row[6:11])
            if b"n" in joined or b"N" in joined:
                raise self.fail(f"a momentum that is not a number {where}")
        while not (text := self.next(where).lstrip()).startswith(b"</event>"):
            if text.startswith((b"<event>", b"<event ")) or (text[:1].isdigit() and len(text.split()) == 13):
                raise self.fail(f"more lines than the {count} particles announced {where}")
        self.tally.add(weight)
