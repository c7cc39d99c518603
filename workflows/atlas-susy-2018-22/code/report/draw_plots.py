"""Step `plots`: yields per region, limits, and cutflow as figures (PDF)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import mplhep
import numpy as np

RED, GREEN, YELLOW, GREY = "#bd1f01", "#56b34a", "#f5d33f", "#94a4a2"


def heading(axes: Any, document: dict[str, Any]) -> None:
    """What the figure is made of, above the axes."""
    axes.set_title(
        f"ATLAS-SUSY-2018-22, re-run ({document['lumi_ifb']:g} fb$^{{-1}}$, 13 TeV)", loc="left", fontsize=13
    )
    axes.set_title(str(document["verdict"]), loc="right", fontsize=13)


def draw_regions(document: dict[str, Any], path: Path) -> None:
    """Observed, background with its error, and background plus signal in the multi-bin and the discovery regions."""
    rows = [r for r in document["regions"] if r["name"].startswith("SR")]
    best = document["best"] or "MB-GGd"
    figure, panels = plt.subplots(2, 2, figsize=(15, 8), gridspec_kw={"height_ratios": [3, 1], "width_ratios": [10, 24]},
                                  sharex="col")  # fmt: skip
    chosen = [r for r in document["regions"] if r["name"].startswith(best + "-")]
    for column, part in ((0, rows), (1, chosen)):
        draw_panel(panels[0, column], panels[1, column], part)
    heading(panels[0, 0], document | {"verdict": ""})
    panels[0, 1].set_title(f"{best}: {document['verdict']}", loc="right", fontsize=13)
    panels[0, 0].legend(fontsize=10, loc="upper right")
    figure.align_ylabels()
    figure.tight_layout()
    save(figure, path)


def draw_panel(top: Any, bottom: Any, rows: list[dict[str, Any]]) -> None:
    """One group of regions: yields above, pull of the observation below."""
    x = np.arange(len(rows))
    observed, background, error, signal = (
        np.array([row[key] for row in rows], dtype=float)
        for key in ("observed", "background", "background_error", "signal")
    )
    top.bar(x, background, width=1, color=GREY, alpha=0.6, label="background")
    top.bar(x, 2 * error, bottom=background - error, width=1, fill=False, hatch="////", edgecolor="0.4", linewidth=0)
    edges = np.arange(len(rows) + 1) - 0.5
    top.stairs(background + np.maximum(signal, 0), edges, color=RED, linewidth=1.8, label="background + signal")
    top.errorbar(x, observed, yerr=np.sqrt(observed), fmt="ko", markersize=4, linewidth=1, label="observed")
    top.set_yscale("log")
    top.set_ylim(0.05, 30 * max(observed.max(), 10))
    top.set_ylabel("events")
    pull = (observed - background) / np.sqrt(np.maximum(background, 1e-9) + error**2)
    bottom.bar(x, pull, width=0.8, color="0.5")
    bottom.axhline(0, color="k", linewidth=0.8)
    bottom.set_ylim(-3.5, 3.5)
    bottom.set_ylabel(r"(obs. $-$ bkg.) / $\sigma$", fontsize=10)
    bottom.set_xlim(-0.5, len(rows) - 0.5)
    bottom.set_xticks(x, [row["name"] for row in rows], rotation=90, fontsize=8)
    for axes in (top, bottom):
        axes.tick_params(axis="x", which="minor", bottom=False, top=False)


def draw_limits(document: dict[str, Any], path: Path) -> None:
    """Upper limits on the signal strength: observed, expected with one and two sigma, of every likelihood."""
    rows = [row for row in document["limits"] if row["status"] == "ok"]
    figure, axes = plt.subplots(figsize=(8, 7))
    for y, row in enumerate(reversed(rows)):
        band = row["mu_limit_expected"]
        labels = (
            (r"expected $\pm 2\sigma$", r"expected $\pm 1\sigma$", "expected", "observed") if y == 0 else (None,) * 4
        )
        axes.barh(y, band[4] - band[0], left=band[0], height=0.7, color=YELLOW, label=labels[0])
        axes.barh(y, band[3] - band[1], left=band[1], height=0.7, color=GREEN, label=labels[1])
        axes.plot([band[2]] * 2, [y - 0.35, y + 0.35], "k--", linewidth=1.2, label=labels[2])
        axes.plot(row["mu_limit_observed"], y, "ko", markersize=6, label=labels[3])
    names = [row["name"] + (" (decides)" if row["name"] == document["best"] else "") for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), names, fontsize=11)
    axes.tick_params(axis="y", which="minor", left=False, right=False)
    axes.axvline(1, color=RED, linewidth=1.5)
    if rows:
        axes.set_xscale("log")
        axes.legend(fontsize=10, loc="lower right", frameon=True)
    axes.set_xlabel(r"95% CL upper limit on $\mu$ (theory: 1)")
    heading(axes, document)
    figure.tight_layout()
    save(figure, path)


def draw_cutflow(document: dict[str, Any], path: Path) -> None:
    """Fraction of the events left after each cut: a row per process, its three regions of largest efficiency."""
    flows = document["cutflow"]
    figure, panels = plt.subplots(len(flows), 3, figsize=(15, 5 * len(flows)), squeeze=False, sharey=True)
    for row, (process, regions) in zip(panels, flows.items(), strict=True):
        last = {name: list(steps.values())[-1]["efficiency"] for name, steps in regions.items() if name != "common"}
        for axes, name in zip(row, sorted(last, key=lambda region: -last[region])[:3], strict=True):
            steps = regions["common"] | regions[name]
            x = np.arange(len(steps))
            values = np.array([c["efficiency"] for c in steps.values()])
            errors = np.array([c["efficiency_error"] for c in steps.values()])
            axes.bar(x, values, width=0.8, color=GREY)
            axes.errorbar(x, values, yerr=errors, fmt="none", ecolor="k", linewidth=1)
            for at, value in zip(x, values, strict=True):
                axes.annotate(f"{value:.3f}", (at, value), (0, 4), textcoords="offset points", ha="center", fontsize=8)
            axes.set_xticks(x, list(steps), rotation=60, ha="right", fontsize=10)
            axes.tick_params(axis="x", which="both", bottom=False, top=False)
            axes.set_ylim(0, 1.1)
            axes.set_title(f"{process}, {name}", loc="left", fontsize=13)
        row[0].set_ylabel("fraction of generated events")
    figure.tight_layout()
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a figure without the date, so that equal results give equal files."""
    figure.savefig(path, metadata={"CreationDate": None})
    plt.close(figure)


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    for name in ("regions", "limits", "cutflow"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    document = json.loads(options.result.read_text(encoding="utf-8"))
    plt.switch_backend("pdf")
    plt.style.use(mplhep.style.ATLAS)
    plt.rcParams.update({"font.size": 13, "axes.labelsize": 14, "xtick.labelsize": 11, "ytick.labelsize": 12})
    draw_regions(document, options.regions)
    draw_limits(document, options.limits)
    draw_cutflow(document, options.cutflow)


if __name__ == "__main__":
    main()
