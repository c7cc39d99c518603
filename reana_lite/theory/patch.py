"""What patches a likelihood: JSON Patch (RFC 6902) and pyhf patchsets, their checks, and the digest of a likelihood.

Pure. The digest is that of pyhf.utils.digest: sha256 over the JSON text with sorted keys, Python's default separators
and characters unescaped, in UTF-8. It is of the document, not of the file: the file's own sha256 is another number.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from reana_lite.theory.reading import Faults, as_text, refuse, shown

MAX_BYTES = 256 * 1024 * 1024

_OPERATIONS = {"add": "value", "replace": "value", "test": "value", "remove": None, "move": "from", "copy": "from"}


@dataclass(frozen=True, slots=True)
class Patch:
    """The operations of one signal, in order; in a patchset with its name and a value for each label."""

    operations: tuple[Mapping[str, Any], ...]
    name: str = ""
    values: tuple[float | str, ...] = ()


@dataclass(frozen=True, slots=True)
class PatchSet:
    """Patches of one likelihood by name; `digests` by algorithm are of the likelihood that they fit."""

    source: str
    labels: tuple[str, ...]
    digests: Mapping[str, str]
    patches: Mapping[str, Patch]

    def patch(self, name: str) -> Patch:
        """The patch of that name; InvalidInput names those that are close."""
        if name in self.patches:
            return self.patches[name]
        near = difflib.get_close_matches(name, self.patches, n=3) or sorted(self.patches)[:3]
        raise refuse(self.source, f"no patch {shown(name)!r} among {len(self.patches)}; there are {', '.join(near)}")

    def verify(self, likelihood: Any) -> None:
        """Refuse a likelihood (as parsed from JSON) that these patches were not made for."""
        for algorithm, expected in self.digests.items():
            found = likelihood_digest(likelihood, algorithm=algorithm)
            if found != expected:
                reason = f"made for a likelihood with {algorithm} digest {expected}, but this one has {found}"
                raise refuse(self.source, reason, path="/metadata/digests")


def likelihood_digest(likelihood: Any, *, algorithm: str = "sha256") -> str:
    """The digest of a likelihood as pyhf computes it (hex digits)."""
    text = json.dumps(likelihood, sort_keys=True, ensure_ascii=False)
    return hashlib.new(algorithm, text.encode("utf-8"), usedforsecurity=False).hexdigest()


def read_json(content: bytes, source: str, *, limit: int = MAX_BYTES) -> Any:
    """Parsed JSON; InvalidInput with line for what is not one: NaN, Infinity, double keys, too deep, too long."""

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a JSON number")

    def real(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{shown(text)} is too large for a number")
        return value

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"key {shown(twice)!r} is given twice in one object")
        return found

    if len(content) > limit:
        raise refuse(source, f"{len(content)} bytes; at most {limit} are read")
    text = as_text(content, source)
    try:
        return json.loads(text, parse_constant=constant, parse_float=real, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise refuse(source, f"not JSON: {error.msg} (column {error.colno})", line=error.lineno) from error
    except RecursionError as error:
        raise refuse(source, "JSON that is nested too deep") from error
    except ValueError as error:
        raise refuse(source, str(error)) from error


def read_patch(document: Any, source: str) -> Patch:
    """A JSON Patch from its parsed form."""
    faults = Faults(source)
    patch = Patch(_operations(document, faults, ""))
    faults.check()
    return patch


def read_patchset(document: Any, source: str) -> PatchSet:
    """A pyhf patchset from its parsed form: unique names and values, a value per label, every patch well formed."""
    faults = Faults(source)
    document = document if isinstance(document, dict) else {}
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    digests, labels = metadata.get("digests"), metadata.get("labels")
    if document.get("version") != "1.0.0":
        faults.add(f"patchset version {shown(repr(document.get('version')))}; known: '1.0.0'", path="/version")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        faults.add("labels is not a list of texts", path="/metadata/labels")
        labels = []
    sizes = {"md5": 32, "sha256": 64}
    if not isinstance(digests, dict) or not digests or not digests.keys() <= sizes.keys():
        faults.add("no digest of the likelihood (sha256 or md5)", path="/metadata/digests")
        digests = {}
    for algorithm, digest in digests.items():
        if not isinstance(digest, str) or len(digest) != sizes[algorithm]:
            faults.add(
                f"{algorithm} digest is not {sizes[algorithm]} hex digits", path=f"/metadata/digests/{algorithm}"
            )
    patches: dict[str, Patch] = {}
    points: set[tuple[float | str, ...]] = set()
    rows = document.get("patches")
    if not isinstance(rows, list) or not rows:
        faults.add("no patches", path="/patches")
        rows = []
    for at, row in enumerate(rows):
        patch = _named_patch(row, labels, faults, f"/patches/{at}")
        if patch is None:
            continue
        if patch.name in patches or patch.values in points:
            faults.add(
                f"second patch {shown(patch.name)!r} or second one of its values", path=f"/patches/{at}/metadata"
            )
        patches[patch.name] = patch
        points.add(patch.values)
    faults.check()
    return PatchSet(source, tuple(labels), dict(digests), patches)


def _named_patch(row: Any, labels: list[str], faults: Faults, path: str) -> Patch | None:
    metadata = row.get("metadata") if isinstance(row, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        faults.add("a patch without a name", path=f"{path}/metadata")
        return None
    values = metadata.get("values")
    if not isinstance(values, list) or not all(isinstance(v, int | float | str) for v in values):
        faults.add("values is not a list of numbers and texts", path=f"{path}/metadata/values")
        return None
    if len(values) != len(labels):
        faults.add(f"{len(values)} values for {len(labels)} labels", path=f"{path}/metadata/values")
    return Patch(_operations(row.get("patch"), faults, f"{path}/patch"), metadata["name"], tuple(values))


def _operations(document: Any, faults: Faults, path: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(document, list) or not document:
        faults.add("a JSON Patch is a list of at least one operation", path=path)
        return ()
    for at, row in enumerate(document):
        where = f"{path}/{at}"
        op = row.get("op") if isinstance(row, dict) else None
        if not isinstance(op, str) or op not in _OPERATIONS:
            faults.add(f"unknown operation {shown(repr(op))}; known: {', '.join(_OPERATIONS)}", path=where)
            continue
        needed = _OPERATIONS[op]
        if needed is not None and needed not in row:
            faults.add(f"operation {op} without {needed!r}", path=where)
        for key in ("path", "from") if needed == "from" else ("path",):
            if not isinstance(row.get(key), str) or (row[key] and not row[key].startswith("/")):
                faults.add(f"{key} {shown(repr(row.get(key)))} is not a JSON pointer", path=where)
    return tuple(row for row in document if isinstance(row, dict))
