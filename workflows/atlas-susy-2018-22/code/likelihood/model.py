"""Counting models of HistFactory form and their fits, for many data sets at once.

Rate of bin i:  nu_i = mu s_i kappa(beta) gamma_i + b_i + eta d_i
  mu       signal strength, >= 0
  beta     signal systematic, a normsys with 1 +- delta and unit Gaussian constraint (HistFactory's code 4)
  gamma_i  Monte Carlo error of the signal, a shapesys: Poisson constraint with tau_i = (s_i / error_i)^2
  eta      background error: with several bins a histosys with one unit Gaussian constraint for all bins; with a single
           bin a shapesys, b (1 + eta d / b) with a Poisson constraint of (b / d)^2
The same likelihoods as pyhf's, which likelihood.json and the tests hold against these. Every array has a leading
dimension for data sets: n (K, bins), parameters (K,). gamma is profiled in closed form; for the rest Newton steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import gammaln

STEPS = 60
TOLERANCE = 1e-9
"""A fit ends when the next step would change -ln L by less than this."""

_SIX = np.array(
    [[s**k for k in range(1, 7)] for s in (1, -1)]
    + [[k * s ** (k - 1) for k in range(1, 7)] for s in (1, -1)]
    + [[k * (k - 1) * float(s) ** (k - 2) for k in range(1, 7)] for s in (1, -1)]
)


@dataclass(frozen=True)
class Model:
    """A counting model: signal (bins,) or (K, bins), background, its error, effective MC events per bin, delta."""

    signal: np.ndarray
    background: np.ndarray
    error: np.ndarray
    tau: np.ndarray
    delta: float

    @property
    def single(self) -> bool:
        """True for one bin: the background's constraint is then a Poisson one."""
        return len(self.background) == 1

    @property
    def tau_background(self) -> float:
        """Auxiliary events that stand for the background's error in a single bin."""
        return float((self.background[0] / self.error[0]) ** 2)

    def kappa(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Factor on the signal and its first two derivatives: exponential beyond 1, a polynomial of order 6 inside."""
        if self.delta == 0:
            return np.ones_like(beta), np.zeros_like(beta), np.zeros_like(beta)
        up, down, coefficients = _interpolation(self.delta)
        inner = np.abs(beta) < 1
        x = np.where(inner, beta, 0.0)
        value = first = second = np.zeros_like(x)
        for c in coefficients:
            second = second * x + 2 * first
            first = first * x + value
            value = value * x + c
        if inner.all():
            return value, first, second
        slope = np.where(beta >= 0, up, down)
        outer = np.exp(slope * np.clip(beta, -50, 50))
        return (
            np.where(inner, value, outer),
            np.where(inner, first, slope * outer),
            np.where(inner, second, slope**2 * outer),
        )


@cache
def _interpolation(delta: float) -> tuple[float, float, tuple[float, ...]]:
    """Logarithmic slopes beyond +-1, and the polynomial inside (highest power first) that joins them smoothly."""
    up, down = math.log1p(delta), -math.log1p(-delta)
    high, low = 1 + delta, 1 - delta
    edges = [high - 1, low - 1, up * high, down * low, up**2 * high, down**2 * low]
    return up, down, (*np.linalg.solve(_SIX, edges)[::-1].tolist(), 1.0)


@dataclass(frozen=True)
class Data:
    """Observations and auxiliary measurements of K data sets: n (K, bins), eta (K,), beta (K,), tau (K, bins).

    For a single bin `eta` holds the auxiliary count of the background, else the measured eta.
    """

    n: np.ndarray
    eta: np.ndarray
    beta: np.ndarray
    tau: np.ndarray

    @classmethod
    def observed(cls, model: Model, n: np.ndarray, copies: int = 1) -> Data:
        """The observation with nominal auxiliary data, `copies` times."""
        eta = model.tau_background if model.single else 0.0
        ones = np.ones(copies)
        return cls(np.outer(ones, n), eta * ones, 0.0 * ones, np.outer(ones, np.atleast_1d(model.tau)))

    def repeat(self, copies: int) -> Data:
        """One data set, `copies` times."""
        return Data(
            *(np.repeat(a, copies, axis=0) for a in (self.n, self.eta, self.beta, self.tau)),
        )


@dataclass(frozen=True)
class Fit:
    """Where -ln L is least: its value and the parameters."""

    nll: np.ndarray
    mu: np.ndarray
    eta: np.ndarray
    beta: np.ndarray
    gamma: np.ndarray


def profile_gamma(model: Model, data: Data, source: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """gamma at the maximum, for signal `source` (gamma = 1) and background `rest`: the root of a quadratic."""
    a = source * (source + data_tau(model))
    half = 0.5 * (data.n * source - (source + data_tau(model)) * rest + data.tau * source)
    c = data.tau * rest
    root = np.sqrt(half**2 + a * c)
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = np.where(half > 0, (half + root) / a, c / (root - half))
    # Without signal the auxiliary measurement alone decides.
    return np.where(a > 0, np.maximum(gamma, 1e-12), np.maximum(data.tau / data_tau(model), 1e-12))


def data_tau(model: Model) -> np.ndarray:
    """Expected auxiliary counts at gamma = 1."""
    return np.atleast_1d(model.tau)


def rates(model: Model, data: Data, mu: np.ndarray, eta: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, ...]:
    """(nu, gamma, source, kappa, kappa', kappa'') at these parameters with gamma profiled; source has gamma = 1."""
    kappa, first, second = model.kappa(beta)
    source = (mu * kappa)[:, None] * model.signal
    rest = model.background + eta[:, None] * model.error
    gamma = profile_gamma(model, data, source, rest)
    return source * gamma + rest, gamma, source, kappa, first, second


def negative_log(model: Model, data: Data, mu: np.ndarray, eta: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """-ln L with gamma profiled, without terms that do not depend on parameters; inf where a rate is not positive."""
    nu, gamma, *_ = rates(model, data, mu, eta, beta)
    tau = data_tau(model)
    with np.errstate(divide="ignore", invalid="ignore"):
        main = nu - np.where(data.n > 0, data.n * np.log(nu), 0.0)
        monte_carlo = tau * (gamma - 1) - data.tau * np.log(gamma)
        value = (main + monte_carlo).sum(axis=1) + 0.5 * (beta - data.beta) ** 2 + _constraint(model, data, eta)[0]
    bad = ~np.isfinite(value) | (nu < 0).any(axis=1) | ((model.background + eta[:, None] * model.error) < 0).any(axis=1)
    return np.where(bad, np.inf, value)


def _constraint(model: Model, data: Data, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The background's constraint term and its first two derivatives."""
    if not model.single:
        return 0.5 * (eta - data.eta) ** 2, eta - data.eta, np.ones_like(eta)
    relative = float(model.error[0] / model.background[0])
    tau = model.tau_background
    gamma = 1 + eta * relative
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(data.eta > 0, data.eta * np.log(gamma), 0.0)
        return (
            tau * gamma - log,
            relative * (tau - data.eta / gamma),
            relative**2 * np.maximum(data.eta, 1e-9) / gamma**2,
        )


def _derivatives(
    model: Model, data: Data, mu: np.ndarray, eta: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (K, 3) and Hessian (K, 3, 3) of -ln L in (mu, eta, beta), gamma eliminated."""
    nu, gamma, source, kappa, first, second = rates(model, data, mu, eta, beta)
    s = np.broadcast_to(model.signal, nu.shape)
    d = np.broadcast_to(model.error, nu.shape)
    strength = mu[:, None]
    slopes = np.stack([s * kappa[:, None] * gamma, d, strength * s * first[:, None] * gamma], axis=2)
    excess = 1 - data.n / nu
    curvature = data.n / nu**2
    _, eta_1, eta_2 = _constraint(model, data, eta)
    gradient = np.einsum("kb,kbx->kx", excess, slopes)
    gradient[:, 1] += eta_1
    gradient[:, 2] += beta - data.beta
    hessian = np.einsum("kb,kbx,kby->kxy", curvature, slopes, slopes)
    cross = (excess * s * first[:, None] * gamma).sum(axis=1)
    hessian[:, 0, 2] += cross
    hessian[:, 2, 0] += cross
    hessian[:, 2, 2] += (excess * strength * s * second[:, None] * gamma).sum(axis=1) + 1
    hessian[:, 1, 1] += eta_2
    to_gamma = curvature[:, :, None] * source[:, :, None] * slopes
    to_gamma[:, :, 0] += excess * s * kappa[:, None]
    to_gamma[:, :, 2] += excess * strength * s * first[:, None]
    own = curvature * source**2 + data.tau / gamma**2
    # Nothing counted and nothing simulated: gamma lies at its lower end and does not follow the others.
    own = np.where(own > 1e-100, own, np.inf)
    hessian -= np.einsum("kbx,kby->kxy", to_gamma / own[:, :, None], to_gamma)
    return gradient, hessian


def fit(model: Model, data: Data, *, mu: np.ndarray | None = None, start: Fit | None = None) -> Fit:
    """Minimise -ln L: at given `mu` (K,), or over mu > 0 as well when it is None (then `start` is needed)."""
    free = mu is None
    k = len(data.n)
    if start is not None:
        x = np.stack([start.mu if mu is None else mu, start.eta, start.beta], axis=1)
    else:
        assert mu is not None
        eta = (data.eta / model.tau_background - 1) * model.background[0] / model.error[0] if model.single else data.eta
        x = np.stack([mu, np.maximum(eta, _lowest(model)), data.beta], axis=1)
    value = negative_log(model, data, *x.T)
    active = np.arange(k)
    for _ in range(STEPS):
        part = _take(data, active)
        narrow = _narrow(model, active)
        gradient, hessian = _derivatives(narrow, part, *x[active].T)
        step, gain = _newton(gradient, hessian, free=free)
        moved, new = _search(narrow, part, x[active], step, value[active], free=free)
        stuck = new >= value[active]
        x[active], value[active] = moved, new
        active = active[(gain > TOLERANCE) & ~stuck]
        if not len(active):
            break
    gamma = rates(model, data, *x.T)[1]
    return Fit(value, x[:, 0], x[:, 1], x[:, 2], gamma)


def _lowest(model: Model) -> float:
    """An eta at which all background rates are positive still."""
    return float((-0.9 * model.background / model.error).max())


def _take(data: Data, which: np.ndarray) -> Data:
    return (
        data if len(which) == len(data.n) else Data(data.n[which], data.eta[which], data.beta[which], data.tau[which])
    )


def _narrow(model: Model, which: np.ndarray) -> Model:
    if model.signal.ndim == 1:
        return model
    return Model(model.signal[which], model.background, model.error, model.tau, model.delta)


def _newton(gradient: np.ndarray, hessian: np.ndarray, *, free: bool) -> tuple[np.ndarray, np.ndarray]:
    """Step and the expected gain; directions of negative curvature are turned downhill."""
    scale = 1 / np.sqrt(np.maximum(np.abs(np.einsum("kxx->kx", hessian)), 1e-12))
    gradient, hessian = gradient * scale, hessian * scale[:, :, None] * scale[:, None, :]
    if free:
        values, vectors = np.linalg.eigh(hessian)
        values = np.maximum(np.abs(values), 1e-6)
        along = np.einsum("kxy,kx->ky", vectors, gradient)
        step = -np.einsum("kxy,ky->kx", vectors, along / values)
    else:
        # Two parameters, many data sets: the 2 x 2 system by hand, plain descent where it is not positive definite.
        a, b, c = hessian[:, 1, 1], hessian[:, 1, 2], hessian[:, 2, 2]
        determinant = a * c - b * b
        good = (a > 0) & (c > 0) & (determinant > 1e-10)
        a, b, c = np.where(good, a, 1.0), np.where(good, b, 0.0), np.where(good, c, 1.0)
        determinant = np.where(good, determinant, 1.0)
        step = np.zeros_like(gradient)
        step[:, 1] = -(c * gradient[:, 1] - b * gradient[:, 2]) / determinant
        step[:, 2] = -(a * gradient[:, 2] - b * gradient[:, 1]) / determinant
    return step * scale, -0.5 * (gradient * step).sum(axis=1)


def _search(
    model: Model, data: Data, x: np.ndarray, step: np.ndarray, value: np.ndarray, *, free: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Go along the step as far as -ln L does not rise: 1, 1/4, 1/16, ..."""
    best, new = x.copy(), value.copy()
    todo = np.arange(len(x))
    length = 1.0
    for _ in range(16):
        trial = x[todo] + length * step[todo]
        if free:
            trial[:, 0] = np.maximum(trial[:, 0], 0.1 * x[todo, 0])
        if model.single:
            # Towards no background at all in factors: the step itself knows no lower end.
            lowest = -model.background[0] / model.error[0]
            trial[:, 1] = np.maximum(trial[:, 1], lowest + 0.02 * (x[todo, 1] - lowest))
        tried = negative_log(_narrow(model, todo), _take(data, todo), *trial.T)
        good = tried < value[todo]
        best[todo[good]], new[todo[good]] = trial[good], tried[good]
        todo = todo[~good]
        if not len(todo):
            break
        length *= 0.25
    return best, new


def fit_free(model: Model, data: Data, *, null: Fit | None = None) -> Fit:
    """The best fit with mu >= 0; `null` is the fit at mu = 0 if it is known."""
    k = len(data.n)
    null = fit(model, data, mu=np.zeros(k)) if null is None else null
    gradient, hessian = _derivatives(model, data, null.mu, null.eta, null.beta)
    rising = gradient[:, 0] < 0
    out = {name: getattr(null, name).copy() for name in ("nll", "mu", "eta", "beta", "gamma")}
    which = np.flatnonzero(rising)
    if len(which):
        guess = -gradient[which, 0] / np.maximum(np.abs(hessian[which, 0, 0]), 1e-300)
        start = Fit(null.nll[which], guess, null.eta[which], null.beta[which], null.gamma[which])
        best = fit(_narrow(model, which), _take(data, which), start=start)
        better = best.nll <= null.nll[which]
        for name, values in out.items():
            values[which[better]] = getattr(best, name)[better]
    return Fit(**out)


def constant_terms(data: Data) -> np.ndarray:
    """What `negative_log` leaves out: log factorials of all counts; only for comparisons with other programs."""
    return gammaln(data.n + 1).sum(axis=1) + gammaln(data.tau + 1).sum(axis=1)
