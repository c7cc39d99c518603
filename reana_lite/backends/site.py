"""What the site of this installation offers to containers that ask for it by Yadage's names: CVMFS and credentials.

`CVMFS` is a read-only folder at /cvmfs. `GRIDProxy`, `KRB5Auth` and `kerberos: true` are a folder of the user's that has
`getkrb.sh` in it, whose path in the container a step finds in KRB_SETUP_SCRIPT. A step that asks for neither sees neither.
Paths in, mounts out; called by the container backend.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CREDENTIALS = ("gridproxy", "krb5auth", "kerberos: true")


@dataclass(frozen=True, slots=True)
class Site:
    """Where things lie on this machine: `cvmfs` (and how its mounts propagate, "": as the engine does), the folder of
    `credentials` and where containers see it."""

    cvmfs: Path = Path("/cvmfs")
    cvmfs_propagation: str = ""
    credentials: Path = Path("/home/recast/recast_auth")
    credentials_target: str = "/recast_auth"

    def has(self, resource: str) -> bool | None:
        """Whether it has what a workflow asks for by that name; None if it does not know the name."""
        name = resource.lower()
        if "cvmfs" in name:
            return _is_there(self.cvmfs)
        return _is_there(self.credentials) if name in _CREDENTIALS else None

    def mounts(self, resources: Iterable[str]) -> list[tuple[str, str, str]]:
        """(source, path in the container, options) of what is asked for and there. Credentials are writable: programs
        keep their tickets beside them."""
        found = []
        names = [name.lower() for name in resources if self.has(name)]
        if any("cvmfs" in name for name in names):
            options = f"ro,{self.cvmfs_propagation}" if self.cvmfs_propagation else "ro"
            found.append((str(self.cvmfs.resolve()), "/cvmfs", options))
        if any(name in _CREDENTIALS for name in names):
            found.append((str(self.credentials.resolve()), self.credentials_target, "rw"))
        return found

    def variables(self, resources: Iterable[str]) -> dict[str, str]:
        """What tells a step where its credentials are."""
        asked = any(name.lower() in _CREDENTIALS and self.has(name) for name in resources)
        return {"KRB_SETUP_SCRIPT": f"{self.credentials_target}/getkrb.sh"} if asked else {}


def _is_there(folder: Path) -> bool:
    """Whether there is something in a folder that can be mounted."""
    try:
        return not set(":,") & set(str(folder.resolve())) and folder.is_dir() and any(folder.iterdir())
    except OSError:
        return False
