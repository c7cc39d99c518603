"""Requests to the storage by the links of a ticket, several at a time; transient failures are tried again.

Standard library only. Called by the stager.
"""

from __future__ import annotations

import http.client
import os
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO
from urllib.parse import urlsplit

PATIENCE_S = 30.0
"""How long a request is tried again unless it is said otherwise, in pauses of 0.5, 1, 2, ... 16 s (seconds)."""

_LONGEST_PAUSE_S = 16.0

THREADS = 6
"""Transfers at a time."""

CHUNK_BYTES = 1 << 20


class Refused(Exception):
    """The storage says no, or does not answer; or the ticket asks for what cannot be done: one sentence."""


class Web:
    """Requests to the storage: connections are kept, one per thread and host; transient failures are tried again for
    `patience_s` (seconds of pauses), which may be changed at any time."""

    def __init__(self) -> None:
        self.patience_s = PATIENCE_S
        self._local = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close all connections, of whatever thread."""
        for connection in self._all:
            connection.close()

    def get(self, url: str, sink: Callable[[bytes], object], again: Callable[[], object] = lambda: None) -> None:
        """Read what a link gives into `sink`; before another try, `again` undoes what was written."""

        def take(response: http.client.HTTPResponse) -> None:
            while chunk := response.read(CHUNK_BYTES):
                sink(chunk)

        self._tried("GET", url, lambda: None, {}, take, again)

    def post(self, url: str, fields: dict[str, str], body: Callable[[], BinaryIO], size: int) -> None:
        """Send a form with one file of `size` bytes; `body` opens it anew for each try."""
        border = os.urandom(16).hex()
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
                    chunk = stream.read(min(CHUNK_BYTES, left))
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
        said, pause, waited = "", 0.0, 0.0
        while True:
            if pause:
                time.sleep(pause)
                waited += pause
                again()
            try:
                connection = self._connection(address.scheme, address.netloc, fresh=bool(pause))
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
            if waited >= self.patience_s:
                break
            pause = min(2 * pause or 0.5, _LONGEST_PAUSE_S)
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
