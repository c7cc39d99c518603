"""The wire: requests to API v1, sent again where that is safe, errors turned back into our classes.

Only client.py of this package calls this. What the answers mean is not known here.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reana_lite.errors import (
    CLASSES,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    ReanaLiteError,
    Unavailable,
    from_dict,
)

try:
    import requests
except ModuleNotFoundError as missing:
    raise Unavailable(f"{missing.name} is not installed: pip install 'reana-lite[client]'") from missing

CONNECT_S = 10.0
"""How long a connection may take to be made (seconds)."""

ANSWER_S = 120.0
"""How long the server may be silent while it answers (seconds)."""

BLOCK = 1 << 18
"""How much of a file is in memory at a time (bytes)."""

AGAIN = (429, 502, 503, 504)
"""What servers and proxies answer when the same request may succeed later."""

_KINDS: dict[int, type[ReanaLiteError]] = {401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict}
"""Our classes for answers that are not in our words, as those of a proxy; other 4xx are InvalidInput, 5xx Unavailable."""


class _Bearer(requests.auth.AuthBase):
    """The token as a header; given as `auth` so that no ~/.netrc takes its place."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: Any) -> Any:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Wire:
    """One server, one token. `patience_s`: for how long a server that does not answer is asked again (seconds)."""

    def __init__(self, url: str, token: str, *, patience_s: float) -> None:
        base = url.rstrip("/")
        if not base.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is no address of a server, such as https://recast.example.org", field="url")
        self.base = base.removesuffix("/api/v1") + "/api/v1"
        self.patience_s = patience_s
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers["User-Agent"] = "reana-lite-client"

    def close(self) -> None:
        """Give back connections."""
        self._session.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The document at a path."""
        return self._document(self.ask("GET", path, query=query))

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str = "") -> Any:
        """The answer to a request that is carried out once, however often it has to be sent (idempotency key)."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._document(self.ask("POST", path, body=body or {}, headers=headers))

    def upload(self, path: str, files: list[tuple[str, bytes]]) -> Any:
        """The answer to files; equal bytes are one file to the server, so that sending them again does no harm."""
        return self._document(self.ask("POST", path, files=[("file", file) for file in files]))

    def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None,
        files: Any = None, headers: Mapping[str, str] | None = None, stream: bool = False,
    ) -> requests.Response:  # fmt: skip
        """An answer below 400, after as many tries as patience allows; else raises what the server said, as our class."""
        asked = {name: _text(value) for name, value in (query or {}).items() if value not in (None, (), [])}
        try:
            data = None if body is None else json.dumps(body, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"this cannot be sent as JSON: {error}", field="body") from error
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if data is not None else {})}

        tries = 0

        def once() -> requests.Response:
            nonlocal tries
            tries += 1
            answer = self._session.request(
                method, self.base + path, params=asked, data=data, files=files, headers=sent, stream=stream,
                timeout=(CONNECT_S, ANSWER_S),
            )  # fmt: skip
            gone = method == "DELETE" and tries > 1 and answer.status_code == 404
            if answer.status_code < 400 or gone:  # the answer to the first one was lost, not what it asked for
                return answer
            with answer:
                raise _error(answer, again="Idempotency-Key" in sent)

        return self.patiently(once)

    def patiently(self, once: Callable[[], requests.Response]) -> requests.Response:
        """Try until it succeeds, a failure is final, or patience is used up."""
        deadline, wait_s = time.monotonic() + self.patience_s, 0.2
        while True:
            try:
                return once()
            except requests.exceptions.InvalidURL as error:
                raise InvalidInput(f"{self.base} is no address of a server: {error}", field="url") from error
            except requests.exceptions.SSLError as error:
                raise Unavailable(f"{self.base}: the server's certificate is not trusted") from error
            except requests.exceptions.RequestException as error:
                failure: Unavailable = Unavailable(f"{self.base} does not answer ({type(error).__name__})")
                failure.__cause__ = error
            except Unavailable as error:
                failure = error
            asked_s = failure.details.get("retry_after_s")
            pause_s = max(wait_s * random.uniform(0.7, 1.3), asked_s or 0.0)
            if not failure.details.get("again", True) or time.monotonic() + pause_s > deadline:
                raise failure
            time.sleep(pause_s)
            wait_s = min(wait_s * 2, 10.0)

    @contextlib.contextmanager
    def stream(self, path: str, *, query: Mapping[str, Any] | None = None, start: int = 0) -> Iterator[Iterator[bytes]]:
        """The bytes at a path, block by block, from byte `start` on; Unavailable if they break off."""
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        answer = self.ask("GET", path, query=query, headers=headers, stream=True)
        with answer:
            if start and answer.status_code != 206:
                raise Unavailable(f"{self.base} does not go on where a download broke off")
            yield _blocks(answer, self.base)

    def events(self, path: str, *, silence_s: float) -> Iterator[str]:
        """The kinds of the events that the server sends at a path from now on, "" for a sign of life; asked for only once.

        Raises what the server said, or Unavailable if it breaks off, or if nothing is heard for `silence_s` seconds.
        """
        # what was before is of no interest: ids are numbers, and events are sent that come after the last one heard
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "100000000000000"}
        try:
            answer = self._session.get(self.base + path, headers=headers, stream=True, timeout=(CONNECT_S, silence_s))
            with answer:
                if answer.status_code >= 400:
                    raise _error(answer, again=False)
                if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise Unavailable(f"{self.base} sends no events")
                # byte by byte: else a line waits for the next one where the server does not send in chunks
                for line in answer.iter_lines(chunk_size=1):
                    if line.startswith(b"event:"):
                        yield line[6:].strip().decode(errors="replace")
                    elif line.startswith(b":"):
                        yield ""
        except requests.exceptions.RequestException as error:
            raise Unavailable(f"{self.base} does not send events any more ({type(error).__name__})") from error

    def _document(self, answer: requests.Response) -> Any:
        if answer.status_code == 204:
            return {}
        try:
            return answer.json()
        except ValueError as error:
            raise Unavailable(f"{self.base} does not speak the API of reana-lite (its answer is not JSON)") from error


def _blocks(answer: requests.Response, base: str) -> Iterator[bytes]:
    try:
        # as they are on the wire: a digest is of the bytes of the file
        yield from answer.iter_content(BLOCK)
    except requests.exceptions.RequestException as error:
        raise Unavailable(f"{base} broke off in the middle of an answer") from error


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _error(answer: requests.Response, *, again: bool) -> ReanaLiteError:
    """What an answer from 400 on means. Unavailable may be asked again, unless its details say `again` False.

    `again`: the request had a key, so that the same one, sent before, may still be being answered.
    """
    status = answer.status_code
    try:
        said = answer.json()["error"]
        name, message, details = str(said["error"]), str(said["message"]), dict(said.get("details") or {})
    except (ValueError, KeyError, TypeError):
        name, message, details = "", f"{answer.url.partition('?')[0]} answered {status} {answer.reason}", {}
    if status in AGAIN or (again and status == 409 and details.get("pending")):
        return Unavailable(message, retry_after_s=_seconds(answer.headers.get("Retry-After")))
    if name in CLASSES:
        return from_dict({"error": name, "message": message, "details": details})
    if status >= 500:
        return Unavailable(message, again=False)
    return _KINDS.get(status, InvalidInput)(message, **{"status": status, **details})


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None
