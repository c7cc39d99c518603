"""The digest behind a tag is asked for again after a while; what is fixed by its name is not."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from reana_lite.job import Environment, EnvironmentKind
from reana_lite.worker import environments
from reana_lite.worker.environments import Environments


@pytest.mark.parametrize(
    ("image", "lock", "times"),
    [("tool:1", "", 2), ("tool@sha256:" + "0" * 64, "", 1), ("tool:1", "tool.lock", 1)],
)
def test_a_tag_that_is_pushed_again_is_seen(monkeypatch: pytest.MonkeyPatch, image: str, lock: str, times: int) -> None:
    asked: list[str] = []

    def prepare(environment: Environment, *_: Any) -> str:
        asked.append(environment.image)
        return f"sha256:{len(asked)}"

    now = SimpleNamespace(value=0.0)
    monkeypatch.setattr(environments.time, "monotonic", lambda: now.value)
    backend: Any = SimpleNamespace(name="kubernetes", prepare=prepare, wake=lambda: None)
    drive: Any = SimpleNamespace(stand_ins={image: SimpleNamespace(lock=lock)} if lock else {})
    known = Environments(backend, lambda _: None)
    environment = Environment(EnvironmentKind.CONTAINER, image)

    def digest() -> Any:
        while (found := known.digest(drive, environment)) is None:
            next(iter(known._preparing.values())).exception()
        return found

    assert [digest(), digest()] == ["sha256:1"] * 2
    now.value += environments.TAG_AGE_S + 1
    assert digest() == f"sha256:{times}"
    assert known.known(drive, environment) == f"sha256:{times}"
    known.close()


def test_an_image_that_takes_long_holds_up_nobody() -> None:
    go_on = threading.Event()
    woken = threading.Event()

    def prepare(environment: Environment, *_: Any) -> str:
        if environment.image == "slow":
            go_on.wait(20)
        return f"sha256:{environment.image}"

    backend: Any = SimpleNamespace(name="kubernetes", prepare=prepare, wake=woken.set)
    drive: Any = SimpleNamespace(stand_ins={})
    known = Environments(backend, lambda _: None)
    assert known.digest(drive, Environment(EnvironmentKind.CONTAINER, "slow")) is None
    assert known.digest(drive, Environment(EnvironmentKind.CONTAINER, "quick")) in (None, "sha256:quick")
    assert woken.wait(20)
    assert known.digest(drive, Environment(EnvironmentKind.CONTAINER, "quick")) == "sha256:quick"
    assert known.digest(drive, Environment(EnvironmentKind.PROCESS)) == "sha256:"
    assert known.digest(drive, Environment(EnvironmentKind.CONTAINER, "slow")) is None
    go_on.set()
    known.close()
