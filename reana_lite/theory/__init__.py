"""One hypothesis of new physics: its name, its parameters with units, the files that stand for it.

    particle     PDG codes: charge, colour, what is new
    reading      strict numbers, faults by line
    slha         SLHA files
    canonical    the SLHA text that generators get
    spectrum     whether a spectrum can be generated and judged
    stream       lines of huge, compressed or cut files
    events       what is known of a file of events; lhe, hepmc: their readers
    patch        patches of likelihoods, patchsets, the digest of a likelihood
    parameters   plain parameters with units

Pure: streams in, a Theory out; no file is opened here. The command line, the server and campaigns call `read_theory`
before any job starts. Files are known by their content, never by their name.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO

from reana_lite.theory import parameters as _parameters
from reana_lite.theory import patch as _patch
from reana_lite.theory import slha as _slha
from reana_lite.theory.canonical import normalise
from reana_lite.theory.events import EventFile
from reana_lite.theory.hepmc import read_hepmc
from reana_lite.theory.lhe import read_lhe
from reana_lite.theory.parameters import Parameter, Value, parameter, read_parameters
from reana_lite.theory.particle import KNOWN, name_of
from reana_lite.theory.patch import PatchSet, likelihood_digest, read_json, read_patch, read_patchset
from reana_lite.theory.reading import Faults, refuse
from reana_lite.theory.slha import Spectrum, read_slha
from reana_lite.theory.spectrum import Examination, default_produced, examine, new_particles, particle_of
from reana_lite.theory.stream import Stream

__all__ = [
    "EventFile", "Examination", "Format", "Parameter", "PatchSet", "Spectrum", "Theory", "TheoryFile",
    "default_produced", "examine", "likelihood_digest", "normalise", "parameter", "read_json",
    "read_parameters", "read_patch", "read_patchset", "read_slha", "read_theory",
    "recognise", "theory_of",
]  # fmt: skip


class Format(StrEnum):
    """What a file of a theory is."""

    SLHA = "slha"
    LHE = "lhe"
    HEPMC2 = "hepmc2"
    HEPMC3 = "hepmc3"
    PATCH = "pyhf-patch"
    PATCHSET = "pyhf-patchset"
    PARAMETERS = "parameters"


@dataclass(frozen=True, slots=True)
class TheoryFile:
    """One file as it was given (`size` in bytes, `digest`) and what is handed on in its place.

    `content` is our own canonical text of small files (equal theories, equal bytes); None means the file itself is
    handed on (events). `facts` is the JSON-able summary: masses, counts, cross-sections, names of patches.
    """

    name: str
    format: Format
    size: int
    digest: str
    content: bytes | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class Theory:
    """A checked theory. `warnings` are to be shown; `validity`: why it lies outside an analysis's validity."""

    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    files: tuple[TheoryFile, ...] = ()
    warnings: tuple[str, ...] = ()
    validity: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Value]:
        """The parameters without units, by name."""
        return {name: p.value for name, p in self.parameters.items()}

    def file(self, *formats: Format) -> TheoryFile | None:
        """The first file of these formats, or None."""
        return next((f for f in self.files if f.format in formats), None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without the contents of files."""
        return {
            "name": self.name,
            "parameters": self.values,
            "units": {name: p.unit for name, p in self.parameters.items() if p.unit},
            "files": [
                {"name": f.name, "format": str(f.format), "size": f.size, "digest": f.digest, "facts": dict(f.facts)}
                for f in self.files
            ],
            "warnings": list(self.warnings),
            "validity": list(self.validity),
        }


def theory_of(document: Mapping[str, Any]) -> Theory:
    """The theory that `to_dict` wrote down, without the contents of its files."""
    units = document.get("units", {})
    files = tuple(
        TheoryFile(f["name"], Format(f["format"]), f["size"], f["digest"], facts=f["facts"])
        for f in document.get("files", [])
    )
    return Theory(
        document["name"],
        {name: Parameter(name, value, units.get(name, "")) for name, value in document.get("parameters", {}).items()},
        files,
        tuple(document.get("warnings", [])),
        tuple(document.get("validity", [])),
    )


# -- recognition -----------------------------------------------------------------------------------------------------
_BINARY = {
    b"\x28\xb5\x2f\xfd": "zstd-compressed; give it uncompressed or as .gz",
    b"BZh": "bzip2-compressed; give it uncompressed or as .gz",
    b"\xfd7zXZ": "xz-compressed; give it uncompressed or as .gz",
    b"PK\x03\x04": "a zip archive; give the files in it",
    b"root": "a ROOT file; SLHA, LHE, HepMC ASCII, pyhf JSON and plain parameters are read",
    b"\x89HDF": "an HDF5 file; SLHA, LHE, HepMC ASCII, pyhf JSON and plain parameters are read",
    b"\x1f\x8b": "gz inside gz",
    b"%PDF": "a PDF",
    b"\x7fELF": "a program",
}
_SLHA = re.compile(
    rb"^\s*(?:block\s+[a-z][\w-]*\s*(?:q\s*=|\#|\d|$)|decay\s+[-+]?\d+\s+\S|xsection\s+[\d.])",
    re.IGNORECASE | re.MULTILINE,
)
_OTHER = (
    (
        re.compile(rb"^\s*(?:from|import)\s+(?:__future__|object_library|particles|\.)", re.MULTILINE),
        "a Python or UFO file",
    ),
    (re.compile(rb"^\s*[A-Z]\w+:\w+\s*=\s*\S", re.MULTILINE), "Pythia settings"),
    (re.compile(rb"^\s*(?:import model|generate p p)\b", re.MULTILINE), "a MadGraph card"),
)


def recognise(head: bytes, source: str) -> Format | None:
    """The format by the first piece of the (decompressed) content; None is JSON, whose kind only its whole tells."""
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            raise refuse(source, what)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise refuse(source, "an empty file")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse(source, "the text is UTF-16; save it as UTF-8")
    if b"\0" in head[:65536]:
        raise refuse(source, "binary data of no known form")
    if start.startswith(b"HepMC::"):
        return Format.HEPMC2 if b"IO_GenEvent" in start[:4096] else Format.HEPMC3
    if b"<LesHouchesEvents" in start[:65536] and start.startswith(b"<"):
        return Format.LHE
    if start.startswith((b"{", b"[")):
        return None
    if _SLHA.search(start.replace(b"\r", b"\n")):
        return Format.SLHA
    if start.startswith(b"<"):
        raise refuse(source, "XML or HTML of no known form; LHE files start with <LesHouchesEvents")
    for pattern, what in _OTHER:
        if pattern.search(start[:65536]):
            raise refuse(
                source, f"{what} is no theory by itself; give SLHA, LHE or HepMC, pyhf JSON, or plain parameters"
            )
    return Format.PARAMETERS


# -- reading ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Read:
    """A file, and what of it concerns the theory as a whole."""

    file: TheoryFile
    spectrum: Spectrum | None = None
    events: EventFile | None = None
    parameters: tuple[Parameter, ...] = ()
    warnings: tuple[str, ...] = ()


def read_theory(
    name: str,
    files: Iterable[tuple[str, BinaryIO | bytes]],
    *,
    parameters: Iterable[Parameter] = (),
    produced: Iterable[int] | None = None,
) -> Theory:
    """The theory that these files (name to show, content) stand for, checked together; InvalidInput if any is refused.

    `parameters` given by the user win over those of files. `produced` are the PDG codes that the analysis makes, where
    it knows them; by default the coloured new particles, or those that events leave undecayed.
    """
    read = [_read(source, stream) for source, stream in files]
    spectra = [r for r in read if r.spectrum is not None]
    if len(spectra) > 1:
        names = ", ".join(r.file.name for r in spectra)
        raise refuse(spectra[1].file.name, f"more than one spectrum ({names}); which one is meant?")
    spectrum = spectra[0].spectrum if spectra else None
    warnings = [w for r in read for w in r.warnings]
    validity: tuple[str, ...] = ()
    found: dict[str, Parameter] = {}
    undecayed = _undecayed(read, spectrum)
    if spectrum is not None:
        made = undecayed if any(r.events for r in read) else produced
        if made != ():
            examination = examine(spectrum, produced=made)
            warnings += [w for w in examination.warnings if w not in warnings]
            validity = examination.validity
        found |= {p.name: p for p in _masses(spectrum)}
    for row in [p for r in read for p in r.parameters] + list(parameters):
        found[row.name] = row
    return Theory(name, found, tuple(r.file for r in read), tuple(warnings), validity)


def _read(source: str, stream: BinaryIO | bytes) -> _Read:
    opened = Stream(io.BytesIO(stream) if isinstance(stream, bytes) else stream, source)
    kind = recognise(opened.peek(), source)
    if kind is Format.LHE:
        return _events(source, opened, kind, read_lhe(opened))
    if kind in (Format.HEPMC2, Format.HEPMC3):
        version, facts = read_hepmc(opened)
        return _events(source, opened, Format.HEPMC2 if version == 2 else Format.HEPMC3, facts)
    limits = {None: _patch.MAX_BYTES, Format.SLHA: _slha.MAX_BYTES}
    content = opened.read(limits.get(kind, _parameters.MAX_BYTES))
    if kind is Format.SLHA:
        spectrum = read_slha(content, source)
        file = TheoryFile(
            source,
            kind,
            opened.size,
            opened.digest,
            normalise(spectrum, cross_sections=True),
            _spectrum_facts(spectrum),
        )
        return _Read(file, spectrum=spectrum, warnings=spectrum.warnings)
    if kind is None:
        return _json(source, opened, content)
    return _plain(source, opened, content)


def _events(source: str, stream: Stream, kind: Format, facts: EventFile) -> _Read:
    for _ in stream.chunks():  # what follows the last event counts for the digest, too
        pass
    spectrum = None
    warnings = list(facts.warnings)
    if facts.slha is not None:
        # Lines count from the start of the event file.
        spectrum = read_slha(b"\n" * facts.slha_line + facts.slha, source)
        warnings += spectrum.warnings
    file = TheoryFile(source, kind, stream.size, stream.digest, None, facts.facts(), stream.compressed)
    return _Read(file, spectrum=spectrum, events=facts, warnings=tuple(warnings))


def _json(source: str, stream: Stream, content: bytes) -> _Read:
    document = read_json(content, source) if not _flow_mapping(content) else None
    if isinstance(document, dict) and "patches" in document:
        patchset = read_patchset(document, source)
        facts = {"labels": list(patchset.labels), "digests": dict(patchset.digests), "names": list(patchset.patches)}
        return _Read(TheoryFile(source, Format.PATCHSET, stream.size, stream.digest, _canonical(document), facts))
    if isinstance(document, dict) and {"channels", "observations"} & document.keys():
        raise refuse(source, "a whole likelihood; a theory is a patch of one (a list of operations) or a patchset")
    if isinstance(document, list):
        patch = read_patch(document, source)
        count = {"operations": len(patch.operations)}
        return _Read(TheoryFile(source, Format.PATCH, stream.size, stream.digest, _canonical(document), count))
    return _plain(source, stream, content)


def _flow_mapping(content: bytes) -> bool:
    """Whether content that starts like JSON is a YAML flow mapping such as {m_gluino: 2000}."""
    return re.match(rb"(?:\xef\xbb\xbf)?\s*\{\s*[A-Za-z]", content) is not None


def _plain(source: str, stream: Stream, content: bytes) -> _Read:
    rows = read_parameters(content, source)
    facts = {"parameters": {p.name: p.value for p in rows}, "units": {p.name: p.unit for p in rows if p.unit}}
    file = TheoryFile(source, Format.PARAMETERS, stream.size, stream.digest, _canonical(facts), facts)
    return _Read(file, parameters=rows)


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _spectrum_facts(spectrum: Spectrum) -> dict[str, Any]:
    return {
        "masses_gev": {str(pdg): abs(mass) for pdg, mass in sorted(new_particles(spectrum).items())},
        "xsections": [
            {"sqrts_gev": x.sqrts_gev, "final": list(x.final), "xsec_pb": x.xsec_pb, "order": x.order}
            for x in spectrum.xsections
        ],
    }


def _undecayed(read: list[_Read], spectrum: Spectrum | None) -> tuple[int, ...]:
    """New particles that events leave in their final state; without a spectrum to decay them they must be invisible."""
    codes: set[int] = set()
    faults = Faults("theory")
    for row in read:
        if row.events is None:
            continue
        for pdg in row.events.undecayed:
            known = particle_of(spectrum, pdg) if spectrum is not None else KNOWN.get(pdg)
            generated = row.file.format is not Format.LHE  # HepMC: nothing decays them any more
            if (spectrum is None or generated) and known is not None and not known.invisible:
                faults.source = row.file.name
                what = "the events end with" if generated else "no spectrum says how to decay"
                faults.add(f"{what} {name_of(pdg)}, which is charged or coloured")
            if not generated:
                codes.add(pdg)
    faults.check()
    return tuple(sorted(codes))


def _masses(spectrum: Spectrum) -> list[Parameter]:
    """Masses of the new particles as parameters: m_gluino, ..., and m_lsp of the lightest, in GeV."""
    new = new_particles(spectrum)
    rows = [
        parameter(f"m_{KNOWN[pdg].name if pdg in KNOWN else pdg}", mass, unit="GeV")
        for pdg, mass in sorted(new.items())
    ]
    if new:
        rows.append(parameter("m_lsp", min(new.values()), unit="GeV"))
    return rows
