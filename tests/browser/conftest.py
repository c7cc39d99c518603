"""A real server, a worker and a real Chromium; without Chromium or playwright these tests are skipped, saying why."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration" / "server"))

from serving import Working, World, make_world

CHROMIUM = os.environ.get("RECAST_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
LIMIT_MS = 60_000


@dataclass
class Site:
    """A served installation with a worker that drives what is submitted."""

    world: World
    url: str

    def session(self, name: str) -> str:
        """The secret of a session of a user."""
        from reana_lite.database import tokens
        from reana_lite.database.users import Role

        secret, _ = tokens.add(self.world.database, name, kind="session", role=Role.ADMIN, valid_s=3600)
        return secret


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests."""
    from werkzeug.serving import make_server

    world = make_world(tmp_path_factory.mktemp("site"))
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with Working(world):
        yield Site(world, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()
    world.database.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    if CHROMIUM is None:
        pytest.skip("no chromium here (apt-get install chromium, or RECAST_TEST_CHROMIUM=path)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """Somebody with a browser, who notes what the browser complains of."""

    def __init__(self, chromium: Any, site: Site, name: str = "alice", **options: Any) -> None:
        self.site = site
        self.context = chromium.new_context(base_url=site.url, **options)
        self.context.set_default_timeout(LIMIT_MS)
        if name:
            cookie = {"name": "recast-session", "value": site.session(name), "url": site.url}
            self.context.add_cookies([cookie])
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.complaints.append(message.text)

    def axe(self) -> list[str]:
        """What axe-core finds serious or critical on this page. It is put in from outside, past the page's own policy."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']} {[node['html'][:160] for node in one['nodes'][:3]]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="session")
def visitor_named(chromium: Any, site: Site) -> Any:
    """Makes a visitor that outlives a test: called with a user's name."""
    return partial(Visitor, chromium, site)


@pytest.fixture
def visit(chromium: Any, site: Site) -> Iterator[Any]:
    """Makes visitors; nothing may have gone wrong in their browsers."""
    visitors: list[Visitor] = []

    def made(name: str = "alice", **options: Any) -> Visitor:
        visitors.append(Visitor(chromium, site, name, **options))
        return visitors[-1]

    yield made
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        visitor.context.close()
    assert complaints == []
