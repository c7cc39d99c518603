"""References of container images, parsed; and which of them an installation allows.

Pure. A reference is [registry/]path[:tag][@digest]; without registry it is docker.io's, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reana_lite.errors import InvalidInput

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_REGISTRY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name in full. `tag` is "latest" if neither tag nor digest was given."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and path."""
        return f"{self.registry}/{self.path}"


def parse(text: str) -> Reference:
    """The reference in a text; raises InvalidInput with what is wrong with it."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, "its digest is not sha256: and 64 hexadecimal digits")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, rest = head, tail
    else:
        registry = "docker.io"
    path, colon, tag = rest.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _wrong(text, f"{tag!r} is not a tag")
    if not _REGISTRY.fullmatch(registry):
        raise _wrong(text, f"{registry!r} is not a registry")
    if not _PATH.fullmatch(path):
        raise _wrong(text, f"{path!r} is not a name of lower-case letters, digits, and . _ - / between them")
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return Reference(registry, path, tag or ("" if digest else "latest"), digest)


def _wrong(text: str, reason: str) -> InvalidInput:
    return InvalidInput(f"image {text!r} cannot be used: {reason}", field="image", value=text)


def check_allowed(text: str, rules: Iterable[str], *, by_digest: bool = False) -> Reference:
    """The reference, if a rule allows it (no rules: all are); raises InvalidInput that names the rule.

    A rule is a name whose parts may hold `*` (`**`: any number of parts), with the tag or digest it asks for, if any:
    `docker.io/atlas/*`, `registry.example.org/**`, `docker.io/library/debian@sha256:...`. `by_digest`: only images named
    by digest are allowed.
    """
    reference = parse(text)
    if by_digest and not reference.digest:
        raise InvalidInput(
            f"image {text!r} is not allowed here: images must be named by digest (NAME@sha256:...)",
            field="image", value=text, rule="images_by_digest",
        )  # fmt: skip
    rules = tuple(rules)
    if rules and not any(_matches(rule, reference) for rule in rules):
        raise InvalidInput(
            f"image {text!r} is not allowed here; allowed are: {', '.join(rules)} (setting `images`)",
            field="image", value=text, rule="images",
        )  # fmt: skip
    return reference


def _matches(rule: str, reference: Reference) -> bool:
    name, _, digest = rule.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    name = head + slash + last
    first, slash, _ = name.partition("/")
    if not slash or not ("." in first or ":" in first or "*" in first or first == "localhost"):
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    if (digest and digest != reference.digest) or (tag and tag != reference.tag):
        return False
    return _parts_match(name.split("/"), reference.name.split("/"))


def _parts_match(rule: list[str], parts: list[str]) -> bool:
    if not rule:
        return not parts
    if rule[0] == "**":
        return any(_parts_match(rule[1:], parts[cut:]) for cut in range(1, len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], rule[0]) and _parts_match(rule[1:], parts[1:])


def digest_in(image_id: str) -> str:
    """The digest in what a kubelet calls imageID; "" if there is none."""
    found = re.search(r"sha256:[0-9a-f]{64}", image_id)
    return found.group() if found else ""
