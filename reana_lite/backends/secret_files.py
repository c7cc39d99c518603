"""Secrets of a step on this machine: files in a folder that only its user may open, gone when the step is.

They lie in memory (/dev/shm) where there is that, else in the folder for temporary files: never in storage, so in no
output, manifest or backup. One folder per supervisor, named by its instance, with one per attempt below it; what a killed
supervisor leaves is removed with its processes. Called by the local and container backends and their supervisor.
"""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from typing import Any

from reana_lite.job import Secret, SecretKind

IN_CONTAINERS = "/etc/reana/secrets"
"""Where containers find secrets that are files, as REANA has it; elsewhere $RECAST_SECRETS tells."""

VARIABLE = "RECAST_SECRETS"


def folder_of(instance: str) -> str:
    """The folder of all secrets of a supervisor."""
    memory = "/dev/shm"  # nosec B108 - folders there are made with mode 0700 and a random name
    base = memory if os.access(memory, os.W_OK | os.X_OK) else tempfile.gettempdir()
    return f"{base}/recast-secrets-{instance}"


def variables(secrets: Iterable[Secret]) -> dict[str, str]:
    """Those that are variables, by name; bytes that are no UTF-8 as Python passes them on."""
    return {s.name: s.value.decode(errors="surrogateescape") for s in secrets if s.kind is SecretKind.ENV}


def files(secrets: Iterable[Secret]) -> dict[str, str]:
    """Those that are files, in base64, by their path in the folder of the attempt."""
    return {f"files/{s.name}": base64.b64encode(s.value).decode() for s in secrets if s.kind is SecretKind.FILE}


def script(secrets: Iterable[Secret]) -> str:
    """A shell script that sets those that are variables, in base64; "" without any. For containers: a value there would be
    kept by the engine, and a name could be a setting of the engine itself."""
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables(secrets).items())
    return base64.b64encode(text.encode(errors="surrogateescape")).decode()


def write(spec: dict[str, Any]) -> None:
    """Make the folder of an attempt as its spec says (`secrets`: folder and files), for its user's eyes; raises OSError."""
    if "secrets" not in spec:
        return
    folder = spec["secrets"]["folder"]
    os.makedirs(f"{folder}/files", mode=0o700)  # noqa: PTH103
    for path in (os.path.dirname(folder), folder):  # noqa: PTH120
        os.chmod(path, 0o700)  # noqa: PTH101 - those in between have the mode of the umask
    for name, content in spec["secrets"]["files"].items():
        handle = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(base64.b64decode(content))


def remove(spec: dict[str, Any]) -> None:
    """The step is over: nothing of its secrets is left."""
    if "secrets" in spec:
        shutil.rmtree(spec["secrets"]["folder"], ignore_errors=True)


def remove_all(instance: str) -> None:
    """A supervisor is over: nothing of its secrets is left."""
    shutil.rmtree(folder_of(instance), ignore_errors=True)
