"""What this installation is told by its environment: one frozen value, read once, at the edge.

Nobody else reads RECAST_* variables, except the catalogue its own. Nothing is opened or made here, so that `recast --help`
and shell completion stay fast; whether a folder can be written to, its user finds out.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from reana_lite.errors import InvalidInput

T = TypeVar("T")

BACKENDS = ("auto", "local", "container", "kubernetes")
CONTAINER_ENGINES = ("auto", "podman", "docker", "apptainer")
DATABASES = ("sqlite", "postgresql")
PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")

RECAST_ATLAS_BACKENDS = {"local": "local", "docker": "container", "kubernetes": "kubernetes"}
"""What RECAST_DEFAULT_RUN_BACKEND of recast-atlas means here; its other backends have no counterpart yet."""

VARIABLES = (
    "RECAST_HOME", "RECAST_DATABASE", "RECAST_STORAGE", "RECAST_S3_ENDPOINT", "RECAST_S3_PUBLIC_ENDPOINT",
    "RECAST_S3_REGION", "RECAST_S3_REDIRECTS", "RECAST_S3_ACCESS_KEY", "RECAST_S3_SECRET_KEY",
    "RECAST_S3_SESSION_TOKEN", "RECAST_USER", "RECAST_CATALOGUE", "RECAST_DATA_MIRROR",
    "RECAST_BACKEND", "RECAST_CORES", "RECAST_MEMORY", "RECAST_CONTAINER_ENGINE", "RECAST_CONTAINER_FLAGS",
    "RECAST_CONTAINER_NETWORK", "RECAST_KUBERNETES_OPTIONS", "RECAST_KUBERNETES_NAMESPACE", "RECAST_KUBERNETES_IMAGE",
    "RECAST_SCAN_LIMIT", "RECAST_NODE_LIMIT", "RECAST_HOSTS", "RECAST_PROXIES",
    "RECAST_UPLOAD_LIMIT", "RECAST_ALLOW_UPLOADED_PROCESSES", "RECAST_ATLAS_CATALOGUE", "RECAST_DEFAULT_RUN_BACKEND",
    "PACKTIVITY_CVMFS_LOCATION", "PACKTIVITY_CVMFS_PROPAGATION", "PACKTIVITY_AUTH_LOCATION", "PACKTIVITY_AUTH_TARGETDIR",
)  # fmt: skip

_FOREIGN = re.compile(
    r"RECAST_(DEFAULT_BUILD_BACKEND|(LOCAL|DOCKER)_BACKENDSTRING|DOCKER_IMAGE|REGISTRY_\w+|AUTH_\w+|KUBERNETES_\w+|REANA_\w+"
    r"|INSTANCE|JOB|SHARED|SERVER|TOKEN)"
)
"""Names that recast-atlas, our own steps, client and tests use: no typing errors."""

_UNITS = {"": 1} | {
    letter + suffix: base**power
    for power, letter in enumerate("kmgtp", 1)
    for suffix, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """A bucket and how to reach it; keys are in no message and no repr."""

    bucket: str

    prefix: str = ""
    """What every object's name begins with; empty or with a slash at its end."""

    endpoint: str = "https://s3.amazonaws.com"
    """RECAST_S3_ENDPOINT, else AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL: the URL of the service."""

    public_endpoint: str = ""
    """RECAST_S3_PUBLIC_ENDPOINT: the URL by which steps and users reach the service, where it differs."""

    region: str = "us-east-1"
    """RECAST_S3_REGION, else AWS_REGION: part of signatures."""

    redirects: bool = False
    """RECAST_S3_REDIRECTS (0 or 1): whether users get large files from the service itself, by links that are valid for a
    minute. Off, because it must be reachable for them (by its public endpoint), and its answers carry fewer headers."""

    access_key: str = field(default="", repr=False)
    """RECAST_S3_ACCESS_KEY, else AWS_ACCESS_KEY_ID."""

    secret_key: str = field(default="", repr=False)
    """RECAST_S3_SECRET_KEY, else AWS_SECRET_ACCESS_KEY."""

    session_token: str = field(default="", repr=False)
    """RECAST_S3_SESSION_TOKEN, else AWS_SESSION_TOKEN where the keys are AWS_...: of keys that a token service has given for
    some hours. Rights that are given away by them end with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Each names its variable, its unit where it has one, and why it is there."""

    home: Path
    """RECAST_HOME (default: reana-lite in $XDG_DATA_HOME, else in ~/.local/share): what this installation keeps, so that
    everything can be moved to a larger disk at once."""

    database: str
    """RECAST_DATABASE, a URL (default: the SQLite file records.db in `home`): several machines can share a PostgreSQL."""

    storage: Path
    """RECAST_STORAGE (default: storage in `home`): where outputs lie; the one large folder, so it may lie elsewhere. With
    s3://bucket/prefix they lie in a bucket (`s3`)."""

    s3: S3Settings | None = None
    """RECAST_STORAGE, if it names a bucket: pods on any node reach it."""

    user: str
    """RECAST_USER (default: the login name): whose runs these are; numbers of names are counted per user."""

    catalogue: tuple[Path, ...] = ()
    """RECAST_CATALOGUE, then RECAST_ATLAS_CATALOGUE as recast-atlas has it (folders joined by ":"): where analyses are
    looked for, beside those that come with the package."""

    data_mirror: Path | None = None
    """RECAST_DATA_MIRROR: a folder that has files an analysis would download, for machines without network."""

    backend: str = "auto"
    """RECAST_BACKEND (auto, local, container, kubernetes), else RECAST_DEFAULT_RUN_BACKEND: where steps run. `auto`: on
    Kubernetes if the storage is a bucket, else as processes where every image has a stand-in, else in containers."""

    cores: float | None = None
    """RECAST_CORES (cores; default: all this process may use): leaves the rest of a shared machine alone."""

    memory_bytes: int | None = None
    """RECAST_MEMORY (bytes, or with k, M, G, T for powers of 1000, Ki, Mi, ... of 1024; default: what the machine has): what
    all steps together may be promised."""

    container_engine: str = "auto"
    """RECAST_CONTAINER_ENGINE (auto, podman, docker, apptainer): for machines with several."""

    container_flags: tuple[str, ...] = ()
    """RECAST_CONTAINER_FLAGS, split as a shell does: options for every container that only this machine needs."""

    container_network: str = "none"
    """RECAST_CONTAINER_NETWORK (none, host, or a network's name): steps that need the network are not reproducible, so it
    is off unless asked for."""

    kubernetes_options: Path | None = None
    """RECAST_KUBERNETES_OPTIONS: a YAML file with the options of the cluster (backends/kubernetes/options.py documents them):
    resources, placement, images, rates."""

    kubernetes_namespace: str = ""
    """RECAST_KUBERNETES_NAMESPACE: where Jobs are created, in place of what that file says (default: the namespace of the
    kubeconfig's context)."""

    kubernetes_image: str = ""
    """RECAST_KUBERNETES_IMAGE: the image of this program for the pods, in place of what that file says."""

    cvmfs: Path = Path("/cvmfs")
    """PACKTIVITY_CVMFS_LOCATION, as Yadage has it: where CVMFS lies on this machine, for containers that ask for it."""

    cvmfs_propagation: str = ""
    """PACKTIVITY_CVMFS_PROPAGATION (private, shared, slave, with or without r before it; default: the engine's): an
    automounter needs rslave or rshared, or a container sees only what was mounted before."""

    credentials: Path = Path("/home/recast/recast_auth")
    """PACKTIVITY_AUTH_LOCATION, as Yadage has it: a folder with getkrb.sh, for containers that ask for GRIDProxy, KRB5Auth
    or kerberos."""

    credentials_target: str = "/recast_auth"
    """PACKTIVITY_AUTH_TARGETDIR, as Yadage has it: where such containers see that folder."""

    scan_limit: int = 100_000
    """RECAST_SCAN_LIMIT (points): a slip of a step width is to be told, not computed."""

    node_limit: int = 200_000
    """RECAST_NODE_LIMIT (nodes, default as the engine has it): the largest graph that an uploaded workflow may grow to."""

    hosts: tuple[str, ...] = ()
    """RECAST_HOSTS (names joined by ","; default: this machine only): under which names the server may be asked; others are
    refused, because a page of another site could otherwise be made to talk to it."""

    proxies: int = 0
    """RECAST_PROXIES (how many, default none): reverse proxies before the server whose X-Forwarded- headers are believed."""

    upload_limit_bytes: int = 1_000_000_000
    """RECAST_UPLOAD_LIMIT (bytes, as RECAST_MEMORY): the largest request the server takes."""

    uploaded_processes: bool = False
    """RECAST_ALLOW_UPLOADED_PROCESSES (0 or 1): whether workflows that users upload may run as plain processes of the
    server's machine; they are somebody's shell commands, so it is off."""

    warnings: tuple[str, ...] = ()
    """Sentences on variables that look like misspelt ones."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment (default: this process's); raises InvalidInput that names every bad variable."""
        return _Reader(os.environ if environ is None else environ).settings()


class _Reader:
    """Reads variables, an empty one as if it were not there, and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[tuple[str, str, str]] = []
        self.warnings: list[str] = []

    def settings(self) -> Settings:
        home = self.read("RECAST_HOME", _folder, None) or self._default_home()
        no_folders: tuple[Path, ...] = ()
        s3 = self._s3()
        settings = Settings(
            home=home,
            database=self.read("RECAST_DATABASE", _database, f"sqlite:///{home}/records.db"),
            storage=home / "storage" if s3 else self.read("RECAST_STORAGE", _folder, home / "storage"),
            s3=s3,
            user=self.read("RECAST_USER", _user, None) or _login_name(self.environ),
            catalogue=(
                *self.read("RECAST_CATALOGUE", _folders, no_folders),
                *self.read("RECAST_ATLAS_CATALOGUE", _folders, no_folders),
            ),
            data_mirror=self.read("RECAST_DATA_MIRROR", _folder, None),
            backend=self.read("RECAST_BACKEND", _one_of(*BACKENDS), None) or self._backend_of_recast_atlas(),
            cores=self.read("RECAST_CORES", _cores, None),
            memory_bytes=self.read("RECAST_MEMORY", _memory, None),
            container_engine=self.read("RECAST_CONTAINER_ENGINE", _one_of(*CONTAINER_ENGINES), "auto"),
            container_flags=self.read("RECAST_CONTAINER_FLAGS", _words, ()),
            container_network=self.read("RECAST_CONTAINER_NETWORK", _network, "none"),
            kubernetes_options=self.read("RECAST_KUBERNETES_OPTIONS", _folder, None),
            kubernetes_namespace=self.read("RECAST_KUBERNETES_NAMESPACE", _dns_label, ""),
            kubernetes_image=self.read("RECAST_KUBERNETES_IMAGE", str, ""),
            cvmfs=self.read("PACKTIVITY_CVMFS_LOCATION", _folder, Path("/cvmfs")),
            cvmfs_propagation=self.read("PACKTIVITY_CVMFS_PROPAGATION", _one_of(*PROPAGATIONS), ""),
            credentials=self.read("PACKTIVITY_AUTH_LOCATION", _folder, Path("/home/recast/recast_auth")),
            credentials_target=self.read("PACKTIVITY_AUTH_TARGETDIR", _target, "/recast_auth"),
            scan_limit=self.read("RECAST_SCAN_LIMIT", _count, 100_000),
            node_limit=self.read("RECAST_NODE_LIMIT", _count, 200_000),
            hosts=self.read("RECAST_HOSTS", _hosts, ()),
            proxies=self.read("RECAST_PROXIES", _few, 0),
            upload_limit_bytes=self.read("RECAST_UPLOAD_LIMIT", parse_bytes, 1_000_000_000),
            uploaded_processes=self.read("RECAST_ALLOW_UPLOADED_PROCESSES", _one_of("0", "1"), "0") == "1",
            warnings=(*self.warnings, *_misspelt(self.environ)),
        )
        if self.faults:
            lines = [f"{name} is {value!r}; it must be {right}" for name, value, right in self.faults]
            raise InvalidInput("\n".join(lines), field=self.faults[0][0], value=self.faults[0][1])
        return settings

    def _s3(self) -> S3Settings | None:
        """The bucket, if RECAST_STORAGE begins with s3://."""
        text = self.environ.get("RECAST_STORAGE", "").strip()
        if not text.startswith("s3:"):
            return None
        place = self.read("RECAST_STORAGE", _bucket, ("", ""))
        endpoint = self.read("RECAST_S3_ENDPOINT", _endpoint, "")
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
            endpoint = endpoint or self.read(name, _endpoint, "")
        own = self._first("RECAST_S3_ACCESS_KEY")
        found = S3Settings(
            bucket=place[0],
            prefix=place[1],
            endpoint=endpoint or "https://s3.amazonaws.com",
            public_endpoint=self.read("RECAST_S3_PUBLIC_ENDPOINT", _endpoint, ""),
            region=self._first("RECAST_S3_REGION", "AWS_REGION") or "us-east-1",
            redirects=self.read("RECAST_S3_REDIRECTS", _one_of("0", "1"), "0") == "1",
            access_key=self._first("RECAST_S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            secret_key=self._first("RECAST_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
            session_token=self._first("RECAST_S3_SESSION_TOKEN", *([] if own else ["AWS_SESSION_TOKEN"])),
        )
        if not (found.access_key and found.secret_key):
            right = "accompanied by RECAST_S3_ACCESS_KEY and RECAST_S3_SECRET_KEY"
            self.faults.append(("RECAST_STORAGE", text, right))
        return found

    def _first(self, *names: str) -> str:
        return next((value for name in names if (value := self.environ.get(name, "").strip())), "")

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """The value of a variable; `parse` raises ValueError with what would be right."""
        text = self.environ.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.faults.append((name, text, str(error)))
            return default

    def _default_home(self) -> Path:
        data = self.environ.get("XDG_DATA_HOME", "")
        if not data.startswith("/"):  # the XDG specification: relative ones are to be ignored
            try:
                data = str(Path("~/.local/share").expanduser())
            except RuntimeError:
                self.faults.append(("RECAST_HOME", "", "set, because this user has no home folder"))
                data = "/nonexistent"
        return Path(data) / "reana-lite"

    def _backend_of_recast_atlas(self) -> str:
        name = self.environ.get("RECAST_DEFAULT_RUN_BACKEND", "").strip()
        if name and name not in RECAST_ATLAS_BACKENDS:
            known = ", ".join(RECAST_ATLAS_BACKENDS)
            self.warnings.append(f"RECAST_DEFAULT_RUN_BACKEND={name} means nothing here (known: {known}); ignored")
        return RECAST_ATLAS_BACKENDS.get(name, "auto")


def parse_bytes(text: str) -> int:
    """A number of bytes such as 512M (powers of 1000) or 8Gi (powers of 1024); ValueError says what would be right."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text)
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match and match[2].lower() in _UNITS else 0
    if size <= 0:
        raise ValueError("a number of bytes above 0, such as 8G or 512Mi")
    return size


def _memory(text: str) -> int | None:
    return None if text == "auto" else parse_bytes(text)


def _cores(text: str) -> float | None:
    if text == "auto":
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) and float(text) > 0:
        return float(text)
    raise ValueError("a number of cores above 0, such as 4 or 0.5, or auto")


def _count(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) > 0:
        return int(text)
    raise ValueError("a whole number above 0, such as 100000")


def _few(text: str) -> int:
    if re.fullmatch(r"[0-9]", text):
        return int(text)
    raise ValueError("a number from 0 to 9")


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    if all(re.fullmatch(r"\*|[a-z0-9.-]+|\[[0-9a-f:.]+\]", name) for name in names):
        return names
    raise ValueError("names of hosts joined by commas, such as recast.example.org")


def _folder(text: str) -> Path:
    if "://" in text or "\0" in text:
        raise ValueError("a folder of this machine")
    try:
        return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - links stay as the user wrote them
    except RuntimeError as error:
        raise ValueError("a folder whose ~ names a user of this machine") from error


def _bucket(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9._=-]+)*)/?", text)
    if match is None:
        raise ValueError("a folder of this machine, or a bucket such as s3://bucket/prefix")
    return match[1], match[2].lstrip("/") + "/" if match[2] else ""


def _endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+/?", text):
        raise ValueError("a URL such as https://s3.example.org:9000")
    return text.rstrip("/")


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(_folder(part) for part in text.split(":") if part)


def _database(text: str) -> str:
    scheme = re.match(r"([a-z]+)(\+[a-z0-9_]+)?://", text)
    if scheme is None or scheme[1] not in DATABASES:
        raise ValueError("a URL such as sqlite:////path/file.db or postgresql+psycopg://user@host/name")
    if scheme[1] == "sqlite" and not re.fullmatch(r"sqlite(\+pysqlite)?:///.*[^/]", text):
        raise ValueError("the URL of a file, such as sqlite:////path/file.db")
    return text


def _user(text: str) -> str:
    if len(text) > 100 or not text.isprintable():
        raise ValueError("a name of at most 100 printable characters")
    return text


def _network(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", text):
        raise ValueError("none, host or the name of a network")
    return text


def _dns_label(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise ValueError("a name of lower-case letters, digits and dashes")
    return text


def _target(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_.+@-]+)+", text):
        raise ValueError("an absolute path of plain letters")
    return text


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"options as a shell reads them ({str(error).lower()})") from error


def _one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return text

    return parse


def _login_name(environ: Mapping[str, str]) -> str:
    for name in ("LOGNAME", "USER"):
        if environ.get(name):
            return environ[name]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"uid{os.getuid()}" if hasattr(os, "getuid") else "user"


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that is nearly one of ours."""
    found = []
    for name in sorted(environ):
        if name.startswith("RECAST") and name not in VARIABLES and not _FOREIGN.fullmatch(name):
            near = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.8)
            if near:
                found.append(f"the variable {name} is not known and ignored; did you mean {near[0]}?")
    return found
