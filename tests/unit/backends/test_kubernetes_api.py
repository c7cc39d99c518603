"""Lists in pages: what has become too old between two of them is begun anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from reana_lite.backends.kubernetes.api import RealApi, Refused
from reana_lite.errors import Unavailable


class Paged(RealApi):
    """An API server of two pages that forgets the token of the first so many times."""

    def __init__(self, forgets: int) -> None:
        super().__init__("n")
        self.forgets = forgets
        self.asked: list[str] = []

    def _connected(self) -> Any:
        return None

    def _call(
        self, method: str, path: str, query: Mapping[str, str | int] | None = None, body: Any = None, **more: Any
    ) -> dict[str, Any]:
        token = str((query or {}).get("continue", ""))
        self.asked.append(token)
        if not token:
            return {"items": [{"n": 1}], "metadata": {"continue": "next", "resourceVersion": "7"}}
        if self.forgets:
            self.forgets -= 1
            raise Refused(410, "Expired", "the token is too old")
        return {"items": [{"n": 2}], "metadata": {"resourceVersion": "7"}}


def test_all_pages_are_read() -> None:
    api = Paged(0)
    assert api.list_pods("x") == ([{"n": 1}, {"n": 2}], "7")
    assert api.asked == ["", "next"]


def test_a_list_that_became_too_old_is_begun_anew_and_nothing_is_twice() -> None:
    api = Paged(1)
    assert api.list_pods("x") == ([{"n": 1}, {"n": 2}], "7")
    assert api.asked == ["", "next"] * 2


def test_lists_that_cannot_be_read_to_the_end_are_tried_again_later() -> None:
    with pytest.raises(Unavailable):
        Paged(99).list_jobs("x")
