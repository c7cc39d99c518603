"""What a site offers to the steps that ask for it, and to nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from reana_lite.backends.container import ContainerBackend
from reana_lite.backends.site import Site
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind, JobSpec, Resources
from reana_lite.storage.local import LocalStorage


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for name in ("cvmfs/sft.cern.ch", "auth", "nothing"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "auth" / "getkrb.sh").touch()
    return Site(cvmfs=tmp_path / "cvmfs", credentials=tmp_path / "auth", credentials_target="/in/there")


def test_who_asks_for_nothing_gets_nothing(site: Site) -> None:
    assert (site.mounts(["GPU", "kerberos: false"]), site.variables(["GPU"])) == ([], {})
    assert site.has("GPU") is None


def test_cvmfs_is_read_only_and_propagates_as_told(site: Site, tmp_path: Path) -> None:
    assert site.mounts(["CVMFS"]) == [(str(tmp_path / "cvmfs"), "/cvmfs", "ro")]
    assert Site(cvmfs=site.cvmfs, cvmfs_propagation="rslave").mounts(["CVMFS"])[0][2] == "ro,rslave"
    assert site.variables(["CVMFS"]) == {}


@pytest.mark.parametrize("name", ["GRIDProxy", "KRB5Auth", "kerberos: true"])
def test_credentials_come_with_the_place_of_their_script(site: Site, tmp_path: Path, name: str) -> None:
    assert site.mounts([name, name]) == [(str(tmp_path / "auth"), "/in/there", "rw")]
    assert site.variables([name]) == {"KRB_SETUP_SCRIPT": "/in/there/getkrb.sh"}


@pytest.mark.parametrize("there", ["nothing", "gone", "a:b"])
def test_what_is_not_there_is_not_mounted_but_missing(tmp_path: Path, site: Site, there: str) -> None:
    (tmp_path / "a:b" / "c").mkdir(parents=True)
    empty = Site(cvmfs=tmp_path / there, credentials=tmp_path / there)
    names = ("CVMFS", "KRB5Auth")
    assert (empty.mounts(names), empty.variables(names)) == ([], {})
    container = Environment(EnvironmentKind.CONTAINER, "image:1")
    job = JobSpec(f"{RUN_ROOT}/own", "true", environment=container, resources=Resources(other=names))
    for offered, phrases in ((empty, 2), (site, 0)):
        backend = ContainerBackend(LocalStorage(tmp_path / "storage"), site=offered)
        assert len(backend.missing(job)) == phrases
        backend.close()
