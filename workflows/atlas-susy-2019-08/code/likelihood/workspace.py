"""A pyhf workspace (one measurement) as a model: what is not understood is refused with its place, never left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from model import SMALLEST, Model, Parameters
from refusal import refuse

FACTORS = ("normfactor", "lumi", "staterror", "shapesys")

_K = np.arange(1, 7)
# The polynomial 1 + c1 a + ... + c6 a^6 from its values, slopes and curvatures at +1 and -1.
_JOIN = np.linalg.inv(
    np.array(
        [[float(s) ** k for k in _K] for s in (1, -1)]
        + [[k * float(s) ** (k - 1) for k in _K] for s in (1, -1)]
        + [[k * (k - 1) * float(s) ** (k - 2) for k in _K] for s in (1, -1)]
    )
)


def build(workspace: dict[str, Any]) -> Model:
    """The model of a workspace's first measurement; what is not understood is refused with its place."""
    return _Builder(workspace).model()


class _Builder:
    """Collects entries and parameters of a workspace."""

    def __init__(self, workspace: dict[str, Any]) -> None:
        self.channels = workspace["channels"]
        config = workspace["measurements"][0]["config"]
        self.poi = str(config["poi"])
        self.configured = {row["name"]: row for row in config["parameters"]}
        self.counts = {row["name"]: row["data"] for row in workspace["observations"]}
        self.bins: list[str] = []
        self.entries: list[tuple[int, str, float]] = []
        self.shapes: dict[str, list[tuple[int, float, float]]] = {}
        self.norms: dict[str, list[tuple[int, float, float]]] = {}
        self.factors: dict[str, list[int]] = {}
        self.kinds: dict[str, str] = {}
        self.stat: dict[str, list[tuple[float, float]]] = {}
        self.mc_error: dict[int, float] = {}

    def model(self) -> Model:
        for channel in self.channels:
            self._channel(channel)
        interpolated = sorted({*self.shapes, *self.norms})
        factors = sorted(self.factors)
        both = sorted({*interpolated} & {*factors})
        if both:
            refuse(f"{both[0]} is used as a factor and as an interpolated parameter")
        if self.poi not in self.factors:
            refuse(f"no sample has the normfactor {self.poi}: nothing scales with the signal strength")
        names = (*interpolated, *factors)
        position = {name: at for at, name in enumerate(names)}
        shape = (len(self.entries), len(interpolated))
        rise, fall, up, down = (np.zeros(shape) for _ in range(4))
        for table, plus, minus in ((self.shapes, rise, fall), (self.norms, up, down)):
            for name, rows in table.items():
                for entry, high, low in rows:
                    plus[entry, position[name]], minus[entry, position[name]] = high, low
        return Model(
            bins=tuple(self.bins),
            parameters=self._parameters(names, len(interpolated)),
            poi=position[self.poi],
            bin_of=np.array([row[0] for row in self.entries]),
            sample_of=tuple(row[1] for row in self.entries),
            nominal=np.array([row[2] for row in self.entries]),
            symmetric=0.5 * (rise + fall),
            curved=(rise - fall) / 16,
            up=up,
            down=down,
            coefficients=_polynomials(up, down),
            factors=self._incidence(position),
            mc_error=np.array([self.mc_error.get(entry, 0.0) for entry in range(len(self.entries))]),
            observed=np.array([n for channel in self.channels for n in self.counts[channel["name"]]], dtype=float),
        )

    def _channel(self, channel: dict[str, Any]) -> None:
        name = channel["name"]
        size = len(channel["samples"][0]["data"])
        if name not in self.counts or len(self.counts[name]) != size:
            refuse(f"channel {name}: no observation of {size} bins")
        first = len(self.bins)
        self.bins += [f"{name}[{at}]" for at in range(size)]
        seen: set[str] = set()
        for sample in channel["samples"]:
            where = f"channel {name}, sample {sample['name']}"
            if sample["name"] in seen:
                refuse(f"{where} is there twice")
            seen.add(sample["name"])
            if len(sample["data"]) != size:
                refuse(f"{where} has {len(sample['data'])} bins; the channel has {size}")
            begin = len(self.entries)
            self.entries += [(first + at, sample["name"], float(value)) for at, value in enumerate(sample["data"])]
            for modifier in sample["modifiers"]:
                self._modifier(modifier, range(begin, begin + size), where)

    def _modifier(self, modifier: dict[str, Any], entries: range, where: str) -> None:
        name, kind, data = str(modifier["name"]), modifier["type"], modifier["data"]
        where = f"{where}, {kind} {name}"
        nominal = [self.entries[entry][2] for entry in entries]
        if kind == "histosys":
            high, low = (self._numbers(data[key], entries, where) for key in ("hi_data", "lo_data"))
            rows = zip(entries, nominal, high, low, strict=True)
            self.shapes.setdefault(name, []).extend((entry, up - n, n - down) for entry, n, up, down in rows)
        elif kind == "normsys":
            up, down = self._numbers([data["hi"], data["lo"]], range(2), where)
            if up <= 0 or down <= 0:
                refuse(f"{where}: factors must be above 0")
            self.norms.setdefault(name, []).extend((entry, math.log(up), math.log(down)) for entry in entries)
        elif kind in FACTORS:
            errors = self._numbers(data, entries, where) if kind in ("staterror", "shapesys") else None
            for at, entry in enumerate(entries):
                key = name if errors is None else f"{name}[{at}]"
                if self.kinds.setdefault(key, kind) != kind:
                    refuse(f"{where}: the name is also that of a {self.kinds[key]}")
                self.factors.setdefault(key, []).append(entry)
                if errors is not None:
                    self.stat.setdefault(key, []).append((nominal[at], errors[at]))
                    self.mc_error[entry] = errors[at]
        else:
            refuse(f"{where}: this kind of modifier is not known here; known: histosys, normsys, {', '.join(FACTORS)}")

    def _numbers(self, values: Any, entries: range, where: str) -> list[float]:
        if not isinstance(values, list) or len(values) != len(entries):
            refuse(f"{where}: {len(entries)} numbers are needed")
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            refuse(f"{where}: not all of it are finite numbers")
        return [float(v) for v in values]

    def _incidence(self, position: dict[str, int]) -> np.ndarray:
        rows: list[list[int]] = [[] for _ in self.entries]
        for name, entries in self.factors.items():
            for entry in entries:
                rows[entry].append(position[name])
        width = max(map(len, rows))
        return np.array([row + [len(position)] * (width - len(row)) for row in rows])

    def _parameters(self, names: tuple[str, ...], interpolated: int) -> Parameters:
        rows = np.array([self._row(name, at < interpolated) for at, name in enumerate(names)])
        start, low, high, fixed, sigma, tau = rows.T
        return Parameters(names, start, low, high, fixed > 0, sigma, tau)

    def _row(self, name: str, interpolated: bool) -> tuple[float, ...]:
        """(start, low, high, fixed, sigma, tau) of a parameter, what the measurement says before the defaults."""
        kind = "interpolated" if interpolated else self.kinds[name]
        start, low, high, fixed, sigma, tau = {
            "interpolated": (0.0, -5.0, 5.0, 0.0, 1.0, 0.0),
            "normfactor": (1.0, 0.0, 10.0, 0.0, 0.0, 0.0),
            "lumi": (1.0, 0.0, 10.0, 0.0, 1.0, 0.0),
        }.get(kind, (1.0, SMALLEST, 10.0, 0.0, 0.0, 0.0))
        if kind == "staterror":
            nominal, error = sum(n for n, _ in self.stat[name]), math.sqrt(sum(e**2 for _, e in self.stat[name]))
            sigma = float(error / nominal) if nominal > 0 else 0.0
            fixed = float(sigma == 0)
        elif kind == "shapesys":
            nominal, error = self.stat[name][0]
            tau = (nominal / error) ** 2 if nominal > 0 and error > 0 else 0.0
            fixed = float(tau == 0)
        given = self.configured.get(name, {})
        if "inits" in given:
            start = given["inits"][0]
        if "bounds" in given:
            low, high = given["bounds"][0]
        if "sigmas" in given:
            sigma = given["sigmas"][0]
        if given.get("fixed"):
            fixed = 1.0
        if name == self.poi:
            low, high = 0.0, np.inf  # the published bound of 5 would hide limits beyond it
        return start, low, high, fixed, sigma, tau


def _polynomials(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Coefficients (6, E, A) of the factors inside +-1."""
    high, low = np.exp(up), np.exp(down)
    edges = np.stack([high - 1, low - 1, up * high, -down * low, up**2 * high, down**2 * low])
    return np.einsum("ij,jea->iea", _JOIN, edges)
