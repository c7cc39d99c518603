"""How a step refuses what it was given: one sentence, exit status 3."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn


class Refused(ValueError):
    """This signal cannot be judged by this analysis; the message says why."""


def refuse(text: str) -> NoReturn:
    """Raise Refused."""
    raise Refused(text)


def guarded(main: Callable[[], None]) -> NoReturn:
    """Run `main()`; a refusal ends the step with one line on standard error."""
    try:
        main()
    except Refused as refusal:
        sys.stderr.write(f"refused: {refusal}\n")
        sys.exit(3)
    sys.exit(0)
