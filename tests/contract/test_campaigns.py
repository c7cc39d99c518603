"""What the records of campaigns must do on every database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reana_lite.campaign import Request
from reana_lite.database import Database, campaigns, workers
from reana_lite.database.campaigns import CampaignRecord, PlannedRun
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.event import RunState
from reana_lite.theory.scan import Point, grid, parse_axis

POINTS = tuple(grid([parse_axis("m=1:5:1")]))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def make(database: Database, name: str = "c", digest: str = "d", points: tuple[Point, ...] = POINTS) -> CampaignRecord:
    return campaigns.create(
        database,
        name=name,
        owner="me",
        digest=digest,
        request=Request(("a", "b"), assignments=("n=1",)),
        points=((target, point) for target in ("a", "b") for point in points),
        skipped={"unphysical": 3},
    )


def run(name: str) -> PlannedRun:
    return PlannedRun(name, "analysis", "theory", {"asked": {}}, ("RunStarted", {"n": name}))


def fill(database: Database, record: CampaignRecord, numbers: range, prefix: str = "r", refused: int = 0) -> list[str]:
    runs = {n: run(f"{prefix}{n}") for n in numbers if n != refused}
    with database.transaction() as transaction:
        return campaigns.fill(transaction, record, runs, {refused: "no \0 good"} if refused else {})


def end(database: Database, name: str, state: RunState) -> None:
    database.set_run_state(name, RunState.RUNNING)
    database.set_run_state(name, state, error="why" if state is RunState.FAILED else "")


def test_a_campaign_and_its_points_are_read_as_written(database: Database) -> None:
    record = make(database)
    assert record.request == Request(("a", "b"), assignments=("n=1",))
    assert record.skipped == {"unphysical": 3}
    rows = list(campaigns.all_points(database, record.id))
    assert [(row.number, row.target, row.point) for row in rows] == [
        (n, target, point) for n, (target, point) in enumerate(((t, p) for t in "ab" for p in POINTS), 1)
    ]
    assert {row.state for row in rows} == {"planned"}
    assert campaigns.progress(database, record.id).points == {"planned": 10}
    assert [row.number for row in campaigns.points(database, record.id, after=3, limit=2)] == [4, 5]


def test_the_same_request_is_the_same_campaign_and_names_are_given_once(database: Database) -> None:
    first = make(database)
    assert make(database, name="other") == first
    assert campaigns.find(database, "d", owner="me") == first
    assert campaigns.find(database, "d", owner="you") is None
    second = make(database, digest="e")
    assert (first.name, second.name, make(database, digest="f").name) == ("c", "c-2", "c-3")
    assert campaigns.get(database, "c", owner="me") == first
    assert campaigns.get(database, second.id) == second
    assert campaigns.get(database, second.id[:7], owner="me") == second
    assert campaigns.get(database, "latest").name == "c-3"
    with pytest.raises(InvalidInput, match="several campaigns"):
        campaigns.get(database, "c-")
    with pytest.raises(NotFound, match="no campaign 'x'"):
        campaigns.get(database, "x")
    with pytest.raises(NotFound):
        campaigns.get(database, "c", owner="you")


def test_points_get_their_runs_once(database: Database) -> None:
    record = make(database)
    assert fill(database, record, range(1, 5), refused=2) == ["r1", "r3", "r4"]
    assert fill(database, record, range(1, 6), prefix="s") == ["s5"], "the others have theirs, or were refused"
    rows = {row.number: row for row in campaigns.all_points(database, record.id)}
    assert [rows[n].run for n in range(1, 7)] == ["r1", "", "r3", "r4", "s5", ""]
    assert (rows[2].state, rows[2].error) == ("refused", "no \ufffd good")
    assert campaigns.queue_length(database, record.id) == 4
    one = database.get_run("r3")
    assert (one.full_name, one.campaign, one.state, one.next_seq) == ("c.2", record.id, "queued", 1)
    assert database.read_events("r3") == [(0, "RunStarted", {"n": "r3"})]
    assert [row.number for row in campaigns.points(database, record.id, states=["refused"])] == [2]
    assert [row.number for row in campaigns.points(database, record.id, states=["planned"])] == list(range(6, 11))
    assert [row.number for row in campaigns.points(database, record.id, states=["queued", "refused"])] == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_workers_take_the_runs_of_one_campaign_so_many_at_a_time(database: Database) -> None:
    record, other = make(database), make(database, digest="e")
    fill(database, record, range(1, 6))
    fill(database, other, range(1, 3), prefix="o")
    database.create_run(run="alone", name="x", owner="me")
    assert len(workers.claim_runs(database, "w", lease_s=60, campaign=record.id, limit=2)) == 2
    taken = workers.claim_runs(database, "w", lease_s=60, campaign=record.id)
    assert [name for name, _ in taken] == ["r3", "r4", "r5"]
    assert sorted(database.unfinished(campaign=record.id)) == ["r1", "r2", "r3", "r4", "r5"]
    assert sorted(database.unfinished(campaign=other.id)) == ["o1", "o2"]


def test_what_failed_is_opened_again_as_a_restart(database: Database) -> None:
    record = make(database)
    fill(database, record, range(1, 5), refused=4)
    end(database, "r1", RunState.FINISHED)
    end(database, "r2", RunState.FAILED)
    rows = {row.number: row for row in campaigns.all_points(database, record.id, states=["failed", "refused"])}
    assert {n: row.error for n, row in rows.items()} == {2: "why", 4: "no \ufffd good"}
    with database.transaction() as transaction:
        assert campaigns.reopen(transaction, record.id, states=("failed", "refused")) == 2
    assert fill(database, record, range(1, 5), prefix="s") == ["s2", "s4"]
    again = database.get_run("s2")
    assert (again.full_name, again.parent) == ("c.2.1", "r2")
    assert database.get_run("s4").full_name == "c.4"
    assert campaigns.progress(database, record.id).points == {"finished": 1, "queued": 3, "planned": 6}


def test_extended_it_takes_only_new_points(database: Database) -> None:
    record = make(database)
    with database.transaction() as transaction:
        points = [("a", point) for point in grid([parse_axis("m=4:7:1")])]
        assert campaigns.add_points(transaction, record.id, [*points, *points]) == 2
        campaigns.update(transaction, record.id, request=Request(("a",)), skipped={})
    rows = list(campaigns.all_points(database, record.id))
    assert [(row.number, row.point.name) for row in rows[10:]] == [(11, "m=6"), (12, "m=7")]
    assert campaigns.get(database, record.id).request == Request(("a",))


def test_stopped_it_gets_no_more_runs(database: Database) -> None:
    record = make(database)
    fill(database, record, range(1, 4))
    end(database, "r1", RunState.FINISHED)
    workers.claim_runs(database, "w", lease_s=60, only=["r2"])
    assert campaigns.stop(database, record.id, by="me") == 2
    assert database.get_run("r3").state is RunState.STOPPED
    assert database.get_run("r2").stop_by == "me", "its worker will hear of it"
    assert fill(database, record, range(4, 6)) == []
    assert campaigns.progress(database, record.id).stopped
    with database.transaction() as transaction:
        assert campaigns.reopen(transaction, record.id, states=("stopped",)) == 1
    assert fill(database, record, range(3, 6), prefix="s") == ["s3", "s4", "s5"]


def test_superseded_runs_are_ended(database: Database) -> None:
    record = make(database)
    fill(database, record, range(1, 4))
    with database.transaction() as transaction:
        campaigns.reopen(transaction, record.id, states=("queued",))
    fill(database, record, range(2, 4), prefix="s")
    with database.transaction() as transaction:
        campaigns.stop_superseded(transaction, record.id, by="me")
    states = {name: database.get_run(name).state for name in ("r1", "r2", "r3", "s2", "s3")}
    assert {name for name, state in states.items() if state is RunState.STOPPED} == {"r1", "r2", "r3"}


def test_many_at_once_fill_each_point_once(database: Database) -> None:
    record = make(database)
    created: list[list[str]] = []
    start = threading.Barrier(4)

    def work(prefix: str) -> None:
        start.wait(10)
        created.append(fill(database, record, range(1, 11), prefix=prefix))

    threads = [threading.Thread(target=work, args=(prefix,)) for prefix in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(map(len, created)) == 10
    names = [row.full_name for row in database.list_runs(campaign=record.id)]
    assert sorted(names) == sorted(f"c.{n}" for n in range(1, 11))


def test_many_create_the_same_campaign_at_once(database: Database) -> None:
    made: list[str] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(10)
        made.append(make(database).id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 4
    assert len(set(made)) == 1
    assert campaigns.progress(database, made[0]).total == 10


@pytest.mark.slow
def test_a_hundred_thousand_points_are_rows(tmp_path: Path) -> None:
    import time

    database = Database(f"sqlite:///{tmp_path}/many.db")
    began = time.process_time()
    points = tuple(grid([parse_axis("m=1:50000:1")]))
    record = make(database, points=points)
    assert time.process_time() - began < 20
    began = time.process_time()
    assert campaigns.progress(database, record.id).total == 100_000
    page = campaigns.points(database, record.id, states=["planned"], limit=100)
    assert len(page) == 100
    assert campaigns.queue_length(database, record.id) == 0
    assert time.process_time() - began < 2
    database.close()
