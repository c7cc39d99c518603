"""A run and a scan through the one way in, by a worker that is driven; who may see them; hosts, headers, origins, errors."""

from __future__ import annotations

import pytest
from flask import g
from serving import PASSWORD, THEORY

from reana_lite.database import campaigns, shares, tokens, users
from reana_lite.errors import HTTP_STATUS, InvalidInput, NotAllowed, NotFound, ReanaLiteError, Unavailable
from reana_lite.server import auth, guard, here, quota, submissions, uploads
from reana_lite.server.submissions import NewRun, NewScan


@pytest.fixture
def as_(world):
    """Call something as a user, inside a request."""

    def call(name, what):
        with world.app.test_request_context("/", headers={"Authorization": f"Bearer {world.tokens[name]}"}):
            return what()

    return call


def test_a_run_to_its_end(world, as_) -> None:
    record = as_("alice", lambda: submissions.submit_run(NewRun(analysis="tiny", parameters={"n": 3}, name="first")))
    assert record.owner == "alice"
    world.drive()
    done = world.database.get_run(record.id)
    assert done.state == "finished"
    assert done.full_name == "first.1"
    again = as_("alice", lambda: submissions.rerun(done))
    world.drive()
    assert world.database.get_run(again.id).reused == 2
    assert again.parent == record.id


def test_a_scan_to_its_end(world, as_) -> None:
    wanted = NewScan(analyses=["tiny"], axes={"n": "1:4:1"}, name="several")
    record, known = as_("alice", lambda: submissions.submit_scan(wanted))
    assert not known
    world.drive()
    assert campaigns.progress(world.database, record.id).points == {"finished": 4}
    again, known = as_("alice", lambda: submissions.submit_scan(wanted))
    assert known
    assert again.id == record.id


def test_an_uploaded_theory_and_its_copy_brought_back(world, as_) -> None:
    import io
    import shutil

    def upload():
        return uploads.keep_theory_file(here(), auth.caller().name, io.BytesIO(THEORY), "../my theory.yml")

    kept = as_("alice", upload)
    assert (kept.name, kept.format) == ("my_theory.yml", "parameters")
    shutil.rmtree(world.settings.home / "spool")
    wanted = NewRun(analysis="counting", theories=[kept.digest], parameters={"n_events": 100, "blocks": [1]})
    record = as_("alice", lambda: submissions.submit_run(wanted))
    assert record.theory == "my_theory"
    with pytest.raises(NotFound):
        as_("bob", lambda: submissions.submit_run(wanted))


@pytest.mark.parametrize(
    "text", ["a; rm -rf /", "$(id)", "a b", "-rf", "`id`", "x\ny", "a|b", "a>b", "'", '"', "é", "*"]
)
def test_texts_that_a_shell_would_read(world, as_, text) -> None:
    for name in ("note", "code"):
        with pytest.raises(InvalidInput):
            as_("alice", lambda name=name: submissions.submit_run(NewRun(analysis="tiny", parameters={name: text})))


def test_texts_that_are_listed_or_bounded(world, as_) -> None:
    for given in ({"word": "good bye"}, {"code": "ab-c"}, {"note": ""}):
        as_("alice", lambda given=given: submissions.submit_run(NewRun(analysis="tiny", parameters=given)))
    with pytest.raises(InvalidInput, match="free text"):
        as_("alice", lambda: submissions.submit_run(NewRun(analysis="tiny", parameters={"note": "abc"})))
    scan = NewScan(analyses=["tiny"], points=[{"note": "$(id)"}])
    with pytest.raises(InvalidInput):
        as_("alice", lambda: submissions.submit_scan(scan))


@pytest.mark.parametrize("target", ["/etc/passwd", "../tiny", "./tiny", "nothing", "", "tiny/workflow.yml"])
def test_only_the_catalogue(world, as_, target) -> None:
    with pytest.raises(NotFound):
        as_("alice", lambda: submissions.submit_run(NewRun(analysis=target)))
    with pytest.raises(NotFound):
        as_("alice", lambda: submissions.submit_scan(NewScan(analyses=[target], axes={"n": "1:2:1"})))


def test_what_is_somebody_elses_is_not_there(world, as_) -> None:
    record = as_("alice", lambda: submissions.submit_run(NewRun(analysis="tiny")))
    assert as_("alice", lambda: auth.run_named("latest")).id == record.id
    for name in ("bob", "eve"):
        for handle in (record.id, record.full_name, record.id[:6], "latest"):
            with pytest.raises(NotFound):
                as_(name, lambda handle=handle: auth.run_named(handle))
    assert as_("root", lambda: auth.run_named(record.id, auth.Verb.CHANGE)).id == record.id
    shares.add(world.database, "run", record.id, "bob")
    assert as_("bob", lambda: auth.run_named(record.id)).id == record.id
    with pytest.raises(NotAllowed):
        as_("bob", lambda: auth.run_named(record.id, auth.Verb.CHANGE))
    with pytest.raises(NotAllowed):
        as_("eve", lambda: submissions.submit_run(NewRun(analysis="tiny")))


def test_quota(world, as_) -> None:
    from dataclasses import replace

    user = users.get(world.database, "alice")
    users.change(world.database, replace(user, quota=users.Quota(disk_bytes=1)))
    as_("alice", lambda: submissions.submit_run(NewRun(analysis="tiny")))
    world.drive()
    quota.forget()
    with pytest.raises(NotAllowed, match="disk_bytes"):
        as_("alice", lambda: submissions.submit_run(NewRun(analysis="tiny")))


# -- hosts, headers, origins, errors -------------------------------------------------------------------------------------


def test_health(world) -> None:
    for path in ("/healthz", "/readyz"):
        answer = world.client().get(path, headers={"Host": "10.0.0.7:80"})
        assert answer.status_code == 200
        assert answer.json == {"status": "ok"}


@pytest.mark.parametrize(("host", "right"), [
    ("localhost", True), ("localhost:5000", True), ("127.0.0.1", True), ("[::1]:5000", True), ("LOCALHOST.", True),
    ("evil.example.org", False), ("localhost.evil.org", False), ("127.0.0.1.evil.org:5000", False), ("evil@localhost", False),
])  # fmt: skip
def test_hosts(world, host, right) -> None:
    assert guard.is_allowed(host, guard.THIS_MACHINE) is right
    answer = world.client().get("/launch", headers={"Host": host})
    assert answer.status_code == (401 if right else 400)


def test_headers_of_every_answer(world) -> None:
    for path in ("/healthz", "/launch", "/nothing", "/api/v1/nothing", "/api/nothing"):
        answer = world.client().get(path)
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.headers["X-Request-ID"]) == 16


def test_errors_at_each_door(world) -> None:
    api = world.client().get("/api/v1/nothing")
    assert api.status_code == 404
    assert api.json["error"]["error"] == "NotFound"
    reana = world.client().get("/api/nothing")
    assert reana.status_code == 404
    assert set(reana.json) == {"message"}
    page = world.client().get("/no-such-page<script>")
    assert page.status_code in (404, 302)
    assert b"<script>" not in page.data


def test_every_error_has_a_status(world) -> None:
    from reana_lite.server.answers import status_of

    def all_of(cls):
        return {cls}.union(*(all_of(one) for one in cls.__subclasses__()))

    ours = {one for one in all_of(ReanaLiteError) if one.__module__ == "reana_lite.errors"} - {ReanaLiteError}
    assert ours == set(HTTP_STATUS)
    assert status_of(NotAllowed("no", login=True)) == 401
    assert status_of(Unavailable("wait", throttled=True)) == 429


def test_an_error_of_ours_says_nothing_of_itself(world, caplog) -> None:
    @world.app.get("/api/v1/broken")
    def broken():
        raise RuntimeError("secret details")

    answer = world.client().get("/api/v1/broken")
    assert answer.status_code == 500
    assert "secret details" not in answer.text
    assert answer.headers["X-Request-ID"] in answer.json["error"]["message"]
    assert "secret details" in caplog.text


def test_sessions_need_a_token_of_the_form(world) -> None:
    @world.app.post("/api/v1/changing")
    def changing():
        return {"who": auth.caller().name, "csrf": auth.csrf_token()}

    browser = world.browser("alice")
    assert browser.post("/api/v1/changing").status_code == 403
    with world.app.test_request_context(
        "/", headers={"Cookie": f"{auth.COOKIE}={browser.get_cookie(auth.COOKIE).value}"}
    ):
        csrf = auth.csrf_token()
        assert g.caller.name == "alice"
    assert browser.post("/api/v1/changing", headers={"X-CSRF-Token": csrf}).status_code == 200
    assert browser.post("/api/v1/changing", data={"csrf": csrf}).status_code == 200
    for headers in ({"Origin": "https://evil.example.org"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = browser.post("/api/v1/changing", headers={"X-CSRF-Token": csrf, **headers})
        assert answer.status_code == 403
    assert world.client("alice").post("/api/v1/changing").status_code == 200


def test_a_token_in_the_address_is_for_reana_alone(world) -> None:
    @world.app.get("/api/v1/who")
    @world.app.get("/api/who")
    def who():
        return {"who": auth.caller().name}

    token = world.tokens["alice"]
    assert world.client().get(f"/api/who?access_token={token}").json == {"who": "alice"}
    assert world.client().get(f"/api/v1/who?access_token={token}").status_code == 401


def test_logs_without_secrets(world, caplog) -> None:
    line = guard.scrubbed("GET /api/x?access_token=abc&y=1 Authorization: Bearer abc password=abc token=abc")
    assert "abc" not in line
    assert "y=1" in line


def test_launch_works_once(laptop) -> None:
    once, _ = tokens.add(laptop.database, "laptop", kind="launch", role=users.Role.ADMIN, valid_s=60)
    client = laptop.app.test_client()
    answer = client.get(f"/launch?token={once}")
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert laptop.app.test_client().get(f"/launch?token={once}").status_code == 401
    for kind in ("session", "token"):
        secret, _ = tokens.add(laptop.database, "laptop", kind=kind)
        assert laptop.app.test_client().get(f"/launch?token={secret}").status_code == 401


def test_the_laptops_token_ends_when_accounts_begin(laptop) -> None:
    with laptop.app.test_request_context("/", headers={"Authorization": f"Bearer {laptop.tokens['laptop']}"}):
        assert auth.caller().role == "admin"
    users.add(laptop.database, users.User("somebody", users.Role.ADMIN))
    with laptop.app.test_request_context("/", headers={"Authorization": f"Bearer {laptop.tokens['laptop']}"}):
        assert auth.find_caller() is None


def test_login_is_throttled(world) -> None:
    def login(name, password):
        with world.app.test_request_context("/", environ_base={"REMOTE_ADDR": "192.0.2.1"}):
            return auth.login(name, password)

    assert login("alice", PASSWORD)
    assert login("alice@example.org", PASSWORD)
    for _ in range(auth.TRIES):
        with pytest.raises(NotAllowed):
            login("alice", "wrong")
    with pytest.raises(Unavailable) as throttled:
        login("alice", PASSWORD)
    assert throttled.value.details["retry_after_s"] > 0
    assert login("bob", PASSWORD)
    with pytest.raises(NotAllowed):
        login("nobody", PASSWORD)
