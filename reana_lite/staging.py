"""The small program in a pod that brings a step's inputs from storage and its outputs back: `python -m reana_lite.staging`.

Standard library and a few light modules of ours only, because every step waits for it to start. It runs beside the step,
holds no credentials but the links of its ticket, and may write below one place of the storage only. How it meets the
step is told in backends/kubernetes/pod.py. What it found goes to storage (stager.json) and, short, into the pod's status.
It never judges what only the cluster knows (out of memory, evicted): the worker does.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import json
import os
import queue
import select
import signal
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from reana_lite.artifact import Manifest
from reana_lite.backends import fill, places, verdict
from reana_lite.backends.kubernetes import paths
from reana_lite.storage.names import file_name

TRIES = 7
"""How often a request is tried; with pauses of 0.5, 1, 2, ... 16 s it outlives a restart of the storage."""

THREADS = 6
"""Transfers at a time."""

LOG_EVERY_S = 2.0
"""How often a log that grows is kept (seconds), at first; a log that takes long to send is sent less often."""

_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 4096


class Refused(Exception):
    """The storage says no, or does not answer; or the ticket asks for what cannot be done: one sentence."""


class Web:
    """Requests to the storage: connections are kept, one per thread and host; transient failures are tried again."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close all connections, of whatever thread."""
        for connection in self._all:
            connection.close()

    def get(self, url: str, sink: Callable[[bytes], object], again: Callable[[], object] = lambda: None) -> None:
        """Read what a link gives into `sink`; before another try, `again` undoes what was written."""

        def take(response: http.client.HTTPResponse) -> None:
            while chunk := response.read(_CHUNK_BYTES):
                sink(chunk)

        self._tried("GET", url, lambda: None, {}, take, again)

    def post(self, url: str, fields: dict[str, str], body: Callable[[], BinaryIO], size: int) -> None:
        """Send a form with one file of `size` bytes; `body` opens it anew for each try."""
        border = uuid.uuid4().hex
        head = "".join(
            f'--{border}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        start, end = head.encode(), f"\r\n--{border}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={border}",
            "Content-Length": str(len(start) + size + len(end)),
        }

        def parts() -> Iterator[bytes]:
            # One piece if it is small: a request then is one packet.
            with body() as stream:
                left = size
                piece = start
                while left > 0:
                    chunk = stream.read(min(_CHUNK_BYTES, left))
                    if not chunk:
                        raise Refused("a file became shorter while it was sent")
                    left -= len(chunk)
                    piece += chunk
                    if left > 0:
                        yield piece
                        piece = b""
                yield piece + end

        self._tried("POST", url, parts, headers, lambda response: response.read(), lambda: None)

    def _tried(
        self, method: str, url: str, body: Callable[[], Iterable[bytes] | None], headers: dict[str, str],
        take: Callable[[http.client.HTTPResponse], object], again: Callable[[], object],
    ) -> None:  # fmt: skip
        address = urlsplit(url)
        target = address.path + (f"?{address.query}" if address.query else "")
        said = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(0.25 * 2**attempt)
                again()
            try:
                connection = self._connection(address.scheme, address.netloc, fresh=bool(attempt))
                connection.request(method, target or "/", body=body(), headers=headers)
                response = connection.getresponse()
                if response.status < 300:
                    take(response)
                    response.read()
                    return
                said = _reason(response.status, response.read(2000))
                if response.status < 500 and response.status not in (408, 429):
                    raise Refused(
                        f"the storage refuses to {'give' if method == 'GET' else 'take'} {address.path}: {said}"
                    )
            except (OSError, http.client.HTTPException) as error:
                said = str(error) or type(error).__name__
        raise Refused(f"the storage does not answer ({address.netloc}): {said}")

    def _connection(self, scheme: str, host: str, *, fresh: bool) -> http.client.HTTPConnection:
        pool: dict[str, http.client.HTTPConnection] = self._local.__dict__.setdefault("pool", {})
        if fresh and host in pool:
            pool.pop(host).close()
        if host not in pool:
            if scheme == "https":
                pool[host] = http.client.HTTPSConnection(host, timeout=60, context=ssl.create_default_context())
            else:
                pool[host] = http.client.HTTPConnection(host, timeout=60)
            self._all.append(pool[host])
        return pool[host]


def _reason(status: int, body: bytes) -> str:
    text = body.decode(errors="replace")
    for name in ("Message", "Code"):
        start, end = text.find(f"<{name}>"), text.find(f"</{name}>")
        if 0 <= start < end:
            return f"{status} {text[start + len(name) + 2 : end]}"
    return str(status)


def in_parallel(tasks: list[Callable[[], None]]) -> None:
    """Do them, several at a time; raises the first failure."""
    if len(tasks) < 2:
        for task in tasks:
            task()
        return
    todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    for task in tasks:
        todo.put(task)
    faults: list[BaseException] = []

    def work() -> None:
        while not faults:
            try:
                task = todo.get_nowait()
            except queue.Empty:
                return
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - raised again below
                faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(min(THREADS, len(tasks)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


class Stager:
    """One step's inputs and outputs. `link` is its ticket, or a link to it; `step` is as in paths.py but for tests."""

    def __init__(self, link: str, *, step: str = paths.STEP, out: BinaryIO | None = None) -> None:
        self.link = link
        self.step = step
        self.out = out
        self.web = Web()
        self.ticket: dict[str, Any] = {}
        self.told_at = 0.0
        self.begun_at = time.time()
        self.go_at = self.ended_at = 0.0
        self.fingerprints: dict[str, int | None] = {}
        self._alive = -1
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._relayed = self._kept = 0
        self._keep_after = 0.0

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
        for handle in (self._alive, self._wake_read, self._wake_write):
            if handle >= 0:
                os.close(handle)

    # -- the whole of it ---------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Bring, wait, take: the record that stager.json holds. Its `error` is "" if outputs are in storage, complete."""
        self._open()
        record: dict[str, Any] = {}
        try:
            self.ticket = json.loads(self._ticket())
            self.stage_in()
        except (Refused, OSError, ValueError) as error:
            self._signal("stop")
            record.update(state="failed", cause="lost", error=f"inputs could not be brought: {_told(error)}")
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                record.update(cause="disk", error="inputs do not fit on the disk of the step; allow more disk for it")
            return record
        if self._signal("go"):
            self._follow()
        self.ended_at = time.time()
        record = self._judged()
        try:
            self.stage_out(record)
        except (Refused, OSError) as error:
            record.update(state="failed", cause="lost", error=f"outputs could not be kept: {_told(error)}")
        return record

    def _ticket(self) -> str | bytes:
        if self.link.startswith("{"):
            return self.link
        chunks: list[bytes] = []
        self.web.get(self.link, chunks.append, chunks.clear)
        return b"".join(chunks)

    def _open(self) -> None:
        """Make the pipes, in the one order in which nobody waits for ever."""
        alive, go = self.at(paths.ALIVE), self.at(paths.GO)
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
        os.makedirs(self.at(paths.HOME), exist_ok=True)  # noqa: PTH103
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
        for _, real, _ in self.ticket["watch"]:
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
            self._keep_log()

    def _relay(self) -> None:
        if self.out is None:
            return
        with contextlib.suppress(OSError), open(self.at(paths.LOG), "rb") as stream:  # noqa: PTH123
            stream.seek(self._relayed)
            while chunk := stream.read(_CHUNK_BYTES):
                self._relayed += len(chunk)
                self.out.write(chunk)
            self.out.flush()

    def _keep_log(self) -> None:
        """Send the log if it has grown, less often the longer it takes; a failure is left to the end."""
        if time.monotonic() < self._keep_after:
            return
        size = _size(self.at(paths.LOG))
        begun = time.monotonic()
        if size > self._kept:
            with contextlib.suppress(Refused, OSError):
                self._send("log", self.at(paths.LOG), size)
                self._kept = size
        self._keep_after = time.monotonic() + max(LOG_EVERY_S, 20 * (time.monotonic() - begun))

    # -- out ---------------------------------------------------------------------------------------------------------

    def _judged(self) -> dict[str, Any]:
        """How the step ended, as far as it can be known here."""
        try:
            with open(self.at(paths.CODE), encoding="ascii") as stream:  # noqa: PTH123
                code: int | None = int(stream.read())
        except (OSError, ValueError):
            code = None
        record: dict[str, Any] = {"error": "", "exit_code": code}
        if code in (None, 128 + signal.SIGTERM, 128 + signal.SIGKILL) and not self.told_at:
            self._pause(0.5)  # the whole pod may be ending, and the step be told first
        ended_from_outside = bool(self.told_at) and (
            self.told_at < self.ended_at or code in (None, 128 + signal.SIGTERM, 128 + signal.SIGKILL)
        )
        limit = self.ticket["timeout_s"]
        out_of_time = bool(limit) and self.told_at > 0 and self.go_at > 0 and self.told_at - self.go_at >= limit
        if out_of_time:
            return record | verdict.judge(exit_code=code or 0, reason="time", limit=limit) | {"exit_code": code}
        if ended_from_outside or not self.go_at:
            return record | {"state": "stopped", "message": "its pod was ended"}
        if code is None:
            return record | {"state": "failed", "cause": "lost", "message": "the step's container was killed"}
        tail = b""
        with contextlib.suppress(OSError), open(self.at(paths.LOG), "rb") as stream:  # noqa: PTH123
            stream.seek(max(0, _size(self.at(paths.LOG)) - _TAIL_BYTES))
            tail = stream.read()
        return record | verdict.judge(exit_code=code, log_tail=tail)

    def stage_out(self, record: dict[str, Any]) -> None:
        """Send the step's files, its log, our record; the manifest last. A step that was stopped leaves its log only."""
        self._relay()
        sends: list[Callable[[], None]] = []
        text = ""
        if record["state"] != "stopped":
            text = self._scan(record, sends)
        log = self.at(paths.LOG)
        size = _size(log)
        if size > 0 and size != self._kept:
            sends.append(lambda: self._send("log", log, size))
        in_parallel(sends)
        record["phases"] = self.phases()
        self._send_text("stager.json", json.dumps(record))
        if text:
            self._send_text("manifest.json", text)

    def _scan(self, record: dict[str, Any], sends: list[Callable[[], None]]) -> str:
        """Read the step's folder: the text of its manifest, "" if there can be none; what is to be sent is added."""
        own = self.ticket["own"]
        roots = tuple(f"{paths.ROOT}/{kind}" for kind in ("jobs", "trees"))
        try:
            found = places.scan(own, roots, entries=self.ticket["most_files"], size_bytes=self.ticket["most_bytes"])
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
        changed = self._changed()
        if changed:
            record["changed_inputs"] = changed
        text, record["digest"] = places.manifest_text(found.artifacts)
        record["size_bytes"] = sum(a.size for a in found.artifacts)
        for artifact in found.artifacts:
            if artifact.kind == "file":
                sends.append(
                    self._sending(f"files/{file_name(artifact.path)}", f"{own}/{artifact.path}", artifact.size)
                )
        return text

    def _changed(self) -> list[str]:
        changed = []
        for virtual, real, digest in self.ticket["watch"]:
            if places.fingerprint(real, 1 << 40) != self.fingerprints.get(real):
                with contextlib.suppress(OSError):
                    if Manifest.of(places.scan(real).artifacts).digest == digest:
                        continue
                changed.append(virtual)
        return changed

    def _sending(self, name: str, path: str, size: int) -> Callable[[], None]:
        return lambda: self._send(name, path, size)

    def _send(self, name: str, path: str, size: int) -> None:
        permit = self.ticket["permit"]
        fields = {**permit["fields"], "key": permit["fields"]["key"] + name}
        # No link is followed: what is sent is what was read.
        self.web.post(permit["url"], fields, lambda: os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb"), size)

    def _send_text(self, name: str, text: str) -> None:
        import io

        permit = self.ticket["permit"]
        fields = {**permit["fields"], "key": permit["fields"]["key"] + name}
        content = text.encode()
        self.web.post(permit["url"], fields, lambda: io.BytesIO(content), len(content))

    def phases(self) -> dict[str, float]:
        """Seconds of each phase, by our own clock; those that did not happen are left out."""
        found = {}
        if self.go_at:
            found["stage-in"] = self.go_at - self.begun_at
            found["step"] = (self.ended_at or time.time()) - self.go_at
        if self.ended_at:
            found["stage-out"] = time.time() - self.ended_at
        return {name: round(max(0.0, seconds), 3) for name, seconds in found.items()}


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def _told(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:1000]


def report(record: dict[str, Any], path: str) -> None:
    """Put a record where the cluster keeps it with the pod's status, without what would be too long."""
    short = {name: value for name, value in record.items() if name not in ("changed_inputs", "copied_links")}
    for name in ("message", "error"):
        if name in short:
            short[name] = short[name][:800]
    if len(record) > len(short):
        short["more"] = True
    with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(json.dumps(short))


def main() -> int:
    """0 if outputs are in storage, complete; else 1, and the pod's status says why."""
    stager = Stager(os.environ.get(paths.TICKET_VARIABLE, ""), out=sys.stdout.buffer)
    signal.signal(signal.SIGTERM, stager.terminate)
    record = stager.run()
    record["phases"] = stager.phases()
    report(record, paths.TERMINATION)
    if record.get("error"):
        sys.stderr.write(f"reana-lite: {record['error']}\n")
    return 1 if record.get("error") or record["state"] == "stopped" or not record.get("digest") else 0


if __name__ == "__main__":
    sys.exit(main())
