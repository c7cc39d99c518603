"""Least -ln L by Newton steps with the exact Hessian, within bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from model import Data, Model

STEPS = 200
TOLERANCE = 1e-10
"""A fit ends when the next step would change -ln L by less than this."""

LONGEST = 2.0
"""How far one step may lead in any parameter, in units of its own curvature (about one standard deviation)."""


class NoFit(ArithmeticError):
    """The minimum was not found."""


@dataclass(frozen=True)
class Fit:
    """Where -ln L is least."""

    nll: float
    theta: np.ndarray
    steps: int


def fit(model: Model, data: Data, *, start: np.ndarray | None = None, mu: float | None = None) -> Fit:
    """Minimise -ln L from `start`, at a given signal strength or over all from 0 on; raises NoFit."""
    p = model.parameters
    theta = np.where(p.fixed, p.start, np.clip(p.start if start is None else start, p.low, p.high))
    free = ~p.fixed
    if mu is not None:
        theta[model.poi] = mu
        free = free.copy()
        free[model.poi] = False
    elif theta[model.poi] <= 0:
        theta[model.poi] = 1e-3
    value = model.nll(theta, data)
    if not np.isfinite(value):
        theta, value = _feasible(model, data, theta, free)
    for step_number in range(STEPS):
        gradient, hessian, _ = model.derivatives(theta, data)
        step, gain = _step(theta, gradient, hessian, free, p.low, p.high)
        if gain < TOLERANCE:
            return Fit(value, theta, step_number)
        theta, new = _search(model, data, theta, step, value)
        if new >= value:
            # No way down although the slope says so: numbers end here.
            if gain < 1e-6:
                return Fit(value, theta, step_number)
            raise NoFit(f"the fit stopped {gain:.2g} above its minimum")
        value = new
    raise NoFit(f"no minimum after {STEPS} steps")


def fit_free(model: Model, data: Data, null: Fit) -> Fit:
    """The best fit with mu >= 0, given that at mu = 0."""
    slope = model.signal_slope(null.theta, data)
    if slope >= 0:
        return null
    start = null.theta.copy()
    scale = 1e-3
    start[model.poi] = scale
    _, hessian, _ = model.derivatives(start, data)
    curvature = hessian[model.poi, model.poi]
    start[model.poi] = -slope / curvature if curvature > 0 else scale
    best = fit(model, data, start=start)
    return best if best.nll <= null.nll else null


def covariance(model: Model, data: Data, theta: np.ndarray, *, mu_fixed: bool) -> np.ndarray:
    """Covariance (P, P) from the Hessian; 0 for what is fixed."""
    free = ~model.parameters.fixed
    if mu_fixed:
        free = free.copy()
        free[model.poi] = False
    _, hessian, _ = model.derivatives(theta, data)
    out = np.zeros_like(hessian)
    out[np.ix_(free, free)] = np.linalg.inv(hessian[np.ix_(free, free)])
    return out


def _step(
    theta: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, free: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, float]:
    """Newton's step among the parameters that may move, within the bounds, and twice the gain it promises."""
    held = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
    moving = np.flatnonzero(free & ~held)
    while True:
        g, h = gradient[moving], hessian[np.ix_(moving, moving)]
        scale = 1 / np.sqrt(np.maximum(np.abs(np.diag(h)), 1e-12))
        g = g * scale
        y = _solve(g, h * scale[:, None] * scale[None, :])
        # What lies at a bound and would be pushed beyond it by the others stays there.
        out = ((theta[moving] <= low[moving]) & (y < 0)) | ((theta[moving] >= high[moving]) & (y > 0))
        if not out.any():
            break
        moving = moving[~out]
    gain = float(-g @ y)
    y *= min(1.0, LONGEST / max(float(np.abs(y).max(initial=0.0)), 1e-300))
    step = np.zeros_like(theta)
    for direction in (y, -g / max(1.0, float(np.abs(g).max(initial=0.0)))):
        step[moving] = np.clip(theta[moving] + direction * scale, low[moving], high[moving]) - theta[moving]
        if gradient @ step <= 0.01 * float(g @ direction):
            break  # still downhill when cut at the bounds; else the gradient's own direction is
    return step, gain


def _solve(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Newton's step; directions of negative curvature are turned downhill."""
    try:
        factor = np.linalg.cholesky(hessian)
        return -np.linalg.solve(factor.T, np.linalg.solve(factor, gradient))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(hessian)
        return -vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(values), 0.01))


def _search(model: Model, data: Data, theta: np.ndarray, step: np.ndarray, value: float) -> tuple[np.ndarray, float]:
    """Go along the step as far as -ln L falls: 1, 1/2, 1/4, ..."""
    length = 1.0
    for _ in range(30):
        trial = theta + length * step
        new = model.nll(trial, data)
        if new < value:
            return trial, new
        length *= 0.5
    return theta, value


def _feasible(model: Model, data: Data, theta: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    """A start at which all bins expect something: from there towards the nominal parameters."""
    nominal = np.where(free, model.parameters.start, theta)
    for part in (0.5, 0.25, 0.1, 0.0):
        trial = nominal + part * (theta - nominal)
        value = model.nll(trial, data)
        if np.isfinite(value):
            return trial, value
    raise NoFit("the nominal parameters expect less than nothing in a bin")
