"""The few requests to the API server that this backend makes, raw JSON in and out, by the official client.

The verbs here are all that the controller's role needs: jobs create, get, list, delete; pods list, watch, delete; secrets
create; events list. `Api` is what the rest sees; tests have one of their own. Errors of the client become Unavailable (try
again) or Refused (don't).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from reana_lite.errors import Unavailable

READ_TIMEOUT_S = 90.0
"""A watch that is silent for so long is dead: bookmarks come every minute."""

CALL_TIMEOUT_S = (10.0, 30.0)
"""To connect, to read (seconds)."""

_ONLY_METADATA = "application/json;as={};g=meta.k8s.io;v=v1,application/json"
"""Nothing else of a Job is of use here, and it is a tenth of it."""

_TOKEN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Refused(Exception):
    """The API server does not do this, now or ever: HTTP status, reason, its sentence."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_quota(self) -> bool:
        """Whether it will do it when others have ended."""
        return self.status == 403 and "exceeded quota" in self.message


class Gone(Exception):
    """A watch must begin again with a list."""


class Watching(Protocol):
    """One watch that is open."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Its events; raises Gone for HTTP 410, Unavailable if it was cut; ends when the server ends it."""
        ...

    def close(self) -> None:
        """End it, from any thread."""
        ...


class Api(Protocol):
    """See the module. Of Jobs only `metadata` need be told; a missing one is {} for `get_job`, and no error for
    deletions."""

    namespace: str

    def check(self) -> str:
        """Why it cannot be used, in one sentence; "" if it can."""
        ...

    def create_job(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The Job as created; raises Refused with status 409 if there is one of that name."""
        ...

    def get_job(self, name: str) -> dict[str, Any]:
        """The Job."""
        ...

    def list_jobs(self, selector: str) -> list[dict[str, Any]]:
        """Jobs with these labels."""
        ...

    def delete_job(self, name: str) -> None:
        """Delete it and, in the background, its pod."""
        ...

    def create_secret(self, secret: Mapping[str, Any]) -> None:
        """Raises Refused with status 409 if there is one of that name."""
        ...

    def list_pods(self, selector: str) -> tuple[list[dict[str, Any]], str]:
        """Pods with these labels, and the version from which to watch."""
        ...

    def watch_pods(self, selector: str, version: str) -> Watching:
        """What happens to them from that version on."""
        ...

    def delete_pod(self, name: str, grace_s: int) -> None:
        """TERM, and KILL after the grace."""
        ...

    def events_of(self, name: str) -> list[dict[str, Any]]:
        """Warnings about an object of that name."""
        ...


class RealApi:
    """A cluster by the official client. `threads` is how many connections are kept."""

    def __init__(self, namespace: str = "", *, threads: int = 32, kubeconfig: str | None = None) -> None:
        self._lock = threading.Lock()
        self._client: Any = None
        self._threads = threads
        self._kubeconfig = kubeconfig
        self.namespace = namespace

    # -- the connection ----------------------------------------------------------------------------------------------

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                try:
                    from kubernetes import client, config
                except ImportError as error:
                    raise Unavailable(
                        "the package kubernetes is not installed: pip install 'reana-lite[cluster]'"
                    ) from error
                configuration = client.Configuration()
                namespace = ""
                try:
                    if (
                        self._kubeconfig is None
                        and "KUBERNETES_SERVICE_HOST" in os.environ
                        and "KUBECONFIG" not in os.environ
                    ):
                        config.load_incluster_config(  # type: ignore[no-untyped-call]
                            client_configuration=configuration
                        )
                        with contextlib.suppress(OSError):
                            namespace = _TOKEN_NAMESPACE.read_text(encoding="utf-8").strip()
                    else:
                        config.load_kube_config(  # type: ignore[no-untyped-call]
                            config_file=self._kubeconfig, client_configuration=configuration
                        )
                        _, active = config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
                            config_file=self._kubeconfig
                        )
                        namespace = active.get("context", {}).get("namespace", "")
                except Exception as error:
                    raise Unavailable(f"no cluster is known here (KUBECONFIG): {error}") from error
                configuration.connection_pool_maxsize = self._threads
                configuration.retries = False
                self.namespace = self.namespace or namespace or "default"
                self._client = client.ApiClient(configuration)
            return self._client

    def _open(
        self, method: str, path: str, query: Mapping[str, str | int] | None = None, body: Any = None,
        timeout_s: tuple[float, float] = CALL_TIMEOUT_S, accept: str = "application/json",
    ) -> Any:  # fmt: skip
        """The response, unread; raises Refused or Unavailable."""
        import urllib3

        client = self._connected()
        headers = {"Accept": accept, "Content-Type": "application/json"}
        method, url, headers, _, _ = client.param_serialize(
            method=method, resource_path=path, header_params=headers, auth_settings=["BearerToken"]
        )
        if query:
            url += "?" + urlencode(query)
        try:
            response = client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=timeout_s
            ).response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"the API server does not answer: {error}", retry_after_s=1.0) from error
        except Exception as error:
            if type(error).__name__ != "ApiException":
                raise
            raise Unavailable(f"the API server cannot be reached: {error}", retry_after_s=5.0) from error
        if response.status >= 400:
            text = self._read(response)
            raise _refusal(response.status, text)
        return response

    @staticmethod
    def _read(response: Any) -> bytes:
        import urllib3

        try:
            content: bytes = response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"the API server does not answer: {error}", retry_after_s=1.0) from error
        finally:
            response.release_conn()
        return content

    def _call(
        self, method: str, path: str, query: Mapping[str, str | int] | None = None, body: Any = None,
        accept: str = "application/json",
    ) -> dict[str, Any]:  # fmt: skip
        response = self._open(method, path, query, body, accept=accept)
        document: dict[str, Any] = json.loads(self._read(response) or b"{}")
        return document

    def _path(self, group: str, kind: str, name: str = "") -> str:
        self._connected()
        base = "/api/v1" if not group else f"/apis/{group}/v1"
        return f"{base}/namespaces/{quote(self.namespace)}/{kind}" + (f"/{quote(name)}" if name else "")

    # -- requests ----------------------------------------------------------------------------------------------------

    def check(self) -> str:
        """One small request."""
        try:
            self._call("GET", self._path("batch", "jobs"), {"limit": 1})
        except (Unavailable, Refused) as error:
            return error.message
        return ""

    def create_job(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """See Api."""
        accept = _ONLY_METADATA.format("PartialObjectMetadata")
        return self._call("POST", self._path("batch", "jobs"), body=dict(job), accept=accept)

    def get_job(self, name: str) -> dict[str, Any]:
        """See Api."""
        try:
            accept = _ONLY_METADATA.format("PartialObjectMetadata")
            return self._call("GET", self._path("batch", "jobs", name), accept=accept)
        except Refused as error:
            if error.status == 404:
                return {}
            raise

    def list_jobs(self, selector: str) -> list[dict[str, Any]]:
        """See Api."""
        accept = _ONLY_METADATA.format("PartialObjectMetadataList")
        return self._list(self._path("batch", "jobs"), {"labelSelector": selector}, accept)[0]

    def delete_job(self, name: str) -> None:
        """See Api."""
        self._delete(self._path("batch", "jobs", name), {"propagationPolicy": "Background"})

    def create_secret(self, secret: Mapping[str, Any]) -> None:
        """See Api."""
        self._call("POST", self._path("", "secrets"), body=dict(secret))

    def list_pods(self, selector: str) -> tuple[list[dict[str, Any]], str]:
        """See Api."""
        return self._list(self._path("", "pods"), {"labelSelector": selector})

    def delete_pod(self, name: str, grace_s: int) -> None:
        """See Api."""
        self._delete(self._path("", "pods", name), {"gracePeriodSeconds": grace_s})

    def events_of(self, name: str) -> list[dict[str, Any]]:
        """See Api."""
        return self._list(self._path("", "events"), {"fieldSelector": f"type=Warning,involvedObject.name={name}"})[0]

    def watch_pods(self, selector: str, version: str) -> Watching:
        """See Api."""
        query = {"labelSelector": selector, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        try:
            return _Stream(self._open("GET", self._path("", "pods"), query, timeout_s=(10.0, READ_TIMEOUT_S)))
        except Refused as error:
            if error.status == 410:
                raise Gone(error.message) from error
            raise

    def _list(
        self, path: str, query: dict[str, str | int], accept: str = "application/json"
    ) -> tuple[list[dict[str, Any]], str]:
        """All pages; a list that has become too old between them is begun anew."""
        for _ in range(3):
            items: list[dict[str, Any]] = []
            more = ""
            try:
                while True:
                    which = {**query, "limit": 500, **({"continue": more} if more else {})}
                    page = self._call("GET", path, which, accept=accept)
                    items += page.get("items") or []
                    more = page["metadata"].get("continue", "")
                    if not more:
                        return items, page["metadata"].get("resourceVersion", "")
            except Refused as error:
                if error.status != 410:
                    raise
        raise Unavailable("the API server's lists change too fast to be read", retry_after_s=5.0)

    def _delete(self, path: str, options: dict[str, Any]) -> None:
        try:
            self._call("DELETE", path, body={"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except Refused as error:
            if error.status != 404:
                raise


def _refusal(status: int, content: bytes) -> Refused | Unavailable:
    try:
        document = json.loads(content)
        reason, message = str(document.get("reason", "")), str(document.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", content[:300].decode(errors="replace")
    if status >= 500 or status == 429:
        return Unavailable(f"the API server is busy or ill: {status} {message}", retry_after_s=2.0)
    if status == 401:
        return Unavailable("the API server does not know these credentials (KUBECONFIG)", retry_after_s=30.0)
    return Refused(status, reason, message)


class _Stream:
    """A watch: lines of JSON as they come."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import urllib3

        rest = b""
        try:
            for chunk in self._response.stream(None, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield _checked(json.loads(line))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._closed:
                raise Unavailable(f"a watch was cut: {error}", retry_after_s=0.2) from error
        finally:
            self._response.close()

    def close(self) -> None:
        """See Watching."""
        self._closed = True
        with contextlib.suppress(Exception):
            self._response.shutdown()


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    """An event; raises Gone for one that says that the version asked for is too old, Unavailable for other errors."""
    if event.get("type") == "ERROR":
        status = event.get("object") or {}
        if status.get("code") == 410:
            raise Gone(status.get("message", "too old"))
        raise Unavailable(f"a watch was ended by the API server: {status.get('message', '')}", retry_after_s=1.0)
    return event
