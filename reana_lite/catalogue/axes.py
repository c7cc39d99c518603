"""What the axes of results are called: looked up in the analyses they are of, wherever those are found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reana_lite.catalogue.entries import Catalogue, EntryKind, known_analysis
from reana_lite.comparison.axis import Axis, declared_axes, joined
from reana_lite.errors import ReanaLiteError


def axes_of(targets: Iterable[str], catalogue: Catalogue) -> dict[str, Axis]:
    """Axes by name, as the analyses of these targets (names, or paths of their files) declare them; none is needed."""
    return joined(_declared(target, catalogue) for target in dict.fromkeys(targets))


def _declared(target: str, catalogue: Catalogue) -> dict[str, Axis]:
    try:
        path = Path(target)
        if target.startswith("/") and path.exists():
            return declared_axes(known_analysis(path))
        entry = catalogue.find(target)
        return declared_axes(known_analysis(entry.path)) if entry.kind is EntryKind.ANALYSIS else {}
    except (ReanaLiteError, OSError, ValueError):
        return {}
