"""What uploaded workspaces must do on every database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.artifact import Artifact
from reana_lite.database import Database, upkeep, workspace_runs, workspaces
from reana_lite.database.workspaces import Stored, clean_path
from reana_lite.errors import Conflict, InvalidInput, NotFound
from reana_lite.event import RunState


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


class Space:
    """A workspace with one run."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.transaction() as transaction:
            self.id = workspaces.create(transaction, "me")
        self.run("one")

    def run(self, name: str, parent: str = "") -> None:
        with self.database.transaction() as transaction:
            transaction.create_run(run=name, name="wf", owner="me", parent=parent, state=RunState.CREATED)
            workspace_runs.attach(transaction, name, self.id, specification={"workflow": {"type": "serial"}})

    def put(self, **sizes: int) -> int:
        return self.entries([entry(path.replace("__", "/"), size) for path, size in sizes.items()])

    def entries(self, entries: list[Stored]) -> int:
        with self.database.transaction() as transaction:
            return workspaces.put(transaction, self.id, entries)

    def remove(self, *paths: str) -> int:
        with self.database.transaction() as transaction:
            return workspaces.remove(transaction, self.id, paths)

    def move(self, moves: dict[str, str]) -> int:
        with self.database.transaction() as transaction:
            return workspaces.move(transaction, self.id, moves)

    def start(self, run: str, revision: int) -> None:
        with self.database.transaction() as transaction:
            workspace_runs.start(transaction, run, self.id, revision, specification={}, parameters={}, options={})
            transaction.set_run_state(run, RunState.QUEUED)

    def end(self, run: str, made: list[Stored], gone: tuple[str, ...] = ()) -> None:
        self.database.set_run_state(run, RunState.RUNNING)
        self.database.set_run_state(run, RunState.FINISHED)
        use = workspace_runs.of_run(self.database, run)
        assert use is not None
        for _ in range(2):  # twice is once
            with self.database.transaction() as transaction:
                workspaces.take(transaction, use, made, gone, at=7.0)

    def shows(self, **options: Any) -> dict[str, int]:
        found = workspaces.files(self.database, self.id, **options)
        if not options:
            assert sum(one.artifact.size for one in found.values()) == workspaces.get(self.database, self.id).size_bytes
        return {path: one.artifact.size for path, one in found.items()}


def entry(path: str, size: int = 1, **more: Any) -> Stored:
    return Stored(Artifact(path, size=size, digest=f"sha256:{size}"), "key", more.pop("attempt", 0), "content")


@pytest.fixture
def space(database: Database) -> Space:
    return Space(database)


def test_every_change_is_a_revision_and_older_ones_can_be_read(space: Space) -> None:
    assert [space.put(a=1), space.put(b=2, c__d=3), space.put(a=5), space.remove("b"), space.move({"c/d": "e"})] == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
    assert space.shows() == {"a": 5, "e": 3}
    revisions = [space.shows(revision=number) for number in range(6)]
    assert revisions == [
        {}, {"a": 1}, {"a": 1, "b": 2, "c/d": 3}, {"a": 5, "b": 2, "c/d": 3}, {"a": 5, "c/d": 3}, {"a": 5, "e": 3},
    ]  # fmt: skip


def test_entries_are_read_as_written(space: Space) -> None:
    link = Stored(Artifact("x", "link", target="../y"), "k", 3, "in/x")
    space.entries([link])
    found = workspaces.files(space.database, space.id)["x"]
    assert (found.artifact, found.key, found.attempt, found.inner, found.made) == (link.artifact, "k", 3, "in/x", False)
    assert found.changed_at > 0


def test_what_a_run_makes_hides_what_was_given_and_a_restart_can_do_without(space: Space) -> None:
    space.put(a=1, b=2, c=3)
    space.start("one", 1)
    space.end("one", [entry("a", 10), entry("out/x", 20)], gone=("b",))
    assert space.shows() == {"a": 10, "c": 3, "out/x": 20}
    assert space.shows(given_only=True) == {"a": 1, "b": 2, "c": 3}
    space.put(a=4)  # by the user, after the run
    assert space.shows(given_only=True)["a"] == space.shows()["a"] == 4
    space.put(b=6)
    assert space.shows() == {"a": 4, "b": 6, "c": 3, "out/x": 20}
    space.move({"out/x": "kept"})
    assert space.shows(given_only=True) == {"a": 4, "b": 6, "c": 3, "kept": 20}
    space.remove("a", "kept")
    assert space.shows() == {"b": 6, "c": 3}


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
def test_nothing_changes_while_a_run_is_under_way(space: Space, state: RunState) -> None:
    space.put(a=1)
    space.start("one", 1)
    if state is RunState.RUNNING:
        space.database.set_run_state("one", state)
    for change in (
        lambda: space.put(b=1),
        lambda: space.remove("a"),
        lambda: space.move({"a": "b"}),
        lambda: delete(space, "one"),
    ):
        with pytest.raises(Conflict, match=f"is {state}"):
            change()
    assert space.shows() == {"a": 1}


def test_of_two_starts_one_wins_and_a_change_meanwhile_is_noticed(space: Space) -> None:
    space.put(a=1)
    space.put(b=1)
    with pytest.raises(Conflict, match="changed"):
        space.start("one", 1)
    space.start("one", 2)
    space.run("two", parent="one")
    with pytest.raises(Conflict, match="queued"):
        space.start("two", 2)


def test_files_and_folders_do_not_stand_in_each_others_place(space: Space) -> None:
    space.put(a__b=1, c=1)
    for refused in ({"a": 1}, {"c__d": 1}, {"x": 1, "x__y": 1}):
        with pytest.raises(InvalidInput, match=r"folder|file"):
            space.put(**refused)
    with pytest.raises(InvalidInput, match="folder"):
        space.move({"c": "a"})
    with pytest.raises(NotFound, match="nope"):
        space.move({"nope": "x"})
    space.move({"a/b": "a"})  # what is in the way leaves
    assert space.shows() == {"a": 1, "c": 1}


def delete(space: Space, run: str) -> None:
    with space.database.transaction() as transaction:
        workspace_runs.delete_run(transaction, run)


def test_a_workspace_goes_with_the_last_run_that_has_it(space: Space) -> None:
    space.put(a=1)
    space.run("two", parent="one")
    delete(space, "one")
    assert space.shows() == {"a": 1}
    assert workspaces.usage(space.database, "me") == 1
    assert [row[2] for row in workspace_runs.runs_of(space.database, space.id)] == [True, False]
    delete(space, "two")
    assert workspaces.usage(space.database, "me") == 0
    assert workspaces.places(space.database) == set()
    with pytest.raises(NotFound):
        workspaces.get(space.database, space.id)
    with pytest.raises(NotFound, match="deleted"):
        space.put(b=1)


def test_what_a_workspace_names_is_not_removed(space: Space) -> None:
    """Also years later: retention takes what old runs have made, but not what their users have moved, or a restart shows."""
    database = space.database
    space.start("one", 0)
    space.end("one", [Stored(Artifact(name, size=1), name * 4, 1, name) for name in ("a", "b")])
    a, b = ("aaaa", 1), ("bbbb", 1)
    assert workspaces.places(database) == {a, b}
    assert not upkeep.forget_job(database, *a), "prune takes nothing that a workspace names"
    assert workspaces.places(database, besides={"one"}) == set()
    space.move({"a": "kept"})
    assert workspaces.places(database, besides={"one"}) == {a}
    assert not upkeep.forget_job(database, *a, besides={"one"})
    assert upkeep.forget_job(database, *b, besides={"one"})
    assert not upkeep.forget_job(database, *b, besides={"another"})
    space.run("two", parent="one")
    assert workspaces.places(database, besides={"one"}) == {a, b}
    assert not upkeep.forget_job(database, *b, besides={"one"}), "a restart that is not old has it"
    assert upkeep.forget_job(database, *a, besides={"one"}, damaged=True)


def test_files_count_once_and_what_runs_made_not_at_all(space: Space) -> None:
    space.entries([Stored(Artifact("a", size=5), "k1", 0, "c"), Stored(Artifact("b", size=5), "k1", 0, "c")])
    space.entries([Stored(Artifact("a", size=7), "k2", 0, "c")])
    space.start("one", 2)
    space.end("one", [Stored(Artifact("made", size=100), "k3", 1, "made")])
    space.move({"made": "moved"})
    assert workspaces.usage(space.database, "me") == 12
    assert workspaces.usage(space.database, "you") == 0


def test_a_run_without_a_workspace_can_be_deleted_too(database: Database) -> None:
    database.create_run(run="cat", name="n", owner="me")
    with database.transaction() as transaction:
        workspace_runs.delete_run(transaction, "cat")
    use = workspace_runs.of_run(database, "cat")
    assert use is not None
    assert use.deleted_at > 0
    assert workspace_runs.of_run(database, "other") is None


@pytest.mark.parametrize(
    ("given", "kept"), [("/a/b", "a/b"), ("./a", "a"), ("//a/", "a"), ("a b/ü+%", "a b/ü+%"), ("././/a", "a")]
)
def test_paths_are_kept_in_one_form(given: str, kept: str) -> None:
    assert clean_path(given) == kept


@pytest.mark.parametrize("path", ["", "/", "..", "a/../b", "/../etc/passwd", "a//b", "a/./b", "a\0", "a\nb", "\x1b[1m"])
def test_paths_that_no_file_may_have_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        clean_path(path)


@given(st.text(max_size=2000))
def test_any_text_is_a_path_inside_or_refused(text: str) -> None:
    try:
        path = clean_path(text)
    except InvalidInput:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert clean_path(path) == path
