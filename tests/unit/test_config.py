"""Settings from variables: defaults, values, and what people get wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite import config
from reana_lite.config import Settings, parse_bytes
from reana_lite.errors import InvalidInput

HOME = {"RECAST_HOME": "/data/recast", "USER": "ana"}


def read(**variables: str) -> Settings:
    return Settings.from_environment(HOME | variables)


def test_defaults_lie_under_one_home() -> None:
    settings = Settings.from_environment({"XDG_DATA_HOME": "/xdg", "LOGNAME": "ana"})
    assert settings == Settings(
        home=Path("/xdg/reana-lite"),
        database="sqlite:////xdg/reana-lite/records.db",
        storage=Path("/xdg/reana-lite/storage"),
        user="ana",
    )
    assert (settings.backend, settings.cores, settings.memory_bytes) == ("auto", None, None)
    assert (settings.container_engine, settings.container_flags, settings.container_network) == ("auto", (), "none")
    assert (settings.catalogue, settings.data_mirror, settings.warnings) == ((), None, ())


def test_the_home_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    for xdg in ("", "relative/is/ignored"):
        assert Settings.from_environment({"XDG_DATA_HOME": xdg}).home == Path("/home/ana/.local/share/reana-lite")
    assert read(RECAST_HOME="~/r").home == Path("/home/ana/r")
    monkeypatch.chdir("/")
    assert read(RECAST_STORAGE="big disk/s").storage == Path("/big disk/s")
    assert Settings.from_environment({}).user


def test_everything_can_be_set() -> None:
    settings = read(
        RECAST_DATABASE="postgresql+psycopg://u:p@host/db",
        RECAST_STORAGE="/big",
        RECAST_USER="team a",
        RECAST_CATALOGUE="/a:/b",
        RECAST_ATLAS_CATALOGUE="/c::/a",
        RECAST_DATA_MIRROR="/mirror",
        RECAST_BACKEND="container",
        RECAST_CORES="1.5",
        RECAST_MEMORY="8Gi",
        RECAST_CONTAINER_ENGINE="podman",
        RECAST_CONTAINER_FLAGS="--cgroups=disabled --annotation 'a b'",
        RECAST_CONTAINER_NETWORK="host",
        RECAST_DEFAULT_RUN_BACKEND="local",
        PACKTIVITY_CVMFS_LOCATION="/net/cvmfs",
        PACKTIVITY_CVMFS_PROPAGATION="rslave",
        PACKTIVITY_AUTH_LOCATION="/secret",
        PACKTIVITY_AUTH_TARGETDIR="/in/there",
    )
    assert settings == Settings(
        home=Path("/data/recast"),
        database="postgresql+psycopg://u:p@host/db",
        storage=Path("/big"),
        user="team a",
        catalogue=(Path("/a"), Path("/b"), Path("/c"), Path("/a")),
        data_mirror=Path("/mirror"),
        backend="container",
        cores=1.5,
        memory_bytes=8 << 30,
        container_engine="podman",
        container_flags=("--cgroups=disabled", "--annotation", "a b"),
        container_network="host",
        cvmfs=Path("/net/cvmfs"),
        cvmfs_propagation="rslave",
        credentials=Path("/secret"),
        credentials_target="/in/there",
    )


def test_an_empty_variable_is_as_if_it_were_not_there() -> None:
    assert Settings.from_environment(HOME | dict.fromkeys(set(config.VARIABLES) - {"RECAST_HOME"}, " ")) == read()


@pytest.mark.parametrize(
    ("variable", "value", "right"),
    [
        ("RECAST_DATABASE", "/path/file.db", "sqlite:////path/file.db"),
        ("RECAST_DATABASE", "mysql://host/db", "postgresql"),
        ("RECAST_DATABASE", "sqlite://", "URL of a file"),
        ("RECAST_DATABASE", "sqlite:///", "URL of a file"),
        ("RECAST_STORAGE", "ftp://bucket", "folder of this machine"),
        ("RECAST_HOME", "~nobody-of-that-name/x", "names a user"),
        ("RECAST_USER", "a\nb", "printable"),
        ("RECAST_BACKEND", "docker", "one of auto, local, container"),
        ("RECAST_BACKEND", "Local", "one of auto, local, container"),
        ("RECAST_CORES", "0", "above 0"),
        ("RECAST_CORES", "-1", "above 0"),
        ("RECAST_CORES", "nan", "above 0"),
        ("RECAST_CORES", "inf", "above 0"),
        ("RECAST_CORES", "four", "such as 4"),
        ("RECAST_MEMORY", "8 gigabytes", "such as 8G"),
        ("RECAST_MEMORY", "0", "above 0"),
        ("RECAST_MEMORY", "1e9", "such as 8G"),
        ("RECAST_MEMORY", "0.1", "above 0"),
        ("RECAST_CONTAINER_ENGINE", "crio", "podman, docker, apptainer"),
        ("RECAST_CONTAINER_FLAGS", "--a 'open", "no closing quotation"),
        ("RECAST_CONTAINER_NETWORK", "--privileged", "name of a network"),
        ("PACKTIVITY_CVMFS_PROPAGATION", "z", "one of private"),
        ("PACKTIVITY_AUTH_TARGETDIR", "/a:/b", "absolute path"),
    ],
)
def test_a_bad_value_names_the_variable_and_what_is_right(variable: str, value: str, right: str) -> None:
    with pytest.raises(InvalidInput, match=f"{variable} is .*; it must be .*{right}") as caught:
        read(**{variable: value})
    assert caught.value.details["field"] == variable
    assert caught.value.details["value"] == value


def test_bad_values_are_told_together() -> None:
    with pytest.raises(InvalidInput) as caught:
        read(RECAST_CORES="x", RECAST_MEMORY="y", RECAST_BACKEND="z")
    assert [line.split()[0] for line in caught.value.message.splitlines()] == [
        "RECAST_BACKEND", "RECAST_CORES", "RECAST_MEMORY",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "ours"), [("local", "local"), ("docker", "container"), ("kubernetes", "kubernetes"), ("reana", "auto")]
)
def test_the_backend_of_recast_atlas_is_honoured_where_it_maps(theirs: str, ours: str) -> None:
    settings = read(RECAST_DEFAULT_RUN_BACKEND=theirs)
    assert settings.backend == ours
    assert bool(settings.warnings) is (ours == "auto")
    assert read(RECAST_DEFAULT_RUN_BACKEND=theirs, RECAST_BACKEND="auto").backend == "auto"


def test_misspelt_variables_are_pointed_out_and_foreign_ones_are_not() -> None:
    settings = read(
        RECAST_CORE="4", RECAST_MEMORY_="8G", RECASTHOME="/x", RECAST_DOCKER_IMAGE="i", RECAST_AUTH_TOKEN="t",
        RECAST_WEATHER="fine", RECAST_REGISTRY_HOST="h", RECAST_REANA_CVMFS_REPOS="c", HOME="/h",
    )  # fmt: skip
    assert [re.findall(r"RECAST\w+", warning) for warning in settings.warnings] == [
        ["RECASTHOME", "RECAST_HOME"], ["RECAST_CORE", "RECAST_CORES"], ["RECAST_MEMORY_", "RECAST_MEMORY"],
    ]  # fmt: skip
    assert (settings.cores, settings.memory_bytes) == (None, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("512M", 512_000_000), ("512 MB", 512_000_000), ("1.5k", 1500), ("2Ki", 2048), ("1TiB", 1 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        assert parse_bytes(text) > 0
    except ValueError as error:
        assert "such as 8G" in str(error)  # noqa: PT017 - either way is right


def test_every_setting_is_documented_with_its_variable() -> None:
    source = Path(config.__file__).read_text()
    documented = re.findall(
        r'^    (\w+): .*\n    """(RECAST_\w+|PACKTIVITY_\w+|Sentences)',
        source[source.index("class Settings") :],
        re.MULTILINE,
    )
    assert [name for name, _ in documented] == [field.name for field in fields(Settings)]
    named = set(
        re.findall(
            r"(?:RECAST|PACKTIVITY)_[A-Z0-9_]+[A-Z]",
            source[source.index("class S3Settings") : source.index("class _Reader")],
        )
    )
    assert named == set(config.VARIABLES)


def test_reading_settings_is_light() -> None:
    code = "import sys; from reana_lite.config import Settings; Settings.from_environment(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=30, env={**os.environ, **HOME}
    )
    assert not {"sqlalchemy", "yaml", "rich", "jsonschema"} & set(done.stdout.decode().split())
