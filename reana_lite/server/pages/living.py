"""Parts of pages that ask again while something goes on: sent only when they have changed. Called by runs and campaigns."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Response, render_template, request

SEEN = "0000000000000000"
"""What stands in the part's own address for the digest of all the rest of it."""


def changed(template: str, **shown: Any) -> Response:
    """The part; nothing (204) if it is as the browser has it already."""
    text = render_template(template, seen=SEEN, **shown)
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    if request.args.get("seen") == digest:
        return Response(status=204)
    return Response(text.replace(SEEN, digest, 1), mimetype="text/html")
