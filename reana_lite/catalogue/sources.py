"""Where analyses and their files are looked for: search paths, mirror, tokens, limits; from the environment, once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from reana_lite.config import Settings

VARIABLE = "RECAST_ATLAS_CATALOGUE"
"""The search path that `recast catalogue add` writes, as recast-atlas calls it; RECAST_CATALOGUE is read before it."""

_SAFE = "/._-+,@="


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to look. `search`: folders of the user, in order (a later one wins); `shipped`: those of the program.

    `mirror` is a folder that already has downloads; `downloads` keeps verified ones. `schema_token` and `init_token` go
    as PRIVATE-TOKEN to the GitLabs of `token_hosts` (https) for documents and for init archives; to nobody else.
    `hosts`: where documents may come from, at every redirect (none: anywhere). Limits in seconds and bytes.
    """

    search: tuple[Path, ...] = ()
    shipped: Path | None = None
    mirror: Path | None = None
    downloads: Path = Path("~/.cache/reana-lite/downloads")
    schema_token: str = ""
    init_token: str = ""
    token_hosts: tuple[str, ...] = ("gitlab.cern.ch",)
    hosts: tuple[str, ...] = ()
    timeout_s: float = 30.0
    document_limit_bytes: int = 8 * 1024 * 1024
    download_limit_bytes: int = 20 * 1024**3

    def token_for(self, uri: str, token: str) -> str:
        """The token, if it may be told to the server of a URI; else ""."""
        parts = urlsplit(uri)
        return token if parts.scheme == "https" and parts.netloc.lower() in self.token_hosts else ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **given: object) -> Sources:
        """As the environment says: RECAST_CATALOGUE, RECAST_ATLAS_CATALOGUE, RECAST_DATA_MIRROR, the yadage tokens and
        RECAST_TOKEN_HOSTS."""
        env = os.environ if environ is None else environ
        values: dict[str, object] = {
            "search": search_path(f"{env.get('RECAST_CATALOGUE', '')}:{env.get(VARIABLE, '')}"),
            "shipped": shipped(),
            "mirror": Path(env["RECAST_DATA_MIRROR"]) if env.get("RECAST_DATA_MIRROR") else None,
            "schema_token": env.get("YADAGE_SCHEMA_LOAD_TOKEN", ""),
            "init_token": env.get("YADAGE_INIT_TOKEN", ""),
            "token_hosts": tuple(env.get("RECAST_TOKEN_HOSTS", "gitlab.cern.ch").lower().replace(",", " ").split()),
        }
        return cls(**{**values, **given})  # type: ignore[arg-type]

    @classmethod
    def of(cls, settings: Settings) -> Sources:
        """As the installation's settings say; downloads lie in its home."""
        return cls.from_environment(
            search=tuple(dict.fromkeys(_decoded(str(folder)) for folder in settings.catalogue)),
            mirror=settings.data_mirror,
            downloads=settings.home / "downloads",
        )


def shipped() -> Path | None:
    """The folder of the analyses that come with the program: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    for folder in (package / "_workflows", package.parent / "workflows"):
        if folder.is_dir():
            return folder
    return None


def search_path(text: str) -> tuple[Path, ...]:
    """The folders of a ":"-separated search path; what `written` has encoded is decoded."""
    return tuple(dict.fromkeys(_decoded(part) for part in text.split(":") if part))


def _decoded(part: str) -> Path:
    plain = Path(part).expanduser()
    return plain if "%" not in part or plain.exists() else Path(unquote(part)).expanduser()


def written(folders: tuple[Path, ...]) -> str:
    """A search path in one shell word that needs no quotes: blanks and the like are percent-encoded."""
    return ":".join(quote(str(folder), safe=_SAFE) for folder in folders)
