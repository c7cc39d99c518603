"""CLs and upper limits of a single bin from pseudo-experiments, for backgrounds too small for asymptotics.

Nuisance parameters are drawn through their auxiliary measurements, around their values fitted to the data at the mu
that is tested (and at mu = 0 for the background-only ensemble). All mu share their random numbers, so that CLs is
smooth in mu and limits are the same on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from asymptotics import ALPHA, SIGMAS, Limit
from model import Data, Fit, Model, fit
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr, ndtri, pdtr

GRID = 9
"""Values of mu at which ensembles are drawn; limits are interpolated in ln CLs over ln mu."""


def evenly_spread(n: int, dimensions: int) -> np.ndarray:
    """`n` points in the unit cube, (dimensions, n): an additive recurrence, which fills it more evenly than chance."""
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return (0.5 + np.outer(steps, np.arange(1.0, n + 1))) % 1.0


def poisson(u: np.ndarray, mean: float) -> np.ndarray:
    """Counts at these quantiles; above a million the mean itself (its fluctuation is below 0.1 %)."""
    if mean > 1e6:
        return np.full_like(u, mean)
    low = max(0.0, math.floor(mean - 9 * math.sqrt(mean) - 9))
    counts = np.arange(low, mean + 9 * math.sqrt(mean) + 20)
    return counts[np.minimum(np.searchsorted(pdtr(counts, mean), u), len(counts) - 1)]


class Toys:
    """Pseudo-experiments of one single-bin model and one observation."""

    def __init__(self, model: Model, n: float, *, n_toys: int) -> None:
        self.model = model
        self.data = Data.observed(model, np.array([n]))
        self.random = evenly_spread(n_toys, 4)
        self.null = fit(model, self.data, mu=np.zeros(1))
        self.floor = 1 / n_toys

    def log_cls(self, mu: float) -> np.ndarray:
        """ln CLs at this mu: observed, then expected (-2 to +2 sigma); not below one toy's worth."""
        at_mu = fit(self.model, self.data, mu=np.array([mu]), start=self.null)
        observed = q_tilde(self.model, self.data, mu)
        signal = q_tilde(self.model, self._draw(at_mu, mu), mu)
        background = q_tilde(self.model, self._draw(self.null, 0.0), mu)
        quantiles = np.quantile(background, ndtr(np.array(SIGMAS, dtype=float)), method="inverted_cdf")
        # Equal counts give equal q but for rounding.
        tests = np.concatenate([observed, quantiles]) - 1e-4
        above = np.array([(signal >= q).mean() for q in tests])
        below = np.array([(background >= q).mean() for q in tests])
        return np.log(np.clip(above, self.floor, None) / np.clip(below, self.floor, None)).clip(max=0.0)

    def _draw(self, at: Fit, mu: float) -> Data:
        """An ensemble with the true parameters of that fit."""
        model, u = self.model, self.random
        kappa = model.kappa(at.beta)[0][0]
        rest = model.background[0] + at.eta[0] * model.error[0]
        rate = mu * model.signal[0] * kappa * at.gamma[0, 0] + rest
        background = poisson(u[1], model.tau_background * rest / model.background[0])
        monte_carlo = poisson(u[3], model.tau[0] * at.gamma[0, 0])
        return Data(poisson(u[0], rate)[:, None], background, at.beta[0] + ndtri(u[2]), monte_carlo[:, None])

    def limit(self, guess: Limit, alpha: float = ALPHA) -> Limit:
        """CLs at mu = 1 and limits; `guess` are the asymptotic ones, which say where to look."""
        low, high = 0.6 * min(guess.mu_observed, *guess.mu_expected), 2.0 * max(guess.mu_observed, *guess.mu_expected)
        grid = list(np.geomspace(low, high, GRID))
        curve = [self.log_cls(mu) for mu in grid]
        goal = np.log(alpha)
        for _ in range(20):
            if (curve[0] < goal).any():
                grid.insert(0, grid[0] / 2)
                curve.insert(0, self.log_cls(grid[0]))
            elif (curve[-1] > goal).any():
                grid.append(grid[-1] * 2)
                curve.append(self.log_cls(grid[-1]))
            else:
                break
        values = np.minimum.accumulate(np.array(curve), axis=0)
        limits = [_crossing(np.log(grid), values[:, i], goal) for i in range(values.shape[1])]
        at_one = np.exp(self.log_cls(1.0))
        expected = tuple(sorted(map(float, at_one[1:])))
        return Limit(float(at_one[0]), expected, limits[0], tuple(sorted(limits[1:])))


def _crossing(x: np.ndarray, y: np.ndarray, goal: float) -> float:
    """exp(x) where the falling y passes the goal."""
    last = int(np.flatnonzero(y >= goal)[-1])
    if y[last] == goal:
        return float(np.exp(x[last]))
    fine = np.linspace(x[last], x[last + 1], 401)
    smooth = PchipInterpolator(x, y)(fine)
    return float(np.exp(np.interp(-goal, -smooth, fine)))


def q_tilde(model: Model, data: Data, mu: float) -> np.ndarray:
    """q-tilde_mu of single-bin data sets. The best fit is known in closed form: one bin can always be described."""
    tau_b, tau_s, b = model.tau_background, float(np.atleast_1d(model.tau)[0]), model.background[0]
    n, m, monte_carlo = data.n[:, 0], data.eta, data.tau[:, 0]
    auxiliary = _poisson(tau_s, monte_carlo, monte_carlo / tau_s) - tau_s
    described = _poisson(1.0, n, n) + _poisson(tau_b, m, m / tau_b)
    together = (n + m) / (b + tau_b)
    null = _poisson(b, n, together, b) + _poisson(tau_b, m, together)
    best = np.where(n >= b * m / tau_b, described, null) + auxiliary
    fitted = fit(model, data, mu=np.full(len(n), mu))
    # Best fit above mu: no evidence against mu. With all nuisances at their measurements, mu-hat follows from n.
    kappa = model.kappa(data.beta)[0]
    source = mu * model.signal[0] * kappa * monte_carlo / tau_s
    below = n < b * m / tau_b + source
    return np.where(below, np.maximum(2 * (fitted.nll - best), 0.0), 0.0)


def _poisson(rate: float, count: np.ndarray, gamma: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """rate gamma - count ln(factor gamma), with 0 ln 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return rate * gamma - np.where(count > 0, count * np.log(factor * gamma), 0.0)
