"""What an installation says about its cluster: one frozen value, read from one YAML file.

Pure but for `read`. Every field names its unit and why it is there; the file has the same names. The backend's caller
reads it (settings: RECAST_KUBERNETES_OPTIONS).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from reana_lite.config import parse_bytes
from reana_lite.errors import InvalidInput

PLACEMENTS = ("", "pack", "spread")
PULL_POLICIES = ("IfNotPresent", "Always", "Never")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All options."""

    namespace: str = ""
    """Where Jobs are created; "": the namespace of the kubeconfig's context, or of the pod this runs in. It must hold no
    secrets of the installation: whoever may create pods in a namespace can read its Secrets."""

    installation: str = ""
    """Label of all objects, and part of their names: several installations can share a namespace. "": the id that the
    database got when it was made."""

    stager_image: str = "reana-lite:latest"
    """The image of this program, with which inputs and outputs are brought."""

    process_image: str = ""
    """The image for steps that name none ("": that of the stager)."""

    pull_policy: str = "IfNotPresent"
    """Of all images."""

    pull_secrets: tuple[str, ...] = ()
    """Names of Secrets of the jobs' namespace with credentials for registries."""

    images: tuple[str, ...] = ()
    """Which images may run (see images.py); none: all."""

    images_by_digest: bool = False
    """Whether only images named by digest may run."""

    image_deadline_s: float = 300.0
    """How long a pull may go on failing (seconds): registries have bad minutes, names do not mend."""

    uid: int = 1000
    """User of steps that ask for none (`kubernetes_uid`); never 0."""

    gid: int = 1000
    """Group of steps."""

    cpus: float = 1.0
    """Cores of a step that asks for one, or says nothing; requested, and its limit."""

    memory_bytes: int = 2 * 1024**3
    """Memory of a step that asks for none; requested, and its limit."""

    disk_bytes: int = 10 * 1024**3
    """Disk of a step with its inputs and outputs, if it asks for none; its limit."""

    disk_request_bytes: int = 0
    """Disk that is reserved of it; 0: none, so that nodes with little disk take steps too."""

    timeout_s: float | None = None
    """Time limit of steps that have none."""

    most_cpus: float | None = None
    """More than this no step gets: it is told at once, not left waiting for a node that does not exist."""

    most_memory_bytes: int | None = None
    """As `most_cpus`."""

    most_disk_bytes: int | None = None
    """As `most_cpus`."""

    gpu_resource: str = ""
    """Name of the resource that is a GPU here (nvidia.com/gpu); "": there are none."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes that steps may run on."""

    tolerations: tuple[Mapping[str, Any], ...] = ()
    """Of all pods, as Kubernetes writes them."""

    node_lost_s: int = 60
    """How long a node may be out of reach before its steps count as lost (seconds)."""

    priority_class: str = ""
    """PriorityClass of pods."""

    backfill_class: str = ""
    """PriorityClass of steps that fill the holes of a cluster (`backfill: true`): low, so that others preempt them."""

    backfill: bool = False
    """Whether all steps are such."""

    placement: str = ""
    """`pack`: pods of this installation side by side, so that nodes can be given back; `spread`: apart."""

    runtime_class: str = ""
    """RuntimeClass of pods; those that share no pipes between containers (gVisor, Kata) cannot be used."""

    claim: str = ""
    """PersistentVolumeClaim (ReadWriteMany) of the jobs' namespace with the folder that RECAST_STORAGE names: pods mount
    their inputs and outputs from it, and nothing is brought. "": the storage is a bucket."""

    claim_path: str = ""
    """Where in that volume the folder lies; "": it is the whole volume."""

    cvmfs_claim: str = ""
    """PersistentVolumeClaim through which steps that ask for it see /cvmfs (cvmfs-csi); "": not offered."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of all pods."""

    stager_cpus: float = 0.02
    """Requested for the stager (cores)."""

    stager_memory_bytes: int = 256 * 1024**2
    """Requested for the stager, and its limit."""

    stager_environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the stager (SSL_CERT_FILE, proxies)."""

    in_flight: int = 500
    """How many Jobs there may be at a time: work waits in the database, not in the cluster."""

    create_threads: int = 8
    """Requests for new Jobs at a time."""

    create_per_s: float = 100.0
    """New Jobs per second at most: what the cluster's controllers keep up with."""

    finish_threads: int = 8
    """Ends taken at a time."""

    grace_s: float = 30.0
    """Between TERM and KILL when a step is stopped or out of time."""

    upload_grace_s: float = 600.0
    """How long outputs may still be uploaded when a pod is ended from outside (a drain, an eviction)."""

    ttl_s: int = 86_400
    """When a finished Job that nobody took is removed by the cluster."""

    links_valid_s: int = 86_400
    """How long after its creation a pod may begin to read and write storage (seconds), beyond its time limit."""

    most_files: int = 100_000
    """Outputs of a step: how many files."""

    most_output_bytes: int = 100 * 1024**3
    """Outputs of a step: bytes in all."""

    leave_running: bool = False
    """Whether steps go on when this program ends in good order, for the next worker to follow."""

    @property
    def image_of_processes(self) -> str:
        """The image for steps that name none."""
        return self.process_image or self.stager_image

    def with_values(self, **values: Any) -> Options:
        """These options with others in place."""
        return replace(self, **values)


_BYTES = {f.name for f in fields(Options) if f.name.endswith("_bytes")}
_NUMBERS = {f.name for f in fields(Options) if f.name.endswith(("_s", "cpus"))}
_WHOLE = {
    "uid",
    "gid",
    "in_flight",
    "create_threads",
    "finish_threads",
    "most_files",
    "ttl_s",
    "node_lost_s",
    "links_valid_s",
}
_FLAGS = {"images_by_digest", "backfill", "leave_running"}
_TEXTS = {"pull_secrets", "images"}
_MAPS = {"node_selector", "annotations", "stager_environment"}


def read(path: Path | None) -> Options:
    """The options in a YAML file (None: all defaults); raises InvalidInput that names every fault."""
    if path is None:
        return Options()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the options of the cluster cannot be read from {path}: {error}", field=str(path)
        ) from error
    return options_from({} if document is None else document, source=str(path))


def options_from(document: Any, *, source: str = "options") -> Options:
    """Options from a mapping; raises InvalidInput that names every fault."""
    if not isinstance(document, dict):
        raise InvalidInput(f"{source}: a mapping of options is needed", field=source)
    known = [f.name for f in fields(Options)]
    values: dict[str, Any] = {}
    faults = []
    for name, value in document.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            faults.append(f"{source}: unknown option {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
            continue
        try:
            values[name] = _value(name, value)
        except ValueError as error:
            faults.append(f"{source}: {name} is {value!r}; it must be {error}")
    if faults:
        raise InvalidInput("\n".join(faults), field=source)
    return Options(**values)


def _value(name: str, value: Any) -> Any:
    if name in _BYTES:
        if value is None and name.startswith("most_"):
            return None
        return value if _is_number(value) and isinstance(value, int) and value >= 0 else parse_bytes(str(value))
    if name in _WHOLE:
        least = 1 if name != "gid" else 0
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError("a whole number above 0" + (" (steps never run as root)" if name == "uid" else ""))
        return value
    if name in _NUMBERS:
        if value is None and name in ("timeout_s", "most_cpus"):
            return None
        if not _is_number(value) or value <= 0:
            raise ValueError("a number above 0")
        return float(value)
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value
    if name in _TEXTS:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("a list of texts")
        return tuple(value)
    if name in _MAPS:
        if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
            raise ValueError("a mapping of texts")
        return value
    if name == "claim_path" and (not isinstance(value, str) or value.startswith("/") or ".." in value.split("/")):
        raise ValueError("a path inside of the volume, without / at its begin")
    if name == "tolerations":
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ValueError("a list of mappings")
        return tuple(value)
    choices = {"placement": PLACEMENTS, "pull_policy": PULL_POLICIES}.get(name)
    if choices and value not in choices:
        raise ValueError(f"one of {', '.join(choices)}")
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
