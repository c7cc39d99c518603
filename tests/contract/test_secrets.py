"""Secrets of owners: kept, listed without their values, given to workers alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reana_lite.database import Database, secrets
from reana_lite.errors import Conflict, InvalidInput, NotFound


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/records.db")
    yield database
    database.close()


def test_secrets_belong_to_their_owner(database: Database, tmp_path: Path) -> None:
    secrets.add(database, "ann", "TOKEN", value=b"hush-1")
    secrets.add(database, "ann", "key.pem", value=b"\0hush-2", kind="file")
    secrets.add(database, "bob", "TOKEN", value=b"hush-1")
    assert [(s.name, s.kind) for s in secrets.listed(database, "ann")] == [("TOKEN", "env"), ("key.pem", "file")]
    (token,) = secrets.of_run(database, "ann", ["TOKEN"])
    assert token.value == b"hush-1"
    assert "hush" not in repr(token)
    (other,) = secrets.of_run(database, "bob", None)
    assert other.identity != token.identity, "an equal value of somebody else is another secret"
    assert (tmp_path / "records.db").stat().st_mode & 0o077 == 0
    assert secrets.delete(database, "ann", ["TOKEN", "nothing"]) == ["TOKEN"]
    with pytest.raises(NotFound, match="TOKEN"):
        secrets.of_run(database, "ann", ["TOKEN"])
    with pytest.raises(NotFound):
        secrets.delete(database, "ann", ["TOKEN"])
    assert len(secrets.listed(database, "bob")) == 1


def test_one_of_a_name_is_kept_unless_it_is_to_be_replaced(database: Database) -> None:
    secrets.add(database, "ann", "TOKEN", value=b"one")
    before = secrets.of_run(database, "ann", None)
    with pytest.raises(Conflict, match="TOKEN"):
        secrets.add(database, "ann", "TOKEN", value=b"two")
    assert secrets.of_run(database, "ann", None) == before
    secrets.add(database, "ann", "TOKEN", value=b"two", replace=True)
    (after,) = secrets.of_run(database, "ann", None)
    assert after.value == b"two"
    assert after.identity != before[0].identity


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [("a b", "env", b""), ("1X", "env", b""), ("../x", "file", b""), ("PATH", "env", b""), ("LD_PRELOAD", "env", b""),
     ("X", "other", b""), ("X", "env", b"\0"), ("X", "file", b"x" * ((1 << 20) + 1))],
)  # fmt: skip
def test_what_cannot_be_a_secret_is_refused(database: Database, name: str, kind: str, value: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        secrets.add(database, "ann", name, value=value, kind=kind)
    assert "xxx" not in refused.value.message
    assert secrets.listed(database, "ann") == []
