"""Signing in: how often it may be tried, by whom, and how much of the machine that takes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving import PASSWORD, World, until

from reana_lite.errors import NotAllowed, ReanaLiteError, Unavailable
from reana_lite.server import auth, passwords


def login(world: World, name: str, password: str, address: str = "192.0.2.1") -> str:
    with world.app.test_request_context("/", environ_base={"REMOTE_ADDR": address}):
        return auth.login(name, password)


def tried(world: World, name: str, password: str, address: str = "192.0.2.1") -> type[BaseException] | None:
    """What came of it: None is in."""
    try:
        login(world, name, password, address)
    except ReanaLiteError as error:
        return type(error)
    return None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are looked at in no time."""
    monkeypatch.setattr(auth, "is_right", lambda password, stored: password == PASSWORD and bool(stored))


def test_tries_at_the_same_time_are_as_many_tries(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    together = threading.Barrier(auth.TRIES, timeout=30)

    def is_right(password: str, stored: str) -> bool:
        looked.append(password)
        together.wait()  # none ends before as many as may be are under way
        return False

    monkeypatch.setattr(auth, "is_right", is_right)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda number: tried(world, "alice", f"guess {number}"), range(20)))
    assert len(looked) == auth.TRIES
    assert found.count(NotAllowed) == auth.TRIES
    assert found.count(Unavailable) == 20 - auth.TRIES


def test_few_passwords_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait, and beyond that are sent away: 64 threads with 64 MiB each are 4 GiB."""
    under_way, most = [], []
    full, go = threading.Event(), threading.Event()

    class Slow:
        def verify(self, stored: str, password: str) -> bool:
            under_way.append(1)
            most.append(len(under_way))
            if len(under_way) == passwords.AT_ONCE:
                full.set()
            assert go.wait(30)
            under_way.pop()
            return True

    monkeypatch.setattr(passwords, "_hasher", Slow)
    with ThreadPoolExecutor(passwords.WAITING) as pool:
        asked = [pool.submit(passwords.is_right, "a", "b") for _ in range(passwords.WAITING)]
        assert full.wait(30)
        until(lambda: passwords._places._value == 0, "all of them have come")
        with pytest.raises(Unavailable) as refused:
            passwords.is_right("a", "b")
        go.set()
        assert all(one.result() for one in asked)
    assert refused.value.details["throttled"]
    assert max(most) == passwords.AT_ONCE


def test_nobody_locks_somebody_else_out(world: World, quick: None) -> None:
    for _ in range(auth.TRIES):
        assert tried(world, "alice", "wrong", "198.51.100.7") is NotAllowed
    assert tried(world, "alice", PASSWORD, "198.51.100.7") is Unavailable
    assert tried(world, "alice", PASSWORD, "192.0.2.1") is None


def test_a_network_of_ipv6_is_one_address(world: World, quick: None) -> None:
    for number in range(auth.TRIES):
        assert tried(world, "alice", "wrong", f"2001:db8:0:1::{number}") is NotAllowed
    assert tried(world, "alice", PASSWORD, "2001:db8:0:1::99") is Unavailable
    assert tried(world, "alice", PASSWORD, "2001:db8:0:2::1") is None


def test_an_address_that_guesses_many_names_has_to_wait_but_not_for_long(
    world: World, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(auth.LIMITS["from"].burst):
        assert tried(world, f"user{number}", "wrong") is NotAllowed
    with pytest.raises(Unavailable) as throttled:
        login(world, "alice", PASSWORD)
    assert 0 < throttled.value.details["retry_after_s"] <= 30
    now = world.database.clock()
    monkeypatch.setattr(world.database, "clock", lambda: now + 31)
    assert tried(world, "alice", PASSWORD) is None


def test_a_name_that_is_guessed_from_everywhere_lets_its_owner_in_between(
    world: World, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = world.database.clock()
    monkeypatch.setattr(world.database, "clock", lambda: now)
    for number in range(auth.LIMITS["name"].burst):
        assert tried(world, "alice", "wrong", f"198.51.100.{number}") is NotAllowed
    assert tried(world, "alice", PASSWORD) is Unavailable
    monkeypatch.setattr(world.database, "clock", lambda: now + 6)
    assert tried(world, "alice", PASSWORD) is None


def test_signing_in_rightly_counts_for_nothing(world: World, quick: None) -> None:
    for _ in range(auth.LIMITS["from"].burst + 1):
        assert tried(world, "alice", PASSWORD) is None
    for _ in range(auth.TRIES - 1):
        assert tried(world, "alice", "wrong") is NotAllowed
    assert tried(world, "alice", PASSWORD) is None
    assert tried(world, "alice", "wrong") is NotAllowed
    assert tried(world, "alice", PASSWORD) is None


def test_a_try_that_was_not_looked_at_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(password: str, stored: str) -> bool:
        raise Unavailable("busy", throttled=True)

    with monkeypatch.context() as patched:
        patched.setattr(auth, "is_right", busy)
        for _ in range(auth.TRIES + 1):
            assert tried(world, "alice", PASSWORD) is Unavailable
    assert tried(world, "alice", PASSWORD) is None
