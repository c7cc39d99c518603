"""From limits to a verdict: which likelihood decides, how sure the numbers are, what more events would give."""

from __future__ import annotations

import math

import numpy as np
from asymptotics import Asymptotics, log_cls
from model import Data, Model, fit, fit_free

STEP = 0.5
"""By how many MC errors a bin is shifted to see what that does to the limit."""

MAX_EVENTS = 1_000_000


def monte_carlo_error(asymptotics: Asymptotics, mu: float, mc_error: np.ndarray) -> float:
    """Relative error of the observed limit on mu (so of r) from the finite number of events.

    Every bin with signal is shifted on its own; what CLs does at the limit is turned into a shift of the limit.
    """
    model = asymptotics.model
    bins = np.flatnonzero(model.signal > 0)
    if not len(bins):
        return 0.0
    signal = np.repeat(model.signal[None, :], len(bins), axis=0)
    signal[np.arange(len(bins)), bins] += STEP * mc_error[bins]
    shifted = Model(signal, model.background, model.error, model.tau, model.delta)
    k = len(bins)
    data = Data.observed(model, asymptotics.data.n[0], k)
    at = np.full(k, mu)
    best = fit_free(shifted, data)
    q = np.where(best.mu < mu, 2 * (fit(shifted, data, mu=at).nll - best.nll), 0.0)
    q_asimov = 2 * (fit(shifted, asymptotics.asimov.repeat(k), mu=at).nll - asymptotics.asimov_null.nll)
    moved = log_cls(np.sqrt(np.maximum(q, 0)), np.sqrt(np.maximum(q_asimov, 0)))
    here, up = asymptotics.log_cls(np.array([mu, mu * 1.02]))
    slope = (up - here) / math.log(1.02)
    if slope >= 0:
        return 0.0
    return float(np.sqrt((((moved - here) / STEP / slope) ** 2).sum()))


def decide(cls: float, r: float, relative_error: float) -> str:
    """Excluded if CLs at mu = 1 is below 0.05; undetermined where two MC errors of r reach across 1."""
    if abs(r - 1) <= 2 * relative_error * r:
        return "undetermined"
    return "excluded" if cls < 0.05 else "not-excluded"


def advise(r: float, relative_error: float, n_events: int, *, from_file: bool) -> list[str]:
    """What the user can do about the error of r; events of a file cannot be made more of by asking."""
    advice = []

    def how(total: int) -> str:
        return f"a file of {total:,} events" if from_file else f"-p n_events={total}; events already there are kept"

    if relative_error > 0 and abs(r - 1) <= 2 * relative_error * r:
        wanted = max(abs(r - 1) / r, 1e-6) / 2.2
        needed = n_events * ((relative_error / wanted) ** 2)
        if needed > MAX_EVENTS:
            advice.append(
                f"r = {r:.3f} +- {r * relative_error:.3f} (MC) is too close to 1 for more events to decide; the error of "
                "the cross-section is larger than the difference"
            )
        else:
            total = math.ceil(needed / 2500) * 2500
            error = relative_error * math.sqrt(n_events / total)
            advice.append(
                f"{total - n_events:,} more events give {100 * error:.1f} % on r instead of {100 * relative_error:.1f} % "
                f"({how(total)})"
            )
    elif relative_error > 0.10:
        advice.append(
            f"the error of r from the number of events is {100 * relative_error:.0f} %; {3 * n_events:,} more events "
            f"halve it ({how(4 * n_events)})"
        )
    return advice
