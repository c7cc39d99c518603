"""What a job asks of the cluster: defaults, the resources of its step as Yadage and REANA spell them, and what is missing.

Pure. Sizes in bytes, times in seconds. Called by the backend (`missing`) and by pod.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from reana_lite.backends.kubernetes.images import check_allowed
from reana_lite.backends.kubernetes.options import Options
from reana_lite.config import parse_bytes
from reana_lite.errors import InvalidInput
from reana_lite.job import EnvironmentKind, JobSpec

_SAID_ELSEWHERE = ("kubernetes_memory_request", "kubernetes_cpu_request", "kubernetes_cpu_limit")
_DISK = ("ephemeral_storage", "ephemeral-storage", "kubernetes_ephemeral_storage", "disk")


@dataclass(slots=True)
class Wants:
    """What a step gets, and phrases for what it asks for in vain."""

    image: str
    cpus: float
    memory_bytes: int
    disk_bytes: int
    timeout_s: float | None
    uid: int
    gpus: int = 0
    cvmfs: bool = False
    priority_class: str = ""
    missing: tuple[str, ...] = ()


def wants_of(job: JobSpec, options: Options) -> Wants:
    """What a job gets here. Raises InvalidInput for an image that is not allowed."""
    asked = job.resources
    image = job.environment.image
    if job.environment.kind is EnvironmentKind.PROCESS:
        image = options.image_of_processes
    else:
        check_allowed(image, options.images, by_digest=options.images_by_digest)
    wants = Wants(
        image,
        cpus=options.cpus if asked.cpus == 1.0 else asked.cpus,  # one core is what is meant by saying nothing
        memory_bytes=asked.memory_bytes or options.memory_bytes,
        disk_bytes=options.disk_bytes,
        timeout_s=asked.timeout_s or options.timeout_s,
        uid=options.uid,
        priority_class=options.backfill_class
        if options.backfill and options.backfill_class
        else options.priority_class,
    )
    missing = [phrase for item in asked.other if (phrase := _one(item, wants, options))]
    if options.most_cpus and wants.cpus > options.most_cpus:
        missing.append(f"{wants.cpus:g} cores (this cluster gives at most {options.most_cpus:g})")
    if options.most_memory_bytes and wants.memory_bytes > options.most_memory_bytes:
        missing.append(f"{wants.memory_bytes} bytes of memory (this cluster gives at most {options.most_memory_bytes})")
    if options.most_disk_bytes and wants.disk_bytes > options.most_disk_bytes:
        missing.append(f"{wants.disk_bytes} bytes of disk (this cluster gives at most {options.most_disk_bytes})")
    wants.missing = tuple(missing)
    return wants


def _one(item: str, wants: Wants, options: Options) -> str:
    """Take note of one further resource; a phrase if it cannot be had."""
    key, _, value = (part.strip() for part in item.partition(":"))
    low = value.strip("\"'").lower()
    if low in ("false", "null", "[]") or key in _SAID_ELSEWHERE:
        return ""
    if key in _DISK:
        try:
            wants.disk_bytes = parse_bytes(value)
        except ValueError:
            return f"{item} (not a size)"
        return ""
    if "cvmfs" in key.lower():
        wants.cvmfs = bool(options.cvmfs_claim)
        return "" if wants.cvmfs else f"{item} (this cluster offers no CVMFS)"
    if key in ("gpu", "gpus", "nvidia.com/gpu", "amd.com/gpu"):
        if not low.isdecimal() or not options.gpu_resource:
            return f"{item} (this cluster offers no GPUs)"
        wants.gpus = int(low)
        return ""
    if key == "kubernetes_uid":
        if not low.isdecimal() or not 1 <= int(low) < 2**31:
            return f"{item} (steps never run as root)"
        wants.uid = int(low)
        return ""
    if key == "compute_backend":
        return "" if low == "kubernetes" else f"{item} (jobs run on Kubernetes here)"
    if key == "backfill":
        wants.priority_class = options.backfill_class or wants.priority_class
        return "" if options.backfill_class else f"{item} (no class of low priority is set up here)"
    return f"{item} (not offered by the kubernetes backend)"


def refusal(job: JobSpec, options: Options) -> InvalidInput | None:
    """Why a job can never run here; None if it can."""
    try:
        wants_of(job, options)
    except InvalidInput as error:
        return error
    return None
