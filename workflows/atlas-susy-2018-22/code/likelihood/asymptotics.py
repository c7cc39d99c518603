"""CLs and upper limits with the asymptotic distributions of q-tilde_mu (arXiv:1007.1727).

Expected values are for background alone, with the nuisance parameters fitted to the data. Limits are found on
log(mu), without bounds on mu.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from model import Data, Fit, Model, fit, fit_free
from scipy.optimize import brentq
from scipy.special import log_ndtr

ALPHA = 0.05
SIGMAS = (2, 1, 0, -1, -2)
"""Fluctuations of the background-only median, so that CLs and limits ascend."""

LARGEST = 1e12
"""A mu that no limit of a model with signal in its bins reaches."""


def log_cls(sqrt_q: np.ndarray, sqrt_q_asimov: np.ndarray) -> np.ndarray:
    """ln CLs of an observed sqrt(q-tilde) given that of the Asimov data."""
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (sqrt_q**2 - sqrt_q_asimov**2) / (2 * sqrt_q_asimov)
        z = np.where(sqrt_q <= sqrt_q_asimov, sqrt_q - sqrt_q_asimov, far)
    z = np.where(sqrt_q_asimov > 0, z, 0.0)
    return np.minimum(log_ndtr(-(z + sqrt_q_asimov)) - log_ndtr(-z), 0.0)


def expected_targets(alpha: float) -> np.ndarray:
    """sqrt(q) of the Asimov data at which CLs is `alpha` for each of SIGMAS."""
    return np.array(
        [brentq(lambda t, n=n: log_ndtr(-(n + t)) - log_ndtr(-n) - np.log(alpha), 1e-9, 40) for n in SIGMAS]
    )


@dataclass(frozen=True)
class Limit:
    """CLs at mu = 1 and limits on mu, observed and expected (-2 to +2 sigma)."""

    cls_observed: float
    cls_expected: tuple[float, ...]
    mu_observed: float
    mu_expected: tuple[float, ...]


class Asymptotics:
    """Fits of one model to one observation that all values of mu share."""

    def __init__(self, model: Model, n: np.ndarray) -> None:
        self.model = model
        self.data = Data.observed(model, n)
        zero = np.zeros(1)
        self.null = fit(model, self.data, mu=zero)
        self.best = fit_free(model, self.data, null=self.null)
        self.asimov = asimov(model, self.null)
        self.asimov_null = fit(model, self.asimov, mu=zero)

    def sqrt_q(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """sqrt(q-tilde) of the observation and of the Asimov data at these mu (K,)."""
        k = len(mu)
        observed = fit(self.model, self.data.repeat(k), mu=mu, start=_repeat(self.null, k)).nll
        expected = fit(self.model, self.asimov.repeat(k), mu=mu, start=_repeat(self.asimov_null, k)).nll
        q = np.where(mu > self.best.mu, 2 * (observed - self.best.nll), 0.0)
        return np.sqrt(np.maximum(q, 0.0)), np.sqrt(np.maximum(2 * (expected - self.asimov_null.nll), 0.0))

    def log_cls(self, mu: np.ndarray) -> np.ndarray:
        """ln CLs observed at these mu."""
        return log_cls(*self.sqrt_q(mu))

    def delta_nll(self) -> float:
        """-ln L(mu = 1) + ln L(mu = 0), each with its own nuisance parameters."""
        at_one = fit(self.model, self.data, mu=np.ones(1), start=self.null)
        return float((at_one.nll - self.null.nll)[0])

    def expected_limits(self, alpha: float = ALPHA) -> np.ndarray:
        """mu at which the Asimov data give the sqrt(q) of each expected limit: secants in log-log, all together."""
        targets = expected_targets(alpha)
        mu = targets / np.sqrt(2 * np.maximum(self._curvature(), 1e-300))
        return _solve(lambda m: np.log(np.maximum(self.sqrt_q(m)[1], 1e-150)) - np.log(targets), mu)

    def observed_limit(self, guess: float, alpha: float = ALPHA) -> float:
        """mu at which the observed CLs is `alpha`."""
        goal = np.log(alpha)

        def distance(log_mu: float) -> float:
            return float(self.log_cls(np.exp([log_mu]))[0]) - goal

        low = high = float(np.log(guess))
        at_low = at_high = distance(low)
        step = 0.25
        while at_low < 0:
            low, step = low - step, 2 * step
            at_low = distance(low)
        step = 0.25
        while at_high > 0:
            high, step = high + step, 2 * step
            at_high = distance(high)
            if high > np.log(LARGEST):
                raise ArithmeticError("no upper limit on mu below 1e12")
        return float(np.exp(low)) if low == high else float(np.exp(brentq(distance, low, high, xtol=1e-6)))

    def _curvature(self) -> float:
        """Half the second derivative of -ln L of the Asimov data at mu = 0, from a finite mu."""
        at = fit(self.model, self.asimov, mu=np.array([self._unit()]), start=self.asimov_null).nll
        return float((at - self.asimov_null.nll)[0]) / self._unit() ** 2

    def _unit(self) -> float:
        """A mu at which the signal is about one standard deviation of the background's count somewhere."""
        s = self.model.signal
        width = np.sqrt(self.model.background + self.model.error**2 + 1)
        return float(1 / np.max(s / width))

    def limit(self, alpha: float = ALPHA) -> Limit:
        """Everything at 1 - `alpha` confidence."""
        sqrt_q, sqrt_a = self.sqrt_q(np.ones(1))
        expected_mu = self.expected_limits(alpha)
        n = np.array(SIGMAS, dtype=float)
        expected = np.exp(log_ndtr(-(n + sqrt_a[0])) - log_ndtr(-n))
        return Limit(
            float(np.exp(log_cls(sqrt_q, sqrt_a)[0])),
            tuple(map(float, expected)),
            self.observed_limit(float(expected_mu[2]), alpha),
            tuple(map(float, expected_mu)),
        )


def asimov(model: Model, null: Fit) -> Data:
    """The data that the fit at mu = 0 expects, auxiliary measurements included."""
    n = model.background + null.eta[:, None] * model.error
    eta = model.tau_background * (n[:, 0] / model.background[0]) if model.single else null.eta
    return Data(n, eta, null.beta, null.gamma * np.atleast_1d(model.tau))


def _repeat(fitted: Fit, k: int) -> Fit:
    return Fit(*(np.repeat(a, k, axis=0) for a in (fitted.nll, fitted.mu, fitted.eta, fitted.beta, fitted.gamma)))


def _solve(function: object, mu: np.ndarray) -> np.ndarray:
    """Roots of a function that rises with log(mu), one per element: secants from slope 1, kept within brackets."""
    x = np.log(mu)
    low, high = np.full_like(x, -np.inf), np.full_like(x, np.inf)
    slope = np.ones_like(x)
    value = function(np.exp(x))  # type: ignore[operator]
    for _ in range(40):
        low, high = np.where(value < 0, x, low), np.where(value >= 0, x, high)
        new = x - np.clip(value / slope, -3, 3)
        outside = (new <= low) | (new >= high)
        new = np.where(outside & np.isfinite(low) & np.isfinite(high), 0.5 * (low + high), new)
        moved = new - x
        new_value = function(np.exp(new))  # type: ignore[operator]
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = (new_value - value) / moved
        slope = np.where(np.isfinite(secant) & (secant > 0.05), secant, slope)
        x, value = new, new_value
        if np.all(np.abs(moved) < 1e-7):
            break
    return np.exp(x)
