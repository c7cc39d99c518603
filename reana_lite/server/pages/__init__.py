"""The web pages: HTML made on the server, enlivened by htmx, complete without JavaScript.

    site        what pages ask of the server (permissions, submissions, accounts)
    words       values as people read them; texts made harmless
    form        the form of an analysis and what was typed into it
    graph       a run as boxes; plane, row: limits over two axes and one as shapes (all pure)
    living      parts that ask again while something goes on
    notice      a sentence carried over a redirect
    browse, runs, files, campaigns, comparing, sharing, deleting, account, admin   the pages

No permission is decided here, and no request is validated. Templates are in web/templates.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, redirect, render_template, request, send_from_directory, url_for

from reana_lite import __version__
from reana_lite.errors import NotFound, ReanaLiteError
from reana_lite.server import answers
from reana_lite.server.pages import (
    account,
    admin,
    browse,
    campaigns,
    comparing,
    deleting,
    files,
    notice,
    runs,
    sharing,
    words,
)
from reana_lite.server.pages.plane import KINDS, shape
from reana_lite.server.pages.site import this_site

__all__ = ["register"]

OPEN = frozenset({"pages.sign_in", "pages.plotly", "pages.help_page"})
"""What may be seen by anybody."""


def _guard() -> Any:
    """Pages are for people who are signed in."""
    if request.endpoint in OPEN or this_site().viewer() is not None:
        return None
    if request.headers.get("HX-Request"):
        return Response(status=401, headers={"HX-Redirect": url_for("pages.sign_in")})
    return redirect(url_for("pages.sign_in", next=request.full_path.rstrip("?") if request.method == "GET" else None))


def _context() -> dict[str, Any]:
    site = this_site()
    return {
        "viewer": site.viewer(), "accounts": site.accounts(), "here": (request.endpoint or "").removeprefix("pages."),
        "version": __version__, "kinds": KINDS, "shape": shape, "notices": notice.notices,
    }  # fmt: skip


def _error(error: ReanaLiteError) -> Any:
    """What was wrong, and what can be done."""
    if error.details.get("login"):
        return redirect(url_for("pages.sign_in"))
    answer = answers.answer(answers.status_of(error), error.to_dict(), retry_after_s=error.details.get("retry_after_s"))
    answer.set_data(_error_page(answer.status_code, type(error).__name__, error.message))
    return answer


def _error_page(status: int, title: str, message: str) -> str:
    return render_template(
        "error.html", status=status, title=title, lines=words.plain(message).split("\n"), **_context()
    )


def _plotly() -> Response:
    """plotly's script, from the installed package."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise NotFound("an interactive plot needs plotly: pip install 'reana-lite[interactive]'")
    answer = send_from_directory(Path(spec.origin).parent / "package_data", "plotly.min.js")
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


def web_folder() -> Path:
    """Templates and static files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    return package / "_web" if (package / "_web").is_dir() else package.parent / "web"


def register(app: Flask) -> None:
    """Add the pages, their templates and static files to an application."""
    folder = web_folder()
    app.extensions[answers.ERROR_PAGE] = _error_page
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(words.FILTERS)
    app.register_blueprint(Blueprint("web", __name__, static_folder=str(folder / "static"), static_url_path="/static"))
    pages = Blueprint("pages", __name__, template_folder=str(folder / "templates"))
    for part in (browse, runs, files, sharing, deleting, campaigns, comparing, account, admin):
        part.add(pages)
    pages.add_url_rule("/plotly.min.js", "plotly", _plotly)
    pages.before_request(_guard)
    pages.after_request(notice.forget)
    pages.context_processor(_context)
    pages.register_error_handler(ReanaLiteError, _error)
    app.register_blueprint(pages)
