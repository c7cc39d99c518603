"""One step beside which the stager runs: bring its inputs, wait for its end, take its outputs; what it found is a record.

The order in which pipes are opened is told in backends/kubernetes/pod.py. Called by the program (__main__.py).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import select
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from reana_lite.artifact import Manifest
from reana_lite.backends import fill, places, verdict
from reana_lite.backends.kubernetes import paths
from reana_lite.staging.shelf import Bucket, Folder, Shelf
from reana_lite.staging.web import CHUNK_BYTES, PATIENCE_S, Refused, Web, in_parallel

LOG_EVERY_S = 2.0
"""How often a log that grows is kept (seconds), at first; a log that takes long to send is sent less often."""

STAGE_IN_S = 180.0
"""How long a storage that does not answer is waited for when inputs are brought (seconds); for outputs the ticket says."""

STATUS_S = 1.0
"""How far the clocks of workers and nodes may be apart (seconds)."""

_TAIL_BYTES = 4096


class Stager:
    """One step's inputs and outputs. `link` is its ticket, or a link to it; `step` is as in paths.py but for tests."""

    def __init__(self, link: str, *, step: str = paths.STEP, out: BinaryIO | None = None) -> None:
        self.link = link
        self.step = step
        self.out = out
        self.web = Web()
        self.ticket: dict[str, Any] = {}
        self.shelf: Shelf | None = None
        self.told_at = 0.0
        self.begun_at = time.time()
        self.go_at = self.ended_at = 0.0
        self.fingerprints: dict[str, int | None] = {}
        self._alive = self._log = -1
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._relayed = self._kept = 0
        self._has_told_begin = False
        self._keep_after = self._tell_after = 0.0

    _roots = tuple(f"{paths.ROOT}/{kind}" for kind in ("jobs", "trees"))

    def at(self, path: str) -> str:
        """Where a path of paths.py is."""
        return self.step + path[len(paths.STEP) :]

    def terminate(self, *_: object) -> None:
        """TERM: the pod is ending."""
        self.told_at = self.told_at or time.time()
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"\0")

    def close(self) -> None:
        """Close what is open."""
        self.web.close()
        for handle in (self._alive, self._log, self._wake_read, self._wake_write):
            if handle >= 0:
                os.close(handle)

    # -- the whole of it ---------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Bring, wait, take: the record that stager.json holds. Its `error` is "" if outputs are in storage, complete."""
        self._open()
        record: dict[str, Any] = {}
        try:
            self.ticket = json.loads(self._ticket())
            self.shelf = self._shelf()
            self.web.patience_s = STAGE_IN_S
            self.stage_in()
        except (Refused, OSError, ValueError) as error:
            self._signal("stop")
            record.update(state="failed", cause="lost", error=f"inputs could not be brought: {_told(error)}")
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                record.update(cause="disk", error="inputs do not fit on the disk of the step; allow more disk for it")
            return record
        self.web.patience_s = PATIENCE_S
        if self._signal("go"):
            self._follow()
        self.ended_at = time.time()
        record = self._judged()
        self.web.patience_s = self.ticket.get("patience_s", PATIENCE_S)
        try:
            self.stage_out(record)
        except (Refused, OSError) as error:
            record.pop("kept_inputs", None)
            record.update(state="failed", cause="lost", error=f"outputs could not be kept: {_told(error)}")
        return record

    def _ticket(self) -> str | bytes:
        if self.link.startswith("{"):
            return self.link
        if self.link.startswith("/"):
            return Path(self.link).read_bytes()
        chunks: list[bytes] = []
        self.web.get(self.link, chunks.append, chunks.clear)
        return b"".join(chunks)

    def _shelf(self) -> Shelf:
        if "place" in self.ticket:
            return Folder(self.ticket["place"])
        return Bucket(self.web, self.ticket["permit"], self.ticket.get("copies"))

    def _open(self) -> None:
        """Make the pipes, in the one order in which nobody waits for ever; and the log, which is held open from here on: the
        step may write into that folder, and what it puts in the place of the log is never opened."""
        alive, go = self.at(paths.ALIVE), self.at(paths.GO)
        self._log = os.open(self.at(paths.LOG), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.mkfifo(alive, 0o600)
        self._alive = os.open(alive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.mkfifo(go + ".new", 0o600)
        os.rename(go + ".new", go)  # noqa: PTH104

    def _signal(self, word: str) -> bool:
        """Tell the step, as soon as it listens; False if the pod ends before that."""
        while not self.told_at or word != "go":
            try:
                handle = os.open(self.at(paths.GO), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                if word != "go" and time.time() - self.begun_at > 20:
                    return False
                self._pause(0.02)
                continue
            self.go_at = time.time()
            os.write(handle, word.encode() + b"\n")
            os.close(handle)
            return word == "go"
        return False

    def _pause(self, seconds: float) -> None:
        select.select([self._wake_read] if not self.told_at else [], [], [], seconds)

    # -- in ----------------------------------------------------------------------------------------------------------

    def stage_in(self) -> None:
        """Bring inputs and lay everything out as the step is to find it."""
        for folder in (self.at(paths.HOME), self.ticket["own"]):
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        transfers: list[Callable[[], None]] = []
        links: list[tuple[str, str]] = []
        made: set[str] = set()
        for tree in self.ticket["inputs"]:
            base = tree["folder"]
            os.makedirs(base, exist_ok=True)  # noqa: PTH103
            for kind, path, size, digest, executable, target, url in tree["entries"]:
                full = f"{base}/{path}"
                parent = full if kind == "fo" else os.path.dirname(full)  # noqa: PTH120
                if parent not in made:
                    os.makedirs(parent, exist_ok=True)  # noqa: PTH103
                    made.add(parent)
                if kind == "li":
                    links.append((target, full))
                elif kind == "fi":
                    transfers.append(self._download(url, full, size, digest, executable))
        in_parallel(transfers)
        for target, full in links:  # last, so that nothing is written through one
            os.symlink(target, full)  # noqa: PTH211
        for _, real, *_ in self.ticket["watch"]:
            self.fingerprints[real] = places.fingerprint(real, 1 << 40)
        for source, target in self.ticket["fill"]:
            fill.lay(source, target)
        for path, text in self.ticket["texts"].items():
            where = self.at(path) if path.startswith(paths.STEP + "/") else path
            os.makedirs(os.path.dirname(where), exist_ok=True)  # noqa: PTH103, PTH120
            with open(where, "wb") as stream:  # noqa: PTH123
                stream.write(text.encode(errors="surrogateescape"))
        for path, real in self.ticket["links"].items():
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            os.symlink(real, path)  # noqa: PTH211

    def _download(self, url: str, path: str, size: int, digest: str, executable: int) -> Callable[[], None]:
        def bring() -> None:
            hashed = hashlib.sha256()
            with open(path, "wb") as stream:  # noqa: PTH123

                def take(chunk: bytes) -> None:
                    stream.write(chunk)
                    hashed.update(chunk)

                def again() -> None:
                    nonlocal hashed
                    hashed = hashlib.sha256()
                    stream.seek(0)
                    stream.truncate()

                self.web.get(url, take, again)
                there = stream.tell()
            if there != size or "sha256:" + hashed.hexdigest() != digest:
                raise Refused(f"{path} is damaged in storage: it is not what its digest says")
            if executable:
                os.chmod(path, 0o755)  # noqa: PTH101  # nosec B103 - a program that steps of any user id run

        return bring

    # -- while it runs -----------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Wait for the end of the step; what it prints goes to our output and, now and then, to storage."""
        poll = select.poll()
        poll.register(self._alive, select.POLLIN)
        self._keep_after = time.monotonic() + LOG_EVERY_S
        while True:
            ready = poll.poll(500)
            self._relay()
            if ready and not os.read(self._alive, 4096):
                return
            self._tell_begin()
            self._keep_log()

    def _tell_begin(self) -> None:
        """Say when the step began, if its time is limited: the worker cannot tell it from the waiting for its inputs."""
        begun = time.monotonic()
        if not self.ticket["timeout_s"] or self._has_told_begin or begun < self._tell_after:
            return
        with contextlib.suppress(Refused, OSError):
            self._store.text(paths.BEGUN, json.dumps({"go_at": round(self.go_at, 3)}))
            self._has_told_begin = True
        self._tell_after = time.monotonic() + max(
            1.0, 20 * (time.monotonic() - begun)
        )  # the end of the step is not to wait

    def _relay(self) -> None:
        if self.out is None:
            return
        while chunk := os.pread(self._log, CHUNK_BYTES, self._relayed):
            self._relayed += len(chunk)
            self.out.write(chunk)
        self.out.flush()

    def _read_log(self) -> BinaryIO:
        return open(f"/proc/self/fd/{self._log}", "rb")  # noqa: PTH123 - the file itself, by no name; the caller closes it

    def _keep_log(self) -> None:
        """Send the log if it has grown, less often the longer it takes; a failure is left to the end."""
        if time.monotonic() < self._keep_after:
            return
        size = os.fstat(self._log).st_size
        begun = time.monotonic()
        if size > self._kept:
            with contextlib.suppress(Refused, OSError):
                self._store.log(self._read_log, size)
                self._kept = size
        self._keep_after = time.monotonic() + max(LOG_EVERY_S, 20 * (time.monotonic() - begun))

    # -- out ---------------------------------------------------------------------------------------------------------

    def _judged(self) -> dict[str, Any]:
        """How the step ended, as far as it can be known here."""
        code = self._code()
        record: dict[str, Any] = {"error": "", "exit_code": code}
        if code in (None, 128 + signal.SIGTERM, 128 + signal.SIGKILL) and not self.told_at:
            self._pause(0.5)  # the whole pod may be ending, and the step be told first
        ended_from_outside = bool(self.told_at) and (
            self.told_at < self.ended_at or code in (None, 128 + signal.SIGTERM, 128 + signal.SIGKILL)
        )
        limit = self.ticket["timeout_s"]
        # the worker counts from the same moment, by another clock perhaps, and keeps what was made till then
        since_s = self.told_at - self.go_at + STATUS_S
        out_of_time = bool(limit) and self.told_at > 0 and self.go_at > 0 and since_s >= limit
        if out_of_time:
            return record | verdict.judge(exit_code=code or 0, reason="time", limit=limit) | {"exit_code": code}
        if ended_from_outside or not self.go_at:
            return record | {"state": "stopped", "message": "its pod was ended"}
        if code is None:
            return record | {"state": "failed", "cause": "lost", "message": "the step's container was killed"}
        tail = os.pread(self._log, _TAIL_BYTES, max(0, os.fstat(self._log).st_size - _TAIL_BYTES))
        return record | verdict.judge(exit_code=code, log_tail=tail)

    def _code(self) -> int | None:
        """The step's exit code; None if it did not come to write one. What is no plain file is not waited for or followed."""
        try:
            handle = os.open(self.at(paths.CODE), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return int(os.read(handle, 16)) if stat.S_ISREG(os.fstat(handle).st_mode) else None
        except (OSError, ValueError):
            return None
        finally:
            os.close(handle)

    def stage_out(self, record: dict[str, Any]) -> None:
        """Send the step's files, its log, our record; the manifest last. A step that was stopped leaves its log only."""
        self._relay()
        sends: list[Callable[[], None]] = []
        text = ""
        if record["state"] != "stopped":
            text = self._scan(record, sends)
        size = os.fstat(self._log).st_size
        if size > 0 and size != self._kept:
            sends.append(lambda: self._store.log(self._read_log, size))
        in_parallel(sends)
        record["phases"] = self.phases()
        self._store.text("stager.json", json.dumps(record))
        if text:
            self._store.text("manifest.json", text)

    @property
    def _store(self) -> Shelf:
        assert self.shelf is not None
        return self.shelf

    def _scan(self, record: dict[str, Any], sends: list[Callable[[], None]]) -> str:
        """Read the step's folder: the text of its manifest, "" if there can be none; what is to be sent is added."""
        own = self.ticket["own"]
        try:
            found = places.scan(
                own, self._roots, entries=self.ticket["most_files"], size_bytes=self.ticket["most_bytes"]
            )
        except places.TooBig:
            most = f"{self.ticket['most_files']} files or {verdict.size(self.ticket['most_bytes'])}"
            record.update(
                state="failed", cause="disk", message=f"it wrote more than {most}, which this installation keeps"
            )
            return ""
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise
            record.update(state="failed", cause="exit", message=f"outputs could not be kept: {_told(error)}")
            return ""
        if found.faults and record["state"] == "finished":
            record.update(state="failed", cause="exit", message="; ".join(found.faults[:5]))
        if found.copied:
            record["copied_links"] = found.copied[:20]
        self._look_at_inputs(record, sends)
        text, record["digest"] = places.manifest_text(found.artifacts)
        record["size_bytes"] = sum(a.size for a in found.artifacts)
        sends += self._store.sends(own, found.artifacts)
        return text

    def _look_at_inputs(self, record: dict[str, Any], sends: list[Callable[[], None]]) -> None:
        """Tell which inputs are not any more what they were; what they hold now is kept beside the outputs, where the
        storage cannot be written into."""
        changed, kept = [], {}
        copies = bool(self.ticket.get("copies"))
        for number, (virtual, real, digest, place) in enumerate(self.ticket["watch"], 1):
            if places.fingerprint(real, 1 << 40) == self.fingerprints.get(real):
                continue
            found = places.Scan()
            with contextlib.suppress(OSError, places.TooBig):
                limits = {"entries": self.ticket["most_files"], "size_bytes": self.ticket["most_bytes"]}
                found = places.scan(real, self._roots if copies else (), **limits)
            if Manifest.of(found.artifacts).digest == digest:
                continue
            changed.append(virtual)
            if copies:
                text, now = places.manifest_text(found.artifacts)
                sends += self._store.sends(real, found.artifacts, number)
                sends.append(self._telling(text, number))
                kept[place] = [self.ticket["copies"]["key"], number, now]
        if changed:
            record["changed_inputs"] = changed
        if kept:
            record["kept_inputs"] = kept

    def _telling(self, text: str, copy: int) -> Callable[[], None]:
        return lambda: self._store.text("manifest.json", text, copy)

    def phases(self) -> dict[str, float]:
        """Seconds of each phase, by our own clock; those that did not happen are left out."""
        found = {}
        if self.go_at:
            found["stage-in"] = self.go_at - self.begun_at
            found["step"] = (self.ended_at or time.time()) - self.go_at
        if self.ended_at:
            found["stage-out"] = time.time() - self.ended_at
        return {name: round(max(0.0, seconds), 3) for name, seconds in found.items()}


def _told(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:1000]
