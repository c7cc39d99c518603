"""Whether a spectrum can be generated and judged: what would give a wrong verdict without a word is refused or marked.

Pure. Read spectra come from slha.py. Refused are faults of what an analysis makes: the produced particles and all that
they decay to; elsewhere the same fault is a warning. Masses and widths in GeV, decay lengths in mm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reana_lite.theory.particle import ABSENT_GEV, KNOWN, ONSHELL_GEV, SUPERSYMMETRIC, Particle, is_new, name_of
from reana_lite.theory.reading import Faults
from reana_lite.theory.slha import Channel, Decay, Spectrum

HBARC_GEV_MM = 1.973269804e-13
"""hbar c: c tau = HBARC_GEV_MM / width (CODATA 2018)."""

PROMPT_MM = 1.0
"""Longer mean decay lengths (c tau) are outside the validity of prompt searches."""

BRANCHING_TOLERANCE = 0.01
"""How far branching ratios may be from adding up to 1."""


NEGLIGIBLE = 1e-6
"""Negative branching ratios that are smaller are rounding of the decay calculation: the channel is left out."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What to know about an accepted spectrum: `warnings` to show, `validity`: reasons why it is outside validity.

    `produced` and `reached` are PDG codes: what was taken as produced, and that with everything it decays to.
    """

    produced: tuple[int, ...]
    reached: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    validity: tuple[str, ...] = ()


def particle_of(spectrum: Spectrum, pdg: int) -> Particle | None:
    """What is known of a particle: from the theory's QNUMBERS, else from the numbering scheme; None if nothing."""
    q = spectrum.quantum_numbers.get(abs(pdg))
    if q is not None:
        return Particle(q.pdg, str(q.pdg), q.charge3, q.colour, q.spin_states % 2 == 1, q.self_conjugate)
    return KNOWN.get(abs(pdg))


def new_particles(spectrum: Spectrum) -> dict[int, float]:
    """PDG code -> |mass| in GeV of the new particles that the theory has below 9 TeV."""
    return {
        pdg: abs(mass)
        for pdg, mass in spectrum.masses_gev.items()
        if (is_new(pdg) or pdg in spectrum.quantum_numbers) and abs(mass) < ABSENT_GEV
    }


def default_produced(spectrum: Spectrum) -> tuple[int, ...]:
    """The coloured new particles, as a hadron collider makes them first; without one, all but the lightest."""
    new = new_particles(spectrum)
    coloured = [p for p in new if (known := particle_of(spectrum, p)) is not None and known.colour != 1]
    if coloured:
        return tuple(sorted(coloured))
    lightest = min(new, key=lambda p: (new[p], p), default=None)
    return tuple(sorted(p for p in new if p != lightest)) or tuple(new)


def examine(spectrum: Spectrum, *, produced: Iterable[int] | None = None) -> Examination:
    """Judge a spectrum for what is `produced` (PDG codes; default: the coloured ones); InvalidInput has all faults."""
    return _Examiner(spectrum).examine(default_produced(spectrum) if produced is None else produced)


class _Examiner:
    def __init__(self, spectrum: Spectrum) -> None:
        self.spectrum = spectrum
        self.faults = Faults(spectrum.source)
        self.warnings = list(spectrum.warnings)
        self.validity: list[str] = []
        self.seen_on: dict[int, int] = {}  # new particle -> line of the first channel that has it
        self.new = new_particles(spectrum)
        self.lightest = min(self.new, key=lambda p: (self.new[p], p), default=None)

    def examine(self, produced: Iterable[int]) -> Examination:
        made = sorted({abs(p) for p in produced})
        if not self.new:
            self.faults.add(f"no new particle below {ABSENT_GEV:g} GeV in MASS; there is nothing to search for")
        for pdg, mass in self.spectrum.masses_gev.items():
            known = particle_of(self.spectrum, pdg)
            if mass < 0 and (known is None or known.boson):
                reason = f"mass {mass:g} GeV of {name_of(pdg)} is negative; only a fermion's may be (its phase)"
                self.faults.add(reason, line=self.spectrum.mass_lines.get(pdg))
        reached = self._reached(made)
        for pdg in sorted(reached):
            self._judge(pdg)
        for pdg, decay in sorted(self.spectrum.decays.items()):
            if pdg not in reached:
                self._mention(decay)
        self._mention_conflicts(reached)
        self._mention_absent()
        self.faults.check()
        return Examination(tuple(made), tuple(sorted(reached)), tuple(self.warnings), tuple(self.validity))

    def _reached(self, made: list[int]) -> set[int]:
        reached: set[int] = set()
        waiting = list(made)
        while waiting:
            pdg = waiting.pop()
            if pdg in reached:
                continue
            reached.add(pdg)
            decay = self.spectrum.decays.get(pdg)
            for channel in decay.channels if decay else ():
                for daughter in channel.daughters if channel.branching > 0 else ():
                    if self._is_new(daughter):
                        self.seen_on.setdefault(abs(daughter), channel.line)
                        waiting.append(abs(daughter))
        return reached

    def _is_new(self, pdg: int) -> bool:
        return is_new(pdg) or abs(pdg) in self.spectrum.quantum_numbers

    # -- what is produced or appears in a cascade -------------------------------------------------------------------
    def _judge(self, pdg: int) -> None:
        decay = self.spectrum.decays.get(pdg)
        line = decay.line if decay else self.spectrum.mass_lines.get(pdg, self.seen_on.get(pdg))
        particle = particle_of(self.spectrum, pdg)
        if pdg in self.spectrum.conflicts and decay is not None:
            reason = f"second DECAY table of {name_of(pdg)}, unlike the one on line {decay.line}"
            self.faults.add(reason, line=self.spectrum.conflicts[pdg])
        if pdg not in self.spectrum.masses_gev:
            self.faults.add(f"{name_of(pdg)} is produced or decayed to but has no entry in MASS", line=line)
            return
        if particle is None:
            self.faults.add(f"charge and colour of {pdg} are not known; give a BLOCK QNUMBERS {pdg}", line=line)
            return
        if self.spectrum.masses_gev[pdg] == 0.0 and not particle.invisible:
            self.faults.add(f"{name_of(pdg)} is massless; a charged or coloured new particle has a mass", line=line)
        if decay is None or (decay.width_gev == 0.0 and not _open(decay)):
            self._judge_stable(pdg, particle, decay, line)
            return
        if decay.width_gev < 0.0:
            reason = f"width {decay.width_gev:g} GeV of {name_of(pdg)} is negative; generators take it for stable"
            self.faults.add(reason, line=line)
        elif decay.width_gev == 0.0:
            self.faults.add(f"{name_of(pdg)} has decay channels but width 0; give its width in GeV", line=line)
        elif not _open(decay):
            self.faults.add(f"{name_of(pdg)} has a width but no decay channel with a branching ratio", line=line)
        else:
            self._judge_lifetime(decay)
        self._judge_channels(decay)

    def _judge_stable(self, pdg: int, particle: Particle, decay: Decay | None, line: int | None) -> None:
        if not particle.invisible:
            how = "has no DECAY table" if decay is None else "has width 0"
            kind = "coloured" if particle.colour != 1 else "charged"
            self.faults.add(f"{name_of(pdg)} is {kind} and {how}; give its width and decay channels", line=line)
        elif pdg != self.lightest and decay is None:
            reason = f"{name_of(pdg)} has no DECAY table and is not the lightest new particle"
            self.faults.add(f"{reason}; give its decays, or 'DECAY {pdg} 0.0' if it is stable", line=line)
        elif pdg != self.lightest:
            self.warnings.append(f"{name_of(pdg)} is taken as stable and invisible, as its width 0 says")

    def _judge_lifetime(self, decay: Decay) -> None:
        mass = abs(self.spectrum.masses_gev[decay.pdg])
        length_mm = HBARC_GEV_MM / decay.width_gev
        if length_mm > PROMPT_MM:
            far = f"{length_mm:.3g} mm" if length_mm < 1e4 else f"{length_mm / 1000:.3g} m"
            self.validity.append(f"{name_of(decay.pdg)} is long-lived (c tau {far}); this would look prompt")
        if decay.width_gev > 0.2 * mass:
            share = f"{decay.width_gev / mass:.0%} of its mass" if mass else "that of something without a mass"
            text = f"width {decay.width_gev:.4g} GeV of {name_of(decay.pdg)} is {share}"
            if decay.width_gev >= mass:
                self.faults.add(f"{text}; it is not a particle any more", line=decay.line)
            else:
                self.warnings.append(f"{text}; the narrow-width approximation does not hold")

    def _judge_channels(self, decay: Decay) -> None:
        for channel in decay.channels:
            if channel.branching < -NEGLIGIBLE:
                self.faults.add(f"branching ratio {channel.branching:g} is negative", line=channel.line)
        if not _open(decay):
            return
        total = sum(c.branching for c in decay.channels)
        if abs(total - 1.0) > BRANCHING_TOLERANCE:
            reason = (
                f"branching ratios of {name_of(decay.pdg)} add up to {total:.4g}, not to 1; generators would rescale"
            )
            self.faults.add(reason, line=decay.line)
        closed = 0
        for channel in _open(decay):
            self._judge_charge(decay.pdg, channel)
            closed += self._judge_phase_space(decay.pdg, channel)
        if closed and not any(self._excess_gev(decay.pdg, c) > 0 for c in _open(decay)):
            self.faults.add(f"no decay channel of {name_of(decay.pdg)} is open with these masses", line=decay.line)

    def _judge_charge(self, pdg: int, channel: Channel) -> None:
        mother = particle_of(self.spectrum, pdg)
        total = 0
        for daughter in channel.daughters:
            particle = particle_of(self.spectrum, daughter)
            if particle is None:
                return
            total += particle.charge3 if daughter > 0 else -particle.charge3
        if mother is not None and total != mother.charge3:
            into = " ".join(map(str, channel.daughters))
            reason = f"{name_of(pdg)} -> {into} does not conserve charge ({mother.charge3}/3 into {total}/3)"
            self.faults.add(reason, line=channel.line)

    def _excess_gev(self, pdg: int, channel: Channel) -> float:
        masses = self.spectrum.masses_gev
        daughters = sum(abs(masses.get(abs(d), ONSHELL_GEV.get(abs(d), 0.0))) for d in channel.daughters)
        return abs(masses[pdg]) - daughters

    def _judge_phase_space(self, pdg: int, channel: Channel) -> int:
        """1 if a channel is closed for particles on their mass shell, else 0."""
        if self._excess_gev(pdg, channel) > 0.0:
            return 0
        into = " ".join(map(str, channel.daughters))
        masses = self.spectrum.masses_gev
        if sum(abs(masses.get(abs(d), 0.0)) for d in channel.daughters if self._is_new(d)) >= abs(masses[pdg]):
            self.faults.add(f"{name_of(pdg)} -> {into} is not possible with these masses", line=channel.line)
        else:
            text = (
                f"{self.spectrum.source}:{channel.line}: {name_of(pdg)} -> {into} needs a particle off its mass shell"
            )
            self.warnings.append(f"{text}; a generator may leave this channel out and rescale the others")
        return 1

    # -- what is not reached ------------------------------------------------------------------------------------------
    def _mention(self, decay: Decay) -> None:
        """Faults of a table that no produced particle needs: a warning (a width alone is usual for known particles)."""
        place = f"{self.spectrum.source}:{decay.line}: "
        if decay.width_gev < 0.0:
            self.warnings.append(
                f"{place}width {decay.width_gev:g} GeV of {name_of(decay.pdg)} is negative; not produced here"
            )
        total = sum(c.branching for c in decay.channels)
        if any(c.branching < -NEGLIGIBLE for c in decay.channels) or (
            decay.channels and abs(total - 1.0) > BRANCHING_TOLERANCE
        ):
            if self._is_new(decay.pdg):
                text = f"branching ratios of {name_of(decay.pdg)} are negative or add up to {total:.4g}"
                self.warnings.append(f"{place}{text}; not produced here")
            else:  # decays of W, Z, top and Higgs occur in every cascade
                self._judge_channels(decay)

    def _mention_conflicts(self, reached: set[int]) -> None:
        for pdg, line in sorted(self.spectrum.conflicts.items()):
            if pdg not in reached:
                place = f"{self.spectrum.source}:{line}"
                self.warnings.append(f"{place}: second DECAY table of {name_of(pdg)}, unlike the first, which is used")

    def _mention_absent(self) -> None:
        masses = self.spectrum.masses_gev
        absent = [pdg for pdg in SUPERSYMMETRIC if pdg not in masses]
        if absent and len(absent) < len(SUPERSYMMETRIC):
            names = ", ".join(KNOWN[pdg].name for pdg in absent[:3]) + (", ..." if len(absent) > 3 else "")
            what = (
                f"{len(absent)} particles without a mass are" if len(absent) > 1 else "one particle without a mass is"
            )
            self.warnings.append(f"{what} taken as decoupled (100 TeV): {names}")


def _open(decay: Decay) -> list[Channel]:
    return [c for c in decay.channels if c.branching > 0.0]
