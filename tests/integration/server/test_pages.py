"""Pages as a browser without JavaScript gets them: what they show, what they refuse, what they never let through."""

from __future__ import annotations

import io
import re

import pytest
from browsing import FAST, axes, begin, csrf, send
from serving import PASSWORD, THEORY, World

from reana_lite.database import campaigns
from reana_lite.server.pages import words

KB_LIMIT = 50_000


def test_nobody_is_sent_to_sign_in(world: World) -> None:
    client = world.app.test_client()
    for path in ("/", "/runs", "/campaigns", "/compare", "/profile", "/admin", "/analyses/tiny"):
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert answer.location.startswith("/sign-in?next="), path
    assert client.get("/help").status_code == 200


def test_signing_in_and_out(world: World) -> None:
    client = world.app.test_client()
    wrong = client.post("/sign-in", data={"name": "alice", "password": "wrong"})
    assert wrong.status_code == 401
    assert "name or password are wrong" in wrong.text
    right = client.post("/sign-in", data={"name": "alice", "password": PASSWORD, "next": "/runs?state=failed"})
    assert right.location == "/runs?state=failed"
    assert "alice" in client.get("/").text
    assert send(client, "/sign-out").location == "/sign-in"
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"])
def test_signing_in_leads_nowhere_else(world: World, address: str) -> None:
    answer = world.app.test_client().post("/sign-in", data={"name": "alice", "password": PASSWORD, "next": address})
    assert answer.location == "/"


def test_every_page_is_small_strict_and_without_anything_inline(world: World) -> None:
    client = world.browser("root")
    run = begin(client, p__n="2")
    campaign = begin(client, "counting", theory="scan", **axes(2000, 2200, 0), **FAST)
    world.drive()
    pages = ["/", "/analyses/tiny", "/analyses/counting", "/runs", f"/runs/{run}", f"/runs/{run}?stage=say&node=/say/0",
             f"/runs/{run}/files/", f"/runs/{run}/files/say/said.txt", f"/runs/{run}/log?node=/say/0", "/campaigns",
             f"/campaigns/{campaign}", "/compare", f"/compare?of={campaign}", "/profile", "/admin", "/help", "/sign-in",
             "/nowhere"]  # fmt: skip
    for path in pages:
        answer = client.get(path)
        assert answer.status_code == (404 if path == "/nowhere" else 200), (path, answer.text)
        assert len(answer.data) < KB_LIMIT, path
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy, path
        assert "script-src 'self'" in policy, path
        assert "<!doctype html>" in answer.text, path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", answer.text), path


def test_a_form_without_its_token_is_refused(world: World) -> None:
    client = world.browser("alice")
    answer = client.post("/analyses/tiny", data={"do": "run"})
    assert answer.status_code == 403
    assert "expired" in answer.text
    assert not world.database.list_runs()


def test_a_run_by_the_form(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="3", p__word="good bye", name="mine")
    queued = client.get(f"/runs/{run}").text
    assert "hx-trigger" in queued
    world.drive()
    page = client.get(f"/runs/{run}").text
    assert "mine.1" in page
    assert "2 of 2 steps" in page
    assert "hx-trigger" not in page, "a run that is over is not asked about any more"
    assert client.get(f"/runs/{run}/raw/say/said.txt").text == "good bye\n3\n"


def test_a_theory_file_by_the_form(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, "counting", theory="files", file=(io.BytesIO(THEORY), "my.yml"), **FAST)
    world.drive()
    page = client.get(f"/runs/{run}").text
    assert "Excluded at 95 % CL" in page
    assert "Upper limit on signal strength" in page
    assert client.get(f"/runs/{run}/yields.svg").mimetype == "image/svg+xml"
    assert client.get(f"/runs/{run}/result.csv").text.startswith("name,observed")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"p__n": "1000"}, "from 0 to 100"),
        ({"p__code": "a`b`"}, "code"),
        ({"theory": "files"}, "no theory file was chosen"),
        ({"theory": "strange"}, "theory is given by"),
        ({"p__nonsense": "1"}, "no parameter"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(world: World, values: dict[str, str], said: str) -> None:
    client = world.browser("alice")
    page = send(client, "/analyses/tiny", 400, do="run", p__word="hello", **values).text
    assert 'role="alert"' in page
    assert said in page
    for name in values:
        if name in ("p__n", "p__code"):
            assert re.search(rf'id="p-{name[3:]}"[^>]*aria-invalid="true"', page), page
            assert f'value="{values[name]}"' in page, "what was typed is still there"
    assert not world.database.list_runs()


def test_the_plan_says_what_is_there(world: World) -> None:
    client = world.browser("alice")
    before = send(client, "/analyses/tiny", 200, do="plan", p__n="4").text
    assert "0 of 2 steps are there already" in before
    begin(client, p__n="4")
    world.drive()
    after = send(client, "/analyses/tiny", 200, do="plan", p__n="4").text
    assert "2 of 2 steps are there already" in after
    assert len(world.database.list_runs()) == 1


def test_a_scan_by_the_form_to_its_contour(world: World) -> None:
    client = world.browser("alice")
    values = axes(1800, 2400, 0) | {"a__gluino__m_lsp__to": "800", "a__gluino__m_lsp__step": "800"}
    campaign = begin(client, "counting", theory="scan", **values, **FAST)
    planned = client.get(f"/campaigns/{campaign}").text
    assert planned.count('<use href="#k-planned"') + planned.count('<use href="#k-queued"') == 8
    assert "s-observed" not in planned
    world.drive()
    page = client.get(f"/campaigns/{campaign}").text
    assert '<path class="s-observed"' in page
    assert page.count('<use href="#k-excluded"') > 1
    assert "Mass limits" in page
    point = campaigns.points(world.database, campaign)[0]
    assert f'href="/runs/{point.run}"' in page
    assert "8 of 8 points over" in page


def test_a_scan_over_one_axis_is_drawn_with_its_crossing(world: World) -> None:
    client = world.browser("alice")
    campaign = begin(client, "counting", theory="scan", **axes(1800, 2600, 0), **FAST)
    assert "Upper limits along" not in client.get(f"/campaigns/{campaign}").text
    world.drive()
    page = client.get(f"/campaigns/{campaign}").text
    assert "Upper limits along m(gluino) [GeV]" in page, "what the analysis calls its axis"
    assert '<path class="s-crossing observed"' in page
    assert f'<a href="/compare/row.pdf?of={campaign}' in page
    figure = client.get(f"/compare/row.svg?of={campaign}")
    assert figure.mimetype == "image/svg+xml"
    assert client.get(f"/compare/contour.svg?of={campaign}").status_code == 400


def test_what_has_not_changed_is_not_sent_again(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="2")
    part = client.get(f"/runs/{run}/live")
    seen = re.search(r"seen=([0-9a-f]{16})", part.text)
    assert seen is not None
    assert client.get(f"/runs/{run}/live?seen={seen[1]}").status_code == 204
    world.drive()
    after = client.get(f"/runs/{run}/live?seen={seen[1]}")
    assert after.status_code == 200
    assert "hx-get" not in after.text.partition("\n")[0], "it is over: nothing asks any more"


def test_a_campaign_is_changed_from_its_page(world: World) -> None:
    client = world.browser("alice")
    campaign = begin(client, "tiny", theory="table", points=(io.BytesIO(b"n\n1\n13\n"), "points.csv"))
    world.drive()
    page = client.get(f"/campaigns/{campaign}").text
    assert "1 points failed or were refused" in page
    assert "Retry the 1 failed" in page
    send(client, f"/campaigns/{campaign}/retry")
    assert "tried again" in client.get(f"/campaigns/{campaign}").text
    assert "tried again" not in client.get(f"/campaigns/{campaign}").text, "it is said once"
    send(client, f"/campaigns/{campaign}/stop")
    assert campaigns.get(world.database, campaign).stopped_at
    assert client.get(f"/campaigns/{campaign}?state=failed").status_code == 200


def test_a_failed_step_says_why_and_what_to_do(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="13")
    world.drive()
    page = client.get(f"/runs/{run}").text
    assert "/count/0" in page
    assert "<strong>exit</strong>" in page
    assert "counting to 13" in page
    assert "its log says why" in page


def test_stop_rerun_and_clone(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="5", name="first")
    send(client, f"/runs/{run}/stop")
    assert str(world.database.get_run(run).state) == "stopped"
    again = send(client, f"/runs/{run}/rerun").location.rpartition("/")[2]
    assert world.database.get_run(again).parent == run
    assert re.search(r'id="p-n"[^>]*value="5"', client.get(f"/analyses/tiny?like={run}").text)


def test_other_peoples_things_are_not_there(world: World) -> None:
    run = begin(world.browser("alice"), p__n="6")
    campaign = begin(world.browser("alice"), "tiny", theory="table", points=(io.BytesIO(b"n\n8\n"), "points.csv"))
    world.drive()
    bob = world.browser("bob")
    for path in ("", "/live", "/files/", "/raw/say/said.txt", "/log?node=/say/0", "/result.json", "/yields.svg"):
        assert bob.get(f"/runs/{run}{path}").status_code == 404, path
    for path in (
        f"/campaigns/{campaign}",
        f"/campaigns/{campaign}/live",
        f"/compare?of={run}",
        f"/compare?of={campaign}",
    ):
        assert bob.get(path).status_code == 404, path
    for path in (f"/runs/{run}/stop", f"/runs/{run}/rerun", f"/campaigns/{campaign}/stop"):
        send(bob, path, 404)
    assert bob.get(f"/runs?campaign={campaign}").status_code == 404
    assert run not in bob.get("/runs").text


def test_what_is_shared_is_seen_and_not_changed(world: World) -> None:
    from reana_lite.database import shares

    campaign = begin(world.browser("alice"), "tiny", theory="table", points=(io.BytesIO(b"n\n8\n"), "points.csv"))
    world.drive()
    shares.add(world.database, "campaign", campaign, "bob")
    bob = world.browser("bob")
    page = bob.get(f"/campaigns/{campaign}").text
    assert "1 of 1 points over" in page
    assert 'method="post" action="/campaigns/' not in page, "no button that would be refused"
    run = campaigns.points(world.database, campaign)[0].run
    assert run in bob.get(f"/runs?campaign={campaign}").text
    assert bob.get(f"/runs/{run}").status_code == 200
    send(bob, f"/campaigns/{campaign}/stop", 403)


def test_who_only_reads_has_no_form_and_cannot_submit(world: World) -> None:
    eve = world.browser("eve")
    page = eve.get("/analyses/tiny").text
    assert "may look here, but not submit" in page
    assert 'id="submit-form"' not in page
    token = csrf(eve, "/profile")
    assert eve.post("/analyses/tiny", data={"csrf": token, "do": "run"}).status_code == 403


def test_administration_is_for_administrators(world: World) -> None:
    assert world.browser("alice").get("/admin").status_code == 403
    root = world.browser("root")
    send(root, "/admin/users/create", name="carol", password="a long password", role="user")
    assert "carol may sign in now" in root.get("/admin").text
    send(root, "/admin/users/quota", name="carol", limit_gb="2", role="read-only")
    page = root.get("/admin").text
    assert "2.0 GB" in page
    send(root, "/admin/users/disable", name="carol")
    assert "disabled" in root.get("/admin").text
    assert (
        world.app.test_client().post("/sign-in", data={"name": "carol", "password": "a long password"}).status_code
        == 401
    )
    send(world.browser("alice"), "/admin/users/create", 403, name="mallory", password="a long password", role="admin")


def test_tokens_are_shown_once_and_revoked(world: World) -> None:
    client = world.browser("alice")
    page = send(client, "/profile/tokens", 200, name="laptop", role="user", days="30", once="a").text
    found = re.search(r'id="new-token">([^<]+)<', page)
    assert found is not None
    assert found[1] not in client.get("/profile").text
    client_of_token = world.app.test_client()
    header = {"Authorization": f"Bearer {found[1]}"}
    assert client_of_token.get("/runs", headers=header).status_code == 200
    revoke = re.search(r'action="(/profile/tokens/[^"]+/revoke)"[^>]*>(?:(?!</form>).)*Revoke laptop', page, re.S)
    assert revoke is not None
    send(client, revoke[1])
    assert client_of_token.get("/runs", headers=header).status_code == 302


def test_a_reload_makes_no_second_token(world: World) -> None:
    client = world.browser("alice")
    once = re.search(r'name="once" value="([^"]+)"', client.get("/profile").text)
    assert once is not None
    form = {"name": "laptop", "role": "user", "days": "30", "once": once[1]}
    first = send(client, "/profile/tokens", 200, **form).text
    again = send(client, "/profile/tokens", 303, **form)
    assert "shown only once" in client.get(again.location).text
    assert client.get("/profile").text.count("Revoke laptop") == 1
    assert once[1] not in first, "the next form makes another one"
    send(client, "/profile/tokens", 303, **{**form, "once": ""})
    assert client.get("/profile").text.count("Revoke laptop") == 1


def test_texts_of_users_are_shown_and_never_obeyed(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="9", name="<script>alert(1)</script>".replace("/", "\\"))
    page = client.get(f"/runs/{run}").text + client.get("/runs").text + client.get(f"/compare?of={run}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    search = client.get('/runs?name="><img src=x onerror=alert(1)>').text
    assert "<img" not in search


def test_a_log_with_terminal_escapes_is_plain(world: World) -> None:
    assert words.log_text(b"\x1b[31mred\x1b[0m\x1b]0;title\x07 10%\r 20%\r\nnext\x00\x9b") == " 20%\nnext��"
    assert words.log_text(b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\") == "link"
    assert words.plain("a\u202eb\x1b") == "a�b�"


def test_files_that_steps_write_run_nothing(world: World) -> None:
    from reana_lite.media import checked_type
    from reana_lite.server.pages.files import preview

    assert checked_type("x.html", b"<script>") == "text/plain"
    assert checked_type("x.svg", b"<svg>") == "image/svg+xml"
    assert checked_type("x.png", b"<script>") == "application/octet-stream"
    assert checked_type("x.pdf", b"<script>") == "application/octet-stream"
    assert checked_type("x", b"\0") == "application/octet-stream"
    assert preview("t.csv", b"a,b\n1,<b>\n", 10)["rows"] == [["a", "b"], ["1", "<b>"]]
    assert preview("t.json", b'{"a": [1]}', 10)["text"] == '{\n  "a": [\n    1\n  ]\n}'
    client = world.browser("alice")
    run = begin(client, p__n="1")
    world.drive()
    answer = client.get(f"/runs/{run}/raw/say/said.txt")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.mimetype == "text/plain"
    assert client.get(f"/runs/{run}/raw/say/said.txt?keep").headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "path", ["../../../etc/passwd", "..%2f..%2fetc/passwd", "/etc/passwd", "say/../../../records.db", "%00"]
)
def test_no_path_leads_out_of_a_run(world: World, path: str) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="1")
    world.drive()
    for door in ("raw", "files"):
        answer = client.get(f"/runs/{run}/{door}/{path}")
        assert answer.status_code in (302, 308, 404), (door, answer.status_code)
        assert b"root:" not in answer.data


def test_downloads_of_a_comparison(world: World) -> None:
    client = world.browser("alice")
    values = axes(1800, 2200, 0) | {"a__gluino__m_lsp__to": "800", "a__gluino__m_lsp__step": "800"}
    campaign = begin(client, "counting", theory="scan", **values, **FAST)
    world.drive()
    table = client.get(f"/compare/results.csv?of={campaign}")
    assert table.text.count("\r\n") == 7
    assert table.headers["Content-Disposition"].startswith('attachment; filename="results.csv"')
    assert r"\begin{tabular}" in client.get(f"/compare/mass-limits.tex?of={campaign}").text
    assert isinstance(client.get(f"/compare/all.json?of={campaign}").json, list)
    assert client.get(f"/compare/contour.pdf?of={campaign}").data.startswith(b"%PDF")
    assert client.get(f"/compare/contour.exe?of={campaign}").status_code == 404
    plot = client.get(f"/compare/interactive?of={campaign}")
    assert "script-src 'self';" in plot.headers["Content-Security-Policy"]
    assert '"customdata"' in plot.text


def test_a_laptop_needs_no_accounts(laptop: World) -> None:
    client = laptop.browser("laptop")
    page = client.get("/").text
    assert "Sign out" not in page
    assert begin(client, p__n="1")


def test_formulas_in_csv_are_defused() -> None:
    from reana_lite.result.forms import cell

    assert cell("=1+1") == "'=1+1"
    assert cell("@SUM(A1)") == "'@SUM(A1)"
    assert cell(-1.5) == -1.5


def test_an_extension_needs_every_axis(world: World) -> None:
    client = world.browser("alice")
    campaign = begin(client, "counting", theory="scan", **(axes(2000, 2200, 300)), **FAST)
    page = client.get(f"/campaigns/{campaign}").text
    assert 'name="a.m_lsp.from" value="300"' in page, "what all points have is filled in"
    where = f"/campaigns/{campaign}/extend"
    assert "m_lsp has no value" in client.get(send(client, where, a__m_gluino__from="2400").location).text
    send(client, where, a__m_gluino__from="2400", a__m_lsp__from="300")
    points = [dict(row.point.values) for row in campaigns.all_points(world.database, campaign)]
    assert points[-1] == {"m_gluino": 2400, "m_lsp": 300}
    assert len(points) == 3


def test_a_run_and_a_campaign_are_shared_from_their_pages(world: World) -> None:
    alice, bob = world.browser("alice"), world.browser("bob")
    run = begin(alice, p__n="2")
    campaign = begin(alice, "counting", theory="scan", **axes(2000, 2200, 0), **FAST)
    assert bob.get(f"/runs/{run}").status_code == 404
    assert "no user" in alice.get(send(alice, f"/runs/{run}/share", user="nobody").location).text
    for kind, name in (("runs", run), ("campaigns", campaign)):
        send(alice, f"/{kind}/{name}/share", user="bob")
        assert bob.get(f"/{kind}/{name}").status_code == 200
        assert name not in bob.get(f"/{kind}").text
        assert name in bob.get(f"/{kind}?shared=1").text
        assert "Shared with" not in bob.get(f"/{kind}/{name}").text, "only who may change it shares it on"
        send(bob, f"/{kind}/{name}/share", 403, user="eve")
        send(alice, f"/{kind}/{name}/share", user="bob", end="1")
        assert bob.get(f"/{kind}/{name}").status_code == 404


def test_a_deleted_run_is_listed_no_more(world: World) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="2")
    world.drive()
    assert world.client("alice").delete(f"/api/v1/runs/{run}").status_code in (200, 204)
    for page in ("/", "/runs", "/compare"):
        assert run not in client.get(page).text, page


def test_how_long_a_token_lives_is_a_number(world: World) -> None:
    client = world.browser("alice")
    for days in ("1O", "0", "-3", ""):
        answer = send(client, "/profile/tokens", name="t", role="user", days=days, once="a")
        assert "a token ends after 1 to 3650 days" in client.get(answer.location).text
    assert client.get("/profile").text.count(">Revoke<") == 1, "only the one there was before"


def test_the_first_account_is_an_administrators(laptop: World) -> None:
    client = laptop.browser("laptop")
    new = {"name": "mallory", "password": PASSWORD, "role": "user"}
    send(client, "/admin/users/create", **new)
    from reana_lite.database import users

    assert not users.are_there(laptop.database)


def test_a_long_log_is_not_read_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = world.browser("alice")
    run = begin(client, p__n="2")
    world.drive()
    text = b"0123456789abcde\n" * 20_000
    asked: list[int] = []

    def log(key: str, attempt: int, offset: int = 0, *, limit: int | None = None) -> bytes:
        part = text[offset:] if limit is None else text[offset:][:limit]
        asked.append(len(part))
        return part

    monkeypatch.setattr(world.storage, "log", log)
    page = client.get(f"/runs/{run}/log?node=/say/0").text
    assert "its first 288 kB are not shown" in page
    assert page.count("0123456789abcde") == 2000
    assert sum(asked) < 80_000
    assert client.get(f"/runs/{run}/log?node=/say/0&raw=1").data == text
