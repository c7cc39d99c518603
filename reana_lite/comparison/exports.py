"""What other programs read: a pyhf patchset of new signals, an efficiency map as SModelS has it. Pure: things to texts.

pyhf: JSON of a background-only likelihood and a patchset that adds the signal of each theory (pyhf schema 1.0.0).
SModelS: a folder of its text database (manual, "Database Structure"; read by SModelS 3.2.1): globalInfo.txt, and per
region dataInfo.txt and one efficiency map. Files are given as path -> text; who calls writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reana_lite.errors import InvalidInput
from reana_lite.result import Region, Result
from reana_lite.theory.patch import likelihood_digest

CONSTRAINTS = {
    "T1": "[[['jet','jet']],[['jet','jet']]]", "T1bbbb": "[[['b','b']],[['b','b']]]",
    "T1tttt": "[[['t','t']],[['t','t']]]", "T2": "[[['jet']],[['jet']]]", "T2bb": "[[['b']],[['b']]]",
    "T2tt": "[[['t']],[['t']]]",
}  # fmt: skip
"""Topologies with two masses that this export knows, with their constraint in SModelS's bracket notation."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")


# -- pyhf ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class SignalLikelihood:
    """A likelihood (HistFactory JSON) that has the signal of one theory, with the theory's place on the axes."""

    theory: str
    values: tuple[float | str, ...]
    document: Mapping[str, Any]


def split_signal(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The likelihood without signal, and the JSON Patch that adds it again.

    Signal is every sample scaled by the parameter of interest of the first measurement; InvalidInput if there is none.
    """
    measurements = document.get("measurements") or [{}]
    poi = measurements[0].get("config", {}).get("poi", "")
    channels, patch = [], []
    for at, channel in enumerate(document.get("channels", [])):
        rest = [s for s in channel["samples"] if not _is_scaled(s, poi)]
        signals = [s for s in channel["samples"] if _is_scaled(s, poi)]
        channels.append({**channel, "samples": rest})
        patch += [
            {"op": "add", "path": f"/channels/{at}/samples/{len(rest) + n}", "value": sample}
            for n, sample in enumerate(signals)
        ]
    if not patch:
        raise InvalidInput(
            f"no sample of the likelihood is scaled by its parameter of interest {poi!r}", field="likelihood"
        )
    return {**document, "channels": channels}, patch


def pyhf_files(
    likelihoods: Iterable[SignalLikelihood], labels: Sequence[str], *, description: str, hepdata: str = ""
) -> dict[str, str]:
    """BkgOnly.json and patchset.json; InvalidInput if the theories do not share one background.

    `labels` name the values of the theories; `hepdata` is the record (ins and seven digits) of the analysis.
    """
    digest, background, first = "", "", ""
    patches: list[dict[str, Any]] = []
    names: set[str] = set()
    for one in likelihoods:
        rest, patch = split_signal(one.document)
        found = likelihood_digest(rest)
        if not digest:
            digest, first = found, one.theory
            background = json.dumps(rest, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        elif found != digest:
            raise InvalidInput(
                f"the backgrounds of {first} and {one.theory} are not the same: a patchset fits one likelihood",
                field="likelihood",
            )
        name = _free(_UNSAFE.sub("_", one.theory).strip("_") or "signal", names)
        patches.append({"metadata": {"name": name, "values": list(one.values)}, "patch": patch})
    if not patches:
        raise InvalidInput("no run has a likelihood to export", field="likelihood")
    places = [tuple(patch["metadata"]["values"]) for patch in patches]
    if len(set(places)) != len(places):
        raise InvalidInput(f"two theories have the same {', '.join(labels)}: a patchset tells them apart", field="axes")
    metadata = {
        "references": {"hepdata": hepdata} if re.fullmatch(r"ins\d{7}", hepdata) else {"hepdata": "ins0000000"},
        "description": description,
        "digests": {"sha256": digest},
        "labels": [_UNSAFE.sub("_", label) for label in labels],
    }
    patchset = {"metadata": metadata, "version": "1.0.0", "patches": patches}
    text = json.dumps(patchset, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return {"BkgOnly.json": background, "patchset.json": text}


def _is_scaled(sample: Mapping[str, Any], poi: str) -> bool:
    return any(m.get("name") == poi and m.get("type") == "normfactor" for m in sample.get("modifiers", []))


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while (free := name if number == 1 else f"{name}_{number}") in taken:
        number += 1
    taken.add(free)
    return free


# -- SModelS ---------------------------------------------------------------------------------------------------------
def smodels_files(
    results: Sequence[tuple[Result, tuple[float, float]]], topology: str, *, sqrts_tev: float
) -> tuple[dict[str, str], list[str]]:
    """Files of an efficiency-map result, and sentences on what is not in them.

    `results` come with their masses (mother, lightest; GeV), both branches alike. `topology`: one of CONSTRAINTS, or
    NAME=CONSTRAINT. Theories outside validity are left out: the format cannot mark them.
    """
    name, _, constraint = topology.partition("=")
    constraint = constraint or CONSTRAINTS.get(name, "")
    if not constraint or not re.fullmatch(r"[A-Za-z0-9]+", name):
        raise InvalidInput(
            f"unknown topology {topology!r}; known: {', '.join(CONSTRAINTS)}, or give NAME=CONSTRAINT", field="topology"
        )
    analyses = {result.analysis for result, _ in results}
    if len(analyses) != 1:
        raise InvalidInput(f"an efficiency map is of one analysis, not of {len(analyses)}", field="runs")
    kept = [(result, masses) for result, masses in results if result.within_validity]
    notes = []
    if len(kept) < len(results):
        notes.append(f"{len(results) - len(kept)} theories outside validity are left out")
    if not kept:
        raise InvalidInput("no theory is within validity: there is no efficiency map", field="runs")
    first = kept[0][0]
    files = {"globalInfo.txt": _lines({
        "id": _id(first.analysis), "sqrts": f"{sqrts_tev:g}*TeV", "lumi": f"{first.lumi_ifb:g}/fb", "private": "True",
        "implementedBy": "reana-lite", "comment": "efficiencies recomputed with the preserved analysis, not published ones",
    })}  # fmt: skip
    without = 0
    limited: dict[str, tuple[Region, list[tuple[tuple[float, float], float]], tuple[float, float] | None]] = {}
    for region in first.regions:
        rows = [(masses, result.region(region.name).efficiency) for result, masses in kept
                if any(r.name == region.name for r in result.regions)]  # fmt: skip
        points = [(masses, value) for masses, value in rows if value is not None]
        if region.observed is None or region.background is None or not points:
            without += 1
            continue
        limited[_UNSAFE.sub("_", region.name)] = region, points, _s95(region, first)
    if without:
        notes.append(f"{without} regions without observed, background or efficiency are left out")
    known = {folder: one for folder, one in limited.items() if one[2] is not None}
    if len(known) < len(limited):
        what = "regions without an upper limit on their events"
        notes.append(
            f"{len(limited) - len(known)} {what} are left out, because SModelS needs one of each" if known else
            f"all are {what}: SModelS needs `upperLimit` and `expectedUpperLimit` in each dataInfo.txt"
        )  # fmt: skip
    for folder, (region, points, limits) in (known or limited).items():
        files[f"{folder}/dataInfo.txt"] = _lines(_data_info(region, first, folder, limits))
        files[f"{folder}/{name}.txt"] = _map(name, constraint, points)
    return files, notes


def _data_info(region: Region, result: Result, folder: str, limits: tuple[float, float] | None) -> dict[str, str]:
    rows = {
        "dataType": "efficiencyMap", "dataId": folder, "observedN": f"{region.observed:g}",
        "expectedBG": f"{region.background:g}", "bgError": f"{region.background_error or 0.0:g}",
    }  # fmt: skip
    if limits is not None:
        rows["upperLimit"], rows["expectedUpperLimit"] = (f"{one / result.lumi_ifb:.6g}*fb" for one in limits)
    return rows


def _s95(region: Region, result: Result) -> tuple[float, float] | None:
    """Upper limits on the events of a region, observed and expected: as the analysis gives them, else limit on mu times
    signal; None where there is neither."""
    extra = result.document.get("extra")
    given = (extra.get("s95") or {}).get(region.name) if isinstance(extra, Mapping) else None
    if isinstance(given, Mapping) and isinstance(given.get("expected"), list) and len(given["expected"]) == 5:
        observed, expected = given.get("observed"), given["expected"][2]
        if isinstance(observed, int | float) and isinstance(expected, int | float):
            return float(observed), float(expected)
    limit = next((one for one in result.limits if one.name == region.name and one.status == "ok"), None)
    if limit is None or not region.signal or limit.mu_limit_observed is None or limit.mu_limit_expected is None:
        return None
    return limit.mu_limit_observed * region.signal, limit.mu_limit_expected[2] * region.signal


def _map(name: str, constraint: str, points: Sequence[tuple[tuple[float, float], float]]) -> str:
    head = _lines({
        "txName": name, "constraint": constraint, "condition": "None", "conditionDescription": "None",
        "figureUrl": "None", "validated": "TBD", "axes": "[[x, y], [x, y]]", "publishedData": "False",
    })  # fmt: skip
    rows = []
    for (mother, lightest), value in sorted(points):
        branch = f"[{mother!r}*GeV, {lightest!r}*GeV]"
        rows.append(f"[[{branch}, {branch}], {value:.6g}]")
    return f"{head}efficiencyMap: [{(',' + chr(10)).join(rows)}]\n"


def _lines(rows: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in rows.items())


def _id(analysis: str) -> str:
    """The public name of an analysis from that in a catalogue (atlas-susy-2018-22)."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", analysis.rpartition("/")[2]).upper()
