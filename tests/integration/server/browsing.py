"""Forms of the pages, filled in and sent as a browser without JavaScript does."""

from __future__ import annotations

import re
from typing import Any

from flask.testing import FlaskClient

FAST = {"p__n_events": "400", "p__blocks": "[1]"}
"""Parameters of the analysis `counting` with which it is over soon."""


def csrf(client: FlaskClient, path: str = "/analyses/tiny") -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get(path).text)
    assert found is not None
    return found[1]


def send(client: FlaskClient, path: str, status: int = 303, **values: Any) -> Any:
    values = {name.replace("__", "."): value for name, value in values.items()}
    answer = client.post(path, data={"csrf": csrf(client), **values}, content_type="multipart/form-data")
    assert answer.status_code == status, answer.text
    return answer


def begin(client: FlaskClient, analysis: str = "tiny", **values: Any) -> str:
    """Submit the form; the id of the run or campaign."""
    return str(send(client, f"/analyses/{analysis}", do="run", **values).location.rpartition("/")[2])


def axes(low: int, high: int, lsp: int) -> dict[str, str]:
    return {"a__gluino__m_gluino__from": str(low), "a__gluino__m_gluino__to": str(high),
            "a__gluino__m_gluino__step": "200", "a__gluino__m_lsp__from": str(lsp), "template": "gluino"}  # fmt: skip
