"""Runs in the reference engine's environment: loads workflows with the yadage packages, a JSON line each way."""

from __future__ import annotations

import json
import logging
import sys

import yadageschemas  # type: ignore[import-not-found]  # the reference engine's

SCHEMA = {"schema_name": "yadage/workflow-schema", "schemadir": None}

logging.disable(logging.CRITICAL)
for line in sys.stdin:
    toplevel, source = json.loads(line)
    options = {"toplevel": toplevel, "load_as_ref": False, **SCHEMA}
    try:
        plain = yadageschemas.load(source, options, validate=True, validopts=SCHEMA)
        for stage in plain["stages"]:
            stage["dependencies"]  # what its engine reads at once
    except Exception as error:  # noqa: BLE001 - any of them means: not loaded
        answer = {"error": f"{type(error).__name__}: {error}"[:300]}
    else:
        answer = {"plain": plain}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
