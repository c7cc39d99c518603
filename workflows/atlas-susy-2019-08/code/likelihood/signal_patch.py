"""Step `signal`: the patch of one signal, from the published patchset, the user's patchset, or the user's patch.

A patchset names the digest of the likelihood that it was made for; another one is refused. What a patch does to the
likelihood is the affair of the step `limits`.
"""

from __future__ import annotations

import argparse
import difflib
import json
from pathlib import Path
from typing import Any

from refusal import Refused, guarded, refuse


def chosen(patchset: dict[str, Any], point: str, whose: str) -> dict[str, Any]:
    """The patch of that name ("": the only one there is)."""
    patches = {row["metadata"]["name"]: row for row in patchset["patches"]}
    if not point and len(patches) == 1:
        point = next(iter(patches))
    if point in patches:
        return patches[point]
    near = difflib.get_close_matches(point, patches, n=3) or sorted(patches)[:3]
    asked = f"there is no {point!r}" if point else "which point is meant was not said (-p point=NAME)"
    raise Refused(f"{asked} among the {len(patches)} of {whose}; there are {', '.join(near)}")


def verify(patchset: dict[str, Any], digest: str, whose: str) -> None:
    """Refuse patches that were made for another likelihood."""
    wanted = patchset["metadata"]["digests"].get("sha256")
    if wanted is None:
        refuse(f"{whose} names no sha256 digest of the likelihood it was made for")
    if wanted != digest:
        refuse(f"{whose} was made for a likelihood with digest {wanted}; this one has {digest}")


def masses(values: dict[str, Any]) -> dict[str, float]:
    """Masses of the published simplified model in GeV."""
    return {"parent_gev": float(values["m1"]), "lsp_gev": float(values["m2"])}


def read(options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    """(the operations, what is known of the signal)"""
    if options.format == "patch":
        if options.point:
            refuse(f"point={options.point} was given with a patch; only a patchset has points to choose from")
        document = json.loads(Path(options.theory).read_text(encoding="utf-8"))
        return document, {"source": "patch", "name": "", "values": {}, "masses": None, "verified": False}
    own = options.format == "patchset"
    whose = "the given patchset" if own else "the published patchset"
    path = Path(options.theory) if own else options.patchset
    patchset = json.loads(path.read_text(encoding="utf-8"))
    verify(patchset, json.loads(options.background.read_text(encoding="utf-8"))["digest"], whose)
    row = chosen(patchset, options.point, whose)
    values = dict(zip(patchset["metadata"]["labels"], row["metadata"]["values"], strict=True))
    return row["patch"], {
        "source": "patchset" if own else "published",
        "name": row["metadata"]["name"],
        "values": values,
        "masses": None if own else masses(values),
        "verified": True,
    }


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theory", default="")
    parser.add_argument("--format", default="")
    parser.add_argument("--point", default="")
    parser.add_argument("--patchset", type=Path, required=True)
    parser.add_argument("--background", type=Path, required=True)
    parser.add_argument("--signal", type=Path, required=True)
    parser.add_argument("--patch", type=Path, required=True)
    options = parser.parse_args()
    operations, known = read(options)
    options.signal.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    options.patch.write_text(json.dumps(operations) + "\n", encoding="utf-8")


if __name__ == "__main__":
    guarded(main)
