"""One sentence about what was just done, carried over a redirect in a cookie that lives for a moment."""

from __future__ import annotations

from urllib.parse import quote, unquote

from flask import g, redirect, request
from werkzeug.wrappers import Response

COOKIE = "recast-notice"
LIVES_S = 30
LIMIT = 600
"""Characters of it."""


def onward(address: str, text: str, *, bad: bool = False) -> Response:
    """A redirect that says something on the page it leads to."""
    answer = redirect(address, 303)
    value = quote(("!" if bad else ".") + text[:LIMIT])
    answer.set_cookie(COOKIE, value, max_age=LIVES_S, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def notices() -> list[tuple[str, str]]:
    """(kind, text) of what is to be said on this page."""
    text = unquote(request.cookies.get(COOKIE, ""))[: LIMIT + 1]
    if len(text) < 2:
        return []
    g.said = True
    return [("bad" if text[0] == "!" else "good", text[1:])]


def forget(answer: Response) -> Response:
    """It was said."""
    if getattr(g, "said", False):
        answer.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer
