"""Pages of lists: a cursor says where the page before ended; rows that come or go meanwhile repeat or hide none."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reana_lite.errors import InvalidInput

Place = tuple[float, str]


def place_of(query: Mapping[str, Any]) -> Place | None:
    """Where the page before ended; raises InvalidInput for a cursor that is none of ours."""
    cursor = query.get("cursor")
    if not cursor:
        return None
    try:
        at, id_ = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if not isinstance(at, int | float) or isinstance(at, bool) or not isinstance(id_, str) or not math.isfinite(at):
            raise ValueError(cursor)
        return float(at), id_
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise InvalidInput("the cursor is not one that this server has given", field="cursor", value=cursor) from error


def paged(
    rows: Sequence[Any], query: Mapping[str, Any], shown: Callable[[Any], dict[str, Any]], *, by: str = "id"
) -> dict[str, Any]:
    """A page of rows (with one more than asked for, if there is one), and the cursor of the next."""
    limit = query["limit"]
    last = rows[limit - 1] if len(rows) > limit else None
    cursor = None
    if last is not None:
        text = json.dumps([last.created_at, getattr(last, by)])
        cursor = base64.urlsafe_b64encode(text.encode()).decode()
    return {"items": [shown(row) for row in rows[:limit]], "next": cursor}
