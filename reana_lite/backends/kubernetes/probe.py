"""Which image a name means on this cluster: a Job that does nothing shows its digest, and whether it can be had at all.

A registry need not be asked (and its credentials need not be known here): the kubelet tells what it has pulled.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time

from reana_lite.backends.base import Say
from reana_lite.backends.kubernetes import ends, images, pod
from reana_lite.backends.kubernetes.api import Api, Refused
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.record import Pod, pod_from
from reana_lite.errors import Unavailable

POLL_S = 0.3
LONGEST_S = 1800.0
"""How long a node for the probe is waited for (seconds): clusters that grow need some minutes."""


class Probe:
    """See the module. Called from any thread; whoever calls remembers digests for as long as they are trusted."""

    def __init__(self, api: Api, options: Options, ended: threading.Event) -> None:
        self.api = api
        self.options = options
        self._ended = ended

    def digest(self, image: str, say: Say) -> str:
        """The digest ("sha256:...") of an image; raises Unavailable with the kubelet's sentence."""
        reference = images.parse(image)
        if reference.digest:
            return reference.digest
        return self._ask(image, say)

    def _ask(self, image: str, say: Say) -> str:
        name = f"{pod.job_name(self.options.installation, image, 0)[:-2]}-{secrets.token_hex(3)}"
        try:
            self.api.create_job(pod.probe_of(image, self.options, name))
        except Refused as error:
            raise Unavailable(f"image {image} cannot be tried: {error.message}", image=image) from error
        try:
            return self._watch(image, name, say)
        finally:
            with contextlib.suppress(Unavailable, Refused):
                self.api.delete_job(name)

    def _watch(self, image: str, name: str, say: Say) -> str:
        begun = time.monotonic()
        trouble_at = 0.0
        told = ""
        found: list[Pod] = []
        while time.monotonic() - begun < LONGEST_S:
            with contextlib.suppress(Unavailable):
                found = [pod_from(row) for row in self.api.list_pods(f"reana-lite/probe={name}")[0]]
            for there in found:
                digest = images.digest_in(there.step.image_id)
                if digest and there.step.state in ("running", "terminated"):
                    return digest
                bad = there.step.reason in ends.BAD_IMAGE
                trouble_at = (trouble_at or time.monotonic()) if bad else 0.0
                text = " ".join(f"{there.step.reason} {there.step.message}".split())
                patience_s = 3.0 if ends.is_hopeless(text) else self.options.image_deadline_s
                if bad and time.monotonic() - trouble_at >= patience_s:
                    raise Unavailable(f"image {image} cannot be had: {text}", image=image)
                told = self._tell(there, image, told, say, time.monotonic() - begun)
            if self._ended.wait(POLL_S):
                raise Unavailable("the backend is closed")
        raise Unavailable(f"no node tried the image {image} within half an hour", image=image)

    @staticmethod
    def _tell(there: Pod, image: str, told: str, say: Say, waited_s: float) -> str:
        text = told
        if there.unschedulable:
            text = f"waits for a node to try {image}: {' '.join(there.unschedulable.split())[:300]}"
        elif there.node and there.step.state == "waiting" and waited_s > 3.0:
            text = f"a node pulls image {image}"
        if text != told:
            say(text)
        return text
