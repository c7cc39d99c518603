"""Likelihoods of HistFactory form: a pyhf workspace as arrays; -ln L with its gradient and Hessian.

Rate of a sample in a bin (an "entry" e):  r_e = (N_e + sum_p H_ep(a_p)) prod_p f_ep(a_p) prod_k phi_k
  a_p    parameters of histosys (H, code 4p: a polynomial of order 6 inside +-1, linear outside) and normsys (f, code 4:
         a polynomial of order 6 inside, exponential outside), constrained by a unit Gaussian around 0
  phi_k  factors: normfactor (free), lumi and staterror (Gaussian around 1), shapesys (Poisson)
The expected count of a bin is the sum of its entries. The same likelihood as pyhf's (arXiv:1506.08309 for the
interpolations); the analytic derivatives make a fit of 130 parameters a matter of milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

SMALLEST = 1e-10
"""Lower bound of what must stay above 0 (as in pyhf)."""

_POWERS = np.arange(1, 7)


@dataclass(frozen=True)
class Parameters:
    """All parameters (P,): where they start, bounds, which are fixed, and their constraints.

    sigma > 0: Gaussian around the auxiliary measurement with that width; tau > 0: Poisson with tau x value expected.
    """

    names: tuple[str, ...]
    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    fixed: np.ndarray
    sigma: np.ndarray
    tau: np.ndarray


@dataclass(frozen=True)
class Data:
    """Observed counts (bins,), auxiliary measurements (P,), and which bins count (bins,)."""

    n: np.ndarray
    aux: np.ndarray
    used: np.ndarray

    def only(self, used: np.ndarray) -> Data:
        """The same data with other bins left out."""
        return replace(self, used=used)


@dataclass(frozen=True)
class Model:
    """A likelihood as arrays: E entries, A interpolated parameters (the first ones), P parameters in all."""

    bins: tuple[str, ...]
    parameters: Parameters
    poi: int
    bin_of: np.ndarray  # (E,)
    sample_of: tuple[str, ...]  # (E,)
    nominal: np.ndarray  # (E,)
    symmetric: np.ndarray  # (E, A) half of up minus down, histosys
    curved: np.ndarray  # (E, A) (up + down - 2 nominal) / 16
    up: np.ndarray  # (E, A) ln of the factor at +1, normsys
    down: np.ndarray  # (E, A) ln of the factor at -1
    coefficients: np.ndarray  # (6, E, A)
    factors: np.ndarray  # (E, K) positions of the factors, padded with P
    mc_error: np.ndarray  # (E,) of staterror or shapesys
    observed: np.ndarray  # (bins,)

    @property
    def signal(self) -> np.ndarray:
        """Which entries scale with the signal strength (E,)."""
        return (self.factors == self.poi).any(axis=1)

    def data(self) -> Data:
        """The observation with nominal auxiliary measurements."""
        p = self.parameters
        aux = np.where(p.tau > 0, p.tau, np.where(p.sigma > 0, _centre(len(p.names), self.up.shape[1]), 0.0))
        return Data(self.observed, aux, np.ones(len(self.bins), dtype=bool))

    def asimov(self, theta: np.ndarray) -> Data:
        """The data that these parameters expect, auxiliary measurements included."""
        p = self.parameters
        aux = np.where(p.tau > 0, p.tau * theta, np.where(p.sigma > 0, theta, 0.0))
        return Data(self.expected(theta), aux, np.ones(len(self.bins), dtype=bool))

    def entries(self, theta: np.ndarray) -> np.ndarray:
        """Expected events of every entry (E,)."""
        a = theta[: self.up.shape[1]]
        base = self.nominal + self.symmetric @ a + self.curved @ _bend(a)[0]
        return base * self._norm(a).prod(axis=1) * self._factor(theta)

    def expected(self, theta: np.ndarray) -> np.ndarray:
        """Expected events of every bin."""
        return np.bincount(self.bin_of, weights=self.entries(theta), minlength=len(self.bins))

    def nll(self, theta: np.ndarray, data: Data) -> float:
        """-ln L but for terms without parameters; inf where a bin expects less than nothing."""
        nu, n = self.expected(theta)[data.used], data.n[data.used]
        if (nu <= 0).any() or not np.isfinite(nu).all():
            return np.inf
        return float((nu - n * np.log(nu)).sum() + self._constraint(theta, data)[0])

    def derivatives(self, theta: np.ndarray, data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradient (P,) and Hessian (P, P) of -ln L, and the slopes of the bins (bins, P)."""
        size, count = len(theta), self.up.shape[1]
        a = theta[:count]
        bend, bend_1, bend_2 = _bend(a)
        norm, norm_1, norm_2 = self._norm_derivatives(a)
        scale = norm.prod(axis=1) * self._factor(theta)
        rate = (self.nominal + self.symmetric @ a + self.curved @ bend) * scale
        # d ln(scale)/d theta, its own derivative, and scale x d(base)/d theta
        relative, own, shift = (np.zeros((len(rate), size)) for _ in range(3))
        relative[:, :count] = norm_1 / norm
        own[:, :count] = norm_2 / norm - relative[:, :count] ** 2
        shift[:, :count] = scale[:, None] * (self.symmetric + self.curved * bend_1)
        powers = self._powers(size)
        inverse = np.where(theta > 0, 1 / np.where(theta > 0, theta, 1.0), 0.0)
        relative += powers * inverse
        own -= powers * inverse**2
        in_bin = (self.bin_of == np.arange(len(self.bins))[:, None]).astype(float)
        slopes = in_bin @ (shift + rate[:, None] * relative)
        nu = np.maximum(np.bincount(self.bin_of, weights=rate, minlength=len(self.bins)), 1e-100)
        excess = np.where(data.used, 1 - data.n / nu, 0.0)
        weight = np.where(data.used, data.n / nu**2, 0.0)
        w = excess[self.bin_of]
        _, first, second = self._constraint(theta, data)
        cross = (w[:, None] * shift).T @ relative
        hessian = (
            slopes.T @ (weight[:, None] * slopes) + cross + cross.T + relative.T @ ((w * rate)[:, None] * relative)
        )
        diagonal = second + (w * rate) @ own
        diagonal[:count] += (w * scale) @ (self.curved * bend_2)
        hessian[np.diag_indices(size)] += diagonal
        return excess @ slopes + first, hessian, slopes

    def signal_slope(self, theta: np.ndarray, data: Data) -> float:
        """d(-ln L)/d mu where mu = 0: rates are linear in mu."""
        at_one = theta.copy()
        at_one[self.poi] = 1.0
        per_mu = np.bincount(
            self.bin_of, weights=np.where(self.signal, self.entries(at_one), 0), minlength=len(self.bins)
        )
        return float(((1 - data.n / self.expected(theta)) * per_mu)[data.used].sum())

    def _powers(self, size: int) -> np.ndarray:
        powers = np.zeros((len(self.nominal), size + 1))
        for column in self.factors.T:
            powers[np.arange(len(column)), column] += 1
        return powers[:, :size]

    def _factor(self, theta: np.ndarray) -> np.ndarray:
        return np.append(theta, 1.0)[self.factors].prod(axis=1)

    def _norm(self, a: np.ndarray) -> np.ndarray:
        inner = np.abs(a) < 1
        value = 1 + np.einsum("iea,ia->ea", self.coefficients, np.where(inner, a, 0.0) ** _POWERS[:, None])
        return np.where(inner, value, np.exp(np.where(a >= 0, self.up, self.down) * np.where(inner, 0.0, np.abs(a))))

    def _norm_derivatives(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inner = np.abs(a) < 1
        x, k = np.where(inner, a, 0.0), _POWERS[:, None]
        bases = np.stack([x**k, k * x ** (k - 1), k * (k - 1) * x ** np.maximum(k - 2, 0)])
        value, first, second = np.einsum("iea,dia->dea", self.coefficients, bases)
        slope = np.where(a >= 0, self.up, -self.down)
        outer = np.exp(slope * np.where(inner, 0.0, a))
        return (
            np.where(inner, 1 + value, outer),
            np.where(inner, first, slope * outer),
            np.where(inner, second, slope**2 * outer),
        )

    def _constraint(self, theta: np.ndarray, data: Data) -> tuple[float, np.ndarray, np.ndarray]:
        p = self.parameters
        precision = np.where(p.sigma > 0, 1 / np.where(p.sigma > 0, p.sigma, 1.0) ** 2, 0.0)
        away = theta - data.aux
        poisson = p.tau > 0
        safe = np.where(poisson, np.maximum(theta, SMALLEST), 1.0)
        count = np.where(poisson, data.aux, 0.0)
        value = 0.5 * (precision * away**2).sum() + (p.tau * safe - count * np.log(safe))[poisson].sum()
        first = precision * away + np.where(poisson, p.tau - count / safe, 0.0)
        return float(value), first, precision + count / safe**2


def _centre(size: int, interpolated: int) -> np.ndarray:
    """Where auxiliary measurements of Gaussian constraints lie: 0 for interpolations, 1 for factors."""
    return np.where(np.arange(size) < interpolated, 0.0, 1.0)


def _bend(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the asymmetric part of a histosys is multiplied with, and two derivatives."""
    inner = np.abs(a) < 1
    x = np.where(inner, a, 0.0)
    return (
        np.where(inner, x**2 * (15 + x**2 * (3 * x**2 - 10)), 8 * np.abs(a)),
        np.where(inner, x * (30 + x**2 * (18 * x**2 - 40)), 8 * np.sign(a)),
        np.where(inner, 30 + x**2 * (90 * x**2 - 120), 0.0),
    )


def bins_of(model: Model, channels: tuple[str, ...]) -> np.ndarray:
    """Which bins belong to these channels (bins,)."""
    return np.array([name.rpartition("[")[0] in channels for name in model.bins])


def systematics(model: Model, entries: np.ndarray) -> Iterator[np.ndarray]:
    """For every interpolated parameter: half of what +-1 sigma changes in the sum of these entries, per bin."""
    p = model.parameters
    theta = p.start.copy()
    theta[model.poi] = 1.0
    for at in range(model.up.shape[1]):
        sides = []
        for value in (1.0, -1.0):
            theta[at] = value
            weights = np.where(entries, model.entries(theta), 0.0)
            sides.append(np.bincount(model.bin_of, weights=weights, minlength=len(model.bins)))
        theta[at] = 0.0
        yield 0.5 * np.abs(sides[0] - sides[1])
