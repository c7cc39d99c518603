"""Which backend runs here: the one that settings and a run's images ask for, or why there is none.

`auto` takes plain processes wherever every image a workflow names has a stand-in (or no image is named), and a container
engine otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reana_lite.backends.base import Backend, Say
from reana_lite.backends.site import Site
from reana_lite.config import Settings
from reana_lite.errors import InvalidInput, Unavailable
from reana_lite.storage import open_storage
from reana_lite.storage.base import Storage
from reana_lite.storage.local import LocalStorage


@dataclass(frozen=True, slots=True)
class Survey:
    """One backend and why it cannot be used here ("" if it can)."""

    name: str
    reason: str


def survey(settings: Settings) -> list[Survey]:
    """Every backend of this program, and whether it can be used here."""
    storage = open_storage(settings)
    rows = []
    for name in ("local", "container", "kubernetes"):
        try:
            backend = _make(name, settings=settings, storage=storage, cores=None)
        except Unavailable as error:
            rows.append(Survey(name, error.message))
            continue
        rows.append(Survey(name, backend.unusable()))
        backend.close()
    return rows


def on_cluster(name: str, storage: Storage) -> bool:
    """Whether a backend of that name is the cluster: a bucket is of no use to processes and containers of this machine."""
    return name == "kubernetes" or (name == "auto" and not isinstance(storage, LocalStorage))


def choose(
    name: str, started: Mapping[str, Any], *, settings: Settings, storage: Storage, cores: float | None = None,
    say: Say | None = None, installation: str = "",
) -> Backend:  # fmt: skip
    """The backend for a run with that first event (RunStarted as JSON); raises Unavailable if none can be used.

    `say` takes lines for the user: why something waits. `installation` tells objects of this one from those of others
    in the same cluster (Database.installation).
    """
    if on_cluster(name, storage):
        name = "kubernetes"
    if name == "auto":
        stand_ins: Collection[str] = started.get("options", {}).get("stand_ins", {})
        lacking = sorted(set(images_of(started["workflow"])) - set(stand_ins))
        name = "container" if lacking else "local"
        if lacking:
            backend = _make(name, settings=settings, storage=storage, cores=cores)
            reason = backend.unusable()
            if reason:
                backend.close()
                raise Unavailable(
                    f"the steps need the image {lacking[0]!r}, but no container engine can be used here ({reason}) and "
                    f"no stand-in is declared for it: install podman or docker, or give --stand-in {lacking[0]}=LOCKFILE"
                )
            return backend
    backend = _make(name, settings=settings, storage=storage, cores=cores, say=say, installation=installation)
    reason = backend.unusable()
    if reason:
        backend.close()
        raise Unavailable(f"backend {name!r} cannot be used here: {reason}")
    return backend


def _make(
    name: str, *, settings: Settings, storage: Storage, cores: float | None, say: Say | None = None,
    installation: str = "",
) -> Backend:  # fmt: skip
    if name == "kubernetes":
        return _on_cluster(settings, storage, say, installation)
    if not isinstance(storage, LocalStorage):
        raise Unavailable(
            f"backend {name!r} cannot be used here: its steps write into a folder, but RECAST_STORAGE names a "
            "bucket; use --backend kubernetes, or a folder"
        )
    cpus = cores or settings.cores
    if name == "local":
        from reana_lite.backends.local import LocalBackend

        return LocalBackend(storage, cpus=cpus, memory_bytes=settings.memory_bytes)
    from reana_lite.backends.container import ContainerBackend

    return ContainerBackend(
        storage,
        cpus=cpus,
        memory_bytes=settings.memory_bytes,
        engine=settings.container_engine,
        flags=settings.container_flags,
        network=settings.container_network,
        site=Site(
            cvmfs=settings.cvmfs,
            cvmfs_propagation=settings.cvmfs_propagation,
            credentials=settings.credentials,
            credentials_target=settings.credentials_target,
        ),
    )


def _on_cluster(settings: Settings, storage: Storage, say: Say | None, installation: str) -> Backend:
    import logging

    from reana_lite.backends.kubernetes import options
    from reana_lite.backends.kubernetes.backend import KubernetesBackend
    from reana_lite.backends.kubernetes.ticket import Documents, ObjectStorage
    from reana_lite.backends.kubernetes.volume import Volume

    chosen = options.read(settings.kubernetes_options)
    kept: Documents
    if isinstance(storage, LocalStorage) and chosen.claim:
        kept = Volume(storage)
    elif isinstance(storage, ObjectStorage):
        kept = storage
    else:
        raise Unavailable(
            "backend 'kubernetes' cannot be used here: pods on any node must reach the storage, but RECAST_STORAGE names "
            "a folder of this machine; name a bucket (s3://bucket/prefix), or the claim of a shared volume that holds that "
            "folder (option `claim` in the file that RECAST_KUBERNETES_OPTIONS names)"
        )
    if not chosen.installation:
        chosen = chosen.with_values(installation=installation)
    if settings.kubernetes_namespace:
        chosen = chosen.with_values(namespace=settings.kubernetes_namespace)
    if settings.kubernetes_image:
        chosen = chosen.with_values(stager_image=settings.kubernetes_image)
    return KubernetesBackend(kept, options=chosen, say=say or logging.getLogger(__name__).info)


def refused_images(settings: Settings, workflow: Any) -> list[str]:
    """A sentence for each image of a workflow that the cluster's options do not allow; [] where jobs run elsewhere."""
    if settings.backend != "kubernetes" and not (settings.backend == "auto" and settings.s3):
        return []
    from reana_lite.backends.kubernetes import options
    from reana_lite.backends.kubernetes.images import check_allowed

    chosen = options.read(settings.kubernetes_options)
    faults = []
    for image in dict.fromkeys(images_of(workflow)):
        try:
            check_allowed(image, chosen.images, by_digest=chosen.images_by_digest)
        except InvalidInput as error:
            faults.append(error.message)
    return faults


def images_of(document: Any) -> Iterator[str]:
    """Every image named anywhere in a workflow, "name:tag"."""
    if isinstance(document, dict):
        if document.get("environment_type") == "docker-encapsulated":
            yield f"{document.get('image', '')}:{document.get('imagetag', 'latest')}"
        for value in document.values():
            yield from images_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from images_of(value)
