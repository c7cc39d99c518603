"""CLs and upper limits with the asymptotic distributions of q-tilde_mu (arXiv:1007.1727).

Expected values are for background alone, with the nuisance parameters fitted to the data. Limits are found on
log(mu), without an upper bound on mu.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fit import Fit, NoFit, fit, fit_free
from model import Data, Model
from scipy.optimize import brentq
from scipy.special import log_ndtr

ALPHA = 0.05
SIGMAS = (2, 1, 0, -1, -2)
"""Fluctuations of the background-only median, so that CLs and limits ascend."""

RANDOM_STARTS = 6

LONGEST = 1.0
"""How far one step of the search for a limit may lead in ln(mu): fits of signals far too strong are hard."""

FARTHEST = 30.0
"""Limits are looked for up to exp(30) of the first guess."""


def log_cls(sqrt_q: float, sqrt_q_asimov: float) -> float:
    """ln CLs of an observed sqrt(q-tilde) given that of the Asimov data."""
    if sqrt_q_asimov <= 0:
        return 0.0
    far = (sqrt_q**2 - sqrt_q_asimov**2) / (2 * sqrt_q_asimov)
    z = sqrt_q - sqrt_q_asimov if sqrt_q <= sqrt_q_asimov else far
    return min(float(log_ndtr(-(z + sqrt_q_asimov)) - log_ndtr(-z)), 0.0)


def log_cls_expected(sqrt_q_asimov: float, n_sigma: float) -> float:
    """ln CLs where the background fluctuates by n_sigma."""
    return min(float(log_ndtr(-(n_sigma + sqrt_q_asimov)) - log_ndtr(-n_sigma)), 0.0)


@dataclass(frozen=True)
class Limit:
    """CLs at mu = 1 and limits on mu, observed and expected (-2 to +2 sigma)."""

    cls_observed: float
    cls_expected: tuple[float, ...]
    mu_observed: float
    mu_expected: tuple[float, ...]


class Asymptotics:
    """The fits of one model that all values of mu share; `start`: parameters of a fit of the background alone."""

    def __init__(self, model: Model, start: np.ndarray | None = None) -> None:
        self.model = model
        self.data = model.data()
        self.null = fit(model, self.data, start=start, mu=0.0)
        self.best = fit_free(model, self.data, self.null)
        self.asimov = model.asimov(self.null.theta)
        self.asimov_nll = model.nll(self.null.theta, self.asimov)
        self._known: dict[float, tuple[Fit, Fit]] = {0.0: (self.null, Fit(self.asimov_nll, self.null.theta, 0))}

    @property
    def mu_best(self) -> float:
        """Where the likelihood of the data is largest, from 0 on."""
        return float(self.best.theta[self.model.poi])

    def at(self, mu: float) -> Fit:
        """The fit to the data at this signal strength."""
        return self._fits(mu)[0]

    def sqrt_q(self, mu: float) -> tuple[float, float]:
        """sqrt(q-tilde) of the observation and of the Asimov data."""
        observed, expected = self._fits(mu)
        q = 2 * (observed.nll - self.best.nll) if mu > self.mu_best else 0.0
        return float(np.sqrt(max(q, 0.0))), float(np.sqrt(max(2 * (expected.nll - self.asimov_nll), 0.0)))

    def log_cls(self, mu: float) -> float:
        """ln CLs observed."""
        return log_cls(*self.sqrt_q(mu))

    def delta_nll(self) -> float:
        """-ln L(mu = 1) + ln L(mu = 0), each with its own nuisance parameters."""
        return self._fits(1.0)[0].nll - self.null.nll

    def limit(self, alpha: float = ALPHA) -> Limit:
        """Everything at 1 - `alpha` confidence."""
        goal = float(np.log(alpha))
        sqrt_q, sqrt_a = self.sqrt_q(1.0)
        expected = []
        guess = 1.0
        for n in (0, 1, 2, -1, -2):
            guess = expected[0][1] if expected else 1.7 / max(sqrt_a, 1e-6)
            root = _root(lambda x, n=n: log_cls_expected(self.sqrt_q(float(np.exp(x)))[1], n) - goal, np.log(guess))
            expected.append((n, float(np.exp(root))))
        by_sigma = dict(expected)
        observed = float(np.exp(_root(lambda x: self.log_cls(float(np.exp(x))) - goal, np.log(by_sigma[0]))))
        return Limit(
            float(np.exp(log_cls(sqrt_q, sqrt_a))),
            tuple(float(np.exp(log_cls_expected(sqrt_a, n))) for n in SIGMAS),
            observed,
            tuple(by_sigma[n] for n in SIGMAS),
        )

    def _fits(self, mu: float) -> tuple[Fit, Fit]:
        """Fits at this mu to the data and to the Asimov data.

        Where far too large a signal is asked for, the likelihood may have several minima: fits begin at the nearest one
        that is known, at the nominal parameters and, for mu = 1, at some random ones; the lowest counts.
        """
        if mu not in self._known:
            near = min(self._known, key=lambda known: abs(known - mu))
            tries = RANDOM_STARTS if mu == 1.0 else 0
            observed, expected = (
                self._lowest(data, [self._known[near][at].theta, None, *self._random(tries)], mu)
                for at, data in enumerate((self.data, self.asimov))
            )
            self._known[mu] = (observed, expected)
        return self._known[mu]

    def _lowest(self, data: Data, starts: list[np.ndarray | None], mu: float) -> Fit:
        found, problem = [], NoFit("no start")
        for start in starts:
            try:
                found.append(fit(self.model, data, start=start, mu=mu))
            except NoFit as error:
                problem = error
        if not found:
            raise problem
        return min(found, key=lambda one: one.nll)

    def _random(self, count: int) -> list[np.ndarray]:
        """Starts around the nominal parameters, the same ones every time."""
        p, generator = self.model.parameters, np.random.default_rng(1)
        width = np.where(p.fixed, 0.0, np.where(np.arange(len(p.names)) < self.model.up.shape[1], 0.5, 0.05))
        return [p.start + width * generator.normal(size=len(width)) for _ in range(count)]


def _root(falling: Callable[[float], float], guess: float) -> float:
    """Where a falling function is 0: brackets around the guess, then Brent's method."""
    low = high = guess
    at = falling(guess)
    step = 0.25
    if at < 0:
        while falling(low) < 0:
            high, low, step = low, low - step, min(2 * step, LONGEST)
            if guess - low > FARTHEST:
                raise ArithmeticError("no upper limit on mu was found: CLs stays below its goal")
    else:
        while falling(high) > 0:
            low, high, step = high, high + step, min(2 * step, LONGEST)
            if high - guess > FARTHEST:
                raise ArithmeticError("no upper limit on mu was found: CLs stays above its goal")
    return low if low == high else float(brentq(falling, low, high, xtol=1e-5))
