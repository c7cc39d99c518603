"""The software of jobs is made ready by threads beside the loop; the worker asks for its digest.

No rule about runs is here; only the loop calls this.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from reana_lite.backends.base import Backend, Say
from reana_lite.drive import Drive
from reana_lite.errors import ReanaLiteError
from reana_lite.job import Environment, EnvironmentKind

Name = tuple[str, str]
"""Image and lock of its stand-in."""


TAG_AGE_S = 300.0
"""How long the digest behind the tag of an image is taken to be that (seconds): tags are pushed again."""


LEARNED_S = 20.0
"""How long a digest counts as just learned (seconds): many jobs tell at once that a tag was pushed again."""


AT_ONCE_S = 0.2
"""How long the loop waits for the digest of plain processes (seconds): the usual one needs no turn of its own."""


def _is_fixed(name: Name) -> bool:
    return not name[0] or "@" in name[0] or bool(name[1])


@dataclass(frozen=True, slots=True)
class Refused:
    """An environment cannot be had; the sentence says why."""

    name: Name
    message: str


class Environments:
    """See the module."""

    def __init__(self, backend: Backend, say: Say) -> None:
        self.backend = backend
        self.say = say
        self._digests: dict[Name, tuple[str, float]] = {}
        self._preparing: dict[Name, Future[str]] = {}
        # building on this machine takes it whole; what others do is only waited for, and nobody waits for another's image
        threads = 1 if backend.name == "local" else 16
        self._builder = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
        self._plain = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    @staticmethod
    def name(drive: Drive, environment: Environment) -> Name:
        """What tells an environment from others, for a run with its stand-ins."""
        stand_in = drive.stand_ins.get(environment.image)
        return environment.image, stand_in.lock if stand_in else ""

    def known(self, drive: Drive, environment: Environment) -> str:
        """The digest of an environment that is ready; "" if none has been asked for."""
        return self._digests.get(self.name(drive, environment), ("", 0.0))[0]

    def digest(self, drive: Drive, environment: Environment) -> str | Refused | None:
        """The digest; None while it is being made ready; or why it cannot be had (asked again, it is tried again)."""
        name = self.name(drive, environment)
        digest, since = self._digests.get(name, ("", 0.0))
        if digest and (_is_fixed(name) or time.monotonic() - since < TAG_AGE_S):
            return digest
        future = self._preparing.get(name)
        if future is None:
            bare = Environment(environment.kind, environment.image)
            is_plain = environment.kind is EnvironmentKind.PROCESS
            builder = self._plain if is_plain else self._builder
            future = builder.submit(self.backend.prepare, bare, drive.stand_ins, self.say)
            future.add_done_callback(lambda _: self.backend.wake())
            self._preparing[name] = future
            if is_plain:
                wait([future], AT_ONCE_S)  # plain processes need nothing where they are this machine's
        if not future.done():
            return None
        del self._preparing[name]
        error = future.exception()
        if error is None:
            self._digests[name] = future.result(), time.monotonic()
            return future.result()
        if not isinstance(error, Exception):
            raise error
        message = f"its environment could not be made ready: {str(error) or type(error).__name__}"
        return Refused(name, error.message if isinstance(error, ReanaLiteError) else message)

    def forget(self, drive: Drive, environment: Environment) -> None:
        """The tag means another image by now: the next to ask learns which. What was learned just now holds."""
        name = self.name(drive, environment)
        if name in self._digests and time.monotonic() - self._digests[name][1] > LEARNED_S:
            del self._digests[name]

    @property
    def busy(self) -> bool:
        """Whether something is being made ready, or is and has not been asked for since."""
        return bool(self._preparing)

    @property
    def ready(self) -> bool:
        """Whether something has been made ready that has not been asked for since."""
        return any(future.done() for future in self._preparing.values())

    def close(self) -> None:
        """Begin nothing more."""
        for builder in (self._builder, self._plain):
            builder.shutdown(wait=False, cancel_futures=True)
