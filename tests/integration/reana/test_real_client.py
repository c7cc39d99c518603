"""An unmodified reana-client 0.9.6 and recast-atlas 0.4.2 drive the server through all that they can do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from reana_served import Served
from serving import until


def ended(reana: Served, name: str, status: str = "finished") -> dict[str, Any]:
    """The status of a workflow once it is over."""
    client = reana.world.client()
    path = f"/api/workflows/{name}/status?access_token={reana.world.tokens['alice']}"

    def over() -> Any:
        document = client.get(path).get_json()
        return document if document["status"] in ("finished", "failed", "stopped") else None

    document: dict[str, Any] = until(over, name)
    assert document["status"] == status, reana("logs", "-w", name)
    return document


def test_a_serial_workflow_from_create_to_delete(reana: Served) -> None:
    folder = reana.example("serial")
    assert "Connected" in reana("ping")
    assert "kubernetes" in reana("info")
    assert "used" in reana("quota-show", "--resource", "disk")
    assert "ms" not in reana("quota-show", "--resource", "cpu", "--report", "usage", "--human-readable")
    assert "wf.1" in reana("create", "-w", "wf")
    said = reana("upload", "-w", "wf")
    assert all(f"{name} was successfully uploaded" in said for name in ("/data/b/c.txt", "/code/count.sh"))
    assert "created" in reana("status", "-w", "wf")
    assert "/data/b" in reana("du", "-w", "wf")
    reana("start", "-w", "wf")
    ended(reana, "wf")
    shown = json.loads(reana("status", "-w", "wf.1", "--json", "-v", "--include-duration"))[0]
    assert (shown["status"], shown["progress"], shown["run_number"]) == ("finished", "3/3", "1")
    listed = {one["name"] for one in json.loads(reana("ls", "-w", "wf", "--json"))}
    assert {"reana.yaml", "code/count.sh", "data/a.txt", "data/b/c.txt", "results/all.txt", "scrap.tmp"} <= listed
    assert "results/said.txt" in reana("ls", "-w", "wf", "results/*.txt")
    logs = reana("logs", "-w", "wf")
    assert all(
        word in logs for word in ("counted to 2", "summed", "finished", "Step: count", "sh code/count.sh hello 2")
    )
    assert "summed" not in reana("logs", "-w", "wf", "--filter", "step=count")
    assert json.loads(reana("logs", "-w", "wf", "--json"))["job_logs"]
    reana("download", "-w", "wf", "results/all.txt")
    assert (folder / "results/all.txt").read_text() == "a\nc\nhello\nhello\nmore\n"
    assert reana("download", "-w", "wf", "results", "-o", "-").count("hello") == 4
    assert "more" in reana("download", "-w", "wf", "results/s*.txt", "-o", "-")
    reana("download", "-w", "wf")
    assert (folder / "wf.1.zip").exists()
    assert "does not exist" in reana("download", "-w", "wf", "nope.txt", code=1)
    reana("mv", "-w", "wf", "scrap.tmp", "results/kept.tmp")
    assert "results/kept.tmp" in reana("ls", "-w", "wf")
    assert "results/kept.tmp" in reana("rm", "-w", "wf", "results/kept.tmp")
    assert "did not match" in reana("rm", "-w", "wf", "results/kept.tmp", code=None)
    assert "pruned" in reana("prune", "-w", "wf")
    assert "results/all.txt" in reana("ls", "-w", "wf")
    assert "wf" in reana("list", "-v", "--include-progress")
    reana("retention-rules-list", "-w", "wf")
    assert "no interactive sessions" in reana("open", "-w", "wf", code=1)
    assert "no open interactive session" in reana("close", "-w", "wf", code=1)
    assert "cannot be started again" in reana("start", "-w", "wf", code=1)
    reana("delete", "-w", "wf")
    assert "deleted" in reana("list", "--all")
    assert "wf" not in reana("list")


def test_a_restart_is_a_run_of_its_own_on_the_same_workspace(reana: Served) -> None:
    reana.example("serial")
    reana("run", "-w", "wf")
    ended(reana, "wf.1")
    assert "wf.1.1" in reana("restart", "-w", "wf.1", "-p", "word=bye", "-o", "TARGET=count")
    ended(reana, "wf.1.1")
    assert "bye" in reana("download", "-w", "wf.1", "results/said.txt", "-o", "-")
    said = reana("diff", "wf.1", "wf.1.1")
    assert "bye" in said
    assert "No differences" not in said
    assert "wf.1.2" in reana("restart", "-w", "wf.1.1", "-o", "FROM=sum")
    document = ended(reana, "wf.1.2")
    assert document["progress"]["total"]["total"] == 1
    assert "bye" in reana("download", "-w", "wf.1.2", "results/all.txt", "-o", "-")
    assert reana.world.database.get_run("wf.1.2").parent == reana.world.database.get_run("wf.1.1").id
    (reana.folder / "reana.yaml").write_text((reana.folder / "reana.yaml").read_text().replace("hello", "new"))
    assert "wf.1.3" in reana("restart", "-w", "wf.1.2", "-f", "reana.yaml")
    ended(reana, "wf.1.3")
    assert "new" in reana("download", "-w", "wf.1.3", "results/said.txt", "-o", "-")
    reana("delete", "-w", "wf.1", "--include-all-runs")
    assert "wf" not in reana("list")


def test_a_yadage_workflow_is_followed_to_its_end(reana: Served) -> None:
    reana.example("yadage")
    said = reana("run", "-w", "yad", "--follow")
    assert "finished" in said
    assert "merge/all.txt" in said
    assert reana("download", "-w", "yad", "merge/all.txt", "-o", "-") == "3\none\n3\ntwo\n"
    assert "one done" in reana("logs", "-w", "yad", "--filter", "step=each")
    reana("create", "-w", "yad")
    reana("upload", "-w", "yad")
    reana("start", "-w", "yad", "-p", "n=5", "--follow")
    assert "yad.2" in reana("diff", "yad.1", "yad.2")
    assert reana("download", "-w", "yad", "merge/all.txt", "-o", "-").startswith("5\n")
    reana("restart", "-w", "yad.1")
    ended(reana, "yad.1.1")
    record = reana.world.database.get_run("yad.1.1")
    assert record.reused == record.finished == 3


def test_a_running_workflow_is_stopped_and_its_files_do_not_change_meanwhile(reana: Served) -> None:
    folder = reana.example("serial")
    text = (folder / "reana.yaml").read_text()
    (folder / "reana.yaml").write_text(text.replace("echo summed", "echo summing; exec sleep 600"))
    reana("run", "-w", "slow")
    until(lambda: "summing" in reana("logs", "-w", "slow"), "the last step")
    assert "running" in reana("status", "-w", "slow")
    assert "results/said.txt" in reana("ls", "-w", "slow")
    for refused in (("upload", "-w", "slow", "reana.yaml"), ("rm", "-w", "slow", "data/a.txt"),
                    ("mv", "-w", "slow", "data/a.txt", "x")):  # fmt: skip
        assert "running" in reana(*refused, code=None)
    assert "cannot be deleted" in reana("delete", "-w", "slow", code=None)
    reana("stop", "-w", "slow", "--force")
    ended(reana, "slow", "stopped")
    assert "not running" in reana("stop", "-w", "slow", "--force", code=None)
    assert "data/a.txt" in reana("rm", "-w", "slow", "data/a.txt")


def test_secrets_come_and_go_and_are_named_to_the_run(reana: Served) -> None:
    reana.example("serial")
    assert "successfully uploaded" in reana("secrets-add", "--env", "MY_PASS=s3cr3t", "--file", "code/count.sh")
    assert "already exist" in reana("secrets-add", "--env", "MY_PASS=other", code=None)
    reana("secrets-add", "--env", "MY_PASS=s3cr3t2", "--overwrite")
    listed = reana("secrets-list")
    assert "MY_PASS" in listed
    assert "count.sh" in listed
    assert "s3cr3t" not in listed
    assert "MY_PASS" not in reana("secrets-list", name="bob")
    reana("run", "-w", "sec")
    ended(reana, "sec")
    log = reana.world.database.read_events(reana.world.database.get_run("sec").id)
    assert log[0][2]["options"]["secrets"] is True  # which a backend that can offer them does
    assert "s3cr3t" not in json.dumps(log)
    assert "MY_PASS" in reana("secrets-delete", "MY_PASS", "count.sh")
    assert "do not exist" in reana("secrets-delete", "MY_PASS", code=None)


def test_tokens_and_other_people(reana: Served) -> None:
    reana.example("serial")
    assert "INVALID ACCESS TOKEN" in reana("ping", name="wrong", code=1)
    reana("create", "-w", "mine")
    record = reana.world.database.get_run("mine")
    for name in ("mine", "mine.1", record.id):
        assert "does not exist" in reana("status", "-w", name, name="bob", code=None)
        assert "does not exist" in reana("delete", "-w", name, name="bob", code=None)
    assert "does not let eve submit" in reana("create", "-w", "x", name="eve", code=1)


def test_uploaded_processes_are_refused_unless_the_operator_allows_them(serve: Callable[..., Served]) -> None:
    reana = serve(work=False, uploaded_processes=False)
    reana.example("serial")
    assert "uploaded workflows need containers" in reana("create", "-w", "wf", code=1)


def test_recast_atlas_submits_and_reads_the_status(reana: Served) -> None:
    folder = reana.example("recast")
    signal = folder.parent / "signal"
    signal.mkdir()
    (signal / "signal.txt").write_text("a signal\n")
    path = folder / "recast.yml"
    path.write_text(path.read_text().replace("SIGNAL", str(signal)))
    reana.more = {"RECAST_ATLAS_CATALOGUE": str(folder)}
    said = reana(
        "submit", "testing/tiny", "--backend", "reana", "--tag", "t", "--infofile", "info.json", program="recast"
    )
    assert "recast-t submitted" in said
    ended(reana, "recast-t")
    assert reana("status", "--infofile", "info.json", "--backend", "reana", program="recast") == "recast-t\tfinished\n"
    assert reana("download", "-w", "recast-t", "merge/all.txt", "-o", "-") == "2\na signal\n"


def test_of_many_submissions_at_once_none_is_lost(reana: Served, client_env: object) -> None:
    specification = {"workflow": {"type": "serial", "specification": {"steps": [
        {"name": "s", "environment": "", "commands": ["cat given > made"]}]}}}  # fmt: skip
    token, errors = f"access_token={reana.world.tokens['alice']}", []

    def submit(number: int) -> None:
        try:
            client = reana.world.client()
            made = client.post(f"/api/workflows?workflow_name=many&{token}", json=specification)
            assert made.status_code == 201, made.text
            name = made.get_json()["workflow_id"]
            sent = client.post(f"/api/workflows/{name}/workspace?file_name=given&{token}", data=f"{number}".encode())
            assert sent.status_code == 200, sent.text
            started = client.post(f"/api/workflows/{name}/start?{token}", json={})
            assert started.status_code == 200, started.text
        except AssertionError as error:
            errors.append(error)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    until(reana.world.is_over)
    listed = json.loads(reana("list", "--json"))
    assert sorted(int(one["run_number"]) for one in listed) == list(range(1, 61))
    assert {one["status"] for one in listed} == {"finished"}
    client = reana.world.client()
    made = set()
    for number in range(1, 61):
        with client.get(f"/api/workflows/many.{number}/workspace/made?{token}") as sent:
            made.add(sent.data)
    assert made == {f"{number}".encode() for number in range(60)}
